/* Every combination of what may be asked of a shadow entry, against what the contract in mmu/shadow_entry.h
 * promises. */
#include "mmu/shadow_entry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/types.h"

static const struct shadow_domain domain = {.memory = {.first = 0x100, .count = 0x50},
                                            .tables = {.first = 0xfffffffff0, .count = 0x10}};

/* Bit n of `bits` is the n-th flag. */
static struct shadow_request request(unsigned bits, u64 frame)
{
    return (struct shadow_request){
        .frame = frame,
        .table = bits & 1, .present = bits & 2, .accessed = bits & 4, .user = bits & 8, .writable = bits & 0x10,
        .executable = bits & 0x20, .dirty = bits & 0x40, .user_view = bits & 0x80, .hide_user = bits & 0x100,
        .write_protect = bits & 0x200, .smep = bits & 0x400, .watched = bits & 0x800,
    };
}

/* What a page gives, said by what takes it away. A table gives what a page would give at best. */
static bool page_present(const struct shadow_request *r)
{
    bool hidden = r->user ? r->hide_user && !r->table : r->user_view;
    return r->present && r->accessed && !hidden;
}

static bool guest_writable(const struct shadow_request *r)
{
    if (!r->writable && (r->user_view || r->write_protect))
        return false;
    return r->table || r->dirty;
}

static bool executable(const struct shadow_request *r)
{
    bool refused = r->smep && r->user && !r->user_view && !r->table;
    return r->executable && !refused;
}

static void check(unsigned bits, u64 frame, bool ours)
{
    struct shadow_request r = request(bits, frame);
    u64 entry = ~0ull, want = 0;
    if (ours && page_present(&r)) {
        want = SHADOW_PRESENT | SHADOW_USER | frame << 12;
        if (guest_writable(&r))
            want |= r.watched && !r.table ? SHADOW_TRACED : SHADOW_WRITABLE;
        if (!executable(&r))
            want |= SHADOW_NX;
    }
    shadow_entry_write(&entry, &domain, &r);
    if (entry != want)
        fail_msg("request %#x, frame %#llx: %#llx, expected %#llx", bits, (unsigned long long)frame,
                 (unsigned long long)entry, (unsigned long long)want);
}

static void gives_what_was_promised(void **state)
{
    static const u64 memory[] = {0x100, 0x123, 0x14f}, tables[] = {0xfffffffff0, 0xffffffffff};
    static const u64 strange[] = {0, 0xff, 0x150, 0xffffffffef, 0x10000000000, 0x10000000100, 1ull << 52, ~0ull};
    (void)state;
    for (unsigned bits = 0; bits < 0x1000; bits++) {
        for (size_t n = 0; n < ARRAY_LEN(memory); n++)
            check(bits, memory[n], !(bits & 1));
        for (size_t n = 0; n < ARRAY_LEN(tables); n++)
            check(bits, tables[n], bits & 1);
        for (size_t n = 0; n < ARRAY_LEN(strange); n++)
            check(bits, strange[n], false);
    }
}

static void protecting_takes_writes_only(void **state)
{
    (void)state;
    u64 entry = SHADOW_PRESENT | SHADOW_WRITABLE | SHADOW_USER | SHADOW_NX | SHADOW_DIRTY | 0x123000;
    shadow_entry_protect(&entry);
    assert_int_equal(entry, SHADOW_PRESENT | SHADOW_TRACED | SHADOW_USER | SHADOW_NX | SHADOW_DIRTY | 0x123000);
    shadow_entry_protect(&entry);
    assert_int_equal(entry, SHADOW_PRESENT | SHADOW_TRACED | SHADOW_USER | SHADOW_NX | SHADOW_DIRTY | 0x123000);
    assert_int_equal(shadow_entry_frame(entry), 0x123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_what_was_promised),
        cmocka_unit_test(protecting_takes_writes_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
