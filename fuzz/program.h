/* Random programs that exercise an engine: short, full of branches, memory accesses, faults and self-modification, and
 * built of instructions that are known one by one, so that a failing program can be made smaller. */
#ifndef REPRISE_FUZZ_PROGRAM_H
#define REPRISE_FUZZ_PROGRAM_H

#include "core/random.h"
#include "core/vm.h"
#include "fuzz/guest_image.h"
#include "sbe/insn.h"

enum { PROGRAM_INSNS = 72, PROGRAM_SLOT = 16 };

/* A place in an instruction that depends on where another one lies. */
enum fixup {
    FIXUP_NONE,
    FIXUP_RELATIVE, /* branch displacement */
    FIXUP_ABSOLUTE, /* offset in CS */
};

struct program_insn {
    u8 bytes[INSN_MAX];
    u8 length;
    u8 fixup;            /* enum fixup */
    u8 fix_at, fix_size; /* bytes of the field */
    s8 addend;           /* added to the target's offset */
    u8 target;           /* number of an instruction; program.count: the end */
};

/* How the handlers of faults go on. */
enum after_fault {
    AFTER_BYTE, /* one byte further: often in the middle of an instruction */
    AFTER_SLOT, /* at the next multiple of 16, where an instruction begins: they are laid out so */
};

/* Segments beside the flat ones. */
struct program_segment {
    u32 base, limit;
    u16 attributes; /* as in struct segment; 0: the mode's own segment stays */
};

struct program {
    u8 mode, options, model; /* enum guest_mode; GUEST_* of guest_image.h; index into cpu_models */
    u8 after;                /* enum after_fault */
    u32 origin;              /* linear address of the first instruction */
    u32 limit;               /* instructions to run */
    u32 cut_seed;            /* of the cuts; 0: none */
    u64 gpr[GPR_COUNT];
    u32 flags;
    u64 unit_seed; /* of FPU and SSE registers */
    u64 data_seed; /* of memory from GUEST_DATA on */
    u64 world_seed; /* of the changes in its surroundings (fuzz/world.h) */
    u16 world_mask; /* which of them are made */
    struct program_segment segment[SEG_COUNT];
    unsigned count;
    struct program_insn insn[PROGRAM_INSNS];
};

/* The same seed gives the same program. */
void program_generate(struct program *p, u64 seed);

/* The same kind of program in surroundings that are changed at random, with more of what uses them: far transfers, interrupts, task
 * switches, accesses to pages of all rights. */
void program_generate_system(struct program *p, u64 seed);
/* A program that executes one row of isa.def again and again, where it works if it works anywhere. */
void program_generate_row(struct program *p, u64 seed, unsigned row);

/* One instruction of isa.def's row, with random operands that suit the program; false if it does not fit the mode. */
bool program_row(struct random *r, unsigned row, enum code_mode mode, struct program_insn *insn);
/* Where something interesting lies: data, the end of a page, code, tables, nothing. */
u64 program_address(struct random *r, enum code_mode mode);
/* Values at which instructions change their minds. */
u64 program_value(struct random *r);

enum code_mode program_code_mode(const struct program *p);

/* The code as it lies in memory; fills offset[n] with where instruction n begins, in bytes from the origin, and
 * offset[count] with the size. Returns the size. */
enum { PROGRAM_BYTES = PROGRAM_INSNS * PROGRAM_SLOT };
unsigned program_layout(const struct program *p, u8 code[PROGRAM_BYTES], u16 offset[PROGRAM_INSNS + 1]);

/* To standard output, for people: circumstances and disassembly. */
void program_print(const struct program *p);

/* Gives a machine that was just created the program and its start state. */
void program_load(const struct program *p, struct vm *vm);

#endif
