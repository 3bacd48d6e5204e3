/* The verbs `log` and `diff`. */
#include "sim/log_verbs.h"

#include "replay/input.h"
#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/help.h"
#include "sim/replay_session.h"
#include "sim/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- log ------------------------------------------------------------------------------------------ */

struct log_options {
    const char *log, *source;
    bool last, json, help;
    u64 from, to;
};

static const char *choice_source(unsigned n) { return n < LOG_SOURCES ? log_source_names[n] : NULL; }

#define FIELD(name) offsetof(struct log_options, name)

const struct option log_options_table[] = {
    {"log", 0, OPTION_FILE, FIELD(log), "LOG", NULL, "Log", "The log; --log may be left out.", NULL},
    {"last", 0, OPTION_FLAG, FIELD(last), NULL, NULL, "Log", "The newest of the recent runs.", NULL},
    {"source", 0, OPTION_CHOICE, FIELD(source), "SOURCE", NULL, "Log",
     "Only events of this source: serial, keyboard, time, checkpoint, mark, end.", choice_source},
    {"from", 0, OPTION_COUNT, FIELD(from), "ICOUNT", NULL, "Log", "Only events at or after this instruction.", NULL},
    {"to", 0, OPTION_COUNT, FIELD(to), "ICOUNT", NULL, "Log", "Only events up to this instruction.", NULL},
    {"json", 0, OPTION_FLAG, FIELD(json), NULL, NULL, "Log", "Print one JSON object a line.", NULL},
    {"help", 'h', OPTION_FLAG, FIELD(help), NULL, NULL, "Log", "Explain these options.", NULL},
};
const unsigned log_options_count = ARRAY_LEN(log_options_table);

static void put_memory(FILE *to, const struct log_event *e)
{
    fprintf(to, "%" PRIx64 ":", (u64)e->unit << PAGE_SHIFT | (e->value & PAGE_MASK));
    for (unsigned n = 0; n < input_memory_count(e->value); n++)
        fprintf(to, " %02x", (unsigned)(e->value >> (INPUT_MEMORY_BYTES_SHIFT + 8 * n)) & 0xff);
}

/* What the event says, beside its place. */
static void put_detail(FILE *to, const struct log_event *e)
{
    switch (e->source) {
    case LOG_SERIAL: fprintf(to, "COM%u ", e->unit + 1); /* fall through */
    case LOG_KEYBOARD:
        fprintf(to, "%02x", (unsigned)e->value);
        if (e->value > 0x20 && e->value < 0x7f)
            fprintf(to, " '%c'", (char)e->value);
        break;
    case LOG_MEMORY: put_memory(to, e); break;
    case LOG_TIME: fprintf(to, "+%" PRIu64 " ns", e->value); break;
    case LOG_CHECKPOINT: fprintf(to, "%016" PRIx64, e->hash); break;
    case LOG_END:
        fprintf(to, "%s, value 0x%" PRIx64 ", %016" PRIx64, log_ending_names[e->unit], e->value, e->hash);
        break;
    default: break;
    }
}

/* Chaos of the clock leaves virtual time to a replay. */
static void put_event(FILE *to, const struct log_event *e, bool timed)
{
    char when[32] = "-";
    if (timed)
        snprintf(when, sizeof when, "%.9f", (double)(e->icount + e->skipped_ns) / 1e9);
    fprintf(to, "%16" PRIu64 " %18s %-10s ", e->icount, when, log_source_names[e->source]);
    put_detail(to, e);
    fputc('\n', to);
}

static void put_event_json(const struct log_event *e, bool timed)
{
    printf("{\"icount\": %" PRIu64 ", ", e->icount);
    if (timed)
        printf("\"virtual_ns\": %" PRIu64 ", ", e->icount + e->skipped_ns);
    printf("\"source\": \"%s\"", log_source_names[e->source]);
    printf(", \"unit\": %u, \"value\": %" PRIu64, e->unit, e->value);
    if (e->source == LOG_CHECKPOINT || e->source == LOG_END)
        printf(", \"state_hash\": \"%016" PRIx64 "\"", e->hash);
    printf("}\n");
}

