/* Task switches by CALL, JMP, INT and IRET, 32-bit and 16-bit task state segments, their faults, and the I/O permission
 * bitmap (SDM vol. 3, chapter 7; vol. 1, 19.5.2). */
#include "guests/lib/guest.h"

const char *const suite_name = "tasks";

enum {
    TSS_B = 0x40, TASK_GATE = 0x48, TSS_16 = 0x50, CODE_BASED = 0x58, ABSENT = 0x60, TSS_ABSENT = 0x68,
    STACK_BASED = 0x70, TSS_AVAILABLE = 0x78,
};
enum {
    T_LINK = 0, T_ESP0 = 4, T_SS0 = 8, T_EIP = 32, T_EFLAGS = 36, T_EAX = 40, T_EDI = 68, T_ESP = 56, T_ES = 72,
    T_CS = 76, T_SS = 80, T_DS = 84, T_FS = 88, T_GS = 92, T_LDT = 96, T_TRAP = 100, T_MAP = 102, T_SIZE = 104,
};

PROBE(call_task, "mov $0xa5a5a5a5,%edi; stc", "lcall $0x40,$0")
PROBE(jump_task, "", "ljmp $0x40,$0")
PROBE(call_gate, "", "lcall $0x4b,$0")
PROBE(call_direct, "", "lcall $0x43,$0")
PROBE(interrupt_task, "", "int $0x90")
PROBE(call_self, "", "lcall $0x28,$0")
PROBE(jump_self, "", "ljmp $0x28,$0")
PROBE(call_16, "", "lcall $0x50,$0")
PROBE(halt, "", "hlt")
PROBE(ltr_busy, "mov $0x28,%eax", "ltr %ax")
PROBE(ltr_null, "xor %eax,%eax", "ltr %ax")
PROBE(ltr_data, "mov $0x10,%eax", "ltr %ax")
PROBE(ltr_absent, "mov $0x68,%eax", "ltr %ax")
PROBE(ltr_ldt, "mov $0x7c,%eax", "ltr %ax")
PROBE(ltr_good, "mov $0x78,%eax", "ltr %ax; str %ecx")
PROBE(in_byte, "mov $0x80,%edx", "in %dx,%al")
PROBE(in_word, "mov $0x87,%edx", "in %dx,%ax")
PROBE(in_last, "mov $0x8f,%edx", "in %dx,%al")
PROBE(in_beyond, "mov $0x90,%edx", "in %dx,%al")
PROBE(in_last_word, "mov $0x8f,%edx", "in %dx,%ax")

/* Task B notes what it finds, and goes back as it came. */
__asm__(".pushsection .probes,\"ax\"\n"
        "task_entry: mov %eax,seen_eax; pushf; pop seen_flags; str seen_tr; mov %cr0,%eax; mov %eax,seen_cr0\n"
        "  mov gdt+0x44,%eax; mov %eax,seen_busy_b; mov gdt+0x2c,%eax; mov %eax,seen_busy_a; mov %esp,seen_sp; iret\n"
        "task_again: jmp task_entry\n"
        "task_jump_entry: str seen_tr; pushf; pop seen_flags; mov gdt+0x2c,%eax; mov %eax,seen_busy_a; ljmp $0x28,$0\n"
        "task_error_entry: pop seen_eax; int $0x81\n"
        "task_16_entry: mov %ax,seen_eax; pushf; pop seen_flags; mov %bx,seen_sp; iret\n"
        "task_user_entry: int $0x81\n"
        ".popsection");
extern const char task_entry[], task_again[], task_jump_entry[], task_error_entry[], task_16_entry[], task_user_entry[];
word seen_eax, seen_flags, seen_tr, seen_cr0, seen_busy_a, seen_busy_b, seen_sp;

static u8 tss_b[T_SIZE] __attribute__((aligned(128))), tss_16[44] __attribute__((aligned(64)));
static u8 stack_b[512] __attribute__((aligned(16)));

