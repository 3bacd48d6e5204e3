/* String instructions: SDM vol. 2, MOVS CMPS SCAS LODS STOS and the REP prefixes; vol. 1, 7.3.9.3.
 *
 * Each iteration of a repeated instruction is an instruction of its own: it is counted when it completes, its registers
 * and flags are final, and interrupts, faults, single-step and the run loop's budget fall between two of them. So where
 * a run is cut never shows. In particular a fault in CMPS or SCAS leaves the flags of the last completed iteration. */
#include "core/vm.h"
#include "sbe/handlers.h"
#include "sbe/native_flags.h"

#define INLINE static inline __attribute__((always_inline))

/* One iteration, rCX excepted: true, or false with a fault recorded and nothing changed. */
typedef bool (*string_step)(struct vcpu *v, const struct insn *i);

INLINE void advance(struct vcpu *v, const struct insn *i, enum gpr reg)
{
    u64 value = v->cpu.gpr[reg];
    set_address_register(v, i, reg, v->cpu.rflags & FLAG_DF ? value - i->opsize : value + i->opsize);
}

/* Linear addresses of one element; the destination is always in ES. */
INLINE bool source_linear(struct vcpu *v, const struct insn *i, unsigned size, u64 *linear)
{
    return seg_linear(v, (enum seg)i->seg, address_register(v, i, RSI), size, ACCESS_READ, linear);
}

INLINE bool destination_linear(struct vcpu *v, const struct insn *i, unsigned size, enum access access, u64 *linear)
{
    return seg_linear(v, SEG_ES, address_register(v, i, RDI), size, access, linear);
}

INLINE bool repeated(const struct insn *i) { return i->prefixes & (INSN_REP | INSN_REPNE); }

/* CMPS and SCAS stop early: REPE when the elements differ, REPNE when they are equal. */
INLINE bool stops_early(const struct vcpu *v, const struct insn *i)
{
    bool equal = v->cpu.aflags & FLAG_ZF;
    return i->prefixes & INSN_REP ? !equal : equal;
}

/* Must the instruction be looked at anew after an iteration? Devices may lower stop_at; and it may have written itself. */
INLINE bool interrupted(const struct vcpu *v, u64 changes)
{
    return v->stepping || v->cpu.icount >= v->stop_at || v->vm->memory.code_changes != changes;
}

/* Runs a string instruction element by element. The last iteration is counted by the run loop, the others here and at
 * once, because a device may look at the clock in each. */
INLINE enum exec run_elements(struct vcpu *v, const struct insn *i, string_step step, bool conditional)
{
    if (!repeated(i))
        return step(v, i) ? EXEC_NEXT : EXEC_FAULT;
    u64 count = address_register(v, i, RCX), changes = v->vm->memory.code_changes;
    if (count == 0)
        return EXEC_NEXT;
    for (;;) {
        if (!step(v, i))
            return EXEC_FAULT;
        set_address_register(v, i, RCX, --count);
        if (count == 0 || (conditional && stops_early(v, i)))
            return EXEC_NEXT;
        v->cpu.icount++;
        if (interrupted(v, changes))
            return EXEC_REPEAT;
    }
}

/* ---- Runs of elements within one page ----------------------------------------------------------- */

/* Elements that may run before anything must be looked at again: 0 when each needs a look. */
INLINE u64 run_budget(const struct vcpu *v, u64 count)
{
    if (v->stepping || (v->cpu.rflags & FLAG_DF) || v->cpu.icount >= v->stop_at)
        return 0;
    u64 budget = v->stop_at - v->cpu.icount;
    return count < budget ? count : budget;
}

/* Host memory of the elements from seg:reg upwards if all of the next *count have the same page of plain memory; lowers
 * *count to what the page holds. NULL if there is none or the TLB does not know it yet. */
