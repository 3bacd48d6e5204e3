/* dev_dma: whatever a device asks for, every transfer that is made lies in this VM's RAM, within one page, and takes
 * its bytes from within the device's buffer. Assumed here: phys_read() and phys_write() leave the memory map itself
 * alone (what they change is summed up in guest_memory). That the buffers exist, proofs/eva/chipset.c shows. */
#include "proofs/lemmas.h"

#include "core/vm.h"
#include "mmu/access.h"

/*@ requires dma_in_ram: physmem_run(&vm->memory, from.raw, from.raw + size);
    requires dma_in_page: from.raw % PAGE_SIZE + size <= PAGE_SIZE;
    assigns guest_memory; */
void phys_read(struct vm *vm, gpa_t from, void *to, unsigned size);

/*@ requires dma_in_ram: physmem_run(&vm->memory, to.raw, to.raw + size);
    requires dma_in_page: to.raw % PAGE_SIZE + size <= PAGE_SIZE;
    assigns guest_memory; */
void phys_write(struct vm *vm, gpa_t to, const void *from, unsigned size);

/*@ assigns guest_memory; */
static void fill(u8 *to, int byte, unsigned size);
#define memset fill

/*@ requires \valid_read(vm) && physmem_shape(&vm->memory);
    assigns guest_memory; */
void bus_master_read(struct vm *vm, u64 address, u8 *to, unsigned size);

/*@ requires \valid_read(vm) && physmem_shape(&vm->memory);
    assigns guest_memory; */
void bus_master_write(struct vm *vm, u64 address, const u8 *from, unsigned size);

#include "devices/bus_master.c"
