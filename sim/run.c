#include "sim/run.h"

#include "core/boot.h"
#include "core/vm.h"
#include "replay/wall.h"
#include "sim/complain.h"
#include "sim/dump.h"
#include "sim/exit_code.h"
#include "sim/files.h"
#include "sim/gdb_live.h"
#include "sim/help.h"
#include "sim/host_linux.h"
#include "sim/images.h"
#include "sim/input.h"
#include "sim/machine.h"
#include "sim/options.h"
#include "sim/outputs.h"
#include "sim/recording.h"
#include "sim/snapshot_file.h"
#include "sim/stats.h"
#include "sim/terminal.h"
#include "sim/trace.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Between two looks at the keyboard: some 30 ms of host time in the interpreter. */
static const u64 slice = 2000000;
/* Between two looks at the real clock. */
static const u64 wall_slice = 100000;
/* A pause shorter than this is not worth a system call. */
static const u64 shortest_pause_ns = 100000;
/* A busy guest's keyboard is looked at this often. */
static const u64 poll_every_ns = 5000000;

struct run {
    struct run_options options;
    struct vm *vm;
    struct trace trace;
    char trace_path[4096];
    struct input input;
    struct snapshot *restored; /* NULL: the machine is booted */
    u64 polled_at; /* host time of the last look at the keyboard */
    u64 slice_end; /* icount of the next look: where input comes in must not depend on whether somebody records */
    struct gdb_server *gdb; /* NULL: none */
    struct gdb_live gdb_live;
    struct run_summary summary;
    struct image_set *images, own_images; /* own, or a replay's */
    struct recording recording;
    struct wall wall;
};

/* How a run ended. */
struct ending {
    int code;
    const char *stop;    /* for --stats */
    const char *message; /* NULL: nothing to say */
    enum log_ending logged;
};

static void input_open(struct run *run)
{
    const char *clock = run->options.clock;
    run->input.open = !strcmp(run->options.serial, "stdio");
    if (run->input.open && isatty(STDIN_FILENO)) {
        /* In the background of a shell, reading would stop us. */
        run->input.terminal = terminal_enter();
        run->input.open = run->input.terminal;
    }
    run->wall.on = !strcmp(clock, "wall") || (!strcmp(clock, "auto") && run->input.terminal);
}

/* Input for a guest that waits: what time it is comes first. */
static bool feed_waiting(struct run *run)
{
    if (!run->input.count)
        return false;
    wall_catch_up(&run->wall, run->vm, host_nanoseconds());
    return input_feed(&run->input, run->vm);
}

/* The guest is halted: lets time pass until the next timer or input. False if nothing can ever wake it. */
static bool wait_for_event(struct run *run)
{
    struct vm *vm = run->vm;
    u64 wake = vm_wake_time(vm), pause;
    host_console_flush();
    input_poll(&run->input, vm, 0);
    if (feed_waiting(run))
        return true;
    if (wake == CLOCK_NEVER) {
        recording_flush(&run->recording);
        input_poll(&run->input, vm, NS_PER_SECOND);
        return feed_waiting(run) || run->input.open || host_stop_requested();
    }
    recording_pulse(&run->recording);
    while ((pause = wall_until(&run->wall, wake, host_nanoseconds())) > shortest_pause_ns && !host_stop_requested())
        if (input_poll(&run->input, vm, pause) && feed_waiting(run))
            return true;
    if (!host_stop_requested())
        vm_skip_to(vm, wake);
    return true;
}

/* Without firmware a reset boots the same images again. Memory keeps what they do not overwrite; time goes on. */
static bool reboot(struct run *run)
{
    char message[IMAGES_MESSAGE_MAX];
    struct boot_report report;
    if (!run->options.kernel) {
        complain(EXIT_RESET, "the guest resets the machine, and nothing is there to boot; give --kernel with --restore");
        return false;
    }
    run->summary.resets++;
    vm_reset(run->vm);
    if (images_boot_set(run->vm, run->images, &report, message))
        return true;
    complain(EXIT_HOST, message);
    return false;
}

static const char output_lost_message[] = "the guest's output can no longer be written";

