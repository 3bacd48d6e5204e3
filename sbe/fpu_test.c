/* What native execution must add to the processor's own doing: exceptions, state images, pointers, faults of
 * operands. */
#include "sbe/fpu_harness.h"

/* Every test runs with the guest's registers live between instructions, and parked after each. */
struct variant {
    bool is_volatile;
};
static struct variant live = {false}, parked = {true};

static struct harness create(void **state)
{
    struct harness h = harness_create();
    h.v->thunks->is_volatile = ((const struct variant *)*state)->is_volatile;
    RUN(&h, 0xdb, 0xe3); /* FNINIT */
    return h;
}

static void put(struct harness *h, u64 at, const void *bytes, unsigned count)
{
    memcpy(harness_ram(h, at), bytes, count);
}

static u64 get_u64(struct harness *h, u64 at) { return image_get_64(harness_ram(h, at), 0); }
static u32 get_u32(struct harness *h, u64 at) { return image_get_32(harness_ram(h, at), 0); }
static u16 get_u16(struct harness *h, u64 at) { return image_get_16(harness_ram(h, at), 0); }

static const u8 *image(struct harness *h)
{
    harness_park(h);
    return h->v->cpu.fpu.fxsave;
}

static void load_mxcsr(struct harness *h, u32 mxcsr)
{
    put(h, HARNESS_DATA + 0x800, &mxcsr, sizeof mxcsr);
    h->v->cpu.gpr[RSI] = HARNESS_DATA + 0x800;
    assert_int_equal(RUN(h, 0x0f, 0xae, 0x16), EXEC_NEXT); /* LDMXCSR [rsi] */
}

static void load_fcw(struct harness *h, u16 fcw)
{
    put(h, HARNESS_DATA + 0x800, &fcw, sizeof fcw);
    h->v->cpu.gpr[RSI] = HARNESS_DATA + 0x800;
    assert_int_equal(RUN(h, 0xd9, 0x2e), EXEC_NEXT); /* FLDCW [rsi] */
}

static u16 status_word(struct harness *h)
{
    assert_int_equal(RUN(h, 0xdf, 0xe0), EXEC_NEXT); /* FNSTSW AX */
    return (u16)h->v->cpu.gpr[RAX];
}

static void assert_fault(struct harness *h, enum exec result, enum vector vector)
{
    assert_int_equal(result, EXEC_FAULT);
    assert_int_equal(h->v->fault.vector, vector);
}

/* ---- State in and out ----------------------------------------------------------------------------- */

static void reset_gives_table_9_1(void **state)
{
    (void)state;
    struct cpu *c = aligned_alloc(64, (sizeof *c + 63) & ~(size_t)63);
    memset(c, 0xa5, sizeof *c);
    fpu_reset(c);
    assert_int_equal(image_get_16(c->fpu.fxsave, FXSAVE_FCW), 0x40);
    assert_int_equal(image_get_16(c->fpu.fxsave, FXSAVE_FSW), 0);
    assert_int_equal(c->fpu.fxsave[FXSAVE_FTW], 0xff);
    assert_int_equal(image_get_32(c->fpu.fxsave, FXSAVE_MXCSR), 0x1f80);
    assert_int_equal(c->fpu.fip | c->fpu.fdp | c->fpu.fop, 0);
    free(c);
}

