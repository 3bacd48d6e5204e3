/* Code that nobody would write, and as much of it as a translator can bear: jumps into instructions, floods of
 * prefixes, pages that are exchanged under it, more pages and address spaces than a cache holds, code that never
 * stays. */
#include "guests/hostile.h"

PROBE(jump_to, "", "jmp *" R("bx"))
PROBE(patched_by_dma, "", "out %eax,%dx; 7: mov $1,%al")

enum { DEVICE = 0x540, DEVICE_ID = 0x54535052, ACT = 0x14, DMA = 4, ADDRESS = 0x20, ADDRESS_HIGH = 0x24,
       LENGTH = 0x28, PATTERN = 0x2c };

bool is_reprise(void) { return inl(DEVICE) == DEVICE_ID; }

/* MOV $n,%eax; RET. */
void put_function(u8 *at, u32 n)
{
    at[0] = 0xb8;
    memcpy(at + 1, &n, 4);
    at[5] = 0xc3;
}

static u8 *space(unsigned page) { return (u8 *)(SPACE + (word)page * PAGE); }

/* ---- Bytes ---------------------------------------------------------------------------------------- */

/* mov $0xc39007b1,%eax; ret: from its second byte on, mov $7,%cl; nop; ret. */
static void into_the_middle(void)
{
    static const u8 code[] = {0xb8, 0xb1, 0x07, 0x90, 0xc3, 0xc3};
    page_set(TEST, frame_of(0) | PTE_RW);
    memcpy(frames[0], code, sizeof code);
    u32 whole = 0, inner = 0;
    for (unsigned i = 0; i < 50; i++) {
        u32 ax = call(TEST), cx;
        whole += ax == 0xc39007b1;
        __asm__ volatile("call *%1" : "=c"(cx) : "r"(TEST + 1), "0"(0) : "memory", "cc");
        inner += (cx & 0xff) == 7;
    }
    promise("an instruction and the one inside it: the outer", 50, whole);
    promise("an instruction and the one inside it: the inner", 50, inner);
    frames[0][2] = 9;
    u32 cx;
    __asm__ volatile("call *%1" : "=c"(cx) : "r"(TEST + 1), "0"(0) : "memory", "cc");
    promise("a byte that is part of both is changed: the inner", 9, cx & 0xff);
    promise("a byte that is part of both is changed: the outer", 0xc39009b1, call(TEST));
}

static const struct trap *flood(unsigned prefixes, u8 prefix, word at)
{
    static const u8 end[] = {0x90, 0xcd, 0x81};
    u8 *to = frames[0] + (at - TEST);
    memset(frames[0], 0x90, PAGE);
    memset(frames[1], 0x90, PAGE);
    for (unsigned i = 0; i < prefixes; i++)
        to[i] = prefix; /* the two frames lie one behind the other */
    memcpy(to + prefixes, end, sizeof end);
    return run_paged(jump_to, 0, at);
}

/* SDM vol. 3, 6.15, interrupt 13: an instruction longer than 15 bytes. */
static void prefixes(void)
{
    page_set(TEST, frame_of(0) | PTE_RW);
    page_set(TEST + PAGE, frame_of(1) | PTE_RW);
    promise("fourteen prefixes and an instruction", VEC_DONE, flood(14, 0x66, TEST)->vector);
    promise("fifteen are too many", VEC_GP, flood(15, 0x66, TEST)->vector);
    promise("fourteen segment prefixes", VEC_DONE, flood(14, 0x3e, TEST)->vector);
    promise("fifteen are too many of them, too", VEC_GP, flood(15, 0x2e, TEST)->vector);
    promise("fourteen prefixes across two pages", VEC_DONE, flood(14, 0x66, TEST + PAGE - 7)->vector);
    promise("fifteen across two pages", VEC_GP, flood(15, 0x66, TEST + PAGE - 7)->vector);
    promise("a page of prefixes", VEC_GP, flood(2000, 0x66, TEST)->vector);
    page_set(TEST + PAGE, 0);
    const struct trap *t = flood(20, 0x66, TEST + PAGE - 14);
    promise("fourteen prefixes before an absent page: a page fault", VEC_PF, t->vector);
    promise("of the fetch behind them", TEST + PAGE, t->cr2);
    promise("fifteen prefixes before an absent page", VEC_GP, flood(20, 0x66, TEST + PAGE - 15)->vector);
}

