/* Memory accesses by themselves: page crossings, wrap, MMIO, alignment, breakpoints, operands opened for writing,
 * tracing, epochs. That caching never shows is in mmu/coherence_test.c. */
#include "mmu/access.h"

#include "core/test_machine.h"
#include "mmu/walk.h"

enum { DIRECTORY = 0x10000, TABLE = 0x11000, LAST_TABLE = 0x12000, PAGE_A = 0x20000, PAGE_B = 0x24000, VGA = 0xb8000 };
enum { USER_READ = 5, FULL = 7, KERNEL = 3 }; /* rights in entries */

static struct machine *m;
static struct vcpu *v;

static int create(void **state)
{
    (void)state;
    m = machine_new();
    v = &m->v;
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

static void map(u32 page, u32 entry) { phys_write(&m->vm, gpa(TABLE + 4 * page), &entry, 4); }

/* 32-bit paging: 4 MiB at 0 map themselves, and the last page of the address space is 0x1ff000. */
static void paged32(void)
{
    mode_protected(m);
    memset(m->vm.memory.ram + DIRECTORY, 0, 3 * PAGE_SIZE);
    put(m, DIRECTORY, TABLE | FULL, 4);
    put(m, DIRECTORY + 4 * 1023, LAST_TABLE | FULL, 4);
    put(m, LAST_TABLE + 4 * 1023, 0x1ff000 | FULL, 4);
    for (u32 page = 0; page < 1024; page++)
        map(page, page << PAGE_SHIFT | FULL);
    v->cpu.cr0 = CR0_PE | CR0_PG | CR0_WP;
    v->cpu.cr3 = DIRECTORY;
    v->cpu.cr4 = 0;
    v->cpu.efer = 0;
    v->cpu.dr[7] = DR7_FIXED;
    v->cpu.pending_db = 0;
    v->cpu.rflags = FLAG_FIXED;
    tlb_flush(v);
    vcpu_update_mode(v);
}

static void privilege(unsigned cpl, u32 flags)
{
    v->cpu.cpl = (u8)cpl;
    v->cpu.rflags = FLAG_FIXED | flags;
    vcpu_update_mode(v);
}

static void assert_page_fault(u64 linear, u32 error)
{
    assert_int_equal(v->fault.vector, VEC_PF);
    assert_true(v->fault.has_error);
    assert_int_equal(v->fault.error, error);
    assert_int_equal(v->fault.cr2, linear);
}

/* ---- Page crossings ----------------------------------------------------------------------------- */

static void crossings_join_two_pages(void **state)
{
    (void)state;
    paged32();
    map(0x30, PAGE_B | FULL);
    map(0x31, PAGE_A | FULL);
    for (unsigned first = 1; first < 8; first++)
        for (unsigned warm = 0; warm < 2; warm++) {
            u64 linear = 0x31000 - first, value = 0x8877665544332211 * (first + warm), got = 0;
            assert_true(mem_write64(v, linear, value));
            assert_memory_equal(m->vm.memory.ram + PAGE_B + PAGE_SIZE - first, &value, first);
            assert_memory_equal(m->vm.memory.ram + PAGE_A, (u8 *)&value + first, 8 - first);
            assert_true(mem_read64(v, linear, &got));
            assert_int_equal(got, value);
            assert_true(mem_read64_sys(v, linear, &got));
            assert_int_equal(got, value);
        }
}

static void a_crossing_that_faults_writes_nothing(void **state)
{
    (void)state;
    static const struct { u32 first, second; unsigned at; u32 error; } cases[] = {
        {FULL, KERNEL, 1, PF_PRESENT | PF_WRITE | PF_USER}, {FULL, 0, 1, PF_WRITE | PF_USER},
        {FULL, USER_READ, 1, PF_PRESENT | PF_WRITE | PF_USER}, {USER_READ, FULL, 0, PF_PRESENT | PF_WRITE | PF_USER},
        {0, 0, 0, PF_WRITE | PF_USER},
    };
    for (size_t n = 0; n < ARRAY_LEN(cases); n++) {
        paged32();
        map(0x30, PAGE_A | cases[n].first);
        map(0x31, PAGE_B | cases[n].second);
        privilege(3, 0);
        u64 linear = 0x31000 - 3, fault = cases[n].at ? 0x31000 : linear;
        u8 before[PAGE_SIZE * 5];
        memcpy(before, m->vm.memory.ram + PAGE_A, sizeof before);
        struct mem_rmw rmw;
        for (unsigned how = 0; how < 4; how++) {
            v->fault = (struct event){0};
            bool ok = how == 0   ? mem_write64(v, linear, ~0ull)
                      : how == 1 ? mem_rmw_begin(v, linear, 16, &rmw)
                      : how == 2 ? mem_write_begin(v, linear, 64, &rmw)
                                 : mem_probe(v, linear, 8, ACCESS_WRITE, TLB_USER);
            assert_false(ok);
            assert_page_fault(fault, cases[n].error);
        }
        assert_memory_equal(before, m->vm.memory.ram + PAGE_A, sizeof before);
    }
}

static void a_failed_read_leaves_its_target(void **state)
{
    (void)state;
    paged32();
    map(0x31, 0);
    u32 value = 0x12345678;
    assert_false(mem_read32(v, 0x30fff, &value));
    assert_int_equal(value, 0x12345678);
    assert_page_fault(0x31000, 0);
    v->fault.cr2 = 1;
    assert_false(mem_read16_sys(v, 0x31ffe, (u16 *)&value));
    assert_page_fault(0x31ffe, 0);
}

/* Outside 64-bit mode linear addresses wrap at 4 GiB. */
static void accesses_wrap_at_4_gib(void **state)
{
    (void)state;
    paged32();
    u64 value = 0x1122334455667788, got = 0;
    assert_true(mem_write64(v, 0xfffffffd, value));
    assert_memory_equal(m->vm.memory.ram + 0x1ffffd, &value, 3);
    assert_memory_equal(m->vm.memory.ram, (u8 *)&value + 3, 5);
    assert_true(mem_read64(v, 0xfffffffd, &got));
    assert_int_equal(got, value);
    assert_true(mem_probe(v, 0xfffff001, 4096, ACCESS_READ, TLB_SUPERVISOR));
    map(0, 0);
    assert_false(mem_read64(v, 0xfffffffd, &got));
    assert_page_fault(0, 0);
    assert_false(mem_probe(v, 0xfffff001, 4096, ACCESS_WRITE, TLB_SUPERVISOR));
    assert_page_fault(0, PF_WRITE);
    assert_true(mem_probe(v, 0xfffff001, 4095, ACCESS_READ, TLB_SUPERVISOR));
}

/* In 64-bit mode they do not; and descriptor tables above 4 GiB stay there while compatibility-mode code runs. */
static void crossings_above_4_gib(void **state)
{
    (void)state;
    mode_long(m);
    u64 pde = PML4 + 0x3000;
    put(m, PML4 + 0x1000 + 8 * 4, pde | 7, 8);        /* [4 GiB, 4 GiB + 2 MiB) */
    put(m, pde, 0x87, 8);
    put(m, PML4 + 0x1000 + 8 * 3, (pde + 0x1000) | 7, 8); /* the last 2 MiB below */
    put(m, pde + 0x1000 + 8 * 511, 0x87, 8);
    tlb_flush(v);
    put(m, 0x1ffffc, 0x44332211, 4);
    put(m, 0, 0x88776655, 4);
    u64 got = 0;
    assert_true(mem_read64(v, 0xfffffffc, &got));
    assert_int_equal(got, 0x8877665544332211);
    put(m, PML4 + 0x1000, 0, 8); /* nothing at 0 */
    tlb_flush(v);
    assert_true(mem_read64(v, 0xfffffffc, &got));
    put(m, 0x20ffc, 0xaabbccdd, 4);
    put(m, 0x21000, 0x55667788, 4);
    v->cpu.seg[SEG_CS].attributes = (u16)((v->cpu.seg[SEG_CS].attributes & ~SEG_L) | SEG_DB);
    vcpu_update_mode(v);
    assert_true(mem_read64_sys(v, 0x100020ffc, &got));
    assert_int_equal(got, 0x55667788aabbccdd);
    assert_true(mem_write64_sys(v, 0x100020ffc, 0x0102030405060708));
    assert_int_equal(get(m, 0x20ffc, 8), 0x0102030405060708);
    assert_false(mem_read64(v, 0xfffffffc, &got)); /* explicit accesses of that code wrap */
    assert_page_fault(0, 0);
}

/* ---- MMIO --------------------------------------------------------------------------------------- */

static struct { enum trace_kind kind; u64 address, value; unsigned size; } seen[64];
static unsigned seen_count;

static void note(void *context, struct vm *vm, const struct trace_event *event)
{
    (void)context, (void)vm;
    assert_in_range(seen_count, 0, ARRAY_LEN(seen) - 1);
    seen[seen_count].kind = event->kind;
    seen[seen_count].address = event->address;
    seen[seen_count].value = event->value;
    seen[seen_count++].size = event->size;
}

static const struct tracer tracer = {.mask = 1u << TRACE_MMIO_READ | 1u << TRACE_MMIO_WRITE, .event = note};

/* The accesses of the board must be exactly these: naturally aligned, ascending, at most 8 bytes. */
static void assert_seen(enum trace_kind kind, const u64 (*want)[2], unsigned count)
{
    assert_int_equal(seen_count, count);
    for (unsigned n = 0; n < count; n++) {
        assert_int_equal(seen[n].kind, kind);
        assert_int_equal(seen[n].address, want[n][0]);
        assert_int_equal(seen[n].size, want[n][1]);
    }
    seen_count = 0;
}

static void mmio_is_split_naturally(void **state)
{
    (void)state;
    paged32();
    m->vm.tracer = &tracer;
    seen_count = 0;
    map(0x30, VGA | FULL);
    map(0x31, (VGA + 0x5000) | FULL);
    map(0x32, PAGE_A | FULL);
    u64 value = 0;
    assert_true(mem_read64(v, 0x30008, &value));
    assert_int_equal(value, ~0ull);
    assert_seen(TRACE_MMIO_READ, (const u64[][2]){{VGA + 8, 8}}, 1);
    assert_true(mem_write64(v, 0x30003, 0x8877665544332211));
    assert_int_equal(seen[0].value, 0x11);
    assert_int_equal(seen[1].value, 0x55443322);
    assert_int_equal(seen[2].value, 0x7766);
    assert_int_equal(seen[3].value, 0x88);
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{VGA + 3, 1}, {VGA + 4, 4}, {VGA + 8, 2}, {VGA + 10, 1}}, 4);
    assert_true(mem_write64(v, 0x30004, 0));
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{VGA + 4, 4}, {VGA + 8, 4}}, 2);
    /* Across two pages of MMIO that are not neighbours; then MMIO and RAM. */
    assert_true(mem_read32(v, 0x30ffe, (u32 *)&value));
    assert_seen(TRACE_MMIO_READ, (const u64[][2]){{VGA + 0xffe, 2}, {VGA + 0x5000, 2}}, 2);
    put(m, PAGE_A, 0, 8);
    assert_true(mem_write32(v, 0x31fff, 0xddccbbaa));
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{VGA + 0x5fff, 1}}, 1);
    assert_int_equal(get(m, PAGE_A, 8), 0xddccbb);
    /* A read-modify-write reads and writes; an operand only written is not read. Nothing is remembered in between. */
    struct mem_rmw rmw;
    assert_true(mem_rmw_begin(v, 0x30010, 8, &rmw));
    assert_seen(TRACE_MMIO_READ, (const u64[][2]){{VGA + 0x10, 8}}, 1);
    mem_rmw_end(v, &rmw);
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{VGA + 0x10, 8}}, 1);
    assert_true(mem_write_begin(v, 0x30010, 16, &rmw));
    assert_int_equal(seen_count, 0);
    mem_rmw_end(v, &rmw);
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{VGA + 0x10, 8}, {VGA + 0x18, 8}}, 2);
    for (unsigned n = 0; n < 3; n++)
        assert_true(mem_read8(v, 0x30000, (u8 *)&value));
    assert_int_equal(seen_count, 3);
}

