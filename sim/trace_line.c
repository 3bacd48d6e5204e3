/* Lines of a trace. */
#include "sim/text.h"
#include "sim/trace.h"

#include <inttypes.h>
#include <string.h>

static const char *const kind_names[TRACE_KINDS] = {
    [TRACE_EXCEPTION] = "exception", [TRACE_INTERRUPT] = "interrupt", [TRACE_IO_READ] = "io-read",
    [TRACE_IO_WRITE] = "io-write",   [TRACE_MMIO_READ] = "mmio-read", [TRACE_MMIO_WRITE] = "mmio-write",
    [TRACE_READ] = "read",           [TRACE_WRITE] = "write",         [TRACE_FRAME_WRITE] = "frame-write",
    [TRACE_FRAME_MARK] = "frame-mark",
};

void trace_put_exception(FILE *to, const struct trace_event *e, u16 cs, u64 rip)
{
    fprintf(to, "exception %02x %s error %" PRIx64 " cr2 %" PRIx64 " at %04x:%" PRIx64 "\n", e->vector,
            vector_name(e->vector), e->value, e->address, cs, rip);
}

/* Up to 8 bytes are a number, more are bytes in the order of their addresses. */
static void put_bytes(FILE *to, const u8 *bytes, unsigned size)
{
    u64 value = 0;
    if (size > sizeof value) {
        text_put_hex(to, bytes, size);
        return;
    }
    memcpy(&value, bytes, size);
    fprintf(to, "%0*" PRIx64, (int)(2 * size), value);
}

static void put_text(FILE *to, const struct cpu *c, const struct trace_event *e)
{
    switch (e->kind) {
    case TRACE_EXCEPTION: trace_put_exception(to, e, c->seg[SEG_CS].selector, c->rip); return;
    case TRACE_INTERRUPT:
        fprintf(to, "interrupt %02x at %04x:%" PRIx64 "\n", e->vector, c->seg[SEG_CS].selector, c->rip);
        return;
    case TRACE_IO_READ:
    case TRACE_IO_WRITE:
        fprintf(to, "io %s %04" PRIx64 " %0*" PRIx64 "\n", e->kind == TRACE_IO_READ ? "read " : "write", e->address,
                2 * e->size, e->value);
        return;
    case TRACE_MMIO_READ:
    case TRACE_MMIO_WRITE:
        fprintf(to, "mmio %s %" PRIx64 " %0*" PRIx64 "\n", e->kind == TRACE_MMIO_READ ? "read " : "write", e->address,
                2 * e->size, e->value);
        return;
    case TRACE_READ:
    case TRACE_WRITE:
        fprintf(to, "memory %s %" PRIx64 " (physical %" PRIx64 ") ", e->kind == TRACE_READ ? "read " : "write", e->address,
                e->physical);
        put_bytes(to, e->bytes, e->size);
        fputc('\n', to);
        return;
    case TRACE_FRAME_WRITE:
    case TRACE_FRAME_MARK:
    case TRACE_KINDS: return;
    }
}

static void put_json_begin(FILE *to, const struct vm *vm, u64 icount, const char *kind)
{
    fprintf(to, "{\"icount\": %" PRIu64 ", \"virtual_ns\": %" PRIu64 ", \"kind\": \"%s\"", icount,
            clock_now(&vm->clock, icount), kind);
}

static void put_json(FILE *to, const struct cpu *c, const struct trace_event *e)
{
    switch (e->kind) {
    case TRACE_EXCEPTION:
        fprintf(to, ", \"vector\": %u, \"name\": \"%s\", \"error\": %" PRIu64 ", \"cr2\": \"0x%" PRIx64 "\"", e->vector,
                vector_name(e->vector), e->value, e->address);
        break;
    case TRACE_INTERRUPT: fprintf(to, ", \"vector\": %u", e->vector); break;
    case TRACE_READ:
    case TRACE_WRITE:
        fprintf(to, ", \"linear\": \"0x%" PRIx64 "\", \"physical\": \"0x%" PRIx64 "\", \"size\": %u, \"%s\": \"", e->address,
                e->physical, e->size, e->size > 8 ? "bytes" : "value");
        fputs(e->size > 8 ? "" : "0x", to);
        put_bytes(to, e->bytes, e->size);
        fputc('"', to);
        break;
    default:
        fprintf(to, ", \"%s\": \"0x%" PRIx64 "\", \"size\": %u, \"value\": \"0x%" PRIx64 "\"",
                e->kind == TRACE_IO_READ || e->kind == TRACE_IO_WRITE ? "port" : "physical", e->address, e->size, e->value);
    }
    fprintf(to, ", \"cs\": %u, \"rip\": \"0x%" PRIx64 "\"}\n", c->seg[SEG_CS].selector, c->rip);
}

void trace_put_event(const struct trace *trace, const struct vm *vm, const struct trace_event *e)
{
    const struct cpu *c = &vm->vcpu[0]->cpu;
    if (trace->json) {
        put_json_begin(trace->to, vm, c->icount, kind_names[e->kind]);
        put_json(trace->to, c, e);
        return;
    }
    fprintf(trace->to, "%12" PRIu64 " ", c->icount);
    put_text(trace->to, c, e);
}

void trace_put_insn(const struct trace *trace, const struct vm *vm, u64 icount, const struct dump_insn *insn)
{
    if (!trace->json) {
        fprintf(trace->to, "%12" PRIu64 " ", icount);
        dump_put_insn(trace->to, insn);
        fputc('\n', trace->to);
        return;
    }
    put_json_begin(trace->to, vm, icount, "insn");
    fprintf(trace->to, ", \"cs\": %u, \"rip\": \"0x%" PRIx64 "\", \"cpl\": %u, \"bits\": %u, \"bytes\": \"", insn->cs, insn->rip,
            insn->cpl, 16u << insn->mode);
    text_put_hex(trace->to, insn->bytes, insn->length ? insn->length : insn->available);
    fputs("\", \"text\": ", trace->to);
    text_put_json(trace->to, insn->text);
    fputs("}\n", trace->to);
}
