/* Guest memory: effective address, linear address, addend. Writes no flags. */
#include "core/segment.h"
#include "sbe/translate_internal.h"

/* base + index * scale + disp of the guest in host registers; R10 and RCX stand in for registers that live in the vCPU. */
static struct host_rm effective_rm(struct translation *t, const struct insn *i)
{
    unsigned base = emit_use(t, i->base, HOST_ADDRESS);
    unsigned index = i->index < GPR_COUNT ? emit_use(t, i->index, HOST_ADDEND) : HOST_NONE;
    return rm_indexed(base, index, i->scale, (s32)i->disp);
}

/* Addresses that do not depend on registers. */
static bool constant_address(const struct translation *t, const struct insn *i, u64 *address)
{
    if (i->base < GPR_COUNT || i->index < GPR_COUNT)
        return false;
    *address = (u64)i->disp + (i->base == REG_RIP ? t->rip + i->length : 0);
    if (i->addrsize != 8)
        *address = i->addrsize == 4 ? (u32)*address : (u16)*address;
    return true;
}

/* index * scale + disp: ModRM.mod 0 with SIB.base 5 (SDM vol. 2, table 2-3). */
static void emit_scaled_index(struct translation *t, const struct insn *i, unsigned to)
{
    struct emitter *e = &t->e;
    unsigned index = emit_use(t, i->index, HOST_ADDRESS);
    emit8(e, (i->addrsize == 8 ? REX_W : REX_BASE) | (to & 8) >> 1 | (index & 8) >> 2);
    emit8(e, 0x8d);
    emit8(e, (to & 7) << 3 | 4);
    emit8(e, (unsigned)i->scale << 6 | (index & 7) << 3 | 5);
    emit32(e, (u32)i->disp);
}

void emit_effective_address(struct translation *t, const struct insn *i, unsigned to)
{
    u64 constant;
    bool wide = i->addrsize == 8;
    if (constant_address(t, i, &constant)) {
        emit_constant(&t->e, to, constant);
    } else if (i->base >= GPR_COUNT) {
        emit_scaled_index(t, i, to);
    } else {
        emit_lea(&t->e, wide, to, effective_rm(t, i));
        if (i->addrsize == 2)
            emit_load_16_zero(&t->e, to, rm_register(to));
    }
}

/* Narrow code: an operand that wraps at 4 GiB is beyond the limit, and the interpreter's business. */
static void emit_wrap_check(struct translation *t, unsigned size)
{
    if (size == 1)
        return;
    struct emitter *e = &t->e;
    emit_lea(e, true, HOST_ADDEND, rm_memory(HOST_ADDRESS, (s32)size - 1));
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_READ_TABLE); /* >> 12 */
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_READ_TABLE); /* >> 24 */
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_WRITE_TABLE); /* >> 32: 0 or 1 */
    emit_lea(e, true, HOST_ADDEND, rm_memory(HOST_ADDEND, -1));
    emit_site_if_zero(t);
}

/* An operand that begins below 64 KiB must not end beyond: what lies there, the interpreter looks up. */
static void emit_low_check_16(struct translation *t, unsigned size)
{
    if (size == 1)
        return;
    struct emitter *e = &t->e;
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDRESS, (s32)size - 1 - 0x10000));
    emit_shift_x(e, VEX_SHRX, false, HOST_ADDEND, HOST_ADDEND, HOST_READ_TABLE); /* 0 if it was 0 to 14, else negative */
    emit_site_if_zero(t);
}

/* The same for an operand that begins anywhere. */
static void emit_low_check_32(struct translation *t, unsigned size)
{
    struct emitter *e = &t->e;
    emit_lea(e, true, HOST_ADDEND, rm_memory(HOST_ADDRESS, (s32)size - 1));
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_WRITE_TABLE); /* >> 8 */
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_WRITE_TABLE); /* >> 16 */
    u8 *good = emit_jrcxz(e);
    emit_site(t);
    emit_patch_short(good, e->at);
}

void emit_segment_base(struct translation *t, unsigned seg, unsigned size, unsigned bits)
{
    enum segment_kind kind = segment_kind(t, seg);
    if (kind == SEGMENT_FLAT)
        return;
    if (kind == SEGMENT_LOW && bits == 16)
        emit_low_check_16(t, size);
    else if (kind == SEGMENT_LOW)
        emit_low_check_32(t, size);
    else if (!t->wide && bits != 16)
        emit_wrap_check(t, size);
    size_t base = offsetof(struct vcpu, cpu.seg[0].base) + seg * sizeof(struct segment);
    emit_load(&t->e, HOST_ADDEND, rm_memory(RSP, (s32)base));
    emit_lea(&t->e, t->wide, HOST_ADDRESS, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 0));
}

