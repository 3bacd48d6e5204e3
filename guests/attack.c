/* Attacks on whoever runs this guest: on its memory, its tables, its translated code, and what it owns of the
 * processor. Each is a row with the outcome that an unshared processor has: an exception in the guest, or nothing.
 * Exceptions by instruction: SDM vol. 2; addresses: vol. 1, 3.3.7.1; descriptors: vol. 3, 5.2 to 5.8. */
#include "guests/lib/pages.h"

#if __SIZEOF_POINTER__ == 8
const char *const suite_name = "attack64";
#define FAR_RETURN "lretq"
#else
const char *const suite_name = "attack32";
#define FAR_RETURN "lret"
#endif

enum { NOT_TRIED = 0, RINGS = 2 }; /* no row expects #DE */

struct attack {
    const char *name, *code;
    word bx;
    u8 outcome[RINGS]; /* vectors in ring 0 and ring 3 */
};

static u8 frame[PAGE] __attribute__((aligned(PAGE)));
static u32 tried;

/* ---- Addresses ------------------------------------------------------------------------------------ */

PROBE(read_it, "", "mov (" R("bx") "),%eax")
PROBE(write_it, "", "movl $0x41414141,(" R("bx") ")")
PROBE(lock_it, "", "lock incl (" R("bx") ")")
PROBE(exchange_it, "", "lock cmpxchg8b (" R("bx") ")")
PROBE(fetch_it, "", "jmp *" R("bx"))
PROBE(call_it, "", "call *" R("bx"))
PROBE(save_fpu_there, "", "fnsave (" R("bx") ")")
PROBE(load_fpu_from, "", "fldt (" R("bx") ")")
PROBE(fill_it, "mov " R("bx") "," R("di") "; mov $0x1000,%ecx; cld", "rep stosl")
PROBE(fill_it_downwards, "mov " R("bx") "," R("di") "; mov $0x1000,%ecx; std", "rep stosl; cld")
PROBE(store_gdtr_there, "", "sgdt (" R("bx") ")")
PROBE(indexed, "mov $1,%ecx", "mov -8(" R("bx") "," R("cx") ",8),%eax")
PROBE(stack_there, "mov " R("bx") "," R("sp"), "push " R("ax"))
PROBE(stack_call_there, "mov " R("bx") "," R("sp"), "call 7f; 7:")

struct access {
    const char *name, *code;
    bool stack; /* in ring 0 it would be the handler's, too */
};
static const struct access accesses[] = {
    {"read", read_it, false},
    {"write", write_it, false},
    {"locked increment", lock_it, false},
    {"locked exchange", exchange_it, false},
    {"indexed read", indexed, false},
    {"jump", fetch_it, false},
    {"call", call_it, false},
    {"FPU state written", save_fpu_there, false},
    {"FPU register read", load_fpu_from, false},
    {"string upwards", fill_it, false},
    {"string downwards", fill_it_downwards, false},
    {"GDTR written", store_gdtr_there, false},
    {"push", stack_there, true},
    {"call by a stack", stack_call_there, true},
};

/* Where hypervisors and their hosts keep things. */
struct place {
    const char *name;
    word address;
    bool canonical;
};
static const struct place places[] = {
#ifdef __x86_64__
    {"a hypervisor's tables", 0x100000000000, true},
    {"translated code", 0x100000410000, true},
    {"a hypervisor's devices", 0xfffff80000000000, true},
    {"a kernel's memory map", 0xffff888000000000, true},
    {"a program", 0x555555554000, true},
    {"a program's stack", 0x7ffffffff000, true},
    {"a program's libraries", 0x7f0000000000, true},
    {"the first page that is none", 0x800000000100, false},
    {"the last page that is none", 0xffff7ffffffffe00, false},
    {"the sign bit flipped", 0x8000000000100000, false},
#endif
    {"the last page", (word)-PAGE, true},
    {"the end of the last page", (word)-256, true},
    {"two GiB", 0x80000000, true},
    {"three GiB", 0xc0000000, true},
    {"where firmware is", 0xfffe0000, true},
    {"where devices are", 0xfee00000, true},
};

