#include "sim/verify_report.h"

#include <inttypes.h>
#include <string.h>

const char *verify_stop_name(enum vm_stop stop)
{
    switch (stop) {
    case VM_STOP_ICOUNT: return "icount";
    case VM_STOP_HOST: return "host";
    case VM_STOP_POWER_OFF: return "power-off";
    case VM_STOP_DEBUG_EXIT: return "debug-exit";
    case VM_STOP_TRIPLE_FAULT: return "triple-fault";
    case VM_STOP_RESET: return "reset";
    case VM_STOP_IDLE: return "idle";
    case VM_STOP_WAIT_INPUT: return "wait-input";
    case VM_STOP_DEBUG: return "debug";
    }
    return "?";
}

/* ---- Collecting --------------------------------------------------------------------------------- */

/* The run of bytes from `address` on, within 16, up to the last one that differs. */
static void collect_run(struct verify_memory *m, const struct vm *a, const struct vm *b, u64 address)
{
    u64 room = PAGE_SIZE - (address & PAGE_MASK);
    const u8 *left = physmem_pointer(&a->memory, gpa(address)), *right = physmem_pointer(&b->memory, gpa(address));
    m->address = address;
    m->bytes = 0;
    for (unsigned n = 0; n < room && n < sizeof m->a; n++) {
        m->a[n] = left[n];
        m->b[n] = right[n];
        if (left[n] != right[n])
            m->bytes = (u8)(n + 1);
    }
}

void verify_report_collect(struct verify_divergence *d, const struct verify_pair *p)
{
    d->icount = verify_pair_icount(p);
    d->difference_count = state_differences(p->vm[0], p->vm[1], d->difference, VERIFY_DIFFERENCES);
    memcpy(d->stop, p->stop, sizeof d->stop);
    d->console = p->console;
    d->after = p->vm[0]->vcpu[0]->cpu;
    d->memory_count = 0;
    u64 at = memory_first_difference(p->vm[0], p->vm[1], 0);
    while (at != UINT64_MAX && d->memory_count < VERIFY_MEMORY) {
        struct verify_memory *m = &d->memory[d->memory_count++];
        collect_run(m, p->vm[0], p->vm[1], at);
        at = memory_first_difference(p->vm[0], p->vm[1], at + m->bytes);
    }
}

/* ---- Text --------------------------------------------------------------------------------------- */

static void put_value(FILE *to, const u8 *value, unsigned bytes)
{
    for (unsigned n = bytes; n--;)
        fprintf(to, "%02x", value[n]);
}

static void put_bytes(FILE *to, const u8 *from, unsigned bytes)
{
    for (unsigned n = 0; n < bytes; n++)
        fprintf(to, "%02x ", from[n]);
}

static void put_step(FILE *to, const struct verify_step *s)
{
    fprintf(to, "%c %12" PRIu64 "  %04x:%0*" PRIx64 "  ", s->involved ? '*' : ' ', s->icount, s->cs,
            s->rip > UINT32_MAX ? 16 : 8, s->rip);
    put_bytes(to, s->bytes, s->length);
    fprintf(to, "%*s%s", s->length < 10 ? 3 * (10 - s->length) : 0, "", s->text);
    if (s->times > 1)
        fprintf(to, "  (%u times)", s->times);
    fputc('\n', to);
}

static const char *row_class(const struct isa_row *row)
{
    static const char *const names[] = {"identity", "memory", "stack", "branch", "string", "fpu", "callout"};
    return row->cls < ARRAY_LEN(names) ? names[row->cls] : "?";
}

static void put_row(FILE *to, const struct verify_step *s)
{
    if (s->row == ISA_INVALID) {
        fprintf(to, "no row of isa.def: the bytes do not decode, or cannot be fetched\n");
        return;
    }
    const struct isa_row *row = &isa_rows[s->row];
    fprintf(to, "row %u of isa.def: %s", s->row, row->mnemonic);
    for (unsigned n = 0; n < ISA_OPERANDS && row->operands[n]; n++)
        fprintf(to, "%s %s", n ? "," : "", isa_operands[row->operands[n]].text);
    fprintf(to, "  (class %s)\n", row_class(row));
}

