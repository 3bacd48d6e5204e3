/* The engine that executes translated code: its run loop, and what translated code calls.
 *
 * The interpreter executes what is not translated: single-stepping, code that lies outside RAM, and the few instructions
 * that are left when a block does not fit before `stop_at` any more. */
#include "core/exception.h"
#include "core/segment.h"
#include "core/vm.h"
#include "mmu/memtable.h"
#include "mmu/shadow.h"
#include "mmu/window.h"
#include "sbe/heat.h"
#include "sbe/interp.h"
#include "sbe/translate.h"

/* CPUID.07H.EBX.BMI2: translated code is made of its flags-free shifts. */
static bool host_has_bmi2(void)
{
    u32 eax = 0, ebx, ecx = 0, edx;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax < 7)
        return false;
    eax = 7;
    ecx = 0;
    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ebx >> 8 & 1;
}

static enum status sbe_create(struct vcpu *v)
{
    if (!host_has_bmi2())
        return STATUS_UNSUPPORTED;
    enum status status = engine_interp.create(v);
    if (status != STATUS_OK)
        return status;
    bool wide = model_has(v->vm->config.model, FEAT_LM);
    const struct shadow_config config = shadow_config_of(v->vm);
    status = memtable_create(v, wide, config.spaces);
    if (status == STATUS_OK)
        status = tlb_use_shadow(v->vm, &config);
    if (status == STATUS_OK)
        status = codecache_create(v);
    if (status != STATUS_OK) {
        shadow_destroy(v->vm);
        memtable_destroy(v);
        engine_interp.destroy(v);
    }
    v->context.jump_mask = JUMP_MASK;
    v->context.arithmetic = FLAGS_ARITH;
    v->context.without_if = ~(u64)FLAG_IF;
    v->context.alignment = FLAG_AC;
    v->context.not_by_sysret = FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC;
    v->context.page_mask = PAGE_MASK;
    v->context.page_carry = PAGE_SIZE;
    return status;
}

static void sbe_destroy(struct vcpu *v)
{
    heat_destroy(v);
    codecache_destroy(v);
    shadow_destroy(v->vm);
    windows_destroy(v);
    memtable_destroy(v);
    engine_interp.destroy(v);
}

static enum status sbe_window_create(struct vcpu *v)
{
    enum status status = sbe_create(v);
    if (status != STATUS_OK)
        return status;
    status = windows_create(v);
    if (status != STATUS_OK)
        sbe_destroy(v);
    else
        v->sbe->windows = true;
    return status;
}

static enum status sbe_auto_create(struct vcpu *v)
{
    enum status status = sbe_window_create(v);
    if (status != STATUS_OK)
        return status;
    if (heat_create(v))
        return STATUS_OK;
    sbe_destroy(v);
    return STATUS_NO_MEMORY;
}

static u64 sbe_forget(struct vcpu *v, u64 offset, unsigned size)
{
    if (offset != FORGET_ALL)
        return codecache_written(v, offset, size);
    codecache_forget_all(v);
    return 0;
}

/* ---- Into translated code ----------------------------------------------------------------------- */

/* 32-bit code computes with whole registers: their upper halves must be 0, as its own writes leave them. What 64-bit
 * code left there stays until it is overwritten. */
static bool upper_halves_clear(const struct cpu *c)
{
    u64 all = 0;
    for (unsigned reg = RAX; reg <= RDI; reg++)
        all |= c->gpr[reg];
    return all >> 32 == 0;
}

/* Does the block's instruction, which crosses into a second page, find there what it was translated from? */
static bool rest_in_place(struct vcpu *v, const struct block *b)
{
    const u8 *host;
    gpa_t page;
    u64 linear = code_linear_at(v, block_rip(b));
    return mem_fetch_page(v, code_page_behind(linear, block_key_wide(b->key)), &host, &page) &&
           physmem_offset(&v->vm->memory, page) == v->sbe->blocks[b->partner].offset;
}

static bool rip_valid(const struct vcpu *v)
{
    return v->mode == CODE_64 ? canonical(v->cpu.rip) : v->cpu.rip <= v->cpu.seg[SEG_CS].limit;
}

