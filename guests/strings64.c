/* String instructions of 64-bit mode: the shared promises, quadwords, 64-bit counts, 32-bit addresses. */
#include "guests/strings.h"

const char *const suite_name = "strings64";

PROBE(rep_stosq, "mov $0x1122334455667788,%rax", "rep stosq")
PROBE(rep_movsq, "", "rep movsq")
PROBE(wide_stosb, "mov $0x5a,%eax", "rep stosb")
PROBE(stosb_32, "mov $0x5a,%eax", "addr32 rep stosb")
PROBE(movsb_32, "", "addr32 rep movsb")
PROBE(lodsl_once, "mov $-1,%rax", "lodsl")
PROBE(jrcxz, "", "jrcxz 1f; mov $1,%eax; 1: nop")
PROBE(jecxz, "", "jecxz 1f; mov $1,%eax; 1: nop")

static void quadwords(void)
{
    strings_prepare();
    in.r.di = TEST;
    in.r.cx = 2;
    run(rep_stosq, 0);
    promise("REP STOSQ", 0x1122334455667788, *(u64 *)(area[0] + 8));
    in.r.si = TEST;
    in.r.di = TEST + 100;
    in.r.cx = 2;
    const struct trap *t = run(rep_movsq, 0);
    promise("REP MOVSQ", 0x1122334455667788, *(u64 *)(area[0] + 108));
    promise("its pointer", TEST + 16, t->r.si);
    in.r.si = TEST;
    promise("LODSD clears the upper half of RAX", 0x55667788, run(lodsl_once, 0)->r.ax);
}

static void counts(void)
{
    in.r.di = TEST + PAGE - 2;
    in.r.cx = 0x100000002;
    const struct trap *t = run(wide_stosb, 0);
    promise("a count above 4 Gi is not cut off", 0x100000000, t->r.cx);
    promise("the fault comes after two bytes", TEST + PAGE, t->cr2);
    in.r.cx = 0x100000000;
    promise("JRCXZ looks at all of RCX", 1, run(jrcxz, 0)->r.ax);
    in.r.cx = 0x100000000;
    promise("JECXZ looks at ECX only", 0, run(jecxz, 0)->r.ax);
}

static void addresses_of_32_bits(void)
{
    strings_prepare();
    in.r.di = 0xffffffff00000000 | TEST;
    in.r.cx = 0x700000003;
    const struct trap *t = run(stosb_32, 0);
    promise("32-bit addresses ignore the upper half of RDI", 0x5a5a5a, *(u32 *)area[0]);
    promise("and clear it", TEST + 3, t->r.di);
    promise("32-bit counts ignore the upper half of RCX", 0, t->r.cx);
    in.r.si = 0x100000000 | TEST;
    in.r.di = 0x200000000 | (TEST + 16);
    in.r.cx = 0x300000003;
    t = run(movsb_32, 0);
    promise("RSI is cut to 32 bits", TEST + 3, t->r.si);
    promise("and the bytes arrive", 0x5a5a5a, *(u32 *)(area[0] + 16));
}

static void upper_half(void)
{
    word high = 0xffff800000000000;
    page_set(high, (word)area[2] | PTE_RW);
    in.r.di = high + 8;
    in.r.cx = 3;
    promise("REP STOSB in the upper half", high + 11, run(wide_stosb, 0)->r.di);
    in.r.di = 0x800000000000;
    in.r.cx = 3;
    FAULTS("#GP(0) by REP STOSB to a non-canonical address", wide_stosb, 0, VEC_GP, 0);
}

int main(void)
{
    pages_start(&format_4level);
    strings_common();
    quadwords();
    counts();
    addresses_of_32_bits();
    upper_half();
    return 0;
}
