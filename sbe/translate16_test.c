/* 16-bit code, translated and interpreted. The bytes were assembled as the comments say, at MACHINE_CODE. */
#include "sbe/codecache.h"
#include "sbe/engines_for_tests.h"

/* Real mode and virtual-8086 mode end in the same state as in the interpreter, wherever they are cut; of `instructions`,
 * at most `left` are not translated in real mode. */
static void both_modes(const u8 *code, unsigned bytes, u64 instructions, u64 left)
{
    u64 interpreted = both(REAL, code, bytes, instructions);
    if (interpreted > left)
        fail_msg("%llu of %llu instructions were interpreted", (unsigned long long)interpreted,
                 (unsigned long long)instructions);
    (void)both(V86, code, bytes, instructions);
    for (u64 n = 1; n < 150; n += 7)
        (void)both(REAL, code, bytes, n);
}

/* Addresses of 16 and 32 bits, segments with bases, stack words of both sizes, segment registers. */
static const u8 addresses[] = {
    0xb8, 0x00, 0x0a,                              /* mov $0xa00,%ax */
    0x8e, 0xd8,                                    /* mov %ax,%ds */
    0xb8, 0x00, 0x0b,                              /* mov $0xb00,%ax */
    0x8e, 0xc0,                                    /* mov %ax,%es */
    0x66, 0xbb, 0x10, 0x00, 0x00, 0x00,            /* mov $0x10,%ebx */
    0x66, 0xbe, 0x20, 0x00, 0x00, 0x00,            /* mov $0x20,%esi */
    0x66, 0xbf, 0x40, 0x00, 0x00, 0x00,            /* mov $0x40,%edi */
    0xbd, 0x30, 0x00,                              /* mov $0x30,%bp */
    0x01, 0x00,                                    /* add %ax,(%bx,%si) */
    0x66, 0x01, 0x41, 0x06,                        /* add %eax,0x6(%bx,%di) */
    0x3e, 0x01, 0x82, 0x00, 0x01,                  /* add %ax,%ds:0x100(%bp,%si) */
    0x26, 0x01, 0x03,                              /* add %ax,%es:(%bp,%di) */
    0x89, 0x0c,                                    /* mov %cx,(%si) */
    0x88, 0x0d,                                    /* mov %cl,(%di) */
    0x8b, 0x16, 0x34, 0x02,                        /* mov 0x234,%dx */
    0x26, 0x89, 0x57, 0x04,                        /* mov %dx,%es:0x4(%bx) */
    0x8b, 0x86, 0x02, 0x70,                        /* mov 0x7002(%bp),%ax */
    0x2e, 0x01, 0x16, 0x00, 0x6c,                  /* add %dx,%cs:0x6c00 */
    0x8d, 0x48, 0x03,                              /* lea 0x3(%bx,%si),%cx */
    0x66, 0x8d, 0x50, 0x03,                        /* lea 0x3(%bx,%si),%edx */
    0x67, 0x66, 0x8b, 0x44, 0x73, 0x04,            /* mov 0x4(%ebx,%esi,2),%eax */
    0x67, 0x8d, 0x4c, 0xbb, 0x05,                  /* lea 0x5(%ebx,%edi,4),%cx */
    0x26, 0x67, 0x66, 0x89, 0x47, 0x08,            /* mov %eax,%es:0x8(%edi) */
    0xa0, 0x00, 0x03,                              /* mov 0x300,%al */
    0xa3, 0x02, 0x03,                              /* mov %ax,0x302 */
    0xd3, 0x06, 0x02, 0x03,                        /* rolw %cl,0x302 */
    0x50,                                          /* push %ax */
    0x66, 0x50,                                    /* push %eax */
    0x6a, 0xfd,                                    /* push $0xfffd */
    0x66, 0x68, 0x45, 0x23, 0x01, 0x00,            /* pushl $0x12345 */
    0xff, 0x34,                                    /* push (%si) */
    0x06,                                          /* push %es */
    0x1e,                                          /* push %ds */
    0x07,                                          /* pop %es */
    0x1f,                                          /* pop %ds */
    0x59,                                          /* pop %cx */
    0x66, 0x59,                                    /* pop %ecx */
    0x66, 0x5a,                                    /* pop %edx */
    0x5a,                                          /* pop %dx */
    0x5b,                                          /* pop %bx */
    0x60,                                          /* pusha */
    0x66, 0x60,                                    /* pushal */
    0x66, 0x61,                                    /* popal */
    0x61,                                          /* popa */
    0x89, 0xe5,                                    /* mov %sp,%bp */
    0x83, 0xec, 0x08,                              /* sub $0x8,%sp */
    0xc9,                                          /* leave */
    0x8c, 0xc0,                                    /* mov %es,%ax */
    0x66, 0x8c, 0xda,                              /* mov %ds,%edx */
    0x8c, 0x54, 0x08,                              /* mov %ss,0x8(%si) */
    0x8e, 0x64, 0x08,                              /* mov 0x8(%si),%fs */
    0xe9, 0x6a, 0xff,                              /* jmp 7000 <__bss_start-0x1000> */
};

