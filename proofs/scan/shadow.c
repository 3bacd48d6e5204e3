/* scan_wx, spt_own, spt_self, spt_perm, spt_dirty, ft_type, ft_ref, for every history in a small world: all sequences of
 * operations on the real shadow MMU, with its real tracing of writes, up to a depth, after each of some beginnings. The
 * pool is as small as it may be, so that eviction takes part.
 *
 * After every operation the audit (mmu/shadow_audit.c) must find nothing, and no address space may allow, in any view, what
 * the guest's own tables do not: the second walk (mmu/reference_walk.h) says what they do. Nor may anything be left for
 * that walk to mark: present implies accessed, writable implies dirty. */
#include "proofs/scan/world.h"

#include "mmu/reference_walk.h"
#include "mmu/shadow_audit.h"
#include "mmu/shadow_state.h"

/* Pages of RAM: three roots' worth of tables, and what they map. */
enum { ROOT_A = 1, ROOT_B, PDPT, PD, PT, DATA_A, DATA_B, PT_OTHER };
static u64 page(unsigned n) { return (u64)n * PAGE_SIZE; }
static unsigned format, directory; /* directory: the table that holds entries for page tables */
static u64 large;                  /* linear address of the large page */

static void put_entry(unsigned table, unsigned index, u64 entry)
{
    unsigned bytes = format == SHADOW_32BIT ? 4 : 8;
    phys_write(&vm, gpa(page(table) + index * bytes), &entry, bytes);
}

/* ---- Operations --------------------------------------------------------------------------------- */

#define USER_BIT 0x100u
#define LARGE_BIT 0x200u
static void touch(u64 argument) /* linear page in bits 12 on, access in bits 0 and 1 */
{
    enum tlb_rights rights = argument & USER_BIT ? TLB_USER : TLB_SUPERVISOR;
    enum access access = (enum access)(argument & 3);
    u64 linear = (argument & ~(u64)PAGE_MASK) + (argument & LARGE_BIT ? large : 0);
    struct shadow_translation t = shadow_translate(&vcpu, linear, access, rights);
    if (t.ok && access == ACCESS_WRITE && t.page.raw < page(WORLD_PAGES) && !t.direct) {
        u64 data = page(DATA_B) | 7; /* may be an entry of a table */
        phys_write(&vm, t.page, &data, 8);
    }
}
static void store(u64 argument) { put_entry(argument & 0xff, argument >> 8 & 0xf, argument >> 16); }
#define STORE(table, index, entry) ((u64)(table) | (index) << 8 | (u64)(entry) << 16)
static void store_directory(u64 entry) { put_entry(directory, 0, entry); }
static void code(u64 n) { phys_watch_code(&vm, gpa(page((unsigned)n) + 8), 16); }
static void code_written(u64 n) { phys_write(&vm, gpa(page((unsigned)n) + 8), "", 1); }
static void load_cr3(u64 n)
{
    vcpu.cpu.cr3 = page((unsigned)n);
    shadow_select(&vcpu);
}
static void flip_cr0(u64 bits)
{
    vcpu.cpu.cr0 ^= bits;
    shadow_select(&vcpu);
}
static void flip_cr4(u64 bits)
{
    vcpu.cpu.cr4 ^= bits;
    shadow_select(&vcpu);
}
static void disturb(u64 random) { shadow_disturb(&vm, random); }

