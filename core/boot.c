#include "core/boot_internal.h"

#include "core/msr.h"
#include "core/segment.h"
#include "devices/acpi_tables.h"
#include "devices/chipset.h"
#include "mmu/access.h"

/* The map of a PC (memory layout in mmu/physmem.h). */
#define EBDA_BEGIN 0x9fc00ull
#define FIRMWARE_BEGIN 0xe0000ull /* ACPI tables and what a BIOS would occupy */
#define HIGH_BEGIN 0x100000ull
#define CHIPSET_BEGIN 0xfec00000ull /* I/O APIC, HPET, local APIC, firmware ROM */

/* The BIOS data area: what protected-mode kernels still read there. */
#define BDA_COM1 0x400u
#define BDA_EBDA_SEGMENT 0x40eu
#define BDA_MEMORY_KIB 0x413u

#define LAPIC_BASE 0xfee00000ull
#define LAPIC_SPURIOUS 0x0f0u
#define LAPIC_LINT0 0x350u
#define LAPIC_LINT1 0x360u

static unsigned add_region(struct boot_region *regions, unsigned count, u64 begin, u64 end, enum boot_region_type type)
{
    if (end <= begin)
        return count;
    regions[count] = (struct boot_region){begin, end - begin, type};
    return count + 1;
}

unsigned boot_memory_map(const struct physmem *memory, struct boot_region regions[BOOT_REGIONS_MAX])
{
    unsigned n = 0;
    n = add_region(regions, n, 0, EBDA_BEGIN, BOOT_REGION_USABLE);
    n = add_region(regions, n, EBDA_BEGIN, PHYS_VGA_BEGIN, BOOT_REGION_RESERVED);
    n = add_region(regions, n, FIRMWARE_BEGIN, HIGH_BEGIN, BOOT_REGION_RESERVED);
    n = add_region(regions, n, HIGH_BEGIN, memory->low, BOOT_REGION_USABLE);
    n = add_region(regions, n, CHIPSET_BEGIN, PHYS_HOLE_END, BOOT_REGION_RESERVED);
    return add_region(regions, n, PHYS_HOLE_END, physmem_end(memory), BOOT_REGION_USABLE);
}

enum status boot_refuse(struct boot_loader *l, enum status status, const struct boot_image *image, const char *what,
                        const char *action)
{
    *l->why = (struct boot_report){.image = image ? image->name : NULL, .what = what, .action = action};
    return status;
}

enum status boot_refuse_at(struct boot_loader *l, const struct boot_image *image, u64 offset, const char *what,
                           const char *action)
{
    boot_refuse(l, STATUS_BAD_IMAGE, image, what, action);
    l->why->has_offset = true;
    l->why->offset = offset;
    return STATUS_BAD_IMAGE;
}

enum status boot_refuse_size(struct boot_loader *l, const struct boot_image *image, const char *what, u64 need,
                             u64 have)
{
    boot_refuse(l, STATUS_TOO_BIG, image, what, "give the guest more memory with -m, or use a smaller image");
    l->why->need = need;
    l->why->have = have;
    return STATUS_TOO_BIG;
}

u64 boot_low_end(const struct boot_loader *l)
{
    return l->vm->memory.low > HIGH_BEGIN ? l->vm->memory.low : HIGH_BEGIN;
}

static bool is_usable(const struct boot_loader *l, u64 begin, u64 bytes)
{
    for (unsigned i = 0; i < l->region_count; i++) {
        const struct boot_region *r = &l->regions[i];
        if (r->type == BOOT_REGION_USABLE && begin >= r->base && begin - r->base < r->bytes)
            return bytes <= r->bytes - (begin - r->base);
    }
    return false;
}

/* The used range that overlaps [begin, begin + bytes), or NULL. */
static const struct boot_range *find_overlap(const struct boot_loader *l, u64 begin, u64 bytes)
{
    for (unsigned i = 0; i < l->used_count; i++)
        if (begin < l->used[i].end && l->used[i].begin < begin + bytes)
            return &l->used[i];
    return NULL;
}

