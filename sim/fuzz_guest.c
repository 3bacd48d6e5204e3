#include "sim/fuzz_guest.h"

#include "mmu/access.h"
#include "replay/input.h"
#include "sbe/coverage.h"
#include "sim/complain.h"
#include "sim/engines.h"
#include "sim/exit_code.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const fuzz_end_names[FUZZ_ENDS] = {
    [FUZZ_END_DONE] = "done",
    [FUZZ_END_LIMIT] = "instruction limit",
    [FUZZ_END_WAITS] = "waits for input",
    [FUZZ_END_SAID] = "the guest reports a crash",
    [FUZZ_END_EXCEPTION] = "exception",
    [FUZZ_END_TRIPLE_FAULT] = "triple fault",
    [FUZZ_END_RESET] = "reset",
    [FUZZ_END_HALTED] = "halted for ever",
    [FUZZ_END_EXIT] = "debug exit",
};

/* ---- What the guest says ------------------------------------------------------------------------- */

/* Ends the run at the next boundary. */
static void stop_soon(struct fuzz_guest *g)
{
    g->stops.hit = true;
    vcpu_kick(g->vm->vcpu[0]);
}

static void on_event(void *context, struct vm *vm, const struct trace_event *e)
{
    struct fuzz_guest *g = context;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    if (e->kind == TRACE_IO_WRITE && e->address == FUZZ_PORT && e->value >= FUZZ_BEGIN && e->value <= FUZZ_CRASH) {
        g->said = (u32)e->value;
        g->said_value = c->gpr[RBX];
        stop_soon(g);
    }
    if (e->kind != TRACE_EXCEPTION)
        return;
    if (g->map)
        g->map[coverage_index(c->rip, COVERAGE_EXCEPTION) ^ e->vector]++;
    if (e->vector < 32 && (g->setup.crash_vectors >> e->vector & 1)) {
        g->raised |= 1u << e->vector;
        stop_soon(g);
    }
}

/* ---- To the place -------------------------------------------------------------------------------- */

static int not_reached(struct fuzz_guest *g, enum replay_stop stop)
{
    char message[FUZZ_MESSAGE_MAX];
    const char *what = g->setup.at ? "the recorded run is over before --at" : g->setup.stop
        ? "the recorded run is over before --at-symbol is reached" : "the guest never says that it begins (FUZZ_BEGIN to port 0xF8)";
    if (stop == REPLAY_FAILED)
        return complain(EXIT_HOST, g->session.failure);
    if (stop == REPLAY_STOPPED)
        return complain(EXIT_QUIT, "ended by a signal");
    snprintf(message, sizeof message, "fuzz: %.200s: %s; it ends after %" PRIu64 " instructions%s", g->session.path, what,
             g->vm->vcpu[0]->cpu.icount, g->setup.at || g->setup.stop ? "" : ": name a place with --at or --at-symbol");
    return complain(EXIT_NOT_THERE, message);
}

/* Is this stop on the way the place? */
static bool arrived(const struct fuzz_guest *g)
{
    if (g->setup.at)
        return false;
    return g->setup.stop ? !g->said && !g->raised : g->said == FUZZ_BEGIN;
}

static int go_to_place(struct fuzz_guest *g)
{
    struct replay *r = &g->session.replay;
    u64 until = g->setup.at ? g->setup.at : UINT64_MAX;
    if (g->setup.stop && !g->setup.at)
        stops_add(g->vm, (struct stop_point){.linear = g->setup.stop, .length = 1, .kind = STOP_EXECUTE});
    enum replay_stop stop;
    do {
        g->stops.hit = false;
        g->said = g->raised = 0;
        stop = replay_run(r, until);
    } while (stop == REPLAY_DEBUG && !arrived(g));
    stops_clear(g->vm);
    if (stop != REPLAY_REACHED && stop != REPLAY_DEBUG)
        return not_reached(g, stop);
    input_settle(g->vm);
    g->begin = g->vm->vcpu[0]->cpu.icount;
    return 0;
}

/* ---- Where inputs go ----------------------------------------------------------------------------- */

static int unmapped(const char *what, u64 linear)
{
    char message[200];
    snprintf(message, sizeof message, "fuzz: %s at %" PRIx64 " is not in RAM there; `reprise core` shows what is mapped", what, linear);
    return complain(EXIT_NOT_THERE, message);
}

