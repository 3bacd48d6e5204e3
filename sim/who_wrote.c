/* The verb `who-wrote`: the last writes to an address, found by replaying from checkpoint to checkpoint backwards. */
#include "sim/tool_verbs.h"

#include "mmu/access.h"
#include "replay/timeline.h"
#include "sim/complain.h"
#include "sim/dump.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/host_linux.h"
#include "sim/text.h"
#include "sim/visit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE_MAX_WATCHED = 64 };

struct who_options {
    struct visit_options visit;
    u64 before, size, count, checkpoint_memory;
    bool physical, all;
};

#define FIELD(name) offsetof(struct who_options, name)
#define GROUP "Who wrote"

const struct option who_wrote_options_table[] = {
    {"address", 0, OPTION_LIST, FIELD(visit.words), "LOG ADDRESS", NULL, GROUP,
     "The log and the address, hexadecimal, with or without 0x; --address may be left out.", NULL},
    {"before", 0, OPTION_COUNT, FIELD(before), "ICOUNT", NULL, GROUP,
     "Only writes before the guest has executed this many instructions; without it, before the end of the run.", NULL},
    {"size", 0, OPTION_COUNT, FIELD(size), "BYTES", "8", GROUP,
     "Bytes from ADDRESS on, 1 to 64; a write to any of them counts. They must not cross a page.", NULL},
    {"physical", 0, OPTION_FLAG, FIELD(physical), NULL, NULL, GROUP, "ADDRESS is guest-physical.", NULL},
    {"count", 'n', OPTION_COUNT, FIELD(count), "N", "1", GROUP, "The last N writes instead of the last one.", NULL},
    {"all", 0, OPTION_FLAG, FIELD(all), NULL, NULL, GROUP, "All of them, back to power-on.", NULL},
    {"checkpoint-memory", 0, OPTION_SIZE, FIELD(checkpoint_memory), "SIZE", "512M", GROUP,
     "Memory for checkpoints, which make going back fast.", NULL},
    VISIT_JSON(struct who_options, GROUP, "One JSON object a line."),
    VISIT_OUTPUT(struct who_options, GROUP, "Write to FILE instead of standard output."),
    VISIT_OPTIONS(struct who_options, GROUP),
};
const unsigned who_wrote_options_count = ARRAY_LEN(who_wrote_options_table);

static const char usage[] =
    "Usage: reprise who-wrote LOG ADDRESS [--before ICOUNT] [--size BYTES] [-n N|--all] [OPTIONS]\n"
    "Prints what last wrote to an address: the place in the run, the instruction, and the value before and after. A linear\n"
    "address is looked up in the page tables of the process that runs at --before; from there on its physical memory is\n"
    "watched, so that writes by other addresses are found as well. The newest comes first. To look around a place:\n"
    "\n"
    "  reprise who-wrote LOG ffffffff82a0c040 --before 2G   the last writer\n"
    "  reprise seek LOG ICOUNT                              registers just before that write\n"
    "  reprise replay LOG --gdb 1234                        then in gdb: monitor seek ICOUNT\n";

enum writer { BY_INSTRUCTION, BY_DELIVERY, BY_WALK };
static const char *const writer_names[] = {"instruction", "delivery", "page walk"};

struct written {
    u64 icount, virtual_ns, physical; /* of the first byte written */
    struct dump_insn insn;            /* at CS:RIP when it happened */
    u8 writer, vector, size;
    u8 before[SIZE_MAX_WATCHED], after[SIZE_MAX_WATCHED]; /* of the watched bytes */
};

/* Writes in the order in which they happened; the oldest are dropped when there are many more than wanted. */
struct writes {
    struct written *item;
    u64 count, room, wanted;
};

struct search {
    struct visit visit;
    struct who_options options;
    struct timeline line;
    u64 linear, physical, before;
    struct writes part, found; /* of one stretch; of all, the newest last */
    struct { /* the last delivery that began */
        u64 icount, rip;
        u8 vector;
        bool fault, any;
    } delivery;
    bool no_memory;
};

