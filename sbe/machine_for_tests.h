/* A machine in which unit tests execute single instructions: identity-mapped, flat, in any mode and privilege. */
#ifndef REPRISE_SBE_MACHINE_FOR_TESTS_H
#define REPRISE_SBE_MACHINE_FOR_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/decode.h"
#include "sbe/exec.h"
#include "sbe/fpu.h"
#include "sbe/interp.h"

enum machine_mode { REAL, V86, PROTECTED, COMPATIBILITY, LONG };

/* Where things lie in the machine's memory. */
enum {
    MACHINE_PML4 = 0x1000, MACHINE_PDPT = 0x2000, MACHINE_PD = 0x3000, MACHINE_PDPTES = 0x4000, MACHINE_TSS = 0x6000,
    MACHINE_CODE = 0x7000, MACHINE_STACK = 0x9000, MACHINE_DATA = 0xa000, MACHINE_RAM = 3 << 20,
};

static inline struct vm *machine_create(const char *model)
{
    struct vm *vm = NULL;
    struct vm_config config = {.ram_bytes = MACHINE_RAM, .model = cpu_model_find(model), .engine = &engine_interp};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    return vm;
}

static inline void machine_poke(struct vm *vm, u64 at, const void *from, unsigned size)
{
    phys_write(vm, gpa(at), from, size);
}

static inline u64 machine_peek(struct vm *vm, u64 at, unsigned size)
{
    u64 value = 0;
    phys_read(vm, gpa(at), &value, size);
    return value;
}

/* 1 GiB of identity-mapped user pages. */
static inline void machine_tables(struct vm *vm)
{
    u64 pml4 = MACHINE_PDPT | 7, pdpt = MACHINE_PD | 7;
    machine_poke(vm, MACHINE_PML4, &pml4, 8);
    machine_poke(vm, MACHINE_PDPT, &pdpt, 8);
    for (u64 n = 0; n < 512; n++) {
        u64 pde = n << 21 | 0x87;
        machine_poke(vm, MACHINE_PD + 8 * n, &pde, 8);
    }
}

static inline void machine_segments(struct cpu *c, enum machine_mode mode, unsigned cpl)
{
    bool real = mode == REAL || mode == V86;
    u16 dpl = (u16)(mode == REAL ? 0 : cpl << SEG_DPL_SHIFT), wide = real ? 0 : SEG_G | SEG_DB;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        c->seg[n] = (struct segment){.selector = (u16)(real ? 0 : 0x10 | cpl),
            .attributes = (u16)(SEG_P | SEG_S | 3 | dpl | wide), .limit = real ? 0xffff : 0xffffffff};
    c->seg[SEG_CS].attributes |= real ? 0 : SEG_CODE;
    if (mode == LONG)
        c->seg[SEG_CS].attributes = (u16)((c->seg[SEG_CS].attributes & ~SEG_DB) | SEG_L);
    c->cpl = (u8)cpl;
}

/* Puts the processor into a mode at a privilege level (0 in REAL, 3 in V86 whatever is asked). */
static inline struct vcpu *machine_enter(struct vm *vm, enum machine_mode mode, unsigned cpl)
{
    struct vcpu *v = vm->vcpu[0];
    struct cpu *c = &v->cpu;
    vm_reset(vm);
    if (mode == REAL || mode == V86)
        cpl = mode == V86 ? 3 : 0;
    machine_segments(c, mode, cpl);
    c->cr0 = CR0_ET | (mode == REAL ? 0 : CR0_PE);
    c->cr4 = CR4_OSFXSR;
    if (mode == V86)
        c->rflags |= FLAG_VM;
    if (mode == LONG || mode == COMPATIBILITY) {
        machine_tables(vm);
        c->cr3 = MACHINE_PML4;
        c->cr4 |= CR4_PAE;
        c->cr0 |= CR0_PG;
        c->efer = EFER_LME | EFER_LMA | EFER_SCE;
    }
    c->rip = MACHINE_CODE;
    c->gpr[RSP] = MACHINE_STACK;
    c->tr = (struct segment){.attributes = SEG_P | 11, .limit = 0x2067, .base = MACHINE_TSS};
    vcpu_update_mode(v);
    tlb_flush(v);
    v->stop_at = UINT64_MAX;
    return v;
}

/* Executes one instruction as the interpreter's loop does, but leaves RIP and icount to the caller. */
static inline enum exec machine_run(struct vcpu *v, const u8 *bytes, unsigned count)
{
    struct insn insn;
    v->fault = (struct event){0};
    assert_int_equal(decode(bytes, count, (enum code_mode)v->mode, &insn), DECODE_OK);
    assert_int_equal(insn.length, count);
    if (insn_forbidden(v, &insn))
        return EXEC_FAULT;
    return interp_handlers[insn.row][__builtin_ctz(insn.opsize)](v, &insn);
}

#define RUN(v, ...) machine_run((v), (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* The instruction faults with `vector` (and error code 0 where there is one), and no register changes. */
#define assert_faults(v, expected_vector, ...)                                      \
    do {                                                                            \
        struct vcpu *v_ = (v);                                                      \
        struct cpu before_ = v_->cpu;                                               \
        assert_int_equal(RUN(v_, __VA_ARGS__), EXEC_FAULT);                         \
        assert_int_equal(v_->fault.vector, (expected_vector));                      \
        assert_int_equal(v_->fault.error, 0);                                       \
        assert_memory_equal(&before_, &v_->cpu, offsetof(struct cpu, fpu));         \
    } while (0)
#define assert_retires(v, ...) assert_int_equal(RUN(v, __VA_ARGS__), EXEC_NEXT)

#endif
