/* Every row that runs natively, against the host processor itself: the very bytes of the guest's instruction, with
 * the same registers and memory, executed by this test without any of the code under test. */
#include "sbe/fpu_harness.h"

enum { CASES = 150, WINDOW = 64, SNIPPET_SLOTS = 64, SNIPPET_BYTES = 32 };

/* What native_run() starts and ends with. */
struct native {
    _Alignas(64) u8 fxsave[512];
    u64 gpr[16];
    u64 flags;
    u64 snippet;
    u64 retired; /* 0: an exception, and `vector` says which */
    u64 vector;
};
_Static_assert(offsetof(struct native, gpr) == 512 && offsetof(struct native, flags) == 640, "native_run");

/* fpu_thunk_fault drops one return address and one register, hence the inner call. R15 and RBX are not the
 * snippet's. */
void native_run(struct native *n);
__asm__(".text\n"
        "native_run:\n"
        "    push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "    mov %rdi, %r15\n"
        "    fxrstor64 (%r15)\n"
        "    push 640(%r15); popfq\n"
        "    mov 512(%r15), %rax; mov 520(%r15), %rcx; mov 528(%r15), %rdx; mov 552(%r15), %rbp\n"
        "    mov 560(%r15), %rsi; mov 568(%r15), %rdi; mov 576(%r15), %r8; mov 584(%r15), %r9\n"
        "    mov 592(%r15), %r10; mov 600(%r15), %r11; mov 608(%r15), %r12; mov 616(%r15), %r13; mov 624(%r15), %r14\n"
        "    movq $0, 656(%r15)\n"
        "    call 1f\n"
        "    pushfq; pop 640(%r15)\n"
        "    mov %rax, 664(%r15)\n"
        "    cmpq $0, 656(%r15)\n"
        "    je 2f\n"
        "    mov %rax, 512(%r15); mov %rcx, 520(%r15); mov %rdx, 528(%r15); mov %rbp, 552(%r15)\n"
        "    mov %rsi, 560(%r15); mov %rdi, 568(%r15); mov %r8, 576(%r15); mov %r9, 584(%r15)\n"
        "    mov %r10, 592(%r15); mov %r11, 600(%r15); mov %r12, 608(%r15); mov %r13, 616(%r15); mov %r14, 624(%r15)\n"
        "2:  fxsave64 (%r15)\n"
        "    fninit\n"
        "    push $0x1f80; ldmxcsr (%rsp); pop %rax\n"
        "    pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
        "    ret\n"
        "1:  push %rbx\n"
        "    call *648(%r15)\n"
        "    movq $1, 656(%r15)\n"
        "    pop %rbx\n"
        "    ret\n");

/* ---- Random operands ------------------------------------------------------------------------------ */

static u64 random_state = 0x9e3779b97f4a7c15ull;

static u64 random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1dull;
}

static unsigned below(unsigned n) { return (unsigned)(random_u64() >> 33) % n; }

/* 8 bytes: random, two floats or one double of an interesting kind. */
static u64 random_operand(void)
{
    static const u64 doubles[] = {0, 1ull << 63, 0x3ff0000000000000, 0x7ff0000000000000, 0xfff0000000000000,
                                  0x7ff8000000000001, 0x7ff0000000000001, 1, 0x000fffffffffffff, 0x7fefffffffffffff,
                                  0x41dfffffffc00000, 0x43e0000000000000, 0xc3e0000000000000, 0x4059000000000000};
    static const u32 floats[] = {0, 1u << 31, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 1, 0x7fffff,
                                 0x7f7fffff, 0x4f000000, 0x5f000000, 0xc0490fdb, 0x42c80000};
    switch (below(5)) {
    case 0: return random_u64();
    case 1: return doubles[below(ARRAY_LEN(doubles))];
    case 2: return (u64)floats[below(ARRAY_LEN(floats))] << 32 | floats[below(ARRAY_LEN(floats))];
    case 3: return (random_u64() & 0x800fffffffffffff) | (u64)(1000 + below(46)) << 52;
    default: return (u64)(0x30000000 + below(0x20000000)) << 32 | (0x30000000 + below(0x20000000));
    }
}

static void random_extended(u8 *st)
{
    static const u16 exponents[] = {0, 0x8000, 0x3fff, 0xbfff, 0x7fff, 0xffff, 1, 0x7ffe, 0x403e};
    static const u64 significands[] = {0, 1, 1ull << 63, 3ull << 62, ~0ull, 1ull << 62};
    u16 exponent = below(2) ? exponents[below(ARRAY_LEN(exponents))] : (u16)(0x3fc0 + below(0x80));
    u64 significand = below(2) ? significands[below(ARRAY_LEN(significands))] : random_u64() | 1ull << 63;
    memcpy(st, &significand, 8);
    memcpy(st + 8, &exponent, 2);
    memset(st + 10, 0, 6);
}

