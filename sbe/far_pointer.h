/* The m16:16, m16:32 and m16:64 operands of far JMP and CALL, LDS and its kin. */
#ifndef REPRISE_SBE_FAR_POINTER_H
#define REPRISE_SBE_FAR_POINTER_H

#include "sbe/exec.h"

/* Reads the offset, of operand size, and the selector behind it. Two accesses: each is checked on its own, and the
 * selector's address wraps with the address size. */
static inline bool far_pointer_read(struct vcpu *v, const struct insn *i, u64 *offset, u16 *selector)
{
    u64 at = insn_offset(v, i), linear, selector_linear;
    u32 dword;
    u16 word;
    if (!seg_linear(v, (enum seg)i->seg, at, i->opsize, ACCESS_READ, &linear) ||
        !seg_linear(v, (enum seg)i->seg, address_truncate(i, at + i->opsize), 2, ACCESS_READ, &selector_linear))
        return false;
    if (i->opsize == 8) {
        if (!mem_read64(v, linear, offset))
            return false;
    } else if (i->opsize == 4) {
        if (!mem_read32(v, linear, &dword))
            return false;
        *offset = dword;
    } else {
        if (!mem_read16(v, linear, &word))
            return false;
        *offset = word;
    }
    return mem_read16(v, selector_linear, selector);
}

#endif