/* The block at CS:RIP, translated now if need be. 0: the interpreter has to go on. */
static u32 find_block(struct vcpu *v)
{
    u32 key = block_key(v);
    if (key == KEY_NONE || (!block_key_wide(key) && !upper_halves_clear(&v->cpu)))
        return 0;
    const u8 *host;
    gpa_t page;
    u64 linear = code_linear_at(v, v->cpu.rip);
    if (!rip_valid(v) || !mem_fetch_page(v, linear, &host, &page) || !host)
        return 0; /* the interpreter meets the same fault, and delivers it */
    u64 offset = physmem_offset(&v->vm->memory, page) | (linear & PAGE_MASK);
    u32 block = codecache_find(v->sbe, offset, code_tag(v) | v->cpu.rip, key);
    if (block && v->sbe->blocks[block].partner && !rest_in_place(v, &v->sbe->blocks[block])) {
        codecache_kill(v, block);
        block = 0;
    }
    return block ? block : translate_block(v, offset, key);
}

static struct sbe_tables tables_of(const struct vcpu *v, enum tlb_rights rights, bool wide)
{
    u64 *const *slots = v->memtable->slots[rights];
    struct sbe_tables tables = {.read = (u64)slots[MEMTABLE_READ] + table_bias(wide, false),
                                .write = (u64)slots[MEMTABLE_WRITE] + table_bias(wide, true)};
    if (v->windows) {
        tables.window = (u64)window_base(v, v->memtable, rights);
        tables.window_end = tables.window + WINDOW_BYTES;
    }
    return tables;
}

static void tables_select(struct vcpu *v, bool wide)
{
    struct sbe_context *x = &v->context;
    if (x->tables_from != v->memtable || x->tables_wide != wide) {
        x->tables_from = v->memtable;
        x->tables_wide = wide;
        x->by_cpl[TLB_SUPERVISOR] = tables_of(v, TLB_SUPERVISOR, wide);
        x->by_cpl[TLB_USER] = tables_of(v, TLB_USER, wide);
    }
    x->tables = v->tlb.rights <= TLB_USER ? x->by_cpl[v->tlb.rights] : tables_of(v, (enum tlb_rights)v->tlb.rights, wide);
}

/* SDM vol. 3, 8.1.3: code that was written through another address wants a serializing instruction before it runs. IRET
 * is one that needs no privilege, and that hypervisors do not intercept. */
static void serialize(void)
{
    u64 scratch;
    __asm__ volatile("mov %%ss, %k0\n\tpush %0\n\tlea 8(%%rsp), %0\n\tpush %0\n\tpushfq\n\tmov %%cs, %k0\n\tpush %0\n\t"
                     "lea 1f(%%rip), %0\n\tpush %0\n\tiretq\n1:"
                     : "=&r"(scratch) : : "memory", "cc");
}

/* Translated code counts from `icount` to context.limit. */
static void count_from(struct vcpu *v, bool wide, u64 icount)
{
    u64 end = counter_bias(wide) + v->context.limit;
    v->context.counter = end - icount;
    v->context.tsc_base = end + (vm_tsc(v->vm) - v->cpu.icount) + (u64)v->cpu.tsc_offset;
}

/* What every way into translated code prepares. */
static void entry_prepare(struct vcpu *v, bool wide)
{
    struct sbe *s = v->sbe;
    tables_select(v, wide);
    v->context.fetches = v->tlb.fetches;
    v->context.syscall_keeps = ~v->cpu.sfmask;
    s->stop_at = v->stop_at;
    v->context.limit = heat_limit(v, v->cpu.icount, v->stop_at);
    count_from(v, wide, v->cpu.icount);
    if (s->serialize) {
        s->serialize = false;
        serialize();
    }
}

/* May translated code of this width go on at all? What it jumped to before has been forgotten if it no longer holds. */
static bool may_go_on(struct vcpu *v, bool wide)
{
    struct sbe *s = v->sbe;
    if (v->cpu.icount >= v->stop_at || (v->mode == CODE_64) != wide || (v->stepping && !interp_pass_rf(v)))
        return false;
    if (s->epoch != v->vm->memory.epoch) {
        codecache_jump_forget_all(v);
        s->epoch = v->vm->memory.epoch;
    }
    return true;
}

/* Where translated code goes on at CS:RIP, or NULL: leave it to the run loop. `wide`: the width of the stub that will load
 * the guest's registers. */
static const u8 *go_on(struct vcpu *v, bool wide, u32 *found)
{
    struct sbe *s = v->sbe;
    *found = 0;
    if (!may_go_on(v, wide))
        return NULL;
    u32 block = find_block(v);
    if (!block || v->cpu.icount + s->blocks[block].insns > v->stop_at)
        return NULL;
    entry_prepare(v, wide);
    *found = block;
    return codecache_rx(s, s->blocks[block].code);
}

