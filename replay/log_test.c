/* A log is what was put in; cut off anywhere it is a prefix of that; damaged anywhere it is a prefix too, or
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replay/crc32c.h"
#include "replay/log_for_tests.h"
#include "replay/log_format.h"
#include "sim/log_file.h"

enum { EVENTS_MAX = 4000, KERNEL_BYTES = 3000 };

static struct memory_log file, copy;
static struct log_writer writer;
static struct log_reader reader;
static struct log_event events[EVENTS_MAX];
static unsigned event_count;
static u8 kernel[KERNEL_BYTES], back[KERNEL_BYTES];

static const struct log_codec *const codecs[] = {NULL, &log_codec_zstd};

static u64 random_state;
static u64 random_below(u64 bound)
{
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (random_state >> 33) % bound;
}

/* A log of `count` events of every kind, flushed now and then, with or without its end. */
static void write_log(const struct log_codec *codec, unsigned count, bool embedded, bool closed)
{
    struct log_machine machine = memory_log_machine(embedded);
    struct log_file f = memory_log_file(&file);
    u64 icount = 0, skipped = 0;
    file.size = 0;
    file.room = MEMORY_LOG_MAX;
    random_state = count;
    assert_int_equal(log_writer_open(&writer, &f, codec, &machine), STATUS_OK);
    for (unsigned n = 0; n < KERNEL_BYTES; n++)
        kernel[n] = (u8)(n * 7 >> 3);
    if (embedded)
        assert_true(log_put_image(&writer, 0, kernel, KERNEL_BYTES));
    for (event_count = 0; event_count < count; event_count++) {
        struct log_event *e = &events[event_count];
        icount += random_below(4) ? random_below(1 << 20) : 0;
        skipped += random_below(8) ? 0 : random_below(1ull << 40);
        *e = (struct log_event){.icount = icount, .skipped_ns = skipped,
                                .source = (enum log_source)random_below(LOG_END)};
        if (e->source == LOG_SERIAL || e->source == LOG_KEYBOARD)
            e->value = random_below(256);
        if (e->source == LOG_SERIAL)
            e->unit = (u32)random_below(4);
        if (e->source == LOG_TIME)
            skipped += e->value = random_below(1ull << 30);
        if (e->source == LOG_CHECKPOINT)
            e->hash = random_state * 0x9e3779b97f4a7c15ull;
        assert_true(log_put(&writer, e));
        if (!random_below(40))
            assert_true(log_flush(&writer));
    }
    if (!closed) {
        assert_true(log_flush(&writer));
        return;
    }
    events[event_count++] = (struct log_event){.icount = icount + 5, .skipped_ns = skipped, .source = LOG_END,
                                               .unit = LOG_END_DEBUG_EXIT, .value = 0x2a,
                                               .hash = 0x123456789abcdef0ull};
    assert_true(log_put(&writer, &events[event_count - 1]));
    assert_true(log_close(&writer));
}

static enum status open_log(struct memory_log *m, const struct log_codec *codec, struct log_error *why)
{
    struct log_file f = memory_log_file(m);
    return log_reader_open(&reader, &f, codec, why);
}

static void assert_event(const struct log_event *have, const struct log_event *want)
{
    assert_int_equal(have->icount, want->icount);
    assert_int_equal(have->skipped_ns, want->skipped_ns);
    assert_int_equal(have->source, want->source);
    assert_int_equal(have->unit, want->unit);
    assert_int_equal(have->value, want->value);
    assert_int_equal(have->hash, want->hash);
}

/* Reads on to the end; every event must be the next one written. Returns how many there are. */
static unsigned read_prefix(unsigned from)
{
    struct log_event e;
    while (log_next(&reader, &e)) {
        assert_true(from < event_count);
        assert_event(&e, &events[from++]);
    }
    return from;
}

