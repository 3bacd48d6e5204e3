/* The small world around a fuzzed guest: descriptor tables, page tables, tasks and handlers that work, in 1 MiB of RAM.
 * The input chooses a mode, brings the code, and may overwrite any of it. */
#ifndef REPRISE_FUZZ_GUEST_IMAGE_H
#define REPRISE_FUZZ_GUEST_IMAGE_H

#include "core/vm.h"

/* Where things lie. Patches of an input name these addresses divided by GUEST_PATCH_UNIT. */
enum {
    GUEST_IVT = 0x0,
    GUEST_GDT = 0x1000,
    GUEST_LDT = 0x1800,
    GUEST_IDT = 0x2000,
    GUEST_STUBS = 0x3000,
    GUEST_TSS = 0x4000,       /* of the running task */
    GUEST_TSS_OTHER = 0x5000, /* 32-bit, ready to be switched to */
    GUEST_TSS_16 = 0x5400,    /* 16-bit, likewise */
    GUEST_KERNEL_STACK = 0x6c00,
    GUEST_USER_PAGES = 7,     /* the first page that user programs may use */
    GUEST_STACK = 0x7c00,
    GUEST_CODE = 0x8000,
    GUEST_DATA = 0x9000, /* general registers point here */
    GUEST_TABLES = 0x10000,
    GUEST_RAM = 1 << 20,
    GUEST_PATCH_UNIT = 16,
};

enum guest_mode {
    GUEST_REAL,
    GUEST_PROTECTED, /* flat, without paging */
    GUEST_PROTECTED_16,
    GUEST_PAGED_32,
    GUEST_PAGED_PAE,
    GUEST_LONG,
    GUEST_COMPATIBILITY,
    GUEST_V86,
    GUEST_MODES,
};

#define GUEST_USER 0x01u       /* starts at CPL 3 */
#define GUEST_INTERRUPTS 0x02u /* IF set, the PIT ticking through the PICs */
#define GUEST_APIC_TIMER 0x04u /* the local APIC's timer ticking */
#define GUEST_WP 0x08u         /* CR0.WP, and SMEP, SMAP, UMIP where the model has them */
#define GUEST_BREAKPOINTS 0x10u /* data and instruction breakpoints armed */
#define GUEST_TF 0x20u
#define GUEST_VME 0x40u /* CR4.VME and PVI; IOPL 0 instead of 3 in v86 mode */
#define GUEST_NO_FPU 0x80u /* CR0.TS */

/* Puts another handler, below 64 KiB, into the gate of a vector (in long mode: one below 0x80). */
void guest_image_set_handler(struct vm *vm, enum guest_mode mode, unsigned vector, u32 offset);

/* A new VM, just reset, becomes the one described. Modes that its model lacks become simpler ones. */
void guest_image_build(struct vm *vm, enum guest_mode mode, unsigned options);

/* The same from an input of a fuzzer: mode (bits 0..2 enum guest_mode, bits 3..5 processor model, bits 6..7 length of
 * the run), options (GUEST_*), seed of the slices (2 bytes), length of the code (2 bytes), the code, then patches:
 * address / GUEST_PATCH_UNIT (2 bytes), length (1 byte), bytes. */
enum { GUEST_INPUT_HEADER = 6 };
const struct cpu_model *guest_input_model(const u8 *data);
u64 guest_input_limit(const u8 *data); /* instructions to run */
u32 guest_input_seed(const u8 *data);  /* not 0 */
/* `vm` has that model and is new. size >= GUEST_INPUT_HEADER. */
void guest_input_load(struct vm *vm, const u8 *data, size_t size);

#endif