static u32 *field(u8 *segment_bytes, unsigned offset) { return (u32 *)(segment_bytes + offset); }

/* Both tasks as they were: A in TR, B available, with its entry point. */
static void reset_tasks(const void *entry, unsigned cs, unsigned ss)
{
    memset(tss_b, 0, sizeof tss_b);
    *field(tss_b, T_ESP0) = (word)stack_b + 256;
    *field(tss_b, T_SS0) = SEL_KDATA;
    *field(tss_b, T_EIP) = (word)entry;
    *field(tss_b, T_EFLAGS) = FL_FIXED;
    *field(tss_b, T_EAX) = 0x12345678;
    *field(tss_b, T_ESP) = (word)stack_b + sizeof stack_b;
    for (unsigned at = T_ES; at <= T_GS; at += 4)
        *field(tss_b, at) = cs & 3 ? SEL_UDATA : SEL_KDATA;
    *field(tss_b, T_CS) = cs;
    *field(tss_b, T_SS) = ss;
    *(u16 *)(tss_b + T_MAP) = T_SIZE;
    gdt_set(TSS_B, segment((word)tss_b, T_SIZE - 1, SEG_TSS32));
    gdt_set(SEL_TSS, segment((word)tss, TSS_LIMIT, SEG_TSS32));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    __asm__ volatile("clts");
}

static unsigned busy(word upper_half) { return upper_half >> 9 & 1; }

static void by_call(void)
{
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
    const struct trap *t = run(call_task, 0);
    trap_is("CALL to a task and IRET back", t, VEC_DONE, 0, call_task_next + 2);
    promise("the task's registers come from its TSS", 0x12345678, seen_eax);
    promise("TR names the new task", TSS_B, seen_tr & 0xffff);
    promise("NT is set in it", FL_NT, seen_flags & FL_NT);
    promise("other flags come from its TSS", FL_FIXED, seen_flags & ~FL_NT);
    promise("CR0.TS is set", CR0_TS, seen_cr0 & CR0_TS);
    promise("its descriptor is busy", 1, busy(seen_busy_b));
    promise("the old task's stays busy", 1, busy(seen_busy_a));
    promise("the back link names the old task", SEL_TSS, *field(tss_b, T_LINK) & 0xffff);
    promise("the old task's EIP is after the CALL", (word)call_task_next, *field(tss, T_EIP));
    promise("the old task's EDI is saved", 0xa5a5a5a5, *field(tss, T_EDI));
    promise("the old task's flags are saved", FL_CF, *field(tss, T_EFLAGS) & (FL_CF | FL_NT));
    promise("after IRET the new task is available", 0, busy(gdt[TSS_B / 8] >> 32));
    promise("its EIP is after the IRET", (word)task_again, *field(tss_b, T_EIP));
    promise("NT is clear in its saved flags", 0, *field(tss_b, T_EFLAGS) & FL_NT);
    promise("the registers of the old task are back", 0xa5a5a5a5, t->r.di);
    promise("and its flags", FL_CF, t->flags & (FL_CF | FL_NT));
    u16 tr;
    __asm__ volatile("str %0" : "=r"(tr));
    promise("and TR", SEL_TSS, tr);
}

static void by_jump(void)
{
    reset_tasks(task_jump_entry, SEL_KCODE, SEL_KDATA);
    trap_is("JMP to a task and JMP back", run(jump_task, 0), VEC_DONE, 0, jump_task_next + 2);
    promise("JMP: TR names the new task", TSS_B, seen_tr & 0xffff);
    promise("JMP leaves NT clear", 0, seen_flags & FL_NT);
    promise("JMP makes the old task available", 0, busy(seen_busy_a));
    promise("JMP leaves the back link alone", 0, *field(tss_b, T_LINK));
}

