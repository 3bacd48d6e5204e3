#include "sim/gdb_registers.h"

#include "core/segment.h"
#include "devices/chipset.h"
#include "sbe/fpu.h"

#include <stdio.h>
#include <string.h>

enum { XML_MAX = 16384 };

/* FXSAVE64 image, SDM vol. 1, table 10-2. */
enum { FX_FCW = 0, FX_FSW = 2, FX_FTW = 4, FX_MXCSR = 24, FX_ST = 32, FX_XMM = 160 };
#define MXCSR_SETTABLE 0xffbfu
#define FCW_SETTABLE 0x1f3fu
#define FCW_FIXED 0x40u

/* What a debugger may change of RFLAGS: everything but VM, VIF and VIP, which would change the mode. */
#define FLAGS_SETTABLE \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID)

enum how {
    FIXED,   /* field of struct cpu, shown only */
    PLAIN,   /* field of struct cpu, may be changed */
    BASE,    /* the same, canonical addresses only */
    RIP,
    EFLAGS,
    CR8,
    FX,      /* bytes of the FXSAVE image, may be changed */
    FCW, FTW, MXCSR,
};

struct gdb_register {
    const char *name, *type, *group;
    u8 bits;  /* as gdb sees it */
    u8 bytes; /* of the field; the rest reads 0 */
    enum how how;
    u16 at; /* offset in struct cpu or, for FX, in the image */
};

#define AT(field) offsetof(struct cpu, field)
#define GPR(text, number, kind) {text, kind, NULL, 64, 8, PLAIN, AT(gpr) + 8 * (number)}
#define SELECTOR(text, field) {text, "int32", NULL, 32, 2, FIXED, AT(field.selector)}
#define ST(n) {"st" #n, "i387_ext", NULL, 80, 10, FX, FX_ST + 16 * (n)}
#define XMM(n) {"xmm" #n, "vec128", NULL, 128, 16, FX, FX_XMM + 16 * (n)}
#define FLOAT(text, size, kind, where) {text, "int", "float", 32, size, kind, where}
#define BYTES(field) sizeof(((struct cpu *)0)->field)
#define SYSTEM(text, width, field) \
    {text, (width) == 64 ? "int64" : "int32", "system", width, BYTES(field), FIXED, AT(field)}

static const struct gdb_register core_registers[] = {
    GPR("rax", RAX, "int64"), GPR("rbx", RBX, "int64"), GPR("rcx", RCX, "int64"), GPR("rdx", RDX, "int64"),
    GPR("rsi", RSI, "int64"), GPR("rdi", RDI, "int64"), GPR("rbp", RBP, "data_ptr"), GPR("rsp", RSP, "data_ptr"),
    GPR("r8", 8, "int64"), GPR("r9", 9, "int64"), GPR("r10", 10, "int64"), GPR("r11", 11, "int64"),
    GPR("r12", 12, "int64"), GPR("r13", 13, "int64"), GPR("r14", 14, "int64"), GPR("r15", 15, "int64"),
    {"rip", "code_ptr", NULL, 64, 8, RIP, AT(rip)},
    {"eflags", "i386_eflags", NULL, 32, 4, EFLAGS, 0},
    SELECTOR("cs", seg[SEG_CS]), SELECTOR("ss", seg[SEG_SS]), SELECTOR("ds", seg[SEG_DS]), SELECTOR("es", seg[SEG_ES]),
    SELECTOR("fs", seg[SEG_FS]), SELECTOR("gs", seg[SEG_GS]),
    ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
    FLOAT("fctrl", 2, FCW, FX_FCW), FLOAT("fstat", 2, FX, FX_FSW), FLOAT("ftag", 2, FTW, 0),
    FLOAT("fiseg", 2, FIXED, AT(fpu.fcs)), FLOAT("fioff", 4, FIXED, AT(fpu.fip)), FLOAT("foseg", 2, FIXED, AT(fpu.fds)),
    FLOAT("fooff", 4, FIXED, AT(fpu.fdp)), FLOAT("fop", 2, FIXED, AT(fpu.fop)),
};

static const struct gdb_register sse_registers[] = {
    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7), XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13),
    XMM(14), XMM(15),
    {"mxcsr", "i386_mxcsr", "vector", 32, 4, MXCSR, FX_MXCSR},
};

static const struct gdb_register base_registers[] = {
    {"fs_base", "int64", NULL, 64, 8, BASE, AT(seg[SEG_FS].base)},
    {"gs_base", "int64", NULL, 64, 8, BASE, AT(seg[SEG_GS].base)},
};