static bool page_of(struct fuzz_guest *g, u64 linear, u64 *page)
{
    gpa_t at;
    if (!mem_translate_debug(g->vm->vcpu[0], linear, &at) || !physmem_pointer(&g->vm->memory, at))
        return false;
    *page = at.raw & ~(u64)PAGE_MASK;
    return true;
}

static int find_buffer(struct fuzz_guest *g)
{
    struct fuzz_setup *s = &g->setup;
    const u64 *gpr = g->vm->vcpu[0]->cpu.gpr;
    if (!s->input_at && g->said == FUZZ_BEGIN && !s->at && !s->stop) {
        s->input_at = gpr[RBX];
        s->input_max = gpr[RCX] < s->input_max ? gpr[RCX] : s->input_max;
        s->length_at = gpr[RDX];
    }
    if (!s->input_at || !s->input_max)
        return complain(EXIT_USAGE, "fuzz: where inputs go is not said; add --input-at ADDRESS and --input-max BYTES");
    g->capacity = s->input_max < FUZZ_INPUT_MAX ? s->input_max : FUZZ_INPUT_MAX;
    for (u64 at = s->input_at & ~(u64)PAGE_MASK, n = 0; at < s->input_at + g->capacity; at += PAGE_SIZE, n++)
        if (!page_of(g, at, &g->pages[n]))
            return unmapped("the buffer for inputs", at);
    if (s->length_at && ((s->length_at & PAGE_MASK) > PAGE_SIZE - 4 || !page_of(g, s->length_at, &g->length_page)))
        return unmapped("the word for their length", s->length_at);
    return 0;
}

static bool put(struct fuzz_guest *g, u64 address, const u8 *from, u64 bytes)
{
    while (bytes) {
        u64 left = PAGE_SIZE - (address & PAGE_MASK);
        unsigned n = bytes < INPUT_MEMORY_MAX ? (unsigned)bytes : INPUT_MEMORY_MAX;
        n = n < left ? n : (unsigned)left;
        struct input_memory m = input_memory(address, from, n);
        if (!input_deliver(g->vm, INPUT_MEMORY, m.unit, m.value))
            return false;
        address += n;
        from += n;
        bytes -= n;
    }
    return true;
}

/* Code that says a command, in the place of what stands there: MOV EAX, command; OUT FUZZ_PORT, EAX. */
static int hook(struct fuzz_guest *g, u64 linear, u8 command)
{
    const u8 code[] = {0xb8, command, 0, 0, 0, 0xe7, FUZZ_PORT};
    for (u64 n = 0; linear && n < sizeof code; n++) {
        u64 page;
        if (!page_of(g, linear + n, &page))
            return unmapped(command == FUZZ_CRASH ? "--crash-at" : "--done-at", linear);
        put(g, page | ((linear + n) & PAGE_MASK), &code[n], 1);
    }
    return 0;
}

static int set_hooks(struct fuzz_guest *g)
{
    int code = hook(g, g->setup.crash_at, FUZZ_CRASH);
    return code ? code : hook(g, g->setup.done_at, FUZZ_DONE);
}

static void inject(struct fuzz_guest *g, const u8 *data, u64 size)
{
    u8 length[4];
    u64 at = g->setup.input_at;
    size = size < g->capacity ? size : g->capacity;
    for (u64 done = 0, n = 0; done < size; n++) {
        u64 first = (at + done) & PAGE_MASK, bytes = PAGE_SIZE - first < size - done ? PAGE_SIZE - first : size - done;
        put(g, g->pages[n] | first, data + done, bytes);
        done += bytes;
    }
    for (unsigned n = 0; n < sizeof length; n++)
        length[n] = (u8)(size >> 8 * n);
    if (g->setup.length_at)
        put(g, g->length_page | (g->setup.length_at & PAGE_MASK), length, sizeof length);
}

/* ---- Open and close ------------------------------------------------------------------------------ */

/* Checkpoints hold one place: its pages and what leads to them. */
static int keep_place(struct fuzz_guest *g)
{
    u64 budget = g->vm->memory.size + (g->vm->memory.size >> 8) + (1 << 20);
    if (checkpoints_create(g->vm, budget, &g->checkpoints) == STATUS_OK &&
        checkpoints_take(g->checkpoints, g, 0) == STATUS_OK)
        return 0;
    return complain(EXIT_HOST, "fuzz: the host has no memory for a copy of the guest's; record it with a smaller -m");
}

