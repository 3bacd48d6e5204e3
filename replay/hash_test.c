/* The state hash sees every architectural bit, and nothing that is not the guest's. */
#include "replay/hash.h"
#include "sbe/machine_for_tests.h"

static struct vm *vm, *twin;

static int create(void **state)
{
    (void)state;
    vm = machine_create("max");
    twin = machine_create("max");
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    vm_destroy(vm);
    vm_destroy(twin);
    return 0;
}

/* A bit of state that must change the hash when flipped. */
static void must_see(void *at, u8 bit, const char *what, u64 number)
{
    u8 *byte = at;
    u64 before = state_hash(vm);
    *byte ^= (u8)(1u << bit);
    u64 changed = state_hash(vm);
    *byte ^= (u8)(1u << bit);
    if (changed == before)
        fail_msg("the hash does not see bit %u of %s %llu", bit, what, (unsigned long long)number);
    assert_int_equal(state_hash(vm), before);
}

static void must_not_see(void *at, const char *what)
{
    u8 *byte = at;
    u64 before = state_hash(vm);
    *byte ^= 0xff;
    u64 changed = state_hash(vm);
    *byte ^= 0xff;
    if (changed != before)
        fail_msg("the hash sees %s", what);
}

static void equal_machines_hash_equal(void **state)
{
    (void)state;
    machine_enter(vm, LONG, 0);
    machine_enter(twin, LONG, 0);
    assert_int_equal(state_hash(vm), state_hash(twin));
    assert_int_equal(state_hash(vm), state_hash(vm));
    vm->clock.skipped_ns++;
    assert_int_not_equal(state_hash(vm), state_hash(twin));
    vm->clock.skipped_ns--;
    assert_int_equal(state_hash(vm), state_hash(twin));
}

#define SEE(member) must_see(&vm->vcpu[0]->cpu.member, 0, #member, 0)

static void processor_fields_are_all_seen(void **state)
{
    struct cpu *c = &vm->vcpu[0]->cpu;
    (void)state;
    machine_enter(vm, LONG, 0);
    for (unsigned n = 0; n < GPR_COUNT; n++)
        must_see(&c->gpr[n], 7, "gpr", n);
    for (unsigned n = 0; n < 8; n++)
        must_see(&c->dr[n], 0, "dr", n);
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        must_see(&c->seg[n].selector, 0, "selector", n);
        must_see(&c->seg[n].attributes, 0, "attributes", n);
        must_see(&c->seg[n].limit, 0, "limit", n);
        must_see(&c->seg[n].base, 0, "base", n);
    }
    for (unsigned n = 0; n < MTRR_FIXED_COUNT; n++)
        must_see(&c->mtrr_fixed[n], 0, "mtrr_fixed", n);
    for (unsigned n = 0; n < 2 * MTRR_VARIABLE_COUNT; n++)
        must_see(&c->mtrr_variable[n], 0, "mtrr_variable", n);
    SEE(rip), SEE(aflags), SEE(ldtr.base), SEE(tr.limit), SEE(gdtr.base), SEE(gdtr.limit), SEE(idtr.base);
    must_see((u8 *)&c->rflags + 1, 1, "rflags", 0);
    SEE(cr0), SEE(cr2), SEE(cr3), SEE(cr4), SEE(efer), SEE(xcr0), SEE(pdpte[3]);
    SEE(sysenter_cs), SEE(sysenter_esp), SEE(sysenter_eip), SEE(star), SEE(lstar), SEE(cstar), SEE(sfmask);
    SEE(kernel_gs_base), SEE(tsc_aux), SEE(pat), SEE(apic_base), SEE(misc_enable), SEE(tsc_adjust), SEE(mcg_status);
    SEE(feature_control), SEE(bios_sign_id), SEE(spec_ctrl), SEE(mtrr_def_type), SEE(tsc_offset), SEE(icount);
    SEE(cpl), SEE(activity), SEE(int_shadow), SEE(mov_ss_shadow), SEE(nmi_blocked), SEE(nmi_pending), SEE(pending_db);
}

static void fpu_registers_are_seen_but_not_the_host(void **state)
{
    struct fpu *f = &vm->vcpu[0]->cpu.fpu;
    (void)state;
    machine_enter(vm, LONG, 0);
    for (unsigned n = 0; n < 8; n++) {
        must_see(f->fxsave + 32 + 16 * n, 0, "st", n);
        must_see(f->fxsave + 32 + 16 * n + 9, 7, "st", n);
    }
    for (unsigned n = 0; n < 256; n++)
        must_see(f->fxsave + 160 + n, 3, "xmm byte", n);
    must_see(f->fxsave, 0, "fcw", 0);
    must_see(f->fxsave + 2, 0, "fsw", 0);
    must_see(f->fxsave + 4, 0, "ftw", 0);
    must_see(f->fxsave + 24, 0, "mxcsr", 0);
    SEE(fpu.fip), SEE(fpu.fdp), SEE(fpu.fop), SEE(fpu.fcs), SEE(fpu.fds);
    must_not_see(f->fxsave + 8, "the host's FIP");
    must_not_see(f->fxsave + 16, "the host's FDP");
    must_not_see(f->fxsave + 28, "the host's MXCSR_MASK");
}

