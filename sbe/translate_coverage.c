/* Coverage of guest code (sbe/coverage.h). Only the ways out of a block are counted, by the address of the jump: blocks begin where
 * execution happens to resume, which an interrupt or a full budget may move. So with coverage each conditional jump ends its
 * block. None of the sequences writes flags. */
#include "sbe/coverage.h"

#include "core/vm.h"
#include "sbe/translate_internal.h"

bool coverage_start(struct vcpu *v, u8 *map)
{
    if (!v->sbe)
        return false;
    v->context.coverage = map;
    codecache_forget_all(v);
    return true;
}

static void emit_load_byte(struct emitter *e, unsigned reg, struct host_rm rm)
{
    emit_rex(e, 0, reg, &rm);
    emit8(e, 0x0f); /* movzx r32, byte */
    emit8(e, 0xb6);
    emit_modrm(e, reg, &rm);
}

static void emit_store_byte(struct emitter *e, unsigned reg, struct host_rm rm) { emit_op(e, REX_BASE, 0x88, reg, rm); }

void emit_coverage(struct translation *t, unsigned index)
{
    struct emitter *e = &t->e;
    struct host_rm counter = rm_memory(HOST_ADDEND, (s32)index);
    emit_load(e, HOST_ADDEND, IN_CONTEXT(coverage));
    emit_load_byte(e, HOST_ADDRESS, counter);
    emit_lea(e, false, HOST_ADDRESS, rm_memory(HOST_ADDRESS, 1));
    emit_store_byte(e, HOST_ADDRESS, counter);
}

/* The counter is chosen by the low bits of R10, which stays. */
void emit_coverage_target(struct translation *t)
{
    struct emitter *e = &t->e;
    struct host_rm low = rm_register(HOST_ADDEND);
    emit_store(e, HOST_ADDRESS, IN_CONTEXT(scratch));
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDRESS, (s32)coverage_index(t->rip, COVERAGE_TARGET)));
    emit8(e, 0x0f); /* movzx ecx, cx */
    emit8(e, 0xb7);
    emit_modrm(e, HOST_ADDEND, &low);
    emit_load(e, HOST_ADDRESS, IN_CONTEXT(coverage));
    emit_lea(e, true, HOST_ADDRESS, rm_indexed(HOST_ADDRESS, HOST_ADDEND, 0, 0));
    emit_load_byte(e, HOST_ADDEND, rm_memory(HOST_ADDRESS, 0));
    emit_lea(e, false, HOST_ADDEND, rm_memory(HOST_ADDEND, 1));
    emit_store_byte(e, HOST_ADDEND, rm_memory(HOST_ADDRESS, 0));
    emit_load(e, HOST_ADDRESS, IN_CONTEXT(scratch));
}
