#include "replay/replay.h"

#include "core/host.h"
#include "replay/hash.h"
#include "replay/input.h"

/* Between two calls of pulse(). */
static const u64 slice = 2000000;

void replay_start(struct replay *r)
{
    r->place = (struct replay_place){.cursor = log_tell(r->log)};
    r->exit_value = 0;
    r->divergence = (struct replay_divergence){0};
    if (r->verify)
        (void)state_hash_remember(r->vm);
}

struct replay_place replay_tell(const struct replay *r) { return r->place; }

bool replay_seek(struct replay *r, const struct replay_place *place)
{
    struct log_event again;
    r->place = *place;
    if (!log_seek(r->log, &place->cursor))
        return false;
    return !place->have_next || log_next(r->log, &again);
}

static enum replay_stop diverged(struct replay *r, const char *what)
{
    r->divergence = (struct replay_divergence){
        .what = what, .icount = r->vm->vcpu[0]->cpu.icount, .good = r->place.good};
    return REPLAY_DIVERGED;
}

static void pulse(struct replay *r)
{
    if (r->pulse)
        r->pulse(r->pulse_context, r->vm);
}

static bool at(const struct vm *vm, const struct log_event *e)
{
    return vm->vcpu[0]->cpu.icount == e->icount && vm->clock.skipped_ns == e->skipped_ns;
}

/* The machine has come to an end of its own. Is it the recorded one? */
static enum replay_stop guest_ended(struct replay *r, enum vm_stop stop)
{
    static const struct {
        enum log_ending ending;
        const char *what;
    } ends[] = {
        [VM_STOP_POWER_OFF] = {LOG_END_POWER_OFF, "the guest switches itself off"},
        [VM_STOP_DEBUG_EXIT] = {LOG_END_DEBUG_EXIT, "the guest leaves through its exit port"},
        [VM_STOP_TRIPLE_FAULT] = {LOG_END_TRIPLE_FAULT, "the guest fails with a triple fault"},
        [VM_STOP_RESET] = {LOG_END_RESET, "the guest resets the machine"},
        [VM_STOP_IDLE] = {LOG_END_IDLE, "the guest halts for ever"},
        [VM_STOP_WAIT_INPUT] = {LOG_END_IDLE, "the guest waits for input"},
    };
    const struct log_event *e = &r->place.next;
    bool expected = e->source == LOG_END && e->unit == (u32)ends[stop].ending && at(r->vm, e);
    if (expected && stop == VM_STOP_DEBUG_EXIT)
        expected = e->value == r->vm->exit_value;
    return expected ? REPLAY_ENDED : diverged(r, ends[stop].what);
}

/* The guest waits: time goes on to its next timer, as in the recorded run. */
static enum replay_stop pass_idle_time(struct replay *r)
{
    struct vm *vm = r->vm;
    u64 now = vm_now(vm), wake = vm_wake_time(vm);
    if (r->place.next.source == LOG_END && at(vm, &r->place.next))
        return guest_ended(r, VM_STOP_WAIT_INPUT);
    if (wake == CLOCK_NEVER || (wake > now && wake - now > r->place.next.skipped_ns - vm->clock.skipped_ns))
        return diverged(r, "the guest is idle beyond the time of the next event");
    vm_skip_to(vm, wake);
    return REPLAY_REACHED;
}

/* A stop of the machine on its way to the next event. REPLAY_REACHED: go on. */
static enum replay_stop handle_stop(struct replay *r, enum vm_stop stop)
{
    switch (stop) {
    case VM_STOP_ICOUNT: return REPLAY_REACHED;
    case VM_STOP_HOST: return REPLAY_STOPPED;
    case VM_STOP_DEBUG: return REPLAY_DEBUG;
    case VM_STOP_WAIT_INPUT: return pass_idle_time(r);
    case VM_STOP_RESET:
        if (r->log->machine.reset_exits)
            return guest_ended(r, stop);
        r->place.resets++;
        vm_reset(r->vm);
        return r->reboot(r->reboot_context, r->vm) ? REPLAY_REACHED : REPLAY_FAILED;
    default: return guest_ended(r, stop);
    }
}

/* Runs to where the next event happened. */
static enum replay_stop run_to_event(struct replay *r)
{
    struct vm *vm = r->vm;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    const struct log_event *e = &r->place.next;
    for (;;) {
        bool waits = c->icount == e->icount && vm->clock.skipped_ns != e->skipped_ns;
        if (c->icount > e->icount || vm->clock.skipped_ns > e->skipped_ns || (waits && c->activity != ACTIVITY_HALTED))
            return diverged(r, "the guest's time does not meet that of the next event");
        if (at(vm, e))
            input_settle(vm);
        if (at(vm, e) && vm->request == REQUEST_NONE)
            return REPLAY_REACHED;
        /* A guest that waits must be allowed one more instruction, or it would not be seen to wait. */
        u64 until = waits ? e->icount + 1 : e->icount - c->icount < slice ? e->icount : c->icount + slice;
        enum replay_stop stop = handle_stop(r, vm_run(vm, until));
        if (stop != REPLAY_REACHED)
            return stop;
        pulse(r);
    }
}

