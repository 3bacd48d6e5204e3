/* What people need to see of a processor. */
#ifndef REPRISE_SIM_DUMP_H
#define REPRISE_SIM_DUMP_H

#include "core/vm.h"
#include "sbe/insn.h"
#include "sim/disasm.h"

#include <stdio.h>

/* All registers, the code at RIP and the top of the stack. Changes nothing in the guest. */
void dump_vcpu(FILE *to, struct vcpu *v);

/* The instruction at CS:rip as it is in memory now. */
struct dump_insn {
    u16 cs;
    u8 cpl, mode; /* enum code_mode */
    u64 rip;
    u8 bytes[INSN_MAX];
    u8 available; /* bytes that are in memory */
    u8 length;    /* 0: it is none, or there is no disassembler */
    char text[DISASM_MAX];
};
void dump_fetch(struct vcpu *v, u64 rip, struct dump_insn *insn);
/* Address, bytes, text, without a newline. */
void dump_put_insn(FILE *to, const struct dump_insn *insn);

/* One instruction at CS:RIP: address, bytes, text. Without a newline. */
void dump_instruction(FILE *to, struct vcpu *v);

/* Copies code bytes from CS:rip on, as far as they lie in RAM; returns how many. */
unsigned dump_code(struct vcpu *v, u64 rip, u8 *to, unsigned bytes);

/* "#PF" and the like; "?" beyond the architecture's own. */
const char *vector_name(unsigned vector);

#endif
