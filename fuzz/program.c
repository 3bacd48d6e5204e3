/* Composition: which instructions follow one another, where branches go, and how it all starts. */
#include "fuzz/program.h"

#include "core/cpuid.h"

#include <string.h>

enum { BODY_MIN = 3, BODY_MAX = 40, SUBROUTINES = 2, CALLS_MAX = 16, ROW_TRIES = 4000 };

/* A style of program: how often each kind of thing comes, in relation to the others. */
enum item {
    ITEM_IDENTITY, ITEM_MEMORY, ITEM_STACK, ITEM_BRANCH, ITEM_STRING, ITEM_UNIT, ITEM_CALLOUT, /* as enum isa_class */
    ITEM_POINTER, ITEM_LOOP, ITEM_CALL, ITEM_JUMP_FAR_AWAY, ITEM_CODE_WRITE, ITEM_SINGLE_STEP, ITEM_FLAGS_READER, ITEMS
};

static const u8 styles[][ITEMS] = {
    /* id mem stk br str unit out ptr loop call ind smc tf flag */
    {24, 16, 8, 10, 3, 6, 4, 8, 4, 4, 3, 3, 1, 6},   /* everything */
    {40, 30, 4, 10, 1, 0, 0, 6, 6, 3, 2, 1, 0, 10},  /* integers */
    {10, 50, 5, 6, 4, 2, 1, 12, 6, 2, 1, 4, 0, 4},   /* memory */
    {12, 8, 40, 6, 1, 0, 4, 4, 3, 14, 8, 1, 2, 4},   /* stack */
    {8, 8, 4, 4, 40, 0, 2, 14, 4, 2, 1, 4, 1, 6},    /* strings */
    {10, 8, 2, 4, 1, 50, 1, 6, 4, 1, 1, 1, 0, 2},    /* floating point, vectors */
    {12, 8, 8, 8, 3, 2, 40, 6, 2, 4, 2, 2, 4, 6},    /* system */
    {20, 10, 2, 30, 1, 0, 1, 4, 8, 8, 8, 6, 1, 12},  /* branches */
    {16, 12, 2, 8, 2, 2, 1, 8, 6, 4, 4, 30, 1, 6},   /* self-modification */
    {6, 6, 12, 4, 2, 2, 50, 4, 4, 2, 2, 0, 2, 2},    /* system: the last two are of programs in changed surroundings */
    {8, 50, 12, 4, 8, 4, 6, 16, 4, 2, 1, 3, 0, 2},   /* memory */
};
enum { STYLES_SYSTEM = 2, STYLES = ARRAY_LEN(styles) - STYLES_SYSTEM };

struct composer {
    struct program *p;
    struct random r;
    enum code_mode mode;
    const u8 *style;
    u8 calls[CALLS_MAX]; /* instructions whose target is a subroutine yet to come */
    unsigned call_count;
};

enum code_mode program_code_mode(const struct program *p)
{
    switch ((enum guest_mode)p->mode) {
    case GUEST_REAL: case GUEST_PROTECTED_16: case GUEST_V86: return CODE_16;
    case GUEST_LONG: return CODE_64;
    default: return CODE_32;
    }
}

static unsigned wide(const struct composer *c) { return c->mode == CODE_16 ? 2 : 4; } /* bytes of an Iz */

static struct program_insn *add(struct composer *c, const u8 *bytes, unsigned length)
{
    struct program_insn *i = &c->p->insn[c->p->count];
    if (c->p->count == PROGRAM_INSNS)
        return NULL;
    c->p->count++;
    memset(i, 0, sizeof *i);
    memcpy(i->bytes, bytes, length);
    i->length = (u8)length;
    return i;
}

static struct program_insn *add_target(struct composer *c, const u8 *bytes, unsigned length, enum fixup fixup,
                                       unsigned target)
{
    struct program_insn *i = add(c, bytes, length);
    if (i) {
        i->fixup = (u8)fixup;
        i->fix_size = (u8)wide(c);
        i->fix_at = (u8)(length - wide(c));
        i->target = (u8)target;
    }
    return i;
}

/* An instruction nearby. */
static unsigned nearby(struct composer *c)
{
    unsigned at = c->p->count + random_below(&c->r, 16);
    return at > 10 ? at - 10 : 0;
}

/* ---- Kinds of things ------------------------------------------------------------------------------ */

