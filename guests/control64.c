/* What long mode forbids in control registers and model-specific registers (SDM vol. 3, 2.5, 4.1, 10.8.5; vol. 2, MOV
 * to control registers and WRMSR). */
#include "guests/lib/guest.h"

const char *const suite_name = "control64";

PROBE(write_fs_base, "mov $0xc0000100,%ecx; xor %eax,%eax; mov $0x8000,%edx", "wrmsr")
PROBE(write_lstar, "mov $0xc0000082,%ecx; xor %eax,%eax; mov $0x8000,%edx", "wrmsr")
PROBE(write_sysenter_ip, "mov $0x176,%ecx; xor %eax,%eax; mov $0x8000,%edx", "wrmsr")
PROBE(write_cr4_high, "mov %cr4,%rax; bts $40,%rax", "mov %rax,%cr4")
PROBE(write_cr4_reserved, "mov %cr4,%rax; bts $30,%rax", "mov %rax,%cr4")
PROBE(write_cr0_high, "mov %cr0,%rax; bts $32,%rax", "mov %rax,%cr0")
PROBE(write_cr3_high, "mov %cr3,%rax; bts $60,%rax", "mov %rax,%cr3")
PROBE(write_cr8_reserved, "mov $16,%eax", "mov %rax,%cr8")
PROBE(write_cr0_nw, "mov %cr0,%rax; bts $29,%rax; btr $30,%rax", "mov %rax,%cr0")
PROBE(write_dr7_high, "mov $1,%eax; shl $32,%rax", "mov %rax,%dr7")
PROBE(write_dr6_high, "mov $1,%eax; shl $32,%rax", "mov %rax,%dr6")
PROBE(clear_protection, "mov %cr0,%rax; btr $0,%rax", "mov %rax,%cr0")
PROBE(clear_paging, "mov %cr0,%rax; btr $31,%rax", "mov %rax,%cr0")
PROBE(clear_pae, "mov %cr4,%rax; btr $5,%rax", "mov %rax,%cr4")
PROBE(clear_lme, "mov $0xc0000080,%ecx; rdmsr; btr $8,%eax", "wrmsr")
PROBE(efer_reserved, "mov $0xc0000080,%ecx; rdmsr; bts $20,%eax", "wrmsr")
PROBE(read_cr1, "", ".byte 0x0f,0x20,0xc8")
PROBE(read_cr5, "", ".byte 0x0f,0x20,0xe8")
PROBE(user_cr0, "", "mov %cr0,%rax")
PROBE(user_dr7, "", "mov %dr7,%rax")
PROBE(user_rdmsr, "mov $0x10,%ecx", "rdmsr")
PROBE(user_invlpg, "", "invlpg (%rsp)")
PROBE(user_clts, "", "clts")
PROBE(user_wbinvd, "", "wbinvd")
PROBE(user_ltr, "mov $0x28,%eax", "ltr %ax")
PROBE(user_rdtsc, "", "rdtsc")
PROBE(store_gdt, "", "sgdt -16(%rsp)")
PROBE(store_idt, "", "sidt -16(%rsp)")
PROBE(store_ldt, "", "sldt %eax")
PROBE(store_tr, "", "str %eax")
PROBE(store_cr0, "", "smsw %eax")
PROBE(keep_lma, "mov $0xc0000080,%ecx; rdmsr; btr $10,%eax; wrmsr", "rdmsr")

static void addresses(void)
{
    FAULTS("#GP(0) by a non-canonical FS base", write_fs_base, 0, VEC_GP, 0);
    FAULTS("#GP(0) by a non-canonical LSTAR", write_lstar, 0, VEC_GP, 0);
    FAULTS("#GP(0) by a non-canonical SYSENTER_EIP", write_sysenter_ip, 0, VEC_GP, 0);
    wrmsr(0xc0000100, 0);
}

