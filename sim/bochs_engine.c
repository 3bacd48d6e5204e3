#include "sim/bochs_engine.h"

#include "core/exception.h"
#include "core/host.h"
#include "core/vm.h"
#include "mmu/access.h"
#include "sbe/fpu.h"
#include "sbe/interp.h"
#include "sim/bochs/bochs_cpu.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLUGIN_NAME "reprise-bochs.so"

_Static_assert(sizeof(struct bochs_segment) == sizeof(struct segment) &&
                   offsetof(struct bochs_segment, base) == offsetof(struct segment, base),
               "segments are copied as they are");

/* Bochs has one processor, so there is one of this. */
static struct {
    const struct bochs_cpu *cpu;
    struct vcpu *owner;   /* whose state it holds; NULL: nobody's */
    struct cpu known;     /* what the owner's state was when Bochs had the same */
    struct bochs_state state;
    u64 fetches;          /* the owner's tlb.fetches: another number means that translations are void */
    u64 write_epoch;      /* the owner's tlb.write_epoch: the same for pointers given out for writing */
    u64 flushes;          /* how often Bochs' TLB was emptied by us */
    u64 *write_given;     /* per page of RAM: `flushes` + 1 when a pointer for writing was last given out */
    bool delivering;
} bochs;

/* ---- What Bochs asks ------------------------------------------------------------------------------ */

static bool is_table(const struct vm *vm, const struct frame *f)
{
    return (f->flags & FRAME_TABLE) && f->table_epoch == vm->memory.epoch;
}

static uint8_t *give_page(void *context, uint64_t address, enum bochs_rights rights)
{
    struct vm *vm = context;
    u64 offset = physmem_offset(&vm->memory, gpa(address));
    if (offset == UINT64_MAX)
        return NULL;
    if (rights == BOCHS_WRITE) {
        if (is_table(vm, &vm->memory.frames[offset >> PAGE_SHIFT]))
            return NULL;
        physmem_note_write(&vm->memory, gpa(address));
        bochs.write_given[offset >> PAGE_SHIFT] = bochs.flushes + 1;
    }
    if (rights == BOCHS_FETCH)
        phys_watch_code(vm, gpa(address), PAGE_SIZE); /* writes of devices then reach bochs_forget() */
    return physmem_host(&vm->memory, offset);
}

/* The board's time is the instruction that executes. */
static struct vcpu *at_instruction(struct vm *vm)
{
    vm->vcpu[0]->cpu.icount = bochs.cpu->icount();
    return vm->vcpu[0];
}

static void read_physical(void *context, uint64_t address, void *to, unsigned bytes)
{
    at_instruction(context);
    phys_read(context, gpa(address), to, bytes);
}

/* Setting A or D voids nothing; so the walk marks its entries, and it does not matter who else does. */
static bool only_marks(const struct vm *vm, u64 address, const u8 *from, unsigned bytes)
{
    const u8 *old = physmem_pointer(&vm->memory, gpa(address));
    if ((bytes != 4 && bytes != 8) || !old || memcmp(old + 1, from + 1, bytes - 1))
        return false;
    return !((old[0] ^ from[0]) & ~0x60) && (from[0] & old[0]) == old[0];
}

static int write_physical(void *context, uint64_t address, const void *from, unsigned bytes)
{
    struct vm *vm = context;
    struct vcpu *v = at_instruction(vm);
    u64 fetches = v->tlb.fetches;
    if (only_marks(vm, address, from, bytes))
        phys_write_table(vm, gpa(address), *(const u8 *)from);
    else
        phys_write(vm, gpa(address), from, bytes);
    bool stale = v->tlb.fetches != fetches;
    bochs.fetches += v->tlb.fetches - fetches;
    bochs.flushes += stale;
    return stale;
}

static int walked(void *context, uint64_t address)
{
    struct vm *vm = context;
    struct frame *f = physmem_frame(&vm->memory, gpa(address));
    if (!f || is_table(vm, f))
        return false;
    bool given = bochs.write_given[f - vm->memory.frames] == bochs.flushes + 1;
    phys_watch_table(vm, gpa(address));
    bochs.flushes += given;
    return given;
}

static uint32_t port_in(void *context, uint16_t port, unsigned bytes)
{
    return vm_io_read(at_instruction(context), port, bytes);
}

static void port_out(void *context, uint16_t port, uint32_t value, unsigned bytes)
{
    vm_io_write(at_instruction(context), port, value, bytes);
}

static int model_feature(void *context, const char *feature)
{
    for (unsigned f = 0; f < FEAT_COUNT; f++)
        if (!strcmp(feature_name((enum feature)f), feature))
            return model_has(context, (enum feature)f);
    return false;
}

