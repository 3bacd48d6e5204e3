/* For unit tests of instructions: one machine, flat code of a chosen width, single instructions given as bytes. */
#ifndef REPRISE_SBE_TEST_CODE_H
#define REPRISE_SBE_TEST_CODE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/exec.h"
#include "sbe/interp.h"

/* Guest-physical layout. Linear = physical; in 64-bit mode pages from HOLE upwards are not mapped. */
enum {
    CODE = 0x1000,
    TABLES = 0x10000, /* PML4, PDPT, PD, PT */
    DATA = 0x20000,
    STACK = 0x30000, /* initial rSP */
    DEVICE = 0xb8000, /* no RAM: every access is slow */
    HOLE = 0x100000,
};

static struct vm *vm;
static const struct engine *test_engine = &engine_interp;
static struct vcpu *v;

static inline int create(void **state)
{
    (void)state;
    const struct vm_config config = {
        .ram_bytes = 2 << 20, .model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = test_engine};
    if (vm_create(&vm, &config) != STATUS_OK)
        return -1;
    v = vm->vcpu[0];
    return 0;
}

static inline int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    return 0;
}

static inline u8 *ram(u64 at) { return physmem_pointer(&vm->memory, gpa(at)); }

static inline void map_pages(void)
{
    u64 entry = TABLES + 0x1003;
    memcpy(ram(TABLES), &entry, 8);
    entry = TABLES + 0x2003;
    memcpy(ram(TABLES + 0x1000), &entry, 8);
    entry = TABLES + 0x3003;
    memcpy(ram(TABLES + 0x2000), &entry, 8);
    for (u64 page = 0; page < 512; page++) {
        entry = page << PAGE_SHIFT < HOLE ? page << PAGE_SHIFT | 3 : 0;
        memcpy(ram(TABLES + 0x3000 + 8 * page), &entry, 8);
    }
}

/* Flat segments, no interrupts, RSP at STACK, everything else 0. */
static inline void enter(enum code_mode mode)
{
    struct cpu *c = &v->cpu;
    vm_reset(vm);
    physmem_zero(&vm->memory, gpa(0), PHYS_VGA_BEGIN);
    memset(c->gpr, 0, sizeof c->gpr);
    c->gpr[RSP] = STACK;
    c->cr0 = mode == CODE_16 ? CR0_ET : CR0_PE | CR0_ET;
    if (mode == CODE_64) {
        map_pages();
        c->cr0 |= CR0_PG;
        c->cr3 = TABLES;
        c->cr4 = CR4_PAE;
        c->efer = EFER_LME | EFER_LMA;
    }
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        u16 attributes = SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | (n == SEG_CS ? SEG_CODE : 0);
        if (mode != CODE_16)
            attributes |= SEG_G | (n == SEG_CS && mode == CODE_64 ? SEG_L : SEG_DB);
        c->seg[n] = (struct segment){.attributes = attributes, .limit = mode == CODE_16 ? 0xffff : 0xffffffff};
    }
    if (mode == CODE_16)
        c->gpr[RSP] = 0x8000;
    cpu_set_rflags_raw(c, FLAG_FIXED);
    c->cpl = 0;
    tlb_flush(v);
    vcpu_update_mode(v);
    c->rip = CODE;
}

static inline void load(const u8 *bytes, size_t count)
{
    memcpy(ram(CODE), bytes, count);
    physmem_frame(&vm->memory, gpa(CODE))->code_generation++; /* the bytes changed behind the guest's back */
    v->cpu.rip = CODE;
}

/* Writes memory as a device does: decoded code and translations follow. */
static inline void put_bytes(u64 at, const u8 *bytes, unsigned count) { phys_write(vm, gpa(at), bytes, count); }
#define PUT(at, ...) put_bytes(at, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* Executes one instruction without delivering its fault. */
static inline enum exec step(void)
{
    struct insn insn;
    if (!interp_fetch(v, &insn))
        return EXEC_FAULT;
    enum exec result = insn.handler(v, &insn);
    if (result == EXEC_NEXT)
        v->cpu.rip = (v->cpu.rip + insn.length) & v->rip_mask;
    if (result == EXEC_NEXT || result == EXEC_JUMP)
        v->cpu.icount++;
    return result;
}

/* Loads the instruction at CODE and executes it. */
#define DO(...)                                                   \
    (load((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__})), v->stop_at = UINT64_MAX, step())
#define OK(...) assert_int_equal(DO(__VA_ARGS__), EXEC_NEXT)

static inline void set(enum gpr reg, u64 value) { v->cpu.gpr[reg] = value; }
#define assert_reg(reg, value) assert_int_equal(v->cpu.gpr[reg], value)
#define assert_flags(mask, value) assert_int_equal(v->cpu.aflags & (mask), value)

static inline void assert_fault(enum exec result, enum vector vector)
{
    assert_int_equal(result, EXEC_FAULT);
    assert_int_equal(v->fault.vector, vector);
    assert_int_equal(v->cpu.rip, CODE);
}

static inline u64 load64(u64 at) { u64 x; memcpy(&x, ram(at), 8); return x; }
static inline void store64(u64 at, u64 x) { memcpy(ram(at), &x, 8); }

#endif