static char *append(char *to, const char *text)
{
    while (*text)
        *to++ = *text++;
    *to = 0;
    return to;
}

static char *append_number(char *to, u32 value)
{
    if (value >= 10)
        to = append_number(to, value / 10);
    *to++ = '0' + value % 10;
    *to = 0;
    return to;
}

/* Attacks are numbered, since some differ by a value only. */
static void judge(const char *what, const char *how, unsigned ring, u32 expected, u32 got)
{
    char name[160], *end = append(name, what);
    if (how)
        end = append(append(end, ": "), how);
    end = append(end, ring ? ", ring 3, attack " : ", ring 0, attack ");
    append_number(end, ++tried);
    promise(name, expected, got);
}

static void reach(const struct place *p, const struct access *a)
{
    for (unsigned ring = a->stack ? 3 : 0; ring <= 3; ring += 3) {
        unsigned expected = p->canonical ? VEC_PF : a->stack ? VEC_SS : VEC_GP;
        judge(p->name, a->name, ring, expected, run_paged(a->code, ring, p->address)->vector);
    }
}

static void reach_everything(void)
{
    for (unsigned p = 0; p < sizeof places / sizeof places[0]; p++)
        for (unsigned a = 0; a < sizeof accesses / sizeof accesses[0]; a++)
            reach(&places[p], &accesses[a]);
}

/* ---- Instructions --------------------------------------------------------------------------------- */

#define ATTACK(name, text) PROBE(attack_##name, "", text)
ATTACK(vmcall, ".byte 0x0f,0x01,0xc1")
ATTACK(vmlaunch, ".byte 0x0f,0x01,0xc2")
ATTACK(vmxoff, ".byte 0x0f,0x01,0xc4")
ATTACK(vmrun, ".byte 0x0f,0x01,0xd8")
ATTACK(vmload, ".byte 0x0f,0x01,0xda")
ATTACK(stgi, ".byte 0x0f,0x01,0xdc")
ATTACK(skinit, ".byte 0x0f,0x01,0xde")
ATTACK(encls, ".byte 0x0f,0x01,0xcf")
ATTACK(vmread, ".byte 0x0f,0x78,0xc0")
ATTACK(vmptrld, ".byte 0x0f,0xc7,0x33")
ATTACK(xsetbv, ".byte 0x0f,0x01,0xd1")
ATTACK(rsm, ".byte 0x0f,0xaa")
ATTACK(syscall, ".byte 0x0f,0x05")
ATTACK(sysenter, ".byte 0x0f,0x34")
ATTACK(sysexit, ".byte 0x0f,0x35")
ATTACK(lock_nothing, ".byte 0xf0,0x90")
ATTACK(lock_register, ".byte 0xf0,0x01,0xc0")
ATTACK(cr1, ".byte 0x0f,0x20,0xc8")
ATTACK(hlt, "hlt")
ATTACK(cli, "cli")
ATTACK(sti, "sti")
ATTACK(in, "in $0x71,%al")
ATTACK(out, "mov $0xfe,%al; out %al,$0x64")
ATTACK(lgdt, "lgdt (" R("bx") ")")
ATTACK(lidt, "lidt (" R("bx") ")")
ATTACK(lldt, "xor %eax,%eax; lldt %ax")
ATTACK(ltr, "mov $0x28,%eax; ltr %ax")
ATTACK(lmsw, "xor %eax,%eax; lmsw %ax")
ATTACK(clts, "clts")
ATTACK(invd, "invd")
ATTACK(wbinvd, "wbinvd")
ATTACK(invlpg, "invlpg (" R("bx") ")")
ATTACK(write_cr0, "mov " R("bx") ",%cr0")
ATTACK(write_cr3, "mov " R("bx") ",%cr3")
ATTACK(write_cr4, "mov " R("bx") ",%cr4")
ATTACK(write_dr7, "mov " R("bx") ",%dr7")
ATTACK(rdmsr, "mov %ebx,%ecx; rdmsr")
ATTACK(wrmsr, "mov %ebx,%ecx; mov $-1,%eax; mov $0x12345678,%edx; wrmsr")
ATTACK(load_fs, "mov %ebx,%fs")
ATTACK(load_ss, "mov %ebx,%ss")
ATTACK(gate_inside, "int $0x30")
ATTACK(far_return, "push " R("bx") "; push " R("bx") "; " FAR_RETURN)
ATTACK(popf, "pushf; pop " R("cx") "; push $0x3202; popf; pushf; pop " R("ax") "; push " R("cx") "; popf")
ATTACK(prefixes, ".fill 15,1,0x66; nop")