static struct ending stopped_by_host(void)
{
    const enum log_ending host = LOG_END_HOST;
    switch (host_stop_reason()) {
    case STOP_REASON_TIMEOUT:
        return (struct ending){EXIT_LIMIT, "timeout", "the time limit (--timeout) is reached", host};
    case STOP_REASON_OUTPUT:
        return (struct ending){EXIT_HOST, "output", output_lost_message, host};
    case STOP_REASON_USER: return (struct ending){EXIT_QUIT, "user", "ended by Ctrl-A x", host};
    default: return (struct ending){EXIT_QUIT, "signal", "ended by a signal", host};
    }
}

/* The ending of a run that stops by itself. */
static struct ending ending_of(const struct run *run, enum vm_stop stop)
{
    switch (stop) {
    case VM_STOP_ICOUNT:
        return (struct ending){
            EXIT_LIMIT, "max-insns", "the instruction limit (--max-insns) is reached", LOG_END_LIMIT};
    case VM_STOP_WAIT_INPUT:
        return (struct ending){
            EXIT_IDLE, "idle", "the guest waits for input, and none can come any more", LOG_END_IDLE};
    case VM_STOP_IDLE:
        return (struct ending){
            EXIT_IDLE, "idle", "the guest halted with interrupts off; nothing can wake it", LOG_END_IDLE};
    case VM_STOP_RESET:
        if (!strcmp(run->options.reset, "exit"))
            return (struct ending){EXIT_RESET, "reset", "the guest asked for a reset", LOG_END_RESET};
        return (struct ending){EXIT_HOST, "reset", NULL, LOG_ENDINGS}; /* the images could not be booted again */
    case VM_STOP_POWER_OFF: return (struct ending){EXIT_POWER_OFF, "power-off", NULL, LOG_END_POWER_OFF};
    case VM_STOP_DEBUG_EXIT:
        return (struct ending){(int)((run->vm->exit_value << 1 | 1) & 0xff), "debug-exit", NULL, LOG_END_DEBUG_EXIT};
    case VM_STOP_TRIPLE_FAULT:
        return (struct ending){EXIT_GUEST, "triple-fault", "the guest failed: triple fault", LOG_END_TRIPLE_FAULT};
    case VM_STOP_HOST:
    case VM_STOP_DEBUG: break;
    }
    return stopped_by_host();
}

/* Does the run go on after this stop? */
static bool goes_on(struct run *run, enum vm_stop stop)
{
    const struct run_options *o = &run->options;
    switch (stop) {
    case VM_STOP_ICOUNT: return !o->max_insns || run->vm->vcpu[0]->cpu.icount < o->max_insns;
    case VM_STOP_WAIT_INPUT: return wait_for_event(run);
    case VM_STOP_DEBUG: return true; /* the run loop tells gdb */
    case VM_STOP_RESET: return strcmp(o->reset, "exit") && reboot(run);
    default: return false;
    }
}

/* How far to run until something else wants to be looked at. */
static u64 next_stop(const struct run *run)
{
    u64 limit = run->options.max_insns ? run->options.max_insns : UINT64_MAX;
    u64 icount = run->vm->vcpu[0]->cpu.icount;
    u64 until = run->trace.instructions ? icount + 1 : run->slice_end;
    if (run->options.at > icount && run->options.at < until)
        until = run->options.at;
    if (run->recording.on && run->recording.recorder.next < until)
        until = run->recording.recorder.next;
    if (run->gdb && gdb_server_until(run->gdb) < until)
        until = gdb_server_until(run->gdb);
    return until < limit ? until : limit;
}

/* Between two slices of guest code. */
static void attend(struct run *run)
{
    u64 now = host_nanoseconds();
    run->slice_end = run->vm->vcpu[0]->cpu.icount + (run->wall.on ? wall_slice : slice);
    wall_follow(&run->wall, run->vm, now);
    if (run->wall.on && now - run->polled_at < poll_every_ns)
        return;
    run->polled_at = now;
    host_console_flush();
    input_poll(&run->input, run->vm, 0);
    input_feed(&run->input, run->vm);
    recording_pulse(&run->recording);
}

