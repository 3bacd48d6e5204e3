/* Writing x86-64 instructions into the code cache: bytes, operands, and the few instructions that the translator's own
 * sequences are made of. Nothing here knows of guests.
 *
 * An emitter never writes beyond `end`; one that ran full stays full, and emitter_full() tells. */
#ifndef REPRISE_SBE_EMIT_H
#define REPRISE_SBE_EMIT_H

#include "core/types.h"
#include "core/x86.h"

struct emitter {
    u8 *at, *end;
};

/*@ predicate emitter_ready(struct emitter *e) =
      \valid(e) && e->at <= e->end && \base_addr(e->at) == \base_addr(e->end) &&
      \valid(e->at + (0 .. e->end - e->at - 1)) && \separated(e, e->at + (0 .. e->end - e->at - 1));
    // From L1 to L2 it has moved by `bytes` at most, and no further than its end.
    predicate emitter_moved{L1, L2}(struct emitter *e, integer bytes) =
      \at(e->end, L2) == \at(e->end, L1) && \at(e->at, L2) <= \at(e->end, L1) &&
      \at(e->at, L1) <= \at(e->at, L2) && \at(e->at, L2) <= \at(e->at, L1) + bytes; */

#define HOST_NONE 0xffu

/* An r/m operand of the host. Registers by their encoding (enum gpr names them). */
struct host_rm {
    bool memory;
    u8 base;  /* the register itself if !memory */
    u8 index; /* memory: HOST_NONE if none */
    u8 scale; /* shift count 0..3 */
    s32 disp;
};

/*@ assigns \nothing; */
static inline struct host_rm rm_register(unsigned reg) { return (struct host_rm){.base = (u8)reg, .index = HOST_NONE}; }
/*@ assigns \nothing; */
static inline struct host_rm rm_memory(unsigned base, s32 disp)
{
    return (struct host_rm){.memory = true, .base = (u8)base, .index = HOST_NONE, .disp = disp};
}
/*@ assigns \nothing; */
static inline struct host_rm rm_indexed(unsigned base, unsigned index, unsigned scale, s32 disp)
{
    return (struct host_rm){.memory = true, .base = (u8)base, .index = (u8)index, .scale = (u8)scale, .disp = disp};
}

/*@ requires \valid_read(e);
    assigns \nothing;
    ensures full: \result == 1 <==> e->at >= e->end; */
static inline bool emitter_full(const struct emitter *e) { return e->at >= e->end; }

/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 1); */
static inline void emit8(struct emitter *e, unsigned x)
{
    if (e->at < e->end)
        *e->at++ = (u8)x;
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 2); */
static inline void emit16(struct emitter *e, unsigned x)
{
    emit8(e, x);
    emit8(e, x >> 8);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 4); */
