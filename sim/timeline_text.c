/* A timeline on a terminal, and as numbers. */
#include "sim/dump.h"
#include "sim/text.h"
#include "sim/timeline_data.h"

#include <inttypes.h>
#include <string.h>

enum { LABEL_COLUMNS = 28 };

static void put_block(FILE *to, u64 value, u64 most)
{
    static const char *const blocks[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    unsigned level = most ? (unsigned)(((u128)value * 8 + most - 1) / most) : 0;
    fputs(blocks[level], to);
}

static void put_name(FILE *to, const char *name, u64 total)
{
    fprintf(to, "%-14s %12" PRIu64 " ", name, total);
}

static void put_measure(FILE *to, const struct timeline_data *d, enum measure m)
{
    u64 most = 0;
    for (unsigned s = 0; s < d->slices; s++)
        most = d->value[m][s] > most ? d->value[m][s] : most;
    put_name(to, timeline_measure_names[m], d->total[m]);
    for (unsigned s = 0; s < d->slices; s++)
        put_block(to, d->value[m][s], most);
    fputc('\n', to);
}

static void put_rows(FILE *to, const struct timeline_data *d, const struct timeline_row *rows, unsigned count, bool named)
{
    for (unsigned n = 0; n < count; n++) {
        char name[40];
        u32 most = 0;
        for (unsigned s = 0; s < d->slices; s++)
            most = rows[n].count[s] > most ? rows[n].count[s] : most;
        if (named)
            snprintf(name, sizeof name, "%s", vector_name(rows[n].vector));
        else
            snprintf(name, sizeof name, "interrupt %02x", rows[n].vector);
        put_name(to, name, rows[n].total);
        for (unsigned s = 0; s < d->slices; s++)
            put_block(to, rows[n].count[s], most);
        fputc('\n', to);
    }
}

static void put_axis(FILE *to, const struct timeline_data *d)
{
    char begin[40], end[60];
    snprintf(begin, sizeof begin, "%*s0", LABEL_COLUMNS, "");
    if (d->by_icount)
        snprintf(end, sizeof end, "%" PRIu64 " instructions", d->span);
    else
        snprintf(end, sizeof end, "%.6f virtual seconds", (double)d->span / 1e9);
    int gap = LABEL_COLUMNS + (int)d->slices - (int)strlen(begin);
    fprintf(to, "%s%*s\n", begin, gap > (int)strlen(end) ? gap : (int)strlen(end) + 1, end);
}

/* The console's lines, and a row of marks that says where they stand. */
static void put_console(FILE *to, const struct timeline_data *d)
{
    const struct timeline_text *label[TIMELINE_LABELS_MAX];
    char marks[TIMELINE_SLICES_MAX + 1];
    unsigned count = timeline_labels(d, TIMELINE_LABELS_MAX, label);
    memset(marks, ' ', sizeof marks);
    marks[d->slices] = 0;
    for (unsigned n = 0; n < count; n++)
        marks[timeline_slice(d, timeline_position(d, label[n]->icount, label[n]->ns))] = (char)('a' + n);
    fprintf(to, "%*s%s\n", LABEL_COLUMNS, "", marks);
    put_axis(to, d);
    for (unsigned n = 0; n < count; n++) {
        fprintf(to, "  %c %12.6f s  ", 'a' + n, (double)label[n]->ns / 1e9);
        text_put(to, label[n]->text);
        fputc('\n', to);
    }
}

void timeline_terminal(FILE *to, const struct timeline_data *d)
{
    text_put(to, d->visit->session.path);
    fprintf(to, ": %" PRIu64 " instructions, %.6f virtual seconds, %" PRIu64 " ns of them idle\n", d->visit->length,
            (double)d->visit->length_ns / 1e9, d->total[M_IDLE]);
    for (enum measure m = M_INSTRUCTIONS; m <= M_IDLE; m++)
        put_measure(to, d, m);
    put_rows(to, d, d->interrupt_row, d->interrupt_rows, false);
    put_rows(to, d, d->exception_row, d->exception_rows, true);
    for (enum measure m = M_PORTS; m < MEASURES; m++)
        if (d->total[m])
            put_measure(to, d, m);
    put_console(to, d);
}

/* ---- JSON ------------------------------------------------------------------------------------------ */

static void json_numbers(FILE *to, const u64 *value, const u32 *small, unsigned count)
{
    fputc('[', to);
    for (unsigned n = 0; n < count; n++)
        fprintf(to, "%s%" PRIu64, n ? "," : "", value ? value[n] : small[n]);
    fputc(']', to);
}

static void json_vectors(FILE *to, const struct timeline_data *d, const char *name, const u32 (*counts)[TIMELINE_SLICES_MAX],
                         unsigned vectors)
{
    const char *comma = "";
    fprintf(to, ",\n  \"%s\": {", name);
    for (unsigned v = 0; v < vectors; v++) {
        bool any = false;
        for (unsigned s = 0; s < d->slices; s++)
            any |= counts[v][s] != 0;
        if (!any)
            continue;
        fprintf(to, "%s\n    \"%u\": ", comma, v);
        json_numbers(to, NULL, counts[v], d->slices);
        comma = ",";
    }
    fputs("\n  }", to);
}

void timeline_json(FILE *to, const struct timeline_data *d)
{
    static const char *const keys[MEASURES] = {"instructions", "idle_ns", "port_accesses", "mmio_accesses",
                                               "interpreter_calls", "console_bytes", "input_bytes"};
    fputs("{\n  \"log\": ", to);
    text_put_json(to, d->visit->session.path);
    fprintf(to, ",\n  \"total_instructions\": %" PRIu64 ",\n  \"virtual_ns\": %" PRIu64 ",\n  \"axis\": \"%s\",\n  \"span\": %" PRIu64
            ",\n  \"slices\": %u", d->visit->length, d->visit->length_ns, d->by_icount ? "instructions" : "virtual_ns", d->span,
            d->slices);
    for (enum measure m = 0; m < MEASURES; m++) {
        fprintf(to, ",\n  \"%s\": ", keys[m]);
        json_numbers(to, d->value[m], NULL, d->slices);
    }
    json_vectors(to, d, "interrupts", (const u32(*)[TIMELINE_SLICES_MAX])d->interrupts, 256);
    json_vectors(to, d, "exceptions", (const u32(*)[TIMELINE_SLICES_MAX])d->exceptions, 32);
    fputs(",\n  \"console\": [", to);
    for (u64 n = 0; n < d->lines; n++) {
        fprintf(to, "%s\n    {\"icount\": %" PRIu64 ", \"virtual_ns\": %" PRIu64 ", \"text\": ", n ? "," : "", d->line[n].icount,
                d->line[n].ns);
        text_put_json(to, d->line[n].text);
        fputc('}', to);
    }
    fputs("\n  ]\n}\n", to);
}
