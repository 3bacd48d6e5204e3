#include "sim/replay_verb.h"

#include "replay/hash.h"
#include "sim/complain.h"
#include "sim/dump.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/gdb_replay.h"
#include "sim/help.h"
#include "sim/host_linux.h"
#include "sim/outputs.h"
#include "sim/progress.h"
#include "sim/recording.h"
#include "sim/replay_bisect.h"
#include "sim/replay_session.h"
#include "sim/run.h"
#include "sim/snapshot_file.h"
#include "sim/stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct replay_options {
    struct run_options run; /* first: options of both verbs count from here */
    const char *log;
    bool last, verify, follow, go_live;
    u64 to;   /* icount; 0: to the end */
    u64 from; /* icount at which --trace begins */
};

#define FIELD(name) offsetof(struct replay_options, name)
#define GROUP "Replay"

const struct option replay_options_table[] = {
    {"log", 0, OPTION_FILE, FIELD(log), "LOG", NULL, GROUP,
     "The log to replay; --log may be left out. It names machine and images; nothing else is needed.", NULL},
    {"last", 0, OPTION_FLAG, FIELD(last), NULL, NULL, GROUP,
     "Replay the newest of the recent runs that `run` has recorded.", NULL},
    {"to", 0, OPTION_COUNT, FIELD(to), "ICOUNT", NULL, GROUP,
     "Stop when the guest has executed this many instructions, and say where it is.", NULL},
    {"from", 0, OPTION_COUNT, FIELD(from), "ICOUNT", NULL, GROUP, "With --trace: begin to trace here.", NULL},
    {"verify", 0, OPTION_FLAG, FIELD(verify), NULL, NULL, GROUP,
     "Compare the state with the hashes in the log. A difference ends the replay with exit code 16; if another engine "
     "has recorded the run, both are then run in step to find the first instruction that differs.", NULL},
    {"follow", 0, OPTION_FLAG, FIELD(follow), NULL, NULL, GROUP,
     "Replay a run that is still being recorded, behind it, until it ends.", NULL},
    {"go-live", 0, OPTION_FLAG, FIELD(go_live), NULL, NULL, GROUP,
     "With --to: leave the recorded run there and go on as a run of its own, with input from here. It is recorded as "
     "other runs are, from its very beginning.", NULL},
};
const unsigned replay_options_count = ARRAY_LEN(replay_options_table);

/* Options of `run` that describe the machine come from the log. */
static const char *const without[] = {"kernel", "initrd", "append", "module", "memory", "cpu", "rtc", "debug-exit", "reset",
                                      "restore", "at", "embed", "uncompressed", "chaos", "shadow-memory",
                                      "code-cache", NULL};
/* Those of a run that goes live. */
static const char *const live_only = "--record, --no-record, --clock and --max-insns";

struct replaying {
    struct replay_options options;
    struct replay_session session;
    struct trace trace;
    char trace_path[4096];
    struct run_summary summary;
    struct progress progress;
};

static bool parse(int argc, char **argv, struct replaying *r, char *message)
{
    const struct option_set set = {
        .verb = "replay",
        .table = {{replay_options_table, replay_options_count}, {run_options_table, run_options_count}},
        .without = without,
        .bare = "log",
    };
    struct replay_options *o = &r->options;
    if (!options_parse_set(&set, argc, argv, o, message))
        return false;
    if (o->run.help)
        return true;
    if (!o->log == !o->last) {
        snprintf(message, MESSAGE_MAX, "%s; write `reprise replay LOG` or `reprise replay --last`",
                 o->log ? "--last is the newest run, and another log is named"
                        : "which log is to be replayed is not said");
        return false;
    }
    if (o->run.snapshot_to && !o->to) {
        snprintf(message, MESSAGE_MAX, "--snapshot-to: of which moment is not said; add --to ICOUNT");
        return false;
    }
    if (o->go_live && !o->to) {
        snprintf(message, MESSAGE_MAX, "--go-live: where is not said; add --to ICOUNT");
        return false;
    }
    if (!o->go_live && (o->run.record || o->run.no_record || o->run.max_insns || strcmp(o->run.clock, "auto"))) {
        snprintf(message, MESSAGE_MAX, "%s are for a run that goes live; add --go-live, or leave them out", live_only);
        return false;
    }
    return trace_parse(o->run.trace, &r->trace, r->trace_path, sizeof r->trace_path, message);
}

static void on_pulse(void *context, struct vm *vm)
{
    struct replaying *r = context;
    host_console_flush();
    progress_show(&r->progress, vm->vcpu[0]->cpu.icount);
}

static int stopped_by_host(void)
{
    switch (host_stop_reason()) {
    case STOP_REASON_TIMEOUT: return complain(EXIT_LIMIT, "the time limit (--timeout) is reached");
    case STOP_REASON_OUTPUT: return EXIT_HOST; /* report() says so */
    default: return complain(EXIT_QUIT, "ended by a signal");
    }
}

