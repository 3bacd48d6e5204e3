/* The usual deliveries of events and the usual IRETs, quickly: between flat segments in the GDT whose accessed bits are
 * set, with every table and the stack in RAM that the TLB knows. Each looks at all that it depends on before it changes
 * anything; for all else the general way of exception.c and far.c decides, which is the specification. Nothing can be
 * observed of which of the two went. Private to core/. */
#ifndef REPRISE_CORE_QUICK_H
#define REPRISE_CORE_QUICK_H

#include "core/vcpu.h"

/* What is pushed for an event. */
struct quick_frame {
    u64 rip;
    u32 rflags;
};

/* Enters the handler of `event`, in protected mode. False: nothing has changed. */
bool quick_deliver(struct vcpu *v, const struct event *event, const struct quick_frame *frame);

/* IRET in protected mode with NT clear; *rflags: the popped flags, which the caller loads, by the rules of the privilege
 * level that was left. False: nothing has changed. */
bool quick_iret(struct vcpu *v, unsigned opsize, u32 *rflags);

#endif
