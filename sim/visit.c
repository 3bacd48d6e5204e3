#include "sim/visit.h"

#include "sim/complain.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/help.h"
#include "sim/host_linux.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *visit_choice_engine(unsigned n) { return engine_at(n) ? engine_at(n)->name : NULL; }

static void measure(struct visit *v)
{
    struct log_event e = {0};
    struct log_cursor here = log_tell(v->session.reader);
    log_seek_icount(v->session.reader, UINT64_MAX);
    while (log_next(v->session.reader, &e))
        ;
    (void)log_seek(v->session.reader, &here);
    v->length = e.icount;
    v->length_ns = e.icount + e.skipped_ns;
}

bool visit_parse(struct visit *v, const struct option_set *set, int argc, char **argv, struct visit_options *results,
                 const char *usage, int *code)
{
    char message[SESSION_MESSAGE_MAX];
    *code = EXIT_USAGE;
    if (!options_parse_set(set, argc, argv, results, message)) {
        complain(EXIT_USAGE, message);
        return false;
    }
    if (results->help) {
        fputs(usage, stdout);
        help_options(stdout, set->table[0].rows, set->table[0].count, NULL);
        *code = fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
        return false;
    }
    if (!results->log && !results->last && results->words.count) {
        results->log = results->words.item[0];
        memmove(results->words.item, results->words.item + 1, --results->words.count * sizeof results->words.item[0]);
    }
    if (!results->log == !results->last) {
        snprintf(message, sizeof message, "%s: %s; write `reprise %s LOG` or `reprise %s --last`", set->verb,
                 results->log ? "--last is the newest run, and another log is named" : "which log is not said", set->verb,
                 set->verb);
        complain(EXIT_USAGE, message);
        return false;
    }
    if (!session_open(&v->session, results->log, message)) {
        complain(EXIT_USAGE, message);
        return false;
    }
    measure(v);
    return true;
}

static void on_pulse(void *context, struct vm *vm)
{
    struct visit *v = context;
    progress_show(&v->progress, vm->vcpu[0]->cpu.icount);
}

bool visit_begin(struct visit *v, const struct visit_options *o, const char *what, u64 until, int *code)
{
    char message[500];
    v->session.replay.pulse = on_pulse;
    v->session.replay.pulse_context = v;
    *code = session_create(&v->session, engine_find(o->engine));
    if (*code)
        return false;
    v->to = o->output ? fopen(o->output, "we") : stdout;
    if (!v->to) {
        snprintf(message, sizeof message, "--output: %.300s: %s; choose a place where you may write", o->output,
                 strerror(errno));
        *code = complain(EXIT_USAGE, message);
        return false;
    }
    host_catch_signals();
    progress_start(&v->progress, what, until ? until : v->length);
    v->progress.on = isatty(STDERR_FILENO); /* the guest does not speak */
    return true;
}

/* The end of what is known of the run, where a place beyond it was asked for. */
static int beyond(const struct visit *v, enum replay_stop stop, u64 wanted, const char *option)
{
    char message[500];
    u64 end = v->session.vm->vcpu[0]->cpu.icount;
    if (stop == REPLAY_ENDED) {
        snprintf(message, sizeof message, "%s: the recorded run has no instruction %" PRIu64 "; it ends at %" PRIu64, option,
                 wanted, end);
        return complain(EXIT_NOT_THERE, message);
    }
    snprintf(message, sizeof message, "%s: the log %s after instruction %" PRIu64 ", before %" PRIu64 "; give at most %" PRIu64,
             option, log_tail(v->session.reader) == LOG_TAIL_DAMAGED ? "is damaged" : "says no more", end, wanted, end);
    return complain(EXIT_LOG_OUT, message);
}

int visit_judge(struct visit *v, enum replay_stop stop, u64 icount, const char *option)
{
    char message[500];
    const struct replay_divergence *d = &v->session.replay.divergence;
    progress_clear(&v->progress);
    switch (stop) {
    case REPLAY_REACHED:
    case REPLAY_DEBUG: return 0;
    case REPLAY_ENDED:
    case REPLAY_LOG_OUT: {
        u64 here = v->session.vm->vcpu[0]->cpu.icount;
        return icount == UINT64_MAX || here == icount ? 0 : beyond(v, stop, icount, option);
    }
    case REPLAY_DIVERGED:
        snprintf(message, sizeof message,
                 "the replay differs from the recorded run: %s at instruction %" PRIu64 "; `reprise replay --verify` finds out where",
                 d->what, d->icount);
        return complain(EXIT_DIVERGED, message);
    case REPLAY_FAILED: return complain(EXIT_HOST, v->session.failure);
    case REPLAY_STOPPED:
    case REPLAY_INTERRUPTED: return complain(EXIT_QUIT, "ended by a signal");
    }
    return EXIT_HOST;
}

int visit_to(struct visit *v, u64 icount, const char *option)
{
    return visit_judge(v, replay_run(&v->session.replay, icount), icount, option);
}

int visit_end(struct visit *v, const struct visit_options *o, int code)
{
    progress_clear(&v->progress);
    host_console_set_tap(NULL, NULL);
    bool bad = v->to && (fflush(v->to) || ferror(v->to));
    if (v->to && v->to != stdout && fclose(v->to))
        bad = true;
    session_close(&v->session);
    if (!bad)
        return code;
    char message[500];
    snprintf(message, sizeof message, "%.300s: not everything could be written; make room", o->output ? o->output : "the output");
    return complain(EXIT_HOST, message);
}