static int begin(struct fuzz_guest *g)
{
    int code = session_create(&g->session, engine_find(g->setup.engine));
    if (code)
        return code;
    g->vm = g->session.vm;
    g->vm->stops = &g->stops;
    g->vm->tracer = &g->tracer;
    code = go_to_place(g);
    if (!code)
        code = find_buffer(g);
    if (!code)
        code = set_hooks(g);
    if (!code)
        code = keep_place(g);
    if (!code && g->map && !coverage_start(g->vm->vcpu[0], g->map))
        code = complain(EXIT_USAGE, "fuzz: --engine: only engines that translate count edges; leave it out");
    return code;
}

int fuzz_guest_open(struct fuzz_guest *g, const struct fuzz_setup *setup, u8 *map)
{
    char message[FUZZ_MESSAGE_MAX];
    g->setup = *setup;
    g->map = map;
    g->checkpoints = NULL;
    g->vm = NULL;
    g->said = g->raised = 0;
    g->stops = (struct stops){.passed = UINT64_MAX, .delivered = UINT64_MAX};
    g->tracer = (struct tracer){.mask = 1u << TRACE_EXCEPTION | 1u << TRACE_IO_WRITE, .context = g, .event = on_event};
    if (!session_open(&g->session, setup->log, message))
        return complain(EXIT_USAGE, message);
    int code = begin(g);
    if (code)
        fuzz_guest_close(g);
    return code;
}

void fuzz_guest_close(struct fuzz_guest *g)
{
    if (g->checkpoints)
        checkpoints_destroy(g->checkpoints);
    g->checkpoints = NULL;
    session_close(&g->session);
    g->vm = NULL;
}

/* ---- A run --------------------------------------------------------------------------------------- */

static struct fuzz_outcome outcome(enum fuzz_end end, bool crash, u64 value, enum log_ending logged)
{
    return (struct fuzz_outcome){.end = end, .crash = crash, .value = value, .logged = logged};
}

/* The guest, or an exception of it, has said something. */
static struct fuzz_outcome spoken(const struct fuzz_guest *g)
{
    if (g->raised)
        return outcome(FUZZ_END_EXCEPTION, true, (u64)__builtin_ctz(g->raised), LOG_END_HOST);
    return outcome(g->said == FUZZ_CRASH ? FUZZ_END_SAID : FUZZ_END_DONE, g->said == FUZZ_CRASH, g->said_value, LOG_END_HOST);
}

static struct fuzz_outcome ended(const struct fuzz_guest *g, enum vm_stop stop)
{
    switch (stop) {
    case VM_STOP_ICOUNT: return outcome(FUZZ_END_LIMIT, g->setup.crash_on_limit, 0, LOG_END_LIMIT);
    case VM_STOP_TRIPLE_FAULT: return outcome(FUZZ_END_TRIPLE_FAULT, true, 0, LOG_END_TRIPLE_FAULT);
    case VM_STOP_RESET: return outcome(FUZZ_END_RESET, true, 0, LOG_END_RESET);
    case VM_STOP_IDLE: return outcome(FUZZ_END_HALTED, true, 0, LOG_END_IDLE);
    case VM_STOP_WAIT_INPUT: return outcome(FUZZ_END_WAITS, false, 0, LOG_END_IDLE);
    case VM_STOP_POWER_OFF: return outcome(FUZZ_END_DONE, false, 0, LOG_END_POWER_OFF);
    case VM_STOP_DEBUG_EXIT: return outcome(FUZZ_END_EXIT, g->vm->exit_value != 0, g->vm->exit_value, LOG_END_DEBUG_EXIT);
    default: return spoken(g);
    }
}

static struct fuzz_outcome execute(struct fuzz_guest *g)
{
    struct vm *vm = g->vm;
    enum vm_stop stop;
    for (;;) {
        stop = vm_run(vm, g->begin + g->setup.max_insns);
        u64 wake = stop == VM_STOP_WAIT_INPUT ? vm_wake_time(vm) : CLOCK_NEVER;
        if (wake == CLOCK_NEVER)
            break;
        vm_skip_to(vm, wake);
    }
    struct fuzz_outcome o = ended(g, stop);
    o.instructions = vm->vcpu[0]->cpu.icount - g->begin;
    return o;
}

static void restore(struct fuzz_guest *g)
{
    u8 note;
    checkpoints_restore(g->checkpoints, 0, &note, 0);
    g->stops.hit = false;
    g->said = g->raised = 0;
}

struct fuzz_outcome fuzz_guest_run(struct fuzz_guest *g, const u8 *data, size_t size)
{
    restore(g);
    if (g->vm->recorder) /* they are there already, but no log says so yet */
        (void)set_hooks(g);
    inject(g, data, size);
    return execute(g);
}
