/* dec_safe, dec_len: the decoder on any 0 to 15 bytes, in each code mode. The bytes end where the object ends, so that
 * reading one too many is an error. The contract of decode() is checked on the way. */
#include "eva/eva.h"

#include "sbe/decode.c"

void main(void)
{
    u8 bytes[15];
    struct insn insn;
    any_bytes(bytes, sizeof bytes);
    unsigned available = any_below(16), mode = any_below(3);
    //@ split available;
    //@ split mode;
    enum decode result = decode(bytes + 15 - available, available, (enum code_mode)mode, &insn);
    if (result == DECODE_OK) {
        REACHED(ok);
    } else if (result == DECODE_TRUNCATED) {
        REACHED(truncated);
    } else if (result == DECODE_INVALID) {
        REACHED(invalid);
    } else {
        REACHED(too_long);
    }
}