static inline void emit32(struct emitter *e, u32 x)
{
    emit16(e, x);
    emit16(e, x >> 16);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit64(struct emitter *e, u64 x)
{
    emit32(e, (u32)x);
    emit32(e, (u32)(x >> 32));
}

#define REX_NONE 0u
#define REX_BASE 0x40u
#define REX_W 0x48u

/*@ requires \valid_read(rm);
    assigns \nothing; */
/* REX bits that registers beyond 7 want. */
static inline unsigned rex_bits(unsigned reg, const struct host_rm *rm)
{
    unsigned rex = (reg & 8) >> 1 | (rm->base & 8) >> 3;
    if (rm->memory && rm->index != HOST_NONE)
        rex |= (rm->index & 8) >> 2;
    return rex;
}

/* A REX prefix if `rex` (REX_NONE, REX_BASE, REX_W) or a register asks for one. */
/*@ requires emitter_ready(e);
    requires \valid_read(rm) && \separated(rm, e) && \separated(rm, e->at + (0 .. e->end - e->at - 1));
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 1); */
static inline void emit_rex(struct emitter *e, unsigned rex, unsigned reg, const struct host_rm *rm)
{
    unsigned bits = rex_bits(reg, rm);
    if (rex || bits)
        emit8(e, REX_BASE | rex | bits);
}

/* ModRM, SIB and displacement (SDM vol. 2, 2.1.5). RSP and R12 as base need a SIB byte, RBP and R13 a displacement. */
/*@ requires emitter_ready(e);
    requires \valid_read(rm) && \separated(rm, e) && \separated(rm, e->at + (0 .. e->end - e->at - 1));
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 6); */
static inline void emit_modrm(struct emitter *e, unsigned reg, const struct host_rm *rm)
{
    unsigned middle = (reg & 7) << 3;
    if (!rm->memory) {
        emit8(e, 0xc0 | middle | (rm->base & 7));
        return;
    }
    bool sib = rm->index != HOST_NONE || (rm->base & 7) == RSP;
    unsigned mod = rm->disp == 0 && (rm->base & 7) != RBP ? 0 : rm->disp == (s8)rm->disp ? 1 : 2;
    emit8(e, mod << 6 | middle | (sib ? 4u : rm->base & 7u));
    if (sib)
        emit8(e, (unsigned)rm->scale << 6 | (rm->index == HOST_NONE ? 4u : rm->index & 7u) << 3 | (rm->base & 7u));
    if (mod == 1)
        emit8(e, (u8)rm->disp);
    else if (mod == 2)
        emit32(e, (u32)rm->disp);
}

/* A one-byte opcode with ModRM. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_op(struct emitter *e, unsigned rex, unsigned opcode, unsigned reg, struct host_rm rm)
{
    emit_rex(e, rex, reg, &rm);
    emit8(e, opcode);
    emit_modrm(e, reg, &rm);
}

/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_load(struct emitter *e, unsigned reg, struct host_rm rm) { emit_op(e, REX_W, 0x8b, reg, rm); }
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_load_32(struct emitter *e, unsigned reg, struct host_rm rm) { emit_op(e, 0, 0x8b, reg, rm); }
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_store(struct emitter *e, unsigned reg, struct host_rm rm) { emit_op(e, REX_W, 0x89, reg, rm); }
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_store_32(struct emitter *e, unsigned reg, struct host_rm rm) { emit_op(e, 0, 0x89, reg, rm); }
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_move(struct emitter *e, unsigned to, unsigned from) { emit_load(e, to, rm_register(from)); }
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_move_32(struct emitter *e, unsigned to, unsigned from) { emit_load_32(e, to, rm_register(from)); }
/* The low 16 bits; the others stay, or become 0. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 9); */
static inline void emit_move_16(struct emitter *e, unsigned to, unsigned from)
{
    emit8(e, 0x66);
    emit_op(e, 0, 0x8b, to, rm_register(from));
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 9); */
static inline void emit_load_16_zero(struct emitter *e, unsigned reg, struct host_rm rm)
{
    emit_rex(e, 0, reg, &rm);
    emit8(e, 0x0f); /* movzx */
    emit8(e, 0xb7);
    emit_modrm(e, reg, &rm);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 9); */
static inline void emit_store_16(struct emitter *e, unsigned reg, struct host_rm rm)
{
    emit8(e, 0x66);
    emit_op(e, 0, 0x89, reg, rm);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 8); */
static inline void emit_lea(struct emitter *e, bool wide, unsigned reg, struct host_rm rm)
{
    emit_op(e, wide ? REX_W : 0, 0x8d, reg, rm);
}

/* Loads a constant in the shortest way. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 12); */
static inline void emit_constant(struct emitter *e, unsigned reg, u64 value)
{
    struct host_rm rm = rm_register(reg);
    if (value == (u32)value || value != (u64)(s64)(s32)value) {
        bool wide = value != (u32)value;
        emit_rex(e, wide ? REX_W : 0, 0, &rm);
        emit8(e, 0xb8 | (reg & 7));
        if (wide)
            emit64(e, value);
        else
            emit32(e, (u32)value);
        return;
    }
    emit_op(e, REX_W, 0xc7, 0, rm);
    emit32(e, (u32)value);
}

/* mov dword [rm], imm32 */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 12); */
static inline void emit_store_constant_32(struct emitter *e, u32 value, struct host_rm rm)
{
    emit_op(e, 0, 0xc7, 0, rm);
    emit32(e, value);
}

