#include "sim/run.h"

#include "core/boot.h"
#include "core/vm.h"
#include "sim/dump.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/files.h"
#include "sim/help.h"
#include "sim/host_linux.h"
#include "sim/images.h"
#include "sim/input.h"
#include "sim/options.h"
#include "sim/stats.h"
#include "sim/terminal.h"
#include "sim/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Between two looks at the keyboard: some 30 ms of host time. */
static const u64 slice = 2000000;
/* A pause shorter than this is not worth a system call. */
static const u64 shortest_pause_ns = 100000;

struct run {
    struct run_options options;
    struct vm *vm;
    struct trace trace;
    char trace_path[4096];
    struct input input;
    struct run_summary summary;
    bool paced;
};

/* How a run ended. */
struct ending {
    int code;
    const char *stop;    /* for --stats */
    const char *message; /* NULL: nothing to say */
};

static int complain(int code, const char *message)
{
    terminal_restore();
    host_console_flush();
    if (host_console_midline(STDOUT_FILENO) && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    fprintf(stderr, "reprise: %s\n", message);
    return code;
}

/* Zero, or the exit code of what went wrong. */
static int machine_create(struct run *run)
{
    const struct run_options *o = &run->options;
    const struct vm_config config = {
        .ram_bytes = o->memory,
        .model = cpu_model_find(o->cpu),
        .engine = engine_find(o->engine),
        .debug_exit = o->debug_exit,
        .rtc_start = o->rtc,
    };
    char message[200];
    enum status status = vm_create(&run->vm, &config);
    if (status == STATUS_OK)
        return 0;
    if (status == STATUS_UNSUPPORTED)
        snprintf(message, sizeof message,
                 "--cpu %s: this host's processor lacks %s; `reprise list` shows models that work", config.model->name,
                 feature_name(cpu_model_missing_on_host(config.model)));
    else
        snprintf(message, sizeof message, "the host refuses memory for a guest of %llu MiB; give less with -m",
                 (unsigned long long)(o->memory >> 20));
    return complain(EXIT_HOST, message);
}

static bool names_file(const char *output)
{
    return output && strcmp(output, "stdio") && strcmp(output, "stderr") && strcmp(output, "none");
}

/* Could `path` be opened for writing? Creates nothing. */
static bool output_check(const char *option, const char *path, char message[FILE_MESSAGE_MAX])
{
    char why[FILE_MESSAGE_MAX];
    struct stat st;
    bool plain = !stat(path, &st) && !S_ISDIR(st.st_mode) && strcmp(option, "stats");
    if (plain && !access(path, W_OK))
        return true;
    if (!plain && report_check(path, why))
        return true;
    if (plain)
        snprintf(why, sizeof why, "%.200s: %s; choose a file that you may write", path, strerror(errno));
    snprintf(message, FILE_MESSAGE_MAX, "--%s: %.370s", option, why);
    return false;
}

/* Everything is checked before the first file is truncated, so that an error leaves nothing half-written. */
static bool outputs_check(const struct run *run, char message[FILE_MESSAGE_MAX])
{
    const struct run_options *o = &run->options;
    return (!names_file(o->serial) || output_check("serial", o->serial, message)) &&
           (!names_file(o->debug_console) || output_check("debug-console", o->debug_console, message)) &&
           (!run->trace.path || output_check("trace", run->trace.path, message)) &&
           (!o->stats || output_check("stats", o->stats, message));
}

static bool attach(enum host_channel channel, const char *option, const char *where, char message[FILE_MESSAGE_MAX])
{
    int fd = -1;
    if (!strcmp(where, "stdio"))
        fd = STDOUT_FILENO;
    else if (!strcmp(where, "stderr"))
        fd = STDERR_FILENO;
    else if (strcmp(where, "none") && (fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        snprintf(message, FILE_MESSAGE_MAX, "--%s: %.200s: %s; choose a place where you may write", option, where,
                 strerror(errno));
        return false;
    }
    host_console_attach(channel, fd);
    return true;
}

static bool outputs_open(struct run *run, char message[FILE_MESSAGE_MAX])
{
    const struct run_options *o = &run->options;
    return outputs_check(run, message) && attach(HOST_COM1, "serial", o->serial, message) &&
           attach(HOST_DEBUG_CONSOLE, "debug-console", o->debug_console, message) &&
           trace_start(&run->trace, run->vm, message);
}

static void input_open(struct run *run)
{
    const char *pace = run->options.pace;
    run->input.open = !strcmp(run->options.serial, "stdio");
    if (run->input.open && isatty(STDIN_FILENO)) {
        /* In the background of a shell, reading would stop us. */
        run->input.terminal = terminal_enter();
        run->input.open = run->input.terminal;
    }
    run->paced = !strcmp(pace, "real") || (!strcmp(pace, "auto") && run->input.terminal);
}

/* The guest is halted: lets time pass until the next timer or input. False if nothing can ever wake it. */
static bool wait_for_event(struct run *run)
{
    struct vm *vm = run->vm;
    u64 wake = vm_wake_time(vm);
    host_console_flush();
    input_poll(&run->input, vm, 0);
    if (input_feed(&run->input, vm))
        return true;
    if (wake == CLOCK_NEVER) {
        input_poll(&run->input, vm, NS_PER_SECOND);
        return input_feed(&run->input, vm) || run->input.open || host_stop_requested();
    }
    u64 pause = wake > vm_now(vm) ? wake - vm_now(vm) : 0;
    if (run->paced && pause > shortest_pause_ns) {
        u64 now = host_nanoseconds(), end = now + pause;
        for (; now < end && !host_stop_requested(); now = host_nanoseconds())
            if (input_poll(&run->input, vm, end - now) && input_feed(&run->input, vm))
                return true;
    }
    if (!host_stop_requested())
        vm_skip_to(vm, wake);
    return true;
}

/* Without firmware a reset boots the same images again. Memory keeps what they do not overwrite; time goes on. */
static bool reboot(struct run *run)
{
    char message[IMAGES_MESSAGE_MAX];
    struct boot_report report;
    run->summary.resets++;
    vm_reset(run->vm);
    if (images_boot(run->vm, &run->options, &report, message))
        return true;
    complain(EXIT_HOST, message);
    return false;
}

static struct ending stopped_by_host(void)
{
    switch (host_stop_reason()) {
    case STOP_REASON_TIMEOUT: return (struct ending){EXIT_LIMIT, "timeout", "the time limit (--timeout) is reached"};
    case STOP_REASON_OUTPUT: return (struct ending){EXIT_HOST, "output", "the guest's output can no longer be written"};
    case STOP_REASON_USER: return (struct ending){EXIT_QUIT, "user", "ended by Ctrl-A x"};
    default: return (struct ending){EXIT_QUIT, "signal", "ended by a signal"};
    }
}

/* What a stop means. True if the run goes on. */
static bool handle_stop(struct run *run, enum vm_stop stop, struct ending *end)
{
    const struct run_options *o = &run->options;
    switch (stop) {
    case VM_STOP_ICOUNT:
        *end = (struct ending){EXIT_LIMIT, "max-insns", "the instruction limit (--max-insns) is reached"};
        return !o->max_insns || run->vm->vcpu[0]->cpu.icount < o->max_insns;
    case VM_STOP_WAIT_INPUT:
        *end = (struct ending){EXIT_IDLE, "idle", "the guest waits for input, and none can come any more"};
        return wait_for_event(run);
    case VM_STOP_IDLE:
        *end = (struct ending){EXIT_IDLE, "idle", "the guest halted with interrupts off; nothing can wake it"};
        return false;
    case VM_STOP_RESET:
        *end = !strcmp(o->reset, "exit") ? (struct ending){EXIT_RESET, "reset", "the guest asked for a reset"}
                                         : (struct ending){EXIT_HOST, "reset", NULL};
        return strcmp(o->reset, "exit") && reboot(run);
    case VM_STOP_POWER_OFF: *end = (struct ending){EXIT_POWER_OFF, "power-off", NULL}; return false;
    case VM_STOP_DEBUG_EXIT:
        *end = (struct ending){(int)((run->vm->exit_value << 1 | 1) & 0xff), "debug-exit", NULL};
        return false;
    case VM_STOP_TRIPLE_FAULT:
        *end = (struct ending){EXIT_GUEST, "triple-fault", "the guest failed: triple fault"};
        return false;
    case VM_STOP_HOST: *end = stopped_by_host(); return false;
    }
    return false;
}

static struct ending run_loop(struct run *run)
{
    const struct cpu *c = &run->vm->vcpu[0]->cpu;
    u64 limit = run->options.max_insns ? run->options.max_insns : UINT64_MAX;
    bool stepping = run->trace.instructions;
    struct ending end;
    for (;;) {
        u64 until = c->icount + (stepping ? 1 : slice);
        if (stepping && c->activity == ACTIVITY_RUNNING)
            trace_instruction(&run->trace, run->vm);
        enum vm_stop stop = vm_run(run->vm, until < limit ? until : limit);
        if (!handle_stop(run, stop, &end))
            return end;
        if (stepping && c->icount & 0xffff)
            continue;
        host_console_flush();
        input_poll(&run->input, run->vm, 0);
        input_feed(&run->input, run->vm);
    }
}

/* Reports; returns the exit code. */
static int finish(struct run *run, struct ending end)
{
    char message[STATS_MESSAGE_MAX];
    terminal_restore();
    host_console_flush();
    if (end.message)
        complain(end.code, end.message);
    if (end.code == EXIT_GUEST) {
        struct vcpu *v = run->vm->vcpu[0];
        fprintf(stderr, "last exceptions, the newest last\n");
        trace_show_recent(&run->trace, stderr);
        dump_vcpu(stderr, v);
    }
    if (!trace_finish(&run->trace))
        end.code = complain(EXIT_HOST, "--trace: not everything could be written; make room");
    run->summary.stop = end.stop;
    run->summary.exit_code = end.code;
    if (run->options.stats && !stats_write(run->options.stats, run->vm, &run->summary, message))
        end.code = complain(EXIT_HOST, message);
    return end.code;
}

static int execute(struct run *run, u64 started)
{
    char message[IMAGES_MESSAGE_MAX];
    struct boot_report report;
    if (!images_boot(run->vm, &run->options, &report, message) || !outputs_open(run, message))
        return complain(EXIT_USAGE, message);
    host_catch_signals();
    input_open(run);
    if (run->options.timeout && host_start_timer(run->options.timeout) != STATUS_OK)
        return complain(EXIT_HOST, "--timeout: the host gives no timer; run without it");
    u64 begin = host_nanoseconds();
    run->summary.startup_ns = begin - started;
    struct ending end = run_loop(run);
    run->summary.host_ns = host_nanoseconds() - begin;
    return finish(run, end);
}

int verb_run(int argc, char **argv)
{
    static struct run run;
    u64 started = host_nanoseconds();
    char message[MESSAGE_MAX];
    if (!options_parse(argc, argv, &run.options, message))
        return complain(EXIT_USAGE, message);
    if (run.options.help) {
        help_run(stdout);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!options_check(&run.options, message) ||
        !trace_parse(run.options.trace, &run.trace, run.trace_path, sizeof run.trace_path, message))
        return complain(EXIT_USAGE, message);
    int code = machine_create(&run);
    if (code)
        return code;
    code = execute(&run, started);
    vm_destroy(run.vm);
    return code;
}