static void physical_accesses_of_any_size(void **state)
{
    (void)state;
    paged32();
    m->vm.tracer = &tracer;
    seen_count = 0;
    u8 data[600], back[600];
    for (unsigned n = 0; n < sizeof data; n++)
        data[n] = (u8)(n * 7);
    phys_write(&m->vm, gpa(0x1ff000 - 300), data, sizeof data);
    assert_memory_equal(m->vm.memory.ram + 0x1ff000 - 300, data, sizeof data);
    phys_read(&m->vm, gpa(0x1ff000 - 300), back, sizeof back);
    assert_memory_equal(back, data, sizeof data);
    assert_int_equal(seen_count, 0);
    /* Over the end of RAM into nothing. */
    phys_write(&m->vm, gpa(0x200000 - 5), data, 8);
    assert_memory_equal(m->vm.memory.ram + 0x200000 - 5, data, 5);
    assert_seen(TRACE_MMIO_WRITE, (const u64[][2]){{0x200000, 2}, {0x200002, 1}}, 2);
    phys_read(&m->vm, gpa(0x200000 - 5), back, 8);
    assert_memory_equal(back, data, 5);
    assert_int_equal(back[5] & back[6] & back[7], 0xff);
}

/* ---- Alignment and breakpoints ------------------------------------------------------------------ */