static void registers_survive_parking(void **state)
{
    struct harness h = create(state);
    u64 value = 0x0123456789abcdef;
    put(&h, HARNESS_DATA, &value, 8);
    h.v->cpu.gpr[RDI] = HARNESS_DATA;
    RUN(&h, 0xf3, 0x44, 0x0f, 0x7e, 0x3f); /* MOVQ xmm15, [rdi] */
    RUN(&h, 0xd9, 0xe8);                   /* FLD1 */
    load_mxcsr(&h, 0x9fc0);
    assert_int_equal(h.v->fpu_live, !h.v->thunks->is_volatile);
    harness_park(&h);
    assert_false(h.v->fpu_live);
    /* The host has its defaults back, and may now do as it likes. */
    u32 host_mxcsr;
    u16 host_fcw;
    __asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(host_mxcsr), "=m"(host_fcw));
    assert_int_equal(host_mxcsr & ~0x3fu, 0x1f80);
    assert_int_equal(host_fcw, 0x37f);
    __asm__ volatile("fldz; fstp %%st; pcmpeqd %%xmm15, %%xmm15" : : : "xmm15", "st");
    RUN(&h, 0x66, 0x44, 0x0f, 0xd6, 0x7f, 0x08);  /* MOVQ [rdi + 8], xmm15 */
    RUN(&h, 0xdd, 0x5f, 0x10);                    /* FSTP qword [rdi + 16] */
    RUN(&h, 0x0f, 0xae, 0x5f, 0x18);              /* STMXCSR [rdi + 24] */
    assert_int_equal(get_u64(&h, HARNESS_DATA + 8), value);
    assert_int_equal(get_u64(&h, HARNESS_DATA + 16), 0x3ff0000000000000);
    assert_int_equal(get_u32(&h, HARNESS_DATA + 24), 0x9fc0);
    harness_destroy(&h);
}

static void images_hold_no_host_addresses(void **state)
{
    struct harness h = create(state);
    h.v->cpu.gpr[RDI] = HARNESS_DATA;
    load_fcw(&h, 0x37b);          /* unmask #Z: AMD processors keep the pointers only then */
    RUN(&h, 0xd9, 0xe8);          /* FLD1 */
    RUN(&h, 0xd8, 0x37);          /* FDIV dword [rdi], zero */
    const u8 *parked_image = image(&h);
    assert_int_equal(image_get_16(parked_image, FXSAVE_FOP), 0);
    assert_int_equal(image_get_64(parked_image, FXSAVE_FIP) | image_get_64(parked_image, FXSAVE_FDP), 0);
    assert_int_equal(image_get_32(parked_image, FXSAVE_MXCSR_MASK), 0xffff);
    assert_int_equal(h.v->cpu.fpu.fip, HARNESS_CODE);
    assert_int_equal(h.v->cpu.fpu.fdp, HARNESS_DATA);
    assert_int_equal(h.v->cpu.fpu.fop, 0x037);
    harness_destroy(&h);
}

/* ---- Exceptions ----------------------------------------------------------------------------------- */

static void simd_exception_becomes_xm_or_ud(void **state)
{
    struct harness h = create(state);
    double one = 1.0;
    put(&h, HARNESS_DATA, &one, 8);
    h.v->cpu.gpr[RDI] = HARNESS_DATA;
    RUN(&h, 0xf2, 0x0f, 0x10, 0x07);      /* MOVSD xmm0, [rdi] */
    RUN(&h, 0x0f, 0x57, 0xc9);            /* XORPS xmm1, xmm1 */
    load_mxcsr(&h, 0x1f80 & ~0x200u);     /* unmask #Z */
    assert_fault(&h, RUN(&h, 0xf2, 0x0f, 0x5e, 0xc1), VEC_XM); /* DIVSD xmm0, xmm1 */
    assert_int_equal(image_get_32(image(&h), FXSAVE_MXCSR), (0x1f80 & ~0x200u) | 4);
    assert_int_equal(image_get_64(image(&h), FXSAVE_XMM), 0x3ff0000000000000);
    h.v->cpu.cr4 &= ~(u64)CR4_OSXMMEXCPT;
    assert_fault(&h, RUN(&h, 0xf2, 0x0f, 0x5e, 0xc1), VEC_UD);
    load_mxcsr(&h, 0x1f80);
    assert_int_equal(RUN(&h, 0xf2, 0x0f, 0x5e, 0xc1), EXEC_NEXT);
    assert_int_equal(image_get_64(image(&h), FXSAVE_XMM), 0x7ff0000000000000);
    harness_destroy(&h);
}