/* ---- Watching ------------------------------------------------------------------------------------ */

static struct written *append(struct writes *w)
{
    if (w->wanted != UINT64_MAX && w->count >= 2 * w->wanted + 64) {
        memmove(w->item, w->item + (w->count - w->wanted), w->wanted * sizeof *w->item);
        w->count = w->wanted;
    }
    if (w->count == w->room) {
        u64 room = w->room ? 2 * w->room : 256;
        struct written *item = realloc(w->item, room * sizeof *item);
        if (!item)
            return NULL;
        w->item = item;
        w->room = room;
    }
    return &w->item[w->count++];
}

static bool overlaps(const struct search *s, const struct trace_event *e)
{
    return e->physical - s->physical < s->options.size || s->physical - e->physical < e->size;
}

static void note_write(struct search *s, struct vm *vm, const struct trace_event *e)
{
    struct vcpu *v = vm->vcpu[0];
    struct written *w = overlaps(s, e) ? append(&s->part) : NULL;
    s->no_memory |= !w && overlaps(s, e);
    if (!w)
        return;
    const u8 *now = physmem_pointer(&vm->memory, gpa(s->physical));
    bool delivery = s->delivery.any && s->delivery.icount == v->cpu.icount && s->delivery.rip == v->cpu.rip;
    *w = (struct written){.icount = v->cpu.icount, .virtual_ns = vm_now(vm), .physical = e->physical, .size = e->size};
    w->writer = e->kind == TRACE_FRAME_MARK ? BY_WALK : delivery ? BY_DELIVERY : BY_INSTRUCTION;
    if (delivery) {
        w->vector = s->delivery.vector;
        w->icount -= s->delivery.fault; /* the attempt that failed has been counted */
    }
    dump_fetch(v, v->cpu.rip, &w->insn);
    memcpy(w->before, now, s->options.size);
    memcpy(w->after, now, s->options.size);
    for (unsigned n = 0; n < e->size; n++)
        if (e->physical + n - s->physical < s->options.size)
            w->after[e->physical + n - s->physical] = e->bytes[n];
}

static void on_event(void *context, struct vm *vm, const struct trace_event *e)
{
    struct search *s = context;
    const struct cpu *c = &vm->vcpu[0]->cpu;
    if (e->kind == TRACE_FRAME_WRITE || e->kind == TRACE_FRAME_MARK) {
        note_write(s, vm, e);
        return;
    }
    s->delivery.any = true;
    s->delivery.icount = c->icount;
    s->delivery.rip = c->rip;
    s->delivery.vector = e->vector;
    s->delivery.fault = e->kind == TRACE_EXCEPTION;
}

static bool interrupted(void *context)
{
    (void)context;
    return host_stop_requested();
}

/* ---- Searching ----------------------------------------------------------------------------------- */

/* [begin, end) of the run, with every write to the place noted. */
static enum replay_stop watch_part(struct search *s, u64 begin, u64 end)
{
    struct vm *vm = s->visit.session.vm;
    const struct tracer tracer = {
        .mask = 1u << TRACE_EXCEPTION | 1u << TRACE_INTERRUPT | 1u << TRACE_FRAME_WRITE | 1u << TRACE_FRAME_MARK,
        .context = s, .event = on_event};
    enum replay_stop stop = timeline_seek(&s->line, begin);
    if (stop != REPLAY_REACHED)
        return stop;
    s->part.count = 0;
    s->delivery.any = false;
    vm->tracer = &tracer;
    stop = timeline_run(&s->line, end);
    vm->tracer = NULL;
    return stop;
}

