#include "metal/guest.h"

#include "core/host.h"
#include "metal/areas.h"
#include "metal/clock.h"
#include "metal/console.h"
#include "metal/frames.h"
#include "metal/guard.h"
#include "metal/print.h"
#include "replay/hash.h"
#include "replay/input.h"

/* Instructions between two looks at keyboard and clock: some milliseconds. */
static const u64 slice = 200000;
/* A pause shorter than this is not worth waiting. */
static const u64 shortest_pause_ns = 100000;
/* Beside its RAM a guest takes tables in proportion, translated code, and what the rest of the machine has to know. */
enum { OVERHEAD_SHIFT = 5, OVERHEAD_MIB = 64 };

static const struct engine *const engines[] = {&engine_interp, &engine_sbe};
static const char default_engine[] = "interp";

static void complain(const struct guest *g, const char *what, const char *action)
{
    print_all("reprise: ", g->name, ": ", what, "; ", action, "\n");
}

bool guest_configure(struct guest *g, unsigned owner, const struct boot_info *boot, const struct boot_file *file)
{
    struct vmx_error e;
    g->owner = owner;
    g->boot = boot;
    g->name = file->name;
    g->state = GUEST_OFF;
    g->ending = "not started";
    if (!vmx_parse((const char *)file->data, file->size, &g->vmx, &e)) {
        print_all("reprise: ", file->name);
        if (e.line) {
            print(" line ");
            print_decimal(e.line);
        }
        print_all(": ", e.subject[0] ? "\"" : "", e.subject, e.subject[0] ? "\" " : "", e.what, "; ", e.action, "\n");
        return false;
    }
    if (g->vmx.display_name[0])
        g->name = g->vmx.display_name;
    return true;
}

/* ---- Start -------------------------------------------------------------------------------------- */

static const struct engine *find_engine(const char *name)
{
    for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
        if (text_equal(engines[n]->name, name[0] ? name : default_engine))
            return engines[n];
    return NULL;
}

static bool has_memory(const struct guest *g, u64 ram_bytes)
{
    u64 wanted = (ram_bytes >> 20) + (ram_bytes >> (20 + OVERHEAD_SHIFT)) + OVERHEAD_MIB;
    u64 there = frames_left() >> (20 - PAGE_SHIFT);
    if (wanted <= there)
        return true;
    print_all("reprise: ", g->name, ": needs ");
    print_decimal(wanted);
    print(" MiB of the machine's memory, and ");
    print_decimal(there);
    print(" are there; give it less (memsize)\n");
    return false;
}

static bool create(struct guest *g, const struct vm_config *config)
{
    if (!config->model)
        complain(g, "reprise.cpu: there is no such processor model", "`reprise list` shows those that are");
    else if (!config->engine)
        complain(g, "reprise.engine: there is no such engine", "write interp or sbe");
    else if (has_memory(g, config->ram_bytes))
        switch (vm_create(&g->vm, config)) {
        case STATUS_OK: return true;
        case STATUS_UNSUPPORTED:
            complain(g, "this processor lacks what the guest's model or engine needs",
                     "try reprise.cpu = core2duo, or reprise.engine = interp");
            break;
        default: complain(g, "its machine could not be created", "give it less memory"); break;
        }
    g->vm = NULL;
    return false;
}

static void explain(const struct guest *g, const struct log_error *e)
{
    print_all("reprise: ", g->vmx.replay, ": ", e->what);
    if (e->wanted_text) {
        print_all(" is \"", e->wanted_text, "\" in the log and \"", e->have_text, "\" here");
    } else if (e->wanted != e->have) {
        print(" is ");
        print_hex(e->wanted);
        print(" in the log and ");
        print_hex(e->have);
        print(" here");
    }
    print_all("; ", e->action, "\n");
}

static bool open_log(struct guest *g)
{
    struct log_error why;
    const struct boot_file *file = boot_file_find(g->boot, g->vmx.replay);
    if (!file) {
        complain(g, "reprise.replay names a module that is not there", "load it, or correct its name");
        return false;
    }
    const struct log_file log = guest_log_file(file);
    g->reader = host_alloc(sizeof *g->reader);
    if (!g->reader || log_reader_open(g->reader, &log, NULL, &why) != STATUS_OK ||
        !log_machine_matches(&g->reader->machine, &why)) {
        if (g->reader)
            explain(g, &why);
        return false;
    }
    return true;
}

static bool reboot(void *context, struct vm *vm)
{
    const struct guest *g = context;
    return guest_images_boot(&g->images, vm);
}

