#include "core/vm.h"

#include "core/checked.h"
#include "core/exception.h"
#include "core/host.h"
#include "devices/chipset.h"
#include "mmu/access.h"
#include "sbe/fpu.h"

/* A vCPU stands behind the stack of its translated code. */
enum { MIN_RAM = 1 << 20, VCPU_BYTES = SBE_STACK_BYTES + sizeof(struct vcpu) };

static enum status vcpu_create(struct vm *vm, u32 index)
{
    u8 *memory = host_alloc(VCPU_BYTES);
    if (!memory)
        return STATUS_NO_MEMORY;
    struct vcpu *v = (struct vcpu *)(memory + SBE_STACK_BYTES);
    v->vm = vm;
    v->index = index;
    v->tlb.epoch = v->tlb.write_epoch = 1;
    v->tlb.current = v->tlb.entries[TLB_SUPERVISOR];
    enum status status = vm->config.engine->create(v);
    if (status != STATUS_OK) {
        host_free(memory, VCPU_BYTES);
        return status;
    }
    vm->vcpu[index] = v;
    vm->vcpu_count = index + 1;
    return STATUS_OK;
}

enum status vm_create(struct vm **result, const struct vm_config *config)
{
    if (config->ram_bytes < MIN_RAM || config->ram_bytes % MIN_RAM)
        return STATUS_BAD_ARGUMENT;
    if (cpu_model_missing_on_host(config->model) != FEAT_BASE)
        return STATUS_UNSUPPORTED;
    struct vm *vm = host_alloc(sizeof *vm);
    if (!vm)
        return STATUS_NO_MEMORY;
    vm->config = *config;
    enum status status = physmem_create(&vm->memory, config->ram_bytes, config->engine->layout);
    if (status == STATUS_OK) {
        status = vcpu_create(vm, 0);
        if (status != STATUS_OK)
            physmem_destroy(&vm->memory);
    }
    if (status != STATUS_OK) {
        host_free(vm, sizeof *vm);
        return status;
    }
    vm_reset(vm);
    chaos_start(vm);
    *result = vm;
    return STATUS_OK;
}

void vm_destroy(struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        fpu_park(vm->vcpu[n]);
        vm->config.engine->destroy(vm->vcpu[n]);
        host_free((u8 *)vm->vcpu[n] - SBE_STACK_BYTES, VCPU_BYTES);
    }
    state_hash_forget(vm);
    physmem_destroy(&vm->memory);
    host_free(vm, sizeof *vm);
}

void vm_reset(struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        fpu_park(v);
        cpu_reset(&v->cpu, vm->config.model);
        v->cpu.tsc_offset = -(s64)vm_tsc(vm); /* the TSC starts anew (SDM vol. 3, table 9-1) */
        tlb_flush(v);
        if (vm->config.engine->forget)
            vm->config.engine->forget(v, FORGET_ALL, 0);
        vcpu_update_mode(v);
    }
    vm->request = REQUEST_NONE;
    chipset_reset(vm);
}

static bool take_request(struct vm *vm, enum vm_stop *stop)
{
    enum device_request request = vm->request;
    vm->request = REQUEST_NONE;
    switch (request) {
    case REQUEST_NONE: return false;
    case REQUEST_POWER_OFF: *stop = VM_STOP_POWER_OFF; return true;
    case REQUEST_DEBUG_EXIT: *stop = VM_STOP_DEBUG_EXIT; return true;
    case REQUEST_RESET:
    case REQUEST_INIT: *stop = VM_STOP_RESET; return true;
    }
    return false;
}

static bool can_interrupt(const struct cpu *c)
{
    return (c->rflags & FLAG_IF) && !c->int_shadow && !c->mov_ss_shadow;
}

/* A debug trap of the last instruction (a task's T flag, SYSRET to a stepped program, a breakpoint on the frame of an
 * event), which the engine delivers before the next one. It comes before interrupts (SDM vol. 3, table 6-2). */
static bool trap_pending(const struct cpu *c)
{
    return (c->pending_db & ~PENDING_DB_NO_STEP) && !c->mov_ss_shadow;
}

/* A debugger that goes back to this icount must know that its first moment lies before the delivery. */
static void note_delivery(struct vm *vm)
{
    struct stops *s = vm->stops;
    if (!s)
        return;
    s->delivered = vm->vcpu[0]->cpu.icount;
    s->hit |= s->at_delivery;
}

static void deliver(struct vcpu *v, const struct event *event)
{
    const struct engine *engine = v->vm->config.engine;
    if (engine->deliver)
        engine->deliver(v, event);
    else
        exception_deliver(v, event);
}

/* Delivers what may be delivered at this boundary: at most one external interrupt, so that a line which its
 * acknowledgement does not lower cannot hold up the guest. Returns true if one waits that may be delivered after the next
 * instruction: the shadow has passed by then, or the handler began with interrupts on. */
