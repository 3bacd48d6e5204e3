/* For unit tests: a processor with RAM and descriptor tables, without a board. Each mode_*() puts it into a mode with flat
 * segments at CPL 0; the tables lie at fixed places so that tests can name them. */
#ifndef REPRISE_CORE_TEST_MACHINE_H
#define REPRISE_CORE_TEST_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/exception.h"
#include "core/far.h"
#include "core/segment.h"
#include "core/task.h"
#include "core/vm.h"

enum {
    GDT = 0x1000,
    IDT = 0x2000,
    TSS_A = 0x3000,
    TSS_B = 0x3400,
    LDT = 0x3800,
    PML4 = 0x10000,
    KERNEL_STACK = 0x8000,
    USER_STACK = 0x9000,
    IST_STACK = 0xa000,
    MACHINE_RAM = 2 << 20,
};

/* Selectors of the GDT that machine_new() fills. */
enum {
    CODE0 = 0x08,
    DATA0 = 0x10,
    CODE3 = 0x1b,
    DATA3 = 0x23,
    TSS_A_SEL = 0x28,
    TSS_B_SEL = 0x30,
    LDT_SEL = 0x38,
    CODE0_64 = 0x40,
    CODE3_64 = 0x4b,
    STACK16 = 0x50,  /* data, ring 0, SS.B clear, limit 0xffff */
    DOWN32 = 0x58,   /* data, ring 0, expand-down above 0xffff */
    GATE_SEL = 0x60, /* two free slots */
    CONFORMING = 0x70,
    EXECUTE_ONLY = 0x78,
    READ_ONLY = 0x80,
    ABSENT_DATA = 0x88,
    ABSENT_CODE = 0x90,
    CODE16 = 0x98,
    GDT_LIMIT = 0x9f,
};

struct machine {
    struct vm vm;
    struct vcpu v;
};

static inline void put(struct machine *m, u64 at, u64 value, unsigned size) { memcpy(m->vm.memory.ram + at, &value, size); }
static inline u64 get(struct machine *m, u64 at, unsigned size)
{
    u64 value = 0;
    memcpy(&value, m->vm.memory.ram + at, size);
    return value;
}

/* Descriptor of base, limit (unscaled), and the attribute word of core/cpu.h. */
static inline u64 make_descriptor(u32 base, u32 limit, u16 attributes)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)attributes << 40 | (u64)(limit & 0xf0000) << 32 |
           (u64)(base >> 24) << 56;
}
static inline u64 make_gate(u16 selector, u32 offset, unsigned type, unsigned dpl, unsigned parameters)
{
    return (offset & 0xffff) | (u64)selector << 16 | (u64)parameters << 32 | (u64)(0x80 | dpl << 5 | type) << 40 |
           (u64)(offset >> 16) << 48;
}
static inline void gdt_set(struct machine *m, u16 selector, u64 raw) { put(m, GDT + (selector & ~7), raw, 8); }
static inline u64 gdt_get(struct machine *m, u16 selector) { return get(m, GDT + (selector & ~7), 8); }
static inline void idt_set(struct machine *m, u8 vector, u64 raw) { put(m, IDT + vector * 8, raw, 8); }
static inline void idt_set_long(struct machine *m, u8 vector, u64 raw, u64 high)
{
    put(m, IDT + vector * 16, raw, 8);
    put(m, IDT + vector * 16 + 8, high, 8);
}

static inline void machine_tables(struct machine *m)
{
    const u16 flat = SEG_G | SEG_DB | SEG_P | SEG_S;
    gdt_set(m, CODE0, make_descriptor(0, 0xfffff, flat | 0xa));
    gdt_set(m, DATA0, make_descriptor(0, 0xfffff, flat | 0x2));
    gdt_set(m, CODE3, make_descriptor(0, 0xfffff, flat | SEG_DPL | 0xa));
    gdt_set(m, DATA3, make_descriptor(0, 0xfffff, flat | SEG_DPL | 0x2));
    gdt_set(m, TSS_A_SEL, make_descriptor(TSS_A, 0x1ff, SEG_P | SYS_TSS32_BUSY));
    gdt_set(m, TSS_B_SEL, make_descriptor(TSS_B, 0x67, SEG_P | SYS_TSS32));
    gdt_set(m, LDT_SEL, make_descriptor(LDT, 0x1f, SEG_P | SYS_LDT));
    gdt_set(m, CODE0_64, make_descriptor(0, 0, SEG_G | SEG_L | SEG_P | SEG_S | 0xa));
    gdt_set(m, CODE3_64, make_descriptor(0, 0, SEG_G | SEG_L | SEG_P | SEG_S | SEG_DPL | 0xa));
    gdt_set(m, STACK16, make_descriptor(0, 0xffff, SEG_P | SEG_S | 0x2));
    gdt_set(m, DOWN32, make_descriptor(0, 0xf, flat | 0x6));
    gdt_set(m, CONFORMING, make_descriptor(0, 0xfffff, flat | 0xe));
    gdt_set(m, EXECUTE_ONLY, make_descriptor(0, 0xfffff, flat | 0x8));
    gdt_set(m, READ_ONLY, make_descriptor(0, 0xfffff, flat | 0x0));
    gdt_set(m, ABSENT_DATA, make_descriptor(0, 0xfffff, (flat & ~SEG_P) | 0x2));
    gdt_set(m, ABSENT_CODE, make_descriptor(0, 0xfffff, (flat & ~SEG_P) | 0xa));
    gdt_set(m, CODE16, make_descriptor(0, 0xffff, SEG_P | SEG_S | 0xa));
}

