/* Task state segments: hardware task switching, and the stacks of inner privilege levels. SDM vol. 3, chapter 7. */
#ifndef REPRISE_CORE_TASK_H
#define REPRISE_CORE_TASK_H

#include "core/segment.h"

enum { TSS32_IO_MAP_BASE = 0x66 }; /* a word: SDM vol. 3, figures 7-2 and 7-11 */

enum task_reason {
    TASK_JMP,
    TASK_IRET,
    TASK_CALL,  /* nests: the new task links back to the old one */
    TASK_EVENT, /* interrupt or exception through a task gate: nests */
};

struct task_request {
    enum task_reason reason;
    u16 selector; /* of the new TSS */
    u64 raw;      /* its descriptor */
    u64 rip;      /* saved for the old task */
    u32 rflags;   /* saved for the old task */
};

/* Reads and checks the descriptor of a TSS to switch to (legacy modes): it must lie in the GDT, be a TSS, available or
 * busy as asked for, otherwise `vector`(selector); and present, otherwise #NP(selector). */
bool task_descriptor_read(struct vcpu *v, u16 selector, enum vector vector, bool busy, u64 *raw);

/* Switches tasks (SDM vol. 3, 7.3). False: a fault is recorded, either with nothing changed, or, if it was found while
 * the new task's segments were loaded, in the context of the new task. Recomputes the mode either way. */
bool task_switch(struct vcpu *v, const struct task_request *request);

/* The stack that the current TSS names for privilege level `cpl`; in long mode RSPn, or entry `ist` 1..7 of the
 * interrupt stack table. #TS or #SS recorded and false where the TSS is too short or the stack segment unfit. */
bool task_inner_stack(struct vcpu *v, unsigned cpl, unsigned ist, struct stack *s);

#endif