static bool deliver_interrupts(struct vm *vm, struct vcpu *v)
{
    struct cpu *c = &v->cpu;
    if (trap_pending(c))
        return true;
    if (c->nmi_pending && !c->nmi_blocked) {
        if (c->mov_ss_shadow)
            return true; /* which holds up everything else as well */
        c->nmi_pending = 0;
        c->activity = ACTIVITY_RUNNING;
        note_delivery(vm);
        deliver(v, &(struct event){.vector = VEC_NMI, .type = EVENT_NMI});
        if (c->activity == ACTIVITY_SHUTDOWN)
            return false;
    }
    if (!(c->rflags & FLAG_IF) || !chipset_interrupt_pending(vm, v))
        return false;
    if (!can_interrupt(c))
        return true;
    if (chaos_holds(vm))
        return false;
    c->activity = ACTIVITY_RUNNING;
    struct event event = {.vector = chipset_interrupt_acknowledge(vm, v), .type = EVENT_EXTERNAL};
    vm->stats.interrupts++;
    note_delivery(vm);
    deliver(v, &event);
    return (c->rflags & FLAG_IF) && chipset_interrupt_pending(vm, v);
}

u64 vm_wake_time(struct vm *vm) { return chipset_deadline(vm); }

void vm_skip_to(struct vm *vm, u64 ns)
{
    u64 now = vm_now(vm);
    if (ns > now)
        vm->clock.skipped_ns += ns - now;
}

/* Has a debugger's stop ended the engine's run? What an exception's delivery hit belongs to the instruction, but the attempt
 * has been counted by then. */
static bool debug_stop(struct vm *vm)
{
    struct stops *s = vm->stops;
    if (!s || !s->hit)
        return false;
    if (s->hit_point.kind != STOP_EXECUTE && s->hit_icount == vm->vcpu[0]->cpu.icount)
        s->hit_icount--;
    return true;
}

/* Would deliver_interrupts() find anything? */
static bool interrupt_waits(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    return (c->nmi_pending && !c->nmi_blocked) || (c->rflags & v->interrupt_if);
}

void vm_attend_interrupts(struct vcpu *v)
{
    if (interrupt_waits(v))
        vcpu_kick(v);
}

void vm_attend(struct vm *vm)
{
    struct vcpu *v = vm->vcpu[0];
    bool due = vm->timers_touched && clock_icount(&vm->clock, chipset_deadline(vm)) < v->stop_at;
    vm->timers_touched = false;
    if (due || vm->request != REQUEST_NONE || interrupt_waits(v))
        vcpu_kick(v);
}

/* How far the engine may run before this loop must look again, unless it is kicked. */
static u64 next_look(const struct vm *vm, u64 deadline, u64 until)
{
    const u64 timer = clock_icount(&vm->clock, deadline), chaos = chaos_next(&vm->chaos, vm->vcpu[0]->cpu.icount);
    const u64 first = timer < until ? timer : until;
    return chaos < first ? chaos : first;
}

enum vm_stop vm_run(struct vm *vm, u64 until)
{
    struct vcpu *v = vm->vcpu[0];
    struct cpu *c = &v->cpu;
    chipset_note_interrupt(vm);
    for (;;) {
        enum vm_stop stop;
        if (debug_stop(vm))
            return VM_STOP_DEBUG;
        if (take_request(vm, &stop))
            return stop;
        if (host_stop_requested())
            return VM_STOP_HOST;
        if (chaos_clock_due(&vm->chaos, c->icount))
            chaos_change_clock(vm);
        u64 deadline = chipset_deadline(vm);
        if (deadline <= vm_now(vm)) {
            chipset_tick(vm);
            deadline = chipset_deadline(vm);
        }
        if (c->activity != ACTIVITY_SHUTDOWN && c->icount >= until)
            return VM_STOP_ICOUNT; /* before anything is delivered, or a boundary could be used twice */
        bool again = c->activity != ACTIVITY_SHUTDOWN && deliver_interrupts(vm, v);
        if (c->activity == ACTIVITY_SHUTDOWN)
            return VM_STOP_TRIPLE_FAULT;
        if (vm->stops && vm->stops->hit) /* by the delivery's own accesses */
            return VM_STOP_DEBUG;
        if (c->activity == ACTIVITY_HALTED)
            return c->rflags & FLAG_IF ? VM_STOP_WAIT_INPUT : VM_STOP_IDLE;
        v->stop_at = again ? c->icount + 1 : next_look(vm, deadline, until);
        vm->config.engine->run(v);
        fpu_park(v);
        CHECKED(c->cpl <= 3 && (vm->stats.interrupts % CHECKED_BOARD || chipset_plausible(&vm->chipset)));
    }
}
