#include "sim/verify_pair.h"

#include "core/boot.h"
#include "mmu/access.h"
#include "sim/host_linux.h"
#include "sim/known_stretch.h"
#include "sim/state_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool boot_one(struct vm *vm, const struct run_options *options, char *message)
{
    struct boot_report report;
    return images_boot(vm, options, &report, message);
}

static enum status create_one(struct vm **vm, const struct engine *engine, const struct run_options *o)
{
    const struct vm_config config = {
        .ram_bytes = o->memory,
        .model = cpu_model_find(o->cpu),
        .engine = engine,
        .debug_exit = o->debug_exit,
        .rtc_start = o->rtc,
        .chaos = o->chaos,
        .shadow_bytes = o->shadow_memory,
        .code_bytes = o->code_cache,
    };
    return vm_create(vm, &config);
}

static void say_status(const struct engine *engine, enum status status, char *message)
{
    snprintf(message, IMAGES_MESSAGE_MAX, "engine %s: the host %s", engine->name,
             status == STATUS_UNSUPPORTED ? "lacks a feature of this processor model, or BMI2 for sbe; choose another with --cpu"
                                          : "refuses memory for a guest of this size; give less with -m");
}

static bool create_live(struct verify_pair *p, unsigned n, const struct verify_guest *guest, bool boot, char *message)
{
    enum status status = create_one(&p->vm[n], guest->engines[n], guest->options);
    if (status != STATUS_OK) {
        say_status(guest->engines[n], status, message);
        return false;
    }
    return !boot || boot_one(p->vm[n], guest->options, message);
}

static bool create_recorded(struct verify_pair *p, unsigned n, const struct verify_guest *guest, char *message)
{
    message[0] = 0;
    p->session[n] = calloc(1, sizeof *p->session[n]);
    if (!p->session[n]) {
        snprintf(message, IMAGES_MESSAGE_MAX, "no memory for a replay; free some");
        return false;
    }
    if (!session_open(p->session[n], guest->log, message)) {
        free(p->session[n]);
        p->session[n] = NULL;
        return false;
    }
    bool created = !session_create(p->session[n], guest->engines[n]);
    p->vm[n] = p->session[n]->vm;
    return created;
}

bool verify_pair_create(struct verify_pair *p, const struct verify_guest *guest, bool boot,
                        char message[IMAGES_MESSAGE_MAX])
{
    memset(p, 0, sizeof *p);
    p->options = guest->options;
    p->reference = guest->engines[1]->reference;
    for (unsigned n = 0; n < 2; n++) {
        if (guest->log ? create_recorded(p, n, guest, message) : create_live(p, n, guest, boot, message))
            continue;
        verify_pair_destroy(p);
        return false;
    }
    return true;
}

void verify_pair_destroy(struct verify_pair *p)
{
    for (unsigned n = 0; n < 2; n++) {
        if (p->session[n])
            session_close(p->session[n]);
        else if (p->vm[n])
            vm_destroy(p->vm[n]);
        free(p->session[n]);
        p->session[n] = NULL;
        p->vm[n] = NULL;
    }
}

struct replay_place verify_pair_place(const struct verify_pair *p)
{
    return p->session[0] ? replay_tell(&p->session[0]->replay) : (struct replay_place){0};
}

void verify_pair_seek(struct verify_pair *p, const struct replay_place *place)
{
    for (unsigned n = 0; n < 2; n++)
        if (p->session[n])
            (void)replay_seek(&p->session[n]->replay, place); /* the log could be read up to there before */
}

/* ---- Console ------------------------------------------------------------------------------------ */

static bool tap(void *context, enum host_channel channel, u8 byte)
{
    struct console_record *c = context;
    unsigned n = c->running;
    c->tail[n][c->bytes[n]++ % CONSOLE_TAIL] = byte;
    c->hash[n] = (c->hash[n] ^ ((u64)channel << 8 | byte)) * 0x100000001b3ull + 1; /* the multiplier of FNV-1a */
    return n == 0 && c->shown;
}

static bool console_same(const struct console_record *c)
{
    return c->hash[0] == c->hash[1] && c->bytes[0] == c->bytes[1];
}

/* ---- Cuts --------------------------------------------------------------------------------------- */

/* A single instruction is decoded only if something differs. */
static u64 reference_cut(struct verify_pair *p, u64 until, const struct grain *grain)
{
    struct vcpu *v = p->vm[0]->vcpu[0];
    u64 now = verify_pair_icount(p);
    bool single = grain->kind == GRAIN_COUNT && grain->count == 1;
    known_stretch_begin(&p->stretch, v);
    if (!single)
        known_stretch_decode(&p->stretch, v, v->cpu.rip, KNOWN_BLOCK_MAX);
    u64 cut = single ? now + 1 : now + p->stretch.count;
    if (cut > until) {
        cut = until;
        p->stretch.count = (unsigned)(until - now);
    }
    return cut;
}