/* Lets gdb do what it wants while the guest stands still. False: gdb has ended the run. */
static bool attend_gdb(struct run *run, enum vm_stop stop)
{
    u64 before = host_nanoseconds();
    if (!gdb_server_attend(run->gdb, stop))
        return false;
    if (run->wall.on && host_nanoseconds() - before > poll_every_ns)
        wall_start(&run->wall, run->vm, host_nanoseconds()); /* no virtual time has passed */
    return true;
}

/* gdb is about to change the guest: what follows is no function of the log any more. */
static void before_change(void *context)
{
    struct run *run = context;
    if (!run->recording.on)
        return;
    complain(0, "recording ends here, the run goes on: gdb changes the guest");
    recording_finish(&run->recording, LOG_END_HOST);
    run->recording.wanted = false; /* nothing more is missed */
}

static int gdb_start(struct run *run)
{
    char message[GDB_MESSAGE_MAX];
    if (!run->options.gdb)
        return 0;
    gdb_live_prepare(&run->gdb_live, run->vm, &run->recording, &run->options);
    if (!gdb_server_open(run->options.gdb, run->vm, &run->gdb_live.time, &run->gdb, message))
        return complain(EXIT_USAGE, message);
    gdb_live_attach(&run->gdb_live, run->gdb);
    gdb_server_on_change(run->gdb, before_change, run);
    return 0;
}

static void gdb_finish(struct run *run)
{
    if (!run->gdb)
        return;
    gdb_live_close(&run->gdb_live);
    gdb_server_close(run->gdb);
}

static const struct ending ended_by_gdb = {EXIT_QUIT, "gdb", "ended by gdb", LOG_END_HOST};

/* Writes the machine to the file of --snapshot-to. False: it could not be written, which the user has been told. */
static bool take_snapshot(struct run *run)
{
    char message[SNAPSHOT_MESSAGE_MAX];
    if (snapshot_write(run->options.snapshot_to, run->vm, message))
        return true;
    complain(EXIT_HOST, message);
    return false;
}

static const struct ending no_snapshot = {EXIT_HOST, "snapshot", NULL, LOG_END_HOST};

static struct ending run_loop(struct run *run)
{
    const struct cpu *c = &run->vm->vcpu[0]->cpu;
    run->slice_end = c->icount + (run->wall.on ? wall_slice : slice);
    if (run->gdb && !attend_gdb(run, VM_STOP_ICOUNT))
        return ended_by_gdb;
    for (;;) {
        if (run->trace.instructions)
            trace_before_step(&run->trace, run->vm);
        enum vm_stop stop = vm_run(run->vm, next_stop(run));
        if (run->trace.instructions)
            trace_after_step(&run->trace, run->vm);
        if (stop == VM_STOP_ICOUNT && run->recording.on)
            recorder_checkpoint(&run->recording.recorder, run->vm);
        if (stop == VM_STOP_ICOUNT && run->options.at == c->icount && run->options.at && !take_snapshot(run))
            return no_snapshot;
        if (!goes_on(run, stop))
            return ending_of(run, stop);
        if (run->gdb && !attend_gdb(run, stop))
            return ended_by_gdb;
        if (stop != VM_STOP_ICOUNT || c->icount >= run->slice_end)
            attend(run);
    }
}

/* Reports; returns the exit code. */
static int finish(struct run *run, struct ending end)
{
    char message[STATS_MESSAGE_MAX];
    terminal_restore();
    host_console_flush();
    if (host_output_lost()) { /* perhaps only now: the guest may have ended before its last output was written */
        end.code = EXIT_HOST;
        end.message = output_lost_message;
        end.stop = "output";
    }
    if (end.message)
        complain(end.code, end.message);
    if (end.code == EXIT_GUEST) {
        struct vcpu *v = run->vm->vcpu[0];
        fprintf(stderr, "last exceptions, the newest last\n");
        trace_show_recent(&run->trace, stderr);
        dump_vcpu(stderr, v);
    }
    if (run->options.snapshot_to && !run->options.at && !take_snapshot(run))
        end.code = EXIT_HOST;
    if (run->gdb)
        gdb_server_ended(run->gdb, (unsigned)end.code, end.code == EXIT_GUEST);
    if (!recording_finish(&run->recording, end.logged))
        end.code = EXIT_HOST;
    if (!trace_finish(&run->trace))
        end.code = complain(EXIT_HOST, "--trace: not everything could be written; make room");
    run->summary.stop = end.stop;
    run->summary.exit_code = end.code;
    if (run->options.stats && !stats_write(run->options.stats, run->vm, &run->summary, message))
        end.code = complain(EXIT_HOST, message);
    return end.code;
}

