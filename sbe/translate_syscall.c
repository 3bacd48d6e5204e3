/* Fast system calls: SYSENTER, SYSEXIT, SYSCALL, SYSRET (SDM vol. 2, each one's "Operation").
 *
 * They change the privilege level and nothing else that blocks depend on, so they go on in a block of another key without
 * leaving translated code: by the table of indirect jumps of that key. The segments that they load are fixed by MSRs which
 * systems write once; their values are compared with those of the time of translation, and where they differ, as where a
 * flag is not the usual one, the interpreter executes the instruction. All of vcpu_update_mode() that can change is done
 * here as well. */
#include "core/segment.h"
#include "sbe/translate_internal.h"

#define SELECTOR_NULL_BITS 0xfffcu
#define SELECTOR_RPL 3u
/* What SYSRET takes from R11 (sbe/interp_syscall.c) and keeps outside the arithmetic flags. */
#define SYSRET_SYSTEM_FLAGS (0x3c7fd7u & ~FLAGS_ARITH)

/* The MSR must be what it is now. Uses R10. */
static void emit_same(struct translation *t, struct host_rm msr, u64 value)
{
    struct emitter *e = &t->e;
    emit_load(e, HOST_ADDEND, msr);
    emit_constant(e, HOST_ADDRESS, 0 - value);
    emit_lea(e, true, HOST_ADDEND, rm_indexed(HOST_ADDEND, HOST_ADDRESS, 0, 0));
    emit_site_unless_zero(t);
}

/* With RFLAGS.AC set, data accesses have other rights. */
static void emit_unaligned_check(struct translation *t)
{
    emit_load_32(&t->e, HOST_ADDEND, IN_CPU(rflags));
    emit_pext(&t->e, HOST_ADDEND, HOST_ADDEND, IN_CONTEXT(alignment));
    emit_site_unless_zero(t);
}

static void emit_store_constant_8(struct emitter *e, u8 value, struct host_rm rm)
{
    emit_op(e, 0, 0xc6, 0, rm);
    emit8(e, value);
}

/* `value` is sign-extended. */
static void emit_store_constant_64(struct emitter *e, s32 value, struct host_rm rm)
{
    emit_op(e, REX_W, 0xc7, 0, rm);
    emit32(e, (u32)value);
}

/* A segment register with base 0 and limit 4 GiB - 1. Uses R10. */
static void emit_flat_segment(struct translation *t, enum seg seg, u16 selector, u16 attributes)
{
    struct emitter *e = &t->e;
    const struct segment s = {.selector = selector, .attributes = attributes, .limit = 0xffffffff};
    u64 first;
    memcpy(&first, &s, sizeof first);
    emit_constant(e, HOST_ADDRESS, first);
    emit_store(e, HOST_ADDRESS, rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.seg) + seg * sizeof s)));
    emit_store_constant_64(e, 0, rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.seg[0].base) + seg * sizeof s)));
}
_Static_assert(offsetof(struct segment, base) == 8, "all that is not the base is stored at once");

/* Flat CS and SS of privilege level `cpl`, which becomes CPL, with all that derives from them. */
static void emit_ring(struct translation *t, u16 cs, u16 ss, unsigned cpl)
{
    struct emitter *e = &t->e;
    u16 common = (u16)(SEG_P | SEG_S | SEG_G | SEG_ACCESSED | SEG_WRITABLE | cpl << SEG_DPL_SHIFT);
    emit_flat_segment(t, SEG_CS, cs, (u16)(common | SEG_CODE | (t->wide ? SEG_L : SEG_DB)));
    emit_flat_segment(t, SEG_SS, ss, (u16)(common | SEG_DB));
    emit_store_constant_8(e, (u8)cpl, IN_CPU(cpl));
    emit_store_constant_8(e, SEG_FLAT_READ, IN_VCPU(seg_flat[SEG_CS]));
    emit_store_constant_8(e, SEG_FLAT_READ | SEG_FLAT_WRITE, IN_VCPU(seg_flat[SEG_SS]));
    if (t->wide)
        return;
    emit_store_constant_8(e, true, IN_VCPU(stack32));
    emit_constant(e, HOST_ADDRESS, 0xffffffffu);
    emit_store(e, HOST_ADDRESS, IN_VCPU(stack_mask));
}

/* One field of the tables, for the context and in its register. */
static void emit_table(struct translation *t, unsigned reg, size_t field, enum tlb_rights rights)
{
    size_t from = offsetof(struct vcpu, context.by_cpl) + rights * sizeof(struct sbe_tables) + field;
    emit_load(&t->e, reg, rm_memory(RSP, (s32)from));
    emit_store(&t->e, reg, rm_memory(RSP, (s32)(offsetof(struct vcpu, context.tables) + field)));
}

