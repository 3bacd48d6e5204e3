/* Port and memory-mapped I/O of instructions: the way from a processor to the board.
 *
 * The guest's FPU state is parked first, because a device may call the host. Any access can change an interrupt line,
 * a timer or the run state of the machine, so they are looked at afterwards. */
#include "core/vm.h"
#include "devices/chipset.h"
#include "sbe/fpu.h"

static u64 size_mask(unsigned size) { return ~0ull >> (64 - 8 * size); }

static void trace_access(struct vm *vm, enum trace_kind kind, u64 address, u64 value, unsigned size)
{
    if (__builtin_expect(vm->tracer != NULL, 0))
        trace_emit(vm, &(struct trace_event){.kind = kind, .size = (u8)size, .address = address, .value = value});
}

u32 vm_io_read(struct vcpu *v, u16 port, unsigned size)
{
    fpu_park(v);
    v->vm->stats.io_reads++;
    u32 value = chipset_io_read(v->vm, port, size) & (u32)size_mask(size);
    trace_access(v->vm, TRACE_IO_READ, port, value, size);
    vm_attend(v->vm);
    return value;
}

void vm_io_write(struct vcpu *v, u16 port, u32 value, unsigned size)
{
    fpu_park(v);
    v->vm->stats.io_writes++;
    trace_access(v->vm, TRACE_IO_WRITE, port, value & size_mask(size), size);
    chipset_io_write(v->vm, port, value & (u32)size_mask(size), size);
    vm_attend(v->vm);
}

u64 vm_mmio_read(struct vm *vm, gpa_t address, unsigned size)
{
    fpu_park(vm->vcpu[0]); /* a page walk or a device may ask as well: the one processor stands for all */
    vm->stats.mmio_reads++;
    u64 value = chipset_mmio_read(vm, address, size) & size_mask(size);
    trace_access(vm, TRACE_MMIO_READ, address.raw, value, size);
    vm_attend(vm);
    return value;
}

void vm_mmio_write(struct vm *vm, gpa_t address, u64 value, unsigned size)
{
    fpu_park(vm->vcpu[0]);
    vm->stats.mmio_writes++;
    trace_access(vm, TRACE_MMIO_WRITE, address.raw, value & size_mask(size), size);
    chipset_mmio_write(vm, address, value & size_mask(size), size);
    vm_attend(vm);
}