static void put_flags(FILE *to, u32 a, u32 b)
{
    static const struct {
        u32 bit;
        const char *name;
    } flags[] = {{FLAG_CF, "CF"}, {FLAG_PF, "PF"}, {FLAG_AF, "AF"}, {FLAG_ZF, "ZF"}, {FLAG_SF, "SF"}, {FLAG_OF, "OF"}};
    for (unsigned n = 0; n < ARRAY_LEN(flags); n++)
        if ((a ^ b) & flags[n].bit)
            fprintf(to, " %s", flags[n].name);
}

static void put_difference(FILE *to, const struct verify_divergence *d, const struct state_difference *s)
{
    u8 before[STATE_VALUE_MAX];
    int width = s->bytes > 8 ? 2 * s->bytes : 16;
    fprintf(to, "* %-14s", s->name);
    if (d->step_count && state_value(&d->before, s->name, before)) {
        fprintf(to, "%*s", width - 2 * s->bytes, "");
        put_value(to, before, s->bytes);
    } else {
        fprintf(to, "%*s", width, "");
    }
    fprintf(to, "  %*s", width - 2 * s->bytes, "");
    put_value(to, s->a, s->bytes);
    fprintf(to, "  %*s", width - 2 * s->bytes, "");
    put_value(to, s->b, s->bytes);
    if (!strcmp(s->name, "flags"))
        put_flags(to, s->a[0] | (u32)s->a[1] << 8, s->b[0] | (u32)s->b[1] << 8);
    fputc('\n', to);
}

static const struct state_difference *find_difference(const struct verify_divergence *d, const char *name)
{
    for (unsigned n = 0; n < d->difference_count && n < VERIFY_DIFFERENCES; n++)
        if (!strcmp(d->difference[n].name, name))
            return &d->difference[n];
    return NULL;
}

/* What a reader looks at first; differences among them are marked. */
static const char *const always[] = {"rip", "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10",
                                     "r11", "r12", "r13", "r14", "r15", "flags", "rflags"};

static bool is_always(const char *name)
{
    for (unsigned n = 0; n < ARRAY_LEN(always); n++)
        if (!strcmp(always[n], name))
            return true;
    return false;
}

static void put_state(FILE *to, const struct verify_result *r)
{
    const struct verify_divergence *d = &r->divergence;
    u8 before[STATE_VALUE_MAX], after[STATE_VALUE_MAX];
    fprintf(to, "  %-14s%16s  %16s  %16s\n", "", d->step_count ? "before" : "", r->engines[0], r->engines[1]);
    for (unsigned n = 0; n < ARRAY_LEN(always); n++) {
        const struct state_difference *s = find_difference(d, always[n]);
        u64 old = 0, new = 0;
        if (s) {
            put_difference(to, d, s);
            continue;
        }
        state_value(&d->before, always[n], before);
        state_value(&d->after, always[n], after);
        memcpy(&old, before, sizeof old);
        memcpy(&new, after, sizeof new);
        if (d->step_count)
            fprintf(to, "  %-14s%016" PRIx64 "  %016" PRIx64 "\n", always[n], old, new);
        else
            fprintf(to, "  %-14s%16s  %016" PRIx64 "\n", always[n], "", new);
    }
    for (unsigned n = 0; n < d->difference_count && n < VERIFY_DIFFERENCES; n++)
        if (!is_always(d->difference[n].name))
            put_difference(to, d, &d->difference[n]);
    if (d->difference_count > VERIFY_DIFFERENCES)
        fprintf(to, "  and %u differences more\n", d->difference_count - VERIFY_DIFFERENCES);
}

static void put_memory(FILE *to, const struct verify_result *r)
{
    const struct verify_divergence *d = &r->divergence;
    for (unsigned n = 0; n < d->memory_count; n++) {
        const struct verify_memory *m = &d->memory[n];
        fprintf(to, "* memory at %08" PRIx64 "  %s ", m->address, r->engines[0]);
        put_bytes(to, m->a, m->bytes);
        fprintf(to, " %s ", r->engines[1]);
        put_bytes(to, m->b, m->bytes);
        fputc('\n', to);
    }
    if (d->memory_count == VERIFY_MEMORY)
        fprintf(to, "  (and perhaps more)\n");
}