static const struct gdb_register system_registers[] = {
    {"k_gs_base", "int64", "system", 64, 8, BASE, AT(kernel_gs_base)},
    SYSTEM("cr0", 64, cr0), SYSTEM("cr2", 64, cr2), SYSTEM("cr3", 64, cr3), SYSTEM("cr4", 64, cr4),
    {"cr8", "int64", "system", 64, 8, CR8, 0},
    SYSTEM("efer", 64, efer), SYSTEM("cpl", 32, cpl), SYSTEM("icount", 64, icount),
    SYSTEM("cs_base", 64, seg[SEG_CS].base), SYSTEM("ss_base", 64, seg[SEG_SS].base),
    SYSTEM("ds_base", 64, seg[SEG_DS].base), SYSTEM("es_base", 64, seg[SEG_ES].base),
    SYSTEM("gdtr_base", 64, gdtr.base), SYSTEM("gdtr_limit", 32, gdtr.limit),
    SYSTEM("idtr_base", 64, idtr.base), SYSTEM("idtr_limit", 32, idtr.limit),
    SYSTEM("ldtr", 32, ldtr.selector), SYSTEM("ldtr_base", 64, ldtr.base),
    SYSTEM("tr", 32, tr.selector), SYSTEM("tr_base", 64, tr.base),
    SYSTEM("dr0", 64, dr[0]), SYSTEM("dr1", 64, dr[1]), SYSTEM("dr2", 64, dr[2]), SYSTEM("dr3", 64, dr[3]),
    SYSTEM("dr6", 64, dr[6]), SYSTEM("dr7", 64, dr[7]),
};

struct register_feature {
    const char *name;
    const char *types; /* XML before the registers */
    const struct gdb_register *registers;
    unsigned count;
};

static const char eflags_type[] =
    "<flags id=\"i386_eflags\" size=\"4\">"
    "<field name=\"\" start=\"22\" end=\"31\"/><field name=\"CF\" start=\"0\" end=\"0\"/>"
    "<field name=\"\" start=\"1\" end=\"1\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
    "<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
    "<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
    "<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/>"
    "<field name=\"AC\" start=\"18\" end=\"18\"/><field name=\"VIF\" start=\"19\" end=\"19\"/>"
    "<field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/></flags>";

static const char vector_types[] =
    "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
    "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
    "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
    "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
    "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>"
    "<flags id=\"i386_mxcsr\" size=\"4\"><field name=\"IE\" start=\"0\" end=\"0\"/>"
    "<field name=\"DE\" start=\"1\" end=\"1\"/><field name=\"ZE\" start=\"2\" end=\"2\"/>"
    "<field name=\"OE\" start=\"3\" end=\"3\"/><field name=\"UE\" start=\"4\" end=\"4\"/>"
    "<field name=\"PE\" start=\"5\" end=\"5\"/><field name=\"DAZ\" start=\"6\" end=\"6\"/>"
    "<field name=\"IM\" start=\"7\" end=\"7\"/><field name=\"DM\" start=\"8\" end=\"8\"/>"
    "<field name=\"ZM\" start=\"9\" end=\"9\"/><field name=\"OM\" start=\"10\" end=\"10\"/>"
    "<field name=\"UM\" start=\"11\" end=\"11\"/><field name=\"PM\" start=\"12\" end=\"12\"/>"
    "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>";

static const struct register_feature features[] = {
    {"org.gnu.gdb.i386.core", eflags_type, core_registers, ARRAY_LEN(core_registers)},
    {"org.gnu.gdb.i386.sse", vector_types, sse_registers, ARRAY_LEN(sse_registers)},
    {"org.gnu.gdb.i386.segments", "", base_registers, ARRAY_LEN(base_registers)},
    {"reprise.system", "", system_registers, ARRAY_LEN(system_registers)},
};

enum {
    REGISTERS = ARRAY_LEN(core_registers) + ARRAY_LEN(sse_registers) + ARRAY_LEN(base_registers) +
                ARRAY_LEN(system_registers)
};

unsigned gdb_registers(void) { return REGISTERS; }

static const struct gdb_register *find(unsigned n)
{
    const struct register_feature *f = features;
    for (; n >= f->count; f++)
        n -= f->count;
    return &f->registers[n];
}

unsigned gdb_register_size(unsigned n) { return find(n)->bits / 8; }

