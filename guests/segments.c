/* Segmentation in 32-bit mode: limits, types, privileges, the instructions that ask about descriptors, 16-bit stacks
 * (SDM vol. 3, chapters 3 and 5; vol. 2, each instruction). */
#include "guests/lib/guest.h"

const char *const suite_name = "segments";

PROBE(load_ds, "", "mov %eax,%ds")
PROBE(load_ss, "", "mov %eax,%ss")
PROBE(read_fs, "mov %eax,%fs", "mov %fs:(%ebx),%ecx")
PROBE(read_fs_byte, "mov %eax,%fs", "movb %fs:(%ebx),%cl")
PROBE(write_fs, "mov %eax,%fs", "mov %ecx,%fs:(%ebx)")
PROBE(lar, "mov $-1,%ecx", "lar %eax,%ecx")
PROBE(lsl, "mov $-1,%ecx", "lsl %eax,%ecx")
PROBE(verr, "", "verr %ax")
PROBE(verw, "", "verw %ax")
PROBE(arpl, "", "arpl %cx,%ax")
PROBE(lldt, "", "lldt %ax; sldt %ecx")
PROBE(jump_small_code, "", "ljmp $0x78,$0x101")
PROBE(run_off_code, "ljmp $0x78,$0xfe", "nop")
PROBE(small_push, "mov %eax,%ss; mov %ecx,%esp",
      "push %edx; mov %esp,%ecx; mov $0x10,%eax; mov %eax,%ss; mov $probe_sp,%esp")
PROBE(small_call, "mov %eax,%ss; mov %ecx,%esp",
      "call 1f; 1: mov %esp,%ecx; mov $0x10,%eax; mov %eax,%ss; mov $probe_sp,%esp")
PROBE(small_enter, "mov %eax,%ss; mov %ecx,%esp; mov $0x12345678,%ebp", "enter $16,$0; mov %esp,%ecx; mov %ebp,%edx; "
      "mov $0x10,%eax; mov %eax,%ss; mov $probe_sp,%esp")
PROBE(small_leave, "mov %eax,%ss; mov $0xaaaa0000,%esp; mov $0xbbbb0080,%ebp", "leave; mov %esp,%ecx; mov $0x10,%eax; "
      "mov %eax,%ss; mov $probe_sp,%esp")
PROBE(lss_pointer, "", "lss (%ebx),%esp; mov %esp,%ecx; mov $probe_sp,%esp")
PROBE(les_absent, "mov $0x77,%ecx", "les (%ebx),%ecx")
PROBE(store_segment, "mov $-1,%ecx", "mov %ds,%ecx; movl $-1,(%ebx); mov %ds,(%ebx)")
PROBE(push_segment, "mov %esp,%ecx", "push %ds; sub %esp,%ecx; pop %ds")
PROBE(pop_bad_segment, "mov %esp,%ecx; push $0x1000", "pop %ds")

enum {
    BYTES = 0x40, PAGES = 0x48, DOWN_16 = 0x50, DOWN_32 = 0x58, READ_ONLY = 0x60, EXECUTE_ONLY = 0x68, CODE_READ = 0x70,
    SMALL_CODE = 0x78, SMALL_STACK = 0x80, ABSENT = 0x88, LDT = 0x90, HIGH_BASE = 0x98, CONFORMING = 0xa0,
    CALL_GATE = 0xa8, INTERRUPT_GATE = 0xb0, KERNEL_3 = 0xb8, DOWN_PAGES = 0xc0, FRESH = 0xc8,
};

static u8 area[0x4000] __attribute__((aligned(4096)));
static u8 stack16[0x10000] __attribute__((aligned(16)));
u8 probe_area[256] __attribute__((aligned(16)));
__asm__(".global probe_sp\n.set probe_sp, probe_area + 256");
static u64 ldt[2];