static void simd_exception_leaves_general_registers(void **state)
{
    struct harness h = create(state);
    RUN(&h, 0x66, 0x0f, 0x76, 0xc0); /* PCMPEQD xmm0, xmm0: NaN */
    load_mxcsr(&h, 0x1f80 & ~0x80u); /* unmask #I */
    h.v->cpu.gpr[RCX] = 0x1111222233334444;
    h.v->cpu.aflags = FLAG_CF;
    assert_fault(&h, RUN(&h, 0xf2, 0x0f, 0x2d, 0xc8), VEC_XM); /* CVTSD2SI ecx, xmm0 */
    assert_fault(&h, RUN(&h, 0x66, 0x0f, 0x2f, 0xc0), VEC_XM); /* COMISD xmm0, xmm0 */
    assert_int_equal(h.v->cpu.gpr[RCX], 0x1111222233334444);
    assert_int_equal(h.v->cpu.aflags, FLAG_CF);
    harness_destroy(&h);
}

static void x87_exception_waits_for_the_next_instruction(void **state)
{
    struct harness h = create(state);
    load_fcw(&h, 0x37b);
    RUN(&h, 0xd9, 0xe8);                                 /* FLD1 */
    RUN(&h, 0xd9, 0xee);                                 /* FLDZ */
    assert_int_equal(RUN(&h, 0xd8, 0xf9), EXEC_NEXT);    /* FDIVR st0, st1: 1 / 0 */
    h.v->cpu.rip += 2;
    assert_int_equal(status_word(&h) & 0x80ff, 0x8084);  /* ES, B, ZE */
    assert_fault(&h, RUN(&h, 0x9b), VEC_MF);             /* FWAIT */
    assert_fault(&h, RUN(&h, 0xd9, 0xc0), VEC_MF);       /* FLD st0 */
    assert_fault(&h, RUN(&h, 0x0f, 0xfc, 0xc0), VEC_MF); /* PADDB mm0, mm0 */
    assert_int_equal(h.v->cpu.fpu.fip, HARNESS_CODE);    /* of FDIVR still */
    h.v->cpu.cr0 &= ~(u64)CR0_NE;
    u64 before = h.v->cpu.icount;
    h.v->stop_at = 1000;
    assert_int_equal(RUN(&h, 0x9b), EXEC_REPEAT); /* FERR#: waits for IRQ 13 */
    assert_int_equal(h.v->cpu.icount, before + 1);
    assert_int_equal(h.v->stop_at, 0);
    assert_int_equal(h.vm->chipset.pic.chip[1].lines, 1 << 5); /* IRQ 13 */
    RUN(&h, 0xdb, 0xe2); /* FNCLEX */
    assert_int_equal(RUN(&h, 0x9b), EXEC_NEXT);
    harness_destroy(&h);
}

static void pending_exception_precedes_operand_fault(void **state)
{
    struct harness h = create(state);
    harness_set_mode(&h, CODE_32);
    load_fcw(&h, 0x37b);
    RUN(&h, 0xd9, 0xe8);
    RUN(&h, 0xd9, 0xee);
    RUN(&h, 0xd8, 0xf9); /* 1 / 0 */
    h.v->seg_flat[SEG_DS] = 0;
    h.v->cpu.seg[SEG_DS].limit = 0xfff;
    h.v->cpu.gpr[RDI] = 0x2000;
    assert_fault(&h, RUN(&h, 0xd9, 0x07), VEC_MF); /* FLD dword [edi] */
    assert_fault(&h, RUN(&h, 0xd9, 0x1f), VEC_MF); /* FSTP dword [edi] */
    assert_fault(&h, RUN(&h, 0xdd, 0x3f), VEC_GP); /* FNSTSW [edi] does not wait */
    assert_fault(&h, RUN(&h, 0xd9, 0x27), VEC_MF); /* FLDENV [edi] */
    assert_fault(&h, RUN(&h, 0xdd, 0x27), VEC_MF); /* FRSTOR [edi] */
    assert_fault(&h, RUN(&h, 0x0f, 0x60, 0x07), VEC_MF); /* PUNPCKLBW mm0, [edi] */
    assert_fault(&h, RUN(&h, 0x0f, 0x7f, 0x07), VEC_MF); /* MOVQ [edi], mm0 */
    assert_fault(&h, RUN(&h, 0x0f, 0xf7, 0xc7), VEC_MF); /* MASKMOVQ mm0, mm7 (1.0: its last byte is stored) */
    assert_fault(&h, RUN(&h, 0x0f, 0x28, 0x07), VEC_GP); /* MOVAPS xmm0, [edi] has nothing to do with the x87 */
    assert_fault(&h, RUN(&h, 0x66, 0x0f, 0x2a, 0x07), VEC_GP); /* CVTPI2PD xmm0, [edi] neither */
    harness_destroy(&h);
}