/* ---- Changes -------------------------------------------------------------------------------------- */

/* A function across two pages, of which the second is now this frame and now that one. */
static void second_page_moves(void)
{
    u8 bytes[FUNCTION_BYTES];
    page_set(TEST, frame_of(0) | PTE_RW);
    for (unsigned i = 0; i < 3; i++) {
        put_function(bytes, 0x100 * (i + 1) + 0x55);
        memcpy(frames[0] + PAGE - 2, bytes, 2);
        memcpy(frames[1 + i], bytes + 2, 4);
    }
    u32 right = 0;
    for (unsigned i = 0; i < 60; i++) {
        page_set(TEST + PAGE, frame_of(1 + i % 3) | PTE_RW);
        right += call(TEST + PAGE - 2) == 0x100 * (i % 3 + 1) + 0x55;
    }
    promise("an instruction whose second half is exchanged sixty times", 60, right);
    page_set(TEST + PAGE, 0);
    promise("and is absent", VEC_PF, run_paged(jump_to, 0, TEST + PAGE - 2)->vector);
    page_set(TEST + PAGE, frame_of(2) | PTE_RW);
    promise("and is there again", 0x255, call(TEST + PAGE - 2));
}

/* Code that writes the next instruction, over and over: mov %cl,6(%ebx)... in a loop of its own. */
static void never_stays(void)
{
    page_set(TEST, frame_of(0) | PTE_RW);
    u32 right = 0;
    for (u32 i = 0; i < 3000; i++) {
        put_function((u8 *)TEST, i * 0x01010101);
        right += call(TEST) == i * 0x01010101;
    }
    promise("a function written and called three thousand times", 3000, right);
    right = 0;
    for (u32 i = 0; i < 2000; i++) {
        u8 *at = (u8 *)TEST + i * 7 % (PAGE - FUNCTION_BYTES);
        put_function(at, i);
        right += call((word)at) == i;
    }
    promise("functions written over each other", 2000, right);
}

/* A bus master changes the instruction behind the OUT that starts it, and a page table. */
static void by_dma(void)
{
    static const char *const names[] = {"a bus master changes the next instruction", "and a page table"};
    if (!is_reprise()) {
        skip(names[0]);
        skip(names[1]);
        return;
    }
    outl(DEVICE + ADDRESS, (word)patched_by_dma_at + 2);
    outl(DEVICE + ADDRESS_HIGH, 0);
    outl(DEVICE + LENGTH, 1);
    outl(DEVICE + PATTERN, 0x42424242);
    in.r.ax = DMA;
    in.r.dx = DEVICE + ACT;
    promise(names[0], 0x42, run(patched_by_dma, 0)->r.ax & 0xff);
    page_set(TEST, frame_of(0) | PTE_RW);
    put_function(frames[0], 0x10);
    put_function(frames[1], 0x20);
    call(TEST);
    outl(DEVICE + ADDRESS, entry_table(TEST, 1)); /* TEST is the first page of its table */
    outl(DEVICE + LENGTH, 4);
    outl(DEVICE + PATTERN, frame_of(1) | PTE_RW);
    outl(DEVICE + ACT, DMA);
    promise(names[1], 0x20, call(TEST));
}

void hostile_code(void)
{
    into_the_middle();
    prefixes();
    second_page_moves();
    never_stays();
    by_dma();
}

/* ---- Pools ---------------------------------------------------------------------------------------- */

