/* Fast system calls in translated code, against the interpreter: with flags of every kind, and with MSRs that change under
 * code that was translated for others. */
#include "replay/hash.h"
#include "sbe/machine_for_tests.h"

enum { STAR_HIGH = 0x00230008, INSTRUCTIONS = 40000, BEFORE_CHANGES = 20000 };

struct scenario {
    enum machine_mode mode;
    u64 sfmask;
    bool quick; /* more than half of the calls are not the interpreter's */
};

/* Ring 0 gives R12 as flags, ring 3 changes it, and the handler at last IA32_FMASK and STAR. */
__asm__(".pushsection .rodata\n.code64\n"
        "long_code: mov $0x7000 + (long_user - long_code), %ecx\n"
        "   mov %r12, %r11\n"
        "   sysretq\n"
        "long_user: imul $0x1234567, %r12, %r12\n"
        "   add $0x7654321, %r12\n"
        "   mov %r12, %r15\n"
        "   and $~0x100, %r12\n" /* not TF */
        "   test $1, %r14b\n"
        "   jz 1f\n"
        "   and $~0x44400, %r12\n" /* every other time none of DF, NT, AC */
        "1:\n"
        "   add %r15, %r15\n"
        "   syscall\n"
        "long_handler: pushfq\n"
        "   pop %r8\n"
        "   add %r11, %r9\n"
        "   xor %r8, %r9\n"
        "   swapgs\n"
        "   inc %r14\n"
        "   test $0x3ff, %r14d\n"
        "   jnz long_code\n"
        "   mov $0xc0000084, %ecx\n" /* IA32_FMASK */
        "   mov %r14d, %eax\n"
        "   xor %edx, %edx\n"
        "   wrmsr\n"
        "   mov $0xc0000081, %ecx\n" /* STAR */
        "   xor %eax, %eax\n"
        "   lea 0x230008(%r14), %edx\n"
        "   wrmsr\n"
        "   jmp long_code\n"
        "long_end:\n.popsection");
extern const u8 long_code[], long_handler[], long_end[];

__asm__(".pushsection .rodata\n.code32\n"
        "short_code: mov $0x7000 + (short_user - short_code), %edx\n"
        "   mov $0xa800, %ecx\n"
        "   sysexit\n"
        "short_user: imul $0x1234567, %ebx, %ebx\n"
        "   add $0x7654321, %ebx\n"
        "   mov %ebx, %eax\n"
        "   and $0x40cd5, %eax\n" /* AC, DF, the arithmetic flags */
        "   push %eax\n"
        "   popf\n"
        "   sysenter\n"
        "short_handler: pushf\n"
        "   pop %eax\n"
        "   add %eax, %edi\n"
        "   rol $5, %edi\n"
        "   push %esp\n"
        "   pop %esi\n"
        "   inc %ebp\n"
        "   test $63, %ebp\n"
        "   jnz short_code\n"
        "   mov $0x174, %ecx\n" /* SYSENTER_CS */
        "   lea 8(%ebp), %eax\n"
        "   and $0xfff8, %eax\n"
        "   xor %edx, %edx\n"
        "   wrmsr\n"
        "   jmp short_code\n"
        "short_end:\n.code64\n.popsection");
extern const u8 short_code[], short_handler[], short_end[];

static u64 hash_of(const struct engine *engine, const struct scenario *s, u64 instructions, u64 *callouts)
{
    struct vm *vm = NULL;
    struct vm_config config = {.ram_bytes = MACHINE_RAM, .model = cpu_model_find("max"), .engine = engine};
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    struct vcpu *v = machine_enter(vm, s->mode, 0);
    struct cpu *c = &v->cpu;
    c->star = (u64)STAR_HIGH << 32;
    c->sfmask = s->sfmask;
    c->lstar = MACHINE_CODE + (u64)(long_handler - long_code);
    c->sysenter_cs = 8;
    c->sysenter_esp = MACHINE_STACK;
    c->sysenter_eip = MACHINE_CODE + (u64)(short_handler - short_code);
    c->kernel_gs_base = 0x123456789000;
    if (s->mode == LONG)
        machine_poke(vm, MACHINE_CODE, long_code, (unsigned)(long_end - long_code));
    else
        machine_poke(vm, MACHINE_CODE, short_code, (unsigned)(short_end - short_code));
    assert_int_equal(vm_run(vm, instructions), VM_STOP_ICOUNT);
    u64 hash = state_hash(vm);
    *callouts = vm->stats.callouts;
    vm_destroy(vm);
    return hash;
}

static void same_in_translated_code(const struct scenario *s)
{
    static const struct engine *const engines[] = {&engine_sbe, &engine_sbe_window};
    u64 callouts;
    for (u64 instructions = 1; instructions < INSTRUCTIONS; instructions += instructions < 30 ? 1 : 13001) {
        u64 hash = hash_of(&engine_interp, s, instructions, &callouts);
        for (unsigned n = 0; n < ARRAY_LEN(engines); n++)
            assert_int_equal(hash_of(engines[n], s, instructions, &callouts), hash);
    }
    if (s->mode != LONG)
        return;
    hash_of(&engine_sbe, s, BEFORE_CHANGES, &callouts);
    assert_int_equal(callouts < BEFORE_CHANGES / 16, s->quick);
}

static void sixty_four_bits(void **state)
{
    (void)state;
    same_in_translated_code(&(struct scenario){LONG, 0x600, true});
}

static void all_arithmetic_flags_masked(void **state)
{
    (void)state;
    same_in_translated_code(&(struct scenario){LONG, 0x257fd5, true});
}

static void some_arithmetic_flags_masked(void **state)
{
    (void)state;
    same_in_translated_code(&(struct scenario){LONG, 0x601, false});
}

static void thirty_two_bits(void **state)
{
    (void)state;
    same_in_translated_code(&(struct scenario){.mode = PROTECTED});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_four_bits),
        cmocka_unit_test(all_arithmetic_flags_masked),
        cmocka_unit_test(some_arithmetic_flags_masked),
        cmocka_unit_test(thirty_two_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