/* SDM vol. 3, table 9-3, and 13.1.4 for CR4.OSFXSR. */
static void control_bits_forbid_units(void **state)
{
    struct harness h = create(state);
    h.v->cpu.cr0 |= CR0_TS;
    assert_int_equal(RUN(&h, 0x9b), EXEC_NEXT);          /* FWAIT */
    assert_fault(&h, RUN(&h, 0xd9, 0xe8), VEC_NM);       /* FLD1 */
    assert_fault(&h, RUN(&h, 0x0f, 0xfc, 0xc0), VEC_NM); /* PADDB mm0, mm0 */
    assert_fault(&h, RUN(&h, 0x0f, 0x58, 0xc0), VEC_NM); /* ADDPS xmm0, xmm0 */
    h.v->cpu.cr0 |= CR0_MP;
    assert_fault(&h, RUN(&h, 0x9b), VEC_NM);
    h.v->cpu.cr0 = (h.v->cpu.cr0 | CR0_EM) & ~(u64)CR0_TS;
    assert_int_equal(RUN(&h, 0x9b), EXEC_NEXT);
    assert_fault(&h, RUN(&h, 0xd9, 0xe8), VEC_NM);
    assert_fault(&h, RUN(&h, 0x0f, 0xfc, 0xc0), VEC_UD);
    assert_fault(&h, RUN(&h, 0x0f, 0x58, 0xc0), VEC_UD);
    h.v->cpu.cr0 &= ~(u64)CR0_EM;
    h.v->cpu.cr4 &= ~(u64)CR4_OSFXSR;
    assert_int_equal(RUN(&h, 0x0f, 0xfc, 0xc0), EXEC_NEXT);
    assert_fault(&h, RUN(&h, 0x0f, 0x58, 0xc0), VEC_UD);
    harness_destroy(&h);
}

/* ---- Operands ------------------------------------------------------------------------------------- */

/* Only the first 4 MiB are mapped: one PSE entry. */
static void page_identity(struct harness *h)
{
    u32 entry = 0x87;
    put(h, 0x2000, &entry, sizeof entry);
    harness_set_mode(h, CODE_32);
    h->v->cpu.cr3 = 0x2000;
    h->v->cpu.cr4 |= CR4_PSE;
    h->v->cpu.cr0 |= CR0_PG;
    tlb_flush(h->v);
}

static void faulting_store_does_not_pop(void **state)
{
    struct harness h = create(state);
    page_identity(&h);
    RUN(&h, 0xd9, 0xe8); /* FLD1 */
    h.v->cpu.gpr[RDI] = 0x3ffffc;
    u16 before = status_word(&h);
    assert_fault(&h, RUN(&h, 0xdb, 0x3f), VEC_PF); /* FSTP m80 across the end of the mapping */
    assert_int_equal(h.v->fault.cr2, 0x400000);
    assert_int_equal(status_word(&h), before);
    h.v->cpu.gpr[RDI] = HARNESS_DATA;
    assert_int_equal(RUN(&h, 0xdb, 0x3f), EXEC_NEXT);
    assert_int_equal(get_u64(&h, HARNESS_DATA), 1ull << 63);
    assert_int_equal(get_u16(&h, HARNESS_DATA + 8), 0x3fff);
    assert_int_equal(status_word(&h) & 0x3800, 0);
    harness_destroy(&h);
}