static void by_gate(void)
{
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
    gdt_set(TASK_GATE, (u64)TSS_B << 16 | (u64)(GATE_TASK | GATE_DPL3) << 32);
    trap_is("CALL through a task gate from ring 3", run(call_gate, 3), VEC_DONE, 0, call_gate_next + 2);
    FAULTS("#GP by CALL to a TSS of DPL 0 from ring 3", call_direct, 3, VEC_GP, TSS_B);
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
    idt_set(0x90, GATE_TASK | GATE_DPL3, TSS_B, NULL);
    trap_is("INT through a task gate", run(interrupt_task, 3), VEC_DONE, 0, interrupt_task_next + 2);
    promise("INT sets NT in the new task", FL_NT, seen_flags & FL_NT);
    idt_restore(0x90);
    reset_tasks(task_error_entry, SEL_KCODE, SEL_KDATA);
    idt_set(VEC_GP, GATE_TASK, TSS_B, NULL);
    const struct trap *t = run(halt, 3);
    promise("a fault through a task gate pushes its error code", 0, seen_eax);
    promise("on the new task's stack", (word)stack_b + sizeof stack_b, t->sp);
    promise("a fault leaves EIP at the instruction", (word)halt_at, *field(tss, T_EIP));
    idt_restore(VEC_GP);
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
}

static void busy_tasks(void)
{
    FAULTS("#GP by CALL to a busy task", call_self, 0, VEC_GP, SEL_TSS);
    FAULTS("#GP by JMP to a busy task", jump_self, 0, VEC_GP, SEL_TSS);
    FAULTS("#GP by LTR of a busy task", ltr_busy, 0, VEC_GP, SEL_TSS);
    FAULTS("#GP(0) by LTR of a null selector", ltr_null, 0, VEC_GP, 0);
    FAULTS("#GP by LTR of a data segment", ltr_data, 0, VEC_GP, SEL_KDATA);
    FAULTS("#GP by LTR from the LDT", ltr_ldt, 0, VEC_GP, 0x7c);
    gdt_set(TSS_ABSENT, segment((word)tss_b, T_SIZE - 1, SEG_TSS32 & ~0x80));
    FAULTS("#NP by LTR of an absent TSS", ltr_absent, 0, VEC_NP, TSS_ABSENT);
    gdt_set(TSS_AVAILABLE, segment((word)tss, TSS_LIMIT, SEG_TSS32));
    const struct trap *t = run(ltr_good, 0);
    promise("STR tells what LTR loaded", TSS_AVAILABLE, t->r.cx & 0xffff);
    promise("LTR makes it busy", 1, busy(gdt[TSS_AVAILABLE / 8] >> 32));
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
}

/* SDM vol. 3, table 7-1: these faults belong to the new task. It is one of ring 3, so that its ESP0 serves the
 * handler. */
static void new_task_faults(void)
{
    static const struct { u8 at; u8 vector; u16 selector, error; const char *name; } cases[] = {
        {T_DS, VEC_NP, ABSENT, ABSENT, "#NP by an absent DS of the new task"},
        {T_DS, VEC_TS, 0x1000, 0x1000, "#TS by a DS of the new task beyond the GDT"},
        {T_ES, VEC_TS, SEL_KDATA, SEL_KDATA, "#TS by an ES of the new task with DPL 0"},
        {T_LDT, VEC_TS, SEL_KDATA, SEL_KDATA, "#TS by an LDT of the new task that is none"},
    };
    gdt_set(ABSENT, segment(0, 0xfffff, (SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32) & ~0x80));
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        reset_tasks(task_user_entry, SEL_UCODE, SEL_UDATA);
        *field(tss_b, cases[i].at) = cases[i].selector;
        const struct trap *t = run(call_task, 0);
        u64 expected = (u64)cases[i].vector << 32 | cases[i].error;
        promise(cases[i].name, expected, (u64)t->vector << 32 | t->error);
    }
    reset_tasks(task_user_entry, SEL_UCODE, SEL_UDATA);
    const struct trap *t = run(call_task, 0);
    promise("a task switch from ring 0 to ring 3", SEL_UCODE, t->cs);
    promise("which uses ESP0 of the new task", (word)stack_b + 256 - 20, t->handler_sp);
    reset_tasks(task_user_entry, SEL_UCODE, SEL_UDATA);
    *field(tss_b, T_TRAP) |= 1;
    t = run(call_task, 0);
    promise("the T bit of the new task raises #DB", VEC_DB, t->vector);
    promise("before its first instruction", (word)task_user_entry, t->ip);
    promise("with DR6.BT", 0x8000, t->dr6 & 0xe00f);
    reset_tasks(task_entry, SEL_KCODE, SEL_KDATA);
}

