#include "sim/help.h"

#include "core/cpuid.h"
#include "core/version.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/fuzz_verb.h"
#include "sim/log_verbs.h"
#include "sim/options.h"
#include "sim/replay_verb.h"
#include "sim/tool_verbs.h"
#include "sim/verify_options.h"

#include <ctype.h>
#include <string.h>

/* Verbs with options of their own; some take those of `run` as well. */
static const struct {
    const char *verb;
    const struct option *rows;
    const unsigned *count;
} own_options[] = {
    {"run", run_options_table, &run_options_count},
    {"replay", replay_options_table, &replay_options_count},
    {"info", info_options_table, &info_options_count},
    {"log", log_options_table, &log_options_count},
    {"trace", trace_options_table, &trace_options_count},
    {"who-wrote", who_wrote_options_table, &who_wrote_options_count},
    {"core", core_options_table, &core_options_count},
    {"timeline", timeline_options_table, &timeline_options_count},
    {"diff", diff_options_table, &diff_options_count},
    {"fuzz", fuzz_options_table, &fuzz_options_count},
    {"verify", verify_options_table, &verify_options_count},
};

struct example {
    const char *text, *command;
};

static const struct example examples[] = {
    {"Boot a Debian kernel with its initrd, console on this terminal (Ctrl-A x quits):",
     "reprise run --kernel vmlinuz --initrd initrd.img --append \"console=ttyS0\" -m 512M"},
    {"Boot a Multiboot kernel with a module and its string; the guest ends the run through port 0xF4:",
     "reprise run --kernel kernel.elf --module \"disk.img root\" --debug-exit"},
    {"Run for exactly a thousand million instructions, then report:",
     "reprise run --kernel vmlinuz --serial none --max-insns 1G --stats run.json"},
    {"Debug a recorded run backwards (gdb: target remote :1234, watch *ADDRESS, reverse-continue):",
     "reprise replay --last --gdb 1234"},
    {"Keep a machine as it is after a thousand million instructions, and go on from there another day:",
     "reprise run --kernel vmlinuz --snapshot-to booted --at 1G; reprise run --restore booted"},
    {"See what a guest does before it crashes:",
     "reprise run --kernel kernel.elf --trace exceptions,interrupts,trace.txt --timeout 10"},
};

static const char summary[] =
    "runs unmodified x86 operating systems, without hardware virtualization, exactly repeatably";

static const char *const keys[] = {
    "Ctrl-A x", "end the run",
    "Ctrl-A h", "list these keys",
    "Ctrl-A s", "print where the guest is",
    "Ctrl-A Ctrl-A", "send Ctrl-A to the guest",
};

/* Words of `text` in lines of at most 78 columns, indented by `indent`; the cursor stands at `column`. */
static void put_wrapped(FILE *to, const char *text, int indent, int column)
{
    if (column >= indent) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", indent - column, "");
    column = indent;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > 78) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        }
        column += fprintf(to, "%s%.*s", column > indent ? " " : "", length, text);
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', to);
}

static void put_exit_codes(FILE *to)
{
    fprintf(to, "\nExit codes\n");
    for (const struct exit_code_info *e = exit_codes; e->meaning; e++)
        put_wrapped(to, e->meaning, 8, fprintf(to, "  %s", e->code));
}

static void put_examples(FILE *to)
{
    fprintf(to, "\nExamples\n");
    for (unsigned n = 0; n < ARRAY_LEN(examples); n++)
        fprintf(to, "  %s\n    %s\n", examples[n].text, examples[n].command);
}

void help_overview(FILE *to)
{
    fprintf(to, "reprise %s ", REPRISE_VERSION);
    put_wrapped(to, summary, 0, 0);
    fprintf(to, "\nUsage: reprise VERB [OPTIONS]\n\n");
    for (const struct verb *v = verbs; v->name; v++)
        put_wrapped(to, v->summary, 18, fprintf(to, "  %s %s", v->name, v->argument));
    fprintf(to, "\n  reprise --man | man -l -                   the manual page\n"
                "  source <(reprise --completion bash)        completion in this shell\n");
    put_examples(to);
    put_exit_codes(to);
    fprintf(to, "\n`reprise help VERB` explains the options of a verb.\n");
}

static void put_option(FILE *to, const struct option *o)
{
    int column = o->letter ? fprintf(to, "  -%c, --%s", o->letter, o->name) : fprintf(to, "      --%s", o->name);
    if (o->argument)
        column += fprintf(to, " %s", o->argument);
    put_wrapped(to, o->help, 30, column);
    if (o->fallback && *o->fallback)
        fprintf(to, "%30sDefault: %s\n", "", o->fallback);
}

