#include "sbe/isa.h"

#define OPERAND(name, kind, size, text) [OPD_##name] = {OPK_##kind, OPZ_##size, text},
const struct isa_operand_info isa_operands[OPD_COUNT] = {
#include "sbe/operands.def"
};
#undef OPERAND

#define OPS0 {OPD___}
#define OPS1(a) {OPD_##a}
#define OPS2(a, b) {OPD_##a, OPD_##b}
#define OPS3(a, b, c) {OPD_##a, OPD_##b, OPD_##c}
#define OPS4(a, b, c, d) {OPD_##a, OPD_##b, OPD_##c, OPD_##d}
#define OPS_PICK(a, b, c, d, chosen, ...) chosen
#define OPS(...) OPS_PICK(__VA_ARGS__, OPS4, OPS3, OPS2, OPS1, )(__VA_ARGS__)
#define FL(read, written, undefined) .flags_read = (read), .flags_written = (written), .flags_undefined = (undefined)
#define ROW(row_map, row_opcode, row_prefix, row_modrm, row_modes, row_mnemonic, row_operands, row_attributes, \
            row_feature, flags, row_class, handler)                                                            \
    {.map = (row_map), .opcode = (row_opcode), .prefix = (row_prefix), .modrm = (row_modrm),                   \
     .modes = (row_modes), .feature = (row_feature), .cls = (row_class), .operands = row_operands,             \
     .attributes = (row_attributes), flags, .mnemonic = (row_mnemonic)},

const struct isa_row isa_rows[] = {
    {.modes = 0, .mnemonic = "(invalid)"}, /* ISA_INVALID */
#include "sbe/isa.def"
};
const unsigned isa_row_count = ARRAY_LEN(isa_rows);

_Static_assert(ARRAY_LEN(isa_rows) <= UINT16_MAX, "row numbers fit struct insn");
