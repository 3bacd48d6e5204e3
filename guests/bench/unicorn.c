/* The benchmark kernels under Unicorn: `bench-unicorn BLOB ITERATIONS [KERNEL...]`; the blob's name says the width. */
#include "guests/bench/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

enum { STACK = 0x10000, RETURN_TO = 0x1000 };
static uc_engine *engine;
static int wide;

static void check(uc_err error, const char *what)
{
    if (error == UC_ERR_OK)
        return;
    fprintf(stderr, "unicorn: %s: %s\n", what, uc_strerror(error));
    exit(1);
}

static void set(int reg, uint64_t value) { check(uc_reg_write(engine, reg, &value), "writing a register"); }

/* The calling conventions of the two widths: arguments on the stack, or in EDI and ESI. */
static uint32_t call(uint32_t kernel, uint32_t iterations)
{
    uint32_t frame32[3] = {RETURN_TO, kernel, iterations};
    uint64_t frame64 = RETURN_TO, sp = BLOB_BASE - 256 - (wide ? 8 : 4), result = 0;
    check(uc_mem_write(engine, sp, wide ? (void *)&frame64 : (void *)frame32, wide ? sizeof frame64 : sizeof frame32),
          "writing the stack");
    set(wide ? UC_X86_REG_RSP : UC_X86_REG_ESP, sp);
    if (wide) {
        set(UC_X86_REG_RDI, kernel);
        set(UC_X86_REG_RSI, iterations);
    }
    check(uc_emu_start(engine, BLOB_BASE, RETURN_TO, 0, 0), "running");
    check(uc_reg_read(engine, UC_X86_REG_EAX, &result), "reading EAX");
    return (uint32_t)result;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return bench_main(argc, argv, call);
    wide = strstr(argv[1], "64") != NULL;
    size_t size = blob_load(argv[1]);
    check(uc_open(UC_ARCH_X86, wide ? UC_MODE_64 : UC_MODE_32, &engine), "opening");
    check(uc_mem_map(engine, BLOB_BASE - STACK, STACK + BLOB_END - BLOB_BASE, UC_PROT_ALL), "mapping memory");
    check(uc_mem_map(engine, RETURN_TO & ~0xfffu, 0x1000, UC_PROT_ALL), "mapping the return address");
    check(uc_mem_write(engine, BLOB_BASE, (const void *)(uintptr_t)BLOB_BASE, size), "copying the blob");
    int code = bench_main(argc, argv, call);
    uc_close(engine);
    return code;
}