static bool start_replay(struct guest *g)
{
    if (!open_log(g))
        return false;
    const struct log_machine *m = &g->reader->machine;
    const struct vm_config config = {.ram_bytes = m->ram_bytes, .model = cpu_model_find(m->cpu),
                                     .engine = find_engine(g->vmx.engine), .debug_exit = m->debug_exit,
                                     .rtc_start = m->rtc_start};
    if (!create(g, &config) || !guest_images_recall(&g->images, g->reader, g->boot) ||
        !guest_images_boot(&g->images, g->vm))
        return false;
    g->replay = (struct replay){.vm = g->vm, .log = g->reader, .verify = true, .reboot = reboot, .reboot_context = g};
    replay_start(&g->replay);
    return true;
}

static bool start_live(struct guest *g)
{
    const struct vmx *x = &g->vmx;
    const struct vm_config config = {.ram_bytes = x->memory_mib << 20,
                                     .model = cpu_model_find(x->cpu[0] ? x->cpu : CPU_MODEL_DEFAULT),
                                     .engine = find_engine(x->engine), .debug_exit = x->debug_exit,
                                     .rtc_start = x->rtc};
    if (!create(g, &config) || !guest_images_find(&g->images, x, g->boot, x->log != VMX_LOG_NONE) ||
        !guest_images_boot(&g->images, g->vm) || !guest_log_start(&g->log, g->vm, x, &g->images))
        return false;
    g->wall.on = x->clock == VMX_CLOCK_WALL;
    if (g->wall.on)
        wall_start(&g->wall, g->vm, clock_ns());
    return true;
}

static void release(struct guest *g)
{
    if (g->vm)
        vm_destroy(g->vm);
    if (g->reader)
        host_free(g->reader, sizeof *g->reader);
    guest_images_release(&g->images);
    g->vm = NULL;
    g->reader = NULL;
    g->state = GUEST_OFF;
}

/* Runs a part of a guest's life that may need memory. False: there was none, and the guest is gone. */
static bool guarded(struct guest *g, void (*work)(void *guest))
{
    areas_set_owner(g->owner);
    bool ok = guard_run(work, g);
    areas_set_owner(0);
    if (ok)
        return true;
    areas_release_owner(g->owner);
    g->vm = NULL;
    g->reader = NULL;
    g->log.writer = NULL;
    g->images.count = 0;
    g->state = GUEST_OFF;
    g->ending = "out of memory";
    console_flush();
    complain(g, "the machine has no memory left for it, it ends here", "give guests less memory (memsize)");
    return false;
}

static void start(void *guest)
{
    struct guest *g = guest;
    if (g->vmx.replay[0] ? start_replay(g) : start_live(g)) {
        g->state = GUEST_READY;
        return;
    }
    release(g);
    g->ending = "could not be started";
}

bool guest_start(struct guest *g)
{
    g->reader = NULL;
    g->vm = NULL;
    g->log.writer = NULL;
    g->images.count = 0;
    g->queue_read = g->queue_written = 0;
    g->history_written = 0;
    g->used_ns = g->turns = 0;
    g->paused = false;
    return guarded(g, start) && g->state == GUEST_READY;
}

/* ---- End ---------------------------------------------------------------------------------------- */

void guest_print_state(const struct guest *g)
{
    print_decimal(g->vm->vcpu[0]->cpu.icount);
    print(" instructions, state hash ");
    print_hex(state_hash(g->vm));
}

void guest_stop(struct guest *g, enum log_ending ending, const char *why)
{
    guest_log_finish(&g->log, g->vm, ending);
    console_flush();
    print_all("\n[", g->name, ": ", why, " after ");
    guest_print_state(g);
    print("]\n");
    g->ending = why;
    release(g);
}

/* ---- Slices ------------------------------------------------------------------------------------- */

void guest_type(struct guest *g, u8 byte)
{
    if (g->queue_written - g->queue_read == GUEST_QUEUE_BYTES || g->reader)
        return;
    g->queue[g->queue_written++ % GUEST_QUEUE_BYTES] = byte;
    if (g->state == GUEST_WAITING)
        g->state = GUEST_READY;
}

/* Gives the guest what was typed, as far as it takes it. */
static bool feed(struct guest *g)
{
    u32 before = g->queue_read;
    while (g->queue_read != g->queue_written &&
           input_deliver(g->vm, INPUT_SERIAL, 0, g->queue[g->queue_read % GUEST_QUEUE_BYTES]))
        g->queue_read++;
    return g->queue_read != before;
}

