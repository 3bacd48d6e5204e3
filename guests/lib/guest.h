/* The run-time of the self-testing guests: report lines, probes (a few instructions run under a microscope), and the
 * machine's registers.
 *
 * A suite is a main() that runs probes and reports promises. A probe runs in ring 0 or ring 3 on a stack of its own
 * until it traps: by a fault that it provokes, or by the INT that PROBE() appends. run() returns the exception frame as
 * the processor saved it, and the general registers. Everything is the same in 32-bit and 64-bit images, but for the
 * width of `word`. */
#ifndef GUESTS_LIB_GUEST_H
#define GUESTS_LIB_GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

#ifdef __x86_64__
enum { IS_64 = 1 };
#define R(name) "%r" name /* R("bx") is the full-width register, for the text of probes */
#else
enum { IS_64 = 0 };
#define R(name) "%e" name
#endif

/* --- report.c: one line per promise, on COM1 and port 0xE9 --- */

extern const char *const suite_name; /* each suite defines it */
extern bool debug_console; /* false: COM1 only */
void print(const char *text);
void print_hex(u64 value);
void print_decimal(u32 value);

/* The promise is kept if `kept`; `expected` and `got` explain a broken one. */
void promise_text(const char *promise, bool kept, const char *expected, const char *got);
/* The promise is kept if the two are equal. */
void promise(const char *promise, u64 expected, u64 got);
/* The processor does not have what the promise is about. */
void skip(const char *promise);
/* Between the two, reports wait in a buffer: for suites to which the serial port's traffic matters. */
void report_hold(void);
void report_release(void);
/* Prints the end line and leaves the machine: never returns. */
void finish(void) __attribute__((noreturn));
/* The same, but leaves by ACPI S5 if nothing is broken. */
void finish_by_power_off(void) __attribute__((noreturn));
/* Powers the machine off through ACPI S5 (acpi.c); returns if there is no way. */
void acpi_power_off(void);

/* --- vectors and selectors --- */

enum {
    VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6, VEC_NM = 7, VEC_DF = 8,
    VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14, VEC_MF = 16, VEC_AC = 17, VEC_XM = 19,
    VEC_DONE = 0x81, /* the INT at the end of every probe */
};

enum {
    SEL_KCODE = 0x08, SEL_KDATA = 0x10, SEL_UCODE = 0x1b, SEL_UDATA = 0x23,
    SEL_TSS = 0x28,  /* 16 bytes in 64-bit images */
    SEL_FREE = 0x40, /* suites' own descriptors: from here to SEL_LAST */
    SEL_LAST = 0x1f8,
};

#define FL_CF 0x1u
#define FL_FIXED 0x2u
#define FL_PF 0x4u
#define FL_AF 0x10u
#define FL_ZF 0x40u
#define FL_SF 0x80u
#define FL_TF 0x100u
#define FL_IF 0x200u
#define FL_DF 0x400u
#define FL_OF 0x800u
#define FL_IOPL3 0x3000u
#define FL_NT 0x4000u
#define FL_RF 0x10000u
#define FL_VM 0x20000u
#define FL_AC 0x40000u
#define FL_VIF 0x80000u
#define FL_VIP 0x100000u
#define FL_ID 0x200000u

/* --- machine.c: descriptor tables --- */

struct gate {
    u16 offset0, selector, attributes, offset1;
#ifdef __x86_64__
    u32 offset2, zero;
#endif
};

extern u64 gdt[SEL_LAST / 8 + 1];
extern struct gate idt[256];

/* Descriptor attributes: bits 40..55 of a segment descriptor, access byte low, G/D/L/AVL high. */
enum {
    SEG_CODE = 0x9a, SEG_DATA = 0x92, SEG_DPL3 = 0x60, SEG_4K = 0x8000, SEG_32 = 0x4000, SEG_64 = 0x2000,
    SEG_TSS32 = 0x89, SEG_TSS16 = 0x81, SEG_LDT = 0x82,
};
u64 segment(u32 base, u32 limit, unsigned attributes);
/* Writes GDT entry `selector` (RPL ignored). */
void gdt_set(unsigned selector, u64 descriptor);

enum { GATE_INTERRUPT = 0x8e00, GATE_TRAP = 0x8f00, GATE_TASK = 0x8500, GATE_CALL = 0x8c00, GATE_DPL3 = 0x6000 };
void idt_set(unsigned vector, unsigned attributes, unsigned selector, const void *handler);
/* Puts back the run-time's own gate. */
void idt_restore(unsigned vector);
/* The entry point of the run-time's handler of `vector`, for suites that make gates of their own. */
const void *vector_stub(unsigned vector);

/* The task state segment that gives ring 0's stack: 32-bit or 64-bit format, SDM vol. 3, 7.2.1 and 7.7. */
extern u8 tss[0x2000 + 0x68 + 1];
extern u8 trap_stack[8192];
enum { TSS_ESP0 = 4, TSS_IOMAP = 0x66, TSS_LIMIT = 0x67 };

/* --- probes --- */

