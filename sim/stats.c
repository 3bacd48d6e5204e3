#include "sim/stats.h"

#include "core/version.h"
#include "mmu/shadow.h"
#include "mmu/window.h"
#include "replay/hash.h"
#include "sbe/codecache.h"
#include "sim/dump.h"
#include "sim/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

_Static_assert(STATS_MESSAGE_MAX == (int)FILE_MESSAGE_MAX, "messages of sim/files.h pass through");

double stats_mips(const struct vm *vm, const struct run_summary *run)
{
    return run->host_ns ? (double)vm->vcpu[0]->cpu.icount * 1000.0 / (double)run->host_ns : 0.0;
}

static u64 peak_memory(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? 0 : (u64)usage.ru_maxrss * 1024; /* Linux counts in KiB */
}

static void put_exits(FILE *to, const struct vm_stats *s)
{
    const struct {
        const char *name;
        u64 value;
    } rows[] = {
        {"io_reads", s->io_reads},       {"io_writes", s->io_writes},   {"mmio_reads", s->mmio_reads},
        {"mmio_writes", s->mmio_writes}, {"interrupts", s->interrupts}, {"halts", s->halts},
        {"tlb_misses", s->tlb_misses},   {"tlb_flushes", s->tlb_flushes}, {"decodes", s->decodes},
        {"engine_exits", s->engine_exits},
    };
    fprintf(to, "  \"exits\": {");
    for (size_t n = 0; n < ARRAY_LEN(rows); n++)
        fprintf(to, "%s\n    \"%s\": %" PRIu64, n ? "," : "", rows[n].name, rows[n].value);
    fprintf(to, "\n  },\n  \"exceptions\": {");
    const char *separator = "";
    for (unsigned n = 0; n < ARRAY_LEN(s->exceptions); n++) {
        if (!s->exceptions[n])
            continue;
        fprintf(to, "%s\n    \"%u %s\": %" PRIu64, separator, n, vector_name(n), s->exceptions[n]);
        separator = ",";
    }
    fprintf(to, "%s},\n", *separator ? "\n  " : "");
}

/* What the shadow page tables did, if the engine has them. */
static void put_shadow(FILE *to, const struct vm *vm)
{
    if (!vm->shadow)
        return;
    const struct shadow_stats *s = shadow_statistics(vm);
    const struct {
        const char *name;
        u64 value;
    } rows[] = {
        {"misses", s->misses},       {"fills", s->fills},           {"uncached", s->uncached},
        {"traced_writes", s->traced_writes}, {"dropped_pages", s->dropped_pages}, {"evictions", s->evictions},
        {"spaces", s->spaces},       {"shadow_tables_bytes", shadow_bytes_used(vm)},
        {"shadow_tables_limit", shadow_bytes_max(vm)},
    };
    fprintf(to, "  \"shadow\": {");
    for (size_t n = 0; n < ARRAY_LEN(rows); n++)
        fprintf(to, "%s\n    \"%s\": %" PRIu64, n ? "," : "", rows[n].name, rows[n].value);
    fprintf(to, "\n  },\n");
}

static void put_called_row(FILE *to, unsigned row, u64 count, bool first)
{
    const struct isa_row *r = &isa_rows[row];
    fprintf(to, "%s\n      \"%s", first ? "" : ",", r->mnemonic);
    for (unsigned n = 0; n < ISA_OPERANDS && r->operands[n]; n++)
        fprintf(to, "%s %s", n ? "," : "", isa_operands[r->operands[n]].text);
    fprintf(to, " (row %u)\": %" PRIu64, row, count);
}

/* The instructions that translated code leaves to the interpreter most often, with what their operands are (sbe/operands.def). */
static void put_callouts(FILE *to, const struct sbe *s)
{
    enum { SHOWN = 20 };
    u64 below = UINT64_MAX;
    unsigned shown = 0;
    fprintf(to, ",\n    \"most_called_out\": {");
    while (shown < SHOWN) {
        u64 most = 0;
        for (unsigned row = 0; row < isa_row_count; row++)
            most = s->called[row] < below && s->called[row] > most ? s->called[row] : most;
        if (!most)
            break;
        for (unsigned row = 0; row < isa_row_count; row++)
            if (s->called[row] == most)
                put_called_row(to, row, most, !shown++);
        below = most;
    }
    fprintf(to, "\n    }");
}

