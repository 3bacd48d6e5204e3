/* Integer operations on the host's own unit, with the six arithmetic flags in and out.
 *
 * Undefined flags must come out as the processor leaves them (ARCHITECTURE.md, "exactness"), so the operation itself
 * runs natively. Where every flag is defined, or is undefined but never depends on its old value, only the result is
 * captured; where a processor may leave an undefined flag as it was, the guest's flags are loaded first.
 *
 * Flags travel through AX: LAHF and SAHF move SF, ZF, AF, PF and CF through AH at their RFLAGS positions; OF goes through
 * AL as 0 or 1 (adding 127 to 1 overflows, to 0 does not). That is several times cheaper than PUSHF and POPF. AX is
 * always an early clobber: without it, an operand that is known to equal the packed flags could share the register. */
#ifndef REPRISE_SBE_NATIVE_FLAGS_H
#define REPRISE_SBE_NATIVE_FLAGS_H

#include "core/x86.h"

#define NATIVE_FLAGS_LOAD "addb $127, %%al\n\tsahf\n\t"
#define NATIVE_FLAGS_STORE "\n\tlahf\n\tseto %%al"

#define FLAGS_IN_AH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)

static inline u32 native_flags_pack(u32 aflags) { return (aflags & FLAGS_IN_AH) << 8 | (aflags & FLAG_OF) >> 11; }
static inline u32 native_flags_unpack(u32 ax) { return (ax >> 8 & FLAGS_IN_AH) | (ax & 1) << 11; }

/* Expands `template(bits, type, suffix, cast)` for the four operand sizes. `cast` is the operand modifier that names the
 * register at that width in an asm template. */
