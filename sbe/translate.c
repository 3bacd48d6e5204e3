/* The translator's passes, in order. */
#include "sbe/translate_internal.h"

#include "core/checked.h"
#include "core/segment.h"
#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/codecache_audit.h"
#include "sbe/decode.h"
#include "sbe/fpu_thunk.h"
#include "sbe/interp.h"

/* ---- Scan --------------------------------------------------------------------------------------- */

static bool treatment_ends(enum treatment treatment)
{
    return treatment == DO_CALLOUT_END || (treatment >= DO_JUMP && !treatment_falls_through(treatment));
}

/* A block goes on behind a conditional jump forwards: backwards it closes a loop, which is better entered at its top. */
static bool branch_ends(const struct translation *t, const struct insn *i)
{
    return (s64)i->imm < 0 || t->side_exits + 1 >= SIDE_EXITS_MAX || coverage_wanted(t);
}

/* A loop that is one block is counted once for several rounds. */
enum { UNROLLED_INSNS = BLOCK_INSNS / 2 };

/* What scanning has come to. */
struct scan {
    unsigned begin, at, end; /* in the page; end: of what belongs to the block */
    unsigned limit;          /* of CS, seen from the page's beginning; at most in the page behind it */
    unsigned round, exits;   /* of the loop that the block is; 0 until it closes */
    bool ended;
};

/* Does the jump that has just been scanned close a loop of the whole block, and is there space for another round? `round`: its
 * instructions, `exits`: its jumps out. */
static bool goes_round(const struct translation *t, const struct insn *i, unsigned round, unsigned exits)
{
    return branch_target(t, i) == t->rips[0] && t->count + round <= UNROLLED_INSNS &&
           t->side_exits + exits < SIDE_EXITS_MAX;
}

static void scan_jump_if(struct translation *t, const struct insn *i, struct scan *at)
{
    at->ended = branch_ends(t, i);
    t->side_exits++; /* counted here, filled in later */
    if (!at->ended)
        return;
    if (!at->round) {
        at->round = t->count;
        at->exits = t->side_exits;
    }
    if (!coverage_wanted(t) && goes_round(t, i, at->round, at->exits)) {
        at->at = at->begin;
        at->ended = false;
    }
}

/* The instruction in `bytes`. False if it is none, or longer than what is available. */
static bool scan_insn(struct translation *t, const u8 *bytes, unsigned available, struct scan *at)
{
    struct vcpu *v = t->v;
    struct insn *i = &t->insns[t->count];
    if (decode(bytes, available < INSN_MAX ? available : INSN_MAX, (enum code_mode)v->mode, i) != DECODE_OK)
        return false;
    interp_prepare(v, i);
    t->rip = t->rips[t->count] = v->cpu.rip + (at->at - at->begin);
    enum treatment treatment = classify(t, i);
    t->treatments[t->count++] = (u8)treatment;
    at->at += i->length;
    at->end = at->at > at->end ? at->at : at->end;
    at->ended = treatment_ends(treatment);
    if (treatment_falls_through(treatment))
        scan_jump_if(t, i, at);
    return true;
}

/* One instruction that begins `first` bytes in front of the page's end and goes on in the page behind it. */
static void scan_crossing(struct translation *t, const u8 *bytes, struct scan *at)
{
    struct vcpu *v = t->v;
    unsigned first = PAGE_SIZE - at->at, all_bytes = at->limit - at->at < INSN_MAX ? at->limit - at->at : INSN_MAX;
    u64 linear = code_page_behind(code_linear_at(v, v->cpu.rip), t->wide);
    const u8 *host;
    gpa_t page;
    u8 all[INSN_MAX];
    bool crosses = first < all_bytes && linear != 0 && (!t->wide || canonical(linear)) &&
                   decode(bytes, first, (enum code_mode)v->mode, &t->insns[0]) == DECODE_TRUNCATED;
    if (!crosses || !mem_fetch_page(v, linear, &host, &page) || !host)
        return;
    memcpy(all, bytes, first);
    memcpy(all + first, host, INSN_MAX - first);
    at->round = UNROLLED_INSNS; /* a loop of itself is not unrolled */
    if (scan_insn(t, all, all_bytes, at))
        t->rest = physmem_offset(&v->vm->memory, page);
}

/* The first offset that does not lie in CS any more, in bytes from the beginning of the page of CS:RIP. */
static unsigned scan_limit(const struct translation *t, unsigned at)
{
    u64 limit = t->v->cpu.seg[SEG_CS].limit, rip = t->v->cpu.rip;
    if (t->wide || limit - rip >= 2 * PAGE_SIZE)
        return 2 * PAGE_SIZE;
    return at + (unsigned)(limit - rip) + 1;
}

