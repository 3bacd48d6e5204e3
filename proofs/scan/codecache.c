/* scan_gen, scan_cross, tc_bounds, tc_entry, for every history in a small world: all sequences of operations on the real
 * translator, code cache and tracing of writes, up to a depth. What is translated is never entered: the functions that
 * translated code calls at its exits are called as it would.
 *
 * After every operation the audit (sbe/codecache_audit.c) must find nothing: blocks lie in their places, jumps lead to their
 * own stubs or to the entries of blocks that can run, blocks lie in frames whose writes are seen, in both if they cross.
 * And a block that can run was made from the bytes that are in RAM now. */
#include "proofs/scan/engine_host.h"

#include "mmu/shadow.h"
#include "mmu/shadow_audit.h"
#include "sbe/codecache_audit.h"
#include "sbe/translate.h"

enum { DEPTH_MAX = 8, PAGES = 4, BLOCKS_MAX = 512, CODE_MAX = 1 << 17 };

static const char *history[DEPTH_MAX];
static unsigned history_length;

static void broken(const char *what)
{
    printf("%s after:", what);
    for (unsigned n = 0; n < history_length; n++)
        printf(" %s,", history[n]);
    printf("\n");
    exit(1);
}
void host_panic(const char *file, int line, const char *message)
{
    printf("%s:%d: ", file, line);
    broken(message);
    exit(1);
}

/* ---- States ------------------------------------------------------------------------------------- */

/* What a block was made from: the bytes at its beginning, and where it goes on in a second page. */
struct origin {
    u64 rip;
    u32 key, code;
    u8 bytes[2], rest[2];
};

struct state {
    struct vcpu vcpu;
    struct vm vm;
    u8 *sbe_head, *code; /* ram: a hole follows each page */
    u8 ram[2 * PAGES * PAGE_SIZE], arena[ARENA_BYTES];
    struct block blocks[BLOCKS_MAX];
    struct site sites[BLOCKS_MAX];
    struct link links[BLOCKS_MAX];
    struct origin origin[BLOCKS_MAX];
    u32 blocks_used, code_used;
};

static struct vcpu *v;
static struct state *saved[DEPTH_MAX];
static struct origin origin[BLOCKS_MAX];
static u64 histories;

#define HEAD offsetof(struct sbe, blocks)

static void save(unsigned depth)
{
    struct state *s = saved[depth];
    const struct sbe *sbe = v->sbe;
    if (sbe->blocks_used > BLOCKS_MAX || sbe->sites_used > BLOCKS_MAX || sbe->links_used > BLOCKS_MAX || sbe->code_used > CODE_MAX)
        abort();
    memcpy(&s->vcpu, v, sizeof *v);
    memcpy(&s->vm, vm, sizeof *vm);
    memcpy(s->sbe_head, sbe, HEAD);
    memcpy(s->code, sbe->code.rw, sbe->code_used);
    memcpy(s->ram, vm->memory.ram, sizeof s->ram);
    memcpy(s->arena, arena, (size_t)(arena_next - arena));
    memcpy(s->blocks, sbe->blocks, sbe->blocks_used * sizeof sbe->blocks[0]);
    memcpy(s->sites, sbe->sites, sbe->sites_used * sizeof sbe->sites[0]);
    memcpy(s->links, sbe->links, sbe->links_used * sizeof sbe->links[0]);
    memcpy(s->origin, origin, sizeof origin);
}

static void restore(unsigned depth)
{
    const struct state *s = saved[depth];
    struct sbe *sbe = v->sbe;
    memcpy(v, &s->vcpu, sizeof *v);
    memcpy(vm, &s->vm, sizeof *vm);
    memcpy(sbe, s->sbe_head, HEAD);
    memcpy(sbe->code.rw, s->code, sbe->code_used);
    memcpy(vm->memory.ram, s->ram, sizeof s->ram);
    memcpy(arena, s->arena, (size_t)(arena_next - arena));
    memcpy(sbe->blocks, s->blocks, sbe->blocks_used * sizeof sbe->blocks[0]);
    memcpy(sbe->sites, s->sites, sbe->sites_used * sizeof sbe->sites[0]);
    memcpy(sbe->links, s->links, sbe->links_used * sizeof sbe->links[0]);
    memcpy(origin, s->origin, sizeof origin);
}

/* ---- Operations --------------------------------------------------------------------------------- */

/* A page of RAM is followed by a hole: addresses below are guest-physical, and linear. */
enum { A = 0x1000, B = 0x2000, FIRST = A + 0x10, SECOND = B + 0x10, CROSSING = A + 0xffd, RETURNS = A + 0x80 };

