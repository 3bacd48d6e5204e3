#include "fuzz/coverage.h"

#include "core/cpuid.h"
#include "sbe/decode.h"
#include "sim/dump.h"

enum { SKIPS_MAX = 16 };

static void on_event(void *context, struct vm *vm, const struct trace_event *event)
{
    (void)vm;
    (void)event;
    *(bool *)context = true;
}

/* Row of the instruction at CS:RIP, or ISA_INVALID. */
static unsigned next_row(struct vcpu *v)
{
    u8 bytes[INSN_MAX];
    struct insn insn;
    unsigned available = dump_code(v, v->cpu.rip, bytes, INSN_MAX);
    return decode(bytes, available, (enum code_mode)v->mode, &insn) == DECODE_OK ? insn.row : ISA_INVALID;
}

void coverage_add(struct coverage *c, const struct engine *engine, const struct program *p)
{
    const struct vm_config config = {.ram_bytes = 1 << 20, .model = &cpu_models[p->model], .engine = engine};
    struct vm *vm;
    bool trapped;
    const struct tracer tracer = {.mask = 1u << TRACE_EXCEPTION, .context = &trapped, .event = on_event};
    if (vm_create(&vm, &config) != STATUS_OK)
        return;
    program_load(p, vm);
    vm->tracer = &tracer;
    const struct cpu *cpu = &vm->vcpu[0]->cpu;
    for (unsigned skips = 0; cpu->icount < p->limit && skips < SKIPS_MAX;) {
        u64 before = cpu->icount;
        unsigned row = next_row(vm->vcpu[0]);
        trapped = false;
        enum vm_stop stop = vm_run(vm, before + 1);
        c->instructions += cpu->icount > before;
        c->faults += trapped;
        if (cpu->icount > before)
            (trapped ? c->trapped : c->executed)[row < COVERAGE_ROWS ? row : 0]++;
        if (stop == VM_STOP_WAIT_INPUT && vm_wake_time(vm) != CLOCK_NEVER)
            vm_skip_to(vm, vm_wake_time(vm)), skips++;
        else if (stop != VM_STOP_ICOUNT)
            break;
    }
    vm_destroy(vm);
}