static u64 next_cut(struct verify_pair *p, u64 until, const struct grain *grain)
{
    struct vcpu *v = p->vm[0]->vcpu[0];
    u64 now = verify_pair_icount(p), cut = until;
    if (p->reference)
        return reference_cut(p, until, grain);
    if (grain->kind == GRAIN_COUNT)
        cut = now - now % grain->count + grain->count;
    if (grain->kind == GRAIN_BLOCK) {
        known_stretch_decode(&p->stretch, v, v->cpu.rip, KNOWN_BLOCK_MAX);
        cut = now + p->stretch.count;
    }
    return cut < until ? cut : until;
}

static bool cut_same(const struct verify_pair *p)
{
    return p->stop[0] == p->stop[1] && console_same(&p->console) && state_same(p->vm[0], p->vm[1]);
}

static u64 written_difference(const struct verify_pair *p)
{
    return p->memory_each ? memory_written_difference(p->vm[0], p->vm[1], p->since) : UINT64_MAX;
}

/* The reference takes over our page of RAM at `address`. */
static void adopt_page(struct verify_pair *p, u64 address)
{
    u64 page = address & ~(u64)PAGE_MASK;
    phys_write(p->vm[1], gpa(page), physmem_pointer(&p->vm[0]->memory, gpa(page)), PAGE_SIZE);
}

static bool memory_explained(struct verify_pair *p)
{
    u64 at = written_difference(p);
    if (at == UINT64_MAX)
        return true;
    if (!known_differences_in_memory(p->vm[1]->config.engine, &p->stretch, p->explained))
        return false;
    for (; at != UINT64_MAX; at = written_difference(p))
        adopt_page(p, at);
    return true;
}

/* Is everything that differs explained? Then the reference goes on with our values. */
static bool explained(struct verify_pair *p)
{
    if (!p->reference || p->stop[0] != p->stop[1])
        return false;
    return known_stretch_explain(&p->stretch, p->vm[0], p->vm[1], p->explained) && memory_explained(p) && cut_same(p);
}

/* A replay ends as a machine does. What it finds to be different from the log is so for both, or is a difference. */
static enum vm_stop run_recorded(struct replay_session *s, u64 until)
{
    switch (replay_run(&s->replay, until)) {
    case REPLAY_REACHED: return VM_STOP_ICOUNT;
    case REPLAY_DIVERGED: return VM_STOP_DEBUG;
    case REPLAY_STOPPED: return VM_STOP_HOST;
    default: return VM_STOP_POWER_OFF;
    }
}

static enum vm_stop run_one(struct verify_pair *p, unsigned n, u64 until)
{
    return p->session[n] ? run_recorded(p->session[n], until) : vm_run(p->vm[n], until);
}

enum vm_stop verify_pair_step(struct verify_pair *p)
{
    enum vm_stop stop = run_one(p, 0, verify_pair_icount(p) + 1);
    if (stop == VM_STOP_WAIT_INPUT && vm_wake_time(p->vm[0]) != CLOCK_NEVER)
        vm_skip_to(p->vm[0], vm_wake_time(p->vm[0]));
    return stop;
}

static bool run_both(struct verify_pair *p, u64 until)
{
    host_console_set_tap(tap, &p->console);
    p->cut = until;
    for (unsigned n = 0; n < 2 && p->memory_each; n++)
        p->since[n] = phys_track_writes(p->vm[n]);
    for (unsigned n = 0; n < 2; n++) {
        p->console.running = n;
        p->stop[n] = run_one(p, n, until);
    }
    host_console_set_tap(NULL, NULL);
    p->cuts++;
    known_stretch_end(&p->stretch, p->vm[0]);
    return (cut_same(p) && written_difference(p) == UINT64_MAX) || explained(p);
}

/* Both have stopped, the same way, before they were to. False if that is the end. */
static bool go_on(struct verify_pair *p)
{
    char message[IMAGES_MESSAGE_MAX];
    u64 wake = vm_wake_time(p->vm[0]);
    switch (p->stop[0]) {
    case VM_STOP_ICOUNT: return true;
    case VM_STOP_WAIT_INPUT:
        for (unsigned n = 0; n < 2 && wake != CLOCK_NEVER; n++)
            vm_skip_to(p->vm[n], wake);
        return wake != CLOCK_NEVER;
    case VM_STOP_RESET:
        p->resets++;
        for (unsigned n = 0; n < 2; n++) {
            vm_reset(p->vm[n]);
            if (!strcmp(p->options->reset, "exit") || !boot_one(p->vm[n], p->options, message))
                return false;
        }
        return true;
    default: return false;
    }
}

enum pair_state verify_pair_run(struct verify_pair *p, u64 until, const struct grain *grain)
{
    while (verify_pair_icount(p) < until) {
        if (!run_both(p, next_cut(p, until, grain)))
            return host_stop_requested() ? PAIR_ENDED : PAIR_DIFFERS;
        p->same_at = verify_pair_icount(p);
        if (!go_on(p))
            return PAIR_ENDED;
    }
    return PAIR_SAME;
}

bool verify_pair_same(const struct verify_pair *p)
{
    return cut_same(p) && memory_first_difference(p->vm[0], p->vm[1], 0) == UINT64_MAX;
}
