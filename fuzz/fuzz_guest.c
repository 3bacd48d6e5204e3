/* Whole guests: code, tables and everything else from the input (fuzz/guest_image.h). No guest may reach panic() or
 * confuse a sanitizer, and every run ends by itself and never later than asked. Each input runs twice, and it may never
 * show how the second run is cut into pieces, where its FPU registers wait between two instructions, and that somebody
 * traces and looks. */
#include "core/segment.h"
#include "fuzz/fuzz.h"
#include "fuzz/guest_image.h"
#include "replay/hash.h"
#include "sim/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPS_MAX = 64, RESETS_MAX = 3, SLICE_MAX = 997 };

struct outcome {
    u64 hash, icount, now;
    enum vm_stop stop;
};

/* The linker puts this in the way of every call of host_fpu_volatile() (--wrap): FPU registers leave the processor
 * after each use, as sanitizers want it anyway. */
static bool parked;
bool __real_host_fpu_volatile(void);
bool __wrap_host_fpu_volatile(void) { return parked || __real_host_fpu_volatile(); }

static struct vm *guest_create(const uint8_t *data, size_t size)
{
    const struct vm_config config = {
        .ram_bytes = GUEST_RAM, .model = guest_input_model(data), .engine = &engine_interp};
    struct vm *vm;
    enum status status = vm_create(&vm, &config);
    if (status == STATUS_UNSUPPORTED) /* by this host's processor */
        return NULL;
    FUZZ_CHECK(status == STATUS_OK);
    guest_input_load(vm, data, size);
    return vm;
}

/* Invariants of the state at every boundary: what the rest of the program relies on without looking. */
static void check_state(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    FUZZ_CHECK(!(c->aflags & ~FLAGS_ARITH) && !(c->rflags & FLAGS_ARITH) && (c->rflags & FLAG_FIXED));
    FUZZ_CHECK(!(cpu_rflags(c) & ~(u64)(FLAGS_DEFINED | FLAG_FIXED)));
    FUZZ_CHECK(c->cpl <= 3 && (!cpu_v86(c) || c->cpl == 3));
    FUZZ_CHECK(cpu_protected(c) || (!cpu_paging(c) && c->cpl == 0));
    FUZZ_CHECK(!cpu_long(c) || (cpu_paging(c) && (c->cr4 & CR4_PAE) && (c->efer & EFER_LME)));
    FUZZ_CHECK(!(c->cr4 & ~cpu_model_cr4_mask(v->vm->config.model)));
    FUZZ_CHECK(v->mode == CODE_64 ? canonical(c->rip) : c->rip <= UINT32_MAX);
    FUZZ_CHECK(!v->fpu_live);
}

/* What whoever runs the machine does after a stop. False: the run is over. */
static bool go_on(struct vm *vm, enum vm_stop stop, unsigned *skips, unsigned *resets)
{
    if (stop == VM_STOP_ICOUNT)
        return true;
    if (stop == VM_STOP_RESET) {
        vm_reset(vm);
        return ++*resets <= RESETS_MAX;
    }
    if (stop != VM_STOP_WAIT_INPUT)
        return false;
    u64 wake = vm_wake_time(vm);
    if (wake == CLOCK_NEVER || ++*skips > SKIPS_MAX)
        return false;
    FUZZ_CHECK(wake > vm_now(vm));
    vm_skip_to(vm, wake);
    return true;
}

static u64 events;

static void on_event(void *context, struct vm *vm, const struct trace_event *event)
{
    (void)context;
    (void)vm;
    events += event->kind + event->value;
}

/* What debuggers and tracers look at. They must see without touching. */
static void look_at(struct vm *vm, FILE *to)
{
    struct vcpu *v = vm->vcpu[0];
    gpa_t at;
    mem_translate_debug(v, v->cpu.rip, &at);
    mem_translate_debug(v, v->cpu.gpr[RSP] + v->cpu.seg[SEG_SS].base, &at);
    if (to)
        dump_vcpu(to, v);
}

/* Runs to `limit`, in pieces of random size if `seed` is not 0. */
static struct outcome drive(struct vm *vm, u64 limit, u32 seed)
{
    const struct cpu *c = &vm->vcpu[0]->cpu;
    unsigned skips = 0, resets = 0;
    enum vm_stop stop = VM_STOP_ICOUNT;
    bool verbose = getenv("FUZZ_VERBOSE");
    u32 size_mask = seed & 1 ? 3 : UINT32_MAX; /* some runs in pieces of a few instructions */
    for (u64 until = 0; c->icount < limit || stop != VM_STOP_ICOUNT;) {
        until = limit;
        if (seed) {
            seed = seed * 1664525u + 1013904223u;
            until = c->icount + 1 + (seed >> 8 & size_mask) % SLICE_MAX;
            until = until < limit ? until : limit;
        }
        stop = vm_run(vm, until);
        FUZZ_CHECK(c->icount <= until && (stop != VM_STOP_ICOUNT || c->icount == until));
        check_state(vm->vcpu[0]);
        if (seed)
            look_at(vm, NULL);
        if (verbose)
            fprintf(stderr, "%s icount %llu rip %llx stop %d hash %016llx\n", seed ? "sliced" : "whole",
                    (unsigned long long)c->icount, (unsigned long long)c->rip, stop,
                    (unsigned long long)state_hash(vm));
        if (!go_on(vm, stop, &skips, &resets))
            break;
    }
    return (struct outcome){.hash = state_hash(vm), .icount = c->icount, .now = vm_now(vm), .stop = stop};
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < GUEST_INPUT_HEADER)
        return 0;
    parked = false;
    struct vm *whole = guest_create(data, size);
    if (!whole)
        return 0;
    parked = data[2] & 2;
    struct vm *sliced = guest_create(data, size);
    u64 limit = guest_input_limit(data);
    struct outcome a = drive(whole, limit, 0);
    sliced->tracer = &(struct tracer){.mask = ~0u, .event = on_event};
    struct outcome b = drive(sliced, limit, guest_input_seed(data));
    FILE *nowhere = fopen("/dev/null", "w");
    look_at(sliced, nowhere);
    FUZZ_CHECK(nowhere && !fclose(nowhere) && state_hash(sliced) == b.hash);
    FUZZ_CHECK(a.icount == b.icount);
    FUZZ_CHECK(a.stop == b.stop);
    FUZZ_CHECK(a.now == b.now);
    FUZZ_CHECK(a.hash == b.hash);
    vm_destroy(whole);
    vm_destroy(sliced);
    return 0;
}
