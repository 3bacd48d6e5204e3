/* The verb `core`. */
#include "sim/tool_verbs.h"

#include "sim/complain.h"
#include "sim/core_file.h"
#include "sim/engines.h"
#include "sim/exit_code.h"
#include "sim/files.h"
#include "sim/visit.h"

#include <inttypes.h>
#include <stdio.h>

struct core_options {
    struct visit_options visit;
    u64 at;
    const char *file;
};

#define FIELD(name) offsetof(struct core_options, name)
#define GROUP "Core"

const struct option core_options_table[] = {
    {"at", 0, OPTION_COUNT, FIELD(at), "ICOUNT", NULL, GROUP,
     "When the guest has executed this many instructions; without it, at the end of the run.", NULL},
    {"output", 'o', OPTION_FILE, FIELD(file), "FILE", NULL, GROUP, "The core file; pages of zeros take no room in it.", NULL},
    VISIT_OPTIONS(struct core_options, GROUP),
};
const unsigned core_options_count = ARRAY_LEN(core_options_table);

static const char usage[] =
    "Usage: reprise core LOG|--last [--at ICOUNT] -o FILE [OPTIONS]\n"
    "Writes an ELF core of the guest: registers, and memory both by linear address, as its page tables map it at that moment,\n"
    "and by physical address. A guest in 64-bit mode gives an x86-64 core, every other one an i386 core.\n"
    "\n"
    "  reprise core LOG --at 1500000000 -o guest.core\n"
    "  gdb vmlinux guest.core       info registers, bt, x/i $pc; in a 64-bit core, physical memory lies at\n"
    "                               0x0100000000000000: x/gx 0x0100000000000000 + ADDRESS\n"
    "  crash vmlinux guest.core     a Linux guest's own description (VMCOREINFO) is put into the file\n"
    "\n"
    "While a process runs, a kernel that hides itself from processes (page table isolation) is mapped only in part; choose a\n"
    "place in the kernel, which `reprise trace` shows, to see it in gdb.\n";

static int write_core(struct visit *v, const struct core_options *o)
{
    char message[CORE_FILE_MESSAGE_MAX];
    struct core_file_report report;
    int code = visit_to(v, o->at ? o->at : UINT64_MAX, "--at");
    if (code)
        return code;
    if (!core_file_write(o->file, v->session.vm, &report, message))
        return complain(EXIT_HOST, message);
    fprintf(stderr, "reprise: %s: the guest after %" PRIu64 " instructions, ELF%s, %" PRIu64 " segments, %" PRIu64 " MiB of memory that "
            "is not zero%s\n", o->file, v->session.vm->vcpu[0]->cpu.icount, report.wide ? "64" : "32", report.segments,
            report.bytes >> 20, report.vmcoreinfo ? ", VMCOREINFO found" : "");
    if (report.left_out)
        fprintf(stderr, "reprise: %" PRIu64 " MiB of RAM above 4 GiB do not fit into a 32-bit core and are left out\n",
                report.left_out >> 20);
    return EXIT_POWER_OFF;
}

int verb_core(int argc, char **argv)
{
    static struct visit v;
    static struct core_options o;
    char message[FILE_MESSAGE_MAX];
    int code;
    const struct option_set set = {
        .verb = "core", .table = {{core_options_table, ARRAY_LEN(core_options_table)}}, .bare = "log"};
    if (!visit_parse(&v, &set, argc, argv, &o.visit, usage, &code))
        return code;
    if (!o.file)
        code = complain(EXIT_USAGE, "core: where to write it is not said; add -o FILE");
    else if (!report_check(o.file, message))
        code = complain(EXIT_USAGE, message);
    else if (visit_begin(&v, &o.visit, "replaying", o.at, &code))
        code = write_core(&v, &o);
    return visit_end(&v, &o.visit, code);
}