static bool harmless(struct composer *c, const struct isa_row *row)
{
    const char *name = row->mnemonic;
    if (!strcmp(name, "hlt"))
        return one_in(&c->r, 16);
    if (!strcmp(name, "in") || !strcmp(name, "out") || !strcmp(name, "outs") || !strcmp(name, "ins"))
        return one_in(&c->r, 8); /* random ports reset the machine, or change how it counts time */
    if (!strcmp(name, "wrmsr") || row->attributes & A_CPL0 || !strcmp(name, "retf") || !strcmp(name, "iret"))
        return one_in(&c->r, 4);
    return true;
}

/* Classes have rows in very different numbers, so the class comes first. */
static void add_row(struct composer *c, unsigned cls, u32 flags_read)
{
    struct program_insn insn;
    if (c->p->count == PROGRAM_INSNS)
        return;
    for (unsigned n = 0; n < ROW_TRIES; n++) {
        unsigned number = 1 + random_below(&c->r, isa_row_count - 1);
        const struct isa_row *row = &isa_rows[number];
        bool fits = flags_read ? (row->flags_read & flags_read) && row->cls <= CLS_BRANCH : row->cls == cls;
        if (!fits || !harmless(c, row) || !program_row(&c->r, number, c->mode, &insn))
            continue;
        insn.target = (u8)nearby(c);
        c->p->insn[c->p->count++] = insn;
        return;
    }
}

static void add_pointer(struct composer *c)
{
    static const u8 registers[] = {RBX, RSI, RDI, RBP, RBX, RSI, RDI, RCX};
    u8 bytes[6] = {(u8)(0xb8 + registers[random_below(&c->r, ARRAY_LEN(registers))])}; /* MOV r, imm */
    u64 address = program_address(&c->r, c->mode);
    if (one_in(&c->r, 10))
        bytes[0] = 0xb8 + RSP, address = GUEST_STACK - random_below(&c->r, 300);
    memcpy(bytes + 1, &address, 4);
    add(c, bytes, 1 + wide(c));
}

static void add_call(struct composer *c)
{
    static const u8 call[5] = {0xe8};
    if (c->call_count < CALLS_MAX && add_target(c, call, 1 + wide(c), FIXUP_RELATIVE, 0))
        c->calls[c->call_count++] = (u8)(c->p->count - 1);
}

/* MOV r, label; JMP r or CALL r. Or PUSH label; RET. */
static void add_indirect(struct composer *c)
{
    unsigned target = nearby(c), reg = random_below(&c->r, 8);
    u8 mov[5] = {(u8)(0xb8 + reg)}, branch[2] = {0xff, (u8)((one_in(&c->r, 3) ? 0xd0 : 0xe0) + reg)};
    static const u8 push[5] = {0x68}, ret[1] = {0xc3};
    if (one_in(&c->r, 3)) {
        add_target(c, push, 1 + wide(c), FIXUP_ABSOLUTE, target);
        add(c, ret, 1);
        return;
    }
    if (reg == RSP)
        return;
    add_target(c, mov, 1 + wide(c), FIXUP_ABSOLUTE, target);
    add(c, branch, 2);
}

/* MOV, or an operation, byte [label + n], imm8. */
static void add_code_write(struct composer *c)
{
    static const u8 operations[] = {0x00, 0x08, 0x20, 0x28, 0x30};
    u8 bytes[10] = {0xc6}, modrm = c->mode == CODE_16 ? 6 : c->mode == CODE_32 ? 5 : 4;
    unsigned at = 2;
    if (one_in(&c->r, 2)) {
        bytes[0] = 0x80;
        modrm |= operations[random_below(&c->r, ARRAY_LEN(operations))];
    }
    bytes[1] = modrm;
    if (c->mode == CODE_64)
        bytes[at++] = 0x25; /* no base, no index: an absolute address */
    unsigned field = at;
    at += wide(c);
    bytes[at++] = (u8)(one_in(&c->r, 3) ? 0x90 : random_next(&c->r));
    struct program_insn *i = add_target(c, bytes, at, FIXUP_ABSOLUTE, nearby(c));
    if (i) {
        i->fix_at = (u8)field;
        i->addend = (s8)random_below(&c->r, 6);
    }
}

/* PUSHF; POP; OR or AND TF; PUSH; POPF. */
static void add_single_step(struct composer *c)
{
    static const u8 pushf = 0x9c, pop = 0x58, push = 0x50, popf = 0x9d;
    bool on = one_in(&c->r, 2);
    u32 mask = on ? 0x100 : ~0x100u;
    u8 bytes[5] = {on ? 0x0d : 0x25}; /* OR, AND eAX, imm */
    memcpy(bytes + 1, &mask, 4);
    add(c, &pushf, 1);
    add(c, &pop, 1);
    add(c, bytes, 1 + wide(c));
    add(c, &push, 1);
    add(c, &popf, 1);
}