/* Fills insns, rips and treatments. Returns the bytes of guest code. */
static unsigned scan(struct translation *t, u64 offset)
{
    const u8 *page = physmem_host(&t->v->vm->memory, offset & ~(u64)PAGE_MASK);
    struct scan s = {.begin = offset & PAGE_MASK, .at = offset & PAGE_MASK, .end = offset & PAGE_MASK};
    s.limit = scan_limit(t, s.at);
    const unsigned end = s.limit < PAGE_SIZE ? s.limit : PAGE_SIZE;
    t->rest = UINT64_MAX;
    while (!s.ended && t->count < BLOCK_INSNS && s.at < end && scan_insn(t, page + s.at, end - s.at, &s))
        ;
    if (!t->count)
        scan_crossing(t, page + s.at, &s);
    t->side_exits = 0;
    t->v->vm->stats.decodes += t->count;
    return s.end - s.begin;
}

/* ---- Emit --------------------------------------------------------------------------------------- */

u32 current_site(struct translation *t)
{
    if (t->site)
        return t->site;
    t->site = codecache_site(t->s, t->block);
    t->s->sites[t->site] = (struct site){
        .insn = t->insns[t->at],
        .rip = t->rip,
        .block = t->block,
        .remaining = (u8)(t->count - t->at),
    };
    return t->site;
}

static void fixup_add(struct translation *t, enum fixup_kind kind, u32 value)
{
    invariant(t->fixups < FIXUPS_MAX);
    t->fixup[t->fixups++] = (struct fixup){.displacement = emit_jrcxz(&t->e), .value = value, .kind = (u8)kind};
}

void emit_site_if_zero(struct translation *t) { fixup_add(t, FIXUP_SITE, current_site(t)); }

static void emit_exit(struct translation *t, u32 value, const u8 *stub)
{
    emit_constant(&t->e, RCX, value);
    emit_patch(emit_jump(&t->e), stub - t->s->code.rx + t->s->code.rw);
}

void emit_site(struct translation *t) { emit_exit(t, current_site(t), t->s->site_exit[t->wide]); }

void emit_site_unless_zero(struct translation *t)
{
    u8 *zero = emit_jrcxz(&t->e);
    emit_site(t);
    emit_patch_short(zero, t->e.at);
}

enum { FIXUP_BYTES = 10, JUMP_SHORT_BYTES = 2 };

/* Would all fixups reach their code if it were written `more` bytes from here? */
static bool fixups_in_reach(const struct translation *t, unsigned more)
{
    const u8 *at = t->e.at + more + JUMP_SHORT_BYTES;
    for (unsigned n = 0; n < t->fixups; n++)
        if (at + n * FIXUP_BYTES - (t->fixup[n].displacement + 1) > INT8_MAX)
            return false;
    return true;
}

static void emit_fixups(struct translation *t)
{
    for (unsigned n = 0; n < t->fixups; n++) {
        const struct fixup *f = &t->fixup[n];
        bool near_enough = emit_patch_short(f->displacement, t->e.at);
        invariant(near_enough || emitter_full(&t->e));
        emit_exit(t, f->value, f->kind == FIXUP_SITE ? t->s->site_exit[t->wide] : t->s->budget_exit[t->wide]);
    }
    t->fixups = 0;
}

void emit_fixups_inline(struct translation *t)
{
    if (!t->fixups)
        return;
    u8 *over = emit_jump_short(&t->e);
    emit_fixups(t);
    bool near_enough = emit_patch_short(over, t->e.at);
    invariant(near_enough || emitter_full(&t->e));
}

void emit_room(struct translation *t, unsigned more)
{
    if (!fixups_in_reach(t, more))
        emit_fixups_inline(t);
}

/* Where indirect jumps enter: with their target in R10, which must be this block's RIP. */
static void emit_indirect_entry(struct translation *t)
{
    struct emitter *e = &t->e;
    u64 rip = t->s->blocks[t->block].rip;
    bool whole = t->wide || (t->key & KEY_CODE16); /* CS's base is compared, too */
    emit_constant(e, HOST_ADDEND, whole ? 0 - rip : (u32)(0 - (u32)rip));
    emit_lea(e, whole, HOST_ADDEND, rm_indexed(HOST_ADDEND, HOST_ADDRESS, 0, 0));
    u8 *same = emit_jrcxz(e);
    emit_patch(emit_jump(e), t->s->indirect_exit[t->wide] - t->s->code.rx + t->s->code.rw);
    emit_patch_short(same, e->at);
}