static void operands_in_segments(void **state)
{
    (void)state;
    both_modes(addresses, sizeof addresses, 20000, 200);
}

/* Operands at the end of a segment and beyond, and a stack whose pointer wraps. */
static const u8 edges[] = {
    0xb8, 0x00, 0x0a,                              /* mov $0xa00,%ax */
    0x8e, 0xd8,                                    /* mov %ax,%ds */
    0xbe, 0xff, 0xff,                              /* mov $0xffff,%si */
    0x66, 0x31, 0xff,                              /* xor %edi,%edi */
    0x8b, 0x44, 0xff,                              /* mov -0x1(%si),%ax */
    0x42,                                          /* inc %dx */
    0x8b, 0x4c, 0x01,                              /* mov 0x1(%si),%cx */
    0x89, 0x4d, 0xf0,                              /* mov %cx,-0x10(%di) */
    0xbd, 0x00, 0x00,                              /* mov $0x0,%bp */
    0x88, 0x14,                                    /* mov %dl,(%si) */
    0xbc, 0x04, 0x00,                              /* mov $0x4,%sp */
    0x66, 0x50,                                    /* push %eax */
    0x66, 0x58,                                    /* pop %eax */
    0x50,                                          /* push %ax */
    0x5b,                                          /* pop %bx */
    0xbc, 0xfe, 0x8f,                              /* mov $0x8ffe,%sp */
    0x67, 0x89, 0x97, 0xf0, 0x0f, 0x00, 0x00,      /* mov %dx,0xff0(%edi) */
    0xeb, 0xd1,                                    /* jmp 7000 <__bss_start-0x1000> */
};

static void ends_of_segments(void **state)
{
    (void)state;
    both_modes(edges, sizeof edges, 5000, 500);
}

static const u8 flags[] = {
    0x05, 0xff, 0x7f,                              /* add $0x7fff,%ax */
    0x9c,                                          /* pushf */
    0x5b,                                          /* pop %bx */
    0x39, 0xcb,                                    /* cmp %cx,%bx */
    0x66, 0x9c,                                    /* pushfl */
    0x66, 0x59,                                    /* pop %ecx */
    0xfa,                                          /* cli */
    0x01, 0xca,                                    /* add %cx,%dx */
    0xeb, 0xf0,                                    /* jmp 7000 <__bss_start-0x1000> */
};

static void flags_on_the_stack(void **state)
{
    (void)state;
    assert_true(both(REAL, flags, sizeof flags, 5000) < 50);
}

