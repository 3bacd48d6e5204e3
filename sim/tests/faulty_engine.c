/* Engines for tests of tests: the interpreter, and `faulty`, which is the interpreter with a fault planted by the
 * environment, REPRISE_FAULT=KIND@ICOUNT. Linked in place of sim/engines.c.
 *
 *   register, flag, sse, device, memory, msr   the state is wrong after ICOUNT instructions
 *   block    RBX is wrong after the block of eight instructions around ICOUNT, if that ran in one go: a translator's
 *            fault that stepping hides
 *   warm     like `register`, but only in a machine that has run from power-on: a fault of something cached
 *   count    an instruction is counted but not executed
 *   crash    the engine ends the process by an undefined instruction
 *   stale    like `register`, but only in a machine whose time has begun a second time: a fault of something kept
 *   else     the mnemonic of an instruction that leaves CF wrong, each time from ICOUNT on */
#include "core/vm.h"
#include "sbe/decode.h"
#include "sbe/fpu.h"
#include "sim/bochs_engine.h"
#include "sim/dump.h"
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

struct state_fault {
    const char *kind;
    void (*corrupt)(struct vcpu *v);
};

static void wrong_register(struct vcpu *v) { v->cpu.gpr[RBX] ^= 0x10; }
static void wrong_flag(struct vcpu *v) { v->cpu.aflags ^= FLAG_AF; }
static void wrong_device(struct vcpu *v) { v->vm->chipset.selftest.latch ^= 1; }
static void wrong_memory(struct vcpu *v) { *physmem_pointer(&v->vm->memory, gpa(MEMORY_AT)) ^= 0xff; }
static void wrong_msr(struct vcpu *v) { v->cpu.tsc_aux ^= 1; }
static void wrong_count(struct vcpu *v) { v->cpu.icount++; }

static void wrong_everything(struct vcpu *v)
{
    (void)v;
    __builtin_trap();
}

static void wrong_sse(struct vcpu *v)
{
    fpu_park(v);
    v->cpu.fpu.fxsave[FXSAVE_XMM0] ^= 1;
}

static const struct state_fault state_faults[] = {
    {"register", wrong_register}, {"warm", wrong_register}, {"block", wrong_register}, {"flag", wrong_flag},
    {"sse", wrong_sse}, {"stale", wrong_register}, {"device", wrong_device}, {"memory", wrong_memory}, {"msr", wrong_msr},
    {"count", wrong_count},
    {"crash", wrong_everything},
};

/* NULL: it is a mnemonic. */
static const struct state_fault *state_fault(const char *kind)
{
    for (unsigned n = 0; n < ARRAY_LEN(state_faults); n++)
        if (!strcmp(state_faults[n].kind, kind))
            return &state_faults[n];
    return NULL;
}

static bool next_is(struct vcpu *v, const char *mnemonic)
{
    u8 bytes[INSN_MAX];
    struct insn insn;
    unsigned available = dump_code(v, v->cpu.rip, bytes, INSN_MAX);
    return decode(bytes, available, (enum code_mode)v->mode, &insn) == DECODE_OK &&
           !strcmp(isa_rows[insn.row].mnemonic, mnemonic);
}

/* One instruction after another, those of this mnemonic wrong. */
static void run_wrong(struct vcpu *v, const struct fault *f)
{
    u64 stop_at = v->stop_at;
    while (v->cpu.icount < stop_at) {
        u64 icount = v->cpu.icount;
        bool wrong = icount >= f->at && next_is(v, f->kind);
        v->stop_at = icount + 1;
        engine_interp.run(v);
        fpu_park(v); /* what follows is host code */
        if (wrong)
            v->cpu.aflags ^= FLAG_CF;
        if (v->stop_at != icount + 1)
            return; /* kicked */
    }
}

enum { MACHINES = 64 };
static struct {
    const struct vcpu *v;
    unsigned lives;
} seen[MACHINES];

static unsigned place_of(const struct vcpu *v)
{
    unsigned n = 0;
    while (n < MACHINES - 1 && seen[n].v && seen[n].v != v)
        n++;
    return n;
}

/* How often this machine has run from its power-on; counted when it does. */
static unsigned lives(const struct vcpu *v)
{
    unsigned n = place_of(v);
    seen[n].v = v;
    seen[n].lives += v->cpu.icount == 0;
    return seen[n].lives;
}

static bool applies(const struct fault *f, unsigned life)
{
    return strcmp(f->kind, "warm") ? strcmp(f->kind, "stale") || life > 1 : life > 0;
}

static void faulty_run(struct vcpu *v)
{
    struct fault f;
    struct cpu *c = &v->cpu;
    u64 begin = c->icount;
    unsigned life = lives(v);
    if (planted(&f) && !state_fault(f.kind)) {
        run_wrong(v, &f);
        return;
    }
    if (!planted(&f) || begin > f.at || v->stop_at <= f.at || !applies(&f, life)) {
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
        state_fault(f.kind)->corrupt(v);
        engine_interp.run(v);
    }
}

static enum status faulty_create(struct vcpu *v) { return engine_interp.create(v); }
static void faulty_destroy(struct vcpu *v)
{
    seen[place_of(v)].lives = 0; /* another machine may get its place in memory */
    engine_interp.destroy(v);
}

/* It translates nothing, but can show what the report does with it. */
static bool faulty_explain(struct vcpu *v, u64 rip, struct engine_code *code)
{
    static const u8 host[] = {0x48, 0x89, 0xd8, 0x90, 0xc3}; /* mov %rbx,%rax; nop; ret */
    (void)v;
    *code = (struct engine_code){.host = host, .bytes = sizeof host, .rip = rip, .insns = 2, .start = {0, 3}};
    return true;
}

static const struct engine engine_faulty = {
    .name = "faulty",
    .summary = "the interpreter with a planted fault",
    .create = faulty_create,
    .destroy = faulty_destroy,
    .run = faulty_run,
    .explain = faulty_explain,
};

const struct engine *engine_at(unsigned n)
{
    static const struct engine *const engines[] = {&engine_interp, &engine_faulty, &engine_sbe, &engine_sbe_window,
                                             &engine_sbe_auto, &engine_bochs};
    return n < ARRAY_LEN(engines) ? engines[n] : NULL;
}

const struct engine *engine_find(const char *name)
{
    const struct engine *e;
    for (unsigned n = 0; (e = engine_at(n)); n++)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}

const char *engine_missing(const struct engine *engine)
{
    return engine == &engine_bochs ? bochs_engine_missing() : NULL;
}
