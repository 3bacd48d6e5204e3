/* Run loop of the interpreter.
 *
 * Straight runs of decoded instructions are kept one behind the other in a pool; a direct-mapped table finds them by where in RAM
 * their first byte lies and by code mode. When the pool is full, both start anew. A write to the 64-byte lines that a run
 * comes from changes the frame's code generation and so kills it, at the next instruction if need be. A run ends at a
 * branch, at an instruction that can change what the next one means, at the end of its page, or at RUN_MAX. Instructions
 * that cross a page, or lie outside RAM, are decoded each time. */
#include "sbe/interp.h"

#include "core/exception.h"
#include "core/panic.h"
#include "core/vm.h"
#include "sbe/decode.h"
#include "sbe/exec.h"
#include "sbe/fpu_thunk.h"

enum { TABLE_BITS = 15, TABLE_RUNS = 1 << TABLE_BITS, POOL_INSNS = 1 << 16, RUN_MAX = 16 };

struct run {
    u64 key; /* offset in RAM << 2 | code mode, plus 1 so that a zeroed entry matches nothing */
    u32 generation;
    u16 first; /* position in the pool */
    u8 count;
    u8 bytes; /* of code */
};

_Static_assert(sizeof(struct run) == 16, "the table should stay in the second-level cache");
_Static_assert(POOL_INSNS - 1 <= UINT16_MAX && RUN_MAX * INSN_MAX <= UINT8_MAX, "positions and sizes fit their fields");

/* In place of an offset in RAM: with any offset in a page added to it, the key of no cached run. */
#define NOT_RAM (1ull << 61)

/* The page that instructions are being fetched from. */
struct code_page {
    u64 linear;    /* page-aligned; 1 if none */
    u64 fetches;   /* tlb.fetches when it was looked up */
    u64 first, end; /* offsets in the page between which CS's limit lets instructions lie */
    u64 ram_offset; /* NOT_RAM, or the page's offset in RAM */
    const u8 *host;
    const struct frame *frame;
    gpa_t page;
};

/* An instruction that crosses a page: its bytes are fetched each time, but not decoded again while they are the same. */
struct crossing {
    u8 first, available; /* bytes in the first page; bytes that there were to decode; 0: none */
    u8 mode;
    u8 bytes[INSN_MAX];
    struct insn insn;
};
enum { CROSSINGS = 256 };

struct interp {
    struct code_page code;
    struct crossing crossing[CROSSINGS];
    u32 pool_used;
    struct insn single; /* an instruction that cannot be cached */
    struct run table[TABLE_RUNS];
    struct insn pool[POOL_INSNS];
};

static enum status interp_create(struct vcpu *v)
{
    v->interp = host_alloc(sizeof(struct interp));
    if (!v->interp)
        return STATUS_NO_MEMORY;
    v->interp->code.linear = 1;
    enum status status = fpu_thunks_create(v);
    if (status != STATUS_OK) {
        host_free(v->interp, sizeof(struct interp));
        v->interp = NULL;
    }
    return status;
}

static void interp_destroy(struct vcpu *v)
{
    fpu_thunks_destroy(v);
    host_free(v->interp, sizeof(struct interp));
    v->interp = NULL;
}

/* ---- Handlers of the loop itself ---------------------------------------------------------------- */

enum exec op_invalid(struct vcpu *v, const struct insn *i)
{
    (void)i;
    return fault_ud(v);
}

static unsigned size_index(const struct insn *i) { return (unsigned)__builtin_ctz(i->opsize); }

/* For rows that depend on privilege or FPU state: what insn_forbidden() checks, then the row's handler. */
static enum exec run_checked(struct vcpu *v, const struct insn *i)
{
    if (insn_forbidden(v, i))
        return EXEC_FAULT;
    return interp_handlers[i->row][size_index(i)](v, i);
}

/* The same for x87 and MMX rows, and for SSE rows, whose feature the model has: the usual case costs a test. */
static enum exec run_unit(struct vcpu *v, const struct insn *i)
{
    if (__builtin_expect(v->cpu.cr0 & (CR0_EM | CR0_TS), 0))
        return run_checked(v, i);
    return interp_handlers[i->row][size_index(i)](v, i);
}