/* Runs to the first boundary at which icount is `until`, which lies before the next event or at it. */
static enum replay_stop run_before(struct replay *r, u64 until)
{
    struct vm *vm = r->vm;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    while (c->icount < until) {
        enum replay_stop stop = handle_stop(r, vm_run(vm, until - c->icount < slice ? until : c->icount + slice));
        if (stop != REPLAY_REACHED)
            return stop;
        pulse(r);
    }
    input_settle(vm);
    return REPLAY_REACHED;
}

static enum replay_stop check_hash(struct replay *r, u64 wanted)
{
    if (!r->verify)
        return REPLAY_REACHED;
    u64 have = state_hash(r->vm);
    if (have != wanted) {
        enum replay_stop stop = diverged(r, "the state hash differs");
        r->divergence.wanted = wanted;
        r->divergence.have = have;
        return stop;
    }
    r->place.good = r->vm->vcpu[0]->cpu.icount;
    r->place.hashes++;
    return REPLAY_REACHED;
}

static enum replay_stop apply(struct replay *r, const struct log_event *e)
{
    static const u8 sources[] = {
        [LOG_SERIAL] = INPUT_SERIAL, [LOG_KEYBOARD] = INPUT_KEYBOARD, [LOG_TIME] = INPUT_TIME, [LOG_MEMORY] = INPUT_MEMORY};
    switch (e->source) {
    case LOG_SERIAL:
    case LOG_KEYBOARD:
    case LOG_TIME:
    case LOG_MEMORY:
        if (input_deliver(r->vm, (enum input_source)sources[e->source], e->unit, e->value))
            return REPLAY_REACHED;
        return diverged(r, "a device does not take the next input");
    case LOG_CHECKPOINT: return check_hash(r, e->hash);
    default: return REPLAY_REACHED;
    }
}

/* Where the recorded run ended: the machine must come to the same end, without another instruction. */
static enum replay_stop finish(struct replay *r)
{
    const struct log_event *e = &r->place.next;
    if (e->unit != LOG_END_HOST && e->unit != LOG_END_LIMIT) {
        enum replay_stop stop = handle_stop(r, vm_run(r->vm, e->icount + 1));
        if (stop != REPLAY_ENDED)
            return stop == REPLAY_REACHED ? diverged(r, "the guest goes on where the recorded run ended") : stop;
    }
    return REPLAY_ENDED;
}

/* The recorded end is met: is the state that of the recorded run? */
static enum replay_stop end(struct replay *r)
{
    input_settle(r->vm);
    enum replay_stop stop = check_hash(r, r->place.next.hash);
    if (stop != REPLAY_REACHED)
        return stop;
    r->place.done = true;
    r->ending = (enum log_ending)r->place.next.unit;
    r->exit_value = (u32)r->place.next.value;
    return REPLAY_ENDED;
}

static bool have_event(struct replay *r)
{
    struct replay_place *p = &r->place;
    if (p->have_next)
        return true;
    p->cursor = log_tell(r->log);
    p->have_next = log_next(r->log, &p->next);
    return p->have_next;
}

/* The next event, and what leads to it. */
static enum replay_stop pass_event(struct replay *r)
{
    enum replay_stop stop = run_to_event(r);
    if (stop == REPLAY_REACHED && r->place.next.source == LOG_END)
        stop = finish(r);
    if (stop == REPLAY_ENDED)
        return end(r);
    if (stop == REPLAY_REACHED)
        stop = apply(r, &r->place.next);
    if (stop == REPLAY_REACHED)
        r->place.have_next = false;
    return stop;
}

enum replay_stop replay_run(struct replay *r, u64 until)
{
    const struct cpu *c = &r->vm->vcpu[0]->cpu;
    while (!r->place.done) {
        if (c->icount >= until)
            return REPLAY_REACHED;
        if (!have_event(r))
            return REPLAY_LOG_OUT;
        bool before = until <= r->place.next.icount;
        enum replay_stop stop = before ? run_before(r, until) : pass_event(r);
        if (stop == REPLAY_ENDED && before)
            stop = end(r);
        if (stop != REPLAY_REACHED || before)
            return stop;
    }
    return REPLAY_ENDED;
}
