/* String instructions (SDM vol. 2, REP and each instruction; vol. 1, 7.3.9): counts, direction, overlap, flags, and
 * restart after a fault in the middle, which must find the registers as the completed iterations left them. */
#include "guests/strings.h"

PROBE(rep_movsb, "", "rep movsb")
PROBE(rep_movsb_down, "std", "rep movsb")
PROBE(rep_movsw_down, "std", "rep movsw")
PROBE(rep_movsl, "", "rep movsl")
PROBE(movsl_once, "", "movsl")
PROBE(rep_stosb, "mov $0x5a,%eax", "rep stosb")
PROBE(rep_stosw, "mov $0xbeef,%eax", "rep stosw")
PROBE(rep_stosl, "mov $0x12345678,%eax", "rep stosl")
PROBE(rep_stosl_down, "mov $0x12345678,%eax; std", "rep stosl")
PROBE(rep_lodsl, "xor %eax,%eax", "rep lodsl")
PROBE(lodsb_once, "mov $0x11223344,%eax", "lodsb")
PROBE(repe_cmpsb, "xor %eax,%eax", "repe cmpsb")
PROBE(repne_cmpsb, "xor %eax,%eax", "repne cmpsb")
PROBE(repe_cmpsb_set, "stc", "repe cmpsb")
PROBE(repne_scasb, "mov $0x5a,%eax", "repne scasb")
PROBE(repe_scasw, "xor %eax,%eax", "repe scasw")
PROBE(scasb_once, "mov $1,%eax", "scasb")
PROBE(cmpsb_once, "", "cmpsb")
PROBE(rep_outsb, "mov $0x80,%edx", "rep outsb")
PROBE(rep_insb, "mov $0xed,%edx", "rep insb")

u8 area[3][PAGE] __attribute__((aligned(PAGE)));

void strings_prepare(void)
{
    memset(area, 0, sizeof area);
    page_set(TEST, (word)area[0] | PTE_RW);
    page_set(TEST + PAGE, 0);
}

static const struct trap *string(const char *code, word si, word di, word count)
{
    in.r.si = si;
    in.r.di = di;
    in.r.cx = count;
    return run(code, 0);
}

static void zero_count(void)
{
    const struct trap *t = string(rep_movsb, TEST + PAGE, TEST + PAGE, 0);
    promise("REP MOVSB with count 0 touches no memory", VEC_DONE, t->vector);
    promise("and moves no pointer", TEST + PAGE, t->r.si);
    t = string(repe_cmpsb_set, TEST + PAGE, TEST + PAGE, 0);
    promise("REPE CMPSB with count 0 touches no memory", VEC_DONE, t->vector);
    promise("and no flag", FL_CF, t->flags & FL_CF);
}

static void copies(void)
{
    for (unsigned i = 0; i < 16; i++)
        area[0][i] = i;
    const struct trap *t = string(rep_movsb, TEST, TEST + 100, 16);
    promise("REP MOVSB copies", 0, memcmp(area[0], area[0] + 100, 16));
    promise("the source pointer is past the end", TEST + 16, t->r.si);
    promise("the destination pointer is past the end", TEST + 116, t->r.di);
    promise("the count is used up", 0, t->r.cx);
    t = string(rep_movsb_down, TEST + 15, TEST + 215, 16);
    promise("REP MOVSB copies downwards", 0, memcmp(area[0], area[0] + 200, 16));
    promise("downwards, the pointer ends below the start", TEST - 1, t->r.si);
    string(rep_movsb, TEST, TEST + 1, 15);
    promise("an upward overlap repeats the first byte", 0, *(u32 *)(area[0] + 12));
    for (unsigned i = 0; i < 16; i++)
        area[0][i] = i;
    string(rep_movsb_down, TEST + 14, TEST + 15, 15);
    promise("a downward overlap keeps all bytes", 0x0e0d0c0b, *(u32 *)(area[0] + 12));
    string(rep_movsl, TEST, TEST + 2, 3);
    promise("an overlap within an element uses what was stored", 0x06050605, *(u32 *)(area[0] + 8));
    string(rep_movsw_down, TEST + 100 + 14, TEST + 300 + 14, 8);
    promise("REP MOVSW downwards moves whole words", 0, memcmp(area[0] + 100, area[0] + 300, 16));
}

static void fills(void)
{
    string(rep_stosb, 0, TEST + 1, 3);
    promise("REP STOSB", 0x5a5a5a00, *(u32 *)area[0]);
    string(rep_stosw, 0, TEST, 2);
    promise("REP STOSW", 0xbeefbeef, *(u32 *)area[0]);
    const struct trap *t = string(rep_stosl_down, 0, TEST + 8, 2);
    promise("REP STOSD downwards", 0x12345678, *(u32 *)(area[0] + 4));
    promise("leaves what is below", 0xbeefbeef, *(u32 *)area[0]);
    promise("and its pointer there", TEST, t->r.di);
    *(u32 *)(area[0] + 8) = 77;
    t = string(rep_lodsl, TEST, 0, 3);
    promise("REP LODSD leaves the last element", 77, t->r.ax);
    area[0][0] = 0xee;
    t = string(lodsb_once, TEST, 0, 0);
    promise("LODSB changes AL only", 0x112233ee, t->r.ax);
}