static void list_events(struct replay_session *s, const struct log_options *o)
{
    struct log_event e;
    const bool timed = !(s->reader->machine.chaos.kinds & CHAOS_CLOCK);
    if (o->from)
        log_seek_icount(s->reader, o->from);
    while (log_next(s->reader, &e) && (!o->to || e.icount <= o->to)) {
        if (e.icount < o->from || (o->source && strcmp(o->source, log_source_names[e.source])))
            continue;
        if (o->json)
            put_event_json(&e, timed);
        else
            put_event(stdout, &e, timed);
    }
}

int verb_log(int argc, char **argv)
{
    static struct replay_session session;
    const struct option_set set = {
        .verb = "log", .table = {{log_options_table, ARRAY_LEN(log_options_table)}}, .bare = "log"};
    struct log_options o = {0};
    char message[SESSION_MESSAGE_MAX];
    if (!options_parse_set(&set, argc, argv, &o, message))
        return complain(EXIT_USAGE, message);
    if (o.help) {
        printf("Usage: reprise log LOG|--last [OPTIONS]\n"
               "Prints instruction count, virtual seconds, source and contents of each event.\n");
        help_options(stdout, log_options_table, ARRAY_LEN(log_options_table), NULL);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!o.log == !o.last)
        return complain(EXIT_USAGE, "log: which log is not said; write `reprise log LOG` or `reprise log --last`");
    if (!session_open(&session, o.log, message))
        return complain(EXIT_USAGE, message);
    list_events(&session, &o);
    bool damaged = log_tail(session.reader) == LOG_TAIL_DAMAGED;
    session_close(&session);
    if (fflush(stdout) || ferror(stdout))
        return EXIT_HOST;
    return damaged ? complain(EXIT_LOG_OUT, "the log is damaged from here on; take another copy") : EXIT_POWER_OFF;
}

/* ---- diff ----------------------------------------------------------------------------------------- */

struct diff_options {
    struct option_list logs;
    bool help;
};

const struct option diff_options_table[] = {
    {"logs", 0, OPTION_LIST, offsetof(struct diff_options, logs), "LOG", NULL, "Diff",
     "The two logs; --logs may be left out.", NULL},
    {"help", 'h', OPTION_FLAG, offsetof(struct diff_options, help), NULL, NULL, "Diff", "Explain these options.", NULL},
};
const unsigned diff_options_count = ARRAY_LEN(diff_options_table);

/* *same stays true if they are. */
static void compare_text(bool *same, const char *what, const char *a, const char *b)
{
    if (!strcmp(a, b))
        return;
    *same = false;
    printf("%s: ", what);
    text_put(stdout, a);
    printf(" and ");
    text_put(stdout, b);
    putchar('\n');
}

static void compare_number(bool *same, const char *what, u64 a, u64 b)
{
    if (a == b)
        return;
    *same = false;
    printf("%s: %" PRIu64 " and %" PRIu64 "\n", what, a, b);
}

static void compare_image(bool *same, const struct log_image *a, const struct log_image *b)
{
    compare_text(same, "an image's text", a->text, b->text);
    if (!memcmp(a->hash, b->hash, LOG_HASH_BYTES) && a->kind == b->kind)
        return;
    *same = false;
    printf("images: ");
    text_put(stdout, a->path);
    printf(" and ");
    text_put(stdout, b->path);
    printf(" have not the same content\n");
}

/* Everything that differs between the machines is listed: it may explain the rest. */
static bool same_machine(const struct log_machine *a, const struct log_machine *b)
{
    bool same = true;
    compare_text(&same, "processor model", a->cpu, b->cpu);
    compare_number(&same, "memory", a->ram_bytes, b->ram_bytes);
    compare_number(&same, "real-time clock", a->rtc_start, b->rtc_start);
    compare_number(&same, "debug exit", a->debug_exit, b->debug_exit);
    compare_text(&same, "append", a->append, b->append);
    compare_number(&same, "number of images", a->image_count, b->image_count);
    for (unsigned n = 0; n < a->image_count && n < b->image_count; n++)
        compare_image(&same, &a->images[n], &b->images[n]);
    return same;
}

