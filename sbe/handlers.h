/* Prototypes of every instruction handler that isa.def names, so that each definition is checked against its row. */
#ifndef REPRISE_SBE_HANDLERS_H
#define REPRISE_SBE_HANDLERS_H

#include "sbe/exec.h"

#define HANDLER(symbol) enum exec symbol(struct vcpu *v, const struct insn *i);
#define FIXED(name) HANDLER(op_##name)
#define SIZED(name) HANDLER(op_##name##_8) HANDLER(op_##name##_16) HANDLER(op_##name##_32) HANDLER(op_##name##_64)
#define SIZED_V(name) HANDLER(op_##name##_16) HANDLER(op_##name##_32) HANDLER(op_##name##_64)
#define ROW(map, opcode, prefix, modrm, modes, mnemonic, operands, attributes, feature, flags, class, handler) handler
#include "sbe/isa.def"
#undef ROW
#undef SIZED_V
#undef SIZED
#undef FIXED
#undef HANDLER

#endif
