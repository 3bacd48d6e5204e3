#include "fuzz/guest_image.h"

#include "core/segment.h"
#include "devices/chipset.h"

#include <string.h>

/* Selectors of the GDT, in steps of 8. */
enum {
    CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, CODE0_16 = 0x28, DATA0_16 = 0x30, CODE3_16 = 0x3b,
    CONFORMING = 0x40, DOWN = 0x48, TSS = 0x50, TSS_HIGH = 0x58, TSS_OTHER = 0x60, TSS_16 = 0x68, LDT = 0x70,
    LDT_HIGH = 0x78, CALL_GATE = 0x83, CALL_GATE_HIGH = 0x88, TASK_GATE = 0x93, CODE0_64 = 0x98, CODE3_64 = 0xa3,
    GDT_LIMIT = 0xff,
};
enum { FLAT = SEG_G | SEG_DB | SEG_P | SEG_S, PAGE_FLAGS = 7, SUPERVISOR = 3, LARGE = 0x80, VECTORS = 256 };
enum { STUB_PLAIN = GUEST_STUBS, STUB_ERROR = GUEST_STUBS + 0x40, STUB_INTERRUPT = GUEST_STUBS + 0x80 };
/* Vectors with an error code: #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define WITH_ERROR (1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17)
enum { FIRST_IRQ = 0x20, LAST_IRQ = 0x31, APIC_TIMER_VECTOR = 0x30 };

static void load(struct vm *vm, u64 at, const void *from, u64 bytes)
{
    physmem_load(&vm->memory, gpa(at), from, bytes);
}

static void put(struct vm *vm, u64 at, u64 value, unsigned size) { load(vm, at, &value, size); }
/* For reading; nothing that is read crosses a page. */
static const u8 *place(struct vm *vm, u64 at) { return physmem_pointer(&vm->memory, gpa(at)); }

static u64 segment(u32 limit, u32 attributes)
{
    return (limit & 0xffff) | (u64)attributes << 40 | (u64)(limit & 0xf0000) << 32;
}
static u64 system_segment(u32 base, u32 limit, u32 type, u32 dpl)
{
    return segment(limit, SEG_P | dpl << SEG_DPL_SHIFT | type) | (u64)base << 16;
}
static u64 gate(u16 selector, u32 offset, u32 type, u32 dpl)
{
    return (offset & 0xffff) | (u64)selector << 16 | (u64)(SEG_P | dpl << SEG_DPL_SHIFT | type) << 40;
}
static void gdt_set(struct vm *vm, u16 selector, u64 raw) { put(vm, GUEST_GDT + (selector & ~7u), raw, 8); }

static void build_gdt(struct vm *vm, bool wide)
{
    const u32 dpl3 = SEG_DPL;
    gdt_set(vm, CODE0, segment(0xfffff, FLAT | 0xa));
    gdt_set(vm, DATA0, segment(0xfffff, FLAT | 0x2));
    gdt_set(vm, CODE3, segment(0xfffff, FLAT | dpl3 | 0xa));
    gdt_set(vm, DATA3, segment(0xfffff, FLAT | dpl3 | 0x2));
    gdt_set(vm, CODE0_16, segment(0xffff, SEG_P | SEG_S | 0xa));
    gdt_set(vm, DATA0_16, segment(0xffff, SEG_P | SEG_S | 0x2));
    gdt_set(vm, CODE3_16, segment(0xffff, SEG_P | SEG_S | dpl3 | 0xa));
    gdt_set(vm, CONFORMING, segment(0xfffff, FLAT | 0xe));
    gdt_set(vm, DOWN, segment(0xf, FLAT | 0x6));
    gdt_set(vm, TSS, system_segment(GUEST_TSS, 0xfff, SYS_TSS32, 0));
    gdt_set(vm, LDT, system_segment(GUEST_LDT, 0x1f, SYS_LDT, 0));
    gdt_set(vm, CALL_GATE, gate(wide ? CODE0_64 : CODE0, GUEST_CODE + 0x100, SYS_CALL_GATE32, 3));
    gdt_set(vm, CODE0_64, segment(0, SEG_G | SEG_L | SEG_P | SEG_S | 0xa));
    gdt_set(vm, CODE3_64, segment(0, SEG_G | SEG_L | SEG_P | SEG_S | dpl3 | 0xa));
    if (wide)
        return; /* the other slots are upper halves of 16-byte descriptors */
    gdt_set(vm, TSS_OTHER, system_segment(GUEST_TSS_OTHER, 0x67, SYS_TSS32, 3));
    gdt_set(vm, TSS_16, system_segment(GUEST_TSS_16, 0x2b, SYS_TSS16, 3));
    gdt_set(vm, TASK_GATE, gate(TSS_OTHER, 0, SYS_TASK_GATE, 3));
    put(vm, GUEST_LDT + 8, segment(0xfffff, FLAT | dpl3 | 0x2), 8);
}