static void searches(void)
{
    memset(area, 0, sizeof area);
    area[0][10] = 0x5a;
    const struct trap *t = string(repne_scasb, 0, TEST, 100);
    promise("REPNE SCASB stops after the match", TEST + 11, t->r.di);
    promise("with the rest of the count", 89, t->r.cx);
    promise("and ZF", FL_ZF, t->flags & FL_ZF);
    t = string(repne_scasb, 0, TEST + 11, 100);
    promise("REPNE SCASB without a match ends without ZF", 0, t->flags & FL_ZF);
    t = string(repe_scasw, 0, TEST, 100);
    promise("REPE SCASW stops after the difference", TEST + 12, t->r.di);
    t = string(repe_cmpsb, TEST, TEST + 100, 50);
    promise("REPE CMPSB stops after the difference", TEST + 11, t->r.si);
    promise("both pointers alike", TEST + 111, t->r.di);
    t = string(repne_cmpsb, TEST, TEST + 100, 50);
    promise("REPNE CMPSB stops after the first pair that is equal", TEST + 1, t->r.si);
    area[0][20] = 2;
    t = string(scasb_once, 0, TEST + 20, 0);
    promise("SCASB subtracts memory from AL", FL_CF | FL_SF, t->flags & (FL_CF | FL_SF | FL_ZF));
    area[0][21] = 1;
    t = string(cmpsb_once, TEST + 20, TEST + 21, 0);
    promise("CMPSB subtracts the destination from the source", 0, t->flags & (FL_CF | FL_SF | FL_ZF));
}

/* At the fault: the registers say how far it came, IP is at the instruction, and nothing is lost. */
static void faults(void)
{
    const struct trap *t = string(rep_stosl, 0, TEST + PAGE - 8, 5);
    page_faults("REP STOSD into an absent page", t, 2, TEST + PAGE, (word)rep_stosl_at);
    promise("its pointer is at the element that faulted", TEST + PAGE, t->r.di);
    promise("its count is what remains", 3, t->r.cx);
    promise("the elements before are stored", 0x12345678, *(u32 *)(area[0] + PAGE - 4));
    t = string(rep_movsb, TEST + PAGE - 3, TEST, 10);
    page_faults("REP MOVSB from an absent page", t, 0, TEST + PAGE, (word)rep_movsb_at);
    promise("its source is at the byte that faulted", TEST + PAGE, t->r.si);
    promise("its destination goes with it", TEST + 3, t->r.di);
    promise("and so does its count", 7, t->r.cx);
    t = string(rep_stosl, 0, TEST + PAGE - 6, 5);
    page_faults("an element across the border faults on the second page", t, 2, TEST + PAGE, (word)rep_stosl_at);
    promise("and is not stored", TEST + PAGE - 2, t->r.di);
    t = string(movsl_once, TEST, TEST + PAGE - 2, 0);
    promise("MOVSD that faults on its store moves no pointer", TEST, t->r.si);
    t = string(rep_stosl_down, 0, TEST + 4, 3);
    page_faults("REP STOSD downwards into an absent page", t, 2, TEST - 4, (word)rep_stosl_down_at);
    promise("with the count that remains", 1, t->r.cx);
    t = string(repe_cmpsb, TEST + PAGE - 2, TEST + PAGE - 4, 9);
    page_faults("REPE CMPSB into an absent page", t, 0, TEST + PAGE, (word)repe_cmpsb_at);
    promise("leaves its pointers together", TEST + PAGE - 2, t->r.di);
    t = string(repne_scasb, 0, TEST + PAGE - 1, 9);
    promise("REPNE SCASB into an absent page keeps its count", 8, t->r.cx);
    t = string(rep_outsb, TEST + PAGE - 2, 0, 9);
    promise("REP OUTSB from an absent page keeps its count", 7, t->r.cx);
    t = string(rep_insb, 0, TEST + PAGE - 2, 9);
    promise("REP INSB into an absent page keeps its count", 7, t->r.cx);
}

static bool map_next(const struct trap *t, struct frame *f)
{
    (void)f;
    if (t->vector != VEC_PF || trap_count > 3)
        return false;
    page_set(t->cr2, (word)area[1] | PTE_RW);
    return true;
}

static void restart(void)
{
    trap_hook = map_next;
    strings_prepare();
    const struct trap *t = string(rep_stosl, 0, TEST + PAGE - 8, 5);
    promise("REP STOSD goes on after the page is mapped", VEC_DONE, t->vector);
    promise("after one fault", 2, trap_count);
    promise("to its end", TEST + PAGE + 12, t->r.di);
    promise("and stores the rest", 0x12345678, *(u32 *)(area[1] + 8));
    promise("and no more", 0, *(u32 *)(area[1] + 12));
    strings_prepare();
    area[1][3] = 1;
    t = string(repe_cmpsb, TEST + PAGE - 4, TEST, 100);
    promise("REPE CMPSB goes on after the page is mapped", TEST + PAGE + 4, t->r.si);
    promise("to the difference", 92, t->r.cx);
    trap_hook = NULL;
}

void strings_common(void)
{
    strings_prepare();
    zero_count();
    copies();
    fills();
    searches();
    strings_prepare();
    faults();
    restart();
}
