/* Instructions that do on the host what they do in the guest, with operands replaced. */
#include "core/vm.h"
#include "sbe/translate_internal.h"

/* A host instruction about to be written. */
struct host_insn {
    const struct isa_row *row;
    struct host_rm rm;
    unsigned map, opcode, reg;
    bool modrm;
    bool rex; /* a byte register that only exists with a REX prefix */
    unsigned opsize;
    bool wide;
};

static void emit_prefixes(struct emitter *e, const struct host_insn *h)
{
    const struct isa_row *row = h->row;
    bool sized = row->cls != CLS_FPU;
    if (row->prefix == PX_66 || (sized && h->opsize == 2))
        emit8(e, 0x66);
    if (row->prefix == PX_F3)
        emit8(e, 0xf3);
    if (row->prefix == PX_F2)
        emit8(e, 0xf2);
}

static void emit_opcode(struct emitter *e, const struct host_insn *h)
{
    emit_prefixes(e, h);
    emit_rex(e, h->wide ? REX_W : h->rex ? REX_BASE : 0, h->modrm ? h->reg : 0, &h->rm);
    if (h->map != MAP_1B)
        emit8(e, 0x0f);
    if (h->map == MAP_0F38)
        emit8(e, 0x38);
    if (h->map == MAP_0F3A)
        emit8(e, 0x3a);
    if (!h->modrm) {
        emit8(e, h->opcode | (h->rm.base & 7));
        return;
    }
    emit8(e, h->opcode);
    emit_modrm(e, h->reg, &h->rm);
}

static void emit_immediate(struct emitter *e, const struct isa_row *row, const struct insn *i)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        switch (row->operands[n]) {
        case OPD_Ib:
        case OPD_Isb: emit8(e, (u8)i->imm); break;
        case OPD_Iw: emit16(e, (u16)i->imm); break;
        case OPD_Iz:
            if (i->opsize == 2)
                emit16(e, (u16)i->imm);
            else
                emit32(e, (u32)i->imm);
            break;
        default: break;
        }
}

static bool operand_is_byte(const struct isa_row *row, unsigned operand)
{
    return operand < ISA_OPERANDS && isa_operands[row->operands[operand]].size == OPZ_B &&
           (isa_operands[row->operands[operand]].kind == OPK_GREG || isa_operands[row->operands[operand]].kind == OPK_GRM ||
            isa_operands[row->operands[operand]].kind == OPK_OPREG);
}

/* A general register operand: which guest register, and how it is encoded on the host. */
struct place {
    bool used;      /* the operand is a general register */
    bool high;      /* AH to BH */
    bool spilled;   /* it lives in the vCPU, and in `host` for this instruction only */
    bool needs_rex; /* SPL to DIL */
    unsigned guest;
    unsigned host; /* encoding */
};

static struct place place_of(const struct translation *t, unsigned at, bool byte, unsigned scratch)
{
    struct place p = {.used = true, .guest = at >> 3, .high = byte && (at & 1)};
    p.host = host_of(t->wide, p.guest);
    p.spilled = p.host == HOST_NONE;
    if (p.spilled)
        p.host = scratch;
    p.needs_rex = byte && !p.high && p.host >= RSP && p.host <= RDI;
    if (p.high)
        p.host += 4;
    return p;
}

static void place_load(struct translation *t, const struct place *p)
{
    if (p->used && p->spilled)
        emit_load(&t->e, p->host, guest_slot(p->guest));
}

static void place_store(struct translation *t, const struct place *p, bool written)
{
    if (p->used && p->spilled && written)
        emit_store(&t->e, p->host, guest_slot(p->guest));
}

/* ModRM.reg: a general register in its place, or the number that it is. */
static struct place place_reg(const struct translation *t, const struct isa_row *row, const struct insn *i, unsigned scratch)
{
    unsigned operand = operand_reg(row);
    if (operand < ISA_OPERANDS)
        return place_of(t, i->reg_at, operand_is_byte(row, operand), scratch);
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (isa_operands[row->operands[n]].kind == OPK_XREG || isa_operands[row->operands[n]].kind == OPK_MREG)
            return (struct place){.host = i->reg};
    return (struct place){.host = i->modrm >> 3 & 7u};
}

static struct place place_rm(const struct translation *t, const struct isa_row *row, const struct insn *i)
{
    unsigned operand = operand_rm(row);
    if (operand == ISA_OPERANDS)
        return (struct place){.host = i->rm};
    u8 kind = isa_operands[row->operands[operand]].kind;
    if (kind == OPK_XRM || kind == OPK_XRMREG || kind == OPK_MRM || kind == OPK_MRMREG)
        return (struct place){.host = i->rm};
    return place_of(t, i->rm_at, operand_is_byte(row, operand), HOST_ADDRESS);
}

