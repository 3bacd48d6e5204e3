/* For tests: the smallest images that the boot protocols accept, to be spoilt one field at a time. */
#ifndef REPRISE_CORE_BOOT_SAMPLES_H
#define REPRISE_CORE_BOOT_SAMPLES_H

#include "core/boot_internal.h"

#include <string.h>

enum { SAMPLE_SETUP_SECTORS = 2, SAMPLE_PAYLOAD = 0x1000 };
enum { SAMPLE_BZIMAGE = (SAMPLE_SETUP_SECTORS + 1) * 512 + SAMPLE_PAYLOAD };
enum { SAMPLE_ELF = 0x2000, SAMPLE_ELF_HEADER = 0x1000, SAMPLE_AOUT = 0x800, SAMPLE_AOUT_HEADER = 0x40 };

/* A bzImage of protocol 2.15 whose payload bytes count upwards; 64-bit if asked. */
static inline void sample_bzimage(u8 image[SAMPLE_BZIMAGE], bool is_64bit)
{
    memset(image, 0, SAMPLE_BZIMAGE);
    image[0x1f1] = SAMPLE_SETUP_SECTORS;
    boot_put_u32(image + 0x1f4, SAMPLE_PAYLOAD / 16);
    boot_put_u16(image + 0x1fe, 0xaa55);
    image[0x200] = 0xeb;
    image[0x201] = 0x6a;
    memcpy(image + 0x202, "HdrS", 4);
    boot_put_u16(image + 0x206, 0x20f);
    image[0x211] = 1;
    boot_put_u32(image + 0x22c, 0x7fffffff);
    boot_put_u32(image + 0x230, 0x200000);
    image[0x234] = 1;
    boot_put_u16(image + 0x236, is_64bit ? 1 : 0);
    boot_put_u32(image + 0x238, 2047);
    boot_put_u64(image + 0x258, 0x400000);
    boot_put_u32(image + 0x260, 0x200000);
    for (unsigned n = 0; n < SAMPLE_PAYLOAD; n++)
        image[SAMPLE_BZIMAGE - SAMPLE_PAYLOAD + n] = (u8)(n * 7 + 1);
}

static inline void sample_header(u8 *at, u32 flags)
{
    boot_put_u32(at, 0x1badb002);
    boot_put_u32(at + 4, flags);
    boot_put_u32(at + 8, 0u - 0x1badb002 - flags);
}

/* A Multiboot ELF with one segment at 1 MiB (0x1000 bytes in the file, 0x3000 in memory), linked for 0xc0100000. */
static inline void sample_elf(u8 image[SAMPLE_ELF])
{
    static const u8 ident[] = {0x7f, 'E', 'L', 'F', 1, 1, 1};
    memset(image, 0, SAMPLE_ELF);
    memcpy(image, ident, sizeof ident);
    boot_put_u16(image + 16, 2);
    boot_put_u16(image + 18, 3);
    boot_put_u32(image + 24, 0xc0100020);
    boot_put_u32(image + 28, 52);
    boot_put_u16(image + 42, 32);
    boot_put_u16(image + 44, 1);
    u8 *segment = image + 52;
    boot_put_u32(segment, 1);
    boot_put_u32(segment + 4, SAMPLE_ELF_HEADER);
    boot_put_u32(segment + 8, 0xc0100000);
    boot_put_u32(segment + 12, 0x100000);
    boot_put_u32(segment + 16, 0x1000);
    boot_put_u32(segment + 20, 0x3000);
    memset(image + SAMPLE_ELF_HEADER, 0x90, 0x1000);
    sample_header(image + SAMPLE_ELF_HEADER, 3);
}

/* A Multiboot image with address fields: loaded from offset 0 to 2 MiB, with bss up to 2 MiB + 0x2000. */
static inline void sample_aout(u8 image[SAMPLE_AOUT])
{
    memset(image, 0xf4, SAMPLE_AOUT);
    u8 *header = image + SAMPLE_AOUT_HEADER;
    sample_header(header, 0x10003);
    boot_put_u32(header + 12, 0x200000 + SAMPLE_AOUT_HEADER);
    boot_put_u32(header + 16, 0x200000);
    boot_put_u32(header + 20, 0);
    boot_put_u32(header + 24, 0x202000);
    boot_put_u32(header + 28, 0x200080);
}

/* A newc archive with one file of five bytes. */
#define SAMPLE_CPIO_ENTRY(name_size, file_size) \
    "070701" "00000001" "000081a4" "00000000" "00000000" "00000001" "00000000" file_size \
    "00000000" "00000000" "00000000" "00000000" name_size "00000000"
static const char sample_cpio[] = SAMPLE_CPIO_ENTRY("00000002", "00000005") "a\0" "hello\0\0\0"
                                  SAMPLE_CPIO_ENTRY("0000000b", "00000000") "TRAILER!!!\0\0\0\0";

#endif
