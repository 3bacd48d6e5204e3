/* What both entries share: the Multiboot 1 header (Multiboot 3.1). Flags: page-aligned modules, memory
 * information. The address fields are filled in although the flag that makes loaders read them is clear:
 * guests/lib/bootsector.S does. */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 3
    .section .multiboot, "a"
    .align 4
multiboot_header:
    .long MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)
    .long multiboot_header, image_start, image_end, bss_end, _start