static bool read_sized(u64 at, unsigned size)
{
    u64 value;
    if (size == 2)
        return mem_read16(v, at, (u16 *)&value);
    return size == 4 ? mem_read32(v, at, (u32 *)&value) : mem_read64(v, at, &value);
}

static bool write_sized(u64 at, unsigned size)
{
    if (size == 2)
        return mem_write16(v, at, 1);
    return size == 4 ? mem_write32(v, at, 1) : mem_write64(v, at, 1);
}

/* SDM vol. 3, 6.15, "Alignment Check": CPL 3, AC and AM. */
static void alignment_is_checked_for_users(void **state)
{
    (void)state;
    u64 value = 0;
    for (unsigned conditions = 0; conditions < 8; conditions++) {
        paged32();
        v->cpu.cr0 |= conditions & 1 ? CR0_AM : 0;
        privilege(conditions & 2 ? 3 : 0, conditions & 4 ? FLAG_AC : 0);
        for (unsigned size = 2; size <= 8; size *= 2)
            for (unsigned off = 0; off < size; off++)
                for (unsigned again = 0; again < 2; again++) {
                    struct mem_rmw rmw;
                    v->fault = (struct event){.vector = VEC_AC, .error = 5};
                    u64 at = PAGE_A + 64 + off;
                    bool want = conditions != 7 || off == 0;
                    assert_int_equal(read_sized(at, size), want);
                    assert_int_equal(write_sized(at, size), want);
                    assert_int_equal(mem_rmw_begin(v, at, size, &rmw), want);
                    if (!want) {
                        assert_int_equal(v->fault.vector, VEC_AC);
                        assert_true(v->fault.has_error);
                        assert_int_equal(v->fault.error, 0);
                    }
                }
        assert_true(mem_read32_sys(v, PAGE_A + 65, (u32 *)&value) && mem_write32_sys(v, PAGE_A + 65, 1)); /* never */
    }
}

