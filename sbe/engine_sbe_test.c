/* What the translator once got wrong, each against the interpreter on the same code. */
#include "mmu/window.h"
#include "sbe/codecache.h"
#include "sbe/engines_for_tests.h"

enum { OTHER_PAGE = 0xc000 };

/* BSWAP's register is part of its opcode: of a register that lives in the vCPU, the host's differs from the guest's. */
static void registers_in_opcodes(void **state)
{
    (void)state;
    BOTH(LONG, 999, 0x41, 0x0f, 0xcd, /* bswap r13d */
         0x49, 0x0f, 0xce,            /* bswap r14 */
         0x0f, 0xc9,                  /* bswap ecx */
         0x41, 0x0f, 0xcf,            /* bswap r15d */
         0x49, 0x94,                  /* xchg r12, rax */
         0x41, 0xbb, 1, 2, 3, 4,      /* mov r11d, 0x04030201 */
         0xeb, 0xeb);                 /* jmp back */
}

/* Both operands are one register that lives in the vCPU: the sum is what stays. */
static void exchange_with_itself(void **state)
{
    (void)state;
    BOTH(LONG, 999, 0x4f, 0x0f, 0xc0, 0xd2, /* xadd r10b, r10b */
         0x4d, 0x0f, 0xc1, 0xe4,            /* xadd r12, r12 */
         0x4d, 0x87, 0xed,                  /* xchg r13, r13 */
         0x4d, 0x0f, 0xb1, 0xf6,            /* cmpxchg r14, r14 */
         0xeb, 0xef);                       /* jmp back */
}

/* 82 is an alias of 80 outside 64-bit mode, where the host does not have it. 40 and 48 are prefixes there. */
static void encodings_of_32_bits_only(void **state)
{
    (void)state;
    BOTH(PROTECTED, 999, 0x82, 0xe1, 0x7f, /* and cl, 0x7f */
         0x82, 0xc4, 0x11,                 /* add ah, 0x11 */
         0x82, 0xed, 0x05,                 /* sub ch, 5 */
         0x41,                             /* inc ecx */
         0x4f,                             /* dec edi */
         0x87, 0xc9,                       /* xchg ecx, ecx */
         0xeb, 0xf1);                      /* jmp back */
}

/* An indirect call from code in which FS has a base does not enter a block that was made when it had none. */
static void jumps_keep_modes_apart(void **state)
{
    (void)state;
    static const u8 code[] = {0xb8, 0x00, 0xc0, 0x00, 0x00, /* mov eax, OTHER_PAGE */
                              0xff, 0xd0,                   /* call eax */
                              0xeb, 0xf7};                  /* jmp back */
    static const u8 other[] = {0x64, 0xff, 0x05, 0x00, 0xa0, 0x00, 0x00, /* inc dword fs:[MACHINE_DATA] */
                               0xc3};                                    /* ret */
    enum { ROUND = 5, ROUNDS = 50, BASE = 0x1000 };
    struct vm *vm = create(&engine_sbe);
    struct vcpu *v = vm->vcpu[0];
    prepare(vm, PROTECTED, code, sizeof code);
    machine_poke(vm, OTHER_PAGE, other, sizeof other);
    run(vm, ROUND * ROUNDS);
    v->cpu.seg[SEG_FS].base = BASE;
    vcpu_update_mode(v);
    run(vm, ROUND * ROUNDS);
    assert_int_equal(machine_peek(vm, MACHINE_DATA, 4), ROUNDS);
    assert_int_equal(machine_peek(vm, MACHINE_DATA + BASE, 4), ROUNDS);
    vm_destroy(vm);
}

/* Operands that cross a page fault in the hole behind it, and after a few times are looked at beforehand. */
static void operands_that_cross(void **state)
{
    (void)state;
    BOTH(PROTECTED, 4000, 0xbe, 0xfe, 0xaf, 0x00, 0x00, /* mov esi, 0xaffe */
         0x01, 0x06,                                    /* add [esi], eax */
         0x03, 0x5e, 0x01,                              /* add ebx, [esi + 1] */
         0x66, 0x89, 0x5e, 0x01,                        /* mov [esi + 1], bx */
         0xd9, 0x06,                                    /* fld dword [esi] */
         0xdd, 0x1e,                                    /* fstp qword [esi] */
         0xeb, 0xec);                                   /* jmp back */
}