/* Takes the block's instructions off the counter, or leaves if they would not all fit. */
static void emit_count(struct translation *t)
{
    struct emitter *e = &t->e;
    emit_lea(e, true, HOST_COUNTER, rm_memory(HOST_COUNTER, -(s32)t->count));
    emit_shift_x(e, VEX_SHRX, true, HOST_ADDEND, HOST_COUNTER, HOST_READ_TABLE);
    fixup_add(t, FIXUP_BUDGET, t->block);
}

static void emit_insn(struct translation *t)
{
    const struct insn *i = &t->insns[t->at];
    enum treatment treatment = (enum treatment)t->treatments[t->at];
    switch (treatment) {
    case DO_NOTHING: break;
    case DO_PLAIN: emit_plain(t, i); break;
    case DO_LEA: emit_lea_insn(t, i); break;
    case DO_STRING: emit_string(t, i); break;
    case DO_STORE_SELECTOR:
    case DO_LOAD_SELECTOR: emit_selector(t, i, treatment); break;
    case DO_TIME: emit_time(t, &isa_rows[i->row]); break;
    case DO_CLI: emit_cli(t); break;
    case DO_STI: emit_sti(t); break;
    case DO_SWAPGS: emit_swapgs(t); break;
    case DO_PUSHF: emit_pushf(t); break;
    case DO_PUSH_MEMORY:
    case DO_PUSH_SELECTOR:
    case DO_POP_SELECTOR:
    case DO_PUSH_ALL:
    case DO_POP_ALL:
    case DO_PUSH:
    case DO_POP:
    case DO_LEAVE: emit_stack(t, i, treatment); break;
    case DO_CALLOUT:
        emit_site(t);
        t->fpu_live = false;
        break;
    case DO_CALLOUT_END:
        emit_site(t);
        t->ended = true;
        break;
    case DO_SYSENTER:
    case DO_SYSEXIT:
    case DO_SYSCALL:
    case DO_SYSRET: emit_system_call(t, i, treatment); break;
    default: emit_flow(t, i, treatment);
    }
}

/* What has to be undone to emit an instruction again, behind the fixups of those before it. */
struct mark {
    u8 *at;
    unsigned fixups, side_exits;
    bool fpu_live, ended;
    u32 sites, block_sites, links, block_links;
};

static struct mark mark_take(const struct translation *t)
{
    const struct block *b = &t->s->blocks[t->block];
    return (struct mark){t->e.at, t->fixups, t->side_exits, t->fpu_live, t->ended,
                         t->s->sites_used, b->sites, t->s->links_used, b->links};
}

static void mark_return(struct translation *t, const struct mark *m)
{
    struct block *b = &t->s->blocks[t->block];
    t->e.at = m->at;
    t->fixups = m->fixups;
    t->side_exits = m->side_exits;
    t->fpu_live = m->fpu_live;
    t->ended = m->ended;
    t->s->sites_used = m->sites;
    b->sites = (u16)m->block_sites;
    t->s->links_used = m->links;
    b->links = (u16)m->block_links;
}

static void emit_one(struct translation *t)
{
    t->site = 0;
    t->begin = t->e.at;
    t->starts[t->at] = cache_offset(t, t->begin);
    t->rip = t->rips[t->at];
    const struct block *b = &t->s->blocks[t->block];
    t->crosses = codecache_crosses(t->s, block_offset(b, t->rip));
    t->word = (u8)(t->wide ? 8 : t->key & KEY_CODE16 ? t->insns[t->at].opsize : 4);
    t->window = window_wanted(t);
    emit_insn(t);
    if (!t->site)
        return;
    if (isa_rows[t->insns[t->at].row].cls != CLS_FPU)
        t->fpu_live = false; /* an access to a device parks the FPU */
    struct site *s = &t->s->sites[t->site];
    if (t->ended && s->kind == SITE_PLAIN)
        s->kind = SITE_LAST;
    s->begin = cache_offset(t, t->begin);
    s->resume = cache_offset(t, t->e.at);
}

/* The instruction at t->at, or behind the last one the jump that ends the block. */
static void emit_next(struct translation *t)
{
    if (t->at < t->count) {
        emit_one(t);
        return;
    }
    const struct insn *last = &t->insns[t->count - 1];
    u64 next = t->rips[t->count - 1] + last->length;
    if (!t->ended)
        emit_jump_to(t, t->wide ? next : (u32)next);
}