void help_options(FILE *to, const struct option *rows, unsigned count, const char *const *without)
{
    const char *group = "";
    for (unsigned n = 0; n < count; n++) {
        if (options_listed(without, rows[n].name))
            continue;
        if (strcmp(group, rows[n].group))
            fprintf(to, "\n%s\n", rows[n].group);
        group = rows[n].group;
        put_option(to, &rows[n]);
    }
}

void help_verify(FILE *to)
{
    fprintf(to, "Usage: reprise verify --engines A,B --kernel FILE [OPTIONS]\n"
                "       reprise verify LOG --against ENGINE [OPTIONS]\n");
    help_options(to, verify_options_table, verify_options_count, NULL);
    fprintf(to, "\nOptions of `reprise run` say what to boot and when to stop. Those that verify does not take:\n");
    for (const char *const *name = verify_option_set.without; *name; name++)
        fprintf(to, "  --%s\n", *name);
    put_exit_codes(to);
}

void help_run(FILE *to)
{
    fprintf(to, "Usage: reprise run --kernel FILE [OPTIONS]\n");
    help_options(to, run_options_table, run_options_count, NULL);
    fprintf(to, "\nKeys, when standard input is a terminal\n");
    for (unsigned n = 0; n < ARRAY_LEN(keys); n += 2)
        fprintf(to, "  %-14s%s\n", keys[n], keys[n + 1]);
    put_exit_codes(to);
    put_examples(to);
}

void help_list(FILE *to)
{
    const struct engine *e;
    fprintf(to, "Engines (--engine)\n");
    for (unsigned n = 0; (e = engine_at(n)); n++)
        fprintf(to, "  %-14s%s%s\n", e->name, e->summary, strcmp(e->name, ENGINE_DEFAULT) ? "" : " [default]");
    fprintf(to, "\nProcessor models (--cpu)\n");
    for (unsigned n = 0; n < cpu_model_count; n++) {
        const struct cpu_model *m = &cpu_models[n];
        enum feature missing = cpu_model_missing_on_host(m);
        fprintf(to, "  %-14s%s%s", m->name, m->summary, strcmp(m->name, CPU_MODEL_DEFAULT) ? "" : " [default]");
        if (missing != FEAT_BASE)
            fprintf(to, " [not on this host: no %s]", feature_name(missing));
        fputc('\n', to);
    }
}

/* roff: a hyphen that is meant to be copied, a backslash, and a control character at the start of a line. */
static void put_roff(FILE *to, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", to);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", to);
        else if (*text == '\\')
            fputs("\\e", to);
        else
            fputc(*text, to);
    }
}

static void man_option(FILE *to, const struct option *o)
{
    fputs(".TP\n", to);
    if (o->letter)
        fprintf(to, "\\fB\\-%c\\fR, ", o->letter);
    fputs("\\fB\\-\\-", to);
    put_roff(to, o->name);
    fputs("\\fR", to);
    if (o->argument) {
        fputs(" \\fI", to);
        put_roff(to, o->argument);
        fputs("\\fR", to);
    }
    fputc('\n', to);
    put_roff(to, o->help);
    if (o->fallback && *o->fallback) {
        fputs("\nDefault: ", to);
        put_roff(to, o->fallback);
        fputc('.', to);
    }
    fputc('\n', to);
}

static void man_pair(FILE *to, const char *term, const char *text)
{
    fputs(".TP\n.B ", to);
    put_roff(to, term);
    fputc('\n', to);
    put_roff(to, text);
    fputc('\n', to);
}

static void man_options(FILE *to, unsigned verb)
{
    const char *group = "";
    const struct option *rows = own_options[verb].rows;
    fputs(".SH OPTIONS OF ", to);
    for (const char *c = own_options[verb].verb; *c; c++)
        fputc(toupper((unsigned char)*c), to);
    fputc('\n', to);
    for (unsigned n = 0; n < *own_options[verb].count; n++) {
        if (strcmp(group, rows[n].group))
            fprintf(to, ".SS %s\n", rows[n].group);
        group = rows[n].group;
        man_option(to, &rows[n]);
    }
}

