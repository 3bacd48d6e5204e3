/* The decoder on any bytes. Input: a byte that chooses the mode, then up to 15 bytes of code. */
#include "fuzz/fuzz.h"
#include "sbe/decode.h"

#include <string.h>

enum { UNTOUCHED = 0xa5, FIELDS = offsetof(struct insn, vex_l) + 1 };

static enum decode decode_exactly(const uint8_t *code, unsigned available, enum code_mode mode, struct insn *insn)
{
    memset(insn, UNTOUCHED, sizeof(*insn));
    return decode(code, available, mode, insn);
}

static void check_fields(const struct insn *i, enum code_mode mode, unsigned available)
{
    FUZZ_CHECK(i->handler == NULL);
    FUZZ_CHECK(i->row > ISA_INVALID && i->row < isa_row_count);
    FUZZ_CHECK(isa_rows[i->row].modes >> mode & 1);
    FUZZ_CHECK(i->length >= 1 && i->length <= available);
    FUZZ_CHECK(i->opsize == 1 || i->opsize == 2 || i->opsize == 4 || (i->opsize == 8 && mode == CODE_64));
    FUZZ_CHECK(i->addrsize == 2 || i->addrsize == 4 || (i->addrsize == 8 && mode == CODE_64));
    unsigned registers = mode == CODE_64 ? 16 : 8;
    FUZZ_CHECK(i->reg < registers && i->rm < registers && i->vvvv < registers);
    FUZZ_CHECK(i->reg_at < 8 * registers && i->rm_at < 8 * registers);
    FUZZ_CHECK(i->base < registers || i->base == REG_NONE || (i->base == REG_RIP && mode == CODE_64));
    FUZZ_CHECK(i->index < registers || i->index == REG_NONE);
    FUZZ_CHECK(i->index != RSP && i->scale < 4 && i->seg < SEG_COUNT && i->vex_l < 2);
}

/* A refusal touches nothing; what is too short stays so at every shorter length. */
static void check_shorter(const uint8_t *code, unsigned length, enum code_mode mode)
{
    struct insn insn, blank;
    memset(&blank, UNTOUCHED, sizeof(blank));
    for (unsigned available = 0; available < length; available++) {
        FUZZ_CHECK(decode_exactly(code, available, mode, &insn) == DECODE_TRUNCATED);
        FUZZ_CHECK(!memcmp(&insn, &blank, sizeof(insn)));
    }
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct insn first, again;
    uint8_t code[INSN_MAX];
    if (size == 0)
        return 0;
    enum code_mode mode = (enum code_mode)(data[0] % 3);
    unsigned available = size - 1 < INSN_MAX ? (unsigned)(size - 1) : INSN_MAX;
    enum decode result = decode_exactly(data + 1, available, mode, &first);
    if (result == DECODE_TOO_LONG)
        FUZZ_CHECK(available == INSN_MAX);
    if (result == DECODE_INVALID) { /* whatever follows */
        memset(code, 0x5a, sizeof(code));
        memcpy(code, data + 1, available);
        FUZZ_CHECK(decode_exactly(code, INSN_MAX, mode, &again) == DECODE_INVALID);
    }
    if (result != DECODE_OK)
        return 0;
    check_fields(&first, mode, available);
    check_shorter(data + 1, first.length, mode);
    memset(code, 0x5a, sizeof(code));
    memcpy(code, data + 1, first.length);
    FUZZ_CHECK(decode_exactly(code, INSN_MAX, mode, &again) == DECODE_OK && !memcmp(&first, &again, FIELDS));
    return 0;
}