/* Instructions so long that exits of others do not reach over them make room once more on their way: how far that is. */
static unsigned bytes_before_room(const struct translation *t)
{
    if (t->at == t->count)
        return 0;
    enum treatment treatment = (enum treatment)t->treatments[t->at];
    bool long_one = treatment == DO_CALL_INDIRECT || treatment == DO_PUSH_MEMORY || treatment == DO_STRING ||
                    treatment == DO_PUSH_ALL || treatment == DO_POP_ALL ||
                    (isa_rows[t->insns[t->at].row].attributes & A_X87);
    return long_one ? ROOM_FIRST_BYTES : 0;
}

static void emit_instructions(struct translation *t)
{
    for (t->at = 0; t->at <= t->count; t->at++) {
        emit_room(t, bytes_before_room(t));
        struct mark m = mark_take(t);
        emit_next(t);
        if (fixups_in_reach(t, 0))
            continue;
        mark_return(t, &m);
        emit_fixups_inline(t);
        emit_next(t);
    }
}

/* ---- All together ------------------------------------------------------------------------------- */

static void emit_block(struct translation *t)
{
    struct block *b = &t->s->blocks[t->block];
    b->insns = (u8)t->count;
    b->indirect = cache_offset(t, t->e.at);
    emit_indirect_entry(t);
    b->code = cache_offset(t, t->e.at);
    emit_count(t);
    emit_instructions(t);
    emit_fixups(t);
    emit_side_exits(t);
    b->end = cache_offset(t, t->e.at);
}

/* A system call jumps through the table of another key, which must be there. Making one may drop all others. */
static void reserve_class_behind(struct translation *t)
{
    enum treatment last = (enum treatment)t->treatments[t->count - 1];
    if (!treatment_is_call(last))
        return;
    codecache_class(t->v, t->key);
    t->class_behind = codecache_class(t->v, key_after_call(t->key, treatment_enters_system(last)));
}

/* Scans and emits behind the code in use. False if there is no first instruction. */
static bool translation_make(struct translation *t, struct vcpu *v, u64 offset, u32 key, unsigned *bytes)
{
    struct sbe *s = v->sbe;
    t->v = v;
    t->s = s;
    t->wide = block_key_wide(key);
    t->key = key;
    t->count = t->fixups = t->side_exits = 0;
    t->fpu_live = t->ended = t->crosses = t->window = false;
    *bytes = scan(t, offset);
    if (!t->count)
        return false;
    reserve_class_behind(t);
    t->tag = code_tag(v);
    t->block = codecache_begin(v, offset, t->tag | v->cpu.rip, key);
    t->e = (struct emitter){.at = s->code.rw + s->code_used, .end = s->code.rw + s->code_used + BLOCK_BYTES_MAX};
    emit_block(t);
    invariant(!emitter_full(&t->e));
    return true;
}

u32 translate_block(struct vcpu *v, u64 offset, u32 key)
{
    struct sbe *s = v->sbe;
    struct translation t;
    unsigned bytes;
    if (!translation_make(&t, v, offset, key, &bytes))
        return 0;
    s->code_used = s->blocks[t.block].end;
    unsigned first = PAGE_SIZE - (offset & PAGE_MASK);
    phys_watch_code(v->vm, physmem_address(&v->vm->memory, offset), bytes < first ? bytes : first);
    codecache_commit(s, t.block, bytes < first ? bytes : first);
    if (t.rest != UINT64_MAX) {
        phys_watch_code(v->vm, physmem_address(&v->vm->memory, t.rest), bytes - first);
        codecache_commit_rest(s, t.block, t.rest, bytes - first);
    }
    v->vm->stats.translations++;
    CHECKED(v->vm->stats.translations % CHECKED_CODE || !codecache_audit(v));
    return t.block;
}

bool translate_explain(struct vcpu *v, u64 offset, u32 key, struct engine_code *code)
{
    struct sbe *s = v->sbe;
    struct translation t;
    unsigned bytes;
    if (!codecache_has_space(s) || !translation_make(&t, v, offset, key, &bytes))
        return false;
    const struct block *b = &s->blocks[t.block];
    *code = (struct engine_code){
        .host = codecache_rx(s, b->code), .bytes = b->end - b->code, .rip = block_rip(b), .insns = t.count};
    for (unsigned n = 0; n < t.count; n++)
        code->start[n] = t.starts[n] - b->code;
    s->blocks_used = t.block; /* a new key may have emptied the cache meanwhile: only the block knows where it began */
    s->sites_used = b->first_site;
    s->links_used = b->first_link;
    return true;
}