static enum exec run_sse(struct vcpu *v, const struct insn *i)
{
    if (__builtin_expect((v->cpu.cr0 & (CR0_EM | CR0_TS)) || !(v->cpu.cr4 & CR4_OSFXSR), 0))
        return run_checked(v, i);
    return interp_handlers[i->row][size_index(i)](v, i);
}

static insn_handler handler_for(const struct vcpu *v, const struct insn *i)
{
    const struct isa_row *row = &isa_rows[i->row];
    u32 unit = row->attributes & (A_X87 | A_WAITING | A_MMX | A_SSE);
    if (!model_has(v->vm->config.model, (enum feature)row->feature) || (row->attributes & (A_CPL0 | A_PROT)))
        return run_checked;
    if (unit & A_SSE)
        return run_sse;
    if (unit & (A_X87 | A_MMX))
        return run_unit;
    return unit ? run_checked : interp_handlers[i->row][size_index(i)];
}

void interp_prepare(const struct vcpu *v, struct insn *i)
{
    i->handler = handler_for(v, i);
    i->thunk = isa_rows[i->row].attributes & A_NATIVE ? thunk_key(i) : 0;
}

/* ---- Fetch -------------------------------------------------------------------------------------- */

/* Makes it->code describe the page of CS:RIP. False with the fault recorded. */
static bool code_page_enter(struct vcpu *v, u64 linear)
{
    const struct segment *cs = &v->cpu.seg[SEG_CS];
    struct code_page *p = &v->interp->code;
    p->linear = 1;
    if (v->mode == CODE_64 ? !canonical(linear) : v->cpu.rip > cs->limit) {
        fault_gp(v, 0);
        return false;
    }
    if (!mem_fetch_page(v, linear, &p->host, &p->page))
        return false;
    u64 at = linear & PAGE_MASK;
    p->first = 0;
    p->end = PAGE_SIZE;
    if (v->mode != CODE_64) {
        u64 before = v->cpu.rip, after = (u64)cs->limit - v->cpu.rip + 1;
        p->first = before < at ? at - before : 0;
        p->end = after < PAGE_SIZE - at ? at + after : PAGE_SIZE;
    }
    p->ram_offset = p->host ? physmem_offset(&v->vm->memory, p->page) : NOT_RAM;
    p->frame = physmem_frame(&v->vm->memory, p->page);
    p->fetches = v->tlb.fetches;
    p->linear = linear & ~(u64)PAGE_MASK;
    return true;
}

/* Linear address of CS:RIP. */
static inline u64 code_linear(const struct vcpu *v)
{
    if (v->mode == CODE_64)
        return v->cpu.rip;
    return (u32)(v->cpu.seg[SEG_CS].base + v->cpu.rip);
}

static inline bool code_page_current(const struct vcpu *v, u64 linear)
{
    const struct code_page *p = &v->interp->code;
    return p->linear == (linear & ~(u64)PAGE_MASK) && p->fetches == v->tlb.fetches;
}

/* One page may hold both ends of a segment, when its base is odd; only one of them is between `first` and `end`. */
static inline bool code_page_covers(const struct vcpu *v, u64 linear)
{
    const struct code_page *p = &v->interp->code;
    u64 at = linear & PAGE_MASK;
    return at >= p->first && at < p->end;
}

/* Copies instruction bytes that lie in the current code page. */
static unsigned fetch_from_page(struct vcpu *v, u64 at, u8 *bytes)
{
    const struct code_page *p = &v->interp->code;
    u64 room = at < p->end ? p->end - at : 0;
    unsigned n = room < INSN_MAX ? (unsigned)room : INSN_MAX;
    if (p->host)
        memcpy(bytes, p->host + at, n);
    else
        phys_read(v->vm, gpa(p->page.raw + at), bytes, n);
    return n;
}