#define READ(page) ((page) << 12)
#define WRITE(page) ((page) << 12 | 1)
#define FETCH(page) ((page) << 12 | 2)
static const struct operation operations[] = {
    {"user reads 0", touch, READ(0) | USER_BIT},
    {"user writes 0", touch, WRITE(0) | USER_BIT},
    {"user fetches 0", touch, FETCH(0) | USER_BIT},
    {"supervisor writes 1", touch, WRITE(1)},
    {"supervisor reads 1", touch, READ(1)},
    {"supervisor writes its page table", touch, WRITE(2)},
    {"supervisor writes the alias of 0 in a large page", touch, WRITE(DATA_A) | LARGE_BIT},
    {"supervisor reads the alias of its page table", touch, READ(PT) | LARGE_BIT},
    {"entry 0 names the other page", store, STORE(PT, 0, 7 << 12 | 7)},
    {"entry 0 goes", store, STORE(PT, 0, 0)},
    {"entry 1 becomes writable", store, STORE(PT, 1, 7 << 12 | 7)},
    {"the directory names another table", store_directory, PT_OTHER << 12 | 7},
    {"code in the first page", code, DATA_A},
    {"code is written", code_written, DATA_A},
    {"the other address space", load_cr3, ROOT_B},
    {"the first address space", load_cr3, ROOT_A},
    {"WP", flip_cr0, CR0_WP},
    {"SMAP", flip_cr4, CR4_SMAP},
    {"a shadow page is dropped", disturb, 3},
};

/* ---- What must hold ------------------------------------------------------------------------------- */

static struct reference reference_of(const struct shadow_space_key *key)
{
    struct reference r = {.ram = vm.memory.ram, .ram_bytes = WORLD_RAM, .cr3 = key->table, .pse36 = true, .page1gb = true,
                          .pat = true};
    r.cr0 = CR0_PE | (key->format != SHADOW_OFF ? CR0_PG : 0) | (key->flags & ROLE_WRITE_PROTECT ? CR0_WP : 0);
    r.cr4 = (key->format >= SHADOW_PAE ? CR4_PAE : 0) | (key->flags & ROLE_PSE ? CR4_PSE : 0) |
            (key->flags & ROLE_SMEP ? CR4_SMEP : 0) | (key->flags & ROLE_HIDE_USER ? CR4_SMAP : 0);
    r.efer = (key->format == SHADOW_4LEVEL ? EFER_LMA : 0) | (key->flags & ROLE_NXE ? EFER_NXE : 0);
    return r;
}

/* Rights of the shadow tables for a page, as a processor finds them. */
struct allowed {
    bool present, write, fetch;
    u64 frame;
};

static struct allowed allowed_at(const struct shadow *s, u32 root, u64 linear)
{
    struct allowed a = {true, true, true, 0};
    u32 n = root;
    for (int shift = 39; shift >= 12; shift -= 9) {
        u64 entry = s->pool.entries[n * 512u + (linear >> shift & 511)];
        if (!n || !(entry & 1))
            return (struct allowed){0};
        a.write &= (entry & 2) != 0;
        a.fetch &= !(entry >> 63);
        a.frame = entry >> 12 & 0xffffffffff;
        n = shift > 12 ? (u32)(a.frame - s->domain.tables.first) : 0;
    }
    return a;
}

static bool honest(const struct shadow_space *space, unsigned view, u64 linear)
{
    static const enum reference_who who[] = {
        [TLB_SUPERVISOR] = BY_SUPERVISOR, [TLB_USER] = BY_USER, [TLB_SUPERVISOR_AC] = BY_SUPERVISOR_WITH_AC};
    struct reference r = reference_of(&space->key);
    struct allowed a = allowed_at(vm.shadow, space->root[view], linear);
    const bool can[] = {[DATA_READ] = a.present, [DATA_WRITE] = a.write, [CODE_FETCH] = a.fetch && view != TLB_SUPERVISOR};
    for (unsigned access = DATA_READ; a.present && access <= CODE_FETCH; access++) {
        if (!can[access])
            continue;
        struct reference_result got = reference_walk(&r, linear, (enum reference_access)access, who[view]);
        if (got.fault || got.physical >> 12 != a.frame)
            return false;
        for (unsigned n = 0; n < got.entries; n++)
            if (got.entry[n].before != got.entry[n].after)
                return false;
    }
    return true;
}

