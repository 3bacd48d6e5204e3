#include "sbe/handlers.h"
#include "sbe/interp.h"

#define SIZED(name) {op_##name##_8, op_##name##_16, op_##name##_32, op_##name##_64}
#define SIZED_V(name) {op_invalid, op_##name##_16, op_##name##_32, op_##name##_64} /* no byte form */
#define FIXED(name) {op_##name, op_##name, op_##name, op_##name}
#define ROW(map, opcode, prefix, modrm, modes, mnemonic, operands, attributes, feature, flags, cls, handler) handler,

const insn_handler interp_handlers[][4] = {
    {op_invalid, op_invalid, op_invalid, op_invalid}, /* ISA_INVALID */
#include "sbe/isa.def"
};