/* What was found in a stretch lies before what was found so far. */
static bool take_part(struct search *s)
{
    u64 missing = s->found.wanted - s->found.count;
    u64 taken = s->part.count < missing ? s->part.count : missing;
    const struct written *last = s->part.item + s->part.count;
    for (u64 n = 1; n <= taken; n++) {
        struct written *to = append(&s->found); /* newest first here */
        if (!to)
            return false;
        *to = *(last - n);
    }
    return true;
}

static int search_back(struct search *s)
{
    u64 end = s->before;
    while (s->found.count < s->found.wanted) {
        int number = end ? checkpoints_find(s->line.checkpoints, end - 1) : -1;
        if (number < 0)
            return 0;
        u64 begin = checkpoints_icount(s->line.checkpoints, (unsigned)number);
        s->part.wanted = s->options.all ? UINT64_MAX : s->found.wanted - s->found.count;
        enum replay_stop stop = watch_part(s, begin, end);
        if (stop != REPLAY_REACHED && stop != REPLAY_ENDED && stop != REPLAY_LOG_OUT)
            return visit_judge(&s->visit, stop, UINT64_MAX, "--before");
        if (s->no_memory || !take_part(s))
            return complain(EXIT_HOST, "who-wrote: no memory for so many writes; ask for fewer with -n");
        end = begin;
    }
    return 0;
}

/* Goes to the place from where the search goes back, and finds the address there. */
static int locate(struct search *s)
{
    char message[400];
    struct vm *vm = s->visit.session.vm;
    u64 before = s->options.before ? s->options.before : s->visit.length;
    int code = visit_judge(&s->visit, timeline_seek(&s->line, before), s->options.before ? before : UINT64_MAX, "--before");
    if (code)
        return code;
    s->before = vm->vcpu[0]->cpu.icount;
    gpa_t at = gpa(s->linear);
    if (!s->options.physical && !mem_translate_debug(vm->vcpu[0], s->linear, &at)) {
        snprintf(message, sizeof message, "%" PRIx64 " is not mapped at instruction %" PRIu64 " (CR3 %" PRIx64 "); choose another "
                 "--before, or --physical", s->linear, s->before, vm->vcpu[0]->cpu.cr3);
        return complain(EXIT_NOT_THERE, message);
    }
    if (!physmem_pointer(&vm->memory, at)) {
        snprintf(message, sizeof message, "physical address %" PRIx64 " is not RAM; `reprise trace --only mmio` shows accesses to "
                 "devices", at.raw);
        return complain(EXIT_NOT_THERE, message);
    }
    s->physical = at.raw;
    phys_watch_writes(vm, at, true);
    return 0;
}

/* ---- Telling ------------------------------------------------------------------------------------- */

static void put_value(FILE *to, const u8 *bytes, u64 size)
{
    for (u64 n = 0; n < size; n++)
        fprintf(to, "%02x", bytes[size > 8 ? n : size - 1 - n]);
}

static void put_text(const struct search *s, const struct written *w)
{
    static const char *const modes[] = {"16-bit", "32-bit", "64-bit"};
    FILE *to = s->visit.to;
    fprintf(to, "%12" PRIu64 " ", w->icount);
    dump_put_insn(to, &w->insn);
    fprintf(to, "\n%12s ring %u, %s code, %.9f virtual seconds\n", "", w->insn.cpl, modes[w->insn.mode], (double)w->virtual_ns / 1e9);
    if (w->writer == BY_DELIVERY)
        fprintf(to, "%12s written by the delivery of vector %02x (%s), not by this instruction\n", "", w->vector,
                vector_name(w->vector));
    if (w->writer == BY_WALK)
        fprintf(to, "%12s written by the page walk of an access of this instruction: A or D bits\n", "");
    fprintf(to, "%12s physical %" PRIx64 ": ", "", s->physical);
    put_value(to, w->before, s->options.size);
    fprintf(to, " -> ");
    put_value(to, w->after, s->options.size);
    fprintf(to, " (%u bytes at %" PRIx64 ")\n", w->size, w->physical);
}

