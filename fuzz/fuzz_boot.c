/* The boot loaders on any images. Input: a byte of choices, a 16-bit length of the second image, that image, then the
 * kernel. Choices: bit 0 the second image is an initrd, bit 1 a module, bit 2 a 32-bit CPU model, bit 3 a command line. */
#include "core/boot.h"
#include "core/vm.h"
#include "fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { RAM = 8 << 20, HEADER = 3, FIRMWARE = 0xf0000, FIRMWARE_BYTES = 0x10000 };

static struct vm *machine(bool old)
{
    static struct vm *machines[2];
    if (!machines[old]) {
        const struct vm_config config = {
            .ram_bytes = RAM, .model = cpu_model_find(old ? "pentium3" : CPU_MODEL_DEFAULT), .engine = &engine_interp};
        FUZZ_CHECK(vm_create(&machines[old], &config) == STATUS_OK);
    }
    vm_reset(machines[old]);
    return machines[old];
}

/* An exact copy on the heap, so that a sanitizer sees the first byte read beyond it. */
static struct boot_image copy(const uint8_t *data, size_t size, const char *name)
{
    u8 *bytes = malloc(size ? size : 1);
    FUZZ_CHECK(bytes);
    memcpy(bytes, data, size);
    return (struct boot_image){.data = bytes, .size = size, .name = name, .text = "text"};
}

/* A machine about to start is in a state that the processor could have reached by itself. */
static void check_entry(struct vm *vm, const struct boot_report *why)
{
    const struct cpu *c = &vm->vcpu[0]->cpu;
    FUZZ_CHECK(why->protocol && !why->what);
    FUZZ_CHECK(cpu_protected(c) && c->cpl == 0 && cpu_rflags(c) == FLAG_FIXED);
    FUZZ_CHECK(c->seg[SEG_CS].attributes & SEG_CODE && c->seg[SEG_CS].limit == 0xffffffff);
    FUZZ_CHECK(cpu_long(c) == cpu_paging(c));
    FUZZ_CHECK(physmem_is_ram(&vm->memory, gpa(c->rip), 1) && why->entry == c->rip);
    FUZZ_CHECK(physmem_is_ram(&vm->memory, gpa(c->gdtr.base), c->gdtr.limit + 1));
}

int fuzz_one(const uint8_t *data, size_t size)
{
    if (size < HEADER)
        return 0;
    size_t second = data[1] | (size_t)data[2] << 8;
    second = second < size - HEADER ? second : size - HEADER;
    struct boot_image other = copy(data + HEADER, second, "second");
    struct boot_image kernel = copy(data + HEADER + second, size - HEADER - second, "kernel");
    struct boot_images images = {
        .kernel = kernel,
        .initrd = data[0] & 1 ? &other : NULL,
        .append = data[0] & 8 ? "console=ttyS0 quiet" : "",
        .modules = &other,
        .module_count = data[0] >> 1 & 1,
    };
    struct boot_report why;
    struct vm *vm = machine(data[0] >> 2 & 1);
    u8 *firmware = physmem_pointer(&vm->memory, gpa(FIRMWARE));
    memset(firmware, 0x5a, FIRMWARE_BYTES);
    u64 rip = vm->vcpu[0]->cpu.rip;
    enum status status = boot_load(vm, &images, &why);
    if (status == STATUS_OK)
        check_entry(vm, &why);
    else
        FUZZ_CHECK(why.what && why.action && vm->vcpu[0]->cpu.rip == rip);
    for (unsigned n = 0; n < FIRMWARE_BYTES; n++)
        FUZZ_CHECK(firmware[n] == 0x5a); /* nothing is loaded into reserved memory */
    free((void *)kernel.data);
    free((void *)other.data);
    return 0;
}
