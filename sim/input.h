/* Standard input on its way to the guest's first serial port: read when there is time, escape keys taken out, delivered
 * when the port has room. */
#ifndef REPRISE_SIM_INPUT_H
#define REPRISE_SIM_INPUT_H

#include "core/vm.h"
#include "sim/terminal.h"

enum { INPUT_QUEUE_BYTES = 4096 };

struct input {
    bool open;     /* more may come */
    bool terminal; /* escape keys are looked for */
    struct terminal_escape escape;
    u32 head, count;
    u8 queue[INPUT_QUEUE_BYTES];
};

/* Waits until something can be read, `wait_ns` have passed (at most a second is waited), or a signal came; reads it.
 * Ctrl-A x asks the host to stop. True if bytes were read or the input has ended. */
bool input_poll(struct input *input, struct vm *vm, u64 wait_ns);

/* Hands over as much as the port takes. True if anything was. */
bool input_feed(struct input *input, struct vm *vm);

#endif
