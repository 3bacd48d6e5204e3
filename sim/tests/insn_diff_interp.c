/* The engine under test, in the machines that the references are: Unicorn at CPL 0 (real-address mode in 16-bit code),
 * the host at CPL 3 with Linux' selectors (16-bit code in a segment of the LDT). 32-bit code, and the host's 16-bit
 * code, run in compatibility mode, so that one set of page tables serves: code and window are mapped, all else
 * faults. */
#include "sim/tests/insn_diff.h"

#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/fpu.h"
#include "sbe/fpu_thunk.h"
#include "sbe/interp.h"

#include <stdio.h>
#include <string.h>

enum { TABLES = 0x40000, PAGE_USER = 5, PAGE_USER_WRITE = 7, STEPS_MAX = 1000 };

static struct vm *vm;
static struct cpu templates[REF_COUNT][CODE_64 + 1];
static int current = -1;

static u8 *ram(u64 at) { return physmem_pointer(&vm->memory, gpa(at)); }

static void map_pages(void)
{
    for (u64 level = 0; level < 3; level++) {
        u64 entry = (TABLES + (level + 1) * PAGE_SIZE) | PAGE_USER_WRITE;
        memcpy(ram(TABLES + level * PAGE_SIZE), &entry, 8);
    }
    for (u64 page = 0; page < 512; page++) {
        u64 at = page << PAGE_SHIFT, entry = 0;
        if (at - CODE_BASE < CODE_BYTES)
            entry = at | PAGE_USER;
        if (at - WINDOW_BASE < WINDOW_BYTES)
            entry = at | PAGE_USER_WRITE;
        memcpy(ram(TABLES + 3 * PAGE_SIZE + 8 * page), &entry, 8);
    }
}

/* Linux: __USER_CS, __USER32_CS, __USER_DS; the first two entries of the LDT (insn_diff_host.c). */
static u16 host_selector(enum code_mode mode, unsigned seg)
{
    static const u16 code[] = {0x07, 0x23, 0x33}, data[] = {0x0f, 0x2b, 0x2b};
    return seg == SEG_CS ? code[mode] : seg == SEG_FS ? 0 : data[mode];
}

static void make_segments(struct cpu *c, enum code_mode mode, enum reference ref)
{
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        u16 attributes = SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | (n == SEG_CS ? SEG_CODE : 0);
        u64 base = mode != CODE_16 ? 0 : n == SEG_CS ? CODE_BASE : WINDOW_BASE;
        if (ref == REF_HOST)
            attributes |= SEG_DPL;
        if (mode != CODE_16)
            attributes |= SEG_G | (n == SEG_CS && mode == CODE_64 ? SEG_L : SEG_DB);
        c->seg[n] = (struct segment){.selector = ref == REF_HOST ? host_selector(mode, n) : (u16)(base >> 4),
            .attributes = attributes, .limit = mode == CODE_16 ? 0xffff : 0xffffffff, .base = base};
    }
}

static void make_template(struct cpu *c, enum code_mode mode, enum reference ref)
{
    vm_reset(vm);
    *c = vm->vcpu[0]->cpu;
    make_segments(c, mode, ref);
    c->cr0 = CR0_ET | CR0_MP | CR0_NE;
    c->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    c->cpl = ref == REF_HOST ? 3 : 0;
    c->tr = (struct segment){.attributes = SEG_P | 11, .limit = 0x50}; /* no I/O permission map */
    if (mode == CODE_16 && ref == REF_UNICORN)
        return;
    c->cr0 |= CR0_PE | CR0_PG | CR0_WP;
    c->cr4 |= CR4_PAE;
    c->cr3 = TABLES;
    c->efer = EFER_LME | EFER_LMA | EFER_SCE;
}

