/* Stacks, code and descriptor tables in places that are not memory, or that wrap around the end of the address space.
 * The High Precision Event Timer has registers that are like memory while it stands still: the main counter at F0 and
 * the comparators at 108 + 20 n (IA-PC HPET specification 1.0a, 2.3). */
#include "guests/hostile.h"

enum { HPET = 0xfed00000, COUNTER = 0xf0, CONFIGURATION = 0x100, COMPARATOR = 0x108 };

struct table_pointer { u16 limit; word base; } __attribute__((packed));

PROBE(push_it, "mov $0x12345678,%eax; mov " R("sp") "," R("bp") "; mov " R("bx") "," R("sp"),
      "push " R("ax") "; mov " R("bp") "," R("sp"))
PROBE(push_pop, "mov $0x12345678,%eax; mov " R("sp") "," R("bp") "; mov " R("bx") "," R("sp"),
      "push " R("ax") "; pop " R("cx") "; mov " R("sp") "," R("dx") "; mov " R("bp") "," R("sp"))
PROBE(call_there, "mov " R("sp") "," R("bp") "; mov " R("bx") "," R("sp") "; xor %eax,%eax",
      "call 7f; mov " R("bp") "," R("sp") "; jmp 8f; 7: mov $0x77,%eax; ret; 8:")
PROBE(trap_there, "mov " R("bx") "," R("sp"), "ud2")
PROBE(load_fs_with, "lgdt (" R("si") ")", "mov %ebx,%fs; lgdt (" R("di") ")")
PROBE(interrupt_with, "lidt (" R("si") ")", "int $0x82; lidt (" R("di") ")")

/* A handler that leaves the stack it finds for the one in (E|R)BP. */
extern const char away[];
__asm__(".pushsection .probes,\"ax\"\n.global away\naway: mov " R("bp") "," R("sp") "\n\tint $0x81\n.popsection");
extern const char comes_back[];
#ifdef __x86_64__
__asm__(".pushsection .probes,\"ax\"\n.global comes_back\ncomes_back: mov $0x82,%al\n\tiretq\n.popsection");
#else
__asm__(".pushsection .probes,\"ax\"\n.global comes_back\ncomes_back: mov $0x82,%al\n\tiret\n.popsection");
#endif

static u8 spare_stack[1024] __attribute__((aligned(16)));

static volatile u32 *device(unsigned offset) { return (volatile u32 *)(TEST + offset); }

/* Are there registers that keep what is written? */
static bool device_open(void)
{
    page_set(TEST, HPET | PTE_RW);
    *device(0x10) = 0; /* it stands still */
    *device(COUNTER) = 0x13572468;
    *device(COUNTER + 4) = 0;
    *device(COMPARATOR) = 0x24681357;
    return *device(COUNTER) == 0x13572468 && *device(COMPARATOR) == 0x24681357;
}

static const struct trap *run_there(const char *probe, word sp)
{
    in.r.bx = sp;
    return run(probe, 0);
}

static void stack_in_a_device(void)
{
    word top = TEST + COUNTER + sizeof(word);
    run_there(push_it, top);
    promise("a push into a device's register", 0x12345678, *device(COUNTER));
    const struct trap *t = run_there(push_pop, top);
    promise("and a pop out of it", 0x12345678, t->r.cx & 0xffffffff);
    promise("the stack pointer is where it was", top, t->r.dx);
    t = run_there(call_there, top);
    promise("a call and its return through a register", 0x77, t->r.ax & 0xff);
    /* 32-bit: EIP lies deepest, and CS over it. 64-bit: the frame is aligned to 16 bytes, and CS meets the counter. */
    idt_set(VEC_UD, GATE_INTERRUPT, SEL_KCODE, away);
    in.r.bp = (word)spare_stack + sizeof spare_stack;
    word sp = IS_64 ? TEST + COUNTER + 0x20 : TEST + COUNTER + 12;
    t = run_there(trap_there, sp);
    idt_restore(VEC_UD);
    promise("an exception's frame in a device", VEC_DONE, t->vector);
    promise("has been written there", IS_64 ? SEL_KCODE : (word)trap_there_at & 0xffffffff, *device(COUNTER));
}

