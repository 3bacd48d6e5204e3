/* The guest of the event benchmarks: "pte cr3 n=5" on the command line chooses events and how long they go on. It
 * prints two lines an event, around its work:
 *
 *     bench: begin pte
 *     bench: end pte <how many there were; 0: they went wrong> <ticks of the time stamp counter>
 *
 * Or "bench: at skipped", if the processor does not have it. */
#include "guests/bench/events.h"

#include "guests/bench/command.h"
#include "guests/lib/apic.h"

const char *const suite_name = "events";

enum { TOUCHED = 32, VEC_TIMER = 0x50, PORT_POST = 0x80, PORT_PIC_MASK = 0x21, PTE_PCD = 0x10 };

volatile word table_a[ENTRIES] __attribute__((aligned(PAGE)));
static volatile word table_b[ENTRIES] __attribute__((aligned(PAGE)));
volatile u32 timer_ticks;
static word root_a, root_b;

PROBE(calls_80, "", "1: int $0x80; dec %ecx; jnz 1b")
PROBE(ud2s, "", "1: ud2; dec %ecx; jnz 1b")
PROBE(touches, "", "1: movb $1,(" R("bx") "); add $4096," R("bx") "; inc %eax; dec %ecx; jnz 1b")

/* The sum of the numbers that a patched function returns; the function stands in this page, or wherever BX points. */
PROBE(patches_here, "", ".balign 4096; 1: mov %ecx,2f+1; call 2f; add %eax,%edx; dec %ecx; jnz 1b; int $0x81;"
      ".balign 256; 2: mov $0,%eax; ret; .balign 4096")
PROBE(patches_there, "", "1: mov %ecx,1(" R("bx") "); call *" R("bx") "; add %eax,%edx; dec %ecx; jnz 1b")
static u8 function_page[PAGE] __attribute__((aligned(PAGE))) = {0xb8, 0, 0, 0, 0, 0xc3}; /* mov $0,%eax; ret */

/* The number in frame i is i. */
static word frame(u32 index) { return FRAMES + index * PAGE; }

static const struct trap *run3(const char *probe, u32 count)
{
    in.r.cx = count;
    return run_paged(probe, 3, TEST);
}

u32 run_user(const char *probe, u32 count) { return run3(probe, count)->r.ax; }

static u32 call_80(u32 count) { return run_user(calls_80, count); }

static u32 ud2(u32 count) { return run_user(ud2s, count); }

/* Unmapping is part of it, one store a page, as kernels do. */
static u32 page_fault(u32 count)
{
    u32 touched = 0;
    for (u32 left = count; left;) {
        u32 now = left < ENTRIES ? left : ENTRIES;
        for (u32 i = 0; i < ENTRIES; i++)
            table_a[i] = 0;
        flush();
        touched += run_user(touches, now);
        left -= now;
    }
    return touched;
}

static void map_frames(volatile word *table, u32 first)
{
    for (u32 i = 0; i < TOUCHED; i++)
        table[i] = frame(first + i) | PTE_URW;
    flush();
}

static u32 change_entry(u32 count)
{
    u32 right = 0;
    map_frames(table_a, 0);
    for (u32 i = 0; i < count; i++) {
        table_a[0] = frame(i & 1) | PTE_URW;
        invlpg(TEST);
        right += *(volatile u32 *)TEST == (i & 1);
    }
    return right;
}

static u32 touch_all(void)
{
    u32 sum = 0;
    for (u32 i = 0; i < TOUCHED; i++)
        sum += *(volatile u32 *)(TEST + i * PAGE);
    return sum;
}

static const u32 sum_a = TOUCHED * (TOUCHED - 1) / 2, sum_b = TOUCHED * (TOUCHED - 1) / 2 + TOUCHED * TOUCHED;

static u32 reload(u32 count)
{
    u32 right = 0;
    map_frames(table_a, 0);
    for (u32 i = 0; i < count; i++) {
        write_cr3(root_a);
        right += touch_all() == sum_a;
    }
    return right;
}

static u32 switch_spaces(u32 count)
{
    u32 right = 0;
    map_frames(table_a, 0);
    map_frames(table_b, TOUCHED);
    for (u32 i = 0; i < count; i++) {
        write_cr3(i & 1 ? root_b : root_a);
        right += touch_all() == (i & 1 ? sum_b : sum_a);
    }
    write_cr3(root_a);
    return right;
}