struct regs {
    word ax, cx, dx, bx, sp, bp, si, di;
#ifdef __x86_64__
    word r8, r9, r10, r11, r12, r13, r14, r15;
#endif
};

/* A trap as the processor saved it. */
struct trap {
    word vector, error; /* error is 0 where the vector has none */
    word ip, cs, flags, sp, ss; /* 32-bit, same ring: sp and ss as they were before the processor pushed */
    word es, ds, fs, gs; /* as saved on the stack from v8086 mode, else as found in the registers */
    word handler_flags, handler_sp; /* in the handler's first instruction; sp points at the error code or IP */
    word cr2, dr6;
    struct regs r;
};

/* Input of the next run(): cleared after it. sp 0 means the ring's probe stack; flags get bit 1 set. */
struct probe_input { struct regs r; word flags, cs, ss, ds; };
extern struct probe_input in;

/* Runs `code` in `ring` (0 or 3) until a trap that no hook resumes. The result stays valid until the next run(). */
const struct trap *run(const void *code, unsigned ring);

/* Traps of the current run() in their order, the last one included. */
enum { TRAP_LOG = 32 };
extern struct trap trap_log[TRAP_LOG];
extern unsigned trap_count;

/* The frame on the handler's stack; a hook may change it. */
struct frame;
word frame_ip(const struct frame *f);
void frame_set_ip(struct frame *f, word ip);
void frame_set_flags(struct frame *f, word flags);
/* From an outer ring or v8086 mode: where to go on, and with which stack pointer. */
void frame_set_far(struct frame *f, word cs, word ip, word sp);
/* Called on every trap but VEC_DONE; true: return to the interrupted code. */
typedef bool (*trap_hook_fn)(const struct trap *t, struct frame *f);
extern trap_hook_fn trap_hook;
/* Ends the run() in progress as if the probe had trapped; for code that the run-time did not enter by a vector. */
void end_run(void) __attribute__((noreturn));

/* PROBE(name, setup, subject): `name` is the entry, `name_at` the instruction under test, `name_next` the one after. */
#define PROBE(name, setup, subject) \
    __asm__(".pushsection .probes,\"ax\"\n.global " #name "," #name "_at," #name "_next\n" #name ":\n" setup \
            "\n" #name "_at:\n" subject "\n" #name "_next:\n\tint $0x81\n.popsection"); \
    extern const char name[], name##_at[], name##_next[];

/* Promises about a trap: vector, error code, saved CS:IP in the ring it ran in. */
void trap_is(const char *promise, const struct trap *t, unsigned vector, word error, const void *ip);
/* The short cut: run `name` in `ring`; a fault (saved IP at the instruction) or a trap (saved IP after it). */
#define FAULTS(text, name, ring, vector, error) trap_is(text, run(name, ring), vector, error, name##_at)
#define TRAPS(text, name, ring, vector, error) trap_is(text, run(name, ring), vector, error, name##_next)
/* It runs through to the end without a trap. */
#define PASSES(text, name, ring) trap_is(text, run(name, ring), VEC_DONE, 0, name##_next + 2)

/* --- boot information --- */
extern u32 boot_magic, boot_info; /* EAX and EBX at entry, Multiboot 3.2 */

/* --- small instructions --- */
static inline void outb(u16 port, u8 value) { __asm__ volatile("outb %0,%1" : : "a"(value), "Nd"(port)); }
static inline void outw(u16 port, u16 value) { __asm__ volatile("outw %0,%1" : : "a"(value), "Nd"(port)); }
static inline void outl(u16 port, u32 value) { __asm__ volatile("outl %0,%1" : : "a"(value), "Nd"(port)); }
static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u16 inw(u16 port)
{
    u16 value;
    __asm__ volatile("inw %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}
static inline u32 inl(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1,%0" : "=a"(value) : "Nd"(port));
    return value;
}

struct cpuid { u32 eax, ebx, ecx, edx; };
static inline struct cpuid cpuid(u32 leaf, u32 subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "0"(leaf), "2"(subleaf));
    return r;
}
static inline u64 rdmsr(u32 msr)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return (u64)high << 32 | low;
}
static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}
static inline u64 rdtsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}
#define CONTROL_REGISTER(reg) \
    static inline word read_##reg(void) \
    { \
        word value; \
        __asm__ volatile("mov %%" #reg ",%0" : "=r"(value) : : "memory"); \
        return value; \
    } \
    static inline void write_##reg(word value) { __asm__ volatile("mov %0,%%" #reg : : "r"(value) : "memory"); }
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)
CONTROL_REGISTER(dr0)
CONTROL_REGISTER(dr1)
CONTROL_REGISTER(dr2)
CONTROL_REGISTER(dr3)
CONTROL_REGISTER(dr6)
CONTROL_REGISTER(dr7)

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_PG 0x80000000u
#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u
#define CR4_UMIP 0x800u
#define CR4_SMEP 0x100000u
#define CR4_SMAP 0x200000u

void *memset(void *to, int value, word size);
void *memcpy(void *to, const void *from, word size);
int memcmp(const void *a, const void *b, word size);

int main(void);

#endif