INLINE u8 *host_run(struct vcpu *v, const struct insn *i, enum seg seg, enum gpr reg, enum access access, unsigned size,
                    u64 *count)
{
    u64 linear, offset = address_register(v, i, reg);
    if (!seg_linear(v, seg, offset, size, access, &linear))
        return NULL;
    u64 room = (PAGE_SIZE - (linear & PAGE_MASK)) / size;
    if (*count > room)
        *count = room;
    u64 bytes = *count * size;
    u64 last = offset + bytes - 1;
    bool wraps = address_truncate(i, last) != last || last < offset;
    if (bytes == 0 || wraps || !seg_linear(v, seg, offset, (unsigned)bytes, access, &linear))
        return NULL;
    const struct tlb_entry *e = tlb_slot(v->tlb.current, linear);
    u64 tag = access == ACCESS_READ ? e->read_tag : e->write_tag;
    u64 epoch = access == ACCESS_READ ? v->tlb.epoch : v->tlb.write_epoch;
    return tlb_hit(tag, linear, (unsigned)bytes, epoch) ? (u8 *)(linear + e->addend) : NULL;
}

/* Accounts for `done` of `count` iterations. The last one of all is the run loop's to count. */
INLINE void account(struct vcpu *v, const struct insn *i, u64 count, u64 done)
{
    set_address_register(v, i, RCX, count - done);
    v->cpu.icount += count == done ? done - 1 : done;
}

/* Copies upwards, element by element: with an overlap, later elements read what earlier ones wrote. */
#define HOST_COPY(bits, suffix)                                                                            \
    INLINE void host_copy_##bits(u8 *to, const u8 *from, u64 count)                                        \
    {                                                                                                      \
        __asm__ volatile("rep movs" suffix : "+D"(to), "+S"(from), "+c"(count) : : "memory");              \
    }                                                                                                      \
    INLINE void host_fill_##bits(u8 *to, u##bits value, u64 count)                                         \
    {                                                                                                      \
        __asm__ volatile("rep stos" suffix : "+D"(to), "+c"(count) : "a"(value) : "memory");               \
    }
HOST_COPY(8, "b")
HOST_COPY(16, "w")
HOST_COPY(32, "l")
HOST_COPY(64, "q")

/* ---- The instructions --------------------------------------------------------------------------- */

/* MOVS: runs where both pages are plain memory, single elements to get there and everywhere else. */
#define MOVS(bits, type)                                                                                   \
    INLINE bool movs_step_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u64 from, to;                                                                                      \
        type value;                                                                                        \
        if (!source_linear(v, i, sizeof(type), &from) || !mem_read##bits(v, from, &value) ||               \
            !destination_linear(v, i, sizeof(type), ACCESS_WRITE, &to) || !mem_write##bits(v, to, value))  \
            return false;                                                                                  \
        advance(v, i, RSI);                                                                                \
        advance(v, i, RDI);                                                                                \
        return true;                                                                                       \
    }                                                                                                      \
    static u64 movs_run_##bits(struct vcpu *v, const struct insn *i, u64 count)                            \
    {                                                                                                      \
        u64 n = run_budget(v, count);                                                                      \
        const u8 *from = n ? host_run(v, i, (enum seg)i->seg, RSI, ACCESS_READ, sizeof(type), &n) : NULL; \
        u8 *to = from ? host_run(v, i, SEG_ES, RDI, ACCESS_WRITE, sizeof(type), &n) : NULL;                \
        if (!to)                                                                                           \
            return 0;                                                                                      \
        host_copy_##bits(to, from, n);                                                                     \
        set_address_register(v, i, RSI, v->cpu.gpr[RSI] + n * sizeof(type));                               \
        set_address_register(v, i, RDI, v->cpu.gpr[RDI] + n * sizeof(type));                               \
        return n;                                                                                          \
    }

/* STOS: the same with one page. */
#define STOS(bits, type)                                                                                   \
    INLINE bool stos_step_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u64 to;                                                                                            \
        if (!destination_linear(v, i, sizeof(type), ACCESS_WRITE, &to) ||                                  \
            !mem_write##bits(v, to, (type)v->cpu.gpr[RAX]))                                                \
            return false;                                                                                  \
        advance(v, i, RDI);                                                                                \
        return true;                                                                                       \
    }                                                                                                      \
    static u64 stos_run_##bits(struct vcpu *v, const struct insn *i, u64 count)                            \
    {                                                                                                      \
        u64 n = run_budget(v, count);                                                                      \
        u8 *to = n ? host_run(v, i, SEG_ES, RDI, ACCESS_WRITE, sizeof(type), &n) : NULL;                   \
        if (!to)                                                                                           \
            return 0;                                                                                      \
        host_fill_##bits(to, (type)v->cpu.gpr[RAX], n);                                                    \
        set_address_register(v, i, RDI, v->cpu.gpr[RDI] + n * sizeof(type));                               \
        return n;                                                                                          \
    }

