/* The registers that gdb sees: one 64-bit description in every mode of the processor, so that gdb need not be told of
 * mode switches. RIP and RSP are offsets into CS and SS, as the processor has them; the bases are registers too. */
#ifndef REPRISE_SIM_GDB_REGISTERS_H
#define REPRISE_SIM_GDB_REGISTERS_H

#include "core/vm.h"

enum { GDB_REGISTER_BYTES_MAX = 16 };

/* How many there are; numbers are 0 to that. */
unsigned gdb_registers(void);

/* Size of register n in bytes. n < gdb_registers(). */
unsigned gdb_register_size(unsigned n);

/* Copies register n of a processor, little-endian, to `to`. The FPU is parked. */
void gdb_register_read(struct vcpu *v, unsigned n, u8 *to);

/* Changes it. False for registers that only the guest may change: segments and their bases, control and debug
 * registers. */
bool gdb_register_write(struct vcpu *v, unsigned n, const u8 *from);

/* The target description (target.xml), a string that lives as long as the program. */
const char *gdb_target_xml(void);

#endif