static void descriptors(void)
{
    u32 base = (word)area;
    gdt_set(BYTES, segment(base, 0x1234, SEG_DATA | SEG_DPL3 | SEG_32));
    gdt_set(PAGES, segment(base, 1, SEG_DATA | SEG_DPL3 | SEG_32 | SEG_4K));
    gdt_set(DOWN_16, segment(base, 0x0fff, SEG_DATA | 4 | SEG_DPL3));
    gdt_set(DOWN_32, segment(base, 0x0fff, SEG_DATA | 4 | SEG_DPL3 | SEG_32));
    gdt_set(DOWN_PAGES, segment(base, 0, SEG_DATA | 4 | SEG_DPL3 | SEG_32 | SEG_4K));
    gdt_set(READ_ONLY, segment(base, 0xfff, (SEG_DATA | SEG_DPL3 | SEG_32) & ~2));
    gdt_set(EXECUTE_ONLY, segment(base, 0xfff, (SEG_CODE | SEG_DPL3 | SEG_32) & ~2));
    gdt_set(CODE_READ, segment(base, 0xfff, SEG_CODE | SEG_DPL3 | SEG_32));
    gdt_set(SMALL_CODE, segment(base, 0xff, SEG_CODE | SEG_32));
    gdt_set(SMALL_STACK, segment((word)stack16, 0xffff, SEG_DATA));
    gdt_set(ABSENT, segment(base, 0xfff, (SEG_DATA | SEG_DPL3 | SEG_32) & ~0x80));
    gdt_set(LDT, segment((word)ldt, sizeof ldt - 1, SEG_LDT));
    gdt_set(HIGH_BASE, segment(0xfffff000, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_32 | SEG_4K));
    gdt_set(CONFORMING, segment(base, 0xfff, SEG_CODE | 4 | SEG_32));
    gdt_set(CALL_GATE, (u64)(GATE_CALL | GATE_DPL3) << 32 | SEL_KCODE << 16);
    gdt_set(INTERRUPT_GATE, (u64)(GATE_INTERRUPT | GATE_DPL3) << 32 | SEL_KCODE << 16);
    gdt_set(KERNEL_3, segment(base, 0xfff, SEG_DATA | SEG_32));
}

static const struct trap *with(const char *code, unsigned ring, word selector, word bx)
{
    in.r.ax = selector;
    in.r.bx = bx;
    return run(code, ring);
}

static void passes(const char *text, const struct trap *t) { promise(text, VEC_DONE, t->vector); }
static void faults(const char *text, const struct trap *t, const char *at) { trap_is(text, t, VEC_GP, 0, at); }

static void limits(void)
{
    passes("the last byte of a byte-granular segment", with(read_fs_byte, 3, BYTES | 3, 0x1234));
    faults("the byte after it", with(read_fs_byte, 3, BYTES | 3, 0x1235), read_fs_byte_at);
    faults("a doubleword that ends after it", with(read_fs, 3, BYTES | 3, 0x1232), read_fs_at);
    passes("the last doubleword of a page-granular segment", with(read_fs, 3, PAGES | 3, 0x1ffc));
    faults("a doubleword that ends after it, page-granular", with(read_fs, 3, PAGES | 3, 0x1ffd), read_fs_at);
    faults("an offset that wraps in 32 bits", with(read_fs, 3, PAGES | 3, 0xfffffffe), read_fs_at);
    faults("expand-down: an offset at the limit", with(read_fs_byte, 3, DOWN_32 | 3, 0xfff), read_fs_byte_at);
    passes("expand-down: the offset above it", with(read_fs_byte, 3, DOWN_32 | 3, 0x1000));
    passes("expand-down with B clear: up to ffff", with(read_fs_byte, 3, DOWN_16 | 3, 0xffff));
    faults("expand-down with B clear: not 10000", with(read_fs_byte, 3, DOWN_16 | 3, 0x10000), read_fs_byte_at);
    faults("expand-down, page-granular: limit 0 excludes the first page", with(read_fs_byte, 3, DOWN_PAGES | 3, 0xfff),
           read_fs_byte_at);
    passes("expand-down, page-granular: the second page", with(read_fs_byte, 3, DOWN_PAGES | 3, 0x1000));
    *(u32 *)area = 0x600d;
    const struct trap *t = with(read_fs, 3, HIGH_BASE | 3, (word)area + 0x1000);
    promise("base plus offset wraps at 4 GiB", 0x600d, t->r.cx);
}

