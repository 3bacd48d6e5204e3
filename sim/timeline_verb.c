/* The verb `timeline`. */
#include "sim/tool_verbs.h"

#include "sim/complain.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/timeline_data.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LABEL_COLUMNS = 28, SVG_PIXELS_PER_SLICE = 3, SVG_WIDTH = 1000, SVG_MARGINS = 192, JSON_SLICES = 200 };

struct timeline_options {
    struct visit_options visit;
    u64 width;
    const char *axis;
};

static const char *choice_axis(unsigned n) { return n == 0 ? "time" : n == 1 ? "instructions" : NULL; }

#define FIELD(name) offsetof(struct timeline_options, name)
#define GROUP "Timeline"

const struct option timeline_options_table[] = {
    {"width", 0, OPTION_COUNT, FIELD(width), "N", NULL, GROUP,
     "Columns of the terminal's picture (else what the terminal has), pixels of the SVG (1000), slices of the numbers (200).", NULL},
    {"axis", 0, OPTION_CHOICE, FIELD(axis), "time|instructions", "time", GROUP,
     "What runs from left to right: virtual time, or instructions, among which idle time takes no room.", choice_axis},
    VISIT_JSON(struct timeline_options, GROUP, "Print the numbers of all slices, all vectors and all console lines as one JSON object."),
    VISIT_OUTPUT(struct timeline_options, GROUP, "Write an SVG picture to FILE; with --json, the numbers."),
    VISIT_OPTIONS(struct timeline_options, GROUP),
};
const unsigned timeline_options_count = ARRAY_LEN(timeline_options_table);

static const char usage[] =
    "Usage: reprise timeline LOG|--last [-o FILE.svg|--json] [--width N] [OPTIONS]\n"
    "Draws a recorded run: when the guest executes and when it waits, interrupts and exceptions by vector, accesses to ports and\n"
    "devices, calls of the interpreter (engine sbe), console output with the lines that came after the longest silences, inputs.\n"
    "\n"
    "  reprise timeline --last               on this terminal\n"
    "  reprise timeline LOG -o boot.svg      for a browser: light and dark, numbers under the pointer\n"
    "  reprise timeline LOG --json           for other programs\n";

static unsigned terminal_columns(void)
{
    struct winsize size;
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col)
        return size.ws_col;
    return 100;
}

/* How many slices, or 0: the width makes no sense, as `message` says. */
static unsigned slices_of(const struct timeline_options *o, char *message)
{
    bool svg = o->visit.output && !o->visit.json, text = !o->visit.output && !o->visit.json;
    u64 least = svg ? 400 : text ? LABEL_COLUMNS + 10 : 1, most = svg ? 3000 : text ? 500 : TIMELINE_SLICES_MAX;
    u64 width = o->width ? o->width : svg ? SVG_WIDTH : text ? terminal_columns() : JSON_SLICES;
    if (!o->width && width < least)
        width = least;
    if (width < least || width > most) {
        snprintf(message, MESSAGE_MAX, "--width: give %u to %u", (unsigned)least, (unsigned)most);
        return 0;
    }
    return (unsigned)(svg ? (width - SVG_MARGINS) / SVG_PIXELS_PER_SLICE : text ? width - LABEL_COLUMNS : width);
}

static int draw(struct timeline_data *d, const struct timeline_options *o)
{
    int code = timeline_collect(d);
    progress_clear(&d->visit->progress);
    if (code)
        return code;
    if (d->no_memory)
        return complain(EXIT_HOST, "timeline: no memory for so much console output; free some");
    if (o->visit.json)
        timeline_json(d->visit->to, d);
    else if (o->visit.output)
        timeline_svg(d->visit->to, d, o->width ? (unsigned)o->width : SVG_WIDTH);
    else
        timeline_terminal(d->visit->to, d);
    return EXIT_POWER_OFF;
}

int verb_timeline(int argc, char **argv)
{
    static struct visit v;
    static struct timeline_options o;
    static struct timeline_data d;
    char message[MESSAGE_MAX];
    int code;
    const struct option_set set = {
        .verb = "timeline", .table = {{timeline_options_table, ARRAY_LEN(timeline_options_table)}}, .bare = "log"};
    if (!visit_parse(&v, &set, argc, argv, &o.visit, usage, &code))
        return code;
    d.visit = &v;
    d.by_icount = !strcmp(o.axis, "instructions");
    d.slices = slices_of(&o, message);
    if (!d.slices)
        code = complain(EXIT_USAGE, message);
    else if (visit_begin(&v, &o.visit, "replaying", 0, &code))
        code = draw(&d, &o);
    free(d.line);
    return visit_end(&v, &o.visit, code);
}