/* An access meets [address, address + length) of a breakpoint by any byte (SDM vol. 3, 17.2.4 and table 17-2). */
static void data_breakpoints(void **state)
{
    (void)state;
    paged32();
    enum { READ_WRITE = 3, WRITES = 1 };
    static const u8 length_code[9] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    static const u8 lengths[] = {1, 2, 4, 8};
    u32 value = 0;
    for (unsigned l = 0; l < 4; l++)
        for (unsigned kind = WRITES; kind <= READ_WRITE; kind += 2) {
            v->cpu.dr[2] = PAGE_A + 16;
            v->cpu.dr[7] = DR7_FIXED | 1u << 4 | kind << 24 | (u32)length_code[lengths[l]] << 26;
            tlb_flush(v);
            vcpu_update_mode(v);
            for (u64 at = PAGE_A + 8; at < PAGE_A + 32; at++) {
                bool meets = at + 4 > PAGE_A + 16 && at < PAGE_A + 16ull + lengths[l];
                struct mem_rmw rmw;
                v->cpu.pending_db = 0;
                assert_true(mem_read32(v, at, &value));
                assert_int_equal(v->cpu.pending_db, meets && kind == READ_WRITE ? 4 : 0);
                v->cpu.pending_db = 0;
                assert_true(mem_write32(v, at, value));
                assert_int_equal(v->cpu.pending_db, meets ? 4 : 0);
                v->cpu.pending_db = 0;
                assert_true(mem_rmw_begin(v, at, 4, &rmw));
                mem_rmw_end(v, &rmw);
                assert_int_equal(v->cpu.pending_db, meets ? 4 : 0);
            }
        }
    /* Beyond a page boundary. */
    v->cpu.dr[2] = PAGE_A + PAGE_SIZE;
    v->cpu.dr[7] = DR7_FIXED | 1u << 4 | READ_WRITE << 24;
    v->cpu.pending_db = 0;
    assert_true(mem_read32(v, PAGE_A + PAGE_SIZE - 4, &value));
    assert_int_equal(v->cpu.pending_db, 0);
    assert_true(mem_read32(v, PAGE_A + PAGE_SIZE - 3, &value));
    assert_int_equal(v->cpu.pending_db, 4);
    /* Fetches and probes meet none. */
    const u8 *host;
    gpa_t page;
    v->cpu.dr[2] = PAGE_A;
    v->cpu.pending_db = 0;
    assert_true(mem_fetch_page(v, PAGE_A, &host, &page));
    assert_true(mem_probe(v, PAGE_A, 16, ACCESS_WRITE, TLB_SUPERVISOR));
    assert_int_equal(v->cpu.pending_db, 0);
}