/* SDM vol. 3, 7.6: offsets of the 16-bit format. Its IP and SP need segments with a base. */
static void of_16_bits(void)
{
    u16 *t16 = (u16 *)tss_16;
    gdt_set(CODE_BASED, segment(0x100000, 0xffff, SEG_CODE | SEG_32));
    gdt_set(STACK_BASED, segment((word)stack_b, 0xffff, SEG_DATA));
    gdt_set(TSS_16, segment((word)tss_16, sizeof tss_16 - 1, SEG_TSS16));
    memset(tss_16, 0, sizeof tss_16);
    t16[14 / 2] = (word)task_16_entry - 0x100000;
    t16[16 / 2] = FL_FIXED;
    t16[18 / 2] = 0x1616;
    t16[24 / 2] = 0xb0b0;
    t16[26 / 2] = sizeof stack_b;
    t16[34 / 2] = SEL_KDATA;
    t16[36 / 2] = CODE_BASED;
    t16[38 / 2] = STACK_BASED;
    t16[40 / 2] = SEL_KDATA;
    seen_eax = seen_sp = 0;
    trap_is("CALL to a 16-bit task and IRET back", run(call_16, 0), VEC_DONE, 0, call_16_next + 2);
    promise("AX comes from its TSS", 0x1616, seen_eax & 0xffff);
    promise("BX too", 0xb0b0, seen_sp & 0xffff);
    promise("NT is set in a 16-bit task", FL_NT, seen_flags & FL_NT);
    promise("its back link names the 32-bit task", SEL_TSS, t16[0]);
    promise("the 16-bit task is available again", 0, busy(gdt[TSS_16 / 8] >> 32));
}

/* The bitmap of the TSS: ports 0x80 to 0x8f, of which 0x80 to 0x87 and 0x8f are open, and the byte of ones at its
 * end. */
static void port_map(void)
{
    *(u16 *)(tss + TSS_IOMAP) = T_SIZE;
    u8 *map = tss + T_SIZE;
    memset(map, 0xff, 0x13);
    map[0x10] = 0;
    map[0x11] = 0x7f;
    gdt_set(SEL_TSS, segment((word)tss, T_SIZE + 0x12, SEG_TSS32));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    PASSES("ring 3 reads a port that the bitmap opens", in_byte, 3);
    FAULTS("#GP(0) when one byte of a word is closed", in_word, 3, VEC_GP, 0);
    PASSES("the last port of the bitmap", in_last, 3);
    FAULTS("#GP(0) by a word that runs past the open port", in_last_word, 3, VEC_GP, 0);
    FAULTS("#GP(0) by a port that the bitmap closes", in_beyond, 3, VEC_GP, 0);
    map[0x12] = 0;
    gdt_set(SEL_TSS, segment((word)tss, T_SIZE + 0x11, SEG_TSS32));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    FAULTS("#GP(0) by a port beyond the limit of the TSS", in_beyond, 3, VEC_GP, 0);
}

int main(void)
{
    by_call();
    by_jump();
    by_gate();
    busy_tasks();
    new_task_faults();
    of_16_bits();
    port_map();
    return 0;
}
