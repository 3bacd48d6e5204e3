/* Handlers that move the state of the x87 and SSE units as a whole: environments, FXSAVE, XSAVE.
 *
 * FNSTENV, FLDENV, FNSAVE and FRSTOR run natively on a buffer in the 32-bit protected format, so that all they do
 * besides is the processor's own; between buffer and guest memory the format changes, and the pointers are the
 * virtual ones. FXSAVE, XSAVE and their kin work on the parked image. */
#include "core/panic.h"
#include "sbe/fpu_thunk.h"
#include "sbe/handlers.h"

enum { CHUNK = 64, ENV_NATIVE = 28, ENV_SHORT = 14, ST_BYTES = 80 };

/* ---- Areas of guest memory ------------------------------------------------------------------------ */

static u64 linear_add(const struct vcpu *v, u64 linear, unsigned bytes)
{
    return v->mode == CODE_64 ? linear + bytes : (u32)(linear + bytes);
}

/* Finds the memory operand and proves that all of it can be accessed. */
static bool area_open(struct vcpu *v, const struct insn *i, unsigned size, enum access access, u64 *linear)
{
    return insn_linear(v, i, size, access, linear) &&
           mem_probe(v, *linear, size, access, (enum tlb_rights)v->tlb.rights);
}

static bool area_read(struct vcpu *v, u64 linear, u8 *to, unsigned size)
{
    for (unsigned done = 0, part; done < size; done += part) {
        part = size - done < CHUNK ? size - done : CHUNK;
        if (!mem_read_slow(v, linear_add(v, linear, done), to + done, part, (enum tlb_rights)v->tlb.rights))
            return false;
    }
    return true;
}

static bool area_write(struct vcpu *v, u64 linear, const u8 *from, unsigned size)
{
    for (unsigned done = 0, part; done < size; done += part) {
        part = size - done < CHUNK ? size - done : CHUNK;
        if (!mem_write_slow(v, linear_add(v, linear, done), from + done, part, (enum tlb_rights)v->tlb.rights))
            return false;
    }
    return true;
}

/* ---- x87 environments: SDM vol. 1, figures 8-9 to 8-12 -------------------------------------------- */

/* Offsets in the 28-byte formats; the 14-byte ones have the same fields in half the space. */
enum { ENV_FCW = 0, ENV_FSW = 4, ENV_FTW = 8, ENV_FIP = 12, ENV_FCS = 16, ENV_FDP = 20, ENV_FDS = 24 };

#define FOP_MASK 0x7ffu
#define RESERVED_HIGH 0xffff0000u /* what processors store in reserved upper halves */

static unsigned env_bytes(const struct insn *i) { return i->opsize == 2 ? ENV_SHORT : ENV_NATIVE; }

/* Pointers in the real-address formats are linear. */
static u32 real_pointer(u16 selector, u64 offset) { return ((u32)selector << 4) + (u32)offset; }

static void env_store_pointers_32(const struct vcpu *v, u8 *env)
{
    const struct fpu *f = &v->cpu.fpu;
    if (!cpu_real_segments(&v->cpu)) {
        image_set_32(env, ENV_FIP, (u32)f->fip);
        image_set_32(env, ENV_FCS, (u32)(f->fop & FOP_MASK) << 16 | f->fcs);
        image_set_32(env, ENV_FDP, (u32)f->fdp);
        image_set_32(env, ENV_FDS, RESERVED_HIGH | f->fds);
        return;
    }
    u32 fip = real_pointer(f->fcs, f->fip), fdp = real_pointer(f->fds, f->fdp);
    image_set_32(env, ENV_FIP, RESERVED_HIGH | (u16)fip);
    image_set_32(env, ENV_FCS, fip >> 16 << 12 | (f->fop & FOP_MASK));
    image_set_32(env, ENV_FDP, RESERVED_HIGH | (u16)fdp);
    image_set_32(env, ENV_FDS, fdp >> 16 << 12);
}

static void env_store_pointers_16(const struct vcpu *v, u8 *env)
{
    const struct fpu *f = &v->cpu.fpu;
    if (!cpu_real_segments(&v->cpu)) {
        image_set_16(env, ENV_FIP / 2, (u16)f->fip);
        image_set_16(env, ENV_FCS / 2, f->fcs);
        image_set_16(env, ENV_FDP / 2, (u16)f->fdp);
        image_set_16(env, ENV_FDS / 2, f->fds);
        return;
    }
    u32 fip = real_pointer(f->fcs, f->fip), fdp = real_pointer(f->fds, f->fdp);
    image_set_16(env, ENV_FIP / 2, (u16)fip);
    image_set_16(env, ENV_FCS / 2, (u16)((fip >> 16 & 0xf) << 12 | (f->fop & FOP_MASK)));
    image_set_16(env, ENV_FDP / 2, (u16)fdp);
    image_set_16(env, ENV_FDS / 2, (u16)((fdp >> 16 & 0xf) << 12));
}