/* ---- Operands opened for writing ---------------------------------------------------------------- */

static void operands_open_and_close(void **state)
{
    (void)state;
    paged32();
    struct mem_rmw rmw;
    put(m, PAGE_A + 8, 0x1111, 8);
    /* The first time by the slow path, then in place. */
    for (unsigned n = 0; n < 2; n++) {
        assert_true(mem_rmw_begin(v, PAGE_A + 8, 8, &rmw));
        assert_int_equal(rmw.bounced, n == 0);
        u64 old;
        memcpy(&old, rmw.host, 8);
        assert_int_equal(old, 0x1111 + n);
        old++;
        memcpy(rmw.host, &old, 8);
        mem_rmw_end(v, &rmw);
        assert_int_equal(get(m, PAGE_A + 8, 8), 0x1112 + n);
    }
    /* Across pages it is bounced, and written back to both. */
    map(0x31, PAGE_A | FULL);
    map(0x30, PAGE_B | FULL);
    for (unsigned n = 0; n < 2; n++)
        for (unsigned first = 1; first < 64; first++) {
            u8 *low = m->vm.memory.ram + PAGE_B + PAGE_SIZE - first, *high = m->vm.memory.ram + PAGE_A;
            memset(low, 0x11, first);
            memset(high, 0x22, 65 - first);
            u64 at = 0x31000 - first;
            assert_true(n ? mem_write_begin(v, at, 64, &rmw) : mem_rmw_begin(v, at, 64, &rmw));
            assert_true(rmw.bounced);
            if (!n) {
                assert_memory_equal(rmw.host, low, first);
                assert_memory_equal(rmw.host + first, high, 64 - first);
            }
            for (unsigned byte = 0; byte < 64; byte++)
                rmw.host[byte] = (u8)(byte + first);
            mem_rmw_end(v, &rmw);
            for (unsigned byte = 0; byte < 64; byte++)
                assert_int_equal(byte < first ? low[byte] : high[byte - first], (u8)(byte + first));
            assert_int_equal(high[64 - first], 0x22);
        }
    map(0x30, PAGE_B | USER_READ);
    assert_false(mem_rmw_begin(v, 0x30000, 1, &rmw));
    assert_page_fault(0x30000, PF_PRESENT | PF_WRITE);
}

/* ---- Tracing ------------------------------------------------------------------------------------ */

