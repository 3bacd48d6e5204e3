/* Instructions as text, for people: crash dumps and traces. One of two implementations is linked: by libzydis
 * (disasm_zydis.c), or raw bytes only where it is missing (disasm_none.c). */
#ifndef REPRISE_SIM_DISASM_H
#define REPRISE_SIM_DISASM_H

#include "core/vcpu.h"

enum { DISASM_MAX = 120 };

/* Text of the instruction at bytes[0..available), which runs at `rip`. Returns its length in bytes, or 0 if it is none
 * or the length is unknown. */
unsigned disasm(const u8 *bytes, unsigned available, enum code_mode mode, u64 rip, char text[DISASM_MAX]);

#endif