/* tlb_update_rights(), and the tables of the new rights. */
static void emit_rights(struct translation *t, enum tlb_rights rights)
{
    struct emitter *e = &t->e;
    emit_store_constant_8(e, (u8)rights, IN_VCPU(tlb.rights));
    emit_store_constant_8(e, (u8)rights, IN_VCPU(tlb.fetch_rights));
    size_t entries = offsetof(struct vcpu, tlb.entries) + rights * sizeof t->v->tlb.entries[0];
    emit_lea(e, true, HOST_ADDEND, rm_memory(RSP, (s32)entries));
    emit_store(e, HOST_ADDEND, IN_VCPU(tlb.current));
    emit_load(e, HOST_ADDEND, IN_VCPU(tlb.fetches));
    emit_lea(e, true, HOST_ADDEND, rm_memory(HOST_ADDEND, 1));
    emit_store(e, HOST_ADDEND, IN_VCPU(tlb.fetches));
    emit_store(e, HOST_ADDEND, IN_CONTEXT(fetches));
    emit_table(t, HOST_READ_TABLE, offsetof(struct sbe_tables, read), rights);
    emit_table(t, HOST_WRITE_TABLE, offsetof(struct sbe_tables, write), rights);
    if (!t->wide && t->s->windows) {
        emit_table(t, HOST_WINDOW, offsetof(struct sbe_tables, window), rights);
        emit_table(t, HOST_WINDOW_END, offsetof(struct sbe_tables, window_end), rights);
    }
}

/* ---- 32-bit code ---------------------------------------------------------------------------------- */

static void emit_sysenter(struct translation *t)
{
    struct emitter *e = &t->e;
    u16 cs = (u16)t->v->cpu.sysenter_cs & SELECTOR_NULL_BITS;
    emit_same(t, IN_CPU(sysenter_cs), t->v->cpu.sysenter_cs);
    emit_unaligned_check(t);
    emit_cli(t);
    emit_ring(t, cs, (u16)(cs + 8), 0);
    emit_rights(t, TLB_SUPERVISOR);
    emit_load_32(e, host_of(false, RSP), IN_CPU(sysenter_esp));
    emit_load_32(e, HOST_ADDRESS, IN_CPU(sysenter_eip));
}

static void emit_sysexit(struct translation *t)
{
    u16 cs = (u16)(((u16)t->v->cpu.sysenter_cs & SELECTOR_NULL_BITS) + 16);
    emit_same(t, IN_CPU(sysenter_cs), t->v->cpu.sysenter_cs);
    emit_unaligned_check(t);
    emit_ring(t, cs | SELECTOR_RPL, (u16)(cs + 8) | SELECTOR_RPL, 3);
    emit_rights(t, TLB_USER);
    emit_move_32(&t->e, host_of(false, RSP), host_of(false, RCX));
    emit_move_32(&t->e, HOST_ADDRESS, RDX);
}

/* ---- 64-bit code ---------------------------------------------------------------------------------- */

/* EFER.SCE; the other bits of that byte are reserved. */
static void emit_enabled_check(struct translation *t)
{
    struct emitter *e = &t->e;
    struct host_rm efer = IN_CPU(efer);
    emit8(e, 0x0f); /* movzx ecx, byte */
    emit8(e, 0xb6);
    emit_modrm(e, HOST_ADDEND, &efer);
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, -(s32)EFER_SCE));
    emit_site_unless_zero(t);
}

/* The arithmetic flags go all or stay all: SYSCALL that clears some of them is left to the interpreter. */
static bool masks_some(u64 sfmask) { return (sfmask & FLAGS_ARITH) && (sfmask & FLAGS_ARITH) != FLAGS_ARITH; }

/* RFLAGS into R11, but for RF and VM, which are clear; what IA32_FMASK leaves stays, but for the arithmetic flags. */
static void emit_save_flags(struct translation *t, u64 sfmask)
{
    struct emitter *e = &t->e;
    emit8(e, 0x9c); /* pushfq, onto our own stack */
    emit8(e, 0x59); /* pop rcx */
    emit_and(e, IN_CONTEXT(arithmetic));
    emit_load_32(e, HOST_ADDRESS, IN_CPU(rflags));
    emit_lea(e, true, HOST_ADDEND, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 0));
    emit_store(e, HOST_ADDEND, guest_slot(R11));
    emit_move_32(e, HOST_ADDEND, HOST_ADDRESS);
    emit_and(e, IN_CONTEXT(syscall_keeps));
    if (sfmask & FLAG_FIXED)
        emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, FLAG_FIXED));
    emit_store_32(e, HOST_ADDEND, IN_CPU(rflags));
}