/* ---- State ---------------------------------------------------------------------------------------- */

#define MSRS(X) \
    X(sysenter_cs) X(sysenter_esp) X(sysenter_eip) X(star) X(lstar) X(cstar) X(sfmask) X(kernel_gs_base) X(tsc_aux)
#define SAME(X) \
    X(rip) X(cr0) X(cr2) X(cr3) X(cr4) X(efer) X(xcr0) X(icount) X(int_shadow) X(mov_ss_shadow) X(cpl) X(nmi_blocked) \
    X(pending_db)
#define TABLES(X) X(gdtr) X(idtr)
#define FPU(X) X(fip) X(fdp) X(fop) X(fcs) X(fds) 

static void state_in(struct bochs_state *s, const struct cpu *c)
{
#define IN(field) s->field = c->field;
    SAME(IN) MSRS(IN)
#undef IN
#define IN(table) s->table##_base = c->table.base, s->table##_limit = c->table.limit;
    TABLES(IN)
#undef IN
#define IN(field) s->field = c->fpu.field;
    FPU(IN)
#undef IN
    memcpy(s->gpr, c->gpr, sizeof s->gpr);
    memcpy(s->seg, c->seg, sizeof s->seg);
    memcpy(&s->ldtr, &c->ldtr, sizeof s->ldtr);
    memcpy(&s->tr, &c->tr, sizeof s->tr);
    memcpy(s->dr, c->dr, sizeof s->dr);
    memcpy(s->pdpte, c->pdpte, sizeof s->pdpte);
    memcpy(s->fxsave, c->fpu.fxsave, sizeof s->fxsave);
    s->rflags = (u32)cpu_rflags(c);
    s->activity = BOCHS_RUNNING;
}

static void state_out(const struct bochs_state *s, struct cpu *c)
{
#define OUT(field) c->field = s->field;
    SAME(OUT)
    OUT(kernel_gs_base)
#undef OUT
#define OUT(table) c->table.base = s->table##_base, c->table.limit = s->table##_limit;
    TABLES(OUT)
#undef OUT
#define OUT(field) c->fpu.field = s->field;
    FPU(OUT)
#undef OUT
    memcpy(c->gpr, s->gpr, sizeof s->gpr);
    memcpy(c->seg, s->seg, sizeof s->seg);
    memcpy(&c->ldtr, &s->ldtr, sizeof s->ldtr);
    memcpy(&c->tr, &s->tr, sizeof s->tr);
    memcpy(c->dr, s->dr, sizeof s->dr);
    memcpy(c->pdpte, s->pdpte, sizeof s->pdpte);
    memcpy(c->fpu.fxsave, s->fxsave, sizeof s->fxsave);
    cpu_set_rflags_raw(c, s->rflags);
    c->activity = s->activity == BOCHS_RUNNING ? ACTIVITY_RUNNING
                  : s->activity == BOCHS_HALTED ? ACTIVITY_HALTED : ACTIVITY_SHUTDOWN;
}

static void forget(unsigned what)
{
    bochs.cpu->forget(what);
    bochs.flushes++;
}

static void attach(struct vcpu *v)
{
    struct vm *vm = v->vm;
    const struct cpu_model *m = vm->config.model;
    const struct bochs_host host = {
        .context = vm, .stop_at = &v->stop_at, .page = give_page, .read = read_physical, .write = write_physical,
        .walked = walked, .in = port_in, .out = port_out,
    };
    const struct bochs_model model = {
        .has = model_feature, .context = (void *)m, .cr4_mask = cpu_model_cr4_mask(m),
        .efer_mask = cpu_model_efer_mask(m), .xcr0_mask = cpu_model_xcr0_mask(m), .linear_bits = 48,
    };
    free(bochs.write_given);
    bochs.write_given = calloc(physmem_pages(&vm->memory), sizeof *bochs.write_given);
    if (!bochs.write_given)
        abort();
    bochs.owner = v;
    bochs.cpu->attach(&host, &model);
    forget(BOCHS_CODE | BOCHS_TRANSLATIONS);
    memset(&bochs.known, 0xff, sizeof bochs.known);
}

/* Does something that translations depend on differ from what Bochs has? */
static bool paging_same(const struct cpu *a, const struct cpu *b)
{
    return a->cr0 == b->cr0 && a->cr3 == b->cr3 && a->cr4 == b->cr4 && a->efer == b->efer &&
           !memcmp(a->pdpte, b->pdpte, sizeof a->pdpte);
}

