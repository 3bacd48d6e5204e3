/* Delivery of exceptions and interrupts through the IVT or IDT: SDM vol. 3, chapter 6. */
#ifndef REPRISE_CORE_EXCEPTION_H
#define REPRISE_CORE_EXCEPTION_H

#include "core/vcpu.h"

/* Delivers an event. RIP in v->cpu is what the handler's frame shows: the faulting instruction for faults, the next one
 * for traps and software interrupts. Faults met on the way become #DF or shutdown by the rules of table 6-5.
 * Returns EXEC_JUMP, or EXEC_FAULT only for EVENT_SOFTWARE*, EVENT_ICEBP (then the original instruction faults with
 * v->fault and nothing has changed). After a triple fault cpu.activity is ACTIVITY_SHUTDOWN. */
enum exec exception_deliver(struct vcpu *v, const struct event *event);

/* Delivers what an EXEC_FAULT left in v->fault: sets CR2, DR6, RF as the class of fault wants. */
void exception_deliver_fault(struct vcpu *v);

/* INT n, INT3, INTO, INT1: event of a software type, with the saved RIP after the instruction (`next_rip`). */
enum exec exception_software(struct vcpu *v, u8 vector, enum event_type type, u64 next_rip);

/* In cpu.pending_db beside the DR6 bits: the instruction has cleared TF on its way into a handler (INT n, INT3, INTO,
 * INT1), so no single-step trap follows it (SDM vol. 3, 17.3.1.4). debug_deliver_traps() consumes it. */
#define PENDING_DB_NO_STEP 0x80000000u

/* Before an instruction, while v->stepping: true if a #DB is recorded in v->fault instead. That is an instruction
 * breakpoint at RIP, unless RF or the shadow of MOV SS forbids it; or a trap still pending: the debug trap of a task that
 * was just entered, a data breakpoint on the frame of an event. Call it before the shadow is cleared. */
bool debug_check_fetch(struct vcpu *v);
/* After a retired instruction that began with TF as `tf_before`: delivers single-step and data-breakpoint traps
 * collected in cpu.pending_db, if any. In the shadow of MOV SS they wait for the next instruction. */
void debug_deliver_traps(struct vcpu *v, bool tf_before);
/* Data-breakpoint match; called by mmu/access.c for every access while DR7 arms any data breakpoint. */
void debug_match_data(struct vcpu *v, u64 linear, unsigned size, bool write);
void debug_match_io(struct vcpu *v, u16 port, unsigned size);
static inline bool debug_data_armed(const struct cpu *c) { return (c->dr[7] & 0xff) != 0; }

#endif