static void aligned_forms_want_alignment(void **state)
{
    struct harness h = create(state);
    h.v->cpu.gpr[RDI] = HARNESS_DATA + PAGE_SIZE - 8;
    assert_fault(&h, RUN(&h, 0x0f, 0x28, 0x07), VEC_GP); /* MOVAPS xmm0, [rdi] */
    assert_fault(&h, RUN(&h, 0x0f, 0x29, 0x07), VEC_GP);
    assert_fault(&h, RUN(&h, 0x0f, 0x58, 0x07), VEC_GP); /* ADDPS */
    assert_int_equal(h.v->fault.error, 0);
    assert_int_equal(RUN(&h, 0x66, 0x0f, 0x76, 0xc0), EXEC_NEXT); /* PCMPEQD xmm0, xmm0 */
    assert_int_equal(RUN(&h, 0x0f, 0x11, 0x07), EXEC_NEXT);       /* MOVUPS [rdi], xmm0 */
    assert_int_equal(get_u64(&h, HARNESS_DATA + PAGE_SIZE), ~0ull);
    assert_int_equal(RUN(&h, 0xf3, 0x0f, 0x58, 0x07), EXEC_NEXT); /* ADDSS takes any address */
    harness_destroy(&h);
}

static void stores_do_not_read_devices(void **state)
{
    struct harness h = create(state);
    h.v->cpu.gpr[RDI] = 0xd0000000;
    assert_int_equal(RUN(&h, 0x0f, 0x11, 0x07), EXEC_NEXT); /* MOVUPS [rdi], xmm0 */
    assert_int_equal(h.vm->stats.mmio_reads, 0);
    assert_int_equal(h.vm->stats.mmio_writes, 2);
    RUN(&h, 0xd9, 0xe8);
    assert_int_equal(RUN(&h, 0xdd, 0x1f), EXEC_NEXT); /* FSTP qword [rdi] */
    assert_int_equal(h.vm->stats.mmio_writes, 3);
    load_fcw(&h, 0x37e);                              /* unmask #I: a store from an empty register is withheld */
    assert_int_equal(RUN(&h, 0xdd, 0x1f), EXEC_NEXT);
    assert_int_equal(h.vm->stats.mmio_reads, 0);
    assert_int_equal(h.vm->stats.mmio_writes, 3);
    harness_destroy(&h);
}

static void ldmxcsr_refuses_reserved_bits(void **state)
{
    struct harness h = create(state);
    load_mxcsr(&h, 0xffff);
    for (unsigned bit = 16; bit < 32; bit++) { /* AMD hosts have bit 17; no model does */
        u32 mxcsr = 0x1f80 | 1u << bit;
        put(&h, HARNESS_DATA, &mxcsr, 4);
        h.v->cpu.gpr[RDI] = HARNESS_DATA;
        assert_fault(&h, RUN(&h, 0x0f, 0xae, 0x17), VEC_GP);
    }
    assert_int_equal(image_get_32(image(&h), FXSAVE_MXCSR), 0xffff);
    harness_destroy(&h);
}

static void masked_stores_write_masked_bytes(void **state)
{
    struct harness h = create(state);
    u8 source[16], mask[16] = {[1] = 0x80, [4] = 0xff, [6] = 0x7f, [7] = 0x80, [13] = 0x80};
    for (unsigned n = 0; n < 16; n++)
        source[n] = (u8)(n + 1);
    put(&h, HARNESS_DATA, source, 16);
    put(&h, HARNESS_DATA + 16, mask, 16);
    h.v->cpu.gpr[RSI] = HARNESS_DATA;
    h.v->cpu.gpr[RDI] = HARNESS_DATA + 0x100;
    RUN(&h, 0x66, 0x0f, 0x6f, 0x16);                                    /* MOVDQA xmm2, [rsi] */
    RUN(&h, 0x66, 0x44, 0x0f, 0x6f, 0x4e, 0x10);                        /* MOVDQA xmm9, [rsi + 16] */
    assert_int_equal(RUN(&h, 0x66, 0x41, 0x0f, 0xf7, 0xd1), EXEC_NEXT); /* MASKMOVDQU xmm2, xmm9 */
    assert_memory_equal(harness_ram(&h, HARNESS_DATA + 0x100),
                        ((u8[]){0, 2, 0, 0, 5, 0, 0, 8, 0, 0, 0, 0, 0, 14, 0, 0}), 16);
    RUN(&h, 0xd9, 0xf6);                                    /* FDECSTP: physical and stack numbers differ */
    RUN(&h, 0x0f, 0x6f, 0x0e);                              /* MOVQ mm1, [rsi] */
    RUN(&h, 0x0f, 0x6f, 0x5e, 0x10);                        /* MOVQ mm3, [rsi + 16] */
    RUN(&h, 0xd9, 0xf6);
    h.v->cpu.gpr[RDI] = HARNESS_DATA + 0x200;
    assert_int_equal(RUN(&h, 0x0f, 0xf7, 0xcb), EXEC_NEXT); /* MASKMOVQ mm1, mm3 */
    assert_memory_equal(harness_ram(&h, HARNESS_DATA + 0x200), ((u8[]){0, 2, 0, 0, 5, 0, 0, 8, 0, 0}), 10);
    assert_int_equal(status_word(&h) & 0x3800, 0); /* an MMX instruction: TOP is 0 now */
    harness_destroy(&h);
}

