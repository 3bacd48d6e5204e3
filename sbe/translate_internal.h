/* What the translator's passes share. Private to sbe/translate*.c. */
#ifndef REPRISE_SBE_TRANSLATE_INTERNAL_H
#define REPRISE_SBE_TRANSLATE_INTERNAL_H

#include "core/vcpu.h"
#include "sbe/translate.h"

/* What is done with an instruction. */
enum treatment {
    DO_CALLOUT,     /* the interpreter executes it; the block goes on */
    DO_CALLOUT_END, /* the interpreter executes it, and decides where to go on */
    DO_NOTHING,     /* no operation */
    DO_PLAIN,       /* the same operation on the host, operands replaced */
    DO_LEA,
    DO_STRING,      /* one element */
    DO_STORE_SELECTOR, /* MOV from a segment register */
    DO_LOAD_SELECTOR,  /* MOV to one, where that is simple: KEY_REAL */
    DO_TIME,        /* RDTSC, RDTSCP */
    DO_CLI,
    DO_STI,
    DO_SWAPGS,
    DO_PUSHF,
    DO_PUSH,
    DO_PUSH_MEMORY,
    DO_PUSH_SELECTOR,
    DO_POP_SELECTOR,
    DO_PUSH_ALL,
    DO_POP_ALL,
    DO_POP,
    DO_LEAVE,
    DO_JUMP,
    DO_JUMP_IF,
    DO_LOOP, /* LOOP, LOOPE, LOOPNE, JCXZ */
    DO_CALL,
    DO_RETURN,
    DO_JUMP_INDIRECT,
    DO_CALL_INDIRECT,
    DO_SYSENTER,    /* and back, and the same of 64-bit code: they go on in a block of another key */
    DO_SYSEXIT,
    DO_SYSCALL,
    DO_SYSRET,
};

static inline bool treatment_is_call(enum treatment t) { return t >= DO_SYSENTER; }
static inline bool treatment_enters_system(enum treatment t) { return t == DO_SYSENTER || t == DO_SYSCALL; }

/* A branch that execution may go on behind, within the block. */
static inline bool treatment_falls_through(enum treatment treatment)
{
    return treatment == DO_JUMP_IF || treatment == DO_LOOP;
}

enum { FIXUPS_MAX = 4 * BLOCK_INSNS, SIDE_EXITS_MAX = 8 };

/* A jump to a piece of code that stands behind the block's instructions, or between them. */
enum fixup_kind { FIXUP_SITE, FIXUP_BUDGET };
struct fixup {
    u8 *displacement; /* of a JRCXZ */
    u32 value;
    u8 kind;
};

/* A conditional jump out of the middle of the block. */
struct side_exit {
    u8 *displacement;
    u64 rip;
    u8 unexecuted; /* instructions of the block behind it */
};

struct translation {
    struct vcpu *v;
    struct sbe *s;
    struct emitter e;
    bool wide;
    u32 key;
    u64 tag;       /* code_tag() */
    u32 block;
    u8 class_behind; /* the class of the key behind a system call */
    u32 site;      /* of the current instruction, or 0 */
    u8 word;       /* bytes that the current instruction pushes or pops, if it does */
    unsigned at;   /* the current instruction */
    unsigned count;
    u64 rip;       /* of the current instruction */
    bool fpu_live; /* the FPU surely belongs to the guest here */
    bool window;   /* the current instruction's operands are accessed in the window */
    bool crosses;  /* the current instruction's operand often crosses a page */
    u64 rest;      /* where in RAM the page lies into which the block's instruction crosses; else UINT64_MAX */
    bool ended;    /* the code behind the current instruction cannot be reached */
    unsigned fixups, side_exits;
    u8 *begin;     /* of the current instruction's code */
    u64 rips[BLOCK_INSNS];
    u32 starts[BLOCK_INSNS]; /* offset in the cache of each instruction's code */
    u8 treatments[BLOCK_INSNS];
    struct insn insns[BLOCK_INSNS];
    struct fixup fixup[FIXUPS_MAX];
    struct side_exit side_exit[SIDE_EXITS_MAX];
};