/* Alternates runs with single elements, which fill the TLB, cross pages, and reach devices and watched pages. */
#define RUN_OR_STEP(name, bits)                                                                            \
    enum exec op_##name##_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        if (!repeated(i))                                                                                  \
            return name##_step_##bits(v, i) ? EXEC_NEXT : EXEC_FAULT;                                      \
        u64 count = address_register(v, i, RCX), changes = v->vm->memory.code_changes;                     \
        while (count != 0) {                                                                               \
            u64 done = name##_run_##bits(v, i, count);                                                     \
            if (done == 0) {                                                                               \
                if (!name##_step_##bits(v, i))                                                             \
                    return EXEC_FAULT;                                                                     \
                done = 1;                                                                                  \
            }                                                                                              \
            account(v, i, count, done);                                                                    \
            count -= done;                                                                                 \
            if (count != 0 && interrupted(v, changes))                                                     \
                return EXEC_REPEAT;                                                                        \
        }                                                                                                  \
        return EXEC_NEXT;                                                                                  \
    }

#define LODS(bits, type)                                                                                   \
    INLINE bool lods_step_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u64 from;                                                                                          \
        type value;                                                                                        \
        if (!source_linear(v, i, sizeof(type), &from) || !mem_read##bits(v, from, &value))                 \
            return false;                                                                                  \
        reg_set_##bits(v, RAX * 8, value);                                                                 \
        advance(v, i, RSI);                                                                                \
        return true;                                                                                       \
    }                                                                                                      \
    enum exec op_lods_##bits(struct vcpu *v, const struct insn *i)                                         \
    {                                                                                                      \
        return run_elements(v, i, lods_step_##bits, false);                                                \
    }

#define CMPS(bits, type)                                                                                   \
    INLINE bool cmps_step_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u64 first, second;                                                                                 \
        type a, b;                                                                                         \
        if (!source_linear(v, i, sizeof(type), &first) || !mem_read##bits(v, first, &a) ||                 \
            !destination_linear(v, i, sizeof(type), ACCESS_READ, &second) || !mem_read##bits(v, second, &b)) \
            return false;                                                                                  \
        native_cmp_##bits(a, b, &v->cpu.aflags);                                                           \
        advance(v, i, RSI);                                                                                \
        advance(v, i, RDI);                                                                                \
        return true;                                                                                       \
    }                                                                                                      \
    enum exec op_cmps_##bits(struct vcpu *v, const struct insn *i)                                         \
    {                                                                                                      \
        return run_elements(v, i, cmps_step_##bits, true);                                                 \
    }

#define SCAS(bits, type)                                                                                   \
    INLINE bool scas_step_##bits(struct vcpu *v, const struct insn *i)                                     \
    {                                                                                                      \
        u64 linear;                                                                                        \
        type b;                                                                                            \
        if (!destination_linear(v, i, sizeof(type), ACCESS_READ, &linear) || !mem_read##bits(v, linear, &b)) \
            return false;                                                                                  \
        native_cmp_##bits((type)v->cpu.gpr[RAX], b, &v->cpu.aflags);                                       \
        advance(v, i, RDI);                                                                                \
        return true;                                                                                       \
    }                                                                                                      \
    enum exec op_scas_##bits(struct vcpu *v, const struct insn *i)                                         \
    {                                                                                                      \
        return run_elements(v, i, scas_step_##bits, true);                                                 \
    }

#define ALL_SIZES(template) template(8, u8) template(16, u16) template(32, u32) template(64, u64)
ALL_SIZES(MOVS)
ALL_SIZES(STOS)
ALL_SIZES(LODS)
ALL_SIZES(CMPS)
ALL_SIZES(SCAS)
RUN_OR_STEP(movs, 8)
RUN_OR_STEP(movs, 16)
RUN_OR_STEP(movs, 32)
RUN_OR_STEP(movs, 64)
RUN_OR_STEP(stos, 8)
RUN_OR_STEP(stos, 16)
RUN_OR_STEP(stos, 32)
RUN_OR_STEP(stos, 64)