static int diverged(const struct replay_session *s)
{
    const struct replay_divergence *d = &s->replay.divergence;
    const char *there = s->reader->machine.host, *here = recording_host_processor();
    char message[700], hashes[100] = "", interval[100] = "--verify finds out since when", hint[250] = "";
    if (d->wanted != d->have)
        snprintf(hashes, sizeof hashes, " (%016" PRIx64 " in the log, %016" PRIx64 " here)", d->wanted, d->have);
    if (s->replay.verify)
        snprintf(interval, sizeof interval, "it was the same at instruction %" PRIu64, d->good);
    if (strcmp(there, here))
        snprintf(hint, sizeof hint, " (recorded on \"%.80s\", and this is \"%.80s\": flags that are undefined may differ)",
                 there, here);
    snprintf(message, sizeof message, "the replay differs from the recorded run: %s%s at instruction %" PRIu64 "; %s%s",
             d->what, hashes, d->icount, interval, hint);
    return complain(EXIT_DIVERGED, message);
}

/* What the recorded run returned. */
static int ended(const struct replay_session *s, const char **stop)
{
    static const struct {
        int code;
        const char *stop, *message;
    } endings[LOG_ENDINGS] = {
        [LOG_END_HOST] = {EXIT_QUIT, "host", "here the recorded run was ended from outside"},
        [LOG_END_LIMIT] = {EXIT_LIMIT, "max-insns", "here the recorded run reached its instruction limit"},
        [LOG_END_POWER_OFF] = {EXIT_POWER_OFF, "power-off", NULL},
        [LOG_END_DEBUG_EXIT] = {0, "debug-exit", NULL},
        [LOG_END_TRIPLE_FAULT] = {EXIT_GUEST, "triple-fault", "the guest failed: triple fault"},
        [LOG_END_RESET] = {EXIT_RESET, "reset", "the guest asked for a reset"},
        [LOG_END_IDLE] = {EXIT_IDLE, "idle", "the guest waits, and nothing came any more"},
    };
    enum log_ending ending = s->replay.ending;
    int code = ending == LOG_END_DEBUG_EXIT ? (int)((s->replay.exit_value << 1 | 1) & 0xff) : endings[ending].code;
    *stop = endings[ending].stop;
    return endings[ending].message ? complain(code, endings[ending].message) : code;
}

static int log_is_out(const struct replay_session *s, const char **stop)
{
    char message[4400];
    bool damaged = log_tail(s->reader) == LOG_TAIL_DAMAGED;
    snprintf(message, sizeof message, "%.4000s: %s after instruction %" PRIu64 "; so far the run is repeated", s->path,
             damaged                ? "is damaged"
             : session_is_live(s) ? "is still being written, --follow waits for more;"
                                    : "was not written to its end, and says no more",
             s->vm->vcpu[0]->cpu.icount);
    *stop = "log-out";
    return complain(EXIT_LOG_OUT, message);
}

static int reached(struct replaying *r, const char **stop)
{
    struct vcpu *v = r->session.vm->vcpu[0];
    host_console_flush();
    progress_clear(&r->progress);
    fprintf(stderr, "reprise: at instruction %" PRIu64 ", %.9f virtual seconds\n", v->cpu.icount,
            (double)vm_now(r->session.vm) / 1e9);
    dump_vcpu(stderr, v);
    *stop = "to";
    char message[SNAPSHOT_MESSAGE_MAX];
    if (r->options.run.snapshot_to && !snapshot_write(r->options.run.snapshot_to, r->session.vm, message))
        return complain(EXIT_HOST, message);
    return EXIT_POWER_OFF;
}

/* Runs on while a live log grows. */
static enum replay_stop run_to(struct replaying *r, u64 to)
{
    struct replay_session *s = &r->session;
    for (;;) {
        bool live = r->options.follow && session_is_live(s); /* asked first: what it wrote last is then seen */
        enum replay_stop stop = replay_run(&s->replay, to);
        if (stop != REPLAY_LOG_OUT || !live || log_tail(s->reader) != LOG_TAIL_CUT)
            return stop;
        host_console_flush();
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        if (host_stop_requested())
            return REPLAY_STOPPED;
    }
}

/* Instruction by instruction, each told before it executes. */
static enum replay_stop run_traced(struct replaying *r, u64 to)
{
    struct vm *vm = r->session.vm;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    enum replay_stop stop = REPLAY_REACHED;
    while ((stop == REPLAY_REACHED || stop == REPLAY_DEBUG) && c->icount < to) {
        trace_before_step(&r->trace, vm);
        stop = run_to(r, c->icount + 1);
        trace_after_step(&r->trace, vm);
    }
    return stop;
}

static enum replay_stop run(struct replaying *r)
{
    struct vm *vm = r->session.vm;
    u64 to = r->options.to ? r->options.to : UINT64_MAX;
    if (r->options.from) {
        trace_connect(&r->trace, vm, false);
        enum replay_stop stop = run_to(r, r->options.from < to ? r->options.from : to);
        trace_connect(&r->trace, vm, true);
        if (stop != REPLAY_REACHED)
            return stop;
    }
    return r->trace.instructions ? run_traced(r, to) : run_to(r, to);
}