/* Jumps into an instruction, and writes the one behind. */
ATTACK(middle, "mov $20000,%ecx; 7: jmp 9f+1; 9: .byte 0xb8,0x90,0x90,0x90,0x90; dec %ecx; jnz 7b")
ATTACK(stack_far_off, "mov " R("sp") "," R("cx") "; mov $8," R("sp") "; mov " R("cx") "," R("sp"))
ATTACK(flags_storm, "mov $5000,%ecx; 7: pushf; popf; dec %ecx; jnz 7b")
ATTACK(cpuid_storm, "mov $2000,%edi; 7: xor %eax,%eax; cpuid; dec %edi; jnz 7b")
ATTACK(port_storm, "mov $5000,%ecx; 7: out %al,$0x80; dec %ecx; jnz 7b")
ATTACK(interrupt_window_storm, "mov $5000,%ecx; 7: sti; cli; dec %ecx; jnz 7b")
ATTACK(tlb_storm, "mov $500,%ecx; 7: mov %cr3," R("ax") "; mov " R("ax") ",%cr3; dec %ecx; jnz 7b")

enum { VMX_BASIC = 0x480, SVM_SAVE_AREA = 0xc0010117, NO_SUCH = 0x4141, APIC_BASE = 0x1b, LSTAR = 0xc0000082,
       FS_BASE = 0xc0000100, EFER = 0xc0000080 };