static void what_is_put_comes_back(void **state)
{
    struct log_error why;
    (void)state;
    for (unsigned n = 0; n < 8; n++) {
        const struct log_codec *codec = codecs[n & 1];
        write_log(codec, n < 4 ? 3 : 3000, n & 2, true);
        assert_int_equal(open_log(&file, codec, &why), STATUS_OK);
        const struct log_machine *m = &reader.machine;
        assert_int_equal(m->ram_bytes, 16 << 20);
        assert_int_equal(m->rtc_start, 1735689600);
        assert_true(m->debug_exit && !m->reset_exits && !m->wall);
        assert_string_equal(m->cpu, CPU_MODEL_DEFAULT);
        assert_string_equal(m->append, "console=ttyS0");
        assert_string_equal(m->host, "a processor");
        assert_int_equal(m->checkpoint_interval, 1000);
        assert_int_equal(m->image_count, 1);
        assert_string_equal(m->images[0].path, "kernel");
        assert_int_equal(m->images[0].size, KERNEL_BYTES);
        assert_int_equal(m->images[0].hash[2], 3);
        assert_int_equal(m->images[0].embedded, (n & 2) != 0);
        assert_true(log_machine_matches(m, &why));
        assert_int_equal(read_prefix(0), event_count);
        assert_int_equal(log_tail(&reader), LOG_TAIL_COMPLETE);
        assert_int_equal(log_read_image(&reader, 0, back), (n & 2) != 0);
        assert_int_equal(memcmp(kernel, back, KERNEL_BYTES), n & 2 ? 0 : memcmp(kernel, back, KERNEL_BYTES));
        assert_false(log_read_image(&reader, 1, back));
    }
}

/* SIGKILL, a full disk, a copy broken off: every length of a log gives a prefix of its events, or a refusal that
 * names the reason. A growing log is read on from there. */
static void every_truncation_is_a_prefix(void **state)
{
    struct log_error why;
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        write_log(codecs[n], 200, true, true);
        u64 whole = file.size;
        unsigned last = 0, opened = 0;
        for (file.size = 0; file.size < whole; file.size++) {
            if (open_log(&file, codecs[n], &why) != STATUS_OK) {
                assert_non_null(why.what);
                assert_non_null(why.action);
                assert_int_equal(opened, 0);
                continue;
            }
            opened++;
            u64 cut = file.size;
            unsigned have = read_prefix(0);
            assert_true(have >= last);
            last = have;
            assert_int_equal(log_tail(&reader), have == event_count ? LOG_TAIL_COMPLETE : LOG_TAIL_CUT);
            if (cut % 97)
                continue;
            file.size = whole;
            assert_int_equal(read_prefix(have), event_count);
            file.size = cut;
        }
        assert_true(opened > 100);
        assert_int_equal(last, event_count);
    }
}

/* No flipped bit makes another event. */
static void every_flipped_bit_is_found(void **state)
{
    struct log_error why;
    (void)state;
    for (unsigned n = 0; n < 2; n++) {
        write_log(codecs[n], 100, false, true);
        for (u64 at = 0; at < file.size; at++) {
            u8 bit = (u8)(1u << (at + n) % 8);
            unsigned have = 0;
            file.data[at] ^= bit;
            if (open_log(&file, codecs[n], &why) == STATUS_OK) {
                have = read_prefix(0);
                assert_true(have < event_count || log_tail(&reader) == LOG_TAIL_COMPLETE);
                log_seek_icount(&reader, UINT64_MAX); /* an index that lies must not crash it */
            } else {
                assert_non_null(why.what);
            }
            file.data[at] ^= bit;
        }
    }
}

/* A chunk taken out, doubled, or from another log ends the log there. */
static void chunks_cannot_be_exchanged(void **state)
{
    struct log_error why;
    struct log_event e;
    (void)state;
    write_log(NULL, 300, false, false);
    copy = file;
    assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
    u64 first = reader.first.chunk;
    unsigned in_first = 0;
    while (log_next(&reader, &e) && log_tell(&reader).chunk == first)
        in_first++;
    u64 second = log_tell(&reader).chunk;
    assert_true(second > first);
    memmove(file.data + first, file.data + second, file.size - second);
    file.size -= second - first;
    assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
    assert_int_equal(read_prefix(0), 0);
    assert_int_equal(log_tail(&reader), LOG_TAIL_DAMAGED);
    file = copy;
    memcpy(file.data + second, copy.data + first, second - first);
    assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
    assert_int_equal(read_prefix(0), in_first);
    assert_int_equal(log_tail(&reader), LOG_TAIL_DAMAGED);
}

