/* Single flags: SDM vol. 2, CMC CLC STC CLD STD LAHF SAHF. */
#include "core/vm.h"
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

enum exec op_cmc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.aflags ^= FLAG_CF;
    return EXEC_NEXT;
}

enum exec op_clc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.aflags &= ~FLAG_CF;
    return EXEC_NEXT;
}

enum exec op_stc(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.aflags |= FLAG_CF;
    return EXEC_NEXT;
}

enum exec op_cld(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.rflags &= ~FLAG_DF;
    return EXEC_NEXT;
}

enum exec op_std(struct vcpu *v, const struct insn *i)
{
    (void)i;
    v->cpu.rflags |= FLAG_DF;
    return EXEC_NEXT;
}

/* LAHF and SAHF came to 64-bit mode late: CPUID.80000001H:ECX[0]. */
static bool absent(const struct vcpu *v)
{
    return v->mode == CODE_64 && !model_has(v->vm->config.model, FEAT_LAHF64);
}

enum exec op_lahf(struct vcpu *v, const struct insn *i)
{
    (void)i;
    if (absent(v))
        return fault_ud(v);
    reg_set_8(v, RAX * 8 + 1, (u8)((v->cpu.aflags & FLAGS_IN_AH) | FLAG_FIXED));
    return EXEC_NEXT;
}

enum exec op_sahf(struct vcpu *v, const struct insn *i)
{
    (void)i;
    if (absent(v))
        return fault_ud(v);
    v->cpu.aflags = (v->cpu.aflags & FLAG_OF) | (reg_get_8(v, RAX * 8 + 1) & FLAGS_IN_AH);
    return EXEC_NEXT;
}
