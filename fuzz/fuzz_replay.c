/* Record and replay of any guest (fuzz/guest_image.h) under any input: a run with console bytes and jumps of time at
 * random places is recorded on one engine and must repeat itself on every other, hash by hash, in one piece, in
 * slices, and when the log was cut off. The input's seed decides what comes in, and when. FUZZ_ENGINE names the only
 * engine to use. */
#include "fuzz/fuzz.h"
#include "fuzz/guest_image.h"
#include "replay/hash.h"
#include "replay/log_for_tests.h"
#include "replay/record.h"
#include "replay/replay.h"
#include "sim/bochs_engine.h"
#include "sim/engines.h"
#include "sim/log_file.h"

#include <stdio.h>
#include <stdlib.h>

enum { SLICE_MAX = 700, SKIPS_MAX = 64, RESETS_MAX = 3, JUMP_MAX = 3000000, INTERVAL = 256 };

static struct memory_log file;
static struct log_writer writer;
static struct log_reader reader;

static u32 random_below(u32 *seed, u32 bound)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % bound;
}

static struct vm *machine(const struct engine *engine, const uint8_t *data, size_t size)
{
    const u32 seed = guest_input_seed(data);
    const struct vm_config config = {.ram_bytes = GUEST_RAM, .model = guest_input_model(data), .engine = engine,
                                     .chaos = {.seed = seed, .kinds = seed >> 1 & CHAOS_ALL}};
    struct vm *vm;
    if (vm_create(&vm, &config) != STATUS_OK)
        return NULL; /* this host's processor lacks the model */
    guest_input_load(vm, data, size);
    return vm;
}

/* Something from outside, or nothing: then false. */
static bool disturb(struct vm *vm, u32 *seed)
{
    u64 now = vm_now(vm), wake = vm_wake_time(vm);
    u32 most;
    switch (random_below(seed, 8)) {
    case 0: return input_deliver(vm, INPUT_SERIAL, random_below(seed, 4), random_below(seed, 256));
    case 1: return input_deliver(vm, INPUT_KEYBOARD, 0, random_below(seed, 256));
    case 2:
        if (wake <= now)
            return false;
        most = wake - now < JUMP_MAX ? (u32)(wake - now) : JUMP_MAX;
        return input_deliver(vm, INPUT_TIME, 0, random_below(seed, most + 1));
    default: return false;
    }
}

struct recorded {
    u64 icount, now, hash;
    u32 resets;
};

/* False when the run is over: *ending then says how. */
static bool go_on(struct vm *vm, enum vm_stop stop, struct recorded *r, u32 *skips, enum log_ending *ending)
{
    *ending = stop == VM_STOP_TRIPLE_FAULT ? LOG_END_TRIPLE_FAULT
            : stop == VM_STOP_POWER_OFF    ? LOG_END_POWER_OFF
            : stop == VM_STOP_DEBUG_EXIT   ? LOG_END_DEBUG_EXIT
                                           : LOG_END_IDLE;
    switch (stop) {
    case VM_STOP_ICOUNT: return true;
    case VM_STOP_RESET:
        vm_reset(vm);
        *ending = LOG_END_HOST;
        return ++r->resets <= RESETS_MAX;
    case VM_STOP_WAIT_INPUT:
        if (vm_wake_time(vm) == CLOCK_NEVER)
            return false;
        *ending = LOG_END_HOST;
        if (++*skips > SKIPS_MAX)
            return false;
        vm_skip_to(vm, vm_wake_time(vm));
        return true;
    default: return false;
    }
}

static struct recorded record(struct vm *vm, const struct log_codec *codec, u64 limit, u32 seed)
{
    const struct cpu *c = &vm->vcpu[0]->cpu;
    struct log_machine m = memory_log_machine(false);
    struct log_file f = memory_log_file(&file);
    struct recorder recorder;
    struct recorded r = {0};
    enum log_ending ending = LOG_END_LIMIT;
    u32 skips = 0;
    file.size = 0;
    file.room = MEMORY_LOG_MAX;
    FUZZ_CHECK(log_writer_open(&writer, &f, codec, &m) == STATUS_OK);
    recorder_start(&recorder, vm, &writer, INTERVAL);
    while (c->icount < limit) {
        u64 until = c->icount + 1 + random_below(&seed, SLICE_MAX);
        until = until < recorder.next ? until : recorder.next;
        enum vm_stop stop = vm_run(vm, until < limit ? until : limit);
        if (stop == VM_STOP_ICOUNT)
            recorder_checkpoint(&recorder, vm);
        if (stop == VM_STOP_WAIT_INPUT && disturb(vm, &seed))
            continue; /* it may have been woken: time must not pass first */
        if (!go_on(vm, stop, &r, &skips, &ending))
            break;
        ending = LOG_END_LIMIT;
        disturb(vm, &seed);
        if (!random_below(&seed, 16))
            recorder_flush(&recorder, vm);
    }
    recorder_end(&recorder, vm, ending);
    FUZZ_CHECK(log_close(&writer));
    vm->recorder = NULL;
    r.icount = c->icount;
    r.now = vm_now(vm);
    r.hash = state_hash_whole(vm);
    FUZZ_CHECK(r.hash == state_hash(vm)); /* what is remembered of pages is not stale */
    return r;
}

