/* Runs a guest the way `reprise run` does, but cut into pieces at will, and prints where it got to:
 *
 *   sliced_run PIECES FPU [OPTION OF `reprise run`]...
 *
 * PIECES: `whole`, `single` (one instruction each), a number, the seed of random sizes from 1 to 997, or `travel:SEED`:
 * random sizes to 9973 with a checkpoint after each, and leaps back to random ones. FPU: `live` or `parked` (the guest's
 * FPU registers leave the processor after every instruction that uses them).
 * Prints instructions, virtual nanoseconds and state hash; exits with 0 if the guest ended or --max-insns is
 * reached. */
#include "core/boot.h"
#include "core/vm.h"
#include "replay/checkpoint.h"
#include "replay/hash.h"
#include "sim/engines.h"
#include "sim/images.h"
#include "sim/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS = 3, SIZE_MAX_RANDOM = 997, SIZE_MAX_TRAVEL = 9973, LEAPS = 60, RESETS_MAX = 3 };

/* So small that checkpoints are given up on the way. */
enum { CHECKPOINT_BYTES = 24 << 20 };

struct pieces {
    bool single, whole, travel;
    u32 seed;
    unsigned leaps; /* still to come */
};

/* The linker puts this in the way of every call of host_fpu_volatile() (--wrap). */
static bool parked;
bool __real_host_fpu_volatile(void);
bool __wrap_host_fpu_volatile(void) { return parked || __real_host_fpu_volatile(); }

static _Noreturn void fail(const char *message)
{
    fprintf(stderr, "sliced_run: %s\n", message);
    exit(2);
}

static void boot(struct vm *vm, const struct run_options *options)
{
    char message[IMAGES_MESSAGE_MAX];
    struct boot_report report;
    if (!images_boot(vm, options, &report, message))
        fail(message);
}

static struct vm *machine_create(const struct run_options *o)
{
    const struct vm_config config = {.ram_bytes = o->memory, .model = cpu_model_find(o->cpu),
                                     .engine = engine_find(o->engine), .debug_exit = o->debug_exit,
                                     .rtc_start = o->rtc};
    struct vm *vm;
    if (vm_create(&vm, &config) != STATUS_OK)
        fail("the machine cannot be created here");
    boot(vm, o);
    return vm;
}

static u32 random_below(struct pieces *p, u32 bound)
{
    p->seed = p->seed * 1664525u + 1013904223u;
    return (p->seed >> 8) % bound;
}

static u64 next_piece(struct pieces *p)
{
    if (p->whole || p->single)
        return p->single ? 1 : UINT32_MAX;
    return 1 + random_below(p, p->travel ? SIZE_MAX_TRAVEL : SIZE_MAX_RANDOM);
}

/* A checkpoint, and from time to time back to one; the number of resets until then is its note. */
static void travel(struct checkpoints *c, struct pieces *p, unsigned *resets)
{
    if (checkpoints_take(c, resets, sizeof *resets) != STATUS_OK)
        fail("a checkpoint does not fit");
    if (!p->leaps || random_below(p, 8))
        return;
    p->leaps--;
    checkpoints_restore(c, random_below(p, checkpoints_count(c)), resets, sizeof *resets);
}

/* False when the run is over. */
static bool go_on(struct vm *vm, enum vm_stop stop, const struct run_options *o, unsigned *resets)
{
    switch (stop) {
    case VM_STOP_ICOUNT: return !o->max_insns || vm->vcpu[0]->cpu.icount < o->max_insns;
    case VM_STOP_WAIT_INPUT:
        if (vm_wake_time(vm) == CLOCK_NEVER)
            return false;
        vm_skip_to(vm, vm_wake_time(vm));
        return true;
    case VM_STOP_RESET:
        vm_reset(vm);
        boot(vm, o);
        return ++*resets <= RESETS_MAX;
    default: return false;
    }
}

int main(int argc, char **argv)
{
    struct run_options options;
    char message[MESSAGE_MAX];
    if (argc < ARGUMENTS)
        fail("usage: sliced_run whole|single|SEED|travel:SEED live|parked [OPTION]...");
    const char *seed = strchr(argv[1], ':');
    struct pieces pieces = {.whole = !strcmp(argv[1], "whole"), .single = !strcmp(argv[1], "single"), .travel = seed,
                            .seed = (u32)strtoul(seed ? seed + 1 : argv[1], NULL, 0), .leaps = LEAPS};
    parked = !strcmp(argv[2], "parked");
    if (!options_parse(argc - ARGUMENTS, argv + ARGUMENTS, &options, message))
        fail(message);
    struct vm *vm = machine_create(&options);
    const struct cpu *c = &vm->vcpu[0]->cpu;
    struct checkpoints *checkpoints;
    if (checkpoints_create(vm, CHECKPOINT_BYTES, &checkpoints) != STATUS_OK)
        fail("no memory for checkpoints");
    unsigned resets = 0;
    enum vm_stop stop;
    do {
        u64 until = c->icount + next_piece(&pieces);
        if (options.max_insns && until > options.max_insns)
            until = options.max_insns;
        stop = vm_run(vm, until);
        if (c->icount > until || (stop == VM_STOP_ICOUNT && c->icount != until))
            fail("a run went beyond the instruction it was asked to stop at");
        if (pieces.travel && stop == VM_STOP_ICOUNT)
            travel(checkpoints, &pieces, &resets);
    } while (go_on(vm, stop, &options, &resets));
    printf("%" PRIu64 " %" PRIu64 " %016" PRIx64 "\n", c->icount, vm_now(vm), state_hash(vm));
    checkpoints_destroy(checkpoints);
    vm_destroy(vm);
    return 0;
}