static void random_fpu(u8 *image)
{
    memset(image, 0, FXSAVE_BYTES);
    bool unmasked = below(4) == 0;
    u16 fcw = (u16)(0x40 | (unmasked ? below(0x40) : 0x3f) | below(4) << 8 | below(4) << 10);
    u16 fsw = (u16)(below(8) << FSW_TOP_SHIFT | below(16) % 8 << 8 | (below(4) ? 0 : below(0x40)));
    if (fsw & ~fcw & 0x3f)
        fsw |= 0x8080;
    image_set_16(image, FXSAVE_FCW, fcw);
    image_set_16(image, FXSAVE_FSW, fsw);
    image[FXSAVE_FTW] = below(3) ? 0xff : (u8)below(0x100);
    u32 masks = below(4) ? 0x1f80 : below(0x40) << 7;
    image_set_32(image, FXSAVE_MXCSR, masks | below(4) << 13 | (below(3) ? 0 : 0x8000) | (below(3) ? 0 : 0x40));
    image_set_32(image, FXSAVE_MXCSR_MASK, MXCSR_MODEL_MASK);
    for (unsigned n = 0; n < 8; n++)
        random_extended(image + FXSAVE_ST + 16 * n);
    for (unsigned n = 0; n < 32; n++)
        image_set_64(image, FXSAVE_XMM + 8 * n, random_operand());
}

/* ---- Instructions of a row ------------------------------------------------------------------------ */

static bool is_gpr(u8 operand, bool rm)
{
    u8 kind = isa_operands[operand].kind;
    return rm ? kind == OPK_GRM || kind == OPK_GREGONLY : kind == OPK_GREG;
}

static bool row_names_gpr(const struct isa_row *row, bool rm)
{
    return is_gpr(row->operands[0], rm) || is_gpr(row->operands[1], rm);
}

static bool allows_memory(const struct isa_row *row)
{
    u16 m = row->modrm;
    return m == RM_ANY || m == RM_M || (m & ~7u) == RM_DIGIT(0) || (m & ~7u) == RM_DIGIT_M(0);
}

static bool allows_register(const struct isa_row *row)
{
    u16 m = row->modrm;
    return m == RM_ANY || m == RM_R || (m & ~7u) == RM_DIGIT(0) || (m & ~7u) == RM_DIGIT_R(0) || m >= RM_X(0);
}

/* RSP, RBX and R15 belong to the test's own machinery, RDI holds the address. */
static unsigned random_gpr(void)
{
    static const u8 usable[] = {RAX, RCX, RDX, RBP, RSI, R8, R9, R10, R11, R12, R13, R14};
    return usable[below(ARRAY_LEN(usable))];
}

/* ModRM, for registers with REX bits, or memory at [rdi + disp8]. Returns the bytes after the opcode. */
static unsigned encode_modrm(const struct isa_row *row, bool memory, u8 *rex, u8 *to)
{
    unsigned reg = row_names_gpr(row, false) ? random_gpr() : below(16), rm = below(16);
    if ((row->modrm & 0x300) == 0x200) {
        to[0] = (u8)row->modrm;
        return 1;
    }
    if ((row->modrm & 0x1f0) >= 0x110)
        reg = row->modrm & 7;
    if (row_names_gpr(row, true))
        rm = random_gpr();
    *rex |= (u8)((reg & 8) >> 1 | (memory ? 0 : rm >> 3));
    to[0] = (u8)(memory ? 0x40 | (reg & 7) << 3 | RDI : 0xc0 | (reg & 7) << 3 | (rm & 7));
    to[1] = 0x10;
    return memory ? 2 : 1;
}

static unsigned encode(const struct isa_row *row, bool memory, u8 *to)
{
    u8 *start = to, tail[4], rex = 0x40;
    unsigned tail_bytes = row->modrm == RM_NONE ? 0 : encode_modrm(row, memory, &rex, tail);
    bool wide = row->operands[0] == OPD_Ey || row->operands[0] == OPD_Gy || row->operands[1] == OPD_Ey;
    if (wide && below(2))
        rex |= 8;
    if (row->prefix == PX_66)
        *to++ = 0x66;
    else if (row->prefix == PX_F3)
        *to++ = 0xf3;
    else if (row->prefix == PX_F2)
        *to++ = 0xf2;
    if (row->map != MAP_1B && (rex != 0x40 || below(2)))
        *to++ = rex;
    if (row->map != MAP_1B)
        *to++ = 0x0f;
    if (row->map == MAP_0F38 || row->map == MAP_0F3A)
        *to++ = row->map == MAP_0F38 ? 0x38 : 0x3a;
    *to++ = (u8)row->opcode;
    memcpy(to, tail, tail_bytes);
    to += tail_bytes;
    for (unsigned n = 0; n < ISA_OPERANDS; n++)
        if (row->operands[n] == OPD_Ib)
            *to++ = (u8)below(256);
    return (unsigned)(to - start);
}

/* ---- Comparison ----------------------------------------------------------------------------------- */

struct rig {
    struct harness h;
    struct host_exec snippets;
    unsigned next_snippet;
    unsigned exceptions[32]; /* raised so far, by vector */
};