/* The next event that says something about the run: marks depend on when the host looked. */
static bool next_event(struct replay_session *s, struct log_event *e)
{
    while (log_next(s->reader, e))
        if (e->source != LOG_MARK)
            return true;
    return false;
}

static bool same_event(const struct log_event *a, const struct log_event *b)
{
    return a->icount == b->icount && a->skipped_ns == b->skipped_ns && a->source == b->source && a->unit == b->unit &&
           a->value == b->value && a->hash == b->hash;
}

/* State hashes taken at places of which the other log has none say nothing. */
static bool lonely(const struct log_event *e, bool have_other, const struct log_event *other)
{
    return e->source == LOG_CHECKPOINT && have_other &&
           (other->source != LOG_CHECKPOINT || e->icount < other->icount);
}

static int report_difference(struct replay_session s[2], const bool have[2], const struct log_event e[2], u64 good)
{
    bool state = have[0] && have[1] && e[0].source == LOG_CHECKPOINT && e[1].source == LOG_CHECKPOINT &&
                 e[0].icount == e[1].icount && e[0].hash != e[1].hash;
    printf("the %s differ; the last equal state hash is at instruction %" PRIu64 "\n", state ? "states" : "runs", good);
    for (unsigned n = 0; n < 2; n++) {
        printf("%s: ", s[n].path);
        if (have[n])
            put_event(stdout, &e[n], !(s[n].reader->machine.chaos.kinds & CHAOS_CLOCK));
        else
            printf("ends\n");
    }
    return EXIT_DIVERGED;
}

static int compare_events(struct replay_session s[2])
{
    struct log_event e[2];
    bool have[2] = {next_event(&s[0], &e[0]), next_event(&s[1], &e[1])};
    u64 good = 0, equal = 0;
    while (have[0] || have[1]) {
        if (have[0] && have[1] && same_event(&e[0], &e[1])) {
            good = e[0].source == LOG_CHECKPOINT || e[0].source == LOG_END ? e[0].icount : good;
            equal++;
            have[0] = next_event(&s[0], &e[0]);
            have[1] = next_event(&s[1], &e[1]);
        } else if (have[0] && lonely(&e[0], have[1], &e[1])) {
            have[0] = next_event(&s[0], &e[0]);
        } else if (have[1] && lonely(&e[1], have[0], &e[0])) {
            have[1] = next_event(&s[1], &e[1]);
        } else {
            return report_difference(s, have, e, good);
        }
    }
    printf("no difference: %" PRIu64 " equal events, the last state hash at instruction %" PRIu64 "\n", equal, good);
    return EXIT_POWER_OFF;
}

int verb_diff(int argc, char **argv)
{
    static struct replay_session sessions[2];
    const struct option_set set = {
        .verb = "diff", .table = {{diff_options_table, ARRAY_LEN(diff_options_table)}}, .bare = "logs"};
    struct diff_options o = {0};
    char message[SESSION_MESSAGE_MAX];
    if (!options_parse_set(&set, argc, argv, &o, message))
        return complain(EXIT_USAGE, message);
    if (o.help) {
        printf("Usage: reprise diff LOG LOG\nPrints the first difference of two recorded runs.\n");
        help_options(stdout, diff_options_table, ARRAY_LEN(diff_options_table), NULL);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (o.logs.count != 2)
        return complain(EXIT_USAGE, "diff compares two logs; write `reprise diff LOG LOG`");
    for (unsigned n = 0; n < 2; n++)
        if (!session_open(&sessions[n], o.logs.item[n], message))
            return complain(EXIT_USAGE, message);
    bool same = same_machine(&sessions[0].reader->machine, &sessions[1].reader->machine);
    int code = compare_events(sessions);
    session_close(&sessions[0]);
    session_close(&sessions[1]);
    return fflush(stdout) || ferror(stdout) ? EXIT_HOST : same ? code : EXIT_DIVERGED;
}