/* Every way to write; `at` is linear and physical. */
static void write_by(unsigned way, u64 at)
{
    struct mem_rmw rmw;
    u8 byte = 0x33;
    switch (way) {
    case 0: assert_true(mem_write8(v, at, byte)); break;
    case 1: assert_true(mem_write8_sys(v, at, byte)); break;
    case 2: phys_write(&m->vm, gpa(at), &byte, 1); break;
    case 3:
        assert_true(mem_rmw_begin(v, at, 1, &rmw));
        *rmw.host = byte;
        mem_rmw_end(v, &rmw);
        break;
    case 4:
        assert_true(mem_write_begin(v, at, 1, &rmw));
        *rmw.host = byte;
        mem_rmw_end(v, &rmw);
        break;
    default: phys_write_table(&m->vm, gpa(at), byte); break;
    }
    assert_int_equal(get(m, at, 1), byte);
}

static void writes_to_lines_of_code_are_seen(void **state)
{
    (void)state;
    paged32();
    const struct frame *frame = physmem_frame(&m->vm.memory, gpa(PAGE_A));
    for (unsigned way = 0; way < 6; way++)
        for (unsigned line = 0; line < 64; line++) {
            u64 code = PAGE_A + line * 64;
            for (unsigned n = 0; n < 6; n++) /* with a warm write entry */
                write_by(n, PAGE_A + 64 * (line ^ 1));
            phys_watch_code(&m->vm, gpa(code + 60), 4);
            u32 generation = frame->code_generation;
            u64 changes = m->vm.memory.code_changes;
            if (line > 0)
                write_by(way, code - 1);
            if (line < 63)
                write_by(way, code + 64);
            assert_int_equal(frame->code_generation, generation);
            write_by(way, code + (way & 1 ? 0 : 63));
            assert_int_equal(frame->code_generation, generation + 1);
            assert_int_equal(m->vm.memory.code_changes, changes + 1); /* repeated instructions look up */
            write_by(way, code);
            assert_int_equal(frame->code_generation, generation + 1); /* nothing is left to die */
        }
    /* Code over two lines is hurt in both, a write over two hurts either. */
    for (unsigned n = 0; n < 2; n++) {
        phys_watch_code(&m->vm, gpa(PAGE_A + 0x7e), 4);
        u32 generation = frame->code_generation;
        assert_true(mem_write8(v, PAGE_A + (n ? 0xbf : 0x40), 1));
        assert_int_equal(frame->code_generation, generation + 1);
        phys_watch_code(&m->vm, gpa(PAGE_A + (n ? 0x80 : 0x40)), 1);
        assert_true(mem_write64(v, PAGE_A + 0x7c, 1));
        assert_int_equal(frame->code_generation, generation + 2);
    }
    /* To the last byte of the page and not beyond. */
    phys_watch_code(&m->vm, gpa(PAGE_A + 0xffe), 2);
    u32 generation = frame->code_generation;
    assert_true(mem_write32(v, PAGE_A - 2, 5));
    assert_int_equal(frame->code_generation, generation);
    assert_true(mem_write32(v, PAGE_A + 0xfff, 5));
    assert_int_equal(frame->code_generation, generation + 1);
}

/* A frame that served a walk: the first write to it drops translations, at once; a frame that did not drops none. */
static void writes_to_tables_are_seen(void **state)
{
    (void)state;
    u8 byte = 0;
    for (unsigned way = 0; way < 5; way++) {
        paged32();
        assert_true(mem_write8(v, TABLE + 0xffc, 0)); /* a warm write entry for the table itself */
        assert_true(mem_read8(v, PAGE_A, &byte));
        u64 flushes = m->vm.stats.tlb_flushes;
        write_by(way, PAGE_B);
        assert_int_equal(m->vm.stats.tlb_flushes, flushes);
        v->stop_at = 99;
        u64 fetches = v->tlb.fetches;
        write_by(way, TABLE + 0xffc);
        assert_int_equal(m->vm.stats.tlb_flushes, flushes + 1);
        assert_int_equal(v->stop_at, 0);
        assert_int_not_equal(v->tlb.fetches, fetches);
        tlb_flush(v); /* what nothing derives from any more may change */
        write_by(2, DIRECTORY + 0xff0);
        assert_int_equal(m->vm.stats.tlb_flushes, flushes + 2);
    }
}

