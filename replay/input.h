/* The one entrance for everything nondeterministic: console input now; clock adjustments, entropy, network and disk
 * later. A recorder will write down what passes here, with its icount; a replayer will be the only caller. */
#ifndef REPRISE_REPLAY_INPUT_H
#define REPRISE_REPLAY_INPUT_H

#include "core/types.h"

struct vm;

enum input_source { INPUT_SERIAL, INPUT_KEYBOARD, INPUT_SOURCES };

/* Delivers one input between two instructions, at the present icount. `unit` is the serial port's number. Returns false, with
 * nothing changed, when the device has no room: offer it again later. */
bool input_deliver(struct vm *vm, enum input_source source, unsigned unit, u8 byte);

#endif