/* Is the address space that is selected the one of the registers? */
static bool selected(const struct shadow_space *space)
{
    bool wp = space->key.flags & ROLE_WRITE_PROTECT, smap = space->key.flags & ROLE_HIDE_USER;
    return space->used && space->key.table == vcpu.cpu.cr3 && wp == ((vcpu.cpu.cr0 & CR0_WP) != 0) &&
           smap == ((vcpu.cpu.cr4 & CR4_SMAP) != 0);
}

static const char *check(void)
{
    const u64 linears[] = {0, page(1), page(2), page(3), large, large + page(directory), large + page(PT),
                           large + page(DATA_A), large + page(DATA_B)};
    const struct shadow *s = vm.shadow;
    if (!selected(&s->space[s->current[0]]))
        return "another address space is selected than the registers say";
    for (unsigned n = 0; n < s->spaces; n++)
        for (unsigned at = 0; s->space[n].used && at < SHADOW_VIEWS * ARRAY_LEN(linears); at++)
            if (!honest(&s->space[n], at % SHADOW_VIEWS, linears[at / SHADOW_VIEWS]))
                return "a shadow entry allows what the guest's tables do not";
    return shadow_audit(&vm);
}

/* ---- Worlds --------------------------------------------------------------------------------------- */

/* Pages 0 and 1 are the two data pages, page 2 the page table itself, and from 2 MiB (4 MiB) on a large page over all. */
static void begin(unsigned as, bool warm)
{
    format = as;
    large = as == SHADOW_32BIT ? 4 << 20 : 2 << 20;
    directory = as == SHADOW_32BIT ? ROOT_A : PD;
    vcpu.cpu.cr0 = CR0_PE | CR0_PG | CR0_WP;
    vcpu.cpu.cr4 = as == SHADOW_32BIT ? CR4_PSE : CR4_PAE;
    vcpu.cpu.efer = as == SHADOW_4LEVEL ? EFER_LME | EFER_LMA | EFER_NXE : 0;
    for (unsigned n = 1; n < WORLD_PAGES; n++)
        memset(world_ram(page(n)), 0, PAGE_SIZE);
    for (unsigned root = ROOT_A; root <= ROOT_B && as == SHADOW_4LEVEL; root++)
        put_entry(root, 0, page(PDPT) | 7);
    put_entry(PDPT, 0, page(PD) | 7);
    if (as == SHADOW_32BIT)
        put_entry(ROOT_B, 0, page(PT) | 7);
    put_entry(directory, 0, page(PT) | 7);
    put_entry(directory, 1, 0x83);
    for (unsigned n = PT; n <= PT_OTHER; n += PT_OTHER - PT) {
        put_entry(n, 0, page(DATA_A) | 7);
        put_entry(n, 1, page(DATA_B) | 5);
        put_entry(n, 2, page(PT) | 3);
    }
    load_cr3(ROOT_A);
    for (unsigned n = 0; warm && n < 8; n++)
        operations[n].run(operations[n].argument);
}

int main(int count, char **arguments)
{
    static const unsigned formats[] = {SHADOW_4LEVEL, SHADOW_32BIT};
    unsigned depth = count > 1 ? (unsigned)atoi(arguments[1]) : 4, goals = 0;
    world_create(4 << 20);
    vm.config.model = &(const struct cpu_model){.features = {~0ull, ~0ull}};
    if (shadow_create(&vm, &(struct shadow_config){.pages = 16, .spaces = 2}, NULL) != STATUS_OK)
        return 1;
    world_save(DEPTH_MAX - 1);
    for (unsigned n = 0; n < 2 * ARRAY_LEN(formats); n++) {
        world_restore(DEPTH_MAX - 1);
        begin(formats[n / 2], n % 2);
        const char *wrong = check();
        if (wrong)
            world_broken(0, wrong);
        world_walk(operations, ARRAY_LEN(operations), 0, depth, check);
        goals++;
    }
    printf("goals %u %u cases %llu\n", goals, goals, (unsigned long long)histories);
    return 0;
}