static void go_to(u64 rip)
{
    v->cpu.rip = rip;
    v->stop_at = v->cpu.icount + 1000000;
    sbe_indirect(v, rip); /* translates, and remembers the way */
}
/* The exit by a direct jump that is not chained yet, or is: translated code would not take that again. */
static void link_exit(u64 n)
{
    v->stop_at = v->cpu.icount + 1000000;
    if (n < v->sbe->links_used && !v->sbe->links[n].target && v->sbe->blocks[v->sbe->links[n].block].key != BLOCK_DEAD)
        sbe_link(v, (u32)n);
}
static void write_code(u64 at)
{
    u8 byte;
    phys_read(vm, gpa(at), &byte, 1);
    byte = byte == 0x90 ? 0x40 : 0x90; /* NOP, INC EAX */
    phys_write(vm, gpa(at), &byte, 1);
}
static void set_level(u64 cpl)
{
    v->cpu.cpl = (u8)cpl;
    v->cpu.seg[SEG_CS].selector = (u16)cpl;
    vcpu_update_mode(v);
}
static void learn(u64 offset) { codecache_learn_crossing(v, offset); }
static void forget_all(u64 unused)
{
    (void)unused;
    codecache_forget_all(v);
}
static void flush(u64 unused)
{
    (void)unused;
    tlb_flush(v);
}
static void shadow_page_goes(u64 random) { shadow_disturb(vm, random); }

static const struct {
    const char *name;
    void (*run)(u64 argument);
    u64 argument;
} operations[] = {
    {"to the first block", go_to, FIRST},
    {"to the second page", go_to, SECOND},
    {"to the block that crosses", go_to, CROSSING},
    {"to the return", go_to, RETURNS},
    {"link 1", link_exit, 1},
    {"link 2", link_exit, 2},
    {"link 3", link_exit, 3},
    {"the first block is written", write_code, FIRST},
    {"the second page is written", write_code, SECOND},
    {"the crossing instruction's rest is written", write_code, B + 1},
    {"level 3", set_level, 3},
    {"level 0", set_level, 0},
    {"an instruction learns", learn, RETURNS},
    {"everything is forgotten", forget_all, 0},
    {"a flush", flush, 0},
    {"a shadow page goes", shadow_page_goes, 1},
};

/* ---- What must hold ------------------------------------------------------------------------------- */

static void bytes_now(const struct block *b, struct origin *o)
{
    o->rip = b->rip;
    o->key = b->key;
    o->code = b->code;
    memcpy(o->bytes, physmem_host(&vm->memory, b->offset), sizeof o->bytes);
    memset(o->rest, 0, sizeof o->rest);
    if (b->partner)
        memcpy(o->rest, physmem_host(&vm->memory, v->sbe->blocks[b->partner].offset), sizeof o->rest);
}

static void check(void)
{
    const struct sbe *s = v->sbe;
    const char *wrong = codecache_audit(v);
    for (u32 n = 1; n < s->blocks_used && !wrong; n++) {
        const struct block *b = &s->blocks[n];
        struct origin now;
        if (b->key == BLOCK_DEAD)
            continue;
        bytes_now(b, &now);
        if (origin[n].rip != b->rip || origin[n].key != b->key || origin[n].code != b->code)
            origin[n] = now; /* it is new */
        if (memcmp(origin[n].bytes, now.bytes, sizeof now.bytes) || memcmp(origin[n].rest, now.rest, sizeof now.rest))
            wrong = "a block can run that was made from other bytes";
    }
    for (u32 n = s->blocks_used; n < BLOCKS_MAX; n++)
        origin[n].rip = UINT64_MAX;
    if (!wrong)
        wrong = shadow_audit(vm);
    if (wrong)
        broken(wrong);
}

static void walk(unsigned depth, unsigned left)
{
    if (!left)
        return;
    save(depth);
    for (unsigned n = 0; n < ARRAY_LEN(operations); n++) {
        history[depth] = operations[n].name;
        history_length = depth + 1;
        operations[n].run(operations[n].argument);
        histories++;
        check();
        walk(depth + 1, left - 1);
        restore(depth);
    }
}

/* ---- The machine ---------------------------------------------------------------------------------- */

static void put_code(u64 at, const char *bytes, unsigned count) { phys_write(vm, gpa(at), bytes, count); }
#define PUT(at, text) put_code(at, text, sizeof text - 1)

static void machine(void)
{
    machine_create();
    v = vm->vcpu[0];
    machine_enter(v, false, 0);
    PUT(FIRST, "\x90\x74\x02\x90\xe9\xf6\x0f\x00\x00");       /* nop; jz; nop; jmp into the second page */
    PUT(SECOND, "\x90\x75\xfd\xe9\xf8\xef\xff\xff");         /* nop; jnz to itself; jmp back */
    PUT(CROSSING, "\xb8\x01\x02\x03\x04\xeb\xf9");           /* mov eax, imm32, two bytes of it in the second page */
    PUT(RETURNS, "\x40\xc3");
}

int main(int count, char **arguments)
{
    unsigned depth = count > 1 ? (unsigned)atoi(arguments[1]) : 4;
    for (unsigned n = 0; n < DEPTH_MAX; n++) {
        saved[n] = malloc(sizeof *saved[n]);
        saved[n]->sbe_head = malloc(HEAD);
        saved[n]->code = malloc(CODE_MAX);
    }
    for (unsigned n = 0; n < BLOCKS_MAX; n++)
        origin[n].rip = UINT64_MAX;
    machine();
    check();
    walk(0, depth);
    /* And from a machine on that has translated everything, with all ways known. */
    for (unsigned n = 0; n < 7; n++)
        operations[n].run(operations[n].argument);
    check();
    if (v->sbe->blocks_used < 5)
        broken("nothing was translated");
    walk(0, depth);
    printf("goals 2 2 cases %llu\n", (unsigned long long)histories);
    return 0;
}
