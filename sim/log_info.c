/* The verb `info`. */
#include "sim/log_verbs.h"

#include "sim/chaos_option.h"
#include "sim/complain.h"
#include "sim/exit_code.h"
#include "sim/help.h"
#include "sim/replay_session.h"
#include "sim/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct info_options {
    const char *log;
    bool last, json, help;
};

#define FIELD(name) offsetof(struct info_options, name)

const struct option info_options_table[] = {
    {"log", 0, OPTION_FILE, FIELD(log), "LOG", NULL, "Info", "The log; --log may be left out.", NULL},
    {"last", 0, OPTION_FLAG, FIELD(last), NULL, NULL, "Info", "The newest of the recent runs.", NULL},
    {"json", 0, OPTION_FLAG, FIELD(json), NULL, NULL, "Info", "Print one JSON object.", NULL},
    {"help", 'h', OPTION_FLAG, FIELD(help), NULL, NULL, "Info", "Explain these options.", NULL},
};
const unsigned info_options_count = ARRAY_LEN(info_options_table);

/* What the events say. */
struct totals {
    u64 count[LOG_SOURCES], bytes[LOG_SOURCES]; /* bytes before compression */
    struct log_event last;
    u64 last_hash, hash_icount;
    u64 file_bytes;
    enum log_tail tail;
    bool live;
};

static void read_events(struct replay_session *s, struct totals *t)
{
    struct log_event e;
    struct log_cursor before = log_tell(s->reader), after;
    *t = (struct totals){.live = session_is_live(s), .file_bytes = s->reader->file.size(s->reader->file.context)};
    while (log_next(s->reader, &e)) {
        after = log_tell(s->reader);
        t->count[e.source]++;
        t->bytes[e.source] += after.chunk == before.chunk ? after.at - before.at : after.at;
        before = after;
        t->last = e;
        if (e.source == LOG_CHECKPOINT || e.source == LOG_END) {
            t->last_hash = e.hash;
            t->hash_icount = e.icount;
        }
    }
    t->tail = log_tail(s->reader);
}

static const char *condition(const struct totals *t)
{
    if (t->tail == LOG_TAIL_COMPLETE)
        return log_ending_names[t->last.unit];
    if (t->live)
        return "still running";
    return t->tail == LOG_TAIL_DAMAGED ? "damaged from here on" : "cut off";
}

static double virtual_seconds(const struct totals *t) { return (double)(t->last.icount + t->last.skipped_ns) / 1e9; }

static const char *const image_kinds[] = {"kernel", "initrd", "module"};

static void show_images(const struct log_machine *m)
{
    for (unsigned n = 0; n < m->image_count; n++) {
        const struct log_image *i = &m->images[n];
        printf("%-12s", image_kinds[i->kind]);
        text_put(stdout, i->path);
        printf(", %" PRIu64 " bytes%s\n%-12sSHA-256 ", i->size, i->embedded ? ", in the log" : "", "");
        text_put_hex(stdout, i->hash, LOG_HASH_BYTES);
        if (*i->text) {
            printf("\n%-12stext ", "");
            text_put(stdout, i->text);
        }
        putchar('\n');
    }
}

static void show_log(const struct totals *t)
{
    printf("%-12s%" PRIu64 " bytes, %.4f per 1000 instructions\n", "log", t->file_bytes,
           t->last.icount ? (double)t->file_bytes * 1000.0 / (double)t->last.icount : 0.0);
    for (unsigned n = 0; n < LOG_SOURCES; n++)
        if (t->count[n])
            printf("%-12s%-12s %10" PRIu64 " events %10" PRIu64 " bytes before compression\n", "", log_source_names[n],
                   t->count[n], t->bytes[n]);
    if (t->count[LOG_CHECKPOINT] || t->count[LOG_END])
        printf("%-12s%016" PRIx64 " at instruction %" PRIu64 "\n", "last hash", t->last_hash, t->hash_icount);
}

static void show_options(const struct log_machine *m)
{
    char chaos[CHAOS_TEXT_MAX];
    chaos_text(&m->chaos, chaos);
    printf("\n%-12s%s%s%s%s\n", "options", m->debug_exit ? "--debug-exit " : "", m->reset_exits ? "--reset exit " : "",
           *chaos ? "--chaos " : "", chaos);
}

