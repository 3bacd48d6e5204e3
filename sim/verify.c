#include "sim/verify.h"

#include "mmu/access.h"
#include "replay/hash.h"
#include "sim/exit_code.h"
#include "sim/help.h"
#include "sim/host_linux.h"
#include "sim/verify_again.h"
#include "sim/verify_base.h"
#include "sim/verify_crash.h"
#include "sim/verify_options.h"
#include "sim/verify_report.h"
#include "sim/verify_search.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct verifier {
    struct verify_options options;
    struct verify_pair pair;
    struct verify_base base;
    u64 base_at;
    struct console_record base_console; /* as it was there */
    u64 since[2];                       /* with a reference: RAM was compared then */
    u64 whole_at, whole_good;           /* icount at which all of it was, and was the same */
    bool unnoted;                       /* RAM differs where no write was noted */
    struct verify_result result;
    u64 started;
};

static int complain(int code, const char *message)
{
    host_console_flush();
    fprintf(stderr, "reprise: %s\n", message);
    return code;
}

/* Progress goes where it disturbs neither the guest's output nor a script. */
static bool progress_wanted(const struct verifier *v)
{
    return isatty(STDERR_FILENO) && (v->options.json || !isatty(STDOUT_FILENO));
}

static void put_progress(const struct verifier *v)
{
    double seconds = (double)(host_nanoseconds() - v->started) / 1e9;
    double millions = (double)verify_pair_icount(&v->pair) / 1e6;
    fprintf(stderr, "\r%12.1f million instructions, the same so far (%.1f a second) ", millions,
            seconds > 0 ? millions / seconds : 0);
}

static void search_progress(u64 from, u64 to)
{
    fprintf(stderr, "\rthe difference lies between %llu and %llu            ", (unsigned long long)from,
            (unsigned long long)to);
}

enum { WHOLE_PERIOD = 20000000 };

static bool written_same(const struct verifier *v)
{
    return memory_written_difference(v->pair.vm[0], v->pair.vm[1], v->since) == UINT64_MAX;
}

/* With a reference only pages that were written since are compared, and now and then all. */
static bool whole_due(struct verifier *v, enum pair_state state)
{
    bool due = !v->pair.reference || state == PAIR_ENDED || verify_pair_icount(&v->pair) - v->whole_at >= WHOLE_PERIOD;
    if (due)
        v->whole_at = verify_pair_icount(&v->pair);
    return due;
}

/* Both are the same: this is where a search begins from now on. */
static void keep(struct verifier *v, bool first)
{
    struct verify_pair *p = &v->pair;
    if (!p->reference || first)
        verify_base_take(&v->base, p->vm[0]);
    else
        verify_base_take_written(&v->base, p->vm[0], v->since[0]);
    v->base.place = verify_pair_place(p);
    v->base_at = verify_pair_icount(p);
    v->base_console = p->console;
    for (unsigned n = 0; n < 2 && p->reference; n++)
        v->since[n] = phys_track_writes(p->vm[n]);
}

/* The stretch behind the base again, for what is explained in it. The believed machine must come out as it did before, or
 * what was seen does not repeat, and is no affair of the reference. */
static enum pair_state look_again(struct verifier *v)
{
    struct verify_pair *p = &v->pair;
    u64 cut = p->cut, hash = state_hash(p->vm[0]);
    enum pair_state state = verify_again(p, &v->base, &v->base_console, cut);
    v->result.second_looks++;
    return state_hash(p->vm[0]) == hash && verify_pair_same(p) ? state : PAIR_DIFFERS;
}

/* On to `until`, or to a difference that nothing explains. What differs after a single instruction may come from memory that
 * differs, and is explained, for a while. */
static enum pair_state advance(struct verifier *v, u64 until)
{
    struct verify_pair *p = &v->pair;
    enum pair_state state = verify_advance(p, until, &v->options);
    if (host_stop_requested() || (state == PAIR_DIFFERS && !p->reference))
        return state;
    if (p->reference && (state == PAIR_DIFFERS || !written_same(v)))
        return look_again(v);
    if (!whole_due(v, state))
        return state;
    bool equal = verify_pair_same(p);
    v->unnoted = !equal && p->reference;
    v->whole_good = equal ? v->whole_at : v->whole_good;
    return equal ? state : PAIR_DIFFERS;
}