#define BOTH(vector) {vector, vector}
#define USER_ONLY(vector) {NOT_TRIED, vector}
#define KERNEL_ONLY(vector) {vector, NOT_TRIED}
static const struct attack attacks[] = {
    {"VMCALL", attack_vmcall, 0, BOTH(VEC_UD)},
    {"VMLAUNCH", attack_vmlaunch, 0, BOTH(VEC_UD)},
    {"VMXOFF", attack_vmxoff, 0, BOTH(VEC_UD)},
    {"VMRUN", attack_vmrun, 0, BOTH(VEC_UD)},
    {"VMLOAD", attack_vmload, 0, BOTH(VEC_UD)},
    {"STGI", attack_stgi, 0, BOTH(VEC_UD)},
    {"SKINIT", attack_skinit, 0, BOTH(VEC_UD)},
    {"ENCLS", attack_encls, 0, BOTH(VEC_UD)},
    {"VMREAD", attack_vmread, 0, BOTH(VEC_UD)},
    {"VMPTRLD", attack_vmptrld, (word)frame, KERNEL_ONLY(VEC_UD)},
    {"XSETBV", attack_xsetbv, 0, BOTH(VEC_UD)},
    {"RSM", attack_rsm, 0, BOTH(VEC_UD)},
    {"SYSCALL that is not enabled", attack_syscall, 0, BOTH(VEC_UD)},
    {"SYSENTER to nowhere", attack_sysenter, 0, BOTH(VEC_GP)},
    {"SYSEXIT", attack_sysexit, 0, BOTH(VEC_GP)},
    {"LOCK of nothing", attack_lock_nothing, 0, BOTH(VEC_UD)},
    {"LOCK of a register", attack_lock_register, 0, BOTH(VEC_UD)},
    {"CR1", attack_cr1, 0, BOTH(VEC_UD)},
    {"HLT", attack_hlt, 0, USER_ONLY(VEC_GP)},
    {"CLI", attack_cli, 0, USER_ONLY(VEC_GP)},
    {"STI", attack_sti, 0, USER_ONLY(VEC_GP)},
    {"IN", attack_in, 0, USER_ONLY(VEC_GP)},
    {"OUT to the reset line", attack_out, 0, USER_ONLY(VEC_GP)},
    {"LGDT", attack_lgdt, 0, USER_ONLY(VEC_GP)},
    {"LIDT", attack_lidt, 0, USER_ONLY(VEC_GP)},
    {"LLDT", attack_lldt, 0, USER_ONLY(VEC_GP)},
    {"LTR", attack_ltr, 0, BOTH(VEC_GP)}, /* ring 0: it is busy */
    {"LMSW", attack_lmsw, 0, USER_ONLY(VEC_GP)},
    {"CLTS", attack_clts, 0, USER_ONLY(VEC_GP)},
    {"INVD", attack_invd, 0, USER_ONLY(VEC_GP)},
    {"WBINVD", attack_wbinvd, 0, USER_ONLY(VEC_GP)},
    {"INVLPG", attack_invlpg, 0, USER_ONLY(VEC_GP)},
    {"CR0: paging without protection", attack_write_cr0, CR0_PG, BOTH(VEC_GP)},
    {"CR3", attack_write_cr3, 0, USER_ONLY(VEC_GP)},
    {"CR4: VMX", attack_write_cr4, 0x2000, BOTH(VEC_GP)},
    {"CR4: a bit that is none", attack_write_cr4, 1u << 30, BOTH(VEC_GP)},
    {"DR7", attack_write_dr7, 0x400, USER_ONLY(VEC_GP)},
    {"the VMX register is read", attack_rdmsr, VMX_BASIC, BOTH(VEC_GP)},
    {"the SVM save area is set", attack_wrmsr, SVM_SAVE_AREA, BOTH(VEC_GP)},
    {"a register that is none is read", attack_rdmsr, NO_SUCH, BOTH(VEC_GP)},
    {"a register that is none is written", attack_wrmsr, NO_SUCH, BOTH(VEC_GP)},
    {"the APIC moves beyond all memory", attack_wrmsr, APIC_BASE, BOTH(VEC_GP)},
    {"EFER: bits that are none", attack_wrmsr, EFER, BOTH(VEC_GP)},
    {"EFER is read", attack_rdmsr, EFER, USER_ONLY(VEC_GP)},
    {"FS: beyond the table", attack_load_fs, 0xfff8, BOTH(VEC_GP)},
    {"FS: a task", attack_load_fs, SEL_TSS, BOTH(VEC_GP)},
    {"FS: no local table", attack_load_fs, 0x0f, BOTH(VEC_GP)},
    {"SS: code", attack_load_ss, SEL_KCODE, BOTH(VEC_GP)},
    {"SS: the kernel's", attack_load_ss, SEL_KDATA, USER_ONLY(VEC_GP)},
    {"SS: beyond the table", attack_load_ss, 0xfffb, BOTH(VEC_GP)},
    {"a gate of the kernel's", attack_gate_inside, 0, USER_ONLY(VEC_GP)},
    {"far return into data", attack_far_return, SEL_KDATA, BOTH(VEC_GP)},
    {"far return into the kernel", attack_far_return, SEL_KCODE, USER_ONLY(VEC_GP)},
    {"far return beyond the table", attack_far_return, 0xfffb, BOTH(VEC_GP)},
    {"POPF of IF and IOPL", attack_popf, 0, USER_ONLY(VEC_DONE)},
    {"a flood of prefixes", attack_prefixes, 0, BOTH(VEC_GP)},
    {"jumps into an instruction", attack_middle, 0, BOTH(VEC_DONE)},
    {"a stack pointer into nothing", attack_stack_far_off, 0, BOTH(VEC_DONE)},
    {"a storm of flags", attack_flags_storm, 0, BOTH(VEC_DONE)},
    {"a storm of CPUID", attack_cpuid_storm, 0, BOTH(VEC_DONE)},
    {"a storm of ports", attack_port_storm, 0, {VEC_DONE, VEC_GP}},
    {"a storm of interrupt windows", attack_interrupt_window_storm, 0, {VEC_DONE, VEC_GP}},
    {"a storm of address spaces", attack_tlb_storm, 0, {VEC_DONE, VEC_GP}},
#ifdef __x86_64__
    {"SYSCALL's entry is no address", attack_wrmsr, LSTAR, KERNEL_ONLY(VEC_GP)},
    {"FS begins at no address", attack_wrmsr, FS_BASE, KERNEL_ONLY(VEC_GP)},
    {"CR0: upper half", attack_write_cr0, 1ul << 40 | 0x80050033, KERNEL_ONLY(VEC_GP)},
    {"DR7: upper half", attack_write_dr7, 1ul << 40, KERNEL_ONLY(VEC_GP)},
#endif
};

