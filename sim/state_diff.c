#include "sim/state_diff.h"

#include "sim/state_fields.h"
#include "sim/touched.h"

#include <stdio.h>
#include <string.h>

struct device_field {
    const char *name;
    size_t offset; /* in struct chipset */
};

#define DEVICE(name) {#name, offsetof(struct chipset, name)}

static const struct device_field devices[] = {
    DEVICE(pic), DEVICE(pit), DEVICE(rtc), DEVICE(uart), DEVICE(lapic), DEVICE(ioapic), DEVICE(hpet), DEVICE(acpi),
    DEVICE(pci), DEVICE(i8042), DEVICE(dma), DEVICE(selftest), DEVICE(drivers), DEVICE(port92), DEVICE(unsettled),
};

static bool field_same(const struct cpu *a, const struct cpu *b, const struct state_field *f)
{
    for (unsigned n = 0; n < f->count; n++) {
        size_t at = f->offset + n * f->stride;
        if (memcmp((const u8 *)a + at, (const u8 *)b + at, f->bytes))
            return false;
    }
    return true;
}

/* Mostly the two are equal byte by byte. What no register covers (padding, pointers in the FXSAVE image) may differ. */
static bool cpu_same(const struct cpu *a, const struct cpu *b)
{
    if (!memcmp(a, b, sizeof *a))
        return true;
    for (unsigned n = 0; n < state_field_count; n++)
        if (!field_same(a, b, &state_fields[n]))
            return false;
    return true;
}

bool state_same(const struct vm *a, const struct vm *b)
{
    for (unsigned n = 0; n < a->vcpu_count; n++)
        if (!cpu_same(&a->vcpu[n]->cpu, &b->vcpu[n]->cpu))
            return false;
    return !memcmp(&a->chipset, &b->chipset, sizeof a->chipset) && clock_same(&a->clock, &b->clock) &&
           !memcmp(&a->chaos, &b->chaos, sizeof a->chaos) && a->request == b->request && a->exit_value == b->exit_value;
}

struct list {
    struct state_difference *to;
    unsigned max, count;
};

static void add(struct list *l, const char *name, const void *a, const void *b, unsigned bytes)
{
    if (!memcmp(a, b, bytes))
        return;
    if (l->count < l->max) {
        struct state_difference *d = &l->to[l->count];
        memset(d, 0, sizeof *d);
        snprintf(d->name, sizeof d->name, "%s", name);
        d->bytes = (u8)bytes;
        memcpy(d->a, a, bytes);
        memcpy(d->b, b, bytes);
    }
    l->count++;
}

static void field_name(const struct state_field *f, unsigned n, char name[STATE_NAME_MAX])
{
    if (f->count > 1)
        snprintf(name, STATE_NAME_MAX, "%s%u", f->name, n);
    else
        snprintf(name, STATE_NAME_MAX, "%s", f->name);
}

static void add_cpu(struct list *l, const struct cpu *a, const struct cpu *b)
{
    char name[STATE_NAME_MAX];
    for (const struct state_field *f = state_fields; f < state_fields + state_field_count; f++) {
        for (unsigned n = 0; n < f->count; n++) {
            size_t at = f->offset + n * f->stride;
            field_name(f, n, name);
            add(l, name, (const u8 *)a + at, (const u8 *)b + at, f->bytes);
        }
    }
}

/* Every byte of the board; those between two devices are named too. */
static void add_devices(struct list *l, const struct chipset *a, const struct chipset *b)
{
    const struct device_field *d = devices;
    char name[STATE_NAME_MAX];
    for (size_t at = 0; at < sizeof *a; at++) {
        while (d + 1 < devices + ARRAY_LEN(devices) && at >= d[1].offset)
            d++;
        snprintf(name, sizeof name, "%s+%zu", d->name, at - d->offset);
        add(l, name, (const u8 *)a + at, (const u8 *)b + at, 1);
    }
}

