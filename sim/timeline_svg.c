/* A timeline as SVG. Colours are chosen for a light background and, by a media query, for a dark one. */
#include "sim/dump.h"
#include "sim/text.h"
#include "sim/timeline_data.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { LEFT = 168, RIGHT = 24, TOP = 74, ROW = 15, GAP = 12, BUSY = 56, BARS = 26, MARKS = 26, AXIS = 34, LABEL = 17, SHADES = 5 };

struct drawing {
    FILE *to;
    const struct timeline_data *d;
    double width, plot; /* of everything; of the axis */
    double y;
};

static const char style[] =
    "<style>\n"
    "text{font:12px system-ui,-apple-system,\"Segoe UI\",\"DejaVu Sans\",sans-serif;fill:#1f2328}\n"
    ".t{font-size:16px;font-weight:600}.m{fill:#656d76}.n{text-anchor:end}.c{text-anchor:middle;font-size:10px;fill:#fff;font-weight:600}\n"
    ".l{font:11.5px ui-monospace,\"DejaVu Sans Mono\",monospace}\n"
    ".bg{fill:#ffffff}.lane{fill:#f3f5f7}.grid{stroke:#afb8c1;stroke-width:1;opacity:.45}.idle{fill:#dbe3ea}.dot{fill:#57606a}\n"
    ".busy{fill:#3b7dd8}.i{fill:#8250df}.e{fill:#d1495b}.x{fill:#d97706}.o{fill:#2da06b}.u{fill:#0e8a9e}\n"
    ".hit{fill:transparent}.hit:hover{fill:#1f232814}\n"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.m{fill:#8d96a0}.bg{fill:#0d1117}.lane{fill:#161b22}.grid{stroke:#6e7681}"
    ".idle{fill:#26303b}.dot{fill:#8d96a0}.c{fill:#0d1117}.busy{fill:#4e94ec}.i{fill:#a888f5}.e{fill:#f0707e}.x{fill:#e9a13b}"
    ".o{fill:#46bd83}.u{fill:#3fb6c8}.hit:hover{fill:#ffffff1f}}\n"
    "</style>\n";

static double x_of(const struct drawing *g, u64 position)
{
    return LEFT + g->plot * (double)position / (double)g->d->span;
}

static double slice_width(const struct drawing *g) { return g->plot / g->d->slices; }

/* "6,687,582,842" */
static void put_number(FILE *to, u64 n)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n);
    for (int at = 0; at < length; at++)
        fprintf(to, "%s%c", at && (length - at) % 3 == 0 ? "," : "", digits[at]);
}

/* "8,732", "33.2 M", "6.69 G" */
static void put_short(FILE *to, u64 n)
{
    if (n < 1000000)
        put_number(to, n);
    else
        fprintf(to, "%.3g %s", (double)n / (n < 1000000000 ? 1e6 : 1e9), n < 1000000000 ? "M" : "G");
}

static void put_xml(FILE *to, const char *text, unsigned most)
{
    for (; *text && most; text++, most--) {
        const char *name = *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : *text == '&' ? "&amp;" : *text == '"' ? "&quot;" : NULL;
        if (name)
            fputs(name, to);
        else
            fputc((unsigned char)*text >= 0x20 && (unsigned char)*text < 0x7f ? *text : '?', to);
    }
}

static void put_lane_name(const struct drawing *g, double height, const char *name, u64 total)
{
    fprintf(g->to, "<text x=\"20\" y=\"%.1f\">%s</text><text class=\"m n\" x=\"%d\" y=\"%.1f\">", g->y + height / 2 + 4, name,
            LEFT - 10, g->y + height / 2 + 4);
    put_short(g->to, total);
    fprintf(g->to, "</text>\n<rect class=\"lane\" x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n", LEFT, g->y, g->plot,
            height);
}

/* Steps over the slices, filled to the lane's bottom; `height[s]` of at most 1. */
static void put_steps(const struct drawing *g, const char *class, double height, const double *share)
{
    double before = 0, run = 0;
    fprintf(g->to, "<path class=\"%s\" d=\"M%d %.1f", class, LEFT, g->y + height);
    for (unsigned s = 0; s < g->d->slices; s++) {
        double level = round(share[s] * height * 10) / 10;
        if (level != before) {
            fprintf(g->to, run > 0 ? "H%.1fv%.1f" : "v%.1f", run > 0 ? LEFT + s * slice_width(g) : before - level, before - level);
            run = 0;
        }
        before = level;
        run += 1;
    }
    fprintf(g->to, "H%.1fV%.1fZ\"/>\n", LEFT + g->plot, g->y + height);
}