/* Snippets take turns in a few places. CPUID serializes: code written through another address is then seen. */
static u64 place_snippet(struct rig *r, const u8 *bytes, unsigned count)
{
    unsigned at = r->next_snippet++ % SNIPPET_SLOTS * SNIPPET_BYTES;
    memcpy(r->snippets.rw + at, bytes, count);
    r->snippets.rw[at + count] = 0xc3;
    u32 a = 0, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
    return (u64)(r->snippets.rx + at);
}

static void sanitize(u8 *image)
{
    image_set_16(image, FXSAVE_FOP, 0);
    image_set_64(image, FXSAVE_FIP, 0);
    image_set_64(image, FXSAVE_FDP, 0);
    image_set_32(image, FXSAVE_MXCSR_MASK, MXCSR_MODEL_MASK);
}

static u64 random_address(const struct isa_row *row)
{
    u64 at = HARNESS_DATA + PAGE_SIZE - (below(3) ? 256 : 8);
    return row->attributes & A_ALIGN ? at & ~15ull : at - below(16);
}

static void shake_memory(struct harness *h, u64 at)
{
    if (below(4) == 0)
        tlb_flush(h->v);
    if (below(4) == 0)
        phys_watch_code(h->vm, gpa(at & ~63ull), 16); /* stores then go through a bounce */
}

static void compare_case(struct rig *r, const struct isa_row *row, bool memory)
{
    struct vcpu *v = r->h.v;
    struct native n = {.flags = FLAG_FIXED | (random_u64() & FLAGS_ARITH)};
    u8 bytes[16] = {0}, before[WINDOW], after[WINDOW];
    unsigned count = encode(row, memory, bytes);
    u64 at = random_address(row);
    u8 *ram = harness_ram(&r->h, at);
    for (unsigned k = 0; k < WINDOW; k += 8)
        image_set_64(before, k, random_operand());
    memcpy(ram, before, WINDOW);
    random_fpu(n.fxsave);
    for (unsigned k = 0; k < 16; k++)
        n.gpr[k] = below(2) ? random_u64() : below(20);
    memcpy(v->cpu.gpr, n.gpr, sizeof n.gpr);
    n.gpr[RDI] = (u64)ram - 0x10;
    v->cpu.gpr[RDI] = at - 0x10;
    v->cpu.aflags = n.flags & FLAGS_ARITH;
    memcpy(v->cpu.fpu.fxsave, n.fxsave, FXSAVE_BYTES);
    v->thunks->is_volatile = below(2);
    shake_memory(&r->h, at);

    enum exec result = harness_run(&r->h, bytes, count);
    harness_park(&r->h);
    memcpy(after, ram, WINDOW);
    memcpy(ram, before, WINDOW);
    n.snippet = place_snippet(r, bytes, count);
    native_run(&n);
    sanitize(n.fxsave);
    n.gpr[RDI] = at - 0x10;

    if (result == EXEC_FAULT ? n.retired || v->fault.vector != n.vector : !n.retired)
        fail_msg("%s (%02x %02x %02x %02x %02x): result %d, vector %u; host: retired %d, vector %u", row->mnemonic,
                 bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], result, v->fault.vector, (int)n.retired,
                 (unsigned)n.vector);
    if (memcmp(v->cpu.fpu.fxsave, n.fxsave, FXSAVE_BYTES) || memcmp(after, ram, WINDOW))
        fail_msg("%s (%02x %02x %02x %02x %02x): registers or memory differ", row->mnemonic, bytes[0], bytes[1],
                 bytes[2], bytes[3], bytes[4]);
    if (result == EXEC_FAULT) {
        r->exceptions[n.vector]++;
        return;
    }
    assert_memory_equal(v->cpu.gpr, n.gpr, sizeof n.gpr);
    assert_int_equal(v->cpu.aflags, n.flags & FLAGS_ARITH);
}

static bool compared(const struct isa_row *row)
{
    /* LDMXCSR's reserved bits are the model's, not the host's. */
    return (row->attributes & A_NATIVE) && row->modes && strcmp(row->mnemonic, "ldmxcsr") != 0;
}

static void rows_agree_with_the_host(void **state)
{
    (void)state;
    struct rig r = {.h = harness_create()};
    assert_int_equal(host_exec_alloc(SNIPPET_SLOTS * SNIPPET_BYTES, &r.snippets), STATUS_OK);
    unsigned rows = 0;
    for (unsigned n = 1; n < isa_row_count; n++) {
        const struct isa_row *row = &isa_rows[n];
        if (!compared(row))
            continue;
        rows++;
        for (unsigned k = 0; k < CASES; k++) {
            if (row->modrm == RM_NONE || allows_register(row))
                compare_case(&r, row, false);
            if (allows_memory(row))
                compare_case(&r, row, true);
        }
    }
    assert_in_range(rows, 480, 600); /* that many rows are native */
    assert_in_range(r.exceptions[VEC_MF], 100, UINT32_MAX);
    assert_in_range(r.exceptions[VEC_XM], 100, UINT32_MAX);
    host_exec_free(&r.snippets);
    harness_destroy(&r.h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_agree_with_the_host)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
