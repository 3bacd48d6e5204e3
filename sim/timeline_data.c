#include "sim/timeline_data.h"

#include "core/trace.h"
#include "sim/host_linux.h"

#include <stdlib.h>
#include <string.h>

const char *const timeline_measure_names[MEASURES] = {
    [M_INSTRUCTIONS] = "executing",    [M_IDLE] = "idle",       [M_PORTS] = "ports", [M_MMIO] = "MMIO",
    [M_INTERPRETER] = "interpreter", [M_CONSOLE] = "console", [M_INPUTS] = "inputs",
};

u64 timeline_position(const struct timeline_data *d, u64 icount, u64 ns) { return d->by_icount ? icount : ns; }

unsigned timeline_slice(const struct timeline_data *d, u64 position)
{
    u64 slice = (u64)((u128)position * d->slices / d->span);
    return slice < d->slices ? (unsigned)slice : d->slices - 1;
}

/* Where a slice begins on the axis. */
static u64 slice_begin(const struct timeline_data *d, unsigned slice)
{
    return (u64)(((u128)slice * d->span + d->slices - 1) / d->slices);
}

/* ---- Counting ------------------------------------------------------------------------------------- */

/* An amount that belongs to [from, to) of the axis, evenly. */
static void spread(struct timeline_data *d, enum measure what, u64 from, u64 to, u64 amount)
{
    u64 length = to - from, given = 0, at = from;
    d->total[what] += amount;
    for (unsigned slice = timeline_slice(d, from); amount > given; slice++) {
        u64 end = slice + 1 < d->slices ? slice_begin(d, slice + 1) : UINT64_MAX;
        bool last = end >= to || !length;
        u64 part = last ? amount - given : (u64)((u128)amount * (end - at) / length);
        d->value[what][slice] += part;
        given += part;
        at = end;
        if (last)
            return;
    }
}

static void read_counters(const struct vm *vm, u64 *counter)
{
    const struct vm_stats *s = &vm->stats;
    counter[M_PORTS] = s->io_reads + s->io_writes;
    counter[M_MMIO] = s->mmio_reads + s->mmio_writes;
    counter[M_INTERPRETER] = s->callouts + s->interpreted;
}

/* Since the last call the guest has first executed and then waited: it ends to wait by an interrupt, at which this is
 * called. */
static void account(struct timeline_data *d, const struct vm *vm)
{
    u64 icount = vm->vcpu[0]->cpu.icount, now = vm_now(vm), counter[MEASURES] = {0};
    u64 executed = icount - d->at_icount, idle = now - d->at_ns - executed;
    u64 from = timeline_position(d, d->at_icount, d->at_ns);
    u64 halted = timeline_position(d, icount, d->at_ns + executed);
    read_counters(vm, counter);
    spread(d, M_INSTRUCTIONS, from, halted, executed);
    spread(d, M_IDLE, halted, timeline_position(d, icount, now), idle);
    for (enum measure m = M_PORTS; m <= M_INTERPRETER; m++)
        spread(d, m, from, halted, counter[m] - d->seen[m]);
    memcpy(d->seen, counter, sizeof d->seen);
    d->at_icount = icount;
    d->at_ns = now;
}

static unsigned slice_now(const struct timeline_data *d, const struct vm *vm)
{
    return timeline_slice(d, timeline_position(d, vm->vcpu[0]->cpu.icount, vm_now(vm)));
}

static void on_event(void *context, struct vm *vm, const struct trace_event *e)
{
    struct timeline_data *d = context;
    if (e->kind == TRACE_EXCEPTION) {
        if (e->vector < ARRAY_LEN(d->exceptions))
            d->exceptions[e->vector][slice_now(d, vm)]++;
        return;
    }
    account(d, vm);
    d->interrupts[e->vector][slice_now(d, vm)]++;
}

/* ---- Console -------------------------------------------------------------------------------------- */

static void end_line(struct timeline_data *d)
{
    bool blank = d->pending.text[strspn(d->pending.text, " ")] == 0;
    if (!blank && d->lines == d->room) {
        u64 room = d->room ? 2 * d->room : 256;
        struct timeline_text *line = realloc(d->line, room * sizeof *line);
        d->no_memory |= !line;
        d->line = line ? line : d->line;
        d->room = line ? room : d->room;
    }
    if (!blank && d->lines < d->room)
        d->line[d->lines++] = d->pending;
    memset(&d->pending, 0, sizeof d->pending);
    d->pending_length = 0;
}

/* Printable text of a line, without what steers a terminal (ECMA-48: ESC [ ... letter). */
static void add_character(struct timeline_data *d, const struct vm *vm, u8 byte)
{
    if (d->in_escape) {
        d->in_escape = !(byte >= '@' && byte <= '~' && byte != '[');
        return;
    }
    d->in_escape = byte == 0x1b;
    if (byte < 0x20 || byte == 0x7f || d->pending_length == TIMELINE_TEXT_MAX - 1)
        return;
    if (!d->pending_length) {
        d->pending.icount = vm->vcpu[0]->cpu.icount;
        d->pending.ns = vm_now(vm);
    }
    d->pending.text[d->pending_length++] = (char)byte;
}