bool interp_open(void)
{
    const struct vm_config config = {
        .ram_bytes = 2 << 20, .model = cpu_model_find("max"), .engine = &engine_interp};
    if (vm_create(&vm, &config) != STATUS_OK)
        return false;
    map_pages();
    memcpy(ram(WINDOW_BASE), window_pattern, WINDOW_BYTES);
    for (unsigned ref = 0; ref < REF_COUNT; ref++)
        for (enum code_mode mode = CODE_16; mode <= CODE_64; mode++)
            make_template(&templates[ref][mode], mode, (enum reference)ref);
    return true;
}

void interp_close(void) { vm_destroy(vm); }

static void load_state(struct cpu *to, const struct diff_state *from)
{
    memcpy(to->gpr, from->gpr, sizeof(to->gpr));
    to->rip = from->rip;
    cpu_set_rflags_raw(to, from->rflags);
    memcpy(to->fpu.fxsave, from->fxsave, FXSAVE_IMAGE);
    to->fpu.fip = image_get_64(from->fxsave, FXSAVE_FIP);
    to->fpu.fdp = image_get_64(from->fxsave, FXSAVE_FDP);
    to->fpu.fop = image_get_16(from->fxsave, FXSAVE_FOP);
}

static void store_state(struct diff_state *to, const struct cpu *from)
{
    memcpy(to->gpr, from->gpr, sizeof(to->gpr));
    to->rip = from->rip;
    to->rflags = cpu_rflags(from);
    memcpy(to->fxsave, from->fpu.fxsave, FXSAVE_IMAGE);
    image_set_64(to->fxsave, FXSAVE_FIP, from->fpu.fip);
    image_set_64(to->fxsave, FXSAVE_FDP, from->fpu.fdp);
    image_set_16(to->fxsave, FXSAVE_FOP, from->fpu.fop);
}

static void enter(const struct diff_case *c, enum reference ref)
{
    struct vcpu *v = vm->vcpu[0];
    int wanted = (int)ref * (CODE_64 + 1) + c->mode;
    fpu_park(v);
    v->cpu = templates[ref][c->mode];
    load_state(&v->cpu, &c->in);
    vcpu_update_mode(v);
    if (wanted != current)
        tlb_flush(v);
    current = wanted;
    v->stop_at = UINT64_MAX;
    v->fault = (struct event){0};
    u64 at = c->in.rip + (c->mode == CODE_16 ? CODE_BASE : 0);
    memcpy(ram(at), c->bytes, c->length);
    physmem_frame(&vm->memory, gpa(at))->code_generation++; /* the bytes changed behind the guest's back */
}

/* One instruction, all iterations of it; its fault is not delivered. */
static enum exec step(struct vcpu *v)
{
    struct insn insn;
    if (!interp_fetch(v, &insn))
        return EXEC_FAULT;
    enum exec result = EXEC_REPEAT;
    for (unsigned n = 0; n < STEPS_MAX && result == EXEC_REPEAT; n++)
        result = insn.handler(v, &insn);
    if (result == EXEC_NEXT)
        v->cpu.rip = (v->cpu.rip + insn.length) & v->rip_mask;
    return result;
}

void interp_execute(const struct diff_case *c, enum reference ref, struct outcome *o)
{
    struct vcpu *v = vm->vcpu[0];
    enter(c, ref);
    window_prepare(ram(WINDOW_BASE), c);
    enum exec result = step(v);
    fpu_park(v);
    o->vector = OUTCOME_NONE;
    o->has_error = o->has_cr2 = false;
    if (result == EXEC_FAULT) {
        o->vector = v->fault.vector;
        o->has_error = v->fault.has_error;
        o->error = v->fault.error;
        o->has_cr2 = v->fault.vector == VEC_PF;
        o->cr2 = v->fault.cr2;
    } else if (result == EXEC_REPEAT) {
        o->vector = OUTCOME_NOT_RUN;
    }
    store_state(&o->out, &v->cpu);
    window_collect(ram(WINDOW_BASE), c, o);
}