unsigned state_differences(const struct vm *a, const struct vm *b, struct state_difference *to, unsigned max)
{
    struct list l = {.to = to, .max = max};
    for (unsigned n = 0; n < a->vcpu_count; n++)
        add_cpu(&l, &a->vcpu[n]->cpu, &b->vcpu[n]->cpu);
    add_devices(&l, &a->chipset, &b->chipset);
    add(&l, "clock.skipped", &a->clock.skipped_ns, &b->clock.skipped_ns, sizeof a->clock.skipped_ns);
    add(&l, "clock.rate", &a->clock.rate, &b->clock.rate, sizeof a->clock.rate);
    if (!clock_same(&a->clock, &b->clock)) {
        add(&l, "clock.from_icount", &a->clock.from_icount, &b->clock.from_icount, sizeof a->clock.from_icount);
        add(&l, "clock.from_ns", &a->clock.from_ns, &b->clock.from_ns, sizeof a->clock.from_ns);
    }
    add(&l, "chaos", &a->chaos, &b->chaos, sizeof a->chaos);
    add(&l, "request", &a->request, &b->request, sizeof a->request);
    add(&l, "exit_value", &a->exit_value, &b->exit_value, sizeof a->exit_value);
    return l.count;
}

bool state_value(const struct cpu *c, const char *name, u8 to[STATE_VALUE_MAX])
{
    char own[STATE_NAME_MAX];
    for (const struct state_field *f = state_fields; f < state_fields + state_field_count; f++) {
        for (unsigned n = 0; n < f->count; n++) {
            field_name(f, n, own);
            if (strcmp(own, name))
                continue;
            memset(to, 0, STATE_VALUE_MAX);
            memcpy(to, (const u8 *)c + f->offset + n * f->stride, f->bytes);
            return true;
        }
    }
    return false;
}

/* ---- RAM ---------------------------------------------------------------------------------------- */

static u64 page_difference(const struct vm *a, const struct vm *b, u64 address, u64 from)
{
    const u8 *left = physmem_pointer(&a->memory, gpa(address));
    const u8 *right = physmem_pointer(&b->memory, gpa(address));
    if (!left || !memcmp(left, right, PAGE_SIZE))
        return UINT64_MAX;
    for (u64 at = from > address ? from - address : 0; at < PAGE_SIZE; at++)
        if (left[at] != right[at])
            return address + at;
    return UINT64_MAX;
}

static u64 chunk_difference(int pagemap, const struct vm *const pair[2], u64 address, u64 from)
{
    bool touched[TOUCHED_PAGES] = {false};
    u64 found = UINT64_MAX;
    touched_add(pagemap, pair[0], address, touched);
    touched_add(pagemap, pair[1], address, touched);
    for (size_t n = 0; n < TOUCHED_PAGES && found == UINT64_MAX; n++)
        if (touched[n] && address + (n + 1) * PAGE_SIZE > from)
            found = page_difference(pair[0], pair[1], address + n * PAGE_SIZE, from);
    return found;
}

u64 memory_first_difference(const struct vm *a, const struct vm *b, u64 from)
{
    const u64 chunk = TOUCHED_BYTES;
    const struct vm *const pair[2] = {a, b};
    u64 found = UINT64_MAX, end = physmem_end(&a->memory);
    int pagemap = touched_open();
    for (u64 at = from / chunk * chunk; at < end && found == UINT64_MAX; at += chunk)
        found = chunk_difference(pagemap, pair, at, from);
    touched_close(pagemap);
    return found;
}

u64 memory_written_difference(const struct vm *a, const struct vm *b, const u64 since[2])
{
    u64 found = UINT64_MAX, pages = physmem_pages(&a->memory);
    for (u64 page = 0; page < pages && found == UINT64_MAX; page++)
        if (physmem_written_since(&a->memory, page, since[0]) || physmem_written_since(&b->memory, page, since[1]))
            found = page_difference(a, b, physmem_page_address(&a->memory, page).raw, 0);
    return found;
}