static void types(void)
{
    faults("a write to read-only data", with(write_fs, 3, READ_ONLY | 3, 0), write_fs_at);
    passes("a read of read-only data", with(read_fs, 3, READ_ONLY | 3, 0));
    passes("a read of readable code", with(read_fs, 3, CODE_READ | 3, 0));
    faults("a write to readable code", with(write_fs, 3, CODE_READ | 3, 0), write_fs_at);
    trap_is("loading DS with execute-only code", with(load_ds, 3, EXECUTE_ONLY | 3, 0), VEC_GP, EXECUTE_ONLY,
            load_ds_at);
    trap_is("loading DS with a system segment", with(load_ds, 0, SEL_TSS, 0), VEC_GP, SEL_TSS, load_ds_at);
    trap_is("loading DS of ring 0 in ring 3", with(load_ds, 3, KERNEL_3, 0), VEC_GP, KERNEL_3, load_ds_at);
    trap_is("loading DS with RPL 3 above DPL 0", with(load_ds, 0, KERNEL_3 | 3, 0), VEC_GP, KERNEL_3, load_ds_at);
    passes("loading DS with conforming code of ring 0 in ring 3", with(load_ds, 3, CONFORMING | 3, 0));
    passes("loading DS with a null selector", with(load_ds, 3, 3, 0));
    faults("a read through a null FS", with(read_fs, 3, 0, 0), read_fs_at);
    trap_is("loading SS with a null selector", with(load_ss, 0, 0, 0), VEC_GP, 0, load_ss_at);
    trap_is("loading SS with code", with(load_ss, 0, SEL_KCODE, 0), VEC_GP, SEL_KCODE, load_ss_at);
    trap_is("loading SS with RPL other than CPL", with(load_ss, 0, SEL_KDATA | 1, 0), VEC_GP, SEL_KDATA, load_ss_at);
    gdt_set(FRESH, segment(0, 0xfff, SEG_DATA | SEG_DPL3 | SEG_32));
    with(load_ds, 3, FRESH | 3, 0);
    promise("loading a segment sets its accessed bit", 1, gdt[FRESH / 8] >> 40 & 1);
}

static void code_limits(void)
{
    area[0xfe] = area[0xff] = 0x90;
    area[0x100] = 0xcd;
    const struct trap *t = run(jump_small_code, 0);
    trap_is("a far JMP beyond the limit of CS faults at the JMP", t, VEC_GP, 0, jump_small_code_at);
    t = run(run_off_code, 0);
    promise("running off the end of CS: #GP", VEC_GP, t->vector);
    promise("with the first offset beyond as saved IP", (u64)SMALL_CODE << 32 | 0x100, (u64)t->cs << 32 | t->ip);
}

static void ask(const char *text, const char *code, unsigned ring, word selector, bool zf, u32 value)
{
    const struct trap *t = with(code, ring, selector, 0);
    promise(text, (u64)zf << 32 | value, (u64)(t->flags >> 6 & 1) << 32 | t->r.cx);
}

static void questions(void)
{
    ask("LAR of data", lar, 0, BYTES | 3, true, 0x0040f300);
    ask("LAR of the TSS", lar, 0, SEL_TSS, true, 0x00008b00);
    ask("LAR of a call gate", lar, 0, CALL_GATE, true, GATE_CALL | GATE_DPL3);
    ask("LAR of an interrupt gate refuses", lar, 0, INTERRUPT_GATE, false, 0xffffffff);
    ask("LAR of a null selector refuses", lar, 0, 0, false, 0xffffffff);
    ask("LAR beyond the GDT refuses", lar, 0, 0x1000, false, 0xffffffff);
    ask("LAR of ring 0 in ring 3 refuses", lar, 3, SEL_KDATA, false, 0xffffffff);
    ask("LAR of an absent segment answers", lar, 0, ABSENT, true, 0x00407200);
    ask("LSL of a byte-granular segment", lsl, 0, BYTES, true, 0x1234);
    ask("LSL of a page-granular segment counts bytes", lsl, 0, PAGES, true, 0x1fff);
    ask("LSL of the TSS", lsl, 0, SEL_TSS, true, TSS_LIMIT);
    ask("LSL of a call gate refuses", lsl, 0, CALL_GATE, false, 0xffffffff);
    ask("LSL of conforming code of ring 0 in ring 3", lsl, 3, CONFORMING | 3, true, 0xfff);
    ask("VERR of readable code", verr, 3, CODE_READ | 3, true, 0);
    ask("VERR of execute-only code refuses", verr, 3, EXECUTE_ONLY | 3, false, 0);
    ask("VERR of a system segment refuses", verr, 0, SEL_TSS, false, 0);
    ask("VERR with RPL above DPL refuses", verr, 0, SEL_KDATA | 3, false, 0);
    ask("VERW of data", verw, 3, BYTES | 3, true, 0);
    ask("VERW of read-only data refuses", verw, 3, READ_ONLY | 3, false, 0);
    ask("VERW of code refuses", verw, 3, CODE_READ | 3, false, 0);
    in.r.ax = 0x1234 & ~3;
    in.r.cx = 3;
    const struct trap *t = run(arpl, 3);
    promise("ARPL raises RPL", 0x1237, t->r.ax);
    promise("and says so in ZF", FL_ZF, t->flags & FL_ZF);
    in.r.ax = 3;
    in.r.cx = 1;
    t = run(arpl, 3);
    promise("ARPL never lowers RPL", 3, t->r.ax);
    promise("and clears ZF", 0, t->flags & FL_ZF);
}