/* The instruction goes on beyond the page or the limit: fetches the rest. False with the fault recorded. */
static bool fetch_beyond(struct vcpu *v, u64 linear, u8 *bytes, unsigned *available)
{
    u64 at = linear & PAGE_MASK, first = PAGE_SIZE - at;
    if (first != *available) { /* the segment limit ended it, not the page */
        fault_gp(v, 0);
        return false;
    }
    u64 next = linear + first;
    if (v->mode != CODE_64) {
        next = (u32)next;
        if (v->cpu.rip + first > v->cpu.seg[SEG_CS].limit) {
            fault_gp(v, 0);
            return false;
        }
    } else if (!canonical(next)) {
        fault_gp(v, 0);
        return false;
    }
    const u8 *host;
    gpa_t page;
    if (!mem_fetch_page(v, next, &host, &page))
        return false;
    unsigned more = INSN_MAX - (unsigned)first;
    u64 limit_room = (u64)v->cpu.seg[SEG_CS].limit - (v->cpu.rip + first) + 1;
    if (v->mode != CODE_64 && limit_room < more)
        more = (unsigned)limit_room;
    phys_watch_code(v->vm, page, more);
    if (host)
        memcpy(bytes + first, host, more);
    else
        phys_read(v->vm, page, bytes + first, more);
    *available = (unsigned)first + more;
    return true;
}

static bool decode_failed(struct vcpu *v, enum decode result)
{
    if (result == DECODE_TOO_LONG || result == DECODE_TRUNCATED)
        fault_gp(v, 0); /* over 15 bytes, or over the limit of CS */
    else
        fault_ud(v);
    return false;
}

static struct crossing *crossing_slot(struct vcpu *v, u64 linear)
{
    return &v->interp->crossing[(linear >> PAGE_SHIFT ^ linear) % CROSSINGS];
}

/* Fetches the rest of an instruction of which `first` bytes lie in the current page, and decodes it. */
static bool decode_crossing(struct vcpu *v, u64 linear, u8 *bytes, unsigned first, struct insn *insn)
{
    struct crossing *c = crossing_slot(v, linear);
    unsigned available = first;
    if (!fetch_beyond(v, linear, bytes, &available))
        return false;
    if (c->available == available && c->mode == v->mode && c->first == first && !memcmp(c->bytes, bytes, available)) {
        *insn = c->insn;
        return true;
    }
    v->vm->stats.decodes++;
    enum decode result = decode(bytes, available, (enum code_mode)v->mode, insn);
    if (result != DECODE_OK)
        return decode_failed(v, result);
    interp_prepare(v, insn);
    *c = (struct crossing){.first = (u8)first, .available = (u8)available, .mode = v->mode, .insn = *insn};
    memcpy(c->bytes, bytes, available);
    return true;
}

/* The same bytes up to the end of the page as when an instruction here was seen to go beyond it: it does again. */
static bool known_to_cross(struct vcpu *v, u64 linear, const u8 *bytes, unsigned available)
{
    const struct crossing *c = crossing_slot(v, linear);
    return c->first == available && c->available && c->mode == v->mode && !memcmp(c->bytes, bytes, available);
}

/* Decodes at `linear`, whose page is current. *cacheable: all bytes lie in this page of RAM. */
static bool decode_here(struct vcpu *v, u64 linear, struct insn *insn, bool *cacheable)
{
    u8 bytes[INSN_MAX];
    unsigned available = fetch_from_page(v, linear & PAGE_MASK, bytes);
    *cacheable = false;
    if (available < INSN_MAX && known_to_cross(v, linear, bytes, available))
        return decode_crossing(v, linear, bytes, available, insn);
    enum decode result = decode(bytes, available, (enum code_mode)v->mode, insn);
    *cacheable = result == DECODE_OK && v->interp->code.host;
    if (result == DECODE_TRUNCATED && available < INSN_MAX)
        return decode_crossing(v, linear, bytes, available, insn);
    v->vm->stats.decodes++;
    if (result != DECODE_OK)
        return decode_failed(v, result);
    interp_prepare(v, insn);
    return true;
}

bool interp_fetch(struct vcpu *v, struct insn *insn)
{
    u64 linear = code_linear(v);
    bool cacheable;
    if (!(code_page_current(v, linear) && code_page_covers(v, linear)) && !code_page_enter(v, linear))
        return false;
    return decode_here(v, linear, insn, &cacheable);
}

/* After it, the next instruction may have to be looked at anew: mode, privilege, interruptibility may have changed. */
static bool ends_run(const struct insn *i)
{
    u8 cls = isa_rows[i->row].cls;
    return cls == CLS_BRANCH || cls == CLS_CALLOUT;
}