static void add_items(struct composer *c, unsigned count, unsigned depth);

/* MOV ECX, n; ...; DEC ECX and JNZ, or LOOP. */
static void add_loop(struct composer *c, unsigned depth)
{
    static const u8 dec[2] = {0xff, 0xc9}, jnz[2] = {0x75}, loop[2] = {0xe2};
    u8 mov[5] = {0xb8 + RCX, (u8)(2 + random_below(&c->r, 30))};
    add(c, mov, 1 + wide(c));
    unsigned start = c->p->count;
    add_items(c, 1 + random_below(&c->r, 8), depth + 1);
    struct program_insn *back;
    if (one_in(&c->r, 2)) {
        back = add_target(c, loop, 2, FIXUP_RELATIVE, start);
    } else {
        add(c, dec, 2);
        back = add_target(c, jnz, 2, FIXUP_RELATIVE, start);
    }
    if (back)
        back->fix_size = 1, back->fix_at = 1;
}

static enum item choose_item(struct composer *c)
{
    unsigned sum = 0, n = 0;
    for (unsigned i = 0; i < ITEMS; i++)
        sum += c->style[i];
    unsigned pick = random_below(&c->r, sum);
    while (pick >= c->style[n])
        pick -= c->style[n++];
    return (enum item)n;
}

static void add_items(struct composer *c, unsigned count, unsigned depth)
{
    while (count--) {
        enum item item = choose_item(c);
        switch (item) {
        case ITEM_POINTER: add_pointer(c); break;
        case ITEM_LOOP:
            if (depth < 2)
                add_loop(c, depth);
            break;
        case ITEM_CALL: add_call(c); break;
        case ITEM_JUMP_FAR_AWAY: add_indirect(c); break;
        case ITEM_CODE_WRITE: add_code_write(c); break;
        case ITEM_SINGLE_STEP: add_single_step(c); break;
        case ITEM_FLAGS_READER: add_row(c, 0, FLAGS_ARITH); break;
        default: add_row(c, item, 0); break;
        }
    }
}

static void add_code(struct composer *c)
{
    static const u8 jmp[5] = {0xe9}, ret = 0xc3;
    u8 starts[SUBROUTINES];
    add_items(c, BODY_MIN + random_below(&c->r, BODY_MAX - BODY_MIN), 0);
    add_target(c, jmp, 1 + wide(c), FIXUP_RELATIVE, 0);
    unsigned before = c->call_count;
    for (unsigned n = 0; n < SUBROUTINES; n++) {
        starts[n] = (u8)c->p->count;
        add_items(c, random_below(&c->r, 5), 1);
        add(c, &ret, 1);
    }
    for (unsigned n = 0; n < c->call_count; n++) /* a call within a subroutine goes on to the next, if there is one */
        c->p->insn[c->calls[n]].target = starts[n < before ? random_below(&c->r, SUBROUTINES) : SUBROUTINES - 1];
}

/* ---- How it starts -------------------------------------------------------------------------------- */

static void choose_registers(struct composer *c)
{
    struct program *p = c->p;
    for (unsigned n = 0; n < GPR_COUNT; n++) {
        u64 value = one_in(&c->r, 3) ? program_value(&c->r) : program_address(&c->r, c->mode);
        bool exists = p->mode == GUEST_LONG || (p->mode == GUEST_COMPATIBILITY && n >= R8); /* there, to be kept */
        p->gpr[n] = exists ? value : n < R8 ? (u32)value : 0;
    }
    p->gpr[RCX] = random_below(&c->r, 40); /* else REP takes all the time */
    p->gpr[RSP] = GUEST_STACK - random_below(&c->r, one_in(&c->r, 4) ? 64 : 1024);
    if (!one_in(&c->r, 5))
        p->gpr[RSP] &= ~(u64)15;
    if (one_in(&c->r, 40))
        p->gpr[RSP] = program_address(&c->r, c->mode);
    p->flags = (u32)random_next(&c->r) & FLAGS_ARITH;
}

