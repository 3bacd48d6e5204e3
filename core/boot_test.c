#include "core/boot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/boot_samples.h"
#include "mmu/walk.h"

static const u64 mib = 1 << 20;

static struct vm *machine(u64 ram, const char *model)
{
    struct vm *vm = NULL;
    struct vm_config config = {.ram_bytes = ram, .model = cpu_model_find(model), .engine = &engine_interp};
    assert_non_null(config.model);
    assert_int_equal(vm_create(&vm, &config), STATUS_OK);
    return vm;
}

static u32 word(struct vm *vm, u64 at)
{
    const u8 *p = physmem_pointer(&vm->memory, gpa(at));
    assert_non_null(p);
    return boot_u32(p);
}

static const char *text(struct vm *vm, u64 at)
{
    return (const char *)physmem_pointer(&vm->memory, gpa(at));
}

static struct boot_images kernel_only(const u8 *image, u64 size)
{
    return (struct boot_images){.kernel = {.data = image, .size = size, .name = "kernel", .text = ""}, .append = ""};
}

/* Every usable region is RAM, in order, apart; all RAM but the firmware's is usable. */
static void memory_map_matches_ram(void **state)
{
    (void)state;
    static const u64 sizes[] = {1 * mib, 2 * mib, 512 * mib, 3072 * mib, 3073 * mib, 8192 * mib};
    for (unsigned n = 0; n < ARRAY_LEN(sizes); n++) {
        struct physmem memory = {.size = sizes[n], .low = sizes[n] < PHYS_HOLE_BEGIN ? sizes[n] : PHYS_HOLE_BEGIN};
        struct boot_region r[BOOT_REGIONS_MAX];
        unsigned count = boot_memory_map(&memory, r);
        u64 usable = 0;
        for (unsigned i = 0; i < count; i++) {
            assert_true(r[i].bytes > 0);
            assert_true(!i || r[i].base >= r[i - 1].base + r[i - 1].bytes);
            if (r[i].type != BOOT_REGION_USABLE)
                continue;
            usable += r[i].bytes;
            assert_true(physmem_offset(&memory, gpa(r[i].base)) != UINT64_MAX);
            assert_true(physmem_offset(&memory, gpa(r[i].base + r[i].bytes - 1)) != UINT64_MAX);
        }
        assert_int_equal(usable, sizes[n] - (mib - 0x9fc00));
    }
}

static void linux_64bit_entry(void **state)
{
    (void)state;
    static u8 image[SAMPLE_BZIMAGE];
    struct boot_report why;
    struct boot_image initrd = {(const u8 *)sample_cpio, sizeof sample_cpio - 1, "rd", ""};
    struct vm *vm = machine(16 * mib, "westmere");
    sample_bzimage(image, true);
    struct boot_images images = kernel_only(image, sizeof image);
    images.initrd = &initrd;
    images.append = "console=ttyS0";
    assert_int_equal(boot_load(vm, &images, &why), STATUS_OK);
    assert_string_equal(why.protocol, "Linux, 64-bit entry");

    struct vcpu *v = vm->vcpu[0];
    assert_int_equal(v->mode, CODE_64);
    assert_int_equal(v->cpu.rip, 0x100200);
    assert_int_equal(v->cpu.seg[SEG_CS].selector, 0x10);
    assert_int_equal(v->cpu.seg[SEG_DS].selector, 0x18);
    assert_int_equal(cpu_rflags(&v->cpu), FLAG_FIXED);
    assert_memory_equal(text(vm, 0x100000), image + SAMPLE_BZIMAGE - SAMPLE_PAYLOAD, SAMPLE_PAYLOAD);
    for (u64 at = 0; at < 4096 * mib; at += 64 * mib + 4096) {
        struct walk_result w = walk_guest(v, at, ACCESS_WRITE, TLB_SUPERVISOR, false);
        assert_true(w.ok);
        assert_int_equal(w.page.raw, at);
    }

    u64 zero = v->cpu.gpr[RSI];
    assert_int_equal(word(vm, zero + 0x202), 0x53726448);
    assert_int_equal(*(const u8 *)text(vm, zero + 0x210), 0xff);
    assert_string_equal(text(vm, word(vm, zero + 0x228)), "console=ttyS0");
    u64 rd = word(vm, zero + 0x218);
    assert_int_equal(word(vm, zero + 0x21c), initrd.size);
    assert_true(rd >= 0x600000 && rd + initrd.size <= 16 * mib && !(rd & PAGE_MASK));
    assert_memory_equal(text(vm, rd), sample_cpio, sizeof sample_cpio - 1);
    assert_memory_equal(text(vm, word(vm, zero + 0x70)), "RSD PTR ", 8);
    vm_destroy(vm);
}

