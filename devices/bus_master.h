/* Guest memory as bus masters reach it: RAM only. What a device aims at MMIO or at nothing is lost, and reads as all
 * ones, so that devices never call each other. Any address, any size; addresses wrap at 2^64. Writes keep the TLB and
 * decoded code coherent. */
#ifndef REPRISE_DEVICES_BUS_MASTER_H
#define REPRISE_DEVICES_BUS_MASTER_H

#include "core/types.h"

struct vm;

void bus_master_read(struct vm *vm, u64 address, u8 *to, unsigned size);
void bus_master_write(struct vm *vm, u64 address, const u8 *from, unsigned size);

#endif