static bool on_output(void *context, enum host_channel channel, u8 byte)
{
    struct timeline_data *d = context;
    const struct vm *vm = d->visit->session.vm;
    (void)channel;
    d->value[M_CONSOLE][slice_now(d, vm)]++;
    d->total[M_CONSOLE]++;
    if (byte == '\n')
        end_line(d);
    else
        add_character(d, vm, byte);
    return false;
}

static u64 line_position(const struct timeline_data *d, u64 n)
{
    return timeline_position(d, d->line[n].icount, d->line[n].ns);
}

static bool is_near(const struct timeline_data *d, u64 at, const struct timeline_text **label, unsigned count)
{
    u64 near = d->span / 45;
    for (unsigned n = 0; n < count; n++) {
        u64 other = timeline_position(d, label[n]->icount, label[n]->ns);
        if ((at > other ? at - other : other - at) < near)
            return true;
    }
    return false;
}

/* The line after the longest silence that is not near a chosen one; NULL: there is none. */
static const struct timeline_text *next_label(const struct timeline_data *d, const struct timeline_text **label,
                                              unsigned count)
{
    const struct timeline_text *best = NULL;
    u64 longest = 0, before = 0;
    for (u64 n = 0; n < d->lines; n++) {
        u64 at = line_position(d, n), silence = at - before;
        before = at;
        if ((best && silence <= longest) || is_near(d, at, label, count))
            continue;
        best = &d->line[n];
        longest = silence;
    }
    return best;
}

unsigned timeline_labels(const struct timeline_data *d, unsigned wanted, const struct timeline_text **label)
{
    unsigned count = 0;
    const struct timeline_text *next;
    while (count < wanted && (next = next_label(d, label, count))) {
        unsigned at = count++;
        for (; at && label[at - 1] > next; at--) /* all are members of d->line */
            label[at] = label[at - 1];
        label[at] = next;
    }
    return count;
}

/* ---- All together --------------------------------------------------------------------------------- */

static void count_inputs(struct timeline_data *d)
{
    struct log_event e;
    struct log_reader *reader = d->visit->session.reader;
    struct log_cursor here = log_tell(reader);
    while (log_next(reader, &e)) {
        if (e.source != LOG_SERIAL && e.source != LOG_KEYBOARD)
            continue;
        d->value[M_INPUTS][timeline_slice(d, timeline_position(d, e.icount, e.icount + e.skipped_ns))]++;
        d->total[M_INPUTS]++;
    }
    (void)log_seek(reader, &here);
}

/* The most frequent vectors, by number. */
static unsigned choose_rows(const u32 (*counts)[TIMELINE_SLICES_MAX], unsigned vectors, struct timeline_row *rows)
{
    unsigned count = 0;
    for (unsigned v = 0; v < vectors; v++) {
        struct timeline_row row = {.vector = (u8)v, .count = counts[v]};
        for (unsigned s = 0; s < TIMELINE_SLICES_MAX; s++)
            row.total += counts[v][s];
        if (!row.total)
            continue;
        unsigned at = count < TIMELINE_ROWS_MAX ? count++ : TIMELINE_ROWS_MAX;
        for (; at && rows[at - 1].total < row.total; at--)
            if (at < TIMELINE_ROWS_MAX)
                rows[at] = rows[at - 1];
        if (at < TIMELINE_ROWS_MAX)
            rows[at] = row;
    }
    return count;
}

/* To the next border between two slices; idle time may pass several. */
static u64 next_border(const struct timeline_data *d, const struct vm *vm)
{
    u64 icount = vm->vcpu[0]->cpu.icount, at = timeline_position(d, icount, vm_now(vm));
    unsigned slice = timeline_slice(d, at);
    u64 end = slice + 1 < d->slices ? slice_begin(d, slice + 1) : UINT64_MAX;
    return end == UINT64_MAX ? end : end > at ? icount + (end - at) : icount + 1;
}

int timeline_collect(struct timeline_data *d)
{
    struct vm *vm = d->visit->session.vm;
    const struct tracer tracer = {
        .mask = 1u << TRACE_EXCEPTION | 1u << TRACE_INTERRUPT, .context = d, .event = on_event};
    u64 length = timeline_position(d, d->visit->length, d->visit->length_ns);
    d->span = length ? length : 1;
    if (d->slices > d->span)
        d->slices = (unsigned)d->span;
    count_inputs(d);
    vm->tracer = &tracer;
    host_console_set_tap(on_output, d);
    enum replay_stop stop = REPLAY_REACHED;
    while (stop == REPLAY_REACHED) {
        stop = replay_run(&d->visit->session.replay, next_border(d, vm));
        account(d, vm);
    }
    vm->tracer = NULL;
    host_console_set_tap(NULL, NULL);
    if (d->pending_length)
        end_line(d);
    d->interrupt_rows = choose_rows((const u32(*)[TIMELINE_SLICES_MAX])d->interrupts, 256, d->interrupt_row);
    d->exception_rows = choose_rows((const u32(*)[TIMELINE_SLICES_MAX])d->exceptions, 32, d->exception_row);
    return visit_judge(d->visit, stop, UINT64_MAX, "--output");
}