static bool has_modrm(const struct isa_row *row) { return row->modrm != RM_NONE; }

/* Without a register's number, and 80 for its alias 82, which 64-bit mode does not have. */
static unsigned host_opcode(const struct isa_row *row, const struct insn *i)
{
    if (row->attributes & A_PLUSR)
        return row->opcode;
    return row->map == MAP_1B && row->opcode == 0x82 ? 0x80 : i->opcode;
}

static struct host_insn host_insn(const struct isa_row *row, const struct insn *i)
{
    return (struct host_insn){
        .row = row,
        .map = row->map,
        .opcode = host_opcode(row, i),
        .modrm = has_modrm(row),
        .opsize = i->opsize,
        .wide = !(row->attributes & A_X87) && (i->opsize == 8 || (i->rex & 8)),
    };
}

/* Encodings that 64-bit mode gave to others: INC and DEC by opcode. And XCHG with rAX, as an ordinary one. */
static void reencode(const struct isa_row *row, struct host_insn *h)
{
    bool by_opcode = row->map == MAP_1B && (row->attributes & A_PLUSR);
    if (by_opcode && (row->opcode == 0x40 || row->opcode == 0x48)) {
        h->modrm = true;
        h->reg = row->opcode == 0x48;
        h->opcode = 0xff;
    } else if (by_opcode && row->opcode == 0x90) {
        h->modrm = true;
        h->reg = RAX;
        h->opcode = 0x87;
    }
}

/* ---- Soft immediates ---------------------------------------------------------------------------- */

/* Size of the last bytes of an instruction if they are an immediate that may be soft; else 0. */
static unsigned immediate_bytes(const struct isa_row *row, const struct insn *i)
{
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        switch (row->operands[n]) {
        case OPD_Ib:
        case OPD_Isb: return 1;
        case OPD_Iz: return i->opsize == 2 ? 2 : 4;
        case OPD_Iv: return i->opsize;
        default: break;
        }
    return 0;
}

/* The immediate is rewritten by the guest now and then: it is fetched into RCX, as wide as the operation, from where the
 * guest has it. Only for instructions that need no site, which knows the immediate as it is now. */
static bool emit_soft_immediate(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    unsigned bytes = immediate_bytes(row, i);
    const struct block *b = &t->s->blocks[t->block];
    u64 offset = block_offset(b, t->rip) + i->length - bytes;
    struct emitter *e = &t->e;
    struct host_rm from = rm_memory(HOST_ADDEND, 0);
    if (!bytes || t->rest != UINT64_MAX || !codecache_soft(t->s, t->block, offset, bytes))
        return false;
    emit_constant(e, HOST_ADDEND, (u64)physmem_host(&t->v->vm->memory, offset));
    if (bytes == i->opsize && bytes >= 4) {
        emit_op(e, bytes == 8 ? REX_W : 0, 0x8b, HOST_ADDEND, from);
    } else if (bytes == 4) {
        emit_op(e, REX_W, 0x63, HOST_ADDEND, from); /* movsxd */
    } else {
        emit8(e, REX_W); /* movsx */
        emit8(e, 0x0f);
        emit8(e, bytes == 1 ? 0xbe : 0xbf);
        emit_modrm(e, HOST_ADDEND, &from);
    }
    return true;
}

/* The operation of an instruction of the ADD family by its number, on the register in `rm` and on RCX. */
static void emit_soft_operation(struct translation *t, const struct insn *i, unsigned opcode, const struct place *p)
{
    struct emitter *e = &t->e;
    struct host_rm rm = rm_register(p->host);
    place_load(t, p);
    if (i->opsize == 2)
        emit8(e, 0x66);
    emit_rex(e, i->opsize == 8 ? REX_W : p->needs_rex ? REX_BASE : 0, HOST_ADDEND, &rm);
    emit8(e, opcode | (i->opsize > 1));
    emit_modrm(e, HOST_ADDEND, &rm);
    place_store(t, p, opcode != 0x38); /* CMP */
}

/* MOV r, imm, and ADD to CMP of a register and an immediate, where it is soft: true if that was it. */
static bool emit_soft(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    enum { MOV_STORE = 0x88 };
    bool move = (row->opcode == 0xb0 || row->opcode == 0xb8) && (row->attributes & A_PLUSR);
    bool group = row->opcode >= 0x80 && row->opcode <= 0x83, accumulator = row->opcode < 0x40 && (row->opcode & 6) == 4;
    if (row->map != MAP_1B || (i->prefixes & INSN_MEM) || !(move || group || accumulator))
        return false;
    if (!emit_soft_immediate(t, row, i))
        return false;
    struct place p = place_of(t, accumulator ? RAX * 8 : i->rm_at, i->opsize == 1, HOST_ADDRESS);
    unsigned number = group ? i->modrm & 0x38u : row->opcode & 0x38u;
    emit_soft_operation(t, i, move ? MOV_STORE : number, &p);
    return true;
}