bool boot_is_free(const struct boot_loader *l, u64 begin, u64 bytes)
{
    return is_usable(l, begin, bytes) && !find_overlap(l, begin, bytes);
}

bool boot_claim(struct boot_loader *l, u64 begin, u64 bytes)
{
    if (!boot_is_free(l, begin, bytes) || l->used_count == BOOT_RANGES_MAX)
        return false;
    l->used[l->used_count++] = (struct boot_range){begin, begin + bytes};
    return true;
}

u64 boot_place(struct boot_loader *l, u64 bytes, u64 alignment, u64 minimum, u64 limit)
{
    for (unsigned i = 0; i < l->region_count; i++) {
        const struct boot_region *r = &l->regions[i];
        u64 at = boot_align_up(r->base > minimum ? r->base : minimum, alignment);
        if (r->type != BOOT_REGION_USABLE)
            continue;
        /* Each step leaves one used range behind, so this ends. */
        for (const struct boot_range *o; is_usable(l, at, bytes) && (o = find_overlap(l, at, bytes));)
            at = boot_align_up(o->end, alignment);
        if (at >= r->base && at - r->base < r->bytes && at + bytes <= limit && boot_claim(l, at, bytes))
            return at;
    }
    return UINT64_MAX;
}

void boot_copy(struct boot_loader *l, u64 to, const void *from, u64 bytes)
{
    /* Claimed ranges are RAM: boot_memory_map() and mmu/physmem.h agree, which boot_test.c checks. */
    (void)physmem_load(&l->vm->memory, gpa(to), from, bytes);
}

void boot_copy_image(struct boot_loader *l, u64 to, const struct boot_image *image, u64 offset, u64 bytes)
{
    boot_copy(l, to, image->data + offset, bytes);
}

/* Descriptors as SDM vol. 3, 3.4.5 lays them out: base 0, limit 0xfffff pages, present, DPL 0, accessed. */
#define DESCRIPTOR_CODE32 0x00cf9b000000ffffull
#define DESCRIPTOR_CODE64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA 0x00cf93000000ffffull

static struct segment flat_segment(u16 selector, u64 descriptor)
{
    return (struct segment){.selector = selector, .attributes = descriptor_attributes(descriptor), .limit = 0xffffffff};
}

void boot_flat_protected(struct boot_loader *l, u64 gdt, bool code64)
{
    struct vcpu *v = l->vm->vcpu[0];
    u64 code = code64 ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32;
    u64 table[BOOT_GDT_BYTES / 8] = {[BOOT_CS / 8] = code, [BOOT_DS / 8] = DESCRIPTOR_DATA};
    boot_copy(l, gdt, table, sizeof(table));

    v->cpu.gdtr = (struct table_register){gdt, sizeof(table) - 1};
    for (unsigned seg = 0; seg < SEG_COUNT; seg++)
        v->cpu.seg[seg] = flat_segment(BOOT_DS, DESCRIPTOR_DATA);
    v->cpu.seg[SEG_CS] = flat_segment(BOOT_CS, code);
    /* A busy 32-bit TSS, as VM entry wants it and LTR leaves it; IDT empty, so that an early fault ends in shutdown. */
    v->cpu.tr = (struct segment){.attributes = SEG_P | 0xb, .limit = 0xffff};
    v->cpu.idtr = (struct table_register){0, 0};
    for (unsigned reg = 0; reg < GPR_COUNT; reg++)
        v->cpu.gpr[reg] = 0;
    cpu_set_rflags_raw(&v->cpu, FLAG_FIXED);
    v->cpu.cr0 = CR0_PE | CR0_ET;
    mtrr_firmware_defaults(&v->cpu);
    v->cpu.cr4 = 0;
    v->cpu.efer = 0;
    v->cpu.cpl = 0;
}