#define NATIVE_WIDE(template, ...)                \
    template(16, u16, "w", "w", ##__VA_ARGS__)    \
    template(32, u32, "l", "k", ##__VA_ARGS__)    \
    template(64, u64, "q", "q", ##__VA_ARGS__)
#define NATIVE_SIZES(template, ...)            \
    template(8, u8, "b", "b", ##__VA_ARGS__)   \
    NATIVE_WIDE(template, ##__VA_ARGS__)

/* a = a op b, for operations whose flags do not depend on the old ones. */
#define NATIVE_BINARY(bits, type, suffix, cast, op)                          \
    static inline type native_##op##_##bits(type a, type b, u32 *flags)      \
    {                                                                        \
        u32 ax;                                                              \
        __asm__(#op suffix " %[b], %[a]" NATIVE_FLAGS_STORE                  \
                : [a] "+r"(a), "=&a"(ax) : [b] "r"(b) : "cc");               \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_SIZES(NATIVE_BINARY, add)
NATIVE_SIZES(NATIVE_BINARY, sub)
NATIVE_SIZES(NATIVE_BINARY, and)
NATIVE_SIZES(NATIVE_BINARY, or)
NATIVE_SIZES(NATIVE_BINARY, xor)

/* The same without a result. */
#define NATIVE_COMPARE(bits, type, suffix, cast, op)                         \
    static inline void native_##op##_##bits(type a, type b, u32 *flags)      \
    {                                                                        \
        u32 ax;                                                              \
        __asm__(#op suffix " %[b], %[a]" NATIVE_FLAGS_STORE                  \
                : "=&a"(ax) : [a] "r"(a), [b] "r"(b) : "cc");                \
        *flags = native_flags_unpack(ax);                                    \
    }
NATIVE_SIZES(NATIVE_COMPARE, cmp)
NATIVE_SIZES(NATIVE_COMPARE, test)

/* With the old CF as an input: ADC and SBB. */
#define NATIVE_CARRY(bits, type, suffix, cast, op)                           \
    static inline type native_##op##_##bits(type a, type b, u32 *flags)      \
    {                                                                        \
        u32 ax;                                                              \
        __asm__("btl $0, %[in]\n\t" #op suffix " %[b], %[a]" NATIVE_FLAGS_STORE \
                : [a] "+r"(a), "=&a"(ax) : [b] "r"(b), [in] "r"(*flags) : "cc"); \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_SIZES(NATIVE_CARRY, adc)
NATIVE_SIZES(NATIVE_CARRY, sbb)

/* One operand. INC and DEC keep CF, which BT brings in; NEG overwrites it. */
#define NATIVE_UNARY(bits, type, suffix, cast, op)                           \
    static inline type native_##op##_##bits(type a, u32 *flags)              \
    {                                                                        \
        u32 ax;                                                              \
        __asm__("btl $0, %[in]\n\t" #op suffix " %[a]" NATIVE_FLAGS_STORE    \
                : [a] "+r"(a), "=&a"(ax) : [in] "r"(*flags) : "cc");         \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_SIZES(NATIVE_UNARY, inc)
NATIVE_SIZES(NATIVE_UNARY, dec)
NATIVE_SIZES(NATIVE_UNARY, neg)

/* Shifts and rotates by CL, and by the constant 1 as its own instruction. All flags in: a count of 0 keeps them. */
#define NATIVE_SHIFT(bits, type, suffix, cast, op)                           \
    static inline type native_##op##_##bits(type a, u8 count, u32 *flags)    \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD #op suffix " %%cl, %[a]" NATIVE_FLAGS_STORE \
                : [a] "+r"(a), "+&a"(ax) : "c"(count) : "cc");                \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }                                                                        \
    static inline type native_##op##_one_##bits(type a, u32 *flags)          \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD #op suffix " $1, %[a]" NATIVE_FLAGS_STORE  \
                : [a] "+r"(a), "+&a"(ax) : : "cc");                           \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_SIZES(NATIVE_SHIFT, rol)
NATIVE_SIZES(NATIVE_SHIFT, ror)
NATIVE_SIZES(NATIVE_SHIFT, rcl)
NATIVE_SIZES(NATIVE_SHIFT, rcr)
NATIVE_SIZES(NATIVE_SHIFT, shl)
NATIVE_SIZES(NATIVE_SHIFT, shr)
NATIVE_SIZES(NATIVE_SHIFT, sar)

#define NATIVE_SHIFT_DOUBLE(bits, type, suffix, cast, op)                    \
    static inline type native_##op##_##bits(type a, type b, u8 count, u32 *flags) \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD #op suffix " %%cl, %[b], %[a]" NATIVE_FLAGS_STORE \
                : [a] "+r"(a), "+&a"(ax) : [b] "r"(b), "c"(count) : "cc");    \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_WIDE(NATIVE_SHIFT_DOUBLE, shld)
NATIVE_WIDE(NATIVE_SHIFT_DOUBLE, shrd)

/* BT and its kin; `bit` is below the operand's width. */
#define NATIVE_BIT(bits, type, suffix, cast, op)                             \
    static inline type native_##op##_##bits(type a, type bit, u32 *flags)    \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD #op suffix " %[bit], %[a]" NATIVE_FLAGS_STORE \
                : [a] "+r"(a), "+&a"(ax) : [bit] "r"(bit) : "cc");            \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_WIDE(NATIVE_BIT, bt)
NATIVE_WIDE(NATIVE_BIT, bts)
NATIVE_WIDE(NATIVE_BIT, btr)
NATIVE_WIDE(NATIVE_BIT, btc)

/* Bit scans and counts. `old` is the whole destination register: a scan of 0 leaves of it what the processor leaves. */
#define NATIVE_SCAN(bits, type, suffix, cast, op)                            \
    static inline u64 native_##op##_##bits(u64 old, type source, u32 *flags) \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD #op suffix " %[source], %" cast "[old]" NATIVE_FLAGS_STORE \
                : [old] "+r"(old), "+&a"(ax) : [source] "r"(source) : "cc");  \
        *flags = native_flags_unpack(ax);                                    \
        return old;                                                          \
    }
NATIVE_WIDE(NATIVE_SCAN, bsf)
NATIVE_WIDE(NATIVE_SCAN, bsr)
NATIVE_WIDE(NATIVE_SCAN, tzcnt)
NATIVE_WIDE(NATIVE_SCAN, lzcnt)
NATIVE_WIDE(NATIVE_SCAN, popcnt)

/* IMUL with two operands. */
#define NATIVE_IMUL(bits, type, suffix, cast)                                \
    static inline type native_imul2_##bits(type a, type b, u32 *flags)       \
    {                                                                        \
        u32 ax = native_flags_pack(*flags);                                  \
        __asm__(NATIVE_FLAGS_LOAD "imul" suffix " %[b], %[a]" NATIVE_FLAGS_STORE \
                : [a] "+r"(a), "+&a"(ax) : [b] "r"(b) : "cc");                \
        *flags = native_flags_unpack(ax);                                    \
        return a;                                                            \
    }
NATIVE_WIDE(NATIVE_IMUL)

/* MUL, IMUL, DIV, IDIV on high:low. A division must have been found free of #DE. rAX is taken by the flags until the
 * operation and after it, hence the moves, which touch no flag. */
#define NATIVE_WIDE_PAIR(bits, type, suffix, cast, op)                       \
    static inline void native_##op##_##bits(type *low, type *high, type b, u32 *flags) \
    {                                                                        \
        u64 rax = native_flags_pack(*flags);                                 \
        __asm__(NATIVE_FLAGS_LOAD                                            \
                "mov %q[low], %%rax\n\t" #op suffix " %[b]\n\tmov %%rax, %q[low]" NATIVE_FLAGS_STORE \
                : [low] "+&r"(*low), "+d"(*high), "+&a"(rax) : [b] "r"(b) : "cc"); \
        *flags = native_flags_unpack((u32)rax);                              \
    }
NATIVE_WIDE(NATIVE_WIDE_PAIR, mul)
NATIVE_WIDE(NATIVE_WIDE_PAIR, imul)
NATIVE_WIDE(NATIVE_WIDE_PAIR, div)
NATIVE_WIDE(NATIVE_WIDE_PAIR, idiv)

/* The byte forms: AX = AL × b; AL, AH = AX / b. */
#define NATIVE_BYTE_PAIR(op)                                                 \
    static inline u16 native_##op##_8(u16 pair, u8 b, u32 *flags)            \
    {                                                                        \
        u64 rax = native_flags_pack(*flags);                                 \
        u64 wide = pair;                                                     \
        __asm__(NATIVE_FLAGS_LOAD                                            \
                "mov %[wide], %%rax\n\t" #op "b %[b]\n\tmov %%rax, %[wide]" NATIVE_FLAGS_STORE \
                : [wide] "+&r"(wide), "+&a"(rax) : [b] "r"(b) : "cc");       \
        *flags = native_flags_unpack((u32)rax);                              \
        return (u16)wide;                                                    \
    }
NATIVE_BYTE_PAIR(mul)
NATIVE_BYTE_PAIR(imul)
NATIVE_BYTE_PAIR(div)
NATIVE_BYTE_PAIR(idiv)

#endif