/* Bochs has what v->cpu has. */
static void enter(struct vcpu *v)
{
    if (bochs.owner != v)
        attach(v);
    if (bochs.fetches != v->tlb.fetches || bochs.write_epoch != v->tlb.write_epoch || !paging_same(&bochs.known, &v->cpu))
        forget(BOCHS_TRANSLATIONS);
    bochs.fetches = v->tlb.fetches;
    bochs.write_epoch = v->tlb.write_epoch;
    bool flags = bochs.known.aflags != v->cpu.aflags;
    bochs.known.aflags = v->cpu.aflags;
    if (!memcmp(&bochs.known, &v->cpu, sizeof v->cpu)) {
        if (flags)
            bochs.cpu->set_flags((u32)cpu_rflags(&v->cpu));
        return;
    }
    state_in(&bochs.state, &v->cpu);
    bochs.cpu->load(&bochs.state);
}

static void leave(struct vcpu *v)
{
    bochs.cpu->store(&bochs.state);
    state_out(&bochs.state, &v->cpu);
    bochs.known = v->cpu;
    if (v->cpu.activity != ACTIVITY_RUNNING)
        vcpu_kick(v);
}

/* ---- The engine ----------------------------------------------------------------------------------- */

static enum status bochs_create(struct vcpu *v)
{
    return bochs_engine_missing() ? STATUS_UNSUPPORTED : engine_interp.create(v);
}

static void bochs_destroy(struct vcpu *v)
{
    if (bochs.owner == v)
        bochs.owner = NULL;
    engine_interp.destroy(v);
}

/* CPUID and its kin, by the interpreter, which has seen nothing of what Bochs did to memory. False if that ends the run: a fault
 * of theirs may be the third in a row. */
static bool execute_delegated(struct vcpu *v)
{
    leave(v);
    tlb_flush(v);
    vcpu_update_mode(v);
    interp_step(v);
    fpu_park(v);
    bochs.fetches = v->tlb.fetches;
    bochs.write_epoch = v->tlb.write_epoch;
    if (v->cpu.activity != ACTIVITY_RUNNING)
        return false;
    enter(v);
    return true;
}

static void bochs_run(struct vcpu *v)
{
    enter(v);
    bool runs = true;
    while (runs && bochs.cpu->run() == BOCHS_DELEGATED)
        runs = execute_delegated(v);
    if (runs)
        leave(v);
    v->vm->stats.engine_exits++;
}

static void bochs_deliver(struct vcpu *v, const struct event *event)
{
    enter(v);
    bochs.cpu->interrupt(event->vector, event->type == EVENT_NMI);
    leave(v);
}

static u64 bochs_forget(struct vcpu *v, u64 offset, unsigned size)
{
    (void)size;
    if (bochs.owner != v)
        return 0;
    if (offset == FORGET_ALL)
        forget(BOCHS_CODE | BOCHS_TRANSLATIONS);
    else
        bochs.cpu->forget_code(physmem_address(&v->vm->memory, offset).raw);
    return 0;
}

const struct engine engine_bochs = {
    .name = "bochs",
    .summary = "the processor of Bochs on our board, as a reference: slow, from another hand",
    .create = bochs_create,
    .destroy = bochs_destroy,
    .run = bochs_run,
    .forget = bochs_forget,
    .deliver = bochs_deliver,
    .reference = true,
};

/* ---- Loading ---------------------------------------------------------------------------------------- */

/* Beside the program, or where REPRISE_BOCHS says. */
static void plugin_path(char path[PATH_MAX])
{
    const char *given = getenv("REPRISE_BOCHS");
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - sizeof PLUGIN_NAME - 1);
    if (given || length <= 0) {
        snprintf(path, PATH_MAX, "%s", given ? given : PLUGIN_NAME);
        return;
    }
    path[length] = 0;
    snprintf(strrchr(path, '/') + 1, sizeof PLUGIN_NAME, "%s", PLUGIN_NAME);
}

static const char *load(void)
{
    static char message[PATH_MAX + 200];
    char path[PATH_MAX];
    typedef const struct bochs_cpu *entry(void);
    plugin_path(path);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin) {
        snprintf(message, sizeof message, "engine bochs is a plug-in, and it cannot be loaded (%.200s); ci/bochs builds "
                 "Bochs, then configure and build again", dlerror());
        return message;
    }
    entry *find = (entry *)dlsym(plugin, BOCHS_ENTRY);
    const struct bochs_cpu *cpu = find ? find() : NULL;
    if (!cpu || cpu->abi != BOCHS_ABI)
        return "engine bochs: " PLUGIN_NAME " belongs to another version of reprise; build it again";
    bochs.cpu = cpu;
    return NULL;
}

const char *bochs_engine_missing(void)
{
    return bochs.cpu ? NULL : load();
}