static void linux_e820_table(void **state)
{
    (void)state;
    static u8 image[SAMPLE_BZIMAGE];
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "westmere");
    sample_bzimage(image, true);
    struct boot_images images = kernel_only(image, sizeof image);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_OK);
    u64 zero = vm->vcpu[0]->cpu.gpr[RSI];
    struct boot_region r[BOOT_REGIONS_MAX];
    unsigned count = boot_memory_map(&vm->memory, r);
    assert_int_equal(*(const u8 *)text(vm, zero + 0x1e8), count);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(word(vm, zero + 0x2d0 + 20 * i), (u32)r[i].base);
        assert_int_equal(word(vm, zero + 0x2d0 + 20 * i + 8), (u32)r[i].bytes);
        assert_int_equal(word(vm, zero + 0x2d0 + 20 * i + 16), r[i].type);
    }
    vm_destroy(vm);
}

static void linux_32bit_entry(void **state)
{
    (void)state;
    static u8 image[SAMPLE_BZIMAGE];
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "pentium3");
    sample_bzimage(image, false);
    struct boot_images images = kernel_only(image, sizeof image);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_OK);
    const struct cpu *c = &vm->vcpu[0]->cpu;
    assert_int_equal(vm->vcpu[0]->mode, CODE_32);
    assert_int_equal(c->rip, 0x100000);
    assert_int_equal(c->cr0 & (CR0_PE | CR0_PG), CR0_PE);
    assert_int_equal(c->gpr[RBP] | c->gpr[RDI] | c->gpr[RBX], 0);

    sample_bzimage(image, true);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_UNSUPPORTED);
    vm_destroy(vm);
}

/* One spoilt field of the sample bzImage each. */
struct spoil {
    u32 offset;
    u32 value;
    enum status status;
    const char *word; /* that the report must contain */
};

static const struct spoil linux_spoils[] = {
    {0x1fc, 0x00000000, STATUS_BAD_IMAGE, "signature"},
    {0x206, 0x00000205, STATUS_BAD_IMAGE, "protocol"},
    {0x210, 0x00000000, STATUS_BAD_IMAGE, "zImage"},
    {0x200, 0x6448ffeb, STATUS_BAD_IMAGE, "length"},
    {0x1f4, 0x00000000, STATUS_BAD_IMAGE, "empty"},
    {0x1f4, 0x00000101, STATUS_BAD_IMAGE, "truncated"},
    {0x1f4, 0xffffffff, STATUS_BAD_IMAGE, "truncated"},
    {0x260, 0x00f00000, STATUS_TOO_BIG, "memory"},
    {0x260, 0xffffffff, STATUS_TOO_BIG, "memory"},
    {0x25c, 0xffffffff, STATUS_TOO_BIG, "memory"},
    {0x238, 0x00000003, STATUS_TOO_BIG, "command line"},
    {0x22c, 0x00500000, STATUS_TOO_BIG, "initrd"},
    {0x202, 0x00000000, STATUS_BAD_IMAGE, "neither"},
};

static void linux_refusals(void **state)
{
    (void)state;
    static u8 image[SAMPLE_BZIMAGE];
    struct boot_image initrd = {(const u8 *)sample_cpio, sizeof sample_cpio - 1, "rd", ""};
    struct vm *vm = machine(16 * mib, "westmere");
    for (unsigned n = 0; n < ARRAY_LEN(linux_spoils); n++) {
        const struct spoil *s = &linux_spoils[n];
        struct boot_report why;
        sample_bzimage(image, true);
        boot_put_u32(image + s->offset, s->value);
        struct boot_images images = kernel_only(image, sizeof image);
        images.initrd = &initrd;
        images.append = "four";
        u64 rip = vm->vcpu[0]->cpu.rip;
        assert_int_equal(boot_load(vm, &images, &why), s->status);
        assert_non_null(strstr(why.what, s->word));
        assert_non_null(why.action);
        assert_int_equal(vm->vcpu[0]->cpu.rip, rip);
    }
    vm_destroy(vm);
}