static void put_console(FILE *to, const struct verify_result *r)
{
    const struct console_record *c = &r->divergence.console;
    if (c->hash[0] == c->hash[1] && c->bytes[0] == c->bytes[1])
        return;
    for (unsigned n = 0; n < 2; n++) {
        u64 from = c->bytes[n] > CONSOLE_TAIL ? c->bytes[n] - CONSOLE_TAIL : 0;
        fprintf(to, "* console of %s: %" PRIu64 " bytes, the last ones \"", r->engines[n], c->bytes[n]);
        for (; from < c->bytes[n]; from++) {
            u8 byte = c->tail[n][from % CONSOLE_TAIL];
            fprintf(to, byte >= ' ' && byte < 127 ? "%c" : "\\x%02x", byte);
        }
        fprintf(to, "\"\n");
    }
}

/* Host code of the block that the last instruction belongs to, if the engine can tell. */
static void put_translation(FILE *to, const struct verify_result *r, const struct verify_pair *p)
{
    const struct verify_divergence *d = &r->divergence;
    const struct verify_step *last = &d->step[d->step_count - 1];
    struct vcpu *v = p->vm[1]->vcpu[0];
    struct engine_code code;
    const struct engine *engine = p->vm[1]->config.engine;
    if (!engine->explain || !engine->explain(v, last->rip, &code))
        return;
    fprintf(to, "translation by %s of %u instructions at %" PRIx64 "\n", engine->name, code.insns, code.rip);
    unsigned insn = 0, length;
    for (u32 at = 0; at < code.bytes; at += length) {
        char text[DISASM_MAX];
        for (; insn < code.insns && insn < ENGINE_CODE_INSNS && code.start[insn] <= at; insn++)
            fprintf(to, "  -- instruction %u\n", insn);
        u32 left = code.bytes - at;
        length = disasm(code.host + at, left < INSN_MAX ? left : INSN_MAX, CODE_64, (u64)(code.host + at), text);
        fprintf(to, "    %016" PRIx64 "  ", (u64)(code.host + at));
        length = length ? length : 1;
        put_bytes(to, code.host + at, length);
        fprintf(to, "%*s%s\n", length < 11 ? 3 * (int)(11 - length) : 0, "", text);
    }
}

static void put_divergence(FILE *to, const struct verify_result *r, const struct verify_pair *p)
{
    const struct verify_divergence *d = &r->divergence;
    fprintf(to, "reprise: %s and %s differ: the same after %" PRIu64 " instructions, different after %" PRIu64 "\n",
            r->engines[0], r->engines[1], d->equal_at, d->icount);
    if (!d->located)
        fprintf(to, "It did not show again when both were run once more, so it depends on what is not the guest's.\n");
    else if (!d->cold)
        fprintf(to, "From a copy of the state before, it does not show: it depends on what was translated earlier.\n");
    if (d->stop[0] != d->stop[1])
        fprintf(to, "* %s stopped for: %s; %s: %s\n", r->engines[0], verify_stop_name(d->stop[0]), r->engines[1],
                verify_stop_name(d->stop[1]));
    if (d->step_count) {
        fprintf(to, "instructions up to there, as %s executes them (*: changes what differs afterwards)\n",
                r->engines[0]);
        for (unsigned n = 0; n < d->step_count; n++)
            put_step(to, &d->step[n]);
        put_row(to, &d->step[d->step_count - 1]);
    }
    put_state(to, r);
    put_memory(to, r);
    put_console(to, r);
    if (d->step_count && p->vm[1])
        put_translation(to, r, p);
}

static void put_explained(FILE *to, const struct verify_result *r)
{
    for (unsigned n = 0; n < known_row_count; n++)
        if (r->explained[n])
            fprintf(to, "%12" PRIu64 " explained: %s: %s (%s)\n", r->explained[n],
                    known_rows[n].insns ? known_rows[n].insns : "any instruction", known_rows[n].why,
                    known_rows[n].right == KNOWN_OURS ? "ours is right" : "both are right");
}

void verify_report_text(FILE *to, const struct verify_result *r, const struct verify_pair *p)
{
    put_explained(to, r);
    if (r->diverged) {
        put_divergence(to, r, p);
        return;
    }
    fprintf(to, "reprise: %s and %s agree for %" PRIu64 " instructions (%" PRIu64 " comparisons, %" PRIu64
            " of memory; %.1f s); ", r->engines[0], r->engines[1], r->icount, r->cuts, r->memory_comparisons,
            (double)r->host_ns / 1e9);
    if (!r->complete)
        fprintf(to, "interrupted before the guest ended\n");
    else
        fprintf(to, "the guest's end: %s\n", r->stop == VM_STOP_ICOUNT ? "--max-insns" : verify_stop_name(r->stop));
}