static struct program_segment odd_segment(struct random *r, bool code, bool narrow)
{
    static const u32 bases[] = {0, 0x10, 0x100, 0x800, 0x1000, 0x7000, 0xfff0, 0xfffff000};
    struct program_segment s = {.base = bases[random_below(r, ARRAY_LEN(bases))], .limit = 0xffffffff};
    if (one_in(r, 6))
        s.base += random_below(r, 16);
    s.attributes = (u16)(SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | (code ? SEG_CODE : 0) | SEG_G);
    if (!narrow)
        s.attributes |= SEG_DB;
    if (code)
        s.base &= ~15u; /* with AFTER_SLOT, slots are where IP is a multiple of 16 */
    else if (one_in(r, 3))
        s.limit = (GUEST_DATA + 0x1000 * random_below(r, 6)) | 0xfff;
    if (!code && one_in(r, 6)) {
        s.attributes |= SEG_EXPAND_DOWN;
        s.limit = 0x8fff;
    }
    return s;
}

static void choose_segments(struct composer *c)
{
    struct program *p = c->p;
    bool real = p->mode == GUEST_REAL || p->mode == GUEST_V86, narrow = c->mode == CODE_16;
    if (!one_in(&c->r, 3))
        return;
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        if (p->mode == GUEST_LONG ? n < SEG_FS : one_in(&c->r, 2))
            continue;
        p->segment[n] = odd_segment(&c->r, n == SEG_CS, n == SEG_CS || real ? narrow : one_in(&c->r, 4));
        if (real)
            p->segment[n].base &= 0xffff0;
        if (n == SEG_CS && p->segment[n].base > p->origin)
            p->segment[n].base = 0x1230;
    }
}

/* One that has the mode; most often the one with all features. */
static unsigned choose_model(struct random *r, enum guest_mode mode)
{
    unsigned n = one_in(r, 3) ? random_below(r, cpu_model_count) : cpu_model_count - 1;
    const struct cpu_model *model = &cpu_models[n];
    bool fits = mode == GUEST_LONG || mode == GUEST_COMPATIBILITY ? model_has(model, FEAT_LM)
                : mode == GUEST_PAGED_PAE                         ? model_has(model, FEAT_PAE)
                                                                  : true;
    return fits ? n : cpu_model_count - 1;
}

static unsigned choose_options(struct random *r)
{
    static const struct {
        u8 option, one_in;
    } odds[] = {{GUEST_USER, 3}, {GUEST_INTERRUPTS, 5}, {GUEST_APIC_TIMER, 10}, {GUEST_WP, 2}, {GUEST_BREAKPOINTS, 30},
                {GUEST_TF, 40}, {GUEST_VME, 3}, {GUEST_NO_FPU, 40}};
    unsigned options = 0;
    for (unsigned n = 0; n < ARRAY_LEN(odds); n++)
        options |= one_in(r, odds[n].one_in) ? odds[n].option : 0;
    return options;
}

static void generate(struct program *p, u64 seed, bool system)
{
    static const u16 limits[] = {64, 256, 1024, 4096};
    static const u8 modes[] = {GUEST_REAL, GUEST_PROTECTED, GUEST_PROTECTED_16, GUEST_PAGED_32, GUEST_PAGED_PAE,
                               GUEST_LONG, GUEST_LONG, GUEST_LONG, GUEST_PAGED_32, GUEST_COMPATIBILITY, GUEST_V86};
    struct composer c = {.p = p, .r = {.state = seed}};
    memset(p, 0, sizeof *p);
    p->mode = modes[random_below(&c.r, ARRAY_LEN(modes))];
    p->options = (u8)choose_options(&c.r);
    p->model = (u8)choose_model(&c.r, (enum guest_mode)p->mode);
    p->after = one_in(&c.r, 4) ? AFTER_BYTE : AFTER_SLOT;
    p->origin = GUEST_CODE + (one_in(&c.r, 3) ? 0xf00 + random_below(&c.r, 0x100) : 16 * random_below(&c.r, 64));
    if (p->after == AFTER_SLOT)
        p->origin &= ~15u;
    p->limit = limits[random_below(&c.r, ARRAY_LEN(limits))];
    p->cut_seed = one_in(&c.r, 2) ? 0 : (u32)random_next(&c.r) | 1;
    p->unit_seed = random_next(&c.r);
    p->data_seed = random_next(&c.r);
    c.mode = program_code_mode(p);
    c.style = styles[system ? STYLES + random_below(&c.r, STYLES_SYSTEM) : random_below(&c.r, STYLES)];
    choose_registers(&c);
    choose_segments(&c);
    add_code(&c);
}

void program_generate(struct program *p, u64 seed) { generate(p, seed, false); }

void program_generate_system(struct program *p, u64 seed)
{
    generate(p, seed, true);
    struct random r = {.state = seed ^ 0x5742a11d};
    p->world_seed = random_next(&r);
    p->world_mask = (u16)((random_next(&r) & random_next(&r)) | 1);
}