/* RAM is backed lazily: a machine may have more of it than the host. */
static inline struct machine *machine_with_ram(u64 bytes)
{
    struct machine *m = calloc(1, sizeof *m);
    assert_non_null(m);
    assert_int_equal(physmem_create(&m->vm.memory, bytes, PHYSMEM_DENSE), STATUS_OK);
    m->vm.vcpu[0] = &m->v;
    m->vm.vcpu_count = 1;
    m->v.vm = &m->vm;
    m->vm.config.model = cpu_model_find(CPU_MODEL_DEFAULT);
    m->vm.config.engine = &engine_interp;
    m->v.tlb.epoch = m->v.tlb.write_epoch = 1;
    machine_tables(m);
    struct cpu *c = &m->v.cpu;
    c->rflags = FLAG_FIXED;
    c->dr[6] = DR6_FIXED;
    c->dr[7] = DR7_FIXED;
    c->gdtr = (struct table_register){.base = GDT, .limit = GDT_LIMIT};
    c->idtr = (struct table_register){.base = IDT, .limit = 0xfff};
    c->ldtr = segment_null(0);
    c->tr = descriptor_segment(TSS_A_SEL, gdt_get(m, TSS_A_SEL));
    c->gpr[RSP] = KERNEL_STACK;
    return m;
}

static inline struct machine *machine_new(void) { return machine_with_ram(MACHINE_RAM); }

static inline void machine_free(struct machine *m)
{
    physmem_destroy(&m->vm.memory);
    free(m);
}

static inline void mode_real(struct machine *m)
{
    const struct segment data = {.attributes = SEG_P | SEG_S | 3, .limit = 0xffff};
    for (unsigned k = 0; k < SEG_COUNT; k++)
        m->v.cpu.seg[k] = data;
    m->v.cpu.idtr = (struct table_register){.limit = 0x3ff};
    vcpu_update_mode(&m->v);
}

/* Loads CS for `code` and all data segments with `data`, and the CPL that they imply. */
static inline void enter_segments(struct machine *m, u16 code, u16 data)
{
    struct cpu *c = &m->v.cpu;
    for (unsigned k = 0; k < SEG_COUNT; k++)
        c->seg[k] = descriptor_segment(data, gdt_get(m, data));
    c->seg[SEG_CS] = descriptor_segment(code, gdt_get(m, code));
    c->cpl = code & 3;
    vcpu_update_mode(&m->v);
}

static inline void mode_protected(struct machine *m)
{
    m->v.cpu.cr0 |= CR0_PE;
    put(m, TSS_A + 4, KERNEL_STACK, 4);
    put(m, TSS_A + 8, DATA0, 2);
    enter_segments(m, CODE0, DATA0);
}

/* Identity-maps RAM with one 2 MiB page, for user and supervisor. */
static inline void mode_long(struct machine *m)
{
    struct cpu *c = &m->v.cpu;
    put(m, PML4, (PML4 + 0x1000) | 7, 8);
    put(m, PML4 + 0x1000, (PML4 + 0x2000) | 7, 8);
    put(m, PML4 + 0x2000, 0x87, 8);
    c->cr3 = PML4;
    c->cr4 |= CR4_PAE;
    c->efer |= EFER_LME | EFER_LMA;
    c->cr0 |= CR0_PE | CR0_PG;
    put(m, TSS_A + 4, KERNEL_STACK, 8);
    put(m, TSS_A + 0x24, IST_STACK, 8);
    enter_segments(m, CODE0_64, DATA0);
}

/* The fault that the last call recorded. */
static inline void assert_fault(struct machine *m, enum vector vector, u32 error)
{
    assert_int_equal(m->v.fault.vector, vector);
    assert_true(m->v.fault.has_error);
    assert_int_equal(m->v.fault.error, error);
}

#endif