static void show(const struct replay_session *s, const struct totals *t)
{
    const struct log_machine *m = &s->reader->machine;
    printf("%s: recorded ", s->path);
    text_put_time(stdout, m->started);
    printf(" by reprise ");
    text_put(stdout, m->program);
    printf(", engine ");
    text_put(stdout, m->engine);
    printf(", on ");
    text_put(stdout, m->host);
    printf("\n%-12s", "processor");
    text_put(stdout, m->cpu);
    printf("\n%-12s%" PRIu64 " MiB\n%-12sreal-time clock starts ", "memory", m->ram_bytes >> 20, "time");
    text_put_time(stdout, m->rtc_start);
    printf(", virtual time follows %s\n", m->wall ? "real time" : "instructions");
    show_images(m);
    printf("%-12s", "append");
    text_put(stdout, m->append);
    show_options(m);
    printf("%-12s%" PRIu64 " instructions, ", "run", t->last.icount);
    if (!(m->chaos.kinds & CHAOS_CLOCK)) /* else only a replay knows */
        printf("%.6f virtual seconds, ", virtual_seconds(t));
    printf("%s\n", condition(t));
    show_log(t);
}

static void show_json_images(const struct log_machine *m)
{
    printf("  \"images\": [");
    for (unsigned n = 0; n < m->image_count; n++) {
        const struct log_image *i = &m->images[n];
        printf("%s\n    {\"kind\": \"%s\", \"path\": ", n ? "," : "", image_kinds[i->kind]);
        text_put_json(stdout, i->path);
        printf(", \"text\": ");
        text_put_json(stdout, i->text);
        printf(", \"bytes\": %" PRIu64 ", \"embedded\": %s, \"sha256\": \"", i->size, i->embedded ? "true" : "false");
        text_put_hex(stdout, i->hash, LOG_HASH_BYTES);
        printf("\"}");
    }
    printf("\n  ],\n");
}

static void show_json(const struct replay_session *s, const struct totals *t)
{
    const struct log_machine *m = &s->reader->machine;
    char chaos[CHAOS_TEXT_MAX];
    const struct {
        const char *key, *value;
    } texts[] = {{"path", s->path}, {"program", m->program}, {"engine", m->engine}, {"host", m->host}, {"cpu", m->cpu},
                 {"append", m->append}};
    printf("{\n");
    for (unsigned n = 0; n < ARRAY_LEN(texts); n++) {
        printf("  \"%s\": ", texts[n].key);
        text_put_json(stdout, texts[n].value);
        printf(",\n");
    }
    printf("  \"started\": %" PRIu64 ",\n  \"memory_bytes\": %" PRIu64 ",\n  \"rtc_start\": %" PRIu64 ",\n", m->started,
           m->ram_bytes, m->rtc_start);
    printf("  \"debug_exit\": %s,\n  \"reset_exits\": %s,\n  \"clock\": \"%s\",\n", m->debug_exit ? "true" : "false",
           m->reset_exits ? "true" : "false", m->wall ? "wall" : "virtual");
    show_json_images(m);
    chaos_text(&m->chaos, chaos);
    printf("  \"chaos\": \"%s\",\n  \"instructions\": %" PRIu64 ",\n", chaos, t->last.icount);
    if (!(m->chaos.kinds & CHAOS_CLOCK))
        printf("  \"virtual_seconds\": %.9f,\n", virtual_seconds(t));
    printf("  \"end\": \"%s\",\n", condition(t));
    printf("  \"complete\": %s,\n  \"log_bytes\": %" PRIu64 ",\n  \"events\": {",
           t->tail == LOG_TAIL_COMPLETE ? "true" : "false", t->file_bytes);
    for (unsigned n = 0; n < LOG_SOURCES; n++)
        printf("%s\n    \"%s\": {\"count\": %" PRIu64 ", \"bytes\": %" PRIu64 "}", n ? "," : "", log_source_names[n],
               t->count[n], t->bytes[n]);
    printf("\n  },\n  \"state_hash\": \"%016" PRIx64 "\",\n  \"state_hash_at\": %" PRIu64 "\n}\n", t->last_hash,
           t->hash_icount);
}

int verb_info(int argc, char **argv)
{
    static struct replay_session session;
    const struct option_set set = {
        .verb = "info", .table = {{info_options_table, ARRAY_LEN(info_options_table)}}, .bare = "log"};
    struct info_options o = {0};
    struct totals totals;
    char message[SESSION_MESSAGE_MAX];
    if (!options_parse_set(&set, argc, argv, &o, message))
        return complain(EXIT_USAGE, message);
    if (o.help) {
        printf("Usage: reprise info LOG|--last [--json]\n");
        help_options(stdout, info_options_table, info_options_count, NULL);
        return fflush(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
    }
    if (!o.log == !o.last)
        return complain(EXIT_USAGE, "info: which log is not said; write `reprise info LOG` or `reprise info --last`");
    if (!session_open(&session, o.log, message))
        return complain(EXIT_USAGE, message);
    read_events(&session, &totals);
    (o.json ? show_json : show)(&session, &totals);
    session_close(&session);
    return fflush(stdout) || ferror(stdout) ? EXIT_HOST : EXIT_POWER_OFF;
}