static void build_tasks(struct vm *vm, bool wide)
{
    if (wide) {
        for (unsigned n = 0; n < 3; n++)
            put(vm, GUEST_TSS + 4 + n * 8, GUEST_KERNEL_STACK, 8);
        for (unsigned n = 0; n < 7; n++)
            put(vm, GUEST_TSS + 0x24 + n * 8, GUEST_KERNEL_STACK - 0x400, 8);
    } else {
        put(vm, GUEST_TSS + 4, GUEST_KERNEL_STACK, 4);
        put(vm, GUEST_TSS + 8, DATA0, 2);
    }
    put(vm, GUEST_TSS + 0x66, 0x88, 2); /* the I/O map, after the redirection map; both all zeros: all allowed */
    put(vm, GUEST_TSS_OTHER + 0x1c, GUEST_TABLES, 4);
    put(vm, GUEST_TSS_OTHER + 0x20, GUEST_CODE + 0x200, 4);
    put(vm, GUEST_TSS_OTHER + 0x24, FLAG_FIXED, 4);
    put(vm, GUEST_TSS_OTHER + 0x38, GUEST_KERNEL_STACK - 0x600, 4);
    put(vm, GUEST_TSS_16 + 0x0e, GUEST_CODE + 0x300, 2);
    put(vm, GUEST_TSS_16 + 0x10, FLAG_FIXED, 2);
    put(vm, GUEST_TSS_16 + 0x1a, GUEST_KERNEL_STACK - 0x600, 2);
    static const u16 selectors[] = {DATA0, CODE0, DATA0, DATA0};
    for (unsigned n = 0; n < ARRAY_LEN(selectors); n++) {
        put(vm, GUEST_TSS_OTHER + 0x48 + n * 4, selectors[n], 2);
        put(vm, GUEST_TSS_16 + 0x22 + n * 2, selectors[n], 2);
    }
}