static void masked_store_faults_before_it_writes(void **state)
{
    struct harness h = create(state);
    page_identity(&h);
    RUN(&h, 0x66, 0x0f, 0x76, 0xc0); /* PCMPEQD xmm0, xmm0 */
    h.v->cpu.gpr[RDI] = 0x400000 - 4;
    assert_fault(&h, RUN(&h, 0x66, 0x0f, 0xf7, 0xc0), VEC_PF);
    assert_int_equal(h.v->fault.cr2, 0x400000);
    RUN(&h, 0x66, 0x0f, 0xef, 0xc0);                                    /* PXOR: an empty mask touches nothing */
    assert_int_equal(RUN(&h, 0x66, 0x0f, 0xf7, 0xc0), EXEC_NEXT);
    harness_destroy(&h);
}

static void thunk_table_can_overflow(void **state)
{
    struct harness h = create(state);
    for (unsigned pair = 0; pair < 64; pair++)
        for (unsigned imm = 0; imm < 256; imm++) {
            u8 source[16], expected[16];
            for (unsigned n = 0; n < 16; n++)
                source[n] = (u8)(pair + imm * 3 + n);
            for (unsigned n = 0; n < 16; n++)
                expected[n] = source[4 * (imm >> 2 * (n / 4) & 3) + n % 4];
            put(&h, HARNESS_DATA, source, 16);
            h.v->cpu.gpr[RDI] = HARNESS_DATA;
            RUN(&h, 0xf3, 0x0f, 0x6f, (u8)(0x07 | (pair & 7) << 3));             /* MOVDQU xmmB, [rdi] */
            RUN(&h, 0x66, 0x0f, 0x70, (u8)(0xc0 | pair), (u8)imm);               /* PSHUFD xmmA, xmmB, imm */
            RUN(&h, 0xf3, 0x0f, 0x7f, (u8)(0x47 | (pair & 0x38)), 0x20);         /* MOVDQU [rdi + 32], xmmA */
            assert_memory_equal(harness_ram(&h, HARNESS_DATA + 32), expected, 16);
            assert_in_range(h.v->thunks->used, 1, FPU_THUNK_FULL);
        }
    harness_destroy(&h);
}

/* The name of a test, live and parked. */
#define BOTH(test)                                                          \
    {#test " (live)", test, NULL, NULL, &live}, {#test " (parked)", test, NULL, NULL, &parked}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reset_gives_table_9_1),
        BOTH(registers_survive_parking),
        BOTH(images_hold_no_host_addresses),
        BOTH(simd_exception_becomes_xm_or_ud),
        BOTH(simd_exception_leaves_general_registers),
        BOTH(x87_exception_waits_for_the_next_instruction),
        BOTH(pending_exception_precedes_operand_fault),
        BOTH(control_bits_forbid_units),
        BOTH(faulting_store_does_not_pop),
        BOTH(aligned_forms_want_alignment),
        BOTH(stores_do_not_read_devices),
        BOTH(ldmxcsr_refuses_reserved_bits),
        BOTH(masked_stores_write_masked_bytes),
        BOTH(masked_store_faults_before_it_writes),
        BOTH(thunk_table_can_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