/* The longest sequences: a checked x87 operand with a displacement and an index, behind others whose exits it must not
 * put out of reach, in both widths. */
static void exits_reach(void **state)
{
    (void)state;
    BOTH(PROTECTED, 6000, 0xbe, 0x00, 0xaf, 0x00, 0x00,     /* mov esi, 0xaf00 */
         0xbb, 0x02, 0x00, 0x00, 0x00,                      /* mov ebx, 2 */
         0x01, 0x46, 0x20,                                  /* add [esi + 0x20], eax */
         0x01, 0x46, 0x24,                                  /* add [esi + 0x24], eax */
         0xd9, 0x84, 0x5e, 0xfa, 0x00, 0x00, 0x00,          /* fld dword [esi + ebx * 2 + 250] */
         0xdd, 0x9c, 0x5e, 0xf9, 0x00, 0x00, 0x00,          /* fstp qword [esi + ebx * 2 + 249] */
         0xdf, 0xac, 0x5e, 0xf9, 0x00, 0x00, 0x00,          /* fild qword [esi + ebx * 2 + 249] */
         0xdb, 0xbc, 0x5e, 0xf8, 0x00, 0x00, 0x00,          /* fstp tbyte [esi + ebx * 2 + 248] */
         0xeb, 0xd2);                                       /* jmp back */
    BOTH(LONG, 6000, 0x41, 0xbe, 0x00, 0xaf, 0x00, 0x00,    /* mov r14d, 0xaf00 */
         0x41, 0xbf, 0x02, 0x00, 0x00, 0x00,                /* mov r15d, 2 */
         0x4d, 0x01, 0x66, 0x20,                            /* add [r14 + 0x20], r12 */
         0x4d, 0x01, 0x66, 0x28,                            /* add [r14 + 0x28], r12 */
         0x43, 0xd9, 0x84, 0x7e, 0xfa, 0x00, 0x00, 0x00,    /* fld dword [r14 + r15 * 2 + 250] */
         0x43, 0xdd, 0x9c, 0x7e, 0xf9, 0x00, 0x00, 0x00,    /* fstp qword [r14 + r15 * 2 + 249] */
         0x43, 0xdf, 0xac, 0x7e, 0xf9, 0x00, 0x00, 0x00,    /* fild qword [r14 + r15 * 2 + 249] */
         0x43, 0xdb, 0xbc, 0x7e, 0xf8, 0x00, 0x00, 0x00,    /* fstp tbyte [r14 + r15 * 2 + 248] */
         0xeb, 0xca);                                       /* jmp back */
}

/* Every form of an address, in reach of RAM, beside it, and where the sum wraps at 4 GiB. */
static void forms_of_addresses(void **state)
{
    (void)state;
    BOTH(PROTECTED, 3000, 0xbe, 0x00, 0xa0, 0x00, 0x00,         /* mov esi, 0xa000 */
         0xbf, 0x04, 0x00, 0x00, 0x00,                          /* mov edi, 4 */
         0xb9, 0xff, 0xff, 0xff, 0xff,                          /* mov ecx, -1 */
         0x01, 0x06,                                            /* add [esi], eax */
         0x01, 0x46, 0xf0,                                      /* add [esi - 16], eax */
         0x01, 0x86, 0x00, 0x10, 0x00, 0x00,                    /* add [esi + 0x1000], eax */
         0x01, 0x04, 0x3e,                                      /* add [esi + edi], eax */
         0x01, 0x44, 0xbe, 0x10,                                /* add [esi + edi * 4 + 16], eax */
         0x01, 0x04, 0xbd, 0x20, 0xa0, 0x00, 0x00,              /* add [edi * 4 + 0xa020], eax */
         0x01, 0x05, 0x40, 0xa0, 0x00, 0x00,                    /* add [0xa040], eax */
         0x01, 0x81, 0x51, 0xa0, 0x00, 0x00,                    /* add [ecx + 0xa051], eax: wraps */
         0x01, 0x04, 0x8d, 0x64, 0xa0, 0x00, 0x00,              /* add [ecx * 4 + 0xa064], eax: wraps */
         0x01, 0x86, 0x00, 0x00, 0x00, 0xf0,                    /* add [esi - 0x10000000], eax: beside RAM */
         0x03, 0x41, 0xfd,                                      /* add eax, [ecx - 3]: at the top */
         0xa1, 0x44, 0xa0, 0x00, 0x00,                          /* mov eax, [0xa044] */
         0xa3, 0x48, 0xa0, 0x00, 0x00,                          /* mov [0xa048], eax */
         0x00, 0x66, 0x50,                                      /* add [esi + 0x50], ah */
         0xd3, 0x46, 0x54,                                      /* rol dword [esi + 0x54], cl */
         0xff, 0x76, 0x54,                                      /* push dword [esi + 0x54] */
         0x51, 0x5b,                                            /* push ecx; pop ebx */
         0x8f, 0x46, 0x58,                                      /* pop dword [esi + 0x58] */
         0xeb, 0xa2);                                           /* jmp back */
}