/* Decodes a run at `linear`, whose page is current and RAM, behind its first instruction, which stands at the pool's end. */
static void decode_run(struct vcpu *v, u64 linear, struct run *run)
{
    struct interp *it = v->interp;
    struct insn *insns = &it->pool[it->pool_used];
    unsigned count = 1, size = insns[0].length;
    while (count < RUN_MAX && !ends_run(&insns[count - 1])) {
        struct insn *next = &insns[count];
        u8 bytes[INSN_MAX];
        unsigned available = fetch_from_page(v, (linear & PAGE_MASK) + size, bytes);
        if (decode(bytes, available, (enum code_mode)v->mode, next) != DECODE_OK)
            break;
        v->vm->stats.decodes++;
        interp_prepare(v, next);
        size += next->length;
        count++;
    }
    phys_watch_code(v->vm, gpa(it->code.page.raw + (linear & PAGE_MASK)), size);
    run->generation = it->code.frame->code_generation;
    run->first = (u16)it->pool_used;
    run->count = (u8)count;
    run->bytes = (u8)size;
    it->pool_used += count;
}

static inline u32 table_index(u64 offset) { return (u32)(offset ^ offset >> TABLE_BITS) & (TABLE_RUNS - 1); }

/* Decodes what stands at CS:RIP, into the cache if it can be. NULL with the fault recorded. */
static const struct insn *decode_new(struct vcpu *v, u64 linear, struct run *run, u64 key, unsigned *count)
{
    struct interp *it = v->interp;
    bool cacheable;
    if (!code_page_covers(v, linear) && !code_page_enter(v, linear))
        return NULL;
    if (!decode_here(v, linear, &it->single, &cacheable))
        return NULL;
    *count = 1;
    if (!cacheable) { /* watched all the same: a repeated instruction must notice that it overwrites itself */
        u64 at = linear & PAGE_MASK, size = PAGE_SIZE - at;
        phys_watch_code(v->vm, gpa(it->code.page.raw + at), size < INSN_MAX ? (unsigned)size : INSN_MAX);
        return &it->single;
    }
    if (it->pool_used + RUN_MAX > POOL_INSNS) {
        memset(it->table, 0, sizeof it->table);
        it->pool_used = 0;
    }
    it->pool[it->pool_used] = it->single;
    decode_run(v, linear, run);
    run->key = key;
    *count = run->count;
    return &it->pool[run->first];
}

/* The *count instructions from CS:RIP on, from the cache or newly decoded. NULL with the fault recorded. */
static const struct insn *find_run(struct vcpu *v, unsigned *count)
{
    u64 linear = code_linear(v);
    struct interp *it = v->interp;
    if (__builtin_expect(!code_page_current(v, linear), 0) && !code_page_enter(v, linear))
        return NULL;
    u64 at = linear & PAGE_MASK;
    u64 offset = it->code.ram_offset + at;
    u64 key = (offset << 2 | v->mode) + 1;
    struct run *run = &it->table[table_index(offset)];
    if (__builtin_expect(run->key != key || run->generation != it->code.frame->code_generation ||
                             at + run->bytes > it->code.end || at < it->code.first,
                         0))
        return decode_new(v, linear, run, key, count);
    *count = run->count;
    return &it->pool[run->first];
}

/* ---- Execution ---------------------------------------------------------------------------------- */

static inline enum exec execute(struct vcpu *v, const struct insn *i)
{
    enum exec result = i->handler(v, i);
    if (__builtin_expect(result == EXEC_NEXT, 1)) {
        v->cpu.rip = (v->cpu.rip + i->length) & v->rip_mask;
        v->cpu.icount++;
    } else if (result == EXEC_JUMP) {
        v->cpu.icount++;
    }
    return result;
}

/* After an iteration of a REP instruction but the last, an interrupt saves RF set, so that an instruction breakpoint does
 * not recur when the instruction goes on (SDM vol. 3, 17.3.1.1). Executing it further clears RF. */
static void not_retired(struct vcpu *v, enum exec result)
{
    if (result == EXEC_FAULT) {
        exception_deliver_fault(v);
        return;
    }
    v->cpu.rflags |= FLAG_RF;
    v->stepping = true;
}

void interp_step(struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    struct insn insn;
    bool tf = c->rflags & FLAG_TF;
    bool debug = debug_check_fetch(v); /* looks at the shadow of the instruction before */
    c->int_shadow = 0;
    c->mov_ss_shadow = 0;
    if (debug || !interp_fetch(v, &insn)) {
        exception_deliver_fault(v);
        return;
    }
    c->rflags &= ~FLAG_RF;
    enum exec result = execute(v, &insn);
    if (result >= EXEC_REPEAT)
        not_retired(v, result);
    if (result != EXEC_FAULT)
        debug_deliver_traps(v, tf);
    vcpu_update_mode(v);
}