/* The guest is halted: lets time pass until its next timer, or input. */
static void wait(struct guest *g)
{
    u64 wake = vm_wake_time(g->vm), now = clock_ns();
    if (g->queue_read != g->queue_written) {
        wall_catch_up(&g->wall, g->vm, now);
        if (feed(g))
            return;
    }
    u64 pause = wake == CLOCK_NEVER ? CLOCK_NEVER : wall_until(&g->wall, wake, now);
    if (pause <= shortest_pause_ns) {
        vm_skip_to(g->vm, wake);
        return;
    }
    guest_log_pulse(&g->log, g->vm, wake == CLOCK_NEVER);
    g->state = GUEST_WAITING;
    g->wake_ns = pause == CLOCK_NEVER ? CLOCK_NEVER : now + pause;
}

/* Without firmware a reset boots the same images again. */
static void reset(struct guest *g)
{
    if (g->vmx.reset_exits) {
        guest_stop(g, LOG_END_RESET, "reset");
        return;
    }
    vm_reset(g->vm);
    if (!guest_images_boot(&g->images, g->vm))
        guest_stop(g, LOG_ENDINGS, "could not boot again");
}

static void handle(struct guest *g, enum vm_stop stop)
{
    switch (stop) {
    case VM_STOP_ICOUNT:
        if (g->log.writer)
            recorder_checkpoint(&g->log.recorder, g->vm);
        return;
    case VM_STOP_WAIT_INPUT: wait(g); return;
    case VM_STOP_RESET: reset(g); return;
    case VM_STOP_POWER_OFF: guest_stop(g, LOG_END_POWER_OFF, "power-off"); return;
    case VM_STOP_DEBUG_EXIT: guest_stop(g, LOG_END_DEBUG_EXIT, "debug-exit"); return;
    case VM_STOP_TRIPLE_FAULT: guest_stop(g, LOG_END_TRIPLE_FAULT, "triple-fault"); return;
    case VM_STOP_IDLE: guest_stop(g, LOG_END_IDLE, "halted for ever"); return;
    case VM_STOP_HOST:
    case VM_STOP_DEBUG: return;
    }
}

static void run_live(struct guest *g)
{
    const struct cpu *c = &g->vm->vcpu[0]->cpu;
    u64 end = c->icount + slice;
    while (g->state == GUEST_READY && c->icount < end) {
        u64 until = g->log.writer && g->log.recorder.next < end ? g->log.recorder.next : end;
        enum vm_stop stop = vm_run(g->vm, until);
        handle(g, stop);
        if (stop == VM_STOP_WAIT_INPUT)
            break; /* others may want the processor */
    }
    if (g->state != GUEST_READY)
        return;
    wall_follow(&g->wall, g->vm, clock_ns());
    feed(g);
    guest_log_pulse(&g->log, g->vm, false);
}

/* ---- Replay ------------------------------------------------------------------------------------- */

static void diverged(struct guest *g)
{
    const struct replay_divergence *d = &g->replay.divergence;
    console_flush();
    print_all("\nreprise: ", g->name, ": the replay diverges: ", d->what, " at instruction ");
    print_decimal(d->icount);
    if (d->wanted != d->have) {
        print(" (");
        print_hex(d->wanted);
        print(" in the log, ");
        print_hex(d->have);
        print(" here)");
    }
    print("; it was the same at ");
    print_decimal(d->good);
    print("\n");
    guest_stop(g, LOG_ENDINGS, "diverged");
}

static void report_replay(struct guest *g, const char *why)
{
    console_flush();
    print_all("\n[", g->name, ": replayed, ");
    print_decimal(g->replay.place.hashes);
    print(" state hashes equal]");
    guest_stop(g, LOG_ENDINGS, why);
}

static void run_replay(struct guest *g)
{
    switch (replay_run(&g->replay, g->vm->vcpu[0]->cpu.icount + slice)) {
    case REPLAY_REACHED: return;
    case REPLAY_ENDED: report_replay(g, log_ending_names[g->replay.ending]); return;
    case REPLAY_LOG_OUT:
        report_replay(g, log_tail(g->reader) == LOG_TAIL_DAMAGED ? "the log is damaged here" : "the log ends here");
        return;
    case REPLAY_DIVERGED: diverged(g); return;
    default: guest_stop(g, LOG_ENDINGS, "could not be replayed"); return;
    }
}

static void run(void *guest)
{
    struct guest *g = guest;
    if (g->reader)
        run_replay(g);
    else
        run_live(g);
}

void guest_slice(struct guest *g)
{
    u64 begin = clock_ns();
    (void)guarded(g, run);
    g->used_ns += clock_ns() - begin;
    g->turns++;
}