static void a_full_disk_ends_the_log(void **state)
{
    struct log_error why;
    struct log_machine machine = memory_log_machine(false);
    struct log_file f = memory_log_file(&file);
    (void)state;
    file.size = 0;
    file.room = 4000;
    assert_int_equal(log_writer_open(&writer, &f, NULL, &machine), STATUS_OK);
    bool ok = true;
    for (event_count = 0; ok; event_count++) {
        events[event_count] = (struct log_event){
            .icount = event_count, .source = LOG_SERIAL, .value = event_count & 0xff};
        ok = log_put(&writer, &events[event_count]) && log_flush(&writer);
    }
    assert_false(log_put(&writer, &events[0]));
    assert_false(log_close(&writer));
    assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
    assert_int_equal(read_prefix(0), event_count - 1);
    assert_int_equal(log_tail(&reader), LOG_TAIL_CUT);
    file.room = 20;
    file.size = 0;
    assert_int_equal(log_writer_open(&writer, &f, NULL, &machine), STATUS_IO);
}

static void other_versions_are_refused_by_name(void **state)
{
    struct log_error why;
    (void)state;
    write_log(NULL, 3, false, true);
    file.data[8] = LOG_VERSION + 1;
    u32 sum = crc32c(0, file.data, 12);
    memcpy(file.data + 12, &sum, 4);
    assert_int_equal(open_log(&file, NULL, &why), STATUS_UNSUPPORTED);
    assert_string_equal(why.what, "format version");
    assert_int_equal(why.wanted, LOG_VERSION + 1);
    assert_int_equal(why.have, LOG_VERSION);
    memcpy(file.data, "ELF", 3);
    assert_int_equal(open_log(&file, NULL, &why), STATUS_BAD_IMAGE);
    assert_string_equal(why.what, "is not a log of Reprise");
}

/* Chaos is in the description where there is some. A description that says more than this version knows is refused. */
static void chaos_is_written_where_it_is(void **state)
{
    struct log_error why;
    struct log_machine machine = memory_log_machine(false);
    struct log_file f = memory_log_file(&file);
    const u8 later[] = {FIELD_KNOWN, 1, 0};
    (void)state;
    for (u64 seed = 0; seed < 3; seed++) {
        file.size = 0;
        file.room = MEMORY_LOG_MAX;
        machine.chaos = (struct chaos_config){.seed = seed << 40, .kinds = (u32)(seed + CHAOS_CLOCK)};
        assert_int_equal(log_writer_open(&writer, &f, NULL, &machine), STATUS_OK);
        assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
        assert_int_equal(reader.machine.chaos.seed, machine.chaos.seed);
        assert_int_equal(reader.machine.chaos.kinds, machine.chaos.kinds);
        assert_true(log_machine_matches(&reader.machine, &why));
    }
    const struct machine_field field = {.number = FIELD_KNOWN, .data = later, .bytes = 1};
    assert_false(machine_take_field(&reader, &field, &why));
    assert_string_equal(why.what, "its machine has something that this version does not know");
    const struct machine_field none = {.number = FIELD_CHAOS_KINDS, .data = (const u8[]){CHAOS_ALL + 1}, .bytes = 1};
    assert_false(machine_take_field(&reader, &none, &why));
}

static void refused(void (*change)(struct log_machine *m), const char *what)
{
    struct log_machine machine = memory_log_machine(false);
    struct log_file f = memory_log_file(&file);
    struct log_error why;
    file.size = 0;
    file.room = MEMORY_LOG_MAX;
    change(&machine);
    assert_int_equal(log_writer_open(&writer, &f, NULL, &machine), STATUS_OK);
    assert_int_equal(open_log(&file, NULL, &why), STATUS_OK);
    assert_false(log_machine_matches(&reader.machine, &why));
    assert_string_equal(why.what, what);
    assert_non_null(why.action);
}