/* A descriptor in a comparator: selector 108. Its accessed bit is set, so that loading it writes nothing. */
static void descriptors_in_a_device(void)
{
    struct table_pointer old, there = {0x10f, TEST};
    u64 data = segment(0, 0xfffff, SEG_DATA | SEG_4K | SEG_32 | 1);
    *device(CONFIGURATION) = 0; /* an exception's frame has been here: SDM vol. 3, 6.14.2 */
    *device(COMPARATOR) = data;
    *device(COMPARATOR + 4) = data >> 32;
    if (*device(COMPARATOR + 4) != data >> 32) {
        skip("a descriptor in a device is loaded");
        return;
    }
    __asm__ volatile("sgdt %0" : "=m"(old));
    in.r.si = (word)&there;
    in.r.di = (word)&old;
    in.r.bx = COMPARATOR;
    const struct trap *t = run(load_fs_with, 0);
    promise("a descriptor in a device is loaded", COMPARATOR, t->fs);
    __asm__ volatile("mov %0,%%fs" : : "r"(IS_64 ? 0 : SEL_KDATA));
}

/* mov $0x42,%al; int $0x81 in the counter. What other processors do there, their boards decide. */
static void code_in_a_device(void)
{
    static const char name[] = "code in a device is executed, or faults";
    if (!is_reprise()) {
        skip(name);
        return;
    }
    *device(COUNTER) = 0x81cd42b0;
    const struct trap *t = run_there(jump_to, TEST + COUNTER);
    bool kept = t->vector == VEC_DONE || t->vector == VEC_UD || t->vector == VEC_GP || t->vector == VEC_PF;
    promise_text(name, kept, "a trap of its own", "another trap");
}

static void in_a_device(void)
{
    static const char *const names[] = {
        "a push into a device's register", "and a pop out of it", "the stack pointer is where it was",
        "a call and its return through a register", "an exception's frame in a device", "has been written there",
        "a descriptor in a device is loaded", "code in a device is executed, or faults",
    };
    if (!device_open()) {
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
            skip(names[i]);
        return;
    }
    stack_in_a_device();
    descriptors_in_a_device();
    code_in_a_device();
}

/* Tables at the end of the address space: SDM vol. 3, 3.5.1: addresses wrap. The last page and the first one are other
 * frames meanwhile. */
static void tables_that_wrap(void)
{
    struct table_pointer old_gdt, old_idt;
    word last = -(word)PAGE;
    u64 first_entry = entry_get(0, 1);
    page_set(last, frame_of(0) | PTE_RW);
    page_set(0, frame_of(1) | PTE_RW);
    __asm__ volatile("sgdt %0" : "=m"(old_gdt));
    __asm__ volatile("sidt %0" : "=m"(old_idt));
    /* Eight descriptors, and the first 80 gates, lie before the end. */
    const word gates = 0x80 * sizeof(struct gate);
    struct table_pointer gdt_there = {sizeof gdt - 1, -(word)0x40}, idt_there = {sizeof idt - 1, -gates};
    gdt_set(SEL_FREE, segment(0, 0xfffff, SEG_DATA | SEG_4K | SEG_32));
    memcpy(frames[0] + PAGE - 0x40, gdt, 0x40);
    memcpy(frames[1], (u8 *)gdt + 0x40, sizeof gdt - 0x40);
    in.r.si = (word)&gdt_there;
    in.r.di = (word)&old_gdt;
    in.r.bx = SEL_FREE;
    const struct trap *t = run(load_fs_with, 0);
    promise("a GDT that wraps around the end of the address space", SEL_FREE, t->fs);
    promise("and its accessed bit is set", 1, frames[1][5] & 1);
    __asm__ volatile("mov %0,%%fs" : : "r"(IS_64 ? 0 : SEL_KDATA));
    idt_set(0x82, GATE_INTERRUPT, SEL_KCODE, comes_back);
    memcpy(frames[0] + PAGE - gates, idt, gates);
    memcpy(frames[1], &idt[0x80], gates);
    idt_restore(0x82);
    in.r.si = (word)&idt_there;
    in.r.di = (word)&old_idt;
    t = run(interrupt_with, 0);
    promise("an IDT that wraps around it", 0x82, t->r.ax & 0xff);
    page_set(last, 0);
    page_set(0, first_entry);
}

void hostile_places(void)
{
    in_a_device();
    tables_that_wrap();
}
