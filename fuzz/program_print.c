#include "core/cpuid.h"
#include "fuzz/world.h"
#include "sim/disasm.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const mode_names[] = {"real", "protected", "protected, 16-bit", "32-bit paging", "PAE paging",
                                         "64-bit", "compatibility", "virtual-8086"};
static const char *const segment_names[] = {"es", "cs", "ss", "ds", "fs", "gs"};

static void print_circumstances(const struct program *p)
{
    static const char *const names[] = {"user", "interrupts", "apic-timer", "wp", "breakpoints", "tf", "vme", "no-fpu"};
    printf("mode: %s; model: %s; options:", mode_names[p->mode], cpu_models[p->model].name);
    for (unsigned n = 0; n < ARRAY_LEN(names); n++)
        if (p->options >> n & 1)
            printf(" %s", names[n]);
    printf("\ninstructions: %u; cuts: %s; after a fault: %s\n", p->limit,
           !p->cut_seed ? "none" : p->cut_seed & 2 ? "every few instructions" : "random",
           p->after == AFTER_SLOT ? "the next slot of 16 bytes" : "the next byte");
    for (unsigned n = 0; n < SEG_COUNT; n++)
        if (p->segment[n].attributes)
            printf("%s: base %08x limit %08x attributes %04x\n", segment_names[n], p->segment[n].base,
                   p->segment[n].limit, p->segment[n].attributes);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        printf("%s%2u=%016" PRIx64 "%s", n == RSP ? "*" : " ", n, p->gpr[n], n % 4 == 3 ? "\n" : " ");
    printf(" flags=%03x\n", p->flags);
}

static void print_code(const struct program *p)
{
    u8 code[PROGRAM_BYTES];
    u16 offset[PROGRAM_INSNS + 1];
    char text[DISASM_MAX];
    program_layout(p, code, offset);
    for (unsigned n = 0; n < p->count; n++) {
        u64 rip = p->origin + offset[n] - p->segment[SEG_CS].base;
        disasm(code + offset[n], p->insn[n].length, program_code_mode(p), rip, text);
        printf("  %08" PRIx64 "  ", rip);
        for (unsigned at = 0; at < p->insn[n].length; at++)
            printf("%02x ", code[offset[n] + at]);
        printf("%*s%s\n", p->insn[n].length < 10 ? 3 * (10 - p->insn[n].length) : 0, "", text);
    }
}

void program_print(const struct program *p)
{
    print_circumstances(p);
    world_print(p);
    print_code(p);
}
