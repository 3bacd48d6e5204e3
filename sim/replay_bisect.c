/* The interval between the last equal and the first different state hash is cut into some thousand pieces, after
 * each of which both machines are compared; the piece that differs is cut again, until it is one instruction. Each
 * round starts from power-on, as a fault may come from something that was cached on the way. */
#include "sim/replay_bisect.h"

#include "replay/hash.h"
#include "sim/complain.h"
#include "sim/dump.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/host_linux.h"
#include "sim/progress.h"
#include "sim/replay_session.h"
#include "sim/state_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 1000, DIFFERENCES = 24 };

struct bisection {
    const char *path;
    const struct engine *engine[2]; /* the one that recorded, the one that replayed */
    struct replay_session session[2];
    struct progress progress;
    char *instruction; /* malloc-ed: what the believed machine is about to execute, if pieces are that small */
};

static bool swallow(void *context, enum host_channel channel, u8 byte)
{
    (void)context;
    (void)channel;
    (void)byte;
    return false;
}

static void on_pulse(void *context, struct vm *vm)
{
    struct bisection *b = context;
    progress_show(&b->progress, vm->vcpu[0]->cpu.icount);
}

static bool open_both(struct bisection *b)
{
    char message[SESSION_MESSAGE_MAX];
    for (unsigned n = 0; n < 2; n++) {
        struct replay_session *s = &b->session[n];
        s->replay.verify = false;
        s->replay.pulse = on_pulse;
        s->replay.pulse_context = b;
        if (!session_open(s, b->path, message)) {
            complain(EXIT_HOST, message);
            return false;
        }
        if (session_create(s, b->engine[n]))
            return false;
        (void)state_hash_remember(s->vm);
    }
    return true;
}

static void close_both(struct bisection *b)
{
    session_close(&b->session[0]);
    session_close(&b->session[1]);
}

/* Sends both to an icount. False if they differ there, or one does not get there. */
static bool same_at(struct bisection *b, u64 icount)
{
    struct vm *one = b->session[0].vm, *two = b->session[1].vm;
    enum replay_stop first = replay_run(&b->session[0].replay, icount);
    enum replay_stop second = replay_run(&b->session[1].replay, icount);
    return first == second && one->vcpu[0]->cpu.icount == two->vcpu[0]->cpu.icount &&
           state_hash(one) == state_hash(two);
}

static void note_instruction(struct bisection *b)
{
    size_t bytes;
    struct vcpu *v = b->session[0].vm->vcpu[0];
    free(b->instruction);
    b->instruction = NULL;
    FILE *to = open_memstream(&b->instruction, &bytes);
    if (!to)
        return;
    dump_instruction(to, v);
    fclose(to);
}

/* Narrows the interval (*low, *high]: the same at *low, different at *high. Both machines stand at the new *high, or
 * are closed. False if they do not differ in it when cut like this. */
static bool narrow(struct bisection *b, u64 *low, u64 *high)
{
    u64 step = (*high - *low) / PIECES ? (*high - *low) / PIECES : 1;
    if (!open_both(b) || !same_at(b, *low))
        return false;
    for (u64 at = *low; at < *high && !host_stop_requested();) {
        if (step == 1)
            note_instruction(b);
        at = *high - at < step ? *high : at + step;
        if (!same_at(b, at)) {
            *high = at;
            return true;
        }
        *low = at;
    }
    return false;
}

static void print_value(const struct state_difference *d, const u8 *value)
{
    for (unsigned n = d->bytes; n--;)
        fprintf(stderr, "%02x", value[n]);
}

static void print_difference(const struct bisection *b, u64 low)
{
    struct state_difference d[DIFFERENCES];
    const struct vm *one = b->session[0].vm, *two = b->session[1].vm;
    unsigned count = state_differences(one, two, d, DIFFERENCES), shown = count < DIFFERENCES ? count : DIFFERENCES;
    fprintf(stderr, "reprise: after %" PRIu64 " instructions both are the same; the next one makes the difference:\n", low);
    fprintf(stderr, "  %s\n  %-16s %-34s %s\n", b->instruction ? b->instruction : "?", "", b->engine[0]->name,
            b->engine[1]->name);
    for (unsigned n = 0; n < shown; n++) {
        fprintf(stderr, "  %-16s ", d[n].name);
        print_value(&d[n], d[n].a);
        fprintf(stderr, "%*s ", 34 - 2 * d[n].bytes, "");
        print_value(&d[n], d[n].b);
        fputc('\n', stderr);
    }
    u64 at = memory_first_difference(one, two, 0);
    if (at != UINT64_MAX)
        fprintf(stderr, "  memory differs from guest-physical address 0x%" PRIx64 " on\n", at);
    if (count > shown)
        fprintf(stderr, "  and %u more\n", count - shown);
}

static void search(struct bisection *b, u64 low, u64 high)
{
    bool found = true;
    while (found && high - low > 1) {
        found = narrow(b, &low, &high);
        if (!found || high - low > 1)
            close_both(b);
    }
    progress_clear(&b->progress);
    if (found && b->session[0].vm)
        print_difference(b, low);
    else
        fprintf(stderr, "reprise: run in step, %s and %s do not differ between instructions %" PRIu64 " and %" PRIu64
                ": the fault needs longer pieces to show, or does not repeat\n", b->engine[0]->name,
                b->engine[1]->name, low, high);
    close_both(b);
}

void replay_bisect(const char *path, const struct engine *engine, const struct replay_divergence *divergence)
{
    static struct bisection b;
    char message[SESSION_MESSAGE_MAX];
    if (!session_open(&b.session[0], path, message)) {
        complain(EXIT_HOST, message);
        return;
    }
    b.path = path;
    b.engine[0] = engine_find(b.session[0].reader->machine.engine);
    b.engine[1] = engine;
    session_close(&b.session[0]);
    if (!b.engine[0] || b.engine[0] == engine) {
        fprintf(stderr, "reprise: it was recorded on the engine %s, too: the difference is not one of engines; "
                "compare the processors (`reprise info`), and replay again\n", engine->name);
        return;
    }
    progress_start(&b.progress, "looking for the first difference", divergence->icount);
    host_console_set_tap(swallow, NULL);
    search(&b, divergence->good, divergence->icount);
    host_console_set_tap(NULL, NULL);
    free(b.instruction);
}