static void local_table(void)
{
    ldt[1] = segment((word)area, 0xfff, SEG_DATA | SEG_DPL3 | SEG_32);
    const struct trap *t = with(lldt, 0, LDT, 0);
    promise("SLDT tells what LLDT loaded", LDT, t->r.cx & 0xffff);
    *(u32 *)area = 0x1d7;
    promise("a segment of the LDT", 0x1d7, with(read_fs, 3, 0x0f, 0)->r.cx);
    trap_is("a selector beyond the LDT", with(load_ds, 3, 0x17, 0), VEC_GP, 0x14, load_ds_at);
    trap_is("LLDT of a data segment", with(lldt, 0, BYTES, 0), VEC_GP, BYTES, lldt_at);
    trap_is("LLDT from the LDT", with(lldt, 0, 0x0c, 0), VEC_GP, 0x0c, lldt_at);
    passes("LLDT of a null selector", with(lldt, 0, 0, 0));
    trap_is("then a selector of the LDT", with(load_ds, 3, 0x0f, 0), VEC_GP, 0x0c, load_ds_at);
}

/* SS.B = 0: the stack pointer is SP, and the upper half of ESP is left alone (SDM vol. 1, 6.2.3). */
static void small_stacks(void)
{
    in.r.dx = 0xfeedbeef;
    in.r.cx = 0x77770000;
    const struct trap *t = with(small_push, 0, SMALL_STACK, 0);
    promise("PUSH wraps SP at 64 KiB and leaves the upper half", 0x7777fffc, t->r.cx);
    promise("PUSH lands at the segment's end", 0xfeedbeef, *(u32 *)(stack16 + 0xfffc));
    in.r.cx = 0x55550100;
    promise("CALL uses SP", 0x555500fc, with(small_call, 0, SMALL_STACK, 0)->r.cx);
    in.r.cx = 0x55550100;
    t = with(small_enter, 0, SMALL_STACK, 0);
    promise("ENTER uses SP", 0x555500ec, t->r.cx);
    promise("ENTER sets BP", 0xfc, t->r.dx & 0xffff);
    *(u32 *)(stack16 + 0x80) = 0x600df00d;
    t = with(small_leave, 0, SMALL_STACK, 0);
    promise("LEAVE uses BP and SP", 0xaaaa0084, t->r.cx);
    promise("LEAVE pops EBP", 0x600df00d, t->r.bp);
}

static void pointers(void)
{
    *(u32 *)area = 0x4000;
    *(u16 *)(area + 4) = SEL_KDATA;
    promise("LSS loads both", 0x4000, with(lss_pointer, 0, 0, (word)area)->r.cx);
    *(u16 *)(area + 4) = ABSENT | 3;
    const struct trap *t = with(les_absent, 3, 0, (word)area);
    trap_is("LES of an absent segment", t, VEC_NP, ABSENT, les_absent_at);
    promise("leaves the register alone", 0x77, t->r.cx);
    t = with(store_segment, 0, 0, (word)area);
    promise("MOV from DS zero-extends to a register", SEL_KDATA, t->r.cx);
    promise("MOV from DS stores two bytes", 0xffff0000 | SEL_KDATA, *(u32 *)area);
    t = with(push_segment, 0, 0, 0);
    promise("PUSH DS takes four bytes", 4, t->r.cx);
    in.r.sp = (word)probe_area + 256;
    t = run(pop_bad_segment, 3);
    trap_is("POP DS of a bad selector", t, VEC_GP, 0x1000, pop_bad_segment_at);
    promise("leaves ESP alone", t->r.cx - 4, t->sp);
}

int main(void)
{
    descriptors();
    limits();
    types();
    code_limits();
    questions();
    local_table();
    small_stacks();
    pointers();
    return 0;
}
