/* Exceptions and interrupts of the machine itself. Every one runs on a stack of its own (IST), since translated code
 * uses its stack pointer for something else. */
#ifndef REPRISE_METAL_TRAPS_H
#define REPRISE_METAL_TRAPS_H

#include "core/types.h"

enum { TRAP_TIMER_8254 = 0x20, TRAP_TIMER = 0x30, TRAP_SPURIOUS = 0x3f, TRAP_VECTORS = 0x40 };

/* What traps.S pushes, from the lowest address. */
struct trap_frame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
    u64 vector, error;
    u64 rip, cs, rflags, rsp, ss;
};

/* Loads GDT, TSS and IDT of our own. Interrupts stay off. */
void traps_init(void);
/* Unmaps the pages below the stacks, so that an overflow is a fault and not a corruption. After paging_init(). */
void traps_guard_stacks(void);

/* Called at each interrupt of the timer, with interrupts off. */
void traps_on_timer(void (*handler)(const struct trap_frame *frame));

#endif