/* A loop of one block is translated for several rounds: it may be cut, and left, in any of them. */
static void loops_in_rounds(void **state)
{
    (void)state;
    static const u8 code[] = {0x31, 0xd2,                         /* xor edx, edx */
                              0x83, 0xfa, 0x07, 0x74, 0x0d,       /* cmp edx, 7; je out */
                              0x01, 0x14, 0x95, 0x00, 0xa0, 0, 0, /* add [edx * 4 + 0xa000], edx */
                              0x42,                               /* inc edx */
                              0x83, 0xfa, 0x09, 0x75, 0xee,       /* cmp edx, 9; jne to the first cmp */
                              0x83, 0xc3, 0x01,                   /* out: add ebx, 1 */
                              0x83, 0xfb, 0x64, 0x72, 0xf8,       /* cmp ebx, 100; jb out */
                              0x31, 0xdb,                         /* xor ebx, ebx */
                              0xeb, 0xe0};                        /* jmp back */
    for (u64 instructions = 1; instructions < 400; instructions += instructions < 40 ? 1 : 37)
        both(PROTECTED, code, sizeof code, instructions);
}

/* An instruction whose faults in a window map nothing goes through the tables after a few. */
static void windows_are_not_for_everybody(void **state)
{
    (void)state;
    static const u8 code[] = {0xa1, 0x00, 0x00, 0xe0, 0xfe, /* mov eax, [0xfee00000] */
                              0x01, 0x05, 0x00, 0xa0, 0, 0, /* add [0xa000], eax */
                              0xeb, 0xf3};                  /* jmp back */
    struct vm *vm = create(&engine_sbe_window);
    prepare(vm, PROTECTED, code, sizeof code);
    run(vm, 3000);
    const struct sbe *s = vm->vcpu[0]->sbe;
    assert_true(codecache_strained(s, MACHINE_CODE));
    assert_false(codecache_strained(s, MACHINE_CODE + 5));
    assert_int_equal(vm->vcpu[0]->windows->mapped, 1); /* the data; code is fetched otherwise */
    vm_destroy(vm);
}

/* CMPXCHG8B and 16B, which find what they compare with and do not, cross a page, and want alignment; the count is in RCX. */
static void pairs_are_exchanged(void **state)
{
    (void)state;
    BOTH(PROTECTED, 3000, 0xbe, 0x00, 0xa0, 0x00, 0x00, /* mov esi, 0xa000 */
         0x0f, 0xc7, 0x0e,                              /* cmpxchg8b [esi] */
         0x75, 0x02,                                    /* jne +2 */
         0xff, 0xc1,                                    /* inc ecx */
         0xf0, 0x0f, 0xc7, 0x4e, 0x10,                  /* lock cmpxchg8b [esi + 16] */
         0x0f, 0xc7, 0x8e, 0xfc, 0x0f, 0x00, 0x00,      /* cmpxchg8b [esi + 0xffc] */
         0x11, 0xc3,                                    /* adc ebx, eax */
         0xeb, 0xe3);                                   /* jmp back */
    BOTH(LONG, 3000, 0xbe, 0x00, 0xa0, 0x00, 0x00,      /* mov esi, 0xa000 */
         0x48, 0x0f, 0xc7, 0x0e,                        /* cmpxchg16b [rsi] */
         0x75, 0x03,                                    /* jne +3 */
         0x48, 0xff, 0xc1,                              /* inc rcx */
         0x0f, 0xc7, 0x4e, 0x18,                        /* cmpxchg8b [rsi + 24] */
         0x48, 0x11, 0xc3,                              /* adc rbx, rax */
         0xeb, 0xe9);                                   /* jmp back */
}

