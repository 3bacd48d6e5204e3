/* An ELF core file of a guest: its memory by linear and by physical address, and its registers, for gdb and crash.
 *
 * Each page of RAM lies in the file once, at a place that follows from its physical address; segments (PT_LOAD) of linear
 * addresses, as the page tables map them at the moment, point at them. Pages of zeros are holes. A guest in IA-32e mode gives
 * an ELF64 file for x86-64; every other one an ELF32 file for i386, whose addresses end at 4 GiB. */
#ifndef REPRISE_SIM_CORE_FILE_H
#define REPRISE_SIM_CORE_FILE_H

#include "core/vm.h"

enum { CORE_FILE_MESSAGE_MAX = 400 };

/* In a 64-bit file, guest-physical address P is readable at this linear address plus P, which no guest can map. */
#define CORE_FILE_PHYSICAL 0x0100000000000000ull

struct core_file_report {
    bool wide;           /* ELF64 */
    u64 segments, bytes; /* of RAM that holds anything but zeros */
    bool vmcoreinfo;     /* a Linux kernel's description of itself was found */
    u64 left_out;        /* bytes of RAM that an ELF32 file cannot hold */
};

/* Writes the machine as it stands. False with one line in `message`, and no file left behind. */
bool core_file_write(const char *path, struct vm *vm, struct core_file_report *report,
                     char message[CORE_FILE_MESSAGE_MAX]);

/* One stretch of linear addresses with its memory; both ends lie in RAM. */
struct core_range {
    u64 linear, physical, bytes;
};
struct core_ranges {
    struct core_range *item;
    u64 count, room;
    bool no_memory;
    bool endless; /* tables that contain themselves: more than can be listed */
    u64 work;
};

/* sim/core_ranges.c: what the page tables map to RAM now, ascending, supervisor pages too; the caller frees `item`. Without
 * paging: RAM itself. */
void core_ranges_find(struct vcpu *v, struct core_ranges *ranges);

/* sim/core_notes.c: the notes of the file, malloc-ed; NULL without memory. *vmcoreinfo: is the kernel's among them? */
u8 *core_notes_make(struct vm *vm, bool wide, u64 *bytes, bool *vmcoreinfo);

#endif
