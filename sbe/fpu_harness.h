/* For tests of native execution: a flat processor with a little RAM and no board, and instructions given as bytes. */
#ifndef REPRISE_SBE_FPU_HARNESS_H
#define REPRISE_SBE_FPU_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/decode.h"
#include "sbe/fpu_thunk.h"
#include "sbe/handlers.h"

enum { HARNESS_RAM = 1 << 20, HARNESS_CODE = 0x7000, HARNESS_DATA = 0x10000 };

struct harness {
    struct vm *vm;
    struct vcpu *v;
    _Alignas(64) u8 registers[FXSAVE_BYTES]; /* while v->fpu_live: what the processor should hold */
};

/* Handlers of all rows, as sbe/interp_table.c has them. */
extern const insn_handler interp_handlers[][4];

/* A mode other than the one the control registers would give is all that handlers look at. */
static inline void harness_set_mode(struct harness *h, enum code_mode mode)
{
    struct vcpu *v = h->v;
    v->mode = (u8)mode;
    v->rip_mask = mode == CODE_64 ? ~0ull : 0xffffffffu;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        v->seg_flat[s] = SEG_FLAT_READ | SEG_FLAT_WRITE;
}

static inline struct harness harness_create(void)
{
    struct harness h = {.vm = calloc(1, sizeof *h.vm), .v = aligned_alloc(64, (sizeof *h.v + 63) & ~(size_t)63)};
    assert_non_null(h.vm);
    assert_non_null(h.v);
    memset(h.v, 0, sizeof *h.v);
    assert_int_equal(physmem_create(&h.vm->memory, HARNESS_RAM, PHYSMEM_DENSE), STATUS_OK);
    static const struct cpu_model everything = {.features = {~0ull, ~0ull}};
    h.vm->config.model = &everything;
    h.vm->config.engine = &engine_interp;
    h.vm->vcpu[0] = h.v;
    h.vm->vcpu_count = 1;
    h.v->vm = h.vm;
    h.v->tlb.epoch = h.v->tlb.write_epoch = 1;
    h.v->tlb.current = h.v->tlb.entries[TLB_SUPERVISOR];
    h.v->cpu.rip = HARNESS_CODE;
    h.v->cpu.rflags = FLAG_FIXED;
    h.v->cpu.cr0 = CR0_PE | CR0_NE;
    h.v->cpu.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    h.v->cpu.xcr0 = 3;
    for (unsigned s = 0; s < SEG_COUNT; s++)
        h.v->cpu.seg[s] = (struct segment){.selector = (u16)(8 * s + 8), .limit = 0xffffffff,
                                           .attributes = SEG_P | SEG_S | SEG_WRITABLE | SEG_DB | SEG_G};
    harness_set_mode(&h, CODE_64);
    fpu_reset(&h.v->cpu);
    assert_int_equal(fpu_thunks_create(h.v), STATUS_OK);
    return h;
}

static inline u8 *harness_ram(const struct harness *h, u64 at) { return physmem_pointer(&h->vm->memory, gpa(at)); }

/* A test, unlike the portable modules, uses the FPU as it pleases. So that registers can be live all the same, they
 * are put aside between instructions, behind the back of the code under test. */
static inline void harness_resume(struct harness *h)
{
    if (h->v->fpu_live)
        __asm__ volatile("fxrstor64 %0" : : "m"(h->registers));
}

static inline void harness_suspend(struct harness *h)
{
    u32 mxcsr = MXCSR_DEFAULT;
    if (h->v->fpu_live)
        __asm__ volatile("fxsave64 %0\n\tfninit\n\tldmxcsr %1" : "=m"(h->registers) : "m"(mxcsr));
}

static inline void harness_park(struct harness *h)
{
    harness_resume(h);
    fpu_park(h->v);
}

static __attribute__((noinline)) enum exec harness_call(struct harness *h, insn_handler handler, const struct insn *i)
{
    harness_resume(h);
    enum exec result = insn_forbidden(h->v, i) ? EXEC_FAULT : handler(h->v, i);
    harness_suspend(h);
    return result;
}

/* Decodes one instruction and runs its handler, as the run loop would. RIP stays. */
static inline enum exec harness_run(struct harness *h, const u8 *bytes, unsigned count)
{
    struct insn i;
    assert_int_equal(decode(bytes, count, (enum code_mode)h->v->mode, &i), DECODE_OK);
    assert_int_equal(i.length, count);
    return harness_call(h, interp_handlers[i.row][__builtin_ctz(i.opsize)], &i);
}

static inline void harness_destroy(struct harness *h)
{
    harness_park(h);
    fpu_thunks_destroy(h->v);
    physmem_destroy(&h->vm->memory);
    free(h->v);
    free(h->vm);
}

#define RUN(h, ...) harness_run((h), (const u8[]){__VA_ARGS__}, sizeof(const u8[]){__VA_ARGS__})

#endif
