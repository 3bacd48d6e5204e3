/* Debug registers: breakpoints and single-step. SDM vol. 3, chapter 17. */
#include "core/exception.h"
#include "core/segment.h"

enum { BREAKPOINTS = 4 };

/* R/W field of DR7 */
enum { ON_EXECUTION, ON_WRITE, ON_IO, ON_ACCESS };

static unsigned breakpoint_kind(u64 dr7, unsigned n) { return dr7 >> (16 + 4 * n) & 3; }
static bool breakpoint_enabled(u64 dr7, unsigned n) { return dr7 >> (2 * n) & 3; }

/* LEN: 1, 2, 8, 4 bytes (SDM vol. 3, 17.2.4). */
static unsigned breakpoint_length(u64 dr7, unsigned n)
{
    static const u8 lengths[] = {1, 2, 8, 4};
    return lengths[dr7 >> (18 + 4 * n) & 3];
}

/* Whether [at, at + size) meets breakpoint n, whose address is aligned to its length by the processor. */
static bool breakpoint_meets(const struct cpu *c, unsigned n, u64 at, unsigned size)
{
    unsigned length = breakpoint_length(c->dr[7], n);
    u64 begin = c->dr[n] & ~(u64)(length - 1);
    return at - begin < length || begin - at < size;
}

/* DR6 shows every breakpoint whose condition holds, but only an enabled one causes an exception. `kinds` is a mask. */
static u32 breakpoints_hit(const struct cpu *c, unsigned kinds, u64 at, unsigned size)
{
    u32 met = 0;
    bool enabled = false;
    for (unsigned n = 0; n < BREAKPOINTS; n++) {
        if (!(kinds >> breakpoint_kind(c->dr[7], n) & 1) || !breakpoint_meets(c, n, at, size))
            continue;
        met |= 1u << n;
        enabled |= breakpoint_enabled(c->dr[7], n);
    }
    return enabled ? met : 0;
}

static void record_debug(struct vcpu *v, u32 dr6)
{
    v->fault = (struct event){.vector = VEC_DB, .type = EVENT_EXCEPTION, .dr6 = dr6};
}

bool debug_check_fetch(struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    u32 pending = c->pending_db & ~PENDING_DB_NO_STEP;
    if (pending && !c->mov_ss_shadow) {
        record_debug(v, pending);
        return true;
    }
    if (!debug_data_armed(c) || (c->rflags & FLAG_RF) || c->mov_ss_shadow)
        return false;
    u64 linear = v->mode == CODE_64 ? c->rip : (u32)(c->seg[SEG_CS].base + c->rip);
    u32 hit = breakpoints_hit(c, 1u << ON_EXECUTION, linear, 1);
    if (!hit)
        return false;
    record_debug(v, hit);
    return true;
}

void debug_deliver_traps(struct vcpu *v, bool tf_before)
{
    struct cpu *c = &v->cpu;
    u32 dr6 = c->pending_db;
    bool step = tf_before && !(dr6 & PENDING_DB_NO_STEP);
    dr6 &= ~PENDING_DB_NO_STEP;
    c->pending_db = dr6;
    if (c->mov_ss_shadow)
        return;
    if (step)
        dr6 |= DR6_BS;
    if (!dr6)
        return;
    exception_deliver(v, &(struct event){.vector = VEC_DB, .type = EVENT_EXCEPTION, .dr6 = dr6});
}

void debug_match_data(struct vcpu *v, u64 linear, unsigned size, bool write)
{
    unsigned kinds = write ? 1u << ON_WRITE | 1u << ON_ACCESS : 1u << ON_ACCESS;
    v->cpu.pending_db |= breakpoints_hit(&v->cpu, kinds, linear, size);
}

/* I/O breakpoints exist only under CR4.DE. */
void debug_match_io(struct vcpu *v, u16 port, unsigned size)
{
    if (v->cpu.cr4 & CR4_DE)
        v->cpu.pending_db |= breakpoints_hit(&v->cpu, 1u << ON_IO, port, size);
}