/* From the native environment to the guest's format; returns its size. */
static unsigned env_to_guest(const struct vcpu *v, const struct insn *i, const u8 *native, u8 *env)
{
    if (env_bytes(i) == ENV_NATIVE) {
        memcpy(env, native, ENV_FIP);
        env_store_pointers_32(v, env);
        return ENV_NATIVE;
    }
    image_set_16(env, ENV_FCW / 2, image_get_16(native, ENV_FCW));
    image_set_16(env, ENV_FSW / 2, image_get_16(native, ENV_FSW));
    image_set_16(env, ENV_FTW / 2, image_get_16(native, ENV_FTW));
    env_store_pointers_16(v, env);
    return ENV_SHORT;
}

static void env_load_pointers_32(struct vcpu *v, const u8 *env)
{
    struct fpu *f = &v->cpu.fpu;
    u32 fip = image_get_32(env, ENV_FIP), code = image_get_32(env, ENV_FCS);
    u32 fdp = image_get_32(env, ENV_FDP), data = image_get_32(env, ENV_FDS);
    if (!cpu_real_segments(&v->cpu)) {
        f->fip = fip;
        f->fcs = (u16)code;
        f->fop = code >> 16 & FOP_MASK;
        f->fdp = fdp;
        f->fds = (u16)data;
        return;
    }
    f->fip = (u16)fip | (code & 0x0ffff000) << 4;
    f->fdp = (u16)fdp | (data & 0x0ffff000) << 4;
    f->fop = code & FOP_MASK;
    f->fcs = f->fds = 0;
}

static void env_load_pointers_16(struct vcpu *v, const u8 *env)
{
    struct fpu *f = &v->cpu.fpu;
    u16 fip = image_get_16(env, ENV_FIP / 2), code = image_get_16(env, ENV_FCS / 2);
    u16 fdp = image_get_16(env, ENV_FDP / 2), data = image_get_16(env, ENV_FDS / 2);
    if (!cpu_real_segments(&v->cpu)) {
        f->fip = fip;
        f->fcs = code;
        f->fop = 0; /* not in this format */
        f->fdp = fdp;
        f->fds = data;
        return;
    }
    f->fip = fip | (u32)(code & 0xf000) << 4;
    f->fdp = fdp | (u32)(data & 0xf000) << 4;
    f->fop = code & FOP_MASK;
    f->fcs = f->fds = 0;
}

/* From the guest's format to the native one, whose pointers stay zero. */
static void env_from_guest(const struct insn *i, const u8 *env, u8 *native)
{
    unsigned scale = env_bytes(i) == ENV_NATIVE ? 1 : 2;
    memset(native, 0, ENV_NATIVE);
    image_set_16(native, ENV_FCW, image_get_16(env, ENV_FCW / scale));
    image_set_16(native, ENV_FSW, image_get_16(env, ENV_FSW / scale));
    image_set_16(native, ENV_FTW, image_get_16(env, ENV_FTW / scale));
}

static void env_load_pointers(struct vcpu *v, const struct insn *i, const u8 *env)
{
    if (env_bytes(i) == ENV_NATIVE)
        env_load_pointers_32(v, env);
    else
        env_load_pointers_16(v, env);
}

enum exec op_fnstenv(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 native[ENV_NATIVE], env[ENV_NATIVE];
    if (!area_open(v, i, env_bytes(i), ACCESS_WRITE, &linear))
        return EXEC_FAULT;
    u32 vector = fpu_run(v, i, native);
    invariant(!vector);
    unsigned size = env_to_guest(v, i, native, env);
    return area_write(v, linear, env, size) ? EXEC_NEXT : EXEC_FAULT;
}

enum exec op_fldenv(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 native[ENV_NATIVE], env[ENV_NATIVE];
    unsigned size = env_bytes(i);
    if (!area_open(v, i, size, ACCESS_READ, &linear) || !area_read(v, linear, env, size))
        return fpu_operand_fault(v, i);
    env_from_guest(i, env, native);
    u32 vector = fpu_run(v, i, native);
    if (vector)
        return fpu_fault(v, vector);
    env_load_pointers(v, i, env);
    return EXEC_NEXT;
}