/* What the translator did, if the engine is one. Bytes in use now: of host code, and of what is known about it. */
static void put_translator(FILE *to, const struct vm *vm)
{
    const struct sbe *s = vm->vcpu[0]->sbe;
    if (!s)
        return;
    const struct codecache_use use = codecache_use(s);
    u64 records = use.blocks * sizeof s->blocks[0] + use.sites * sizeof s->sites[0] + use.links * sizeof s->links[0];
    const struct {
        const char *name;
        u64 value;
    } rows[] = {
        {"translations", vm->stats.translations}, {"callouts", vm->stats.callouts},
        {"interpreted", vm->stats.interpreted},   {"code_cache_bytes", use.code},
        {"code_records_bytes", records},          {"code_cache_limit", s->code_limit},
        {"code_evictions", vm->stats.evictions},  {"code_kills", vm->stats.code_kills},
    };
    fprintf(to, "  \"translator\": {");
    for (size_t n = 0; n < ARRAY_LEN(rows); n++)
        fprintf(to, "%s\n    \"%s\": %" PRIu64, n ? "," : "", rows[n].name, rows[n].value);
    put_callouts(to, s);
    fprintf(to, "\n  },\n");
}

/* Windows of translated code, if the engine has them. */
static void put_windows(FILE *to, const struct vm *vm)
{
    const struct windows *w = vm->vcpu[0]->windows;
    if (w)
        fprintf(to,
                "  \"windows\": {\n    \"pages\": %u,\n    \"maps\": %" PRIu64 ",\n    \"unmaps\": %" PRIu64
                ",\n    \"overflows\": %" PRIu64 "\n  },\n",
                w->mapped, w->maps, w->unmaps, w->overflows);
}

static void put_all(FILE *to, struct vm *vm, const struct run_summary *run)
{
    fprintf(to, "{\n  \"version\": \"%s\",\n  \"engine\": \"%s\",\n  \"cpu\": \"%s\",\n", REPRISE_VERSION,
            vm->config.engine->name, vm->config.model->name);
    fprintf(to, "  \"memory_bytes\": %" PRIu64 ",\n", vm->config.ram_bytes);
    fprintf(to, "  \"stop\": \"%s\",\n  \"exit_code\": %d,\n  \"resets\": %u,\n", run->stop, run->exit_code,
            run->resets);
    fprintf(to, "  \"instructions\": %" PRIu64 ",\n", vm->vcpu[0]->cpu.icount);
    put_exits(to, &vm->stats);
    put_shadow(to, vm);
    put_translator(to, vm);
    put_windows(to, vm);
    fprintf(to, "  \"virtual_seconds\": %.9f,\n", (double)vm_now(vm) / 1e9);
    fprintf(to, "  \"host_seconds\": %.6f,\n  \"startup_seconds\": %.6f,\n", (double)run->host_ns / 1e9,
            (double)run->startup_ns / 1e9);
    fprintf(to, "  \"mips\": %.3f,\n", stats_mips(vm, run));
    fprintf(to, "  \"peak_memory_bytes\": %" PRIu64 ",\n", peak_memory()); /* before the hash touches anything */
    fprintf(to, "  \"state_hash\": \"%016" PRIx64 "\"\n}\n", state_hash(vm));
}

bool stats_write(const char *path, struct vm *vm, const struct run_summary *run, char message[STATS_MESSAGE_MAX])
{
    char *text = NULL;
    size_t bytes = 0;
    struct report_file report;
    FILE *memory = open_memstream(&text, &bytes);
    if (memory)
        put_all(memory, vm, run);
    if (!memory || fclose(memory)) {
        snprintf(message, STATS_MESSAGE_MAX, "%.200s: no memory to compose it; free some", path);
        free(text);
        return false;
    }
    bool ok = report_open(path, &report, message) && report_commit(&report, text, bytes, message);
    free(text);
    return ok;
}