static u32 port_write(u32 count)
{
    for (u32 i = 0; i < count; i++)
        outb(PORT_POST, i);
    return count;
}

static u32 port_read(u32 count)
{
    u32 right = 0;
    for (u32 i = 0; i < count; i++)
        right += inb(PORT_PIC_MASK) == 0xff; /* the run-time has masked all lines */
    return right;
}

static u32 mmio_read(u32 count)
{
    u32 right = 0, version = apic_read(APIC_VERSION);
    for (u32 i = 0; i < count; i++)
        right += apic_read(APIC_VERSION) == version;
    return right;
}

/* From arming the timer, for the least time there is, until its handler has returned. */
static u32 timer(u32 count)
{
    u32 before = timer_ticks;
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_LVT_TIMER, VEC_TIMER);
    __asm__ volatile("sti");
    for (u32 i = 1; i <= count; i++) {
        apic_write(APIC_INITIAL, 1);
        while (timer_ticks - before < i)
            ;
    }
    __asm__ volatile("cli");
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    return timer_ticks - before;
}

/* Every number from count down to 1 must have been patched in and returned. */
static u32 check_patches(const struct trap *t, u32 count)
{
    u32 sum = (u64)count * (count + 1) / 2;
    return (u32)t->r.dx == sum ? count : 0;
}

static u32 patch_here(u32 count)
{
    in.r.cx = count;
    return check_patches(run(patches_here, 0), count);
}

static u32 patch_there(u32 count)
{
    in.r.cx = count;
    in.r.bx = (word)function_page;
    return check_patches(run(patches_there, 0), count);
}

static const struct event events[] = {
    {"int80", 50000, call_80},
    {NULL, 100000, fast_call}, /* its name depends on the width */
    {"ud2", 40000, ud2},
    {"fault", 20 * 1024, page_fault},
    {"pte", 60000, change_entry},
    {"cr3", 7000, reload},
    {"switch", 7000, switch_spaces},
    {"out", 300000, port_write},
    {"in", 300000, port_read},
    {"mmio", 300000, mmio_read},
    {"timer", 1000, timer},
    {"patch_same", 4000, patch_here},
    {"patch_other", 4000, patch_there},
};
enum { EVENTS = sizeof events / sizeof *events };

/* A copy of the tables above TEST's, so that it can have another one. */
static word clone_root(volatile word *table)
{
    word kept = pages_root, root = page_allocate();
    memcpy((void *)root, (void *)pages_root, PAGE);
    pages_root = root;
    for (unsigned level = event_format->levels; level > 2; level--) {
        word copy = page_allocate();
        memcpy((void *)copy, (void *)(word)(entry_get(TEST, level) & ~0xfffull), PAGE);
        entry_set(TEST, level, copy | PTE_URW);
    }
    entry_set(TEST, 2, (word)table | PTE_URW);
    pages_root = kept;
    return root;
}

static void start(void)
{
    for (u32 i = 0; i < 2 * TOUCHED; i++)
        *(volatile u32 *)frame(i) = i;
    pages_start(event_format);
    page_set(0xfee00000, 0xfee00000 | PTE_RW | PTE_PCD);
    entry_set(TEST, 2, (word)table_a | PTE_URW);
    root_a = pages_root;
    root_b = clone_root(table_b);
    flush();
    idt_set(0x80, GATE_INTERRUPT | GATE_DPL3, SEL_KCODE, on_call);
    idt_set(VEC_UD, GATE_INTERRUPT, SEL_KCODE, on_ud2);
    idt_set(VEC_PF, GATE_INTERRUPT, SEL_KCODE, on_page_fault);
    idt_set(VEC_TIMER, GATE_INTERRUPT, SEL_KCODE, on_timer);
}

int main(void)
{
    const char *names[EVENTS];
    u32 n = command_number("n=", 1);
    for (u32 i = 0; i < EVENTS; i++)
        names[i] = events[i].name ? events[i].name : fast_call_name;
    start();
    for (u32 i = 0; i < EVENTS; i++) {
        u32 count = events[i].unit * n;
        if (!command_wants(names[i], names, EVENTS))
            continue;
        /* Once before: what is translated once has been, and what is not there shows. */
        if (!events[i].run(100)) {
            bench_at("skipped");
            continue;
        }
        bench_begin(names[i]);
        u64 before = rdtsc();
        u32 right = events[i].run(count);
        u64 ticks = rdtsc() - before;
        bench_end(names[i], right == count ? count : 0, ticks);
    }
    return 0;
}