/* The same, faster: by the table of indirect jumps, if it has been there before. */
static const u8 *go_on_again(struct vcpu *v, bool wide)
{
    struct sbe *s = v->sbe;
    u32 found;
    if (!may_go_on(v, wide))
        return NULL;
    u32 class = codecache_class_known(s, block_key(v));
    if (class < JUMP_CLASSES && (wide ? canonical(v->cpu.rip) : upper_halves_clear(&v->cpu))) {
        const u8 *code = v->context.jump[class][jump_slot(v->cpu.rip)];
        if (code != s->indirect_exit[wide]) {
            v->context.target = code_tag(v) | v->cpu.rip;
            entry_prepare(v, wide);
            return code;
        }
    }
    const u8 *code = go_on(v, wide, &found);
    if (code)
        codecache_jump_remember(v, found);
    return code;
}

/* ---- Out of translated code --------------------------------------------------------------------- */

/* Completes the state that translated code left, `unexecuted` instructions before the end of what it has counted. */
static void settle(struct vcpu *v, u64 rip, bool wide, unsigned unexecuted)
{
    struct cpu *c = &v->cpu;
    c->rip = rip;
    c->aflags = (u32)v->context.flags & FLAGS_ARITH;
    c->icount = v->context.limit + counter_bias(wide) - (v->context.counter + unexecuted);
}

/* May the block go on behind the instruction of `site`? Its own mode, mapping and code must be what they were. */
static bool site_goes_on(struct vcpu *v, const struct site *site, const struct block *b)
{
    struct sbe *s = v->sbe;
    u64 behind = v->cpu.icount + site->remaining - 1;
    return v->tlb.fetches == v->context.fetches && b->key != BLOCK_DEAD && !v->stepping && v->stop_at == s->stop_at &&
           behind <= v->stop_at;
}

/* A signal costs as much as hundreds of checks: after a few, look before the access. Exceptions of other causes learn
 * that in vain, once. */
enum { CROSSINGS_BORNE = 3 };

static void site_faulted(struct vcpu *v, struct site *site)
{
    const struct block *b = &v->sbe->blocks[site->block];
    if (site->faults < UINT8_MAX && ++site->faults == CROSSINGS_BORNE)
        codecache_learn_crossing(v, block_offset(b, site->rip));
}

/* A fault in a window costs about ten microseconds. One that maps pages pays in the long run; one that maps none (a device, a
 * traced page, an address that wraps) comes again, and so may one whose page was mapped before and taken away. */
enum { STRAIN_MAPPED = 1, STRAIN_AGAIN = 20, STRAIN_IN_VAIN = 100 }; /* of STRAIN_BORNE */
static const u16 strain_of[] = {
    [WINDOW_NOTHING] = STRAIN_IN_VAIN, [WINDOW_MAPPED] = STRAIN_MAPPED, [WINDOW_AGAIN] = STRAIN_AGAIN};

/* The instruction that has faulted at `linear` of a window has been executed: the next time it should not fault. */
static void window_faulted(struct vcpu *v, const struct site *site, u64 linear, u64 window)
{
    const struct block *b = &v->sbe->blocks[site->block];
    u64 offset = block_offset(b, site->rip);
    bool here = (u64)window_base(v, v->memtable, (enum tlb_rights)v->tlb.rights) == window;
    enum window_result result = WINDOW_MAPPED; /* elsewhere by now: the guest has its own fault to handle */
    if (here)
        result = window_map(v, v->memtable, linear, (enum tlb_rights)v->tlb.rights);
    if (v->sbe->heat)
        heat_fault(v, offset);
    codecache_strain(v, offset, strain_of[result]);
}

const u8 *sbe_site(struct vcpu *v, u32 number)
{
    struct sbe *s = v->sbe;
    struct site *site = &s->sites[number & ~SITE_FAULTED];
    const struct block *b = &s->blocks[site->block];
    bool wide = v->mode == CODE_64;
    settle(v, site->rip, wide, site->remaining);
    v->vm->stats.callouts++;
    s->called[site->insn.row]++;
    u64 address = number & SITE_FAULTED ? host_fault_address() : UINT64_MAX, window = v->context.tables.window;
    bool in_window = windows_hold(v, address);
    if ((number & SITE_FAULTED) && !in_window)
        site_faulted(v, site);
    enum exec result = interp_insn(v, &site->insn);
    if (in_window)
        window_faulted(v, site, address - window, window);
    if (result != EXEC_NEXT || site->kind != SITE_PLAIN || !site_goes_on(v, site, b))
        return go_on_again(v, wide);
    u64 behind = v->cpu.icount + site->remaining - 1;
    if (v->context.limit < behind)
        v->context.limit = heat_limit(v, behind, v->stop_at);
    count_from(v, wide, behind);
    return codecache_rx(s, site->resume);
}

