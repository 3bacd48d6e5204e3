/* Addition, logic, comparison: SDM vol. 2, ADD ADC SUB SBB AND OR XOR CMP TEST NEG NOT INC DEC.
 *
 * The forms with a memory operand are kept out of line: the register forms, which are most of what runs, should not pay
 * for their stack frames. */
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

#define OUT_OF_LINE __attribute__((noinline))

/* <op>_rm_r, <op>_r_rm, <op>_rm_imm and <op>_a_imm at one size. */
#define ALU(bits, type, suffix, cast, op)                                                                  \
    static OUT_OF_LINE enum exec op##_mem_##bits(struct vcpu *v, const struct insn *i, type b)             \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_##bits(a, b, &v->cpu.aflags));                           \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    static inline enum exec op##_to_rm_##bits(struct vcpu *v, const struct insn *i, type b)                \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return op##_mem_##bits(v, i, b);                                                               \
        type a = reg_get_##bits(v, i->rm_at);                                                              \
        reg_set_##bits(v, i->rm_at, native_##op##_##bits(a, b, &v->cpu.aflags));                           \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_r_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        return op##_to_rm_##bits(v, i, reg_get_##bits(v, i->reg_at));                                      \
    }                                                                                                      \
    enum exec op_##op##_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        return op##_to_rm_##bits(v, i, (type)i->imm);                                                      \
    }                                                                                                      \
    static inline enum exec op##_to_r_##bits(struct vcpu *v, const struct insn *i, type b)                 \
    {                                                                                                      \
        type a = reg_get_##bits(v, i->reg_at);                                                             \
        reg_set_##bits(v, i->reg_at, native_##op##_##bits(a, b, &v->cpu.aflags));                          \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    static OUT_OF_LINE enum exec op##_r_mem_##bits(struct vcpu *v, const struct insn *i)                   \
    {                                                                                                      \
        type b;                                                                                            \
        return rm_read_##bits(v, i, &b) ? op##_to_r_##bits(v, i, b) : EXEC_FAULT;                          \
    }                                                                                                      \
    enum exec op_##op##_r_rm_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return op##_r_mem_##bits(v, i);                                                                \
        return op##_to_r_##bits(v, i, reg_get_##bits(v, i->rm_at));                                        \
    }                                                                                                      \
    enum exec op_##op##_a_imm_##bits(struct vcpu *v, const struct insn *i)                                 \
    {                                                                                                      \
        type a = reg_get_##bits(v, RAX * 8);                                                                   \
        reg_set_##bits(v, RAX * 8, native_##op##_##bits(a, (type)i->imm, &v->cpu.aflags));                     \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(ALU, add)
NATIVE_SIZES(ALU, or)
NATIVE_SIZES(ALU, adc)
NATIVE_SIZES(ALU, sbb)
NATIVE_SIZES(ALU, and)
NATIVE_SIZES(ALU, sub)
NATIVE_SIZES(ALU, xor)

/* CMP and TEST: the same forms, nothing written but flags. */
#define COMPARE(bits, type, suffix, cast, op)                                                              \
    static OUT_OF_LINE enum exec op##_mem_##bits(struct vcpu *v, const struct insn *i, type b)             \
    {                                                                                                      \
        type a;                                                                                            \
        if (!rm_read_##bits(v, i, &a))                                                                     \
            return EXEC_FAULT;                                                                             \
        native_##op##_##bits(a, b, &v->cpu.aflags);                                                        \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    static inline enum exec op##_with_rm_##bits(struct vcpu *v, const struct insn *i, type b)              \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return op##_mem_##bits(v, i, b);                                                               \
        native_##op##_##bits(reg_get_##bits(v, i->rm_at), b, &v->cpu.aflags);                              \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_r_##bits(struct vcpu *v, const struct insn *i)                                  \
    {                                                                                                      \
        return op##_with_rm_##bits(v, i, reg_get_##bits(v, i->reg_at));                                    \
    }                                                                                                      \
    enum exec op_##op##_rm_imm_##bits(struct vcpu *v, const struct insn *i)                                \
    {                                                                                                      \
        return op##_with_rm_##bits(v, i, (type)i->imm);                                                    \
    }                                                                                                      \
    enum exec op_##op##_a_imm_##bits(struct vcpu *v, const struct insn *i)                                 \
    {                                                                                                      \
        native_##op##_##bits(reg_get_##bits(v, RAX * 8), (type)i->imm, &v->cpu.aflags);                        \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(COMPARE, cmp)
NATIVE_SIZES(COMPARE, test)

/* CMP with the register first. */
#define COMPARE_REVERSED(bits, type, suffix, cast)                                                         \
    static OUT_OF_LINE enum exec cmp_r_mem_##bits(struct vcpu *v, const struct insn *i)                    \
    {                                                                                                      \
        type b;                                                                                            \
        if (!rm_read_##bits(v, i, &b))                                                                     \
            return EXEC_FAULT;                                                                             \
        native_cmp_##bits(reg_get_##bits(v, i->reg_at), b, &v->cpu.aflags);                                \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_cmp_r_rm_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return cmp_r_mem_##bits(v, i);                                                                 \
        native_cmp_##bits(reg_get_##bits(v, i->reg_at), reg_get_##bits(v, i->rm_at), &v->cpu.aflags);      \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(COMPARE_REVERSED)

/* One operand. */
#define UNARY(bits, type, suffix, cast, op)                                                                \
    static OUT_OF_LINE enum exec op##_mem_##bits(struct vcpu *v, const struct insn *i)                     \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, native_##op##_##bits(a, &v->cpu.aflags));                              \
        return EXEC_NEXT;                                                                                  \
    }                                                                                                      \
    enum exec op_##op##_rm_##bits(struct vcpu *v, const struct insn *i)                                    \
    {                                                                                                      \
        if (insn_is_memory(i))                                                                             \
            return op##_mem_##bits(v, i);                                                                  \
        type a = reg_get_##bits(v, i->rm_at);                                                              \
        reg_set_##bits(v, i->rm_at, native_##op##_##bits(a, &v->cpu.aflags));                              \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(UNARY, inc)
NATIVE_SIZES(UNARY, dec)
NATIVE_SIZES(UNARY, neg)

#define NOT(bits, type, suffix, cast)                                                                      \
    enum exec op_not_rm_##bits(struct vcpu *v, const struct insn *i)                                       \
    {                                                                                                      \
        struct mem_rmw rmw;                                                                                \
        type a;                                                                                            \
        if (!rm_open_##bits(v, i, &rmw, &a))                                                               \
            return EXEC_FAULT;                                                                             \
        rm_close_##bits(v, i, &rmw, (type)~a);                                                             \
        return EXEC_NEXT;                                                                                  \
    }
NATIVE_SIZES(NOT)