static void reserved(void)
{
    FAULTS("#GP(0) by bit 40 of CR4", write_cr4_high, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 30 of CR4", write_cr4_reserved, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 32 of CR0", write_cr0_high, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 60 of CR3", write_cr3_high, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 4 of CR8", write_cr8_reserved, 0, VEC_GP, 0);
    FAULTS("#GP(0) by CR0.NW without CR0.CD", write_cr0_nw, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 32 of DR7", write_dr7_high, 0, VEC_GP, 0);
    FAULTS("#GP(0) by bit 32 of DR6", write_dr6_high, 0, VEC_GP, 0);
    FAULTS("#GP(0) by a reserved bit of EFER", efer_reserved, 0, VEC_GP, 0);
    FAULTS("#UD by reading CR1", read_cr1, 0, VEC_UD, 0);
    FAULTS("#UD by reading CR5", read_cr5, 0, VEC_UD, 0);
}

static void mode(void)
{
    FAULTS("#GP(0) by clearing CR0.PE with paging on", clear_protection, 0, VEC_GP, 0);
    FAULTS("#GP(0) by clearing CR0.PG in 64-bit mode", clear_paging, 0, VEC_GP, 0);
    FAULTS("#GP(0) by clearing CR4.PAE in long mode", clear_pae, 0, VEC_GP, 0);
    FAULTS("#GP(0) by clearing EFER.LME with paging on", clear_lme, 0, VEC_GP, 0);
    const struct trap *t = run(keep_lma, 0);
    promise("EFER.LMA ignores writes", 0x400, t->r.ax & 0x400);
}

static void privileges(void)
{
    FAULTS("#GP(0) by MOV from CR0 in ring 3", user_cr0, 3, VEC_GP, 0);
    FAULTS("#GP(0) by MOV from DR7 in ring 3", user_dr7, 3, VEC_GP, 0);
    FAULTS("#GP(0) by RDMSR in ring 3", user_rdmsr, 3, VEC_GP, 0);
    FAULTS("#GP(0) by INVLPG in ring 3", user_invlpg, 3, VEC_GP, 0);
    FAULTS("#GP(0) by CLTS in ring 3", user_clts, 3, VEC_GP, 0);
    FAULTS("#GP(0) by WBINVD in ring 3", user_wbinvd, 3, VEC_GP, 0);
    FAULTS("#GP(0) by LTR in ring 3", user_ltr, 3, VEC_GP, 0);
    PASSES("RDTSC in ring 3", user_rdtsc, 3);
    word cr4 = read_cr4();
    write_cr4(cr4 | CR4_TSD);
    FAULTS("#GP(0) by RDTSC in ring 3 with CR4.TSD", user_rdtsc, 3, VEC_GP, 0);
    PASSES("RDTSC in ring 0 with CR4.TSD", user_rdtsc, 0);
    write_cr4(cr4);
}

/* SDM vol. 3, 2.5: user-mode instruction prevention. */
static void hidden_tables(void)
{
    static const struct { const char *open, *closed, *code, *at; } cases[] = {
        {"SGDT in ring 3", "#GP(0) by SGDT in ring 3 with CR4.UMIP", store_gdt, store_gdt_at},
        {"SIDT in ring 3", "#GP(0) by SIDT in ring 3 with CR4.UMIP", store_idt, store_idt_at},
        {"SLDT in ring 3", "#GP(0) by SLDT in ring 3 with CR4.UMIP", store_ldt, store_ldt_at},
        {"STR in ring 3", "#GP(0) by STR in ring 3 with CR4.UMIP", store_tr, store_tr_at},
        {"SMSW in ring 3", "#GP(0) by SMSW in ring 3 with CR4.UMIP", store_cr0, store_cr0_at},
    };
    bool available = cpuid(7, 0).ecx & 4;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        promise(cases[i].open, VEC_DONE, run(cases[i].code, 3)->vector);
        if (!available) {
            skip(cases[i].closed);
            continue;
        }
        write_cr4(read_cr4() | CR4_UMIP);
        trap_is(cases[i].closed, run(cases[i].code, 3), VEC_GP, 0, cases[i].at);
        write_cr4(read_cr4() & ~(word)CR4_UMIP);
    }
}

int main(void)
{
    addresses();
    reserved();
    mode();
    privileges();
    hidden_tables();
    return 0;
}