/* The flags-free shifts of BMI2: SHLX (pp = 66), SARX (F3), SHRX (F2), SDM vol. 2, "SARX/SHLX/SHRX". */
enum { VEX_SHLX = 1, VEX_SARX = 2, VEX_SHRX = 3 };
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 5); */
static inline void emit_shift_x(struct emitter *e, unsigned kind, bool wide, unsigned to, unsigned from, unsigned count)
{
    emit8(e, 0xc4);
    emit8(e, (to & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 2);
    emit8(e, (wide ? 0x80u : 0u) | (~count & 15) << 3 | kind);
    emit8(e, 0xf7);
    emit8(e, 0xc0 | (to & 7) << 3 | (from & 7));
}

/* PEXT (pp = F3) and PDEP (F2) to, from, [rm] (SDM vol. 2); the base of `rm` is one of the low eight registers. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 10); */
static inline void emit_bits(struct emitter *e, unsigned pp, unsigned to, unsigned from, struct host_rm rm)
{
    emit8(e, 0xc4);
    emit8(e, (to & 8 ? 0 : 0x80) | 0x60 | 2);
    emit8(e, 0x80 | (~from & 15) << 3 | pp);
    emit8(e, 0xf5);
    emit_modrm(e, to, &rm);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 10); */
static inline void emit_pext(struct emitter *e, unsigned to, unsigned from, struct host_rm rm)
{
    emit_bits(e, 2, to, from, rm);
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 10); */
static inline void emit_pdep(struct emitter *e, unsigned to, unsigned from, struct host_rm rm)
{
    emit_bits(e, 3, to, from, rm);
}

/* Jumps with a 32-bit displacement. They return the place of the displacement, which emit_patch() fills in. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 5);
    ensures place: \result == e->at - 4; */
static inline u8 *emit_jump(struct emitter *e)
{
    emit8(e, 0xe9);
    emit32(e, 0);
    return e->at - 4;
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 6);
    ensures place: \result == e->at - 4; */
static inline u8 *emit_jump_if(struct emitter *e, unsigned condition)
{
    emit8(e, 0x0f);
    emit8(e, 0x80 | (condition & 15));
    emit32(e, 0);
    return e->at - 4;
}
/*@ requires \valid(displacement + (0 .. 3));
    assigns displacement[0 .. 3]; */
static inline void emit_patch(u8 *displacement, const u8 *target)
{
    u32 distance = (u32)(target - (displacement + 4));
    __builtin_memcpy(displacement, &distance, sizeof distance);
}
/* JRCXZ and short JMP: the displacement is a byte. */
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 2);
    ensures place: \result == e->at - 1; */
static inline u8 *emit_jrcxz(struct emitter *e)
{
    emit8(e, 0xe3);
    emit8(e, 0);
    return e->at - 1;
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 2);
    ensures place: \result == e->at - 1; */
static inline u8 *emit_jump_short(struct emitter *e)
{
    emit8(e, 0xeb);
    emit8(e, 0);
    return e->at - 1;
}
/*@ requires emitter_ready(e);
    assigns e->at, *(e->at + (0 .. e->end - e->at - 1));
    ensures emitted: emitter_ready(e) && emitter_moved{Pre, Post}(e, 2);
    ensures place: \result == e->at - 1; */
static inline u8 *emit_jump_if_short(struct emitter *e, unsigned condition)
{
    emit8(e, 0x70 | (condition & 15));
    emit8(e, 0);
    return e->at - 1;
}
/*@ requires \valid(displacement);
    assigns *displacement; */
/* True if `target` was near enough. */
static inline bool emit_patch_short(u8 *displacement, const u8 *target)
{
    s64 distance = target - (displacement + 1);
    *displacement = (u8)distance;
    return distance == (s8)distance;
}

#endif
