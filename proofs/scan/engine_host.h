/* For enumerations that need the translator: a host that does nothing, and a machine on the engine `sbe` whose code is never
 * entered. */
#ifndef REPRISE_PROOFS_SCAN_ENGINE_HOST_H
#define REPRISE_PROOFS_SCAN_ENGINE_HOST_H

#include "core/segment.h"
#include "core/vm.h"
#include "mmu/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CODE_BYTES = 1 << 20 };

static struct vm *vm;

static u8 *arena, *arena_next; /* what shadow tables and other small things lie in, to be copied */
enum { ARENA_BYTES = 4 << 20, SMALL = 1 << 20 };

void *host_alloc(size_t bytes)
{
    u8 *at = arena_next;
    if (bytes >= SMALL)
        return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    arena_next += (bytes + 4095) & ~4095ul;
    return arena_next > arena + ARENA_BYTES ? abort(), NULL : at;
}
void host_free(void *memory, size_t bytes) { (void)memory, (void)bytes; }
bool host_guard(void *memory, size_t bytes) { return (void)memory, (void)bytes, true; }
enum status host_frames_alloc(size_t bytes, struct host_frames *f) { return (void)bytes, (void)f, STATUS_NO_MEMORY; }
void host_frames_free(struct host_frames *frames) { (void)frames; }
u8 *host_window_alloc(size_t bytes) { return (void)bytes, NULL; }
bool host_window_map(u8 *at, const struct host_frames *f, u64 offset, size_t bytes, bool w)
{
    return (void)at, (void)f, (void)offset, (void)bytes, (void)w, false;
}
bool host_window_protect(u8 *at, size_t bytes) { return (void)at, (void)bytes, false; }
bool host_window_unmap(u8 *at, size_t bytes) { return (void)at, (void)bytes, false; }
u64 host_fault_address(void) { return UINT64_MAX; }
enum status host_exec_alloc(size_t bytes, struct host_exec *memory)
{
    memory->rw = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory->rx = memory->rw; /* nothing is executed */
    memory->bytes = bytes;
    return STATUS_OK;
}
void host_exec_free(struct host_exec *memory) { (void)memory; }
bool host_fpu_volatile(void) { return false; }
bool host_stop_requested(void) { return false; }
void host_console_write(enum host_channel channel, u8 byte) { (void)channel, (void)byte; }
void host_log(const char *message) { (void)message; }


/* ---- A machine ---------------------------------------------------------------------------------- */

static inline void machine_create(void)
{
    const struct vm_config config = {.ram_bytes = 1 << 20, .model = cpu_model_find(CPU_MODEL_DEFAULT), .engine = &engine_sbe,
                                     .code_bytes = CODE_BYTES, .shadow_bytes = 16 << 13};
    arena = arena_next = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (vm_create(&vm, &config) != STATUS_OK)
        exit(2);
}

enum { PML4 = 0x10000, USER_PAGES = 7 };

/* Flat 32-bit code without paging, or 64-bit code in an identity map of 2 MiB. */
static inline void machine_enter(struct vcpu *v, bool wide, unsigned cpl)
{
    struct cpu *c = &v->cpu;
    u64 entries[] = {(PML4 + 0x1000) | USER_PAGES, (PML4 + 0x2000) | USER_PAGES, 0x80 | USER_PAGES};
    c->cr0 = CR0_PE | CR0_ET | (wide ? CR0_PG : 0);
    c->cr4 = (wide ? CR4_PAE : 0) | CR4_OSFXSR;
    c->efer = wide ? EFER_LME | EFER_LMA : 0;
    c->cr3 = PML4;
    for (unsigned n = 0; n < ARRAY_LEN(entries); n++)
        phys_write(vm, gpa(PML4 + n * 0x1000), &entries[n], 8);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        c->seg[n] = (struct segment){
            .selector = (u16)cpl,
            .attributes = (u16)(SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | SEG_G | (cpl ? SEG_DPL : 0) |
                          (n == SEG_CS && wide ? SEG_L : SEG_DB) | (n == SEG_CS ? SEG_CODE : 0)),
            .limit = 0xffffffff};
    memset(c->gpr, 0, sizeof c->gpr);
    c->gpr[RSP] = 0x8000;
    cpu_set_rflags_raw(c, FLAG_FIXED);
    c->cpl = (u8)cpl;
    tlb_flush(v);
    vcpu_update_mode(v);
}

#endif