static void execute_everything(void)
{
    for (unsigned n = 0; n < sizeof attacks / sizeof attacks[0]; n++) {
        const struct attack *a = &attacks[n];
        for (unsigned ring = 0; ring < RINGS; ring++)
            if (a->outcome[ring] != NOT_TRIED)
                judge(a->name, NULL, ring * 3, a->outcome[ring], run_paged(a->code, ring * 3, a->bx)->vector);
    }
    promise("POPF of IF and IOPL: neither changes", 0, run_paged(attack_popf, 3, 0)->r.ax & (FL_IF | FL_IOPL3));
}

/* ---- Memory, descriptors and devices --------------------------------------------------------------- */

/* Frames that are not there, by page table entries: nothing is read, nothing is written. */
static void frames_that_are_none(void)
{
    static const u32 none[] = {0x10000000, 0x80000000, 0xd0000000, 0xf0000000};
    for (unsigned n = 0; n < sizeof none / sizeof none[0]; n++) {
        page_set(TEST, none[n] | PTE_URW);
        judge("a frame that is not there", "write", 0, VEC_DONE, run_paged(write_it, 0, TEST)->vector);
        judge("a frame that is not there", "read", 3, VEC_DONE, run_paged(read_it, 3, TEST)->vector);
        judge("a frame that is not there", "what is read", 0, 0xffffffff, *(volatile u32 *)TEST);
    }
    page_set(TEST, 0);
}

/* A page table maps itself, for everybody; user code makes entries of its own in it, and takes them away. */
static void tables_for_everybody(void)
{
    page_set(TEST + PAGE, 0);
    word table = entry_table(TEST, 1);
    page_set(TEST, table | PTE_URW);
    *(volatile u32 *)frame = 0x600d;
    for (unsigned n = 0; n < 3; n++) {
        *(volatile u32 *)(TEST + (IS_64 ? 8 : 4)) = (u32)(word)frame | PTE_URW;
        invlpg(TEST + PAGE);
        judge("a table that users write", "an entry", 3, VEC_DONE, run_paged(read_it, 3, TEST + PAGE)->vector);
        *(volatile u32 *)(TEST + (IS_64 ? 8 : 4)) = 0;
        invlpg(TEST + PAGE);
        judge("a table that users write", "none", 3, VEC_PF, run_paged(read_it, 3, TEST + PAGE)->vector);
    }
    judge("a table that users write", "overwritten by them", 3, VEC_DONE,
          run_paged(write_it, 3, TEST + 2048)->vector);
    *(volatile u32 *)(TEST + 2048) = 0;
    flush();
    page_set(TEST, 0);
    promise("the frame is as it was", 0x600d, *(volatile u32 *)frame);
}

PROBE(forged_gate, "", "int $0x85")
PROBE(port_ffff, "mov $0xffff,%edx", "in %dx,%al")
PROBE(port_wraps, "mov $0xfffe,%edx", "in %dx,%eax")