static struct run the_run = {.images = &the_run.own_images};

/* Boots the machine, or gives it the state of the snapshot. */
static bool power_on(struct run *run, char *message)
{
    struct boot_report report;
    if (run->options.kernel && !images_from_options(run->images, &run->options, message))
        return false;
    if (run->restored && !snapshot_load(run->restored, run->vm, message))
        return false;
    if (run->restored && run->options.chaos.kinds)
        chaos_start(run->vm); /* another seed than the snapshot's, from here on */
    if (run->restored)
        return true;
    recording_prepare(&run->recording, &run->options, run->vm, run->images);
    run->recording.wall = run->wall.on;
    return images_boot_set(run->vm, run->images, &report, message);
}

static int execute(struct run *run, u64 started)
{
    char message[IMAGES_MESSAGE_MAX];
    input_open(run);
    if (!power_on(run, message) || !outputs_open(&run->options, &run->trace, run->vm, message) ||
        !recording_start(&run->recording, message))
        return complain(EXIT_USAGE, message);
    host_catch_signals();
    if (run->options.timeout && host_start_timer(run->options.timeout) != STATUS_OK)
        return complain(EXIT_HOST, "--timeout: the host gives no timer; run without it");
    int code = gdb_start(run);
    if (code)
        return code;
    u64 begin = host_nanoseconds();
    run->summary.startup_ns = begin - started;
    if (run->wall.on)
        wall_start(&run->wall, run->vm, host_nanoseconds());
    struct ending end = run_loop(run);
    run->summary.host_ns = host_nanoseconds() - begin;
    return finish(run, end);
}

bool run_record(struct vm *vm, const struct run_options *options, struct image_set *images,
                char message[IMAGES_MESSAGE_MAX])
{
    the_run.options = *options;
    the_run.vm = vm;
    the_run.images = images;
    input_open(&the_run);
    recording_prepare(&the_run.recording, &the_run.options, vm, images);
    the_run.recording.wall = the_run.wall.on;
    bool ok = recording_start(&the_run.recording, message);
    images->keep = false;
    images_release(images);
    return ok;
}

int run_go_live(void)
{
    int code = gdb_start(&the_run);
    if (code)
        return code;
    u64 begin = host_nanoseconds();
    if (the_run.wall.on)
        wall_start(&the_run.wall, the_run.vm, host_nanoseconds());
    struct ending end = run_loop(&the_run);
    the_run.summary.host_ns = host_nanoseconds() - begin;
    code = finish(&the_run, end);
    gdb_finish(&the_run);
    return code;
}

int verb_run(int argc, char **argv)
{
    u64 started = host_nanoseconds();
    char message[MESSAGE_MAX];
    if (!options_parse(argc, argv, &the_run.options, message))
        return complain(EXIT_USAGE, message);
    if (the_run.options.help) {
        help_run(stdout);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!options_check(&the_run.options, message) ||
        !trace_parse(the_run.options.trace, &the_run.trace, the_run.trace_path, sizeof the_run.trace_path, message))
        return complain(EXIT_USAGE, message);
    struct vm_config config = machine_config(&the_run.options);
    const struct engine *engine = config.engine;
    if (the_run.options.restore && !snapshot_open(the_run.options.restore, &the_run.restored, &config, message))
        return complain(EXIT_USAGE, message);
    config.engine = engine;
    config.shadow_bytes = the_run.options.shadow_memory;
    config.code_bytes = the_run.options.code_cache;
    if (the_run.options.chaos.kinds)
        config.chaos = the_run.options.chaos;
    int code = machine_create(&the_run.vm, &config);
    if (!code)
        code = execute(&the_run, started);
    gdb_finish(&the_run);
    if (the_run.restored)
        snapshot_close(the_run.restored);
    if (the_run.vm)
        vm_destroy(the_run.vm);
    return code;
}
