#include "sim/verify_base.h"

#include "core/host.h"
#include "mmu/access.h"
#include "sbe/fpu.h"
#include "sim/touched.h"

#include <string.h>

bool verify_base_create(struct verify_base *base, const struct vm *vm)
{
    u64 bytes = physmem_end(&vm->memory);
    memset(base, 0, sizeof *base);
    base->ram_bytes = bytes;
    base->ram = host_alloc(bytes);
    base->filled = host_alloc(bytes >> PAGE_SHIFT);
    if (base->ram && base->filled)
        return true;
    verify_base_destroy(base);
    return false;
}

void verify_base_destroy(struct verify_base *base)
{
    if (base->ram)
        host_free(base->ram, base->ram_bytes);
    if (base->filled)
        host_free(base->filled, base->ram_bytes >> PAGE_SHIFT);
    memset(base, 0, sizeof *base);
}

static void take_page(struct verify_base *base, const struct vm *vm, u64 address)
{
    const u8 *page = physmem_pointer(&vm->memory, gpa(address));
    if (!page || !memcmp(page, base->ram + address, PAGE_SIZE))
        return;
    memcpy(base->ram + address, page, PAGE_SIZE);
    base->filled[address >> PAGE_SHIFT] = true;
}

static void take_ram(struct verify_base *base, const struct vm *vm)
{
    int handle = touched_open();
    for (u64 at = 0; at < base->ram_bytes; at += TOUCHED_BYTES) {
        bool touched[TOUCHED_PAGES] = {false};
        touched_add(handle, vm, at, touched);
        for (u64 n = 0; n < TOUCHED_PAGES && at + n * PAGE_SIZE < base->ram_bytes; n++)
            if (touched[n])
                take_page(base, vm, at + n * PAGE_SIZE);
    }
    touched_close(handle);
}

static void take_rest(struct verify_base *base, struct vm *vm)
{
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        fpu_park(vm->vcpu[n]);
        base->cpu[n] = vm->vcpu[n]->cpu;
    }
    memcpy(&base->chipset, &vm->chipset, sizeof base->chipset); /* padding included: it is compared */
    base->clock = vm->clock;
    base->request = vm->request;
    base->exit_value = vm->exit_value;
}

void verify_base_take(struct verify_base *base, struct vm *vm)
{
    take_rest(base, vm);
    take_ram(base, vm);
}

void verify_base_take_written(struct verify_base *base, struct vm *vm, u64 since)
{
    take_rest(base, vm);
    for (u64 page = 0; page < physmem_pages(&vm->memory); page++)
        if (physmem_written_since(&vm->memory, page, since))
            take_page(base, vm, physmem_page_address(&vm->memory, page).raw);
}

static void give_rest(const struct verify_base *base, struct vm *vm)
{
    memcpy(&vm->chipset, &base->chipset, sizeof vm->chipset);
    vm->clock = base->clock;
    vm->request = base->request;
    vm->exit_value = base->exit_value;
    for (unsigned n = 0; n < vm->vcpu_count; n++) {
        struct vcpu *v = vm->vcpu[n];
        fpu_park(v);
        v->cpu = base->cpu[n];
        tlb_flush(v);
        vcpu_update_mode(v);
    }
}

void verify_base_give(const struct verify_base *base, struct vm *vm)
{
    for (u64 at = 0; at < base->ram_bytes; at += PAGE_SIZE)
        if (base->filled[at >> PAGE_SHIFT])
            (void)physmem_load(&vm->memory, gpa(at), base->ram + at, PAGE_SIZE); /* it was RAM when it was taken */
    give_rest(base, vm);
}

/* As a device writes, so that what was made of instructions and tables there goes. */
static void restore_page(const struct verify_base *base, struct vm *vm, u64 address)
{
    const u8 *page = physmem_pointer(&vm->memory, gpa(address));
    if (page && memcmp(page, base->ram + address, PAGE_SIZE))
        phys_write(vm, gpa(address), base->ram + address, PAGE_SIZE);
}

void verify_base_restore(const struct verify_base *base, struct vm *vm)
{
    int handle = touched_open();
    for (u64 at = 0; at < base->ram_bytes; at += TOUCHED_BYTES) {
        bool touched[TOUCHED_PAGES] = {false};
        touched_add(handle, vm, at, touched);
        for (u64 n = 0; n < TOUCHED_PAGES && at + n * PAGE_SIZE < base->ram_bytes; n++)
            if (touched[n])
                restore_page(base, vm, at + n * PAGE_SIZE);
    }
    touched_close(handle);
    give_rest(base, vm);
}
