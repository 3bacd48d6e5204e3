#include "devices/bus_master.h"

#include "core/checked.h"
#include "core/vm.h"
#include "mmu/access.h"

/* Bytes of an access of `left` at `address` that lie in its page: RAM has no holes smaller than one. */
/*@ assigns \nothing;
    ensures part: \result <= left && (left > 0 ==> \result > 0);
    ensures in_page: address % PAGE_SIZE + \result <= PAGE_SIZE; */
static unsigned page_part(u64 address, unsigned left)
{
    unsigned room = PAGE_SIZE - (unsigned)(address & PAGE_MASK);
    return left < room ? left : room;
}

void bus_master_read(struct vm *vm, u64 address, u8 *to, unsigned size)
{
    /*@ loop invariant done <= size;
        loop assigns done, part, guest_memory;
        loop variant size - done; */
    for (unsigned done = 0, part; done < size; done += part) {
        part = page_part(address + done, size - done);
        //@ check dma_within_buffer: 0 < part <= size - done;
        if (physmem_offset(&vm->memory, gpa(address + done)) != UINT64_MAX)
            phys_read(vm, gpa(address + done), to + done, part);
        else
            memset(to + done, 0xff, part);
    }
}

void bus_master_write(struct vm *vm, u64 address, const u8 *from, unsigned size)
{
    /*@ loop invariant done <= size;
        loop assigns done, part, guest_memory;
        loop variant size - done; */
    for (unsigned done = 0, part; done < size; done += part) {
        part = page_part(address + done, size - done);
        //@ check dma_within_buffer: 0 < part <= size - done;
        if (physmem_offset(&vm->memory, gpa(address + done)) != UINT64_MAX)
            phys_write(vm, gpa(address + done), from + done, part);
        CHECKED(part <= size - done && (address + done) % PAGE_SIZE + part <= PAGE_SIZE);
    }
}
