/* What entry32.S and entry64.S leave on the stack for trap(), and the other things that depend on the width. */
#ifndef GUESTS_LIB_FRAME_H
#define GUESTS_LIB_FRAME_H

#include "guests/lib/guest.h"

#ifdef __x86_64__

struct frame {
    word handler_flags;
    word di, si, bp, unused_sp, bx, dx, cx, ax, r8, r9, r10, r11, r12, r13, r14, r15;
    word vector, error, ip, cs, flags, sp, ss;
};

static inline struct regs frame_registers(const struct frame *f)
{
    return (struct regs){.ax = f->ax, .cx = f->cx, .dx = f->dx, .bx = f->bx, .bp = f->bp, .si = f->si, .di = f->di,
                         .r8 = f->r8, .r9 = f->r9, .r10 = f->r10, .r11 = f->r11, .r12 = f->r12, .r13 = f->r13,
                         .r14 = f->r14, .r15 = f->r15};
}

static inline void frame_segments(struct trap *t, const struct frame *f)
{
    (void)f;
    __asm__ volatile("mov %%es,%0" : "=r"(t->es));
    __asm__ volatile("mov %%ds,%0" : "=r"(t->ds));
    __asm__ volatile("mov %%fs,%0" : "=r"(t->fs));
    __asm__ volatile("mov %%gs,%0" : "=r"(t->gs));
}

static inline void gate_set_high(struct gate *g, word address) { g->offset2 = address >> 32; }

#else

struct frame {
    word handler_flags;
    word gs, fs, es, ds, di, si, bp, unused_sp, bx, dx, cx, ax;
    word vector, error, ip, cs, flags, sp, ss;
    word v86_es, v86_ds, v86_fs, v86_gs;
};

static inline struct regs frame_registers(const struct frame *f)
{
    return (struct regs){.ax = f->ax, .cx = f->cx, .dx = f->dx, .bx = f->bx, .bp = f->bp, .si = f->si, .di = f->di};
}

static inline void frame_segments(struct trap *t, const struct frame *f)
{
    bool v86 = f->flags & FL_VM;
    t->es = (v86 ? f->v86_es : f->es) & 0xffff;
    t->ds = (v86 ? f->v86_ds : f->ds) & 0xffff;
    t->fs = (v86 ? f->v86_fs : f->fs) & 0xffff;
    t->gs = (v86 ? f->v86_gs : f->gs) & 0xffff;
}

static inline void gate_set_high(struct gate *g, word address)
{
    (void)g;
    (void)address;
}

#endif

#endif