const u8 *sbe_link(struct vcpu *v, u32 number)
{
    struct sbe *s = v->sbe;
    struct link link = s->links[number];
    u64 discards = s->discards;
    u32 found;
    bool wide = block_key_wide(s->blocks[link.block].key);
    settle(v, link.rip, wide, 0);
    const u8 *code = go_on(v, wide, &found);
    if (code && s->discards == discards && s->blocks[link.block].key != BLOCK_DEAD)
        codecache_chain(s, number, found);
    return code;
}

const u8 *sbe_budget(struct vcpu *v, u32 block)
{
    const struct block *b = &v->sbe->blocks[block];
    u32 found;
    settle(v, block_rip(b), block_key_wide(b->key), b->insns);
    if (!v->sbe->heat || v->cpu.icount + b->insns > v->stop_at)
        return NULL;
    heat_sample(v, b->offset);
    return go_on(v, v->mode == CODE_64, &found);
}

const u8 *sbe_indirect(struct vcpu *v, u64 target)
{
    const struct site *site = &v->sbe->sites[v->context.site];
    bool wide = v->mode == CODE_64;
    u32 found;
    settle(v, wide ? target : (u32)target, wide, 0);
    if (wide && !canonical(target)) { /* the jump's own fault: only RET has done something by now */
        if (site->kind == SITE_RETURN)
            v->cpu.gpr[RSP] -= 8 + (site->insn.imm & 0xffff);
        settle(v, site->rip, wide, 1);
        interp_insn(v, &site->insn);
        return go_on(v, wide, &found);
    }
    const u8 *code = go_on(v, wide, &found);
    if (code)
        codecache_jump_remember(v, found);
    return code;
}

/* ---- For people ----------------------------------------------------------------------------------- */

static bool sbe_explain(struct vcpu *v, u64 rip, struct engine_code *code)
{
    u32 key = block_key(v);
    gpa_t at;
    u64 saved = v->cpu.rip, offset = 0;
    bool found = key != KEY_NONE && mem_translate_debug(v, code_linear_at(v, rip), &at);
    if (found)
        offset = physmem_offset(&v->vm->memory, at);
    if (!found || offset == UINT64_MAX)
        return false;
    v->cpu.rip = rip;
    found = translate_explain(v, offset, key, code);
    v->cpu.rip = saved;
    return found;
}

/* ---- Run loop ----------------------------------------------------------------------------------- */

static void sbe_run(struct vcpu *v)
{
    u32 found;
    while (v->cpu.icount < v->stop_at) {
        if (__builtin_expect(v->stepping, 0) && !interp_pass_rf(v)) {
            if (!interp_attend(v))
                break;
            continue;
        }
        const u8 *code = go_on(v, v->mode == CODE_64, &found);
        if (code) {
            typedef void enter_code(struct vcpu *v, const u8 *code);
            ((enter_code *)v->sbe->enter[v->mode == CODE_64])(v, code);
        } else {
            v->vm->stats.interpreted++;
            interp_one(v);
        }
    }
    v->vm->stats.engine_exits++;
}

const struct engine engine_sbe = {
    .name = "sbe",
    .summary = "scan before execution: translated code, several times as fast",
    .layout = PHYSMEM_HOLES,
    .create = sbe_create,
    .destroy = sbe_destroy,
    .run = sbe_run,
    .forget = sbe_forget,
    .explain = sbe_explain,
};

const struct engine engine_sbe_window = {
    .name = "sbe-window",
    .summary = "the same; 32-bit code in windows instead of tables: for long computation",
    .layout = PHYSMEM_SHARED,
    .create = sbe_window_create,
    .destroy = sbe_destroy,
    .run = sbe_run,
    .forget = sbe_forget,
    .explain = sbe_explain,
};

const struct engine engine_sbe_auto = {
    .name = "sbe-auto",
    .summary = "the same; hot 32-bit code in windows, all other code by tables",
    .layout = PHYSMEM_SHARED,
    .create = sbe_auto_create,
    .destroy = sbe_destroy,
    .run = sbe_run,
    .forget = sbe_forget,
    .explain = sbe_explain,
};