static void other_name(struct log_machine *m) { m->cpu = "z80"; }
static void other_signature(struct log_machine *m) { m->model.signature++; }
static void other_features(struct log_machine *m) { m->model.features[0] ^= 1ull << FEAT_SSE42; }
static void other_brand(struct log_machine *m) { m->model.brand[0] ^= 1; }
static void no_memory(struct log_machine *m) { m->ram_bytes = 0; }
static void large_kernel(struct log_machine *m) { m->images[0].size = m->ram_bytes + 1; }
static void no_kernel(struct log_machine *m) { m->image_count = 0; }
static void two_kernels(struct log_machine *m) { m->images[1] = m->images[0], m->image_count = 2; }

static void other_machines_are_refused_by_name(void **state)
{
    (void)state;
    refused(other_name, "processor model");
    refused(other_signature, "processor signature");
    refused(other_features, "processor features (first word)");
    refused(other_brand, "processor brand");
    refused(no_memory, "its guest memory is no size that a machine has");
    refused(large_kernel, "its images are none that a machine boots");
    refused(two_kernels, "its images are none that a machine boots");
    refused(no_kernel, "it names no kernel");
}

/* Any place can be returned to, in any order. */
static void places_can_be_returned_to(void **state)
{
    static struct log_cursor places[EVENTS_MAX];
    struct log_error why;
    struct log_event e;
    (void)state;
    write_log(&log_codec_zstd, 1000, false, true);
    assert_int_equal(open_log(&file, &log_codec_zstd, &why), STATUS_OK);
    for (unsigned n = 0; n < event_count; n++) {
        places[n] = log_tell(&reader);
        assert_true(log_next(&reader, &e));
    }
    for (unsigned round = 0; round < 3000; round++) {
        unsigned n = (unsigned)random_below(event_count);
        assert_true(log_seek(&reader, &places[n]));
        assert_true(log_next(&reader, &e));
        assert_event(&e, &events[n]);
        if (n + 1 < event_count) {
            assert_true(log_next(&reader, &e));
            assert_event(&e, &events[n + 1]);
        }
    }
    log_rewind(&reader);
    assert_int_equal(read_prefix(0), event_count);
}

/* With and without an index, log_seek_icount() lands before the first event at or after an icount. */
static void an_icount_can_be_looked_up(void **state)
{
    struct log_error why;
    struct log_event e;
    (void)state;
    for (unsigned closed = 0; closed < 2; closed++) {
        write_log(&log_codec_zstd, 2000, false, closed);
        assert_int_equal(open_log(&file, &log_codec_zstd, &why), STATUS_OK);
        u64 near = 0;
        for (unsigned n = 0; n < event_count; n += 13) {
            unsigned want = 0, passed = 0;
            while (events[want].icount < events[n].icount)
                want++;
            log_seek_icount(&reader, events[n].icount);
            do {
                assert_true(log_next(&reader, &e));
                passed++;
            } while (e.icount < events[n].icount);
            assert_event(&e, &events[want]);
            near += passed < 400;
        }
        assert_true(!closed || near == (event_count + 12) / 13); /* by the index, not from the start */
    }
}

static void checksum_of_known_texts(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_of_known_texts),
        cmocka_unit_test(what_is_put_comes_back),
        cmocka_unit_test(every_truncation_is_a_prefix),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(chunks_cannot_be_exchanged),
        cmocka_unit_test(a_full_disk_ends_the_log),
        cmocka_unit_test(other_versions_are_refused_by_name),
        cmocka_unit_test(chaos_is_written_where_it_is),
        cmocka_unit_test(other_machines_are_refused_by_name),
        cmocka_unit_test(places_can_be_returned_to),
        cmocka_unit_test(an_icount_can_be_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
