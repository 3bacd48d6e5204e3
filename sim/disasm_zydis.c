#include "sim/disasm.h"

#include <Zydis/Zydis.h>
#include <string.h>

unsigned disasm(const u8 *bytes, unsigned available, enum code_mode mode, u64 rip, char text[DISASM_MAX])
{
    static const ZydisMachineMode modes[] = {
        [CODE_16] = ZYDIS_MACHINE_MODE_LEGACY_16,
        [CODE_32] = ZYDIS_MACHINE_MODE_LEGACY_32,
        [CODE_64] = ZYDIS_MACHINE_MODE_LONG_64,
    };
    ZydisDisassembledInstruction insn;
    text[0] = 0;
    if (ZYAN_FAILED(ZydisDisassembleIntel(modes[mode], rip, bytes, available, &insn)))
        return 0;
    strncat(text, insn.text, DISASM_MAX - 1);
    return insn.info.length;
}