void help_man_page(FILE *to)
{
    fprintf(to, ".TH REPRISE 1 \"\" \"reprise %s\" \"User Commands\"\n.SH NAME\nreprise \\- ", REPRISE_VERSION);
    put_roff(to, summary);
    fputs("\n.SH SYNOPSIS\n", to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "%s.B reprise %s\n%s\n", v == verbs ? "" : ".br\n", v->name, v->argument);
    fputs(".SH DESCRIPTION\n"
          "Reprise is a virtual PC whose every run is an exact function of its initial state and its inputs.\n"
          "Guest time is counted in instructions: one is a nanosecond, and a halt jumps to the next timer.\n"
          ".SH VERBS\n", to);
    for (const struct verb *v = verbs; v->name; v++)
        man_pair(to, v->name, v->summary);
    for (unsigned n = 0; n < ARRAY_LEN(own_options); n++)
        man_options(to, n);
    fputs(".SH KEYS\nWhen standard input is a terminal:\n", to);
    for (unsigned n = 0; n < ARRAY_LEN(keys); n += 2)
        man_pair(to, keys[n], keys[n + 1]);
    fputs(".SH EXIT STATUS\n", to);
    for (const struct exit_code_info *e = exit_codes; e->meaning; e++)
        man_pair(to, e->code, e->meaning);
    fputs(".SH EXAMPLES\n", to);
    for (unsigned n = 0; n < ARRAY_LEN(examples); n++) {
        fputs(".PP\n", to);
        put_roff(to, examples[n].text);
        fputs("\n.PP\n.RS 4\n.nf\n", to);
        put_roff(to, examples[n].command);
        fputs("\n.fi\n.RE\n", to);
    }
    fputs(".SH SEE ALSO\n.BR qemu\\-system\\-x86_64 (1)\n", to);
}

static void completion_values(FILE *to, const struct option *o)
{
    const char *name;
    fprintf(to, "    --%s%s%c) COMPREPLY=(", o->name, o->letter ? "|-" : "", o->letter ? o->letter : ' ');
    if (o->kind == OPTION_FILE || o->kind == OPTION_LIST)
        fputs("$(compgen -f -- \"$word\")", to);
    for (unsigned n = 0; o->choice && (name = o->choice(n)); n++)
        fprintf(to, "%s%s", n ? " " : "$(compgen -W '", name);
    fprintf(to, "%s); return ;;\n", o->choice ? "' -- \"$word\")" : "");
}

/* Calls `each` for every option of every verb. */
static void for_options(FILE *to, void (*each)(FILE *to, const struct option *o))
{
    for (unsigned v = 0; v < ARRAY_LEN(own_options); v++)
        for (unsigned n = 0; n < *own_options[v].count; n++)
            each(to, &own_options[v].rows[n]);
}

static void completion_values_if_any(FILE *to, const struct option *o)
{
    if (o->argument)
        completion_values(to, o);
}

static void put_verbs_with_options(FILE *to, const char *separator)
{
    for (unsigned v = 0; v < ARRAY_LEN(own_options); v++)
        fprintf(to, "%s%s", v ? separator : "", own_options[v].verb);
}

void help_completion(FILE *to)
{
    fputs("# bash completion of reprise; made by: reprise --completion bash\n"
          "_reprise()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} names\n"
          "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W '", to);
    for (const struct verb *v = verbs; v->name; v++)
        fprintf(to, "%s ", v->name);
    fputs("--help --version --man --completion' -- \"$word\")); return\n    fi\n"
          "    if [[ $before == help ]]; then COMPREPLY=($(compgen -W '", to);
    put_verbs_with_options(to, " ");
    fputs("' -- \"$word\")); return; fi\n"
          "    if [[ $before == --completion ]]; then COMPREPLY=($(compgen -W 'bash' -- \"$word\")); return; fi\n"
          "    [[ ${COMP_WORDS[1]} == @(", to);
    put_verbs_with_options(to, "|");
    fputs(") ]] || return\n    case $before in\n", to);
    for_options(to, completion_values_if_any);
    fputs("    esac\n    case ${COMP_WORDS[1]} in\n", to);
    for (unsigned v = 0; v < ARRAY_LEN(own_options); v++) {
        fprintf(to, "    %s) names='", own_options[v].verb);
        for (unsigned n = 0; n < *own_options[v].count; n++)
            fprintf(to, "--%s ", own_options[v].rows[n].name);
        fputs("' ;;\n", to);
    }
    fputs("    esac\n    [[ $word == -* ]] || COMPREPLY=($(compgen -f -- \"$word\"))\n"
          "    COMPREPLY+=($(compgen -W \"$names\" -- \"$word\"))\n}\ncomplete -o filenames -F _reprise reprise\n", to);
}
