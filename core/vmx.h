/* The configuration of a virtual machine as a text of lines `key = value`, the form that .vmx files have: the keys
 * that their users know, and ours with the prefix "reprise.". Values may stand in quotes; `|22` in one is the
 * character with that hex code; `#` begins a comment line. Keys know no case. Each stands once. Foreign keys are
 * passed over; an unknown one of ours, or a value that makes no sense, is an error with its line.
 *
 * A reader takes any bytes, and allocates nothing. */
#ifndef REPRISE_CORE_VMX_H
#define REPRISE_CORE_VMX_H

#include "core/types.h"

enum { VMX_TEXT_BYTES = 16 << 10, VMX_MODULES = 8, VMX_SUBJECT_BYTES = 48 };

enum vmx_clock { VMX_CLOCK_VIRTUAL, VMX_CLOCK_WALL };
enum vmx_log { VMX_LOG_NONE, VMX_LOG_COM2, VMX_LOG_COM3, VMX_LOG_COM4 };

/* Texts are never NULL, and "" where the file says nothing and there is no default. They point into `text`. */
struct vmx {
    const char *display_name;         /* displayName */
    u64 memory_mib;                   /* memsize, default 256 */
    u64 processors;                   /* numvcpus: 1 */
    const char *kernel, *initrd;      /* reprise.kernel, reprise.initrd: names of boot modules */
    const char *append;               /* reprise.append: the kernel command line */
    const char *module[VMX_MODULES];  /* reprise.module0 to 7: "NAME STRING", without gaps */
    const char *engine, *cpu;         /* reprise.engine, reprise.cpu: "" is the default of whoever reads this */
    const char *replay;               /* reprise.replay: a recorded run, which then says everything else */
    u64 clock;                        /* reprise.clock: enum vmx_clock */
    u64 log;                          /* reprise.log: enum vmx_log, where the recording goes */
    u64 checkpoint;                   /* reprise.checkpoint: instructions between state hashes, default 100 million */
    u64 rtc;                          /* reprise.rtc: seconds since 1970 at power-on, default 1 January 2025 */
    u64 shares;                       /* reprise.shares: of processor time, relative to others; default 1000 */
    u64 cap_percent;                  /* reprise.cap: most of the processor that it gets, default 100 */
    u64 debug_exit, reset_exits;      /* reprise.debugExit, reprise.resetExits: bool */
    size_t text_used;
    char text[VMX_TEXT_BYTES];
};

struct vmx_error {
    unsigned line;                   /* from 1 on; 0: the file as a whole */
    const char *what, *action;       /* what is wrong, what to do */
    char subject[VMX_SUBJECT_BYTES]; /* the key or value it is about, "" for none; unprintable bytes as '?' */
};

/* Reads a file. False with *error filled in; *vmx is then undefined. *vmx is large: not for a stack. */
bool vmx_parse(const char *file, size_t bytes, struct vmx *vmx, struct vmx_error *error);

#endif
