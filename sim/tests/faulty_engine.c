/* Engines for tests of tests: the interpreter, and `faulty`, which is the interpreter with a fault planted by the
 * environment, REPRISE_FAULT=KIND@ICOUNT. Linked in place of sim/engines.c.
 *
 *   register, flag, sse, device, memory, msr   the state is wrong after ICOUNT instructions
 *   block    RBX is wrong after the block of eight instructions around ICOUNT, if that ran in one go: a translator's
 *            fault that stepping hides
 *   warm     like `register`, but only in a machine that has run from power-on: a fault of something cached
 *   count    an instruction is counted but not executed */
#include "core/vm.h"
#include "sbe/fpu.h"
#include "sim/engines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 8, FAULT_KIND_MAX = 16, FXSAVE_XMM0 = 160, MEMORY_AT = 0x5000 };

struct fault {
    char kind[FAULT_KIND_MAX];
    u64 at;
};

static bool planted(struct fault *f)
{
    const char *text = getenv("REPRISE_FAULT");
    unsigned long long at = 0;
    if (!text || sscanf(text, "%15[a-z]@%llu", f->kind, &at) != 2)
        return false;
    f->at = at;
    return true;
}

static void run_to(struct vcpu *v, u64 icount)
{
    u64 stop_at = v->stop_at;
    if (icount >= stop_at) {
        engine_interp.run(v);
        return;
    }
    v->stop_at = icount;
    engine_interp.run(v);
    if (v->stop_at == icount) /* nobody has kicked the processor meanwhile */
        v->stop_at = stop_at;
}

static void corrupt(struct vcpu *v, const char *kind)
{
    if (!strcmp(kind, "register") || !strcmp(kind, "warm") || !strcmp(kind, "block"))
        v->cpu.gpr[RBX] ^= 0x10;
    else if (!strcmp(kind, "flag"))
        v->cpu.aflags ^= FLAG_AF;
    else if (!strcmp(kind, "sse"))
        fpu_park(v), v->cpu.fpu.fxsave[FXSAVE_XMM0] ^= 1;
    else if (!strcmp(kind, "device"))
        v->vm->chipset.selftest.latch ^= 1;
    else if (!strcmp(kind, "memory"))
        *physmem_pointer(&v->vm->memory, gpa(MEMORY_AT)) ^= 0xff;
    else if (!strcmp(kind, "msr"))
        v->cpu.tsc_aux ^= 1;
    else if (!strcmp(kind, "count"))
        v->cpu.icount++;
}

static void faulty_run(struct vcpu *v)
{
    static const struct vcpu *cold_start[64];
    struct fault f;
    struct cpu *c = &v->cpu;
    u64 begin = c->icount;
    if (begin == 0)
        cold_start[v->index] = v;
    if (!planted(&f) || begin > f.at || v->stop_at <= f.at || (!strcmp(f.kind, "warm") && cold_start[v->index] != v)) {
        engine_interp.run(v);
        return;
    }
    u64 at = f.at;
    if (!strcmp(f.kind, "block")) {
        at = f.at / BLOCK * BLOCK + BLOCK;
        if (begin > at - BLOCK || v->stop_at < at) {
            engine_interp.run(v);
            return;
        }
    }
    run_to(v, at);
    if (c->icount == at) {
        corrupt(v, f.kind);
        engine_interp.run(v);
    }
}

static enum status faulty_create(struct vcpu *v) { return engine_interp.create(v); }
static void faulty_destroy(struct vcpu *v) { engine_interp.destroy(v); }

static const struct engine engine_faulty = {
    .name = "faulty",
    .summary = "the interpreter with a planted fault",
    .create = faulty_create,
    .destroy = faulty_destroy,
    .run = faulty_run,
};

const struct engine *engine_at(unsigned n) { return n == 0 ? &engine_interp : n == 1 ? &engine_faulty : NULL; }

const struct engine *engine_find(const char *name)
{
    const struct engine *e;
    for (unsigned n = 0; (e = engine_at(n)); n++)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}
