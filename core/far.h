/* Far transfers: JMP, CALL, RET and IRET between segments, privilege levels, modes and tasks.
 * SDM vol. 2 "CALL", "JMP", "RET", "IRET"; vol. 3, 5.8. */
#ifndef REPRISE_CORE_FAR_H
#define REPRISE_CORE_FAR_H

#include "core/segment.h"

enum far_kind { FAR_JMP, FAR_CALL };

struct far_request {
    enum far_kind kind;
    u16 selector;
    u8 opsize;    /* 2, 4 or 8 */
    u64 offset;   /* truncated to opsize */
    u64 next_rip; /* return address: after the instruction */
};

/* All three: EXEC_JUMP, or EXEC_FAULT with nothing changed (but for faults found in a new task, see core/task.h). */
enum exec far_transfer(struct vcpu *v, const struct far_request *request);
/* RET far: `opsize` 2, 4 or 8; `release` bytes are dropped from the stack (both, when the privilege level changes). */
enum exec far_return(struct vcpu *v, unsigned opsize, u16 release);
/* Unblocks NMIs even if it faults (SDM vol. 3, 6.7.1). */
enum exec far_iret(struct vcpu *v, unsigned opsize, u64 next_rip);

/* Whose privilege rules a code segment must pass (SDM vol. 3, 5.8). */
enum code_rule {
    CODE_DIRECT,   /* JMP and CALL by selector */
    CODE_GATE_JMP, /* JMP through a call gate: no change of privilege */
    CODE_GATE,     /* CALL or an event through a gate: same or inner level */
    CODE_RETURN,   /* RET and IRET: same or outer level, which is the selector's RPL */
};

/* A code segment that has passed its checks and is ready to be loaded. */
struct code_target {
    u16 selector;
    u8 cpl;    /* privilege level after the transfer */
    bool wide; /* 64-bit code */
    u64 raw;
    u64 rip;
};

/* Reads and checks the descriptor of `selector` for a transfer to `rip`. #GP(0) for a null selector, #GP(selector) or
 * #NP(selector) otherwise. `rip` is not checked against the limit yet. */
bool code_target_read(struct vcpu *v, u16 selector, enum code_rule rule, u64 rip, struct code_target *t);
/* Limit or canonical check of rip: #GP(0). */
bool code_target_check(struct vcpu *v, struct code_target *t);
/* What comes before the first push of a frame of `count` values of `size` bytes: #SS(s->error) unless the stack has room
 * for all of it, then the check of rip (SDM vol. 2, CALL and INT n). */
bool code_target_admit(struct vcpu *v, struct code_target *t, const struct stack *s, unsigned count, unsigned size);
/* Sets the accessed bit: the last step that can fault. */
bool code_target_touch(struct vcpu *v, struct code_target *t);
/* Loads CS, CPL and RIP. The caller recomputes the mode. */
void code_target_commit(struct vcpu *v, const struct code_target *t);
/* The last two, with the stack `s` that the frame is on: false with nothing changed, or CS, SS, CPL, RIP and RSP change
 * together. The caller recomputes the mode. */
bool code_target_enter(struct vcpu *v, struct code_target *t, struct stack *s);

#endif
