#include "guests/lib/frame.h"

extern const u8 vector_stubs[256][16];
extern void enter(const struct regs *regs, const word frame[5], word data_selector);
extern void leave_probe(void) __attribute__((noreturn));
extern void reload_segments(void);
void report_probe_cs(word cs);

u64 gdt[SEL_LAST / 8 + 1] __attribute__((aligned(8)));
struct gate idt[256] __attribute__((aligned(8)));
u8 tss[0x2000 + 0x68 + 1] __attribute__((aligned(128)));
u8 trap_stack[8192] __attribute__((aligned(16)));
static u8 probe_stack0[4096] __attribute__((aligned(16)));
static u8 probe_stack3[4096] __attribute__((aligned(16)));

struct probe_input in;
struct trap trap_log[TRAP_LOG];
unsigned trap_count;
trap_hook_fn trap_hook;
u32 boot_magic, boot_info;
static bool running;

struct table_pointer { u16 limit; word base; } __attribute__((packed));

u64 segment(u32 base, u32 limit, unsigned attributes)
{
    return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(attributes & 0xf0ff) << 40
        | (u64)(limit >> 16 & 15) << 48 | (u64)(base >> 24) << 56;
}

void gdt_set(unsigned selector, u64 descriptor) { gdt[selector / 8] = descriptor; }

void idt_set(unsigned vector, unsigned attributes, unsigned selector, const void *handler)
{
    word address = (word)handler;
    struct gate g = {.offset0 = address, .selector = selector, .attributes = attributes, .offset1 = address >> 16};
    gate_set_high(&g, address);
    idt[vector] = g;
}

const void *vector_stub(unsigned vector) { return vector_stubs[vector]; }

void idt_restore(unsigned vector)
{
    bool user = vector == VEC_DONE || vector == VEC_BP || vector == VEC_OF;
    idt_set(vector, GATE_INTERRUPT | (user ? GATE_DPL3 : 0), SEL_KCODE, vector_stubs[vector]);
}

static void tss_init(void)
{
    *(word *)(tss + TSS_ESP0) = (word)trap_stack + sizeof trap_stack;
    if (!IS_64)
        *(u16 *)(tss + 8) = SEL_KDATA;
    *(u16 *)(tss + TSS_IOMAP) = TSS_LIMIT + 1; /* beyond the limit: no port for ring 3 */
    gdt_set(SEL_TSS, segment((u32)(word)tss, TSS_LIMIT, SEG_TSS32));
    u16 selector = SEL_TSS;
    __asm__ volatile("ltr %0" : : "r"(selector));
}

/* The board may still have interrupts enabled from the BIOS: 8259A data sheet, ICW1 to OCW1, all masked. */
static void pic_init(void)
{
    outb(0x20, 0x11);
    outb(0xa0, 0x11);
    outb(0x21, 0x20);
    outb(0xa1, 0x28);
    outb(0x21, 4);
    outb(0xa1, 2);
    outb(0x21, 1);
    outb(0xa1, 1);
    outb(0x21, 0xff);
    outb(0xa1, 0xff);
}

void machine_start(void)
{
    unsigned code_size = IS_64 ? SEG_64 : SEG_32;
    gdt_set(SEL_KCODE, segment(0, 0xfffff, SEG_CODE | SEG_4K | code_size));
    gdt_set(SEL_KDATA, segment(0, 0xfffff, SEG_DATA | SEG_4K | SEG_32));
    gdt_set(SEL_UCODE, segment(0, 0xfffff, SEG_CODE | SEG_DPL3 | SEG_4K | code_size));
    gdt_set(SEL_UDATA, segment(0, 0xfffff, SEG_DATA | SEG_DPL3 | SEG_4K | SEG_32));
    struct table_pointer gdtr = {sizeof gdt - 1, (word)gdt}, idtr = {sizeof idt - 1, (word)idt};
    __asm__ volatile("lgdt %0" : : "m"(gdtr));
    reload_segments();
    for (unsigned vector = 0; vector < 256; vector++)
        idt_restore(vector);
    __asm__ volatile("lidt %0" : : "m"(idtr));
    /* After reset LDTR is usable, with base 0 and limit 0xffff (SDM vol. 3, table 9-1). */
    __asm__ volatile("lldt %w0" : : "r"(0));
    tss_init();
    pic_init();
    /* #MF instead of IRQ 13. */
    write_cr0((read_cr0() & ~(word)(CR0_EM | CR0_TS)) | CR0_NE | CR0_MP);
}

static bool has_error(word vector)
{
    return vector == VEC_DF || (vector >= VEC_TS && vector <= VEC_PF) || vector == VEC_AC || vector == 21;
}

static void record_stack(struct trap *t, const struct frame *f)
{
    bool pushed = IS_64 || (f->cs & 3) || (f->flags & FL_VM);
    t->sp = pushed ? f->sp : (word)&f->sp;
    if (pushed)
        t->ss = f->ss;
    else
        __asm__ volatile("mov %%ss,%0" : "=r"(t->ss));
    t->handler_sp = has_error(f->vector) ? (word)&f->error : (word)&f->ip;
    frame_segments(t, f);
}

void end_run(void)
{
    running = false;
    leave_probe();
}

/* Called by the entries with the frame they built. */
void trap(struct frame *f)
{
    struct trap *t = &trap_log[trap_count < TRAP_LOG ? trap_count++ : TRAP_LOG - 1];
    *t = (struct trap){.vector = f->vector, .error = f->error, .ip = f->ip, .cs = f->cs & 0xffff, .flags = f->flags,
                       .handler_flags = f->handler_flags, .cr2 = read_cr2(), .dr6 = read_dr6()};
    record_stack(t, f);
    t->r = frame_registers(f);
    t->r.sp = t->sp;
    if (f->vector != VEC_DONE && trap_hook && trap_hook(t, f))
        return;
    if (running)
        end_run();
    report_probe_cs(SEL_KCODE);
    trap_is("no trap outside a probe", t, VEC_DONE, 0, NULL);
    finish();
}

const struct trap *run(const void *code, unsigned ring)
{
    word default_sp = (word)(ring ? probe_stack3 : probe_stack0) + sizeof probe_stack0 - 64;
    word frame[5] = {(word)code, in.cs ? in.cs : ring ? SEL_UCODE : SEL_KCODE, in.flags | FL_FIXED,
                     in.r.sp ? in.r.sp : default_sp, in.ss ? in.ss : ring ? SEL_UDATA : SEL_KDATA};
    report_probe_cs(frame[1]);
    trap_count = 0;
    running = true;
    write_dr6(0xffff0ff0);
    enter(&in.r, frame, in.ds ? in.ds : ring ? SEL_UDATA : SEL_KDATA);
    memset(&in, 0, sizeof in);
    return &trap_log[trap_count - 1];
}

word frame_ip(const struct frame *f) { return f->ip; }
void frame_set_ip(struct frame *f, word ip) { f->ip = ip; }
void frame_set_flags(struct frame *f, word flags) { f->flags = flags; }

void frame_set_far(struct frame *f, word cs, word ip, word sp)
{
    f->cs = cs;
    f->ip = ip;
    f->sp = sp;
}