static void put_json(const struct search *s, const struct written *w)
{
    FILE *to = s->visit.to;
    fprintf(to, "{\"icount\": %" PRIu64 ", \"virtual_ns\": %" PRIu64 ", \"by\": \"%s\", \"cs\": %u, \"rip\": \"0x%" PRIx64
            "\", \"cpl\": %u, \"bits\": %u, \"instruction\": ", w->icount, w->virtual_ns, writer_names[w->writer], w->insn.cs,
            w->insn.rip, w->insn.cpl, 16u << w->insn.mode);
    text_put_json(to, w->insn.text);
    if (w->writer == BY_DELIVERY)
        fprintf(to, ", \"vector\": %u", w->vector);
    fprintf(to, ", \"physical\": \"0x%" PRIx64 "\", \"size\": %u, \"before\": \"", w->physical, w->size);
    put_value(to, w->before, s->options.size);
    fprintf(to, "\", \"after\": \"");
    put_value(to, w->after, s->options.size);
    fprintf(to, "\"}\n");
}

static int tell(const struct search *s)
{
    char message[200];
    for (u64 n = 0; n < s->found.count; n++)
        (s->options.visit.json ? put_json : put_text)(s, &s->found.item[n]);
    if (s->found.count)
        return EXIT_POWER_OFF;
    snprintf(message, sizeof message, "nothing has written to physical address %" PRIx64 " before instruction %" PRIu64
             "; what is there was loaded at boot, or is zero", s->physical, s->before);
    return complain(EXIT_NOT_THERE, message);
}

static int search(struct search *s)
{
    s->line.replay = &s->visit.session.replay;
    s->line.interrupted = interrupted;
    if (timeline_create(&s->line, s->options.checkpoint_memory) != STATUS_OK)
        return complain(EXIT_USAGE, "--checkpoint-memory: not even the first checkpoint fits; give more");
    s->found.wanted = s->options.all ? UINT64_MAX : s->options.count;
    int code = locate(s);
    if (!code)
        code = search_back(s);
    progress_clear(&s->visit.progress);
    if (!code)
        code = tell(s);
    timeline_destroy(&s->line);
    free(s->part.item);
    free(s->found.item);
    return code;
}

static bool check(struct search *s, char *message)
{
    const struct who_options *o = &s->options;
    const char *text = o->visit.words.count == 1 ? o->visit.words.item[0] : "";
    char *end = NULL;
    s->linear = strtoull(text, &end, 16);
    if (o->visit.words.count != 1)
        snprintf(message, MESSAGE_MAX, "who-wrote takes a log and one address; write `reprise who-wrote LOG ADDRESS`");
    else if (!*text || *end || *text == '-' || *text == '+' || strlen(text) > 18)
        snprintf(message, MESSAGE_MAX, "\"%.80s\" is not an address; write it in hexadecimal, for example ffffffff81c0a040", text);
    else if (o->size > SIZE_MAX_WATCHED || (s->linear & PAGE_MASK) + o->size > PAGE_SIZE)
        snprintf(message, MESSAGE_MAX, "--size: %" PRIu64 " bytes from %" PRIx64 " %s; give a smaller --size", o->size, s->linear,
                 o->size > SIZE_MAX_WATCHED ? "are more than 64" : "cross a page");
    else
        return true;
    return false;
}

int verb_who_wrote(int argc, char **argv)
{
    static struct search s;
    char message[MESSAGE_MAX];
    int code;
    const struct option_set set = {
        .verb = "who-wrote", .table = {{who_wrote_options_table, ARRAY_LEN(who_wrote_options_table)}}, .bare = "address"};
    if (!visit_parse(&s.visit, &set, argc, argv, &s.options.visit, usage, &code))
        return code;
    if (!check(&s, message))
        code = complain(EXIT_USAGE, message);
    else if (visit_begin(&s.visit, &s.options.visit, "searching", s.options.before, &code))
        code = search(&s);
    return visit_end(&s.visit, &s.options.visit, code);
}