/* STI in the middle of blocks and at their end, with limits everywhere. */
static void interrupts_are_enabled(void **state)
{
    (void)state;
    static const u8 code[] = {0xfa, 0x40,       /* cli; inc eax */
                              0xfb, 0x43,       /* sti; inc ebx */
                              0x9c, 0x5a,       /* pushf; pop edx */
                              0xfb, 0xfa,       /* sti; cli */
                              0x9c, 0x5f, 0xfb, /* pushf; pop edi; sti */
                              0xeb, 0xf3};      /* jmp back */
    for (u64 n = 1; n < 60; n++)
        both(PROTECTED, code, sizeof code, n);
    assert_true(both(PROTECTED, code, sizeof code, 6000) < 100);
}

/* ADD EAX, imm32 that goes on in a second page, and a jump back there. The second page is written to, and mapped elsewhere: the
 * block that crosses is made anew, and not left to the interpreter. */
static void blocks_that_cross_follow_their_second_page(void **state)
{
    (void)state;
    enum { TABLE = 0x10000, OTHER = 0x20000, FIRST = 0x7ffe, SECOND = 0x8000, ROUNDS = 1000, PRESENT = 7 };
    static const u8 head[] = {0x05, 0x01}, tail[] = {0x02, 0x00, 0x00, 0xeb, 0xf9}, other_tail[] = {0x03, 0x00, 0x10, 0xeb, 0xf9};
    const u64 entry = TABLE | PRESENT, moved = OTHER | PRESENT, back = SECOND | PRESENT;
    struct vm *vm = create(&engine_sbe);
    struct vcpu *v = machine_enter(vm, LONG, 0);
    for (u64 n = 0; n < 512; n++)
        machine_poke(vm, TABLE + 8 * n, &(u64){n << PAGE_SHIFT | PRESENT}, 8);
    machine_poke(vm, MACHINE_PD, &entry, 8);
    machine_poke(vm, FIRST, head, sizeof head);
    machine_poke(vm, SECOND, tail, sizeof tail);
    machine_poke(vm, OTHER, other_tail, sizeof other_tail);
    tlb_flush(v);
    v->cpu.rip = FIRST;
    u32 eax = (u32)(v->cpu.gpr[RAX] = 0);
    static const u8 changed = 0x22;
    const struct {
        u64 at;
        const void *bytes;
        unsigned count;
        u32 adds;
    } steps[] = {
        {MACHINE_PD, &entry, 8, 0x0201},                     /* as it is */
        {SECOND, &changed, 1, 0x2201},                       /* written to */
        {TABLE + 8 * (SECOND >> PAGE_SHIFT), &moved, 8, 0x10000301}, /* mapped elsewhere */
        {SECOND, tail, 1, 0x10000301},                       /* what is no longer mapped does not matter */
        {TABLE + 8 * (SECOND >> PAGE_SHIFT), &back, 8, 0x0201},
    };
    for (unsigned n = 0; n < ARRAY_LEN(steps); n++) {
        machine_poke(vm, steps[n].at, steps[n].bytes, steps[n].count);
        tlb_flush(v);
        run(vm, 2 * ROUNDS);
        eax += steps[n].adds * ROUNDS;
        assert_int_equal(v->cpu.gpr[RAX], eax);
    }
    assert_true(vm->stats.interpreted < 30);
    assert_true(vm->stats.translations >= 3);
    vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_in_opcodes),
        cmocka_unit_test(exchange_with_itself),
        cmocka_unit_test(encodings_of_32_bits_only),
        cmocka_unit_test(jumps_keep_modes_apart),
        cmocka_unit_test(operands_that_cross),
        cmocka_unit_test(exits_reach),
        cmocka_unit_test(forms_of_addresses),
        cmocka_unit_test(loops_in_rounds),
        cmocka_unit_test(windows_are_not_for_everybody),
        cmocka_unit_test(pairs_are_exchanged),
        cmocka_unit_test(interrupts_are_enabled),
        cmocka_unit_test(blocks_that_cross_follow_their_second_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