/* A table whose entries change by themselves: the comparator of a timer as a page directory entry. */
static void tables_outside_ram_are_walked_each_time(void **state)
{
    (void)state;
    enum { COMPARATOR = 0x128, LINEAR = COMPARATOR / 4 << 22 | 0x30 << 12 };
    u32 value = 0;
    paged32();
    hpet_reset(&m->vm.chipset.hpet);
    map(0x30, PAGE_A | FULL);
    put(m, LAST_TABLE + 4 * 0x30, PAGE_B | FULL, 4);
    put(m, PAGE_A, 0xaaaa, 4);
    put(m, PAGE_B, 0xbbbb, 4);
    v->cpu.cr3 = HPET_BASE;
    tlb_flush(v);
    for (unsigned n = 0; n < 4; n++) {
        vm_mmio_write(&m->vm, gpa(HPET_BASE + COMPARATOR), (n & 1 ? LAST_TABLE : TABLE) | FULL, 8);
        assert_true(mem_read32(v, LINEAR, &value));
        assert_int_equal(value, n & 1 ? 0xbbbb : 0xaaaa);
        assert_true(mem_write32(v, LINEAR + 4, n));
        assert_int_equal(get(m, (n & 1 ? PAGE_B : PAGE_A) + 4, 4), n);
    }
}

/* ---- Epochs ------------------------------------------------------------------------------------- */

/* After 4095 flushes epochs start again: an entry from the first time round must not come back to life. */
static void epochs_wrap(void **state)
{
    (void)state;
    paged32();
    for (unsigned distance = 4090; distance < 4100; distance++) {
        u8 byte = 0;
        put(m, PAGE_A, 0xaa, 1);
        put(m, PAGE_B, 0xbb, 1);
        map(0x30, PAGE_A | FULL);
        assert_true(mem_read8(v, 0x30000, &byte));
        assert_int_equal(byte, 0xaa);
        put(m, TABLE + 4 * 0x30, PAGE_B | FULL, 4); /* behind the back of tracing: only the flushes below tell */
        for (unsigned n = 0; n < distance; n++)
            tlb_flush(v);
        assert_true(mem_read8(v, 0x30000, &byte));
        assert_int_equal(byte, 0xbb);
        assert_in_range(v->tlb.epoch, 1, 4095);
    }
}

static void translation_for_debuggers(void **state)
{
    (void)state;
    paged32();
    gpa_t at;
    v->cpu.cr4 |= CR4_SMAP;
    map(0x30, PAGE_B | FULL);
    map(0x31, 0);
    u8 before[3 * PAGE_SIZE];
    memcpy(before, m->vm.memory.ram + DIRECTORY, sizeof before);
    v->fault = (struct event){.vector = 77};
    assert_true(mem_translate_debug(v, 0x30123, &at));
    assert_int_equal(at.raw, PAGE_B + 0x123);
    assert_false(mem_translate_debug(v, 0x31000, &at));
    assert_int_equal(v->fault.vector, 77);
    assert_memory_equal(before, m->vm.memory.ram + DIRECTORY, sizeof before);
}

#define ON_A_FRESH_MACHINE(test) cmocka_unit_test_setup_teardown(test, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_FRESH_MACHINE(crossings_join_two_pages),
        ON_A_FRESH_MACHINE(a_crossing_that_faults_writes_nothing),
        ON_A_FRESH_MACHINE(a_failed_read_leaves_its_target),
        ON_A_FRESH_MACHINE(accesses_wrap_at_4_gib),
        ON_A_FRESH_MACHINE(crossings_above_4_gib),
        ON_A_FRESH_MACHINE(mmio_is_split_naturally),
        ON_A_FRESH_MACHINE(physical_accesses_of_any_size),
        ON_A_FRESH_MACHINE(alignment_is_checked_for_users),
        ON_A_FRESH_MACHINE(data_breakpoints),
        ON_A_FRESH_MACHINE(operands_open_and_close),
        ON_A_FRESH_MACHINE(writes_to_lines_of_code_are_seen),
        ON_A_FRESH_MACHINE(writes_to_tables_are_seen),
        ON_A_FRESH_MACHINE(tables_outside_ram_are_walked_each_time),
        ON_A_FRESH_MACHINE(epochs_wrap),
        ON_A_FRESH_MACHINE(translation_for_debuggers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