static const u8 strings[] = {
    0xb8, 0x00, 0x0a,                              /* mov $0xa00,%ax */
    0x8e, 0xd8,                                    /* mov %ax,%ds */
    0xb8, 0x00, 0x0b,                              /* mov $0xb00,%ax */
    0x8e, 0xc0,                                    /* mov %ax,%es */
    0xbe, 0xf0, 0x0f,                              /* mov $0xff0,%si */
    0xbf, 0xf8, 0x07,                              /* mov $0x7f8,%di */
    0xb9, 0x09, 0x00,                              /* mov $0x9,%cx */
    0xac,                                          /* lods %ds:(%si),%al */
    0xab,                                          /* stos %ax,%es:(%di) */
    0x30, 0xc4,                                    /* xor %al,%ah */
    0xe2, 0xfa,                                    /* loop 7013 <__bss_start-0xfed> */
    0xb9, 0x07, 0x00,                              /* mov $0x7,%cx */
    0xa5,                                          /* movsw %ds:(%si),%es:(%di) */
    0xa6,                                          /* cmpsb %es:(%di),%ds:(%si) */
    0xe1, 0xfc,                                    /* loope 701c <__bss_start-0xfe4> */
    0xfd,                                          /* std */
    0xb9, 0x06, 0x00,                              /* mov $0x6,%cx */
    0xad,                                          /* lods %ds:(%si),%ax */
    0x66, 0xab,                                    /* stos %eax,%es:(%di) */
    0xae,                                          /* scas %es:(%di),%al */
    0xe0, 0xfa,                                    /* loopne 7024 <__bss_start-0xfdc> */
    0xe3, 0x01,                                    /* jcxz 702d <__bss_start-0xfd3> */
    0x43,                                          /* inc %bx */
    0xfc,                                          /* cld */
    0xb9, 0x03, 0x00,                              /* mov $0x3,%cx */
    0xf3, 0xa4,                                    /* rep movsb %ds:(%si),%es:(%di) */
    0xe3, 0x01,                                    /* jcxz 7036 <__bss_start-0xfca> */
    0xf4,                                          /* hlt */
    0x67, 0xe2, 0x01,                              /* loopl 703a <__bss_start-0xfc6> */
    0x42,                                          /* inc %dx */
    0x66, 0x41,                                    /* inc %ecx */
    0x67, 0xe3, 0xc1,                              /* jecxz 7000 <__bss_start-0x1000> */
    0xeb, 0xbf,                                    /* jmp 7000 <__bss_start-0x1000> */
};

static void strings_and_loops(void **state)
{
    (void)state;
    both_modes(strings, sizeof strings, 20000, 1500);
}

/* Near branches of both sizes, and through segments in which the same IP means different code. */
static const u8 branches[] = {
    0xe8, 0x49, 0x00,                              /* call 704c <f> */
    0x66, 0xe8, 0x45, 0x00, 0x00, 0x00,            /* calll 704e <g> */
    0xbb, 0x4c, 0x70,                              /* mov $0x704c,%bx */
    0xff, 0xd3,                                    /* call *%bx */
    0x66, 0xbe, 0x4e, 0x70, 0x00, 0x00,            /* mov $0x704e,%esi */
    0x66, 0xff, 0xd6,                              /* call *%esi */
    0xb8, 0x1c, 0x70,                              /* mov $0x701c,%ax */
    0xff, 0xe0,                                    /* jmp *%ax */
    0xc7, 0x06, 0x00, 0x80, 0x4c, 0x70,            /* movw $0x704c,-0x8000 */
    0xff, 0x16, 0x00, 0x80,                        /* call *-0x8000 */
    0xea, 0x2b, 0x00, 0x00, 0x07,                  /* ljmp $0x700,$0x2b */
    0xe8, 0x24, 0x00,                              /* call 7052 <f2> */
    0xbb, 0x52, 0x00,                              /* mov $0x52,%bx */
    0xff, 0xd3,                                    /* call *%bx */
    0xea, 0x48, 0x00, 0xff, 0x06,                  /* ljmp $0x6ff,$0x48 */
    0xe8, 0x17, 0x00,                              /* call 7052 <f2> */
    0xbb, 0x62, 0x00,                              /* mov $0x62,%bx */
    0xff, 0xd3,                                    /* call *%bx */
    0xea, 0x45, 0x70, 0x00, 0x00,                  /* ljmp $0x0,$0x7045 */
    0x80, 0xfa, 0x40,                              /* cmp $0x40,%dl */
    0x75, 0xb6,                                    /* jne 7000 <f-0x4c> */
    0xeb, 0xb4,                                    /* jmp 7000 <f-0x4c> */
    0x42,                                          /* inc %dx */
    0xc3,                                          /* ret */
    0x66, 0x41,                                    /* inc %ecx */
    0x66, 0xc3,                                    /* retl */
    0x83, 0xc2, 0x02,                              /* add $0x2,%dx */
    0xc3,                                          /* ret */
};