/* Both to the guest's end or the limit, or to a difference. */
static enum pair_state run(struct verifier *v)
{
    struct verify_pair *p = &v->pair;
    u64 limit = v->options.run.max_insns ? v->options.run.max_insns : UINT64_MAX;
    u64 period = verify_period(&v->options.grain, p->reference);
    bool progress = progress_wanted(v);
    for (;;) {
        u64 now = verify_pair_icount(p), next = now - now % period + period;
        enum pair_state state = advance(v, next < limit ? next : limit);
        if (host_stop_requested())
            return PAIR_ENDED;
        if (state == PAIR_DIFFERS)
            return PAIR_DIFFERS;
        v->result.memory_comparisons++;
        if (state == PAIR_ENDED || verify_pair_icount(p) >= limit)
            return PAIR_ENDED;
        keep(v, false);
        if (progress)
            put_progress(v);
    }
}

/* A difference was seen: from here on the pair is the one that shows it first, or holds no machines. */
static void locate(struct verifier *v)
{
    char message[IMAGES_MESSAGE_MAX];
    struct verify_divergence *d = &v->result.divergence;
    if (v->pair.reference) /* what is explained must be taken over on the way */
        v->options.grain = (struct grain){.kind = GRAIN_COUNT, .count = 1};
    const struct verify_search search = {
        .options = &v->options,
        .base = &v->base,
        .base_at = v->base_at,
        .seen_at = v->pair.cut,
        .progress = progress_wanted(v) ? search_progress : NULL,
    };
    v->result.diverged = true;
    v->result.stop = v->pair.stop[0];
    d->equal_at = v->base_at;
    verify_report_collect(d, &v->pair);
    verify_pair_destroy(&v->pair);
    message[0] = 0;
    if (v->unnoted) { /* the base does not know of it either */
        d->equal_at = v->whole_good;
        return;
    }
    if (!host_stop_requested() && !verify_search(&search, d, &v->pair, message) && message[0])
        complain(EXIT_HOST, message);
}

static int report(struct verifier *v)
{
    struct verify_result *r = &v->result;
    r->complete = r->diverged || !host_stop_requested();
    r->host_ns = host_nanoseconds() - v->started;
    host_console_flush();
    if (progress_wanted(v))
        fprintf(stderr, "\r%70s\r", "");
    if (v->options.json)
        verify_report_json(stdout, r);
    else
        verify_report_text(stderr, r, &v->pair);
    if (fflush(stdout))
        return EXIT_HOST;
    if (r->diverged)
        return EXIT_DIVERGED;
    if (r->complete)
        return EXIT_POWER_OFF;
    return host_stop_reason() == STOP_REASON_TIMEOUT ? EXIT_LIMIT : EXIT_QUIT;
}

static int verify(struct verifier *v)
{
    char message[IMAGES_MESSAGE_MAX];
    const struct verify_options *o = &v->options;
    verify_crash_watch(&v->pair);
    const struct verify_guest guest = verify_options_guest(o);
    if (!verify_pair_create(&v->pair, &guest, true, message))
        return message[0] ? complain(EXIT_USAGE, message) : EXIT_USAGE;
    if (!verify_base_create(&v->base, v->pair.vm[0])) {
        verify_pair_destroy(&v->pair);
        return complain(EXIT_HOST, "the host refuses memory for a third copy of the guest; give less with -m");
    }
    host_console_attach(HOST_COM1, o->json ? -1 : STDOUT_FILENO);
    v->pair.console.shown = true;
    host_catch_signals();
    if (o->run.timeout && host_start_timer(o->run.timeout) != STATUS_OK)
        return complain(EXIT_HOST, "--timeout: the host gives no timer; run without it");
    v->started = host_nanoseconds();
    for (unsigned n = 0; n < 2; n++)
        v->result.engines[n] = o->engines[n]->name;
    keep(v, true);
    bool differs = run(v) == PAIR_DIFFERS;
    v->result.stop = v->pair.stop[0];
    v->result.icount = verify_pair_icount(&v->pair);
    v->result.cuts = v->pair.cuts;
    memcpy(v->result.explained, v->pair.explained, sizeof v->result.explained);
    if (differs)
        locate(v);
    int code = report(v);
    verify_pair_destroy(&v->pair);
    verify_base_destroy(&v->base);
    return code;
}

int verb_verify(int argc, char **argv)
{
    static struct verifier v;
    char message[MESSAGE_MAX];
    if (!verify_options_parse(argc, argv, &v.options, message))
        return complain(EXIT_USAGE, message);
    if (v.options.run.help) {
        help_verify(stdout);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    return verify(&v);
}