static void live_fpu_registers_are_parked_first(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    u64 before = state_hash(vm);
    assert_retires(v, 0x66, 0x0f, 0x76, 0xc0); /* PCMPEQD XMM0, XMM0 */
    u64 ones = state_hash(vm);
    assert_int_not_equal(ones, before);
    assert_int_equal(state_hash(vm), ones);
    assert_retires(v, 0x66, 0x0f, 0xef, 0xc0); /* PXOR XMM0, XMM0 */
    assert_int_equal(state_hash(vm), before);
}

static void memory_is_seen_wherever_it_lies(void **state)
{
    u8 one = 1, zero = 0;
    (void)state;
    machine_enter(vm, LONG, 0);
    u64 before = state_hash(vm);
    for (u64 at = 0xf000; at < MACHINE_RAM; at += 0x7fff1) {
        if (at >= PHYS_VGA_BEGIN && at < PHYS_VGA_END)
            continue;
        machine_poke(vm, at, &one, 1);
        assert_int_not_equal(state_hash(vm), before);
        machine_poke(vm, at, &zero, 1); /* touched, and zero again */
        assert_int_equal(state_hash(vm), before);
    }
}

/* The same page elsewhere, and two words exchanged, are different states. */
static void place_and_order_matter(void **state)
{
    u64 words[2] = {0x1111, 0x2222}, swapped[2] = {0x2222, 0x1111}, none[2] = {0};
    u64 hashes[3];
    (void)state;
    machine_enter(vm, LONG, 0);
    machine_poke(vm, 0x100000, words, 16);
    hashes[0] = state_hash(vm);
    machine_poke(vm, 0x100000, swapped, 16);
    hashes[1] = state_hash(vm);
    machine_poke(vm, 0x100000, none, 16);
    machine_poke(vm, 0x101000, words, 16);
    hashes[2] = state_hash(vm);
    machine_poke(vm, 0x101000, none, 16);
    assert_int_not_equal(hashes[0], hashes[1]);
    assert_int_not_equal(hashes[0], hashes[2]);
    assert_int_not_equal(hashes[1], hashes[2]);
}

static void devices_are_seen(void **state)
{
    (void)state;
    struct vcpu *v = machine_enter(vm, LONG, 0);
    u64 before = state_hash(vm);
    v->cpu.gpr[RAX] = 0x5a; /* scratch register of COM1 */
    v->cpu.gpr[RDX] = 0x3ff;
    u64 registers = state_hash(vm);
    assert_int_not_equal(registers, before);
    assert_retires(v, 0xee);
    assert_int_not_equal(state_hash(vm), registers);
}

/* What is remembered about pages never shows: writes by instructions, by devices and by loaders are all seen. */
static void remembered_pages_hash_as_fresh_ones(void **state)
{
    u64 value = 0x1122334455667788ull, none = 0;
    (void)state;
    struct vm *own = machine_create("max");
    struct vcpu *v = machine_enter(own, LONG, 0);
    assert_int_equal(state_hash_remember(own), STATUS_OK);
    assert_int_equal(state_hash(own), state_hash_whole(own));
    for (unsigned round = 0; round < 3; round++) {
        for (u64 at = MACHINE_DATA; at < MACHINE_DATA + 8 * PAGE_SIZE; at += PAGE_SIZE) {
            v->cpu.gpr[RDI] = at + 8 * round;
            v->cpu.gpr[RAX] = at * (round + 1);
            assert_retires(v, 0x48, 0x89, 0x07); /* MOV [RDI], RAX: the second time by a direct write entry */
            assert_int_equal(state_hash(own), state_hash_whole(own));
            assert_retires(v, 0x48, 0xff, 0x07); /* INC QWORD [RDI] */
            assert_retires(v, 0x48, 0xab);       /* STOSQ */
            assert_int_equal(state_hash(own), state_hash_whole(own));
        }
        u64 before = state_hash(own);
        machine_poke(own, 0x200000, &value, 8);
        assert_int_not_equal(state_hash(own), before);
        assert_true(physmem_load(&own->memory, gpa(0x201ffc), &value, 8));
        assert_int_equal(state_hash(own), state_hash_whole(own));
        assert_true(physmem_zero(&own->memory, gpa(0x201ffc), 8));
        machine_poke(own, 0x200000, &none, 8);
        assert_int_equal(state_hash(own), before);
    }
    vm_destroy(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_machines_hash_equal),
        cmocka_unit_test(processor_fields_are_all_seen),
        cmocka_unit_test(fpu_registers_are_seen_but_not_the_host),
        cmocka_unit_test(live_fpu_registers_are_parked_first),
        cmocka_unit_test(memory_is_seen_wherever_it_lies),
        cmocka_unit_test(place_and_order_matter),
        cmocka_unit_test(devices_are_seen),
        cmocka_unit_test(remembered_pages_hash_as_fresh_ones),
    };
    return cmocka_run_group_tests(tests, create, destroy);
}