/* Every proper prefix of a kernel and of an initrd is refused. */
static void truncation_is_refused(void **state)
{
    (void)state;
    static u8 image[SAMPLE_BZIMAGE], elf[SAMPLE_ELF];
    struct boot_image initrd = {.data = (const u8 *)sample_cpio, .name = "rd", .text = ""};
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "westmere");
    sample_bzimage(image, true);
    sample_elf(elf);
    for (u64 size = 0; size < SAMPLE_BZIMAGE; size += 13) {
        struct boot_images images = kernel_only(image, size);
        assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_IMAGE);
    }
    for (u64 size = 0; size < SAMPLE_ELF; size += 13) {
        struct boot_images images = kernel_only(elf, size);
        assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_IMAGE);
    }
    for (initrd.size = 0; initrd.size < sizeof sample_cpio - 5; initrd.size++) {
        struct boot_images images = kernel_only(image, sizeof image);
        images.initrd = &initrd;
        assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_IMAGE);
        assert_string_equal(why.image, "rd");
    }
    vm_destroy(vm);
}

static void multiboot_elf(void **state)
{
    (void)state;
    static u8 image[SAMPLE_ELF];
    static const u8 content[] = "module content";
    struct boot_image modules[2] = {{content, sizeof content, "m0", "first"}, {content, 5, "m1", ""}};
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "westmere");
    sample_elf(image);
    struct boot_images images = kernel_only(image, sizeof image);
    images.modules = modules;
    images.module_count = 2;
    images.append = "a b";
    memset(physmem_pointer(&vm->memory, gpa(0x102000)), 0xcc, PAGE_SIZE);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_OK);

    const struct cpu *c = &vm->vcpu[0]->cpu;
    assert_int_equal(c->gpr[RAX], 0x2badb002);
    assert_int_equal(c->rip, 0x100020); /* the virtual entry, by its segment */
    assert_int_equal(vm->vcpu[0]->mode, CODE_32);
    assert_int_equal(word(vm, 0x102000), 0); /* bss */
    u64 info = c->gpr[RBX];
    assert_int_equal(word(vm, info), 0x24d);
    assert_int_equal(word(vm, info + 4), 639);
    assert_int_equal(word(vm, info + 8), 15 * 1024);
    assert_string_equal(text(vm, word(vm, info + 16)), "a b");
    assert_int_equal(word(vm, info + 20), 2);
    u64 list = word(vm, info + 24), first = word(vm, list), second = word(vm, list + 16);
    assert_int_equal(first & PAGE_MASK, 0);
    assert_int_equal(second & PAGE_MASK, 0);
    assert_true(first >= 0x103000 && second > first);
    assert_int_equal(word(vm, list + 4), first + sizeof content);
    assert_string_equal(text(vm, first), "module content");
    assert_string_equal(text(vm, word(vm, list + 8)), "first");
    assert_int_equal(word(vm, word(vm, info + 48)), 20);
    vm_destroy(vm);
}

static void multiboot_address_fields(void **state)
{
    (void)state;
    static u8 image[SAMPLE_AOUT];
    struct boot_report why;
    struct vm *vm = machine(4 * mib, "pentium");
    sample_aout(image);
    struct boot_images images = kernel_only(image, sizeof image);
    memset(physmem_pointer(&vm->memory, gpa(0x201000)), 0xcc, PAGE_SIZE);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_OK);
    assert_int_equal(vm->vcpu[0]->cpu.rip, 0x200080);
    assert_memory_equal(text(vm, 0x200000), image, sizeof image);
    assert_int_equal(word(vm, 0x201ffc), 0);
    vm_destroy(vm);
}