/* ---- Place -------------------------------------------------------------------------------------- */

/* The host register that holds a guest register, or HOST_NONE: it lives in the vCPU. */
static inline unsigned host_of(bool wide, unsigned reg)
{
    if (reg == RCX)
        return R11;
    if (reg == RSP)
        return R15;
    return reg < (wide ? R10 : R8) ? reg : HOST_NONE;
}

static inline struct host_rm guest_slot(unsigned reg)
{
    return rm_memory(RSP, (s32)(offsetof(struct vcpu, cpu.gpr) + reg * sizeof(u64)));
}

#define IN_VCPU(field) rm_memory(RSP, (s32)offsetof(struct vcpu, field))
/* A field of the context that translated code shares with us. */
#define IN_CONTEXT(field) rm_memory(RSP, (s32)offsetof(struct vcpu, context.field))

#define IN_CPU(field) rm_memory(RSP, (s32)offsetof(struct vcpu, cpu.field))

/* ---- Classify ----------------------------------------------------------------------------------- */

enum treatment classify(const struct translation *t, const struct insn *i);
/* Position of the operand that ModRM.rm, or moffs, names; ISA_OPERANDS if none. Likewise ModRM.reg of a general register. */
unsigned operand_rm(const struct isa_row *row);
unsigned operand_reg(const struct isa_row *row);
bool row_has_operand(const struct isa_row *row, enum isa_operand operand);
bool row_writes_rm(const struct isa_row *row);
bool row_writes_reg(const struct isa_row *row);
enum seg row_segment(const struct isa_row *row, const struct insn *i);
bool row_named(const struct isa_row *row, const char *mnemonic);

/* Where the relative branch at t->rip goes. */
static inline u64 branch_target(const struct translation *t, const struct insn *i)
{
    u64 target = t->rip + i->length + i->imm;
    return i->opsize == 8 ? target : i->opsize == 4 ? (u32)target : (u16)target;
}

/* The segment of a memory operand: what its base adds, and where its limit lies. */
enum segment_kind {
    SEGMENT_NONE,  /* one that is not translated */
    SEGMENT_FLAT,  /* nothing; nowhere */
    SEGMENT_BASED, /* the base; in narrow code, at 4 GiB - 1 */
    SEGMENT_LOW,   /* the base; not below 64 KiB - 1 */
};
enum segment_kind segment_kind(const struct translation *t, unsigned seg);

/* ---- Emit --------------------------------------------------------------------------------------- */

/* The site of the current instruction; made when first asked for. */
u32 current_site(struct translation *t);
/* Leaves to the current site if RCX is 0. */
void emit_site_if_zero(struct translation *t);
/* Leaves to the current site. */
void emit_site(struct translation *t);
/* Leaves to the current site unless RCX is 0. */
void emit_site_unless_zero(struct translation *t);

/* Writes out what the jumps to sites so far go to, and jumps over it: they do not reach far. */
void emit_fixups_inline(struct translation *t);
/* The same if they would not reach any more behind `more` bytes. */
void emit_room(struct translation *t, unsigned more);
/* Of long instructions: most bytes in front of their emit_room(), and behind it. */
enum { ROOM_FIRST_BYTES = 90, ROOM_REST_BYTES = 90 };

/* The effective address, truncated to the address size, without the segment's base. */
void emit_effective_address(struct translation *t, const struct insn *i, unsigned to);
/* The linear address of the memory operand, in the register that it returns: R10, or a guest's own. */
unsigned emit_linear_address(struct translation *t, const struct insn *i, unsigned size);
/* The addend of that address into RCX, for reading or writing; unknown pages go to the site. */
void emit_addend(struct translation *t, unsigned address, unsigned size, bool write);
/* All of it: the operand in host memory. Uses RCX and R10. */
struct host_rm emit_memory_operand(struct translation *t, const struct insn *i, bool write);
/* The same for `size` bytes on the stack, at a register and a displacement. */
struct host_rm emit_stack_operand(struct translation *t, unsigned pointer, s32 disp, unsigned size, bool write);
/* The linear address of the `size` bytes at the offset in R10, into R10, with the limit checked; `bits`: 16 if the offset
 * fits so many, else 32. */