/* Bars grow with the square root, so that small numbers show beside large ones. */
static void put_bars(struct drawing *g, enum measure m, const char *class, double height)
{
    double share[TIMELINE_SLICES_MAX];
    u64 most = 1;
    for (unsigned s = 0; s < g->d->slices; s++)
        most = g->d->value[m][s] > most ? g->d->value[m][s] : most;
    for (unsigned s = 0; s < g->d->slices; s++)
        share[s] = sqrt((double)g->d->value[m][s] / (double)most);
    put_lane_name(g, height, timeline_measure_names[m], g->d->total[m]);
    put_steps(g, class, height, share);
    g->y += height + GAP / 3.0;
}

/* How much of each slice's time the guest executes. */
static void put_busy(struct drawing *g)
{
    const struct timeline_data *d = g->d;
    double share[TIMELINE_SLICES_MAX], whole[TIMELINE_SLICES_MAX];
    for (unsigned s = 0; s < d->slices; s++) {
        double busy = (double)d->value[M_INSTRUCTIONS][s], idle = (double)d->value[M_IDLE][s];
        share[s] = busy + idle > 0 ? busy / (busy + idle) : 0;
        whole[s] = busy + idle > 0;
    }
    put_lane_name(g, BUSY, "executing", d->total[M_INSTRUCTIONS]);
    put_steps(g, "idle", BUSY, whole);
    put_steps(g, "busy", BUSY, share);
    g->y += BUSY + GAP;
}

/* A row of shades for each vector; neighbours of one shade are one rectangle. */
static void put_row(struct drawing *g, const struct timeline_row *row, const char *class, const char *name)
{
    const struct timeline_data *d = g->d;
    u32 most = 1;
    for (unsigned s = 0; s < d->slices; s++)
        most = row->count[s] > most ? row->count[s] : most;
    put_lane_name(g, ROW - 2, name, row->total);
    fprintf(g->to, "<g class=\"%s\">", class);
    for (unsigned s = 0, end; s < d->slices; s = end) {
        unsigned shade = (unsigned)ceil(SHADES * sqrt((double)row->count[s] / most));
        for (end = s + 1; end < d->slices; end++)
            if ((unsigned)ceil(SHADES * sqrt((double)row->count[end] / most)) != shade)
                break;
        if (shade)
            fprintf(g->to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" opacity=\"%.2g\"/>",
                    LEFT + s * slice_width(g), g->y, (end - s) * slice_width(g), ROW - 2, 0.15 + 0.85 * shade / SHADES);
    }
    fprintf(g->to, "</g>\n");
    g->y += ROW;
}

static void put_rows(struct drawing *g, const struct timeline_row *rows, unsigned count, bool exceptions)
{
    for (unsigned n = 0; n < count; n++) {
        char name[40];
        if (exceptions)
            snprintf(name, sizeof name, "%s", vector_name(rows[n].vector));
        else
            snprintf(name, sizeof name, "interrupt %02x", rows[n].vector);
        put_row(g, &rows[n], exceptions ? "e" : "i", name);
    }
    g->y += count ? GAP : 0;
}

/* 1, 2 or 5 times a power of ten, so that there are about eight on the axis. */
static double tick_distance(double span)
{
    double power = pow(10, floor(log10(span / 8))), steps = span / 8 / power;
    return power * (steps > 5 ? 10 : steps > 2 ? 5 : steps > 1 ? 2 : 1);
}