static bool reboot(void *context, struct vm *vm)
{
    (void)context;
    (void)vm;
    return true;
}

static const struct log_codec *codec_of(u32 seed) { return seed & 1 ? &log_codec_zstd : NULL; }

/* Replays what is in the file on `vm`, in slices if `seed` is not 0. */
static enum replay_stop replay(struct vm *vm, const struct log_codec *codec, u32 seed, struct replay *r)
{
    struct log_file f = memory_log_file(&file);
    struct log_error why;
    enum replay_stop stop;
    FUZZ_CHECK(log_reader_open(&reader, &f, codec, &why) == STATUS_OK);
    *r = (struct replay){.vm = vm, .log = &reader, .verify = true, .reboot = reboot};
    replay_start(r);
    do {
        u64 until = seed ? vm->vcpu[0]->cpu.icount + 1 + random_below(&seed, SLICE_MAX) : UINT64_MAX;
        stop = replay_run(r, until);
        FUZZ_CHECK(stop != REPLAY_REACHED || vm->vcpu[0]->cpu.icount == until);
    } while (stop == REPLAY_REACHED);
    return stop;
}

static void replay_whole(const struct engine *engine, const uint8_t *data, size_t size, const struct recorded *want)
{
    u32 seed = guest_input_seed(data);
    for (unsigned sliced = 0; sliced < 2; sliced++) {
        struct replay r;
        struct vm *vm = machine(engine, data, size);
        enum replay_stop stop = replay(vm, codec_of(seed), sliced ? seed : 0, &r);
        if (getenv("FUZZ_VERBOSE"))
            fprintf(stderr, "%s: stop %d at %llu, %s\n", engine->name, stop,
                    (unsigned long long)vm->vcpu[0]->cpu.icount,
                    r.divergence.what ? r.divergence.what : "no divergence");
        FUZZ_CHECK(stop == REPLAY_ENDED);
        FUZZ_CHECK(r.place.hashes > 0);
        FUZZ_CHECK(vm->vcpu[0]->cpu.icount == want->icount && vm_now(vm) == want->now);
        FUZZ_CHECK(state_hash_whole(vm) == want->hash);
        vm_destroy(vm);
    }
}

/* A log that ends early says how far the run is the same; a byte of it that differs never makes another run of it. */
static void replay_damaged(const struct engine *engine, const uint8_t *data, size_t size)
{
    struct replay r;
    u32 seed = guest_input_seed(data) * 7919;
    u64 whole = file.size, first = reader.first.chunk;
    if (whole <= first)
        return;
    struct vm *vm = machine(engine, data, size);
    file.size = first + random_below(&seed, (u32)(whole - first));
    enum replay_stop stop = replay(vm, codec_of(guest_input_seed(data)), 0, &r);
    FUZZ_CHECK(stop == REPLAY_LOG_OUT || stop == REPLAY_ENDED);
    vm_destroy(vm);
    file.size = whole;
    file.data[first + random_below(&seed, (u32)(whole - first))] ^= (u8)(1u << random_below(&seed, 8));
    vm = machine(engine, data, size);
    stop = replay(vm, codec_of(guest_input_seed(data)), 0, &r);
    FUZZ_CHECK(stop == REPLAY_LOG_OUT || stop == REPLAY_ENDED);
    vm_destroy(vm);
}

/* Bochs' processor exists once in a process, and here are several machines. */
static bool is_wanted(const struct engine *e)
{
    const char *only = getenv("FUZZ_ENGINE");
    return e != &engine_bochs && (!only || !strcmp(only, e->name));
}

int fuzz_one(const uint8_t *data, size_t size)
{
    const struct engine *e, *other;
    if (size < GUEST_INPUT_HEADER)
        return 0;
    u32 seed = guest_input_seed(data);
    for (unsigned n = 0; (e = engine_at(n)); n++) {
        struct vm *vm = is_wanted(e) ? machine(e, data, size) : NULL;
        if (!vm)
            continue;
        struct recorded r = record(vm, codec_of(seed), guest_input_limit(data), seed);
        vm_destroy(vm);
        for (unsigned m = 0; (other = engine_at(m)); m++)
            if (is_wanted(other))
                replay_whole(other, data, size, &r);
        replay_damaged(e, data, size);
    }
    return 0;
}