enum exec op_fnsave(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 native[ENV_NATIVE + ST_BYTES], state[ENV_NATIVE + ST_BYTES];
    if (!area_open(v, i, env_bytes(i) + ST_BYTES, ACCESS_WRITE, &linear))
        return EXEC_FAULT;
    u32 vector = fpu_run(v, i, native);
    invariant(!vector);
    unsigned size = env_to_guest(v, i, native, state);
    memcpy(state + size, native + ENV_NATIVE, ST_BYTES);
    struct fpu *f = &v->cpu.fpu; /* FNSAVE ends as FNINIT does */
    f->fip = f->fdp = 0;
    f->fop = f->fcs = f->fds = 0;
    return area_write(v, linear, state, size + ST_BYTES) ? EXEC_NEXT : EXEC_FAULT;
}

enum exec op_frstor(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 native[ENV_NATIVE + ST_BYTES], state[ENV_NATIVE + ST_BYTES];
    unsigned size = env_bytes(i);
    if (!area_open(v, i, size + ST_BYTES, ACCESS_READ, &linear) || !area_read(v, linear, state, size + ST_BYTES))
        return fpu_operand_fault(v, i);
    env_from_guest(i, state, native);
    memcpy(native + ENV_NATIVE, state + size, ST_BYTES);
    u32 vector = fpu_run(v, i, native);
    if (vector)
        return fpu_fault(v, vector);
    env_load_pointers(v, i, state);
    return EXEC_NEXT;
}

/* ---- FXSAVE, FXRSTOR: SDM vol. 1, 10.5 ------------------------------------------------------------ */

#define REX_W 8u
#define MXCSR_BYTES 8u /* MXCSR and its mask */
#define X87_POINTERS_END FXSAVE_MXCSR
/* Outside 64-bit mode XMM8 and up are neither saved nor loaded. */
#define XMM_BYTES(v) ((v)->mode == CODE_64 ? 256u : 128u)

static enum exec fxsave_forbidden(struct vcpu *v)
{
    if (v->cpu.cr0 & CR0_EM)
        return fault_ud(v);
    return v->cpu.cr0 & CR0_TS ? fault_vector(v, VEC_NM) : EXEC_NEXT;
}

/* The 24 bytes that begin an FXSAVE area, with the guest's own pointers. */
static void x87_header(const struct vcpu *v, const struct insn *i, u8 *area)
{
    const struct fpu *f = &v->cpu.fpu;
    memcpy(area, f->fxsave, FXSAVE_FOP);
    image_set_16(area, FXSAVE_FOP, f->fop & FOP_MASK);
    if (i->rex & REX_W) {
        image_set_64(area, FXSAVE_FIP, f->fip);
        image_set_64(area, FXSAVE_FDP, f->fdp);
        return;
    }
    image_set_32(area, FXSAVE_FIP, (u32)f->fip);
    image_set_32(area, FXSAVE_FCS, f->fcs);
    image_set_32(area, FXSAVE_FDP, (u32)f->fdp);
    image_set_32(area, FXSAVE_FDS, f->fds);
}

static void x87_load(struct vcpu *v, const struct insn *i, const u8 *area)
{
    struct fpu *f = &v->cpu.fpu;
    memcpy(f->fxsave, area, FXSAVE_FOP);
    f->fxsave[FXSAVE_FTW + 1] = 0;
    memcpy(f->fxsave + FXSAVE_ST, area + FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST);
    f->fop = image_get_16(area, FXSAVE_FOP) & FOP_MASK;
    if (i->rex & REX_W) {
        f->fip = image_get_64(area, FXSAVE_FIP);
        f->fdp = image_get_64(area, FXSAVE_FDP);
        f->fcs = f->fds = 0;
        return;
    }
    f->fip = image_get_32(area, FXSAVE_FIP);
    f->fcs = image_get_16(area, FXSAVE_FCS);
    f->fdp = image_get_32(area, FXSAVE_FDP);
    f->fds = image_get_16(area, FXSAVE_FDS);
}

/* An image that came from guest memory becomes what the processor makes of it, whether or not it is parked next. */
static void normalise(struct vcpu *v)
{
    fpu_enter(v);
    fpu_leave(v);
}

