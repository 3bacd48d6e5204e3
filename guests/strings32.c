/* String instructions of 32-bit mode: the shared promises, 16-bit addresses and segment overrides. */
#include "guests/strings.h"

const char *const suite_name = "strings32";

PROBE(stosb_16, "mov $0x5a,%eax", "addr16 rep stosb")
PROBE(movsb_16_down, "std", "addr16 rep movsb")
PROBE(jcxz_16, "", "jcxz 1f; mov $1,%eax; 1: nop")
PROBE(loop_16, "xor %eax,%eax", "1: inc %eax; addr16 loop 1b")
PROBE(movsb_fs, "mov $0x40,%eax; mov %eax,%fs", "fs movsb")
PROBE(movsb_es, "mov $0x40,%eax; mov %eax,%es", "movsb")
PROBE(stosb_fs, "mov $0x40,%eax; mov %eax,%fs; mov $7,%al", "fs stosb")
PROBE(rep_limit, "mov $0x48,%eax; mov %eax,%es", "rep stosb")

/* 16-bit addresses wrap within 64 KiB and leave the upper halves alone. The bytes at 0 belong to the BIOS. */
static void addresses_of_16_bits(void)
{
    u8 *low = (u8 *)0, saved[2];
    __asm__("" : "+r"(low));
    memcpy(saved, low, 2);
    in.r.di = 0xabcdfffe;
    in.r.cx = 0x12340004;
    const struct trap *t = run(stosb_16, 0);
    promise("DI wraps at 64 KiB", 0x5a5a, low[0xffff] << 8 | low[1]);
    promise("the upper half of EDI stays", 0xabcd0002, t->r.di);
    promise("only CX counts, the upper half of ECX stays", 0x12340000, t->r.cx);
    memcpy(low, saved, 2);
    in.r.si = 0x77778000;
    in.r.di = 0x99999000;
    in.r.cx = 0x10002;
    t = run(movsb_16_down, 0);
    promise("downwards, SI keeps its upper half", 0x77777ffe, t->r.si);
    promise("downwards, DI keeps its upper half", 0x99998ffe, t->r.di);
    in.r.cx = 0x50000;
    promise("JCXZ looks at CX only", 0, run(jcxz_16, 0)->r.ax);
    in.r.cx = 0x50003;
    t = run(loop_16, 0);
    promise("LOOP with 16-bit addresses counts CX", 3, t->r.ax);
    promise("and leaves the upper half", 0x50000, t->r.cx);
}

static void overrides(void)
{
    strings_prepare();
    gdt_set(0x40, segment(TEST + 0x100, 0xfffff, SEG_DATA | SEG_4K | SEG_32));
    gdt_set(0x48, segment(TEST, 0x0f, SEG_DATA | SEG_32));
    area[0][0x110] = 0x66;
    in.r.si = 0x10;
    in.r.di = TEST;
    run(movsb_fs, 0);
    promise("an override applies to the source of MOVS", 0x66, area[0][0]);
    in.r.si = TEST;
    in.r.di = 0x20;
    run(movsb_es, 0);
    promise("ES applies to the destination of MOVS", 0x66, area[0][0x120]);
    in.r.di = TEST + 1;
    run(stosb_fs, 0);
    promise("an override does not apply to STOS", 7, area[0][1]);
    in.r.cx = 0x20;
    const struct trap *t = run(rep_limit, 0);
    trap_is("#GP(0) where REP STOSB passes the limit of ES", t, VEC_GP, 0, rep_limit_at);
    promise("with the pointer at the limit", 0x10, t->r.di);
    promise("and the count that remains", 0x10, t->r.cx);
}

int main(void)
{
    pages_start(&format_32bit);
    strings_common();
    addresses_of_16_bits();
    overrides();
    return 0;
}
