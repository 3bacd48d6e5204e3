/* The guest walk: any page tables in any RAM of 5 GiB, any control registers, any linear address, access and rights.
 * What it answers is a page of the physical address space or an error code; the entries that it marks lie where it has
 * read them. */
#include "eva/eva.h"

#include "mmu/walk.c"

static struct vm vm;
static struct vcpu v;
static struct cpu_model model;
static u8 ram[0x140000000];
static struct frame frames[0x140000];

void phys_read(struct vm *of, gpa_t from, void *to, unsigned size)
{
    (void)of;
    (void)from;
    //@ check size: size == 4 || size == 8 || size == 32;
    any_bytes(to, size);
}

void phys_write_table(struct vm *of, gpa_t entry, u8 low_byte)
{
    (void)of;
    (void)low_byte;
    //@ check aligned: entry.raw % 4 == 0;
    //@ check in_space: entry.raw < 1 << PHYS_ADDRESS_BITS;
}

void phys_watch_table(struct vm *of, gpa_t entry)
{
    (void)of;
    //@ check in_space: entry.raw < 1 << PHYS_ADDRESS_BITS;
}

static void any_machine(void)
{
    any_bytes(ram, sizeof ram);
    any_bytes(&v.cpu, sizeof v.cpu);
    any_bytes(model.features, sizeof model.features);
    v.vm = &vm;
    vm.vcpu[0] = &v;
    vm.vcpu_count = 1;
    vm.config.model = &model;
    vm.memory.ram = ram;
    vm.memory.host_shift = PAGE_SHIFT;
    vm.memory.frames = frames;
    vm.memory.size = sizeof ram;
    vm.memory.low = PHYS_HOLE_BEGIN;
}

void main(void)
{
    any_machine();
    struct walk_result r = walk_guest(&v, any_u64(), (enum access)any_below(3), (enum tlb_rights)any_below(4), any_bool());
    if (r.ok) {
        REACHED(ok);
        //@ check page: r.page.raw % PAGE_SIZE == 0;
        //@ check in_space: r.page.raw < 1 << PHYS_ADDRESS_BITS;
    } else {
        REACHED(fault);
        //@ check error: r.error < 32;
    }
    struct walk_path path;
    r = walk_guest_path(&v, any_u64(), (enum access)any_below(3), (enum tlb_rights)any_below(4), &path);
    if (r.ok) {
        REACHED(path);
        //@ check levels: path.levels <= 4;
    }
    walk_load_pdptes(&v, any_u64());
    REACHED(pdptes);
}