static int finish(struct replaying *r, enum replay_stop stop, const char **why)
{
    struct replay_session *s = &r->session;
    switch (stop) {
    case REPLAY_REACHED: return reached(r, why);
    case REPLAY_ENDED: return ended(s, why);
    case REPLAY_LOG_OUT: return log_is_out(s, why);
    case REPLAY_DIVERGED: *why = "diverged"; return diverged(s);
    case REPLAY_STOPPED: *why = "host"; return stopped_by_host();
    case REPLAY_DEBUG:
    case REPLAY_INTERRUPTED: break; /* no debugger here */
    case REPLAY_FAILED: *why = "reset"; return complain(EXIT_HOST, s->failure);
    }
    return EXIT_HOST;
}

static int report(struct replaying *r, enum replay_stop stop)
{
    char message[STATS_MESSAGE_MAX];
    struct replay_session *s = &r->session;
    host_console_flush();
    progress_clear(&r->progress);
    int code = finish(r, stop, &r->summary.stop);
    if (host_output_lost())
        code = complain(EXIT_HOST, "the guest's output can no longer be written");
    r->summary.resets = s->replay.place.resets;
    if (r->options.verify && stop != REPLAY_DIVERGED)
        fprintf(stderr, "reprise: %" PRIu64 " state hashes are equal\n", s->replay.place.hashes);
    if (stop == REPLAY_DIVERGED && r->options.verify)
        replay_bisect(s->path, s->vm->config.engine, &s->replay.divergence);
    if (!trace_finish(&r->trace))
        code = complain(EXIT_HOST, "--trace: not everything could be written; make room");
    r->summary.exit_code = code;
    if (r->options.run.stats && !stats_write(r->options.run.stats, s->vm, &r->summary, message))
        code = complain(EXIT_HOST, message);
    return code;
}

/* The options of the run that the replay will become: what belongs to the machine comes from the log. */
static bool prepare_live(struct replaying *r, char *message)
{
    const struct log_machine *m = &r->session.reader->machine;
    struct run_options o = r->options.run;
    o.kernel = r->session.images.item[0].path;
    o.append = m->append;
    o.reset = m->reset_exits ? "exit" : "reload";
    return run_record(r->session.vm, &o, &r->session.images, message);
}

static int go_live(struct replaying *r)
{
    struct vm *vm = r->session.vm;
    host_console_flush();
    progress_clear(&r->progress);
    fprintf(stderr, "reprise: the recorded run is left at instruction %" PRIu64 "; what follows is a run of its own\n",
            vm->vcpu[0]->cpu.icount);
    int code = run_go_live();
    return trace_finish(&r->trace) ? code : complain(EXIT_HOST, "--trace: not everything could be written; make room");
}

static int execute(struct replaying *r)
{
    char message[IMAGES_MESSAGE_MAX];
    struct replay_session *s = &r->session;
    u64 started = host_nanoseconds();
    s->images.keep = r->options.go_live;
    s->replay.verify = r->options.verify;
    s->replay.pulse = on_pulse;
    s->replay.pulse_context = r;
    int code = session_create(s, engine_find(r->options.run.engine));
    if (code)
        return code;
    if (!outputs_open(&r->options.run, &r->trace, s->vm, message))
        return complain(EXIT_USAGE, message);
    if (r->options.go_live && !prepare_live(r, message))
        return complain(EXIT_USAGE, message);
    host_catch_signals();
    if (r->options.run.timeout && host_start_timer(r->options.run.timeout) != STATUS_OK)
        return complain(EXIT_HOST, "--timeout: the host gives no timer; run without it");
    if (r->options.run.gdb && !r->options.go_live)
        return gdb_replay(s, r->options.run.gdb, &r->options.run);
    progress_start(&r->progress, "replaying", r->options.to ? r->options.to : session_length(s));
    u64 begin = host_nanoseconds();
    enum replay_stop stop = run(r);
    if (r->options.go_live && stop == REPLAY_REACHED)
        return go_live(r);
    r->summary.startup_ns = begin - started;
    r->summary.host_ns = host_nanoseconds() - begin;
    return report(r, stop);
}

int verb_replay(int argc, char **argv)
{
    static struct replaying r;
    char message[SESSION_MESSAGE_MAX];
    if (!parse(argc, argv, &r, message))
        return complain(EXIT_USAGE, message);
    if (r.options.run.help) {
        printf("Usage: reprise replay LOG|--last [OPTIONS]\n");
        help_options(stdout, replay_options_table, replay_options_count, NULL);
        help_options(stdout, run_options_table, run_options_count, without);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!session_open(&r.session, r.options.log, message))
        return complain(EXIT_USAGE, message);
    int code = execute(&r);
    session_close(&r.session);
    return code;
}