enum exec op_fxsave(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    enum exec allowed = fxsave_forbidden(v);
    if (allowed != EXEC_NEXT)
        return allowed;
    if (!insn_linear(v, i, FXSAVE_BYTES, ACCESS_WRITE, &linear))
        return EXEC_FAULT;
    if (linear & 15)
        return fault_gp(v, 0);
    if (!mem_probe(v, linear, FXSAVE_BYTES, ACCESS_WRITE, (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    fpu_park(v);
    u8 area[FXSAVE_BYTES];
    memcpy(area, v->cpu.fpu.fxsave, sizeof area);
    x87_header(v, i, area);
    /* What lies beyond is the guest's to use and is not written. */
    return area_write(v, linear, area, FXSAVE_XMM + XMM_BYTES(v)) ? EXEC_NEXT : EXEC_FAULT;
}

enum exec op_fxrstor(struct vcpu *v, const struct insn *i)
{
    u64 linear;
    u8 area[FXSAVE_BYTES];
    enum exec allowed = fxsave_forbidden(v);
    if (allowed != EXEC_NEXT)
        return allowed;
    if (!insn_linear(v, i, FXSAVE_BYTES, ACCESS_READ, &linear))
        return EXEC_FAULT;
    if (linear & 15)
        return fault_gp(v, 0);
    if (!area_read(v, linear, area, sizeof area))
        return EXEC_FAULT;
    u32 mxcsr = image_get_32(area, FXSAVE_MXCSR);
    if (mxcsr & ~MXCSR_MODEL_MASK)
        return fault_gp(v, 0);
    fpu_park(v);
    x87_load(v, i, area);
    u8 *image = v->cpu.fpu.fxsave;
    image_set_32(image, FXSAVE_MXCSR, mxcsr);
    memcpy(image + FXSAVE_XMM, area + FXSAVE_XMM, XMM_BYTES(v));
    normalise(v);
    return EXEC_NEXT;
}

/* ---- XSAVE, XRSTOR: SDM vol. 1, chapter 13 -------------------------------------------------------- */

enum { XSAVE_HEADER = FXSAVE_BYTES, XSAVE_HEADER_BYTES = 64, XSAVE_BYTES = XSAVE_HEADER + XSAVE_HEADER_BYTES };
enum { HEADER_XSTATE_BV = 0, HEADER_XCOMP_BV = 8, HEADER_RESERVED = 16, HEADER_RESERVED_END = 24 };

#define XSTATE_X87 1u
#define XSTATE_SSE 2u

/* The checks that all of them share, up to the address of their area. */
static enum exec xsave_open(struct vcpu *v, const struct insn *i, enum access access, u64 *linear)
{
    if (!(v->cpu.cr4 & CR4_OSXSAVE))
        return fault_ud(v);
    if (v->cpu.cr0 & CR0_TS)
        return fault_vector(v, VEC_NM);
    if (!insn_linear(v, i, XSAVE_BYTES, access, linear))
        return EXEC_FAULT;
    if (*linear & 63)
        return fault_gp(v, 0);
    if (!mem_probe(v, *linear, XSAVE_BYTES, access, (enum tlb_rights)v->tlb.rights))
        return EXEC_FAULT;
    return EXEC_NEXT;
}

/* RFBM, the components asked for and enabled (13.3). */
static u64 requested(const struct vcpu *v)
{
    const struct cpu *c = &v->cpu;
    return ((u64)(u32)c->gpr[RDX] << 32 | (u32)c->gpr[RAX]) & c->xcr0;
}

static bool all_zero(const u8 *bytes, unsigned size)
{
    for (unsigned n = 0; n < size; n++)
        if (bytes[n])
            return false;
    return true;
}

/* XINUSE (13.6): which components of the parked image differ from their initial configuration. MXCSR counts for SSE. */
static u64 in_use(const struct vcpu *v)
{
    const struct fpu *f = &v->cpu.fpu;
    bool x87_init = image_get_16(f->fxsave, FXSAVE_FCW) == FCW_DEFAULT &&
                    all_zero(f->fxsave + FXSAVE_FSW, FXSAVE_FOP - FXSAVE_FSW) &&
                    all_zero(f->fxsave + FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST) &&
                    !(f->fip | f->fdp | f->fop | f->fcs | f->fds);
    bool sse_init = image_get_32(f->fxsave, FXSAVE_MXCSR) == MXCSR_DEFAULT &&
                    all_zero(f->fxsave + FXSAVE_XMM, XMM_BYTES(v));
    return (x87_init ? 0 : XSTATE_X87) | (sse_init ? 0 : XSTATE_SSE);
}

static bool xsave_write(struct vcpu *v, const struct insn *i, u64 linear, u64 components, u64 requested_components)
{
    u8 header[X87_POINTERS_END];
    const u8 *image = v->cpu.fpu.fxsave;
    x87_header(v, i, header);
    if ((components & XSTATE_X87) &&
        (!area_write(v, linear, header, sizeof header) ||
         !area_write(v, linear_add(v, linear, FXSAVE_ST), image + FXSAVE_ST, FXSAVE_XMM - FXSAVE_ST)))
        return false;
    /* MXCSR goes with the request, not with the component's use (13.7). */
    if ((requested_components & XSTATE_SSE) &&
        !area_write(v, linear_add(v, linear, FXSAVE_MXCSR), image + FXSAVE_MXCSR, MXCSR_BYTES))
        return false;
    return !(components & XSTATE_SSE) ||
           area_write(v, linear_add(v, linear, FXSAVE_XMM), image + FXSAVE_XMM, XMM_BYTES(v));
}

/* Both save instructions: `optimised` leaves out components in their initial configuration (13.9). The modified
 * optimisation is not used; a processor may always decline it. */
static enum exec xsave_common(struct vcpu *v, const struct insn *i, bool optimised)
{
    u64 linear, old, rfbm = requested(v);
    enum exec opened = xsave_open(v, i, ACCESS_WRITE, &linear);
    if (opened != EXEC_NEXT)
        return opened;
    u64 header = linear_add(v, linear, XSAVE_HEADER);
    if (!mem_read64(v, header, &old))
        return EXEC_FAULT;
    fpu_park(v);
    u64 used = in_use(v);
    bool done = xsave_write(v, i, linear, optimised ? rfbm & used : rfbm, rfbm) &&
                mem_write64(v, header, (old & ~rfbm) | (rfbm & used));
    return done ? EXEC_NEXT : EXEC_FAULT;
}

enum exec op_xsave(struct vcpu *v, const struct insn *i) { return xsave_common(v, i, false); }
enum exec op_xsaveopt(struct vcpu *v, const struct insn *i) { return xsave_common(v, i, true); }

/* The standard form's demands on the header (13.8); compaction is not offered. */
static bool xrstor_valid(const struct vcpu *v, const u8 *area, u64 rfbm)
{
    const u8 *header = area + XSAVE_HEADER;
    if ((image_get_64(header, HEADER_XSTATE_BV) & ~v->cpu.xcr0) ||
        !all_zero(header + HEADER_XCOMP_BV, HEADER_RESERVED_END - HEADER_XCOMP_BV))
        return false;
    return !(rfbm & XSTATE_SSE) || !(image_get_32(area, FXSAVE_MXCSR) & ~MXCSR_MODEL_MASK);
}

static void x87_initialise(struct fpu *f)
{
    memset(f->fxsave, 0, X87_POINTERS_END);
    memset(f->fxsave + FXSAVE_ST, 0, FXSAVE_XMM - FXSAVE_ST);
    image_set_16(f->fxsave, FXSAVE_FCW, FCW_DEFAULT);
    f->fip = f->fdp = 0;
    f->fop = f->fcs = f->fds = 0;
}

enum exec op_xrstor(struct vcpu *v, const struct insn *i)
{
    u64 linear, rfbm = requested(v);
    u8 area[XSAVE_BYTES];
    enum exec opened = xsave_open(v, i, ACCESS_READ, &linear);
    if (opened != EXEC_NEXT)
        return opened;
    if (!area_read(v, linear, area, sizeof area))
        return EXEC_FAULT;
    if (!xrstor_valid(v, area, rfbm))
        return fault_gp(v, 0);
    u64 present = image_get_64(area + XSAVE_HEADER, HEADER_XSTATE_BV) & rfbm;
    fpu_park(v);
    struct fpu *f = &v->cpu.fpu;
    if (present & XSTATE_X87)
        x87_load(v, i, area);
    else if (rfbm & XSTATE_X87)
        x87_initialise(f);
    if (present & XSTATE_SSE)
        memcpy(f->fxsave + FXSAVE_XMM, area + FXSAVE_XMM, XMM_BYTES(v));
    else if (rfbm & XSTATE_SSE)
        memset(f->fxsave + FXSAVE_XMM, 0, XMM_BYTES(v));
    if (rfbm & XSTATE_SSE) /* whatever XSTATE_BV says: 13.8.1 */
        image_set_32(f->fxsave, FXSAVE_MXCSR, image_get_32(area, FXSAVE_MXCSR));
    normalise(v);
    return EXEC_NEXT;
}