/* ---- Forms -------------------------------------------------------------------------------------- */

/* mov r, imm: into any place. */
static void emit_move_immediate(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    struct emitter *e = &t->e;
    struct place p = place_of(t, i->rm_at, row->opcode == 0xb0, HOST_ADDRESS);
    if (i->opsize >= 4) {
        emit_constant(e, p.host, i->opsize == 8 ? i->imm : (u32)i->imm);
        place_store(t, &p, true);
        return;
    }
    struct host_rm rm = p.spilled ? guest_slot(p.guest) : rm_register(p.host);
    if (i->opsize == 2)
        emit8(e, 0x66);
    emit_rex(e, p.needs_rex ? REX_BASE : 0, 0, &rm);
    emit8(e, i->opsize == 1 ? 0xc6 : 0xc7);
    emit_modrm(e, 0, &rm);
    if (i->opsize == 1)
        emit8(e, (u8)i->imm);
    else
        emit16(e, (u16)i->imm);
}

static bool faults_on_registers(const struct isa_row *row)
{
    return row_named(row, "div") || row_named(row, "idiv") || (row->attributes & (A_XM | A_X87 | A_MMX));
}

static void emit_register_form(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    struct host_insn h = host_insn(row, i);
    struct place reg = has_modrm(row) ? place_reg(t, row, i, HOST_ADDEND) : (struct place){.host = 0};
    struct place rm = place_rm(t, row, i);
    h.reg = reg.host;
    h.rm = rm_register(rm.host);
    h.rex = reg.needs_rex || rm.needs_rex;
    reencode(row, &h);
    place_load(t, &reg);
    place_load(t, &rm);
    if (row_has_operand(row, OPD_CL))
        emit_move_32(&t->e, RCX, host_of(t->wide, RCX));
    if (faults_on_registers(row))
        current_site(t);
    emit_opcode(&t->e, &h);
    emit_immediate(&t->e, row, i);
    /* XADD of a register with itself leaves the sum: r/m is written last. */
    place_store(t, &reg, row_writes_reg(row) || row->cls == CLS_FPU);
    place_store(t, &rm, row_writes_rm(row) || !has_modrm(row));
}

/* No register operand and no ModRM: the accumulator with an immediate, flags. */
static void emit_bare_form(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    emit_prefixes(&t->e, &(struct host_insn){.row = row, .opsize = i->opsize});
    if (i->opsize == 8)
        emit8(&t->e, REX_W);
    if (row->map == MAP_0F)
        emit8(&t->e, 0x0f);
    emit8(&t->e, i->opcode);
    emit_immediate(&t->e, row, i);
}

/* Frees what the instruction needs of RCX and R10 beside its memory operand. */
static struct host_rm memory_with(struct translation *t, const struct isa_row *row, const struct place *reg, struct host_rm rm)
{
    struct emitter *e = &t->e;
    if (row_has_operand(row, OPD_CL) || row_named(row, "cmpxchg8b")) { /* which is also CMPXCHG16B */
        emit_lea(e, true, HOST_ADDRESS, rm);
        emit_move(e, RCX, host_of(t->wide, RCX));
        return rm_memory(HOST_ADDRESS, 0);
    }
    if (reg->high || reg->spilled) {
        emit_lea(e, true, HOST_ADDEND, rm);
        return rm_memory(HOST_ADDEND, 0);
    }
    return rm;
}

#define IN_FPU(field) rm_memory(RSP, (s32)offsetof(struct vcpu, cpu.fpu.field))

static void emit_copy_selector(struct emitter *e, enum seg seg, struct host_rm to)
{
    struct host_rm from = rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.seg) + seg * sizeof(struct segment)));
    emit8(e, 0x0f); /* movzx ecx, word [selector] */
    emit8(e, 0xb7);
    emit_modrm(e, RCX, &from);
    emit8(e, 0x66);
    emit_op(e, 0, 0x89, RCX, to);
}

static void emit_store_constant_16(struct emitter *e, unsigned value, struct host_rm to)
{
    emit8(e, 0x66);
    emit_op(e, 0, 0xc7, 0, to);
    emit16(e, value);
}