void emit_segment_base(struct translation *t, unsigned seg, unsigned size, unsigned bits);

/* ---- translate_coverage.c ---- */

static inline bool coverage_wanted(const struct translation *t) { return t->v->context.coverage; }
/* Counts at `index` of the map. Uses RCX and R10. */
void emit_coverage(struct translation *t, unsigned index);
/* Counts the target in R10, which stays, of the current jump. Uses RCX and the scratch word. */
void emit_coverage_target(struct translation *t);

/* ---- translate_window.c ---- */

/* Shall the instruction access the window? */
bool window_wanted(const struct translation *t);
/* The memory operand in the window. Uses R10. */
struct host_rm emit_window_operand(struct translation *t, const struct insn *i, unsigned size);

void emit_plain(struct translation *t, const struct insn *i);
void emit_lea_insn(struct translation *t, const struct insn *i);
void emit_stack(struct translation *t, const struct insn *i, enum treatment treatment);
/* Pushes R10. */
void emit_push_scratch(struct translation *t);
/* Words of t->word bytes between registers and the stack. */
void emit_load_word(struct translation *t, unsigned reg, struct host_rm rm);
void emit_store_word(struct translation *t, unsigned reg, struct host_rm rm);
void emit_push_constant(struct translation *t, u64 value);
/* Moves the stack pointer. Uses RCX. */
void emit_stack_adjust(struct translation *t, s32 bytes);
static inline unsigned stack_pointer(const struct translation *t) { return host_of(t->wide, RSP); }
void emit_selector(struct translation *t, const struct insn *i, enum treatment treatment);
/* Loads the segment register as real mode does with what is in a register of the host, which changes. */
void emit_load_real(struct translation *t, enum seg seg, unsigned selector);
void emit_string(struct translation *t, const struct insn *i);
void emit_time(struct translation *t, const struct isa_row *row);
void emit_cli(struct translation *t);
void emit_sti(struct translation *t);
void emit_pushf(struct translation *t);
void emit_swapgs(struct translation *t);
/* RCX &= the mask in memory, without flags. */
void emit_and(struct emitter *e, struct host_rm mask);
void emit_system_call(struct translation *t, const struct insn *i, enum treatment treatment);
/* Jumps to the RIP in R10 through the table of a class. Uses RCX. */
void emit_jump_class(struct translation *t, u8 class);
/* The host's arithmetic flags from those in EAX. Uses RAX and RCX. */
void emit_load_flags_from_rax(struct emitter *e);
/* Leaves to the current site if R10 is not canonical, or beyond a limit of 64 KiB. Uses RCX. */
void emit_target_check(struct translation *t);
void emit_flow(struct translation *t, const struct insn *i, enum treatment treatment);
/* Ends the block by a jump to `rip`. */
void emit_jump_to(struct translation *t, u64 rip);
/* Where conditional jumps out of the middle of the block go. */
void emit_side_exits(struct translation *t);
/* Where the direct jump with its displacement at `jump` goes until it is chained. */
u32 emit_link_stub(struct translation *t, u64 rip, u32 jump);

/* A guest register into a scratch register if it is not in a host register already. */
static inline unsigned emit_use(struct translation *t, unsigned reg, unsigned scratch)
{
    unsigned host = host_of(t->wide, reg);
    if (host != HOST_NONE)
        return host;
    emit_load(&t->e, scratch, guest_slot(reg));
    return scratch;
}

/* reg += bytes, in as many bits as an address of `addrsize` bytes has. Uses R10 if they are 16. */
static inline void emit_add_address(struct translation *t, unsigned reg, s32 bytes, unsigned addrsize)
{
    if (addrsize == 2) {
        emit_lea(&t->e, false, HOST_ADDRESS, rm_memory(reg, bytes));
        emit_move_16(&t->e, reg, HOST_ADDRESS);
    } else {
        emit_lea(&t->e, addrsize == 8, reg, rm_memory(reg, bytes));
    }
}

static inline u32 cache_offset(const struct translation *t, const u8 *at) { return (u32)(at - t->s->code.rw); }

#endif