/* 0 + 1 clears all six. */
static void emit_clear_arithmetic(struct emitter *e)
{
    emit_constant(e, HOST_ADDEND, 0);
    emit_op(e, 0, 0x80, 0, rm_register(HOST_ADDEND));
    emit8(e, 1);
}

static void emit_syscall(struct translation *t, const struct insn *i)
{
    struct emitter *e = &t->e;
    const struct cpu *c = &t->v->cpu;
    u16 base = (u16)(c->star >> 32);
    emit_enabled_check(t);
    emit_same(t, IN_CPU(star), c->star);
    emit_same(t, IN_CPU(sfmask), c->sfmask);
    emit_unaligned_check(t);
    emit_save_flags(t, c->sfmask);
    emit_constant(e, host_of(true, RCX), t->rip + i->length);
    emit_ring(t, base & SELECTOR_NULL_BITS, (u16)(base + 8), 0);
    emit_rights(t, TLB_SUPERVISOR);
    if (c->sfmask & FLAGS_ARITH)
        emit_clear_arithmetic(e);
    emit_load(e, HOST_ADDRESS, IN_CPU(lstar));
}

/* The flags in R11 must be usual ones, and not let an interrupt in that waits. */
static void emit_sysret_check(struct translation *t)
{
    struct emitter *e = &t->e;
    emit_load(e, HOST_ADDRESS, guest_slot(R11));
    emit_pext(e, HOST_ADDEND, HOST_ADDRESS, IN_CONTEXT(not_by_sysret));
    emit_site_unless_zero(t);
    emit_pext(e, HOST_ADDEND, HOST_ADDRESS, IN_VCPU(interrupt_if));
    emit_site_unless_zero(t);
    emit_move(e, HOST_ADDRESS, host_of(true, RCX));
    emit_target_check(t);
}

/* `operation` of group 1 on a register and a constant: writes flags. */
static void emit_group1_32(struct emitter *e, unsigned operation, unsigned reg, u32 value)
{
    emit_op(e, 0, 0x81, operation, rm_register(reg));
    emit32(e, value);
}

/* RFLAGS from R11. The arithmetic flags go in as in emit_load_flags(), with RAX kept in R10. */
static void emit_take_flags(struct translation *t)
{
    struct emitter *e = &t->e;
    emit_load_32(e, HOST_ADDEND, guest_slot(R11));
    emit_group1_32(e, 4, HOST_ADDEND, SYSRET_SYSTEM_FLAGS);
    emit_group1_32(e, 1, HOST_ADDEND, FLAG_FIXED);
    emit_store_32(e, HOST_ADDEND, IN_CPU(rflags));
    emit_move(e, HOST_ADDRESS, RAX);
    emit_load_32(e, RAX, guest_slot(R11));
    emit_load_flags_from_rax(e);
    emit_move(e, RAX, HOST_ADDRESS);
}

static void emit_sysret(struct translation *t)
{
    const struct cpu *c = &t->v->cpu;
    u16 base = (u16)(c->star >> 48);
    emit_enabled_check(t);
    emit_same(t, IN_CPU(star), c->star);
    emit_sysret_check(t);
    emit_take_flags(t);
    emit_ring(t, (u16)(base + 16) | SELECTOR_RPL, (u16)(base + 8) | SELECTOR_RPL, 3);
    emit_rights(t, TLB_USER);
    emit_move(&t->e, HOST_ADDRESS, host_of(true, RCX));
}

/* Would the instruction fault, or do what has no sequence here, whenever its MSRs are what they are now? */
static bool left_to_interpreter(const struct cpu *c, enum treatment treatment)
{
    if (treatment == DO_SYSENTER || treatment == DO_SYSEXIT)
        return !(c->sysenter_cs & SELECTOR_NULL_BITS);
    return treatment == DO_SYSCALL && masks_some(c->sfmask);
}

void emit_system_call(struct translation *t, const struct insn *i, enum treatment treatment)
{
    t->ended = true;
    if (left_to_interpreter(&t->v->cpu, treatment)) {
        emit_site(t);
        return;
    }
    emit_fixups_inline(t); /* what follows is longer than exits reach */
    switch (treatment) {
    case DO_SYSENTER: emit_sysenter(t); break;
    case DO_SYSEXIT: emit_sysexit(t); break;
    case DO_SYSCALL: emit_syscall(t, i); break;
    default: emit_sysret(t);
    }
    emit_jump_class(t, t->class_behind);
}
