#include "sim/dump.h"

#include "mmu/access.h"
#include "sbe/fpu.h"

#include <inttypes.h>

enum { CODE_LINES = 6, STACK_WORDS = 8 };

const char *vector_name(unsigned vector)
{
    static const char *const names[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",
                                        "#TS", "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM"};
    return vector < ARRAY_LEN(names) ? names[vector] : "?";
}

/* Linear address of an offset in a segment, without checks: a debugger looks even where the guest may not. */
static u64 linear_of(struct vcpu *v, enum seg seg, u64 offset)
{
    bool flat = v->mode == CODE_64 && seg != SEG_FS && seg != SEG_GS;
    u64 linear = flat ? offset : v->cpu.seg[seg].base + offset;
    return v->mode == CODE_64 ? linear : (u32)linear;
}

/* Bytes of guest RAM at a linear address; returns how many are there. */
static unsigned peek(struct vcpu *v, u64 linear, u8 *to, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++) {
        gpa_t at;
        if (!mem_translate_debug(v, linear + n, &at))
            return n;
        const u8 *from = physmem_pointer(&v->vm->memory, at);
        if (!from)
            return n;
        to[n] = *from;
    }
    return bytes;
}

unsigned dump_code(struct vcpu *v, u64 rip, u8 *to, unsigned bytes)
{
    return peek(v, linear_of(v, SEG_CS, rip), to, bytes);
}

void dump_fetch(struct vcpu *v, u64 rip, struct dump_insn *insn)
{
    *insn = (struct dump_insn){.cs = v->cpu.seg[SEG_CS].selector, .cpl = v->cpu.cpl, .mode = v->mode, .rip = rip};
    insn->available = (u8)dump_code(v, rip, insn->bytes, INSN_MAX);
    insn->length = (u8)disasm(insn->bytes, insn->available, (enum code_mode)insn->mode, rip, insn->text);
}

void dump_put_insn(FILE *to, const struct dump_insn *insn)
{
    unsigned shown = insn->length ? insn->length : insn->available;
    fprintf(to, "%04x:%0*" PRIx64 "  ", insn->cs, insn->mode == CODE_64 ? 16 : 8, insn->rip);
    for (unsigned n = 0; n < (shown > 10 ? shown : 10); n++)
        fprintf(to, n < shown ? "%02x " : "   ", n < shown ? insn->bytes[n] : 0);
    fprintf(to, " %s", !insn->available ? "(not in memory)" : insn->text);
}

static unsigned put_instruction(FILE *to, struct vcpu *v, u64 rip)
{
    struct dump_insn insn;
    dump_fetch(v, rip, &insn);
    dump_put_insn(to, &insn);
    return insn.length;
}

void dump_instruction(FILE *to, struct vcpu *v)
{
    put_instruction(to, v, v->cpu.rip);
}

static void put_segment(FILE *to, const char *name, const struct segment *s)
{
    fprintf(to, "  %-4s %04x base %016" PRIx64 " limit %08x attributes %04x%s\n", name, s->selector, s->base, s->limit,
            s->attributes, s->attributes & SEG_UNUSABLE ? " (null)" : "");
}

static void put_registers(FILE *to, const struct cpu *c)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segments[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    for (unsigned n = 0; n < GPR_COUNT; n++)
        fprintf(to, "  %-3s %016" PRIx64 "%s", names[n], c->gpr[n], n % 4 == 3 ? "\n" : "");
    fprintf(to, "  rip %016" PRIx64 "  rflags %08" PRIx64 "  cpl %u  %s\n", c->rip, cpu_rflags(c), c->cpl,
            cpu_v86(c) ? "virtual-8086" : cpu_code64(c) ? "64-bit" : cpu_long(c) ? "compatibility"
            : cpu_protected(c) ? "protected" : "real-address");
    fprintf(to, "  cr0 %08" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64 "  cr4 %08" PRIx64 "  efer %03" PRIx64 "\n",
            c->cr0, c->cr2, c->cr3, c->cr4, c->efer);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        put_segment(to, segments[n], &c->seg[n]);
    put_segment(to, "ldtr", &c->ldtr);
    put_segment(to, "tr", &c->tr);
    fprintf(to, "  gdtr base %016" PRIx64 " limit %04x   idtr base %016" PRIx64 " limit %04x\n", c->gdtr.base,
            c->gdtr.limit, c->idtr.base, c->idtr.limit);
    fprintf(to, "  dr6 %08" PRIx64 "  dr7 %08" PRIx64 "\n", c->dr[6], c->dr[7]);
}

static void put_code(FILE *to, struct vcpu *v)
{
    u64 rip = v->cpu.rip;
    fprintf(to, "code\n");
    for (unsigned n = 0; n < CODE_LINES; n++) {
        fprintf(to, "  ");
        unsigned length = put_instruction(to, v, rip);
        fputc('\n', to);
        if (!length)
            return;
        rip += length;
    }
}

static void put_stack(FILE *to, struct vcpu *v)
{
    unsigned size = v->mode == CODE_64 ? 8 : v->stack32 ? 4 : 2;
    u64 sp = v->cpu.gpr[RSP] & v->stack_mask;
    fprintf(to, "stack\n  %04x:%0*" PRIx64 " ", v->cpu.seg[SEG_SS].selector, (int)(2 * size), sp);
    for (unsigned n = 0; n < STACK_WORDS; n++) {
        u64 word = 0;
        u64 at = linear_of(v, SEG_SS, (sp + n * size) & v->stack_mask);
        if (peek(v, at, (u8 *)&word, size) < size)
            break;
        fprintf(to, " %0*" PRIx64, (int)(2 * size), word);
    }
    fputc('\n', to);
}

void dump_vcpu(FILE *to, struct vcpu *v)
{
    fpu_park(v);
    fprintf(to, "registers after %" PRIu64 " instructions\n", v->cpu.icount);
    put_registers(to, &v->cpu);
    put_code(to, v);
    put_stack(to, v);
}
