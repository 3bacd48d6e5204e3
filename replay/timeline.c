#include "replay/timeline.h"

#include "core/stops.h"
#include "replay/input.h"

/* Between two questions whether to go on. */
static const u64 slice = 2000000;
/* Checkpoints nearer than this to each other save less than they cost. */
static const u64 nearest = 8000;

static u64 here(const struct timeline *t) { return t->replay->vm->vcpu[0]->cpu.icount; }

static void set_repeating(struct timeline *t, bool on)
{
    if (t->repeating != on && t->repeats)
        t->repeats(t->context, on);
    t->repeating = on;
}

/* Keeps the present state, if it is the first moment of its icount and no checkpoint is near. One that does not fit
 * is done without: t->tight. */
static void keep(struct timeline *t)
{
    int before = checkpoints_find(t->checkpoints, here(t));
    if (before >= 0 && here(t) - checkpoints_icount(t->checkpoints, (unsigned)before) < nearest)
        return;
    struct replay_place place = replay_tell(t->replay);
    if (checkpoints_take(t->checkpoints, &place, sizeof place) != STATUS_OK)
        t->tight = true;
}

enum status timeline_create(struct timeline *t, u64 budget)
{
    _Static_assert(sizeof(struct replay_place) <= CHECKPOINT_NOTE_MAX, "a place fits into a checkpoint's note");
    enum status status = checkpoints_create(t->replay->vm, budget, &t->checkpoints);
    if (status != STATUS_OK)
        return status;
    t->first = t->frontier = here(t);
    t->within = t->repeating = t->tight = false;
    struct replay_place place = replay_tell(t->replay);
    status = checkpoints_take(t->checkpoints, &place, sizeof place);
    if (status != STATUS_OK)
        checkpoints_destroy(t->checkpoints);
    return status;
}

void timeline_destroy(struct timeline *t) { checkpoints_destroy(t->checkpoints); }

/* ---- Forwards ----------------------------------------------------------------------------------- */

/* To `until`, and not further than one look at whether to go on. */
static enum replay_stop run_piece(struct timeline *t, u64 until)
{
    u64 from = here(t);
    if (until - from > slice)
        until = from + slice;
    if (from < t->frontier && until > t->frontier)
        until = t->frontier;
    set_repeating(t, from < t->frontier);
    struct stops *s = t->replay->vm->stops;
    if (s)
        s->delivered = t->within ? from : UINT64_MAX;
    enum replay_stop stop = replay_run(t->replay, until);
    t->within = (t->within && here(t) == from) || (stop == REPLAY_DEBUG && s->delivered == here(t));
    if (here(t) > t->frontier)
        t->frontier = here(t);
    if (stop == REPLAY_REACHED && t->interrupted && t->interrupted(t->context))
        return REPLAY_INTERRUPTED;
    return stop;
}

static enum replay_stop run_to(struct timeline *t, u64 until)
{
    enum replay_stop stop = REPLAY_REACHED;
    while (stop == REPLAY_REACHED && here(t) < until)
        stop = run_piece(t, until);
    return stop;
}

enum replay_stop timeline_run(struct timeline *t, u64 until)
{
    const u64 spacing = t->spacing ? t->spacing : TIMELINE_SPACING;
    while (here(t) < until) {
        int before = checkpoints_find(t->checkpoints, here(t));
        u64 next = checkpoints_icount(t->checkpoints, (unsigned)before) + spacing;
        if (next <= here(t))
            next = here(t) + spacing;
        enum replay_stop stop = run_to(t, next < until ? next : until);
        if (stop != REPLAY_REACHED)
            return stop;
        if (here(t) == next)
            keep(t);
    }
    return REPLAY_REACHED;
}

/* To `icount`, leaving checkpoints at half of what is left, and half of that... */
static enum replay_stop approach(struct timeline *t, u64 icount)
{
    while (here(t) < icount) {
        u64 left = icount - here(t), step = left > 2 * nearest ? left / 2 : left;
        enum replay_stop stop = timeline_run(t, here(t) + step);
        if (stop != REPLAY_REACHED)
            return stop;
        if (here(t) < icount)
            keep(t);
    }
    return REPLAY_REACHED;
}

/* ---- Backwards ---------------------------------------------------------------------------------- */

static bool restore(struct timeline *t, unsigned number)
{
    struct replay_place place;
    checkpoints_restore(t->checkpoints, number, &place, sizeof place);
    t->within = false;
    return replay_seek(t->replay, &place);
}