static void put_axis(const struct drawing *g, double top)
{
    double scale = g->d->by_icount ? 1e6 : 1e9, span = (double)g->d->span / scale, distance = tick_distance(span);
    int digits = distance >= 1 ? 0 : (int)ceil(-log10(distance));
    for (double at = 0; at <= span; at += distance) {
        double x = LEFT + g->plot * at / span;
        fprintf(g->to, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", x, top, g->y + 4);
        fprintf(g->to, "<text class=\"m\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">%.*f</text>\n", x, g->y + 18, digits, at);
    }
    fprintf(g->to, "<text class=\"m\" x=\"20\" y=\"%.1f\">%s</text>\n", g->y + 18,
            g->d->by_icount ? "million instructions" : "virtual seconds");
}

static void put_marks(struct drawing *g, const struct timeline_text **label, unsigned count)
{
    double before = -100;
    for (unsigned n = 0; n < count; n++) {
        double x = x_of(g, timeline_position(g->d, label[n]->icount, label[n]->ns)), at = x < before + 17 ? before + 17 : x;
        fprintf(g->to, "<path class=\"grid\" d=\"M%.1f %.1fL%.1f %.1f\"/><circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"8\"/>"
                "<text class=\"c\" x=\"%.1f\" y=\"%.1f\">%u</text>\n", x, g->y - 4, at, g->y + 6, at, g->y + 12, at, g->y + 15.5, n + 1);
        before = at;
    }
    g->y += count ? MARKS : 0;
}

static void put_labels(struct drawing *g, const struct timeline_text **label, unsigned count)
{
    unsigned most = (unsigned)((g->width - 130) / 7);
    for (unsigned n = 0; n < count; n++) {
        g->y += LABEL;
        fprintf(g->to, "<circle class=\"dot\" cx=\"28\" cy=\"%.1f\" r=\"8\"/><text class=\"c\" x=\"28\" y=\"%.1f\">%u</text>"
                "<text class=\"m n\" x=\"102\" y=\"%.1f\">%.3f s</text><text class=\"l\" xml:space=\"preserve\" x=\"112\" y=\"%.1f\">", g->y - 4, g->y - 0.5,
                n + 1, g->y, (double)label[n]->ns / 1e9, g->y);
        put_xml(g->to, label[n]->text, most);
        fputs("</text>\n", g->to);
    }
}

/* What a slice holds, for a pointer that rests on it. */
static void put_tips(const struct drawing *g, double top, double bottom)
{
    const struct timeline_data *d = g->d;
    for (unsigned s = 0; s < d->slices; s++) {
        fprintf(g->to, "<rect class=\"hit\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.0f\"><title>", LEFT + s * slice_width(g), top,
                slice_width(g), bottom - top);
        for (enum measure m = 0; m < MEASURES; m++)
            if (d->value[m][s])
                fprintf(g->to, "%s %" PRIu64 "%s\n", m == M_INSTRUCTIONS ? "instructions" : timeline_measure_names[m], d->value[m][s],
                        m == M_IDLE ? " ns" : m == M_CONSOLE || m == M_INPUTS ? " bytes" : "");
        fputs("</title></rect>\n", g->to);
    }
}

static void put_title(const struct drawing *g)
{
    const struct timeline_data *d = g->d;
    const char *path = d->visit->session.path, *slash = strrchr(path, '/');
    double idle = d->visit->length_ns ? 100.0 * (double)d->total[M_IDLE] / (double)d->visit->length_ns : 0;
    fputs("<text class=\"t\" x=\"20\" y=\"32\">", g->to);
    put_xml(g->to, slash ? slash + 1 : path, 80);
    fputs("</text>\n<text class=\"m\" x=\"20\" y=\"53\">", g->to);
    put_number(g->to, d->visit->length);
    fprintf(g->to, " instructions in %.3f virtual seconds, %.1f %% of them idle; %u slices; heights and shades grow with the square root"
            "</text>\n", (double)d->visit->length_ns / 1e9, idle, d->slices);
}

static double height_of(const struct timeline_data *d, unsigned labels)
{
    double height = TOP + BUSY + GAP + AXIS + labels * LABEL + (labels ? MARKS : 0) + 14;
    height += d->interrupt_rows * ROW + (d->interrupt_rows ? GAP : 0) + d->exception_rows * ROW + (d->exception_rows ? GAP : 0);
    for (enum measure m = M_PORTS; m < MEASURES; m++)
        height += d->total[m] ? BARS + GAP / 3.0 : 0;
    return height;
}

void timeline_svg(FILE *to, const struct timeline_data *d, unsigned width)
{
    static const char *const classes[MEASURES] = {
        [M_PORTS] = "x", [M_MMIO] = "x", [M_INTERPRETER] = "x", [M_CONSOLE] = "o", [M_INPUTS] = "u"};
    static const enum measure bars[] = {M_PORTS, M_MMIO, M_INTERPRETER, M_INPUTS, M_CONSOLE};
    const struct timeline_text *label[TIMELINE_LABELS_MAX];
    struct drawing g = {.to = to, .d = d, .width = width, .plot = (double)width - LEFT - RIGHT, .y = TOP};
    unsigned labels = timeline_labels(d, TIMELINE_LABELS_MAX, label);
    double height = height_of(d, labels);
    fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %u %.0f\" width=\"%u\" height=\"%.0f\">\n%s", width, height, width,
            height, style);
    fputs("<rect class=\"bg\" width=\"100%\" height=\"100%\" rx=\"8\"/>\n", to);
    put_title(&g);
    put_busy(&g);
    put_rows(&g, d->interrupt_row, d->interrupt_rows, false);
    put_rows(&g, d->exception_row, d->exception_rows, true);
    for (unsigned n = 0; n < ARRAY_LEN(bars); n++)
        if (d->total[bars[n]])
            put_bars(&g, bars[n], classes[bars[n]], BARS);
    put_marks(&g, label, labels);
    put_axis(&g, TOP);
    put_tips(&g, TOP, g.y);
    g.y += AXIS;
    put_labels(&g, label, labels);
    fputs("</svg>\n", to);
}
