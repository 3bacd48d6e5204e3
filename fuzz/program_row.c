/* Programs of one row: instances of it with random operands, each after what it needs to work at all, and pointers in between. */
#include "core/cpuid.h"
#include "fuzz/program.h"
#include "sbe/decode.h"

#include <string.h>

enum { INSTANCES = 14, CANDIDATES = 400, SELECTOR_TSS = 0x60, SELECTOR_LDT = 0x70 };

struct builder {
    struct program *p;
    struct random r;
    enum code_mode mode;
};

static struct program_insn *put(struct builder *b, const u8 *bytes, unsigned length)
{
    struct program_insn *i = &b->p->insn[b->p->count];
    if (b->p->count == PROGRAM_INSNS)
        return NULL;
    memset(i, 0, sizeof *i);
    memcpy(i->bytes, bytes, length);
    i->length = (u8)length;
    b->p->count++;
    return i;
}

#define PUT(b, ...) put(b, (const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}))

/* MOV r32, value; in 16-bit code with an operand size prefix. */
static void put_move(struct builder *b, unsigned reg, u32 value)
{
    u8 bytes[6] = {0x66, (u8)(0xb8 + reg)};
    memcpy(bytes + 2, &value, 4);
    unsigned skip = b->mode != CODE_16;
    put(b, bytes + skip, 6 - skip);
}

/* WRMSR of a value whose upper half is 0. */
static void put_msr(struct builder *b, u32 msr, u32 value)
{
    put_move(b, RCX, msr);
    put_move(b, RDX, 0);
    put_move(b, RAX, value);
    PUT(b, 0x0f, 0x30);
}

/* MOV rDX, the address of what comes two instructions later. */
static void put_address_behind(struct builder *b)
{
    u8 bytes[5] = {0xb8 + RDX};
    struct program_insn *i = put(b, bytes, b->mode == CODE_16 ? 3 : 5);
    if (!i)
        return;
    i->fixup = FIXUP_ABSOLUTE;
    i->fix_at = 1;
    i->fix_size = (u8)(i->length - 1);
    i->target = (u8)(b->p->count + 1);
}

static void before_ltr(struct builder *b) { put_move(b, RAX, SELECTOR_TSS); }
static void before_lldt(struct builder *b) { put_move(b, RAX, SELECTOR_LDT); }

static void before_xsetbv(struct builder *b)
{
    put_move(b, RCX, 0);
    put_move(b, RDX, 0);
    put_move(b, RAX, one_in(&b->r, 2) ? 1 : 3);
}

static void before_monitor(struct builder *b)
{
    put_move(b, RAX, GUEST_DATA);
    put_move(b, RCX, 0);
    put_move(b, RDX, 0);
}

/* CS and SS of SYSEXIT follow those of SYSENTER in the GDT, as guest_image.c has them. */
static void before_sysenter(struct builder *b)
{
    put_msr(b, 0x174, 8);
    put_msr(b, 0x175, GUEST_STACK - 0x100);
    put_move(b, RCX, 0x176);
    put_address_behind(b);
    struct program_insn *target = &b->p->insn[b->p->count - 1];
    target->target = (u8)(target->target + 2);
    PUT(b, 0x89, 0xd0); /* mov eax, edx */
    put_move(b, RDX, 0);
    PUT(b, 0x0f, 0x30);
}

static void before_sysexit(struct builder *b)
{
    put_msr(b, 0x174, 8);
    put_move(b, RCX, GUEST_STACK - 0x100);
    put_address_behind(b);
}

/* MOV rAX, CR4; OR EAX, FSGSBASE; MOV CR4, rAX. */
static void before_fsgsbase(struct builder *b)
{
    PUT(b, 0x0f, 0x20, 0xe0);
    PUT(b, 0x0d, 0, 0, 1, 0);
    PUT(b, 0x0f, 0x22, 0xe0);
}

/* What is there is written back: CR0, CR3 or CR4. */
static void before_mov_cr(struct builder *b)
{
    static const u8 registers[] = {0xc0, 0xd8, 0xe0};
    u8 modrm = registers[random_below(&b->r, ARRAY_LEN(registers))];
    PUT(b, 0x0f, 0x20, modrm);
    PUT(b, 0x0f, 0x22, modrm);
}