/* Gates and tables of the guest's own making. */
static void forged_descriptors(void)
{
    static const u16 kinds[] = {0x8000, 0x8200, 0x8900, 0x8d00, 0x9e00};
    for (unsigned n = 0; n < sizeof kinds / sizeof kinds[0]; n++) {
        idt_set(0x85, kinds[n], SEL_KCODE, vector_stub(0x85));
        judge("a gate of no kind", NULL, 0, VEC_GP, run(forged_gate, 0)->vector);
    }
    idt_set(0x85, GATE_INTERRUPT, 0x1f0, vector_stub(0x85));
    judge("a gate into an empty descriptor", NULL, 0, VEC_GP, run(forged_gate, 0)->vector);
    idt_set(0x85, GATE_INTERRUPT, SEL_KDATA, vector_stub(0x85));
    judge("a gate into data", NULL, 0, VEC_GP, run(forged_gate, 0)->vector);
    idt_restore(0x85);
    static const u16 access[] = {0, 0x80, 0x83, 0x8a, 0x8d, 0x98};
    for (unsigned n = 0; n < sizeof access / sizeof access[0]; n++) {
        gdt_set(SEL_FREE, segment(0xfffff000, 0xfffff, access[n]));
        judge("a forged segment", NULL, 0, VEC_GP, run_paged(attack_load_fs, 0, SEL_FREE)->vector);
    }
    gdt_set(SEL_FREE, 0);
}

/* An I/O bitmap that ends before its port, or lies beyond its segment. */
static void forged_bitmaps(void)
{
    u16 was = *(u16 *)(tss + TSS_IOMAP);
    static const u16 maps[] = {0, 0x60, 0x67, 0x68, 0x7fff, 0xfff0, 0xffff};
    for (unsigned n = 0; n < sizeof maps / sizeof maps[0]; n++) {
        *(u16 *)(tss + TSS_IOMAP) = maps[n];
        judge("a forged I/O bitmap", NULL, 3, VEC_GP, run_paged(port_ffff, 3, 0)->vector);
        judge("a forged I/O bitmap", "ports that wrap", 3, VEC_GP, run_paged(port_wraps, 3, 0)->vector);
    }
    *(u16 *)(tss + TSS_IOMAP) = was;
}

/* A bus master that is sent where there is no memory (devices/selftest.h; there is none elsewhere). */
static void forged_dma(void)
{
    enum { DEVICE = 0x540, ID = 0x54535052, ACT = 0x14, DMA = 4, ADDRESS = 0x20, HIGH = 0x24, LENGTH = 0x28 };
    static const struct { u32 low, high, length; } targets[] = {
        {0xfffff000, 0xffffffff, 0x2000}, {0, 0x1000, 0x10000}, {0xf0000000, 0, 0x10000}, {0x3fff000, 0, 0x10000},
        {0xa0000, 0, 0x20000}, {0xfee00000, 0, 0x1000}, {0xfffffff0, 0, 0xffffffff},
    };
    const char *const name = "a bus master that leaves memory";
    if (inl(DEVICE) != ID) {
        skip(name);
        return;
    }
    *(volatile u32 *)frame = 0x600d;
    for (unsigned n = 0; n < sizeof targets / sizeof targets[0]; n++) {
        outl(DEVICE + ADDRESS, targets[n].low);
        outl(DEVICE + HIGH, targets[n].high);
        outl(DEVICE + LENGTH, targets[n].length);
        outl(DEVICE + ACT, DMA);
        tried++;
    }
    promise(name, 0x600d, *(volatile u32 *)frame);
}

int main(void)
{
#ifdef __x86_64__
    pages_start(&format_4level);
#else
    pages_start(&format_32bit);
#endif
    word cr0 = read_cr0(), cr3 = read_cr3(), cr4 = read_cr4();
    reach_everything();
    execute_everything();
    frames_that_are_none();
    tables_for_everybody();
    forged_descriptors();
    forged_bitmaps();
    forged_dma();
    promise("control register 0 is what it was", cr0, read_cr0());
    promise("control register 3 is what it was", cr3, read_cr3());
    promise("control register 4 is what it was", cr4, read_cr4());
    promise("at least forty attacks", 1, tried >= 40);
    return 0;
}