unsigned emit_linear_address(struct translation *t, const struct insn *i, unsigned size)
{
    bool flat = segment_kind(t, i->seg) == SEGMENT_FLAT;
    bool one_register = i->base < GPR_COUNT && i->index >= GPR_COUNT && i->disp == 0 && i->addrsize == (t->wide ? 8 : 4);
    if (one_register && flat && host_of(t->wide, i->base) != HOST_NONE)
        return host_of(t->wide, i->base);
    emit_effective_address(t, i, HOST_ADDRESS);
    emit_segment_base(t, i->seg, size, i->addrsize == 2 ? 16 : 32);
    return HOST_ADDRESS;
}

/* For an instruction that has often crossed a page, and faulted in the hole behind it: it is told beforehand. */
static void emit_crossing_check(struct translation *t, unsigned address, unsigned size)
{
    struct emitter *e = &t->e;
    if (!t->crosses || size == 1)
        return;
    emit_pext(e, HOST_ADDEND, address, IN_CONTEXT(page_mask));
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, (s32)size - 1));
    emit_pext(e, HOST_ADDEND, HOST_ADDEND, IN_CONTEXT(page_carry));
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, -1)); /* 0 if it crosses */
    emit_site_if_zero(t);
}

void emit_addend(struct translation *t, unsigned address, unsigned size, bool write)
{
    struct emitter *e = &t->e;
    emit_crossing_check(t, address, size);
    if (t->wide) {
        emit_shift_x(e, VEX_SHLX, true, HOST_ADDEND, address, HOST_WRITE_TABLE);
        emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_ADDEND, HOST_READ_TABLE);
    } else {
        emit_shift_x(e, VEX_SHRX, false, HOST_ADDEND, address, HOST_READ_TABLE);
    }
    unsigned table = write ? HOST_WRITE_TABLE : HOST_READ_TABLE;
    emit_load(e, HOST_ADDEND, rm_indexed(table, HOST_ADDEND, 3, -(s32)table_bias(t->wide, write)));
    emit_site_if_zero(t);
}

/* Bytes of the operand that ModRM puts in memory, where a wrap has to be looked for: at least as many as it has. */
static unsigned operand_bytes(const struct insn *i)
{
    static const u8 bytes[] = {[OPZ_B] = 1, [OPZ_W] = 2, [OPZ_D] = 4, [OPZ_Q] = 8, [OPZ_T] = 10, [OPZ_DQ] = 16};
    const struct isa_row *row = &isa_rows[i->row];
    unsigned operand = operand_rm(row);
    unsigned size = operand < ISA_OPERANDS ? isa_operands[row->operands[operand]].size : OPZ_V;
    if (size == OPZ_A)
        return 2u * i->opsize;
    return size < ARRAY_LEN(bytes) && bytes[size] ? bytes[size] : i->opsize;
}

struct host_rm emit_memory_operand(struct translation *t, const struct insn *i, bool write)
{
    unsigned size = operand_bytes(i);
    if (t->window)
        return emit_window_operand(t, i, size);
    unsigned address = emit_linear_address(t, i, size);
    emit_addend(t, address, size, write);
    return rm_indexed(HOST_ADDEND, address, 0, 0);
}

struct host_rm emit_stack_operand(struct translation *t, unsigned pointer, s32 disp, unsigned size, bool write)
{
    if (t->window) {
        current_site(t);
        return rm_indexed(HOST_WINDOW, pointer, 0, disp);
    }
    bool narrow = t->key & KEY_CODE16;
    if (disp || narrow) {
        emit_lea(&t->e, t->wide, HOST_ADDRESS, rm_memory(pointer, disp));
        pointer = HOST_ADDRESS;
    }
    if (narrow) {
        emit_load_16_zero(&t->e, HOST_ADDRESS, rm_register(HOST_ADDRESS));
        emit_segment_base(t, SEG_SS, size, 16);
    }
    emit_addend(t, pointer, size, write);
    return rm_indexed(HOST_ADDEND, pointer, 0, 0);
}