/* Without stops: the debugger's are put aside. */
static enum replay_stop seek(struct timeline *t, u64 icount)
{
    if (icount < t->first)
        icount = t->first;
    int before = checkpoints_find(t->checkpoints, icount);
    bool ahead = here(t) < icount || (here(t) == icount && !t->within && !t->replay->place.done);
    if (!ahead || checkpoints_icount(t->checkpoints, (unsigned)before) > here(t))
        if (!restore(t, (unsigned)before))
            return REPLAY_LOG_OUT;
    return approach(t, icount);
}

enum replay_stop timeline_seek(struct timeline *t, u64 icount)
{
    struct vm *vm = t->replay->vm;
    struct stops *stops = vm->stops;
    vm->stops = NULL;
    enum replay_stop stop = seek(t, icount);
    if (stop == REPLAY_REACHED)
        input_settle(vm);
    vm->stops = stops;
    if (stops)
        stops_renew(vm);
    return stop;
}

/* The last stop that was met, and the place that execution meets it from. */
struct met {
    bool any, within;
    u64 icount;
    struct stop_point point;
};

/* Notes a stop, and prepares for going on behind it. */
static void note(struct timeline *t, struct met *met)
{
    struct stops *s = t->replay->vm->stops;
    bool instruction = s->hit_point.kind == STOP_EXECUTE || here(t) > s->hit_icount; /* rather than a delivery */
    *met = (struct met){.any = true, .icount = s->hit_icount, .point = s->hit_point,
                        .within = instruction && s->delivered == s->hit_icount};
    s->hit = false;
    if (s->hit_point.kind == STOP_EXECUTE)
        stops_pass(t->replay->vm);
}

/* Runs from checkpoint `number` to `end` and notes the last stop before it. With `into`, what is met at `end` itself
 * before an instruction is executed counts, too. */
static enum replay_stop scan(struct timeline *t, unsigned number, u64 end, bool into, struct met *met)
{
    struct stops *s = t->replay->vm->stops;
    if (!restore(t, number))
        return REPLAY_LOG_OUT;
    s->hit = false;
    s->passed = UINT64_MAX;
    for (;;) {
        enum replay_stop stop = run_to(t, into && here(t) == end ? end + 1 : end);
        if (stop == REPLAY_REACHED && into && here(t) == end)
            continue;
        if (stop != REPLAY_DEBUG)
            return stop;
        bool delivery = s->hit_point.kind != STOP_EXECUTE && t->within && here(t) == end;
        if (s->hit_icount >= end && !delivery) {
            s->hit = false;
            return REPLAY_REACHED; /* where we came from, or beyond */
        }
        note(t, met);
    }
}

/* To the place of a stop that was met, with the machine's stops telling of it. */
static enum replay_stop land(struct timeline *t, const struct met *met)
{
    struct stops *s = t->replay->vm->stops;
    enum replay_stop stop = timeline_seek(t, met->icount);
    if (stop != REPLAY_REACHED)
        return stop;
    s->hit = false;
    s->at_delivery = met->within;
    if (met->within)
        stop = run_piece(t, met->icount + 1);
    s->at_delivery = s->hit = false;
    if (met->within && stop != REPLAY_DEBUG)
        return stop;
    s->hit_point = met->point;
    s->hit_icount = met->icount;
    return REPLAY_DEBUG;
}

enum replay_stop timeline_reverse(struct timeline *t)
{
    struct met met = {.any = false};
    u64 end = here(t);
    bool into = t->within;
    if (!t->replay->vm->stops)
        return timeline_seek(t, t->first);
    int number = checkpoints_find(t->checkpoints, into ? end : end ? end - 1 : 0);
    for (; number >= 0; number--) {
        u64 begin = checkpoints_icount(t->checkpoints, (unsigned)number);
        enum replay_stop stop = scan(t, (unsigned)number, end, into, &met);
        if (stop != REPLAY_REACHED && stop != REPLAY_ENDED && stop != REPLAY_LOG_OUT)
            return stop;
        if (met.any)
            return land(t, &met);
        end = begin;
        into = false;
    }
    return timeline_seek(t, t->first);
}

bool timeline_at_begin(const struct timeline *t) { return here(t) <= t->first && !t->within; }

enum replay_stop timeline_step_back(struct timeline *t)
{
    if (timeline_at_begin(t))
        return REPLAY_REACHED;
    return timeline_seek(t, t->within ? here(t) : here(t) - 1);
}