static const struct {
    const char *mnemonic;
    void (*before)(struct builder *b);
    u8 own[8]; /* bytes of an instance that works after it; own_length 0: as they come */
    u8 own_length;
} preludes[] = {
    {"ltr", before_ltr, {0x0f, 0x00, 0xd8}, 3},
    {"lldt", before_lldt, {0x0f, 0x00, 0xd0}, 3},
    {"xsetbv", before_xsetbv, {0x0f, 0x01, 0xd1}, 3},
    {"monitor", before_monitor, {0x0f, 0x01, 0xc8}, 3},
    {"sysenter", before_sysenter, {0x0f, 0x34}, 2},
    {"sysexit", before_sysexit, {0x0f, 0x35}, 2},
    {"rdfsbase", before_fsgsbase, {0}, 0},
    {"rdgsbase", before_fsgsbase, {0}, 0},
    {"wrfsbase", before_fsgsbase, {0}, 0},
    {"wrgsbase", before_fsgsbase, {0}, 0},
    {"mov", before_mov_cr, {0}, 0},
};

static void put_prelude(struct builder *b, const struct isa_row *row)
{
    for (unsigned n = 0; n < ARRAY_LEN(preludes); n++) {
        bool control = row->operands[0] == OPD_Cn; /* of the many MOVs, the one to control registers */
        if (strcmp(row->mnemonic, preludes[n].mnemonic) || (!strcmp(row->mnemonic, "mov") && !control))
            continue;
        preludes[n].before(b);
        if (preludes[n].own_length)
            put(b, preludes[n].own, preludes[n].own_length);
    }
}

/* MOV r, pointer; aligned most of the time, for those that insist. */
static void put_pointer(struct builder *b)
{
    static const u8 registers[] = {RBX, RSI, RDI, RBP};
    u64 address = program_address(&b->r, b->mode);
    if (!one_in(&b->r, 3))
        address = GUEST_DATA + 16 * (address % 512);
    put_move(b, registers[random_below(&b->r, ARRAY_LEN(registers))], (u32)address);
}

static bool suits(const struct program *p, const struct isa_row *row, bool any)
{
    enum code_mode mode = program_code_mode(p);
    bool privileged = (row->attributes & A_CPL0) || row->cls == CLS_CALLOUT;
    bool real = p->mode == GUEST_REAL || p->mode == GUEST_V86;
    if (!(row->modes & 1u << mode) || ((row->attributes & A_PROT) && real))
        return false;
    if (any)
        return true;
    bool user = (p->options & GUEST_USER) || p->mode == GUEST_V86;
    bool units = (p->options & (GUEST_NO_FPU | GUEST_TF | GUEST_BREAKPOINTS)) == 0;
    return !(privileged && user) && units && model_has(&cpu_models[p->model], (enum feature)row->feature);
}

/* Circumstances are those of some program in which the row may work; one in eight is in any. */
static void choose_circumstances(struct builder *b, const struct isa_row *row, u64 seed)
{
    bool any = one_in(&b->r, 8);
    for (unsigned n = 0; n < CANDIDATES; n++) {
        program_generate(b->p, seed + n * 0x9e3779b97f4a7c15ull);
        if (suits(b->p, row, any))
            break;
    }
    b->mode = program_code_mode(b->p);
    if (!any && (row->attributes & A_SSE))
        b->p->options |= GUEST_WP; /* OSXSAVE as well */
    b->p->after = AFTER_SLOT;
    b->p->origin &= ~15u;
    b->p->count = 0;
}

void program_generate_row(struct program *p, u64 seed, unsigned number)
{
    const struct isa_row *row = &isa_rows[number];
    struct builder b = {.p = p, .r = {.state = seed ^ 0x70077007}};
    choose_circumstances(&b, row, seed);
    if (!strncmp(row->mnemonic, "xs", 2) || !strncmp(row->mnemonic, "xr", 2) || !strncmp(row->mnemonic, "xg", 2))
        p->options |= GUEST_WP;
    for (unsigned n = 0; n < INSTANCES; n++) {
        struct program_insn insn;
        if (one_in(&b.r, 2))
            put_pointer(&b);
        put_prelude(&b, row);
        if (p->count == PROGRAM_INSNS || !program_row(&b.r, number, b.mode, &insn))
            break;
        insn.target = (u8)(p->count + 1 + random_below(&b.r, 3));
        p->insn[p->count++] = insn;
    }
    p->limit = 512;
}