/* Handlers that go on one byte further, so that a guest survives its faults; interrupts are acknowledged. */
static void build_stubs(struct vm *vm, unsigned size)
{
    static const u8 plain16[] = {0x55, 0x89, 0xe5, 0xff, 0x46, 0x02, 0x5d, 0xcf};
    static const u8 plain32[] = {0xff, 0x04, 0x24, 0xcf}, error32[] = {0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf};
    static const u8 plain64[] = {0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    static const u8 error64[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xff, 0x04, 0x24, 0x48, 0xcf};
    static const u8 interrupt16[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf};
    static const u8 interrupt64[] = {0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0x48, 0xcf};
    if (size == 2) {
        load(vm, STUB_PLAIN, plain16, sizeof plain16);
        load(vm, STUB_INTERRUPT, interrupt16, sizeof interrupt16);
    } else if (size == 4) {
        load(vm, STUB_PLAIN, plain32, sizeof plain32);
        load(vm, STUB_ERROR, error32, sizeof error32);
        load(vm, STUB_INTERRUPT, interrupt16, sizeof interrupt16);
    } else {
        load(vm, STUB_PLAIN, plain64, sizeof plain64);
        load(vm, STUB_ERROR, error64, sizeof error64);
        load(vm, STUB_INTERRUPT, interrupt64, sizeof interrupt64);
    }
}

static u32 handler_of(unsigned vector, unsigned size)
{
    if (vector >= FIRST_IRQ && vector <= LAST_IRQ)
        return STUB_INTERRUPT;
    return size > 2 && vector < 32 && (WITH_ERROR >> vector & 1) ? STUB_ERROR : STUB_PLAIN;
}

/* Faults that a bad stack causes get one of their own in long mode. */
static u64 ist_of(unsigned vector) { return vector == VEC_DF || vector == VEC_SS || vector == VEC_GP ? 1 : 0; }

void guest_image_set_handler(struct vm *vm, enum guest_mode mode, unsigned vector, u32 offset)
{
    if (mode == GUEST_REAL) {
        put(vm, GUEST_IVT + vector * 4, offset, 4);
        return;
    }
    bool wide = vm->vcpu[0]->cpu.efer & EFER_LMA;
    u64 at = GUEST_IDT + vector * (wide ? 16 : 8), raw;
    memcpy(&raw, place(vm, at), sizeof raw);
    put(vm, at, (raw & ~0xffffull) | offset, 8);
}

static void build_vectors(struct vm *vm, unsigned size)
{
    for (unsigned n = 0; n < VECTORS; n++) {
        u32 handler = handler_of(n, size), dpl = n == 3 || n >= 0x80 ? 3 : 0;
        u32 type = n & 1 ? SYS_TRAP_GATE32 : SYS_INTERRUPT_GATE32;
        if (size == 2)
            put(vm, GUEST_IVT + n * 4, handler, 4);
        else if (size == 4)
            put(vm, GUEST_IDT + n * 8, gate(CODE0, handler, type, dpl), 8);
        else if (n < VECTORS / 2) /* the table ends where the stubs begin */
            put(vm, GUEST_IDT + n * 16, gate(CODE0_64, handler, type, n == 0x40 ? 3 : dpl) | ist_of(n) << 32, 8);
    }
}

/* Maps 2 MiB one to one, and the pages of the APICs and the HPET for everybody. What the kernel of a user program
 * needs, and everything if there is none, belongs to the supervisor, so that SMEP and SMAP let it live. */
static void build_tables(struct vm *vm, enum guest_mode mode, bool user)
{
    const u64 devices = 0xfec00000;
    unsigned bytes = mode == GUEST_PAGED_32 ? 4 : 8;
    u64 pages = GUEST_TABLES + 0x4000, directory = GUEST_TABLES;
    for (u64 n = 0; n < 512; n++) {
        u64 flags = user && n >= GUEST_USER_PAGES ? PAGE_FLAGS : SUPERVISOR;
        put(vm, pages + n * bytes, n * PAGE_SIZE | flags, bytes);
    }
    if (mode == GUEST_PAGED_32) {
        put(vm, directory, pages | PAGE_FLAGS, 4);
        put(vm, directory + (devices >> 22) * 4, (devices & ~0x3fffffull) | PAGE_FLAGS | LARGE, 4);
        return;
    }
    u64 pointers = mode == GUEST_PAGED_PAE ? GUEST_TABLES : GUEST_TABLES + 0x1000;
    u64 flags = mode == GUEST_PAGED_PAE ? 1 : PAGE_FLAGS;
    put(vm, GUEST_TABLES, pointers | flags, 8); /* 4-level: PML4; PAE: overwritten next */
    put(vm, pointers, (GUEST_TABLES + 0x2000) | flags, 8);
    put(vm, pointers + 24, (GUEST_TABLES + 0x3000) | flags, 8);
    put(vm, GUEST_TABLES + 0x2000, pages | PAGE_FLAGS, 8);
    for (u64 at = devices; at < devices + 0x400000; at += 0x200000)
        put(vm, GUEST_TABLES + 0x3000 + (at >> 21 & 511) * 8, at | PAGE_FLAGS | LARGE, 8);
}

static enum guest_mode mode_for(const struct cpu_model *model, enum guest_mode mode)
{
    if (mode >= GUEST_LONG && mode <= GUEST_COMPATIBILITY && !model_has(model, FEAT_LM))
        return GUEST_PAGED_32;
    return mode == GUEST_PAGED_PAE && !model_has(model, FEAT_PAE) ? GUEST_PAGED_32 : mode;
}

static u64 descriptor(struct vm *vm, u16 selector)
{
    u64 raw;
    memcpy(&raw, place(vm, GUEST_GDT + (selector & ~7u)), 8);
    return raw;
}

static void set_segments(struct vm *vm, u16 code, u16 data)
{
    struct cpu *c = &vm->vcpu[0]->cpu;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        c->seg[n] = descriptor_segment(data, descriptor(vm, data));
    c->seg[SEG_CS] = descriptor_segment(code, descriptor(vm, code));
    c->cpl = code & 3;
}

static void enter_real(struct vm *vm, bool v86)
{
    struct vcpu *v = vm->vcpu[0];
    if (v86) {
        v->cpu.rflags |= FLAG_VM;
        v->cpu.cpl = 3;
    }
    for (unsigned n = 0; n < SEG_COUNT; n++)
        segment_load_real(v, (enum seg)n, 0);
}

static void enter_protected(struct vm *vm, enum guest_mode mode, bool user)
{
    switch (mode) {
    case GUEST_PROTECTED_16: set_segments(vm, user ? CODE3_16 : CODE0_16, user ? DATA3 : DATA0_16); break;
    case GUEST_LONG: set_segments(vm, user ? CODE3_64 : CODE0_64, user ? DATA3 : DATA0); break;
    default: set_segments(vm, user ? CODE3 : CODE0, user ? DATA3 : DATA0); break;
    }
}

static void set_control(struct vm *vm, enum guest_mode mode, unsigned options)
{
    struct cpu *c = &vm->vcpu[0]->cpu;
    u64 cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_DE | CR4_PSE | CR4_PGE;
    c->cr0 = CR0_ET | CR0_NE | CR0_MP | (options & GUEST_NO_FPU ? CR0_TS : 0);
    if (mode != GUEST_REAL)
        c->cr0 |= CR0_PE;
    if (options & GUEST_WP)
        c->cr0 |= CR0_WP | CR0_AM, cr4 |= CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_OSXSAVE;
    if (options & GUEST_VME)
        cr4 |= CR4_VME | CR4_PVI;
    if (mode >= GUEST_PAGED_32 && mode <= GUEST_COMPATIBILITY) {
        c->cr0 |= CR0_PG;
        c->cr3 = GUEST_TABLES;
        for (unsigned n = 0; mode == GUEST_PAGED_PAE && n < 4; n++)
            memcpy(&c->pdpte[n], place(vm, GUEST_TABLES + n * 8), 8);
        cr4 |= mode > GUEST_PAGED_32 ? CR4_PAE : 0;
    }
    if (mode == GUEST_LONG || mode == GUEST_COMPATIBILITY)
        c->efer = EFER_LME | EFER_LMA | EFER_SCE | EFER_NXE;
    c->cr4 = cr4 & cpu_model_cr4_mask(vm->config.model);
    c->efer &= cpu_model_efer_mask(vm->config.model) | EFER_LMA;
}

static void set_registers(struct vm *vm, enum guest_mode mode, unsigned options)
{
    struct cpu *c = &vm->vcpu[0]->cpu;
    bool wide = c->efer & EFER_LMA;
    unsigned gprs = wide ? GPR_COUNT : 8;
    for (unsigned n = 0; n < gprs; n++)
        c->gpr[n] = GUEST_DATA + n * 0x400;
    c->gpr[RSP] = GUEST_STACK;
    c->rip = GUEST_CODE;
    c->gdtr = (struct table_register){GUEST_GDT, GDT_LIMIT};
    c->idtr = (struct table_register){mode == GUEST_REAL ? GUEST_IVT : GUEST_IDT, mode == GUEST_REAL ? 0x3ff : 0x7ff};
    if (wide)
        c->idtr.limit = 0xfff - 0x800;
    c->tr = descriptor_segment(TSS, descriptor(vm, TSS) | (u64)SYS_TSS_BUSY << 40);
    c->ldtr = descriptor_segment(LDT, descriptor(vm, LDT));
    if (options & GUEST_INTERRUPTS)
        c->rflags |= FLAG_IF;
    if (options & GUEST_TF)
        c->rflags |= FLAG_TF;
    if (mode == GUEST_V86 && !(options & GUEST_VME))
        c->rflags |= FLAG_IOPL;
    if (options & GUEST_BREAKPOINTS) {
        c->dr[0] = GUEST_DATA;
        c->dr[1] = GUEST_STACK - 8;
        c->dr[2] = GUEST_CODE + 8;
        c->dr[7] = DR7_FIXED | 0x15 | 0x3u << 16 | 0x3u << 18 | 0xdu << 20;
    }
}

static void start_timers(struct vm *vm, unsigned options)
{
    static const u8 pic[][2] = {{0x20, 0x11}, {0x21, FIRST_IRQ}, {0x21, 4}, {0x21, 1}, {0x21, 0},
                                {0x43, 0x34}, {0x40, 40}, {0x40, 0}};
    if (options & GUEST_INTERRUPTS)
        for (unsigned n = 0; n < ARRAY_LEN(pic); n++)
            chipset_io_write(vm, pic[n][0], pic[n][1], 1);
    if (options & GUEST_APIC_TIMER) {
        chipset_mmio_write(vm, gpa(0xfee00320), 0x20000 | APIC_TIMER_VECTOR, 4);
        chipset_mmio_write(vm, gpa(0xfee003e0), 0xb, 4);
        chipset_mmio_write(vm, gpa(0xfee00380), 701, 4);
    }
}

void guest_image_build(struct vm *vm, enum guest_mode mode, unsigned options)
{
    struct vcpu *v = vm->vcpu[0];
    mode = mode_for(vm->config.model, mode);
    bool wide = mode == GUEST_LONG || mode == GUEST_COMPATIBILITY;
    unsigned size = wide ? 8 : mode == GUEST_REAL ? 2 : 4;
    build_gdt(vm, wide);
    build_tasks(vm, wide);
    build_stubs(vm, size);
    build_vectors(vm, size);
    if (mode >= GUEST_PAGED_32 && mode <= GUEST_COMPATIBILITY)
        build_tables(vm, mode, options & GUEST_USER);
    set_control(vm, mode, options);
    set_registers(vm, mode, options);
    if (mode == GUEST_REAL || mode == GUEST_V86)
        enter_real(vm, mode == GUEST_V86);
    else
        enter_protected(vm, mode, options & GUEST_USER);
    tlb_flush(v);
    vcpu_update_mode(v);
    start_timers(vm, options);
}

/* ---- Inputs of fuzzers -------------------------------------------------------------------------- */

enum { PATCH_HEADER = 3 };

const struct cpu_model *guest_input_model(const u8 *data) { return &cpu_models[(data[0] >> 3 & 7) % cpu_model_count]; }

u64 guest_input_limit(const u8 *data)
{
    static const u16 limits[] = {512, 2048, 8192, 20000};
    return limits[data[0] >> 6];
}

u32 guest_input_seed(const u8 *data) { return (data[2] | (u32)data[3] << 8) + 1; }

void guest_input_load(struct vm *vm, const u8 *data, size_t size)
{
    guest_image_build(vm, (enum guest_mode)(data[0] & 7), data[1]);
    size_t code = data[4] | (size_t)data[5] << 8, left = size - GUEST_INPUT_HEADER;
    code = code < left ? code : left;
    physmem_load(&vm->memory, gpa(GUEST_CODE), data + GUEST_INPUT_HEADER, code);
    const u8 *at = data + GUEST_INPUT_HEADER + code, *end = data + size;
    while (end - at > PATCH_HEADER) {
        u64 to = (u64)(at[0] | at[1] << 8) * GUEST_PATCH_UNIT;
        size_t bytes = at[2], room = (size_t)(end - at) - PATCH_HEADER;
        bytes = bytes < room ? bytes : room;
        physmem_load(&vm->memory, gpa(to), at + PATCH_HEADER, bytes);
        at += PATCH_HEADER + bytes;
    }
}
