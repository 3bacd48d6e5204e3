/* A guest with a planted race, for --chaos (core/chaos.h): not a suite of promises, since whether it keeps its own is a matter
 * of timing.
 *
 * A job is announced by the timer's interrupt handler (`jobs` up by one) and done by the main program (`jobs` down by one). The
 * main program takes its one from `jobs` without CLI, because it has waited for longer than the timer runs. On a machine that
 * delivers interrupts at once, as plain runs of Reprise are, it is right, always. An interrupt that comes a few hundred
 * instructions late falls between its load and its store, and a job is lost. */
#include "guests/lib/apic.h"

const char *const suite_name = "race";

enum { TIMER = 0x61, ROUNDS = 200, TIMER_TICKS = 1000, PATIENCE = 100000 };

volatile u32 jobs, interrupts;

void timer_entry(void);
__asm__(".global timer_entry\n"
        "timer_entry:\n"
        "    incl jobs\n"
        "    incl interrupts\n"
        "    movl $0, 0xfee000b0\n" /* EOI */
        "    iret\n");

/* Two instructions an iteration. */
static void delay(u32 iterations) { __asm__ volatile("1: dec %0; jnz 1b" : "+r"(iterations)); }

/* How many iterations of delay() the timer runs for, as drivers find out: by trying. */
static u32 calibrate(void)
{
    u32 iterations = 0;
    apic_write(APIC_INITIAL, TIMER_TICKS);
    for (u32 before = interrupts; interrupts == before; iterations += 8)
        delay(8);
    return iterations;
}

static void take_job(void)
{
    __asm__ volatile("mov jobs, %%eax; dec %%eax; mov %%eax, jobs" ::: "eax", "memory");
}

int main(void)
{
    u32 lost = 0;
    idt_set(TIMER, GATE_INTERRUPT, SEL_KCODE, timer_entry);
    apic_write(APIC_SVR, SVR_ENABLE | 0xff);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_DIVIDE, 0xb);
    apic_write(APIC_LVT_TIMER, TIMER);
    __asm__ volatile("sti");
    u32 runs_for = calibrate();
    jobs = 0;
    for (u32 round = 0; round < ROUNDS; round++) {
        u32 before = interrupts;
        apic_write(APIC_INITIAL, TIMER_TICKS);
        delay(runs_for + 100);
        take_job();
        for (u32 n = 0; interrupts == before && n < PATIENCE; n++)
            delay(8);
        if (jobs) { /* announced, and never done; or done, and still announced */
            lost++;
            jobs = 0;
        }
    }
    __asm__ volatile("cli");
    promise("no job is lost", 0, lost);
    finish();
}