/* What the FPU would remember of the instruction (SDM vol. 1, 8.1.8): its address and opcode. */
static void emit_x87_pointers(struct translation *t, const struct insn *i)
{
    struct emitter *e = &t->e;
    emit_store_constant_32(e, (u32)t->rip, IN_FPU(fip));
    emit_store_constant_32(e, (u32)(t->rip >> 32), rm_memory(RSP, (s32)offsetof(struct vcpu, cpu.fpu.fip) + 4));
    emit_store_constant_16(e, (unsigned)(i->opcode & 7) << 8 | i->modrm, IN_FPU(fop));
    if (t->wide)
        emit_store_constant_16(e, 0, IN_FPU(fcs));
    else
        emit_copy_selector(e, SEG_CS, IN_FPU(fcs));
}

/* And of its operand, whose address is in `address`. After the access: RCX is free then, and a fault has remembered nothing. */
static void emit_x87_data_pointer(struct translation *t, const struct insn *i, unsigned address)
{
    struct emitter *e = &t->e;
    emit_store(e, address, IN_FPU(fdp));
    if (t->wide)
        emit_store_constant_16(e, 0, IN_FPU(fds));
    else
        emit_copy_selector(e, (enum seg)i->seg, IN_FPU(fds));
}

static void emit_memory_form(struct translation *t, const struct isa_row *row, const struct insn *i)
{
    struct host_insn h = host_insn(row, i);
    bool absolute = isa_operands[row->operands[operand_rm(row)]].kind == OPK_MOFFS;
    struct place reg = absolute ? (struct place){.host = RAX} : place_reg(t, row, i, HOST_ADDRESS);
    if (absolute) { /* A0..A3: MOV between rAX and memory */
        h.modrm = true;
        h.opcode = (i->opcode & 2 ? 0x88 : 0x8a) | (i->opcode & 1u);
    }
    struct host_rm rm = emit_memory_operand(t, i, row_writes_rm(row));
    h.rm = memory_with(t, row, &reg, rm);
    h.reg = reg.host;
    h.rex = reg.needs_rex;
    place_load(t, &reg);
    emit_opcode(&t->e, &h);
    emit_immediate(&t->e, row, i);
    place_store(t, &reg, row_writes_reg(row) || row->cls == CLS_FPU);
    if (row->attributes & A_X87) {
        emit_room(t, ROOM_REST_BYTES);
        emit_x87_data_pointer(t, i, rm.index);
    }
}

/* The FPU may have been parked since it was last seen live: then the interpreter executes the instruction, and it is. */
static void emit_fpu_check(struct translation *t)
{
    if (t->fpu_live)
        return;
    struct host_rm live = rm_memory(RSP, (s32)offsetof(struct vcpu, fpu_live));
    emit8(&t->e, 0x0f); /* movzx ecx, byte [fpu_live] */
    emit8(&t->e, 0xb6);
    emit_modrm(&t->e, RCX, &live);
    emit_site_if_zero(t);
}

void emit_plain(struct translation *t, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    bool memory = i->prefixes & INSN_MEM;
    if (row->cls == CLS_FPU)
        emit_fpu_check(t);
    if (memory)
        emit_memory_form(t, row, i);
    else if (emit_soft(t, row, i))
        return;
    else if (row->map == MAP_1B && (row->opcode == 0xb0 || row->opcode == 0xb8) && (row->attributes & A_PLUSR))
        emit_move_immediate(t, row, i);
    else if (has_modrm(row) || (row->attributes & A_PLUSR))
        emit_register_form(t, row, i);
    else
        emit_bare_form(t, row, i);
    if (row->attributes & A_X87)
        emit_x87_pointers(t, i);
    if (row->cls == CLS_FPU)
        t->fpu_live = !memory || !row_writes_rm(row); /* a store to a device parks the FPU in the end */
}

void emit_lea_insn(struct translation *t, const struct insn *i)
{
    struct emitter *e = &t->e;
    unsigned host = host_of(t->wide, i->reg);
    if (i->opsize >= i->addrsize && host != HOST_NONE && i->opsize >= 4) {
        emit_effective_address(t, i, host); /* an address of 32 bits clears the upper half, as it must */
        return;
    }
    emit_effective_address(t, i, HOST_ADDRESS);
    if (i->opsize == 2) {
        struct host_rm rm = host == HOST_NONE ? guest_slot(i->reg) : rm_register(host);
        emit8(e, 0x66);
        emit_op(e, 0, 0x89, HOST_ADDRESS, rm);
        return;
    }
    if (i->opsize == 4)
        emit_move_32(e, HOST_ADDRESS, HOST_ADDRESS);
    if (host == HOST_NONE)
        emit_store(e, HOST_ADDRESS, guest_slot(i->reg));
    else
        emit_move(e, host, HOST_ADDRESS);
}