static void branches_in_segments(void **state)
{
    (void)state;
    both_modes(branches, sizeof branches, 20000, 3000);
}

/* Code at one place in RAM, in a segment that was moved: the base belongs to what a block was made for. */
static void moved_segment(void **state)
{
    (void)state;
    static const u8 code[] = {0x0e, 0x5b,       /* push cs; pop bx */
                              0xe8, 0x00, 0x00, /* call 1f */
                              0x58,             /* 1: pop ax */
                              0xeb, 0xf8};      /* jmp back */
    struct vm *vm = create(&engine_sbe);
    struct vcpu *v = vm->vcpu[0];
    prepare(vm, REAL, code, sizeof code);
    enum { ROUND = 5 };
    for (u16 cs = 0; cs <= 0x700; cs += 0x70) {
        segment_load_real(v, SEG_CS, cs);
        v->cpu.rip = MACHINE_CODE - (cs << 4);
        vcpu_update_mode(v);
        run(vm, 100 * ROUND);
        assert_int_equal(v->cpu.gpr[RBX] & 0xffff, cs);
        assert_int_equal(v->cpu.gpr[RAX] & 0xffff, (MACHINE_CODE - (cs << 4)) + 5);
    }
    assert_true(vm->stats.interpreted < 100);
    vm_destroy(vm);
}

/* Code runs off the end of its segment: #GP at IP 0x10000, after what fits. */
static void end_of_code(void **state)
{
    (void)state;
    static const u8 code[] = {0x41, 0x41, 0x66, 0x41}; /* inc cx; inc cx; inc ecx, at 0xfffc */
    static const u8 handler[] = {0x42, 0x5b, 0xb8, 0xfc, 0xff, 0x50, 0xcf}; /* inc dx; pop bx; mov ax, 0xfffc; push ax; iret */
    static const u16 vector[2] = {MACHINE_CODE, 0};
    static const struct engine *const engines[] = {&engine_interp, &engine_sbe};
    u64 hash[2];
    for (unsigned n = 0; n < 2; n++) {
        struct vm *vm = create(engines[n]);
        prepare(vm, REAL, handler, sizeof handler);
        machine_poke(vm, 4 * VEC_GP, vector, sizeof vector);
        machine_poke(vm, 0xfffc, code, sizeof code);
        vm->vcpu[0]->cpu.rip = 0xfffc;
        run(vm, 2000);
        hash[n] = state_hash(vm);
        assert_int_equal(vm->vcpu[0]->cpu.gpr[RBX] & 0xffff, 0);
        vm_destroy(vm);
    }
    assert_int_equal(hash[0], hash[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operands_in_segments), cmocka_unit_test(ends_of_segments),
        cmocka_unit_test(strings_and_loops),    cmocka_unit_test(branches_in_segments),
        cmocka_unit_test(moved_segment),        cmocka_unit_test(end_of_code),
        cmocka_unit_test(flags_on_the_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