/* Thousands of pages with code, called in turn, changed, and called again. */
static void many_pages(void)
{
    u32 right = 0;
    for (unsigned n = 0; n < SPACE_PAGES; n++)
        put_function(space(n) + n % 64 * 8, n);
    for (unsigned round = 0; round < 2; round++)
        for (unsigned n = 0; n < SPACE_PAGES; n++)
            right += call((word)space(n) + n % 64 * 8) == n;
    promise("two thousand pages of code", 2 * SPACE_PAGES, right);
    right = 0;
    for (unsigned n = 0; n < SPACE_PAGES; n++) {
        put_function(space(n) + n % 64 * 8, ~n);
        right += call((word)space(n) + n % 64 * 8) == ~n;
    }
    promise("and each of them changed", SPACE_PAGES, right);
    right = 0;
    for (unsigned n = 0; n < SPACE_PAGES; n++)
        right += call((word)space(n) + n % 64 * 8) == ~n;
    promise("and all of them called again", SPACE_PAGES, right);
}

/* Pages full of small functions: more blocks than a page has lines. */
static void many_blocks(void)
{
    enum { PAGES = 64, EACH = PAGE / 8 };
    u32 right = 0;
    for (unsigned n = 0; n < PAGES; n++)
        for (unsigned i = 0; i < EACH; i++)
            put_function(space(n) + i * 8, n << 16 | i);
    for (unsigned n = 0; n < PAGES; n++)
        for (unsigned i = 0; i < EACH; i++)
            right += call((word)space(n) + i * 8) == (n << 16 | i);
    promise("thirty thousand functions", PAGES * EACH, right);
}

/* A copy of the table at `from`, in page `n` of the free RAM. */
static word copy_table(unsigned n, word from)
{
    memcpy(space(n), (const void *)from, PAGE);
    return (word)space(n);
}

static void set_slot(word table, unsigned slot, word page)
{
    u8 *at = (u8 *)table + slot * (IS_64 ? 8 : 4);
    *(u32 *)at = page | PTE_URW;
}

/* An address space that is the present one, but for what lies at TEST. */
static word make_space(unsigned n, word frame)
{
    enum { TABLES = 4 };
    word root = copy_table(n * TABLES, pages_root), page_table = copy_table(n * TABLES + 1, entry_table(TEST, 1));
    set_slot(page_table, 0, frame);
    if (IS_64) {
        word pointers = copy_table(n * TABLES + 2, entry_table(TEST, 3));
        word directory = copy_table(n * TABLES + 3, entry_table(TEST, 2));
        set_slot(root, 0, pointers);
        set_slot(pointers, TEST >> 30, directory);
        set_slot(directory, 0, page_table);
    } else {
        set_slot(root, TEST >> 22, page_table);
    }
    return root;
}

static void many_address_spaces(void)
{
    enum { COUNT = 200, FIRST_FRAME = 1024, ROUNDS = 3 };
    static word roots[COUNT];
    u32 code = 0, data = 0;
    page_set(TEST, frame_of(0) | PTE_RW);
    for (unsigned n = 0; n < COUNT; n++) {
        u8 *frame = space(FIRST_FRAME + n);
        put_function(frame, 0x5000 + n);
        *(u32 *)(frame + 64) = 0x6000 + n;
        roots[n] = make_space(n, (word)frame);
    }
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned n = 0; n < COUNT; n++) {
            write_cr3(roots[n]);
            code += call(TEST) == 0x5000 + n;
            data += *(volatile u32 *)(TEST + 64) == 0x6000 + n;
        }
    }
    write_cr3(pages_root);
    promise("two hundred address spaces: code", ROUNDS * COUNT, code);
    promise("two hundred address spaces: data", ROUNDS * COUNT, data);
}

void hostile_pools(void)
{
    many_pages();
    many_blocks();
    many_address_spaces();
}
