/* Decimal adjustment, which no processor executes in 64-bit mode: the SDM's pseudo code (vol. 2, DAA DAS AAA AAS AAM AAD).
 *
 * What the manual leaves undefined is fixed here, the same on every host: undefined OF, CF and AF are cleared; undefined
 * SF, ZF and PF are those of the resulting AL. */
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

static void set_ax(struct vcpu *v, u8 ah, u8 al) { reg_set_16(v, RAX * 8, (u16)(ah << 8 | al)); }

/* SF, ZF and PF of `al`; AF and CF as given; OF clear. */
static void set_flags(struct vcpu *v, u8 al, u32 adjust_and_carry)
{
    u32 flags;
    native_test_8(al, al, &flags);
    v->cpu.aflags = (flags & (FLAG_SF | FLAG_ZF | FLAG_PF)) | adjust_and_carry;
}

/* DAA with sign 1, DAS with sign -1. */
static enum exec decimal_adjust(struct vcpu *v, int sign)
{
    u8 al = reg_get_8(v, RAX * 8), result = al;
    u32 old = v->cpu.aflags, flags = 0;
    if ((al & 0xf) > 9 || (old & FLAG_AF)) {
        result = (u8)(result + 6 * sign);
        flags |= FLAG_AF;
        bool carried = sign > 0 ? al > 0xff - 6 : al < 6;
        if (carried || (old & FLAG_CF))
            flags |= FLAG_CF;
    }
    if (al > 0x99 || (old & FLAG_CF)) {
        result = (u8)(result + 0x60 * sign);
        flags |= FLAG_CF;
    } else if (sign > 0) {
        flags &= ~FLAG_CF;
    }
    reg_set_8(v, RAX * 8, result);
    set_flags(v, result, flags);
    return EXEC_NEXT;
}

enum exec op_daa(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return decimal_adjust(v, 1);
}

enum exec op_das(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return decimal_adjust(v, -1);
}

/* AAA with sign 1, AAS with sign -1: AX ± 106h, then the low nibble of AL. */
static enum exec ascii_adjust(struct vcpu *v, int sign)
{
    u16 ax = reg_get_16(v, RAX * 8);
    u32 flags = 0;
    if ((ax & 0xf) > 9 || (v->cpu.aflags & FLAG_AF)) {
        ax = (u16)(ax + 0x106 * sign);
        flags = FLAG_AF | FLAG_CF;
    }
    set_ax(v, (u8)(ax >> 8), ax & 0xf);
    set_flags(v, ax & 0xf, flags);
    return EXEC_NEXT;
}

enum exec op_aaa(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return ascii_adjust(v, 1);
}

enum exec op_aas(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return ascii_adjust(v, -1);
}

enum exec op_aam(struct vcpu *v, const struct insn *i)
{
    u8 base = (u8)i->imm;
    if (base == 0)
        return fault_vector(v, VEC_DE);
    u8 al = reg_get_8(v, RAX * 8);
    set_ax(v, al / base, al % base);
    set_flags(v, al % base, 0);
    return EXEC_NEXT;
}

enum exec op_aad(struct vcpu *v, const struct insn *i)
{
    u16 ax = reg_get_16(v, RAX * 8);
    u8 al = (u8)(ax + (ax >> 8) * (u8)i->imm);
    set_ax(v, 0, al);
    set_flags(v, al, 0);
    return EXEC_NEXT;
}

/* Undocumented in some manuals, present in every processor: AL = CF ? FFh : 0. */
enum exec op_salc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    reg_set_8(v, RAX * 8, v->cpu.aflags & FLAG_CF ? 0xff : 0);
    return EXEC_NEXT;
}