static const struct spoil aout_spoils[] = {
    {SAMPLE_AOUT_HEADER + 12, 0x1fffff, STATUS_BAD_IMAGE, "load_addr"},
    {SAMPLE_AOUT_HEADER + 12, 0x300000, STATUS_BAD_IMAGE, "load_addr"},
    {SAMPLE_AOUT_HEADER + 20, 0x100000, STATUS_BAD_IMAGE, "load_end_addr"},
    {SAMPLE_AOUT_HEADER + 20, 0x210000, STATUS_BAD_IMAGE, "bss_end_addr"},
    {SAMPLE_AOUT_HEADER + 24, 0x200010, STATUS_BAD_IMAGE, "bss_end_addr"},
    {SAMPLE_AOUT_HEADER + 24, 0x900000, STATUS_BAD_IMAGE, "usable memory"},
    {SAMPLE_AOUT_HEADER + 28, 0xf0000000, STATUS_BAD_IMAGE, "entry"},
    {SAMPLE_AOUT_HEADER + 8, 0, STATUS_BAD_IMAGE, "neither"},
};

static void multiboot_refusals(void **state)
{
    (void)state;
    static u8 image[SAMPLE_AOUT];
    struct boot_report why;
    struct vm *vm = machine(4 * mib, "westmere");
    for (unsigned n = 0; n < ARRAY_LEN(aout_spoils); n++) {
        sample_aout(image);
        boot_put_u32(image + aout_spoils[n].offset, aout_spoils[n].value);
        struct boot_images images = kernel_only(image, sizeof image);
        assert_int_equal(boot_load(vm, &images, &why), aout_spoils[n].status);
        assert_non_null(strstr(why.what, aout_spoils[n].word));
    }
    sample_aout(image);
    sample_header(image + SAMPLE_AOUT_HEADER, 0x10007);
    struct boot_images images = kernel_only(image, sizeof image);
    assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_IMAGE);
    assert_non_null(strstr(why.what, "requires"));
    vm_destroy(vm);
}

/* Wrong companions: an initrd for Multiboot, modules for Linux. */
static void companions_are_checked(void **state)
{
    (void)state;
    static u8 linux_image[SAMPLE_BZIMAGE], elf[SAMPLE_ELF];
    struct boot_image other = {(const u8 *)sample_cpio, sizeof sample_cpio - 1, "other", ""};
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "westmere");
    sample_bzimage(linux_image, true);
    sample_elf(elf);
    struct boot_images images = kernel_only(linux_image, sizeof linux_image);
    images.modules = &other;
    images.module_count = 1;
    assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_ARGUMENT);
    images = kernel_only(elf, sizeof elf);
    images.initrd = &other;
    assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_ARGUMENT);
    vm_destroy(vm);
}

/* The kernel may not lie where the firmware's tables and the loader's own data are. */
static void reserved_memory_is_kept(void **state)
{
    (void)state;
    static const u32 addresses[] = {0x9f000, 0xa0000, 0xe0000, 0xfff00, 0xfff000, 0xc0000000, 0xfffff000};
    static u8 image[SAMPLE_ELF];
    struct boot_report why;
    struct vm *vm = machine(16 * mib, "westmere");
    for (unsigned n = 0; n < ARRAY_LEN(addresses); n++) {
        sample_elf(image);
        boot_put_u32(image + 52 + 12, addresses[n]);
        struct boot_images images = kernel_only(image, sizeof image);
        assert_int_equal(boot_load(vm, &images, &why), STATUS_BAD_IMAGE);
        assert_true(why.has_offset);
    }
    vm_destroy(vm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_map_matches_ram),   cmocka_unit_test(linux_64bit_entry),
        cmocka_unit_test(linux_e820_table),         cmocka_unit_test(linux_32bit_entry),
        cmocka_unit_test(linux_refusals),           cmocka_unit_test(truncation_is_refused),
        cmocka_unit_test(multiboot_elf),            cmocka_unit_test(multiboot_address_fields),
        cmocka_unit_test(multiboot_refusals),       cmocka_unit_test(companions_are_checked),
        cmocka_unit_test(reserved_memory_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