/* The full tag word (SDM vol. 1, 8.1.7) from the abridged one of FXSAVE (10.5.1.1) and the registers' contents. */
static u16 tag_word(const u8 *image)
{
    unsigned top = image[FX_FSW + 1] >> 3 & 7, tags = 0;
    for (unsigned physical = 0; physical < 8; physical++) {
        const u8 *st = image + FX_ST + 16 * ((physical - top) & 7);
        u64 significand;
        u16 exponent;
        memcpy(&significand, st, 8);
        memcpy(&exponent, st + 8, 2);
        exponent &= 0x7fff;
        bool zero = exponent == 0 && significand == 0, special = exponent == 0 || exponent == 0x7fff || !(significand >> 63);
        unsigned tag = zero ? 1 : special ? 2 : 0;
        tags |= (image[FX_FTW] >> physical & 1 ? tag : 3) << 2 * physical;
    }
    return (u16)tags;
}

void gdb_register_read(struct vcpu *v, unsigned n, u8 *to)
{
    const struct gdb_register *r = find(n);
    const struct cpu *c = &v->cpu;
    u64 value = 0;
    fpu_park(v);
    memset(to, 0, r->bits / 8);
    switch (r->how) {
    case EFLAGS: value = cpu_rflags(c); break;
    case CR8: value = chipset_get_cr8(v->vm, v); break;
    case FTW: value = tag_word(c->fpu.fxsave); break;
    case FX:
    case FCW:
    case MXCSR: memcpy(to, c->fpu.fxsave + r->at, r->bytes); return;
    default: memcpy(to, (const u8 *)c + r->at, r->bytes); return;
    }
    memcpy(to, &value, r->bytes);
}

static bool write_number(struct vcpu *v, const struct gdb_register *r, u64 value)
{
    struct cpu *c = &v->cpu;
    switch (r->how) {
    case RIP: c->rip = value & v->rip_mask; return true;
    case EFLAGS: cpu_set_rflags_raw(c, (cpu_rflags(c) & ~(u64)FLAGS_SETTABLE) | (value & FLAGS_SETTABLE)); return true;
    case FCW: value = (value & FCW_SETTABLE) | FCW_FIXED; break;
    case MXCSR: value &= MXCSR_SETTABLE; break;
    case FTW:
        for (unsigned n = 0; n < 8; n++)
            c->fpu.fxsave[FX_FTW] = (u8)((c->fpu.fxsave[FX_FTW] & ~(1u << n)) | ((value >> 2 * n & 3) != 3) << n);
        return true;
    case BASE:
        if (!canonical(value))
            return false;
        memcpy((u8 *)c + r->at, &value, r->bytes);
        return true;
    default: return false;
    }
    memcpy(c->fpu.fxsave + r->at, &value, r->bytes);
    return true;
}

bool gdb_register_write(struct vcpu *v, unsigned n, const u8 *from)
{
    const struct gdb_register *r = find(n);
    u64 value = 0;
    bool done = true;
    fpu_park(v);
    if (r->how == PLAIN) {
        memcpy((u8 *)&v->cpu + r->at, from, r->bytes);
    } else if (r->how == FX) {
        memcpy(v->cpu.fpu.fxsave + r->at, from, r->bytes);
    } else {
        memcpy(&value, from, r->bytes);
        done = write_number(v, r, value);
    }
    vcpu_update_mode(v);
    return done;
}

static int put_register(char *to, int room, const struct gdb_register *r)
{
    const char *before = r->group ? " group=\"" : "", *group = r->group ? r->group : "", *after = r->group ? "\"" : "";
    return snprintf(to, (size_t)room, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"%s%s%s/>\n", r->name, r->bits,
                    r->type, before, group, after);
}

const char *gdb_target_xml(void)
{
    static char xml[XML_MAX];
    if (xml[0])
        return xml;
    int n = snprintf(xml, sizeof xml, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                                      "<target><architecture>i386:x86-64</architecture>\n");
    for (unsigned f = 0; f < ARRAY_LEN(features); f++) {
        n += snprintf(xml + n, (size_t)(XML_MAX - n), "<feature name=\"%s\">%s\n", features[f].name, features[f].types);
        for (unsigned r = 0; r < features[f].count; r++)
            n += put_register(xml + n, XML_MAX - n, &features[f].registers[r]);
        n += snprintf(xml + n, (size_t)(XML_MAX - n), "</feature>\n");
    }
    snprintf(xml + n, (size_t)(XML_MAX - n), "</target>\n");
    return xml;
}
