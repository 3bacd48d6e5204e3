#include "sim/verify.h"

#include "mmu/access.h"
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
    u64 whole_at;                       /* icount at which all of it was */
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

/* With a reference only pages that were written since, and now and then all. */
static bool same(struct verifier *v, bool whole)
{
    const struct verify_pair *p = &v->pair;
    if (!p->reference || whole || verify_pair_icount(p) - v->whole_at >= WHOLE_PERIOD) {
        v->whole_at = verify_pair_icount(p);
        return verify_pair_same(p);
    }
    return memory_written_difference(p->vm[0], p->vm[1], v->since) == UINT64_MAX;
}

/* Both are the same: this is where a search begins from now on. */
static void keep(struct verifier *v, bool first)
{
    struct verify_pair *p = &v->pair;
    if (!p->reference || first)
        verify_base_take(&v->base, p->vm[0]);
    else
        verify_base_take_written(&v->base, p->vm[0], v->since[0]);
    v->base_at = verify_pair_icount(p);
    v->base_console = p->console;
    for (unsigned n = 0; n < 2 && p->reference; n++)
        v->since[n] = phys_track_writes(p->vm[n]);
}

/* On to `until`, or to a difference that nothing explains. */
static enum pair_state advance(struct verifier *v, u64 until)
{
    struct verify_pair *p = &v->pair;
    enum pair_state state = verify_advance(p, until, &v->options);
    bool equal = state != PAIR_DIFFERS && same(v, state == PAIR_ENDED);
    if (equal || !p->reference || host_stop_requested())
        return equal || host_stop_requested() ? state : PAIR_DIFFERS;
    u64 cut = p->cut;
    state = verify_again(p, &v->base, &v->base_console, cut);
    v->result.second_looks++;
    return state != PAIR_DIFFERS && !same(v, true) ? PAIR_DIFFERS : state;
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
    if (!verify_pair_create(&v->pair, o->engines, &o->run, true, message))
        return complain(EXIT_USAGE, message);
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
