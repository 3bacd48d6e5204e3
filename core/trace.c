#include "core/trace.h"

#include "core/vm.h"
#include "sbe/fpu.h"

void trace_emit(struct vm *vm, const struct trace_event *event)
{
    const struct tracer *tracer = vm->tracer;
    if (!tracer || !(tracer->mask >> event->kind & 1))
        return;
    for (unsigned i = 0; i < vm->vcpu_count; i++)
        fpu_park(vm->vcpu[i]);
    tracer->event(tracer->context, vm, event);
}