/* Leaves what kernels read of a PC's firmware. */
static void write_firmware_data(struct vm *vm)
{
    u8 bytes[2];
    boot_put_u16(bytes, 0x3f8);
    (void)physmem_load(&vm->memory, gpa(BDA_COM1), bytes, 2);
    boot_put_u16(bytes, (u16)(EBDA_BEGIN >> 4));
    (void)physmem_load(&vm->memory, gpa(BDA_EBDA_SEGMENT), bytes, 2);
    boot_put_u16(bytes, (u16)(EBDA_BEGIN >> 10));
    (void)physmem_load(&vm->memory, gpa(BDA_MEMORY_KIB), bytes, 2);
}

/* Virtual wire mode (SDM vol. 3, 10.5.1; MultiProcessor Specification 1.4, 3.6.2.2): firmware enables the local APIC
 * and lets the 8259A's interrupts through LINT0, NMI through LINT1. */
static void set_virtual_wire(struct vm *vm)
{
    if (!model_has(vm->config.model, FEAT_APIC))
        return;
    chipset_mmio_write(vm, gpa(LAPIC_BASE + LAPIC_SPURIOUS), 0x10f, 4);
    chipset_mmio_write(vm, gpa(LAPIC_BASE + LAPIC_LINT0), 0x700, 4);
    chipset_mmio_write(vm, gpa(LAPIC_BASE + LAPIC_LINT1), 0x400, 4);
}

/* Firmware makes RAM write-back and the hole below 4 GiB uncacheable (SDM vol. 3, 11.11.2): kernels that find the MTRRs
 * disabled do without the PAT as well. */
static void set_memory_types(struct cpu *c)
{
    c->mtrr_def_type = 0x806; /* E, write-back */
    c->mtrr_variable[0] = PHYS_HOLE_BEGIN;
    c->mtrr_variable[1] = (((1ull << PHYS_ADDRESS_BITS) - 1) & ~(PHYS_HOLE_END - PHYS_HOLE_BEGIN - 1)) | 0x800;
}

/* Names what the user probably has instead of a kernel we can load. */
static enum status refuse_unknown(struct boot_loader *l)
{
    const struct boot_image *k = &l->images->kernel;
    if (k->size < 1024)
        return boot_refuse(l, STATUS_BAD_IMAGE, k, "is too short to be a kernel", "check that the file is complete");
    if (k->data[0] == 0x1f && k->data[1] == 0x8b)
        return boot_refuse_at(l, k, 0, "is gzip-compressed", "unpack it first with gunzip");
    if (boot_u32(k->data) == 0x464c457f)
        return boot_refuse_at(l, k, 0, "is an ELF file without a Multiboot 1 header in its first 8192 bytes",
                              "for Linux use the bzImage (vmlinuz), not vmlinux");
    return boot_refuse(l, STATUS_BAD_IMAGE, k,
                       "is neither a Linux bzImage (no \"HdrS\" at 0x202) nor a Multiboot 1 kernel (no header in the "
                       "first 8192 bytes)",
                       "give the path of a kernel, such as /boot/vmlinuz-*");
}

enum status boot_load(struct vm *vm, const struct boot_images *images, struct boot_report *why)
{
    struct boot_loader l = {.vm = vm, .images = images, .why = why};
    *why = (struct boot_report){0};
    l.region_count = boot_memory_map(&vm->memory, l.regions);
    write_firmware_data(vm);
    l.rsdp = acpi_tables_write(&vm->memory).raw;

    enum status status;
    if (boot_is_linux(&images->kernel))
        status = boot_linux(&l);
    else if (boot_is_multiboot(&images->kernel))
        status = boot_multiboot(&l);
    else
        status = refuse_unknown(&l);
    if (status != STATUS_OK)
        return status;

    set_virtual_wire(vm);
    set_memory_types(&vm->vcpu[0]->cpu);
    why->entry = vm->vcpu[0]->cpu.rip;
    tlb_flush(vm->vcpu[0]);
    vcpu_update_mode(vm->vcpu[0]);
    return STATUS_OK;
}