/* Executes a run up to its end, or to where something asks to look anew: a jump, a fault, the budget, a store into
 * the code itself, a changed translation. */
static inline void execute_run(struct vcpu *v, const struct insn *i, unsigned count)
{
    const struct frame *frame = v->interp->code.frame;
    u32 generation = count > 1 ? frame->code_generation : 0;
    u64 fetches = v->tlb.fetches;
    for (const struct insn *last = i + count - 1;; i++) {
        enum exec result = execute(v, i);
        if (__builtin_expect(result != EXEC_NEXT, 0)) {
            if (result >= EXEC_REPEAT)
                not_retired(v, result);
            return;
        }
        if (i == last || __builtin_expect(v->cpu.icount >= v->stop_at, 0) || v->tlb.fetches != fetches ||
            frame->code_generation != generation)
            return;
    }
}

/* RF alone is no reason to step while no breakpoint is armed: the instruction clears it, and what is left of a REP
 * instruction that was cut may run through. Faults save RF set, whatever it was. A debugger's stops were looked at
 * before: true if something else asks for a step. */
static bool must_step(struct vcpu *v)
{
    if ((v->cpu.rflags & FLAG_RF) && !debug_data_armed(&v->cpu)) {
        v->cpu.rflags &= ~FLAG_RF;
        vcpu_update_mode(v);
    }
    return v->stepping && (!v->vm->stops || vcpu_guest_steps(&v->cpu));
}

bool interp_pass_rf(struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    if (!(c->rflags & FLAG_RF) || v->vm->stops || debug_data_armed(c))
        return false;
    c->rflags &= ~FLAG_RF;
    v->stepping = vcpu_guest_steps(c);
    return !v->stepping;
}

/* How many of `count` instructions from CS:RIP on come before the next one with a debugger's stop. */
static unsigned count_before_stop(const struct vcpu *v, const struct insn *run, unsigned count)
{
    u64 linear = code_linear(v);
    for (unsigned n = 1; n < count; n++) {
        linear += run[n - 1].length;
        if (stops_execution_at(v->vm->stops, linear))
            return n;
    }
    return count;
}

enum exec interp_insn(struct vcpu *v, const struct insn *i)
{
    enum exec result = execute(v, i);
    if (__builtin_expect(result >= EXEC_REPEAT, 0))
        not_retired(v, result);
    return result;
}

void interp_one(struct vcpu *v)
{
    unsigned count;
    const struct insn *run = find_run(v, &count);
    if (run)
        interp_insn(v, run);
    else
        exception_deliver_fault(v);
}

/* Executes a run of instructions from CS:RIP that ends before the next stop of a debugger; there is none at CS:RIP,
 * and nothing else asks for steps meanwhile, so that a REP instruction has its speed. */
static void to_stop(struct vcpu *v)
{
    const struct stops *s = v->vm->stops;
    unsigned count;
    const struct insn *run = find_run(v, &count);
    if (!run) {
        exception_deliver_fault(v);
        return;
    }
    if (s)
        count = count_before_stop(v, run, count);
    v->stepping = false;
    execute_run(v, run, count);
    v->stepping |= s && s->executions;
}

bool interp_attend(struct vcpu *v)
{
    if (stops_before(v))
        return false;
    if (must_step(v))
        interp_step(v);
    else
        to_stop(v);
    return true;
}

static void interp_run(struct vcpu *v)
{
    while (v->cpu.icount < v->stop_at) {
        if (__builtin_expect(v->stepping, 0)) {
            if (!interp_attend(v))
                break;
            continue;
        }
        unsigned count;
        const struct insn *run = find_run(v, &count);
        if (__builtin_expect(!run, 0)) {
            exception_deliver_fault(v);
            continue;
        }
        execute_run(v, run, count);
    }
    v->vm->stats.engine_exits++;
}

const struct engine engine_interp = {
    .name = "interp",
    .summary = "the interpreter: readable, exact, the executable specification",
    .create = interp_create,
    .destroy = interp_destroy,
    .run = interp_run,
};