/* ---- JSON --------------------------------------------------------------------------------------- */

static void json_hex(FILE *to, const char *name, const u8 *value, unsigned bytes)
{
    fprintf(to, "\"%s\": \"", name);
    put_value(to, value, bytes);
    fputc('"', to);
}

static void json_bytes(FILE *to, const char *name, const u8 *from, unsigned bytes)
{
    fprintf(to, "\"%s\": \"", name);
    for (unsigned n = 0; n < bytes; n++)
        fprintf(to, "%02x", from[n]);
    fputc('"', to);
}

static void json_divergence(FILE *to, const struct verify_divergence *d)
{
    fprintf(to, ",\n  \"equal_at\": %" PRIu64 ",\n  \"icount\": %" PRIu64 ",\n  \"located\": %s,\n  \"cold\": %s,\n",
            d->equal_at, d->icount, d->located ? "true" : "false", d->cold ? "true" : "false");
    fprintf(to, "  \"stops\": [\"%s\", \"%s\"],\n  \"console_bytes\": [%" PRIu64 ", %" PRIu64 "],\n",
            verify_stop_name(d->stop[0]), verify_stop_name(d->stop[1]), d->console.bytes[0], d->console.bytes[1]);
    if (d->step_count) {
        const struct verify_step *s = &d->step[d->step_count - 1];
        fprintf(to, "  \"instruction\": {\"cs\": %u, \"rip\": %" PRIu64 ", \"row\": %u, \"text\": \"%s\", ", s->cs,
                s->rip, s->row, s->text);
        json_bytes(to, "bytes", s->bytes, s->length);
        fprintf(to, "},\n");
    }
    fprintf(to, "  \"registers\": [");
    for (unsigned n = 0; n < d->difference_count && n < VERIFY_DIFFERENCES; n++) {
        const struct state_difference *s = &d->difference[n];
        fprintf(to, "%s\n    {\"name\": \"%s\", ", n ? "," : "", s->name);
        json_hex(to, "a", s->a, s->bytes);
        fprintf(to, ", ");
        json_hex(to, "b", s->b, s->bytes);
        fputc('}', to);
    }
    fprintf(to, "],\n  \"memory\": [");
    for (unsigned n = 0; n < d->memory_count; n++) {
        fprintf(to, "%s\n    {\"address\": %" PRIu64 ", ", n ? "," : "", d->memory[n].address);
        json_bytes(to, "a", d->memory[n].a, d->memory[n].bytes);
        fprintf(to, ", ");
        json_bytes(to, "b", d->memory[n].b, d->memory[n].bytes);
        fputc('}', to);
    }
    fprintf(to, "]");
}

static void json_explained(FILE *to, const struct verify_result *r)
{
    const char *comma = "";
    fprintf(to, ",\n  \"explained\": [");
    for (unsigned n = 0; n < known_row_count; n++) {
        if (!r->explained[n])
            continue;
        fprintf(to, "%s\n    {\"row\": %u, \"count\": %" PRIu64 ", \"right\": \"%s\"}", comma, n, r->explained[n],
                known_rows[n].right == KNOWN_OURS ? "ours" : "both");
        comma = ",";
    }
    fprintf(to, "]");
}

void verify_report_json(FILE *to, const struct verify_result *r)
{
    fprintf(to, "{\n  \"engines\": [\"%s\", \"%s\"],\n  \"agree\": %s,\n  \"complete\": %s,\n  \"stop\": \"%s\",\n",
            r->engines[0], r->engines[1], r->diverged ? "false" : "true", r->complete ? "true" : "false",
            verify_stop_name(r->stop));
    fprintf(to, "  \"instructions\": %" PRIu64 ",\n  \"comparisons\": %" PRIu64 ",\n  \"memory_comparisons\": %" PRIu64
            ",\n  \"host_seconds\": %.6f", r->icount, r->cuts, r->memory_comparisons, (double)r->host_ns / 1e9);
    json_explained(to, r);
    if (r->diverged)
        json_divergence(to, &r->divergence);
    fprintf(to, "\n}\n");
}
