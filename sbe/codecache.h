/* The code cache: translated blocks, how they are found, how they are chained, and how they die.
 *
 * A block is a straight piece of guest code in one page of RAM, or one instruction that crosses into a second; translated for
 * one RIP and one set of mode bits (struct block, `key`). Its sites are the places where translated code may call the interpreter for an instruction: accesses that
 * the tables do not know, exceptions, and instructions that are not translated. Its links are its direct jumps.
 *
 * A write to RAM kills the blocks that were made from the bytes written, and no others (core/engine.h, forget). The cache is
 * a ring of regions, each with its share of the code and of the records: when one is full, the next is emptied and goes on
 * being filled, so that the oldest code dies, a region at a time. Links into it go back to their stubs. Blocks are numbered, 0
 * is none.
 *
 * Immediates that are written again and again are soft: the block loads them from RAM, and lives on. */
#ifndef REPRISE_SBE_CODECACHE_H
#define REPRISE_SBE_CODECACHE_H

#include "core/host.h"
#include "sbe/insn.h"

enum {
    CACHE_CODE_BYTES = 8 << 20, /* unless vm_config.code_bytes says otherwise: at least CACHE_CODE_MIN */
    CACHE_CODE_MIN = 1 << 20,
    CACHE_HASH = 1 << 16,
    CACHE_REGIONS = 16,
    /* Bytes of code for each record: blocks of Linux have about 100, 1.6 sites and 1.5 links. */
    BYTES_PER_BLOCK = 96,
    BYTES_PER_SITE = 48,
    BYTES_PER_LINK = 56,
    BLOCK_INSNS = 64,       /* most instructions in a block */
    BLOCK_BYTES_MAX = 8192, /* most host bytes */
    BLOCK_SOFT = 4, /* most soft immediates */
};

struct block {
    u64 rip;
    u64 offset;  /* in RAM, of its first byte; of a partner: of the first byte that lies in its frame */
    u32 key;     /* block_key(); BLOCK_DEAD */
    u32 code;    /* offset in the cache: where direct jumps enter */
    u32 indirect; /* where indirect jumps enter, with the target in R10 */
    u32 end;
    u32 hash_next, frame_next, frame_before;
    u32 first_site, first_link, incoming; /* incoming: list of links that jump here directly */
    u16 sites, links;
    u16 bytes;   /* of guest code, in the frame of `offset` */
    u16 soft_at[BLOCK_SOFT]; /* soft immediates: from `offset` on */
    u8 soft_size[BLOCK_SOFT];
    u8 softs;
    u8 insns;
    u8 class; /* of its key: which table its indirect jumps go through */
    u32 partner; /* of a block whose instruction crosses a page: a record in the list of the second frame; and back */
};
#define BLOCK_DEAD 0x80000000u

enum site_kind { SITE_PLAIN, SITE_LAST, SITE_RETURN }; /* LAST: nothing stands behind it in the block */

struct site {
    struct insn insn;
    u64 rip;
    u32 block;
    u32 resume;   /* offset in the cache: behind the instruction */
    u32 begin;    /* offset in the cache of its first host instruction: from there to `resume`, exceptions are its own */
    u8 remaining; /* instructions of the block from this one on */
    u8 kind;      /* enum site_kind */
    u8 faults;    /* how often an exception led here; stays at 255 */
};

struct link {
    u64 rip;     /* target */
    u32 block;   /* whose jump it is */
    u32 jump;    /* offset in the cache of the jump's displacement */
    u32 stub;    /* where it goes while it is not chained */
    u32 target;  /* block, or 0 */
    u32 next, before; /* in the target's list */
};

enum { CROSSING_BITS = 1 << 16 };

enum { CALLED_ROWS = 1024 }; /* at least isa_row_count */

/* Instructions known by a hash of where they lie. One that is taken for another is slower for it, not wrong. */
struct learned {
    u64 bits[CROSSING_BITS / 64];
};

/* The same, with how often. */
struct counted {
    u8 times[CROSSING_BITS];
};

struct heat;

struct sbe {
    struct host_exec code;
    u32 code_limit; /* bytes */
    u32 code_start; /* regions begin there, behind the fixed stubs, */
    struct region_share {
        u32 code, blocks, sites, links;
    } share; /* of each: bytes, and numbers of records */
    u32 region; /* that is being filled: */
    u32 code_used, blocks_used, sites_used, links_used; /* as far as that */
    u32 region_code[CACHE_REGIONS], region_blocks[CACHE_REGIONS]; /* the same of the others */
    u64 discards; /* counts what makes numbers of blocks, sites and links mean others afterwards */
    /* Fixed stubs, by width of the guest's code: [0] 32 bits, [1] 64 bits. indirect_exit is what the tables of jumps
     * hold where nothing is remembered. */
    const u8 *enter[2], *site_exit[2], *link_exit[2], *budget_exit[2], *indirect_exit[2];
    u64 epoch;     /* physmem.epoch that the jump tables belong to */
    u32 jump_log_used;
    u32 class_keys[JUMP_CLASSES];
    u8 classes; /* in use */
    bool serialize; /* code has been written since it last ran */
    u16 jump_log[JUMP_CLASSES * JUMP_SLOTS];
    u32 hash[CACHE_HASH];
    struct learned crossing; /* instructions whose operands cross pages */
    struct counted patched;  /* places that were written while they were code */
    u16 strain[CROSSING_BITS]; /* what faults in windows have cost instructions, by the same hash; at most STRAIN_BORNE */
    bool windows;            /* 32-bit code accesses memory in windows, or where `heat` says so */
    struct heat *heat;       /* sbe/heat.h; NULL: windows everywhere */
    u64 stop_at;             /* vcpu.stop_at when translated code was entered */
    u64 called[CALLED_ROWS]; /* how often translated code has left an instruction of this row to the interpreter */
    u32 *frames; /* by RAM page: list of its blocks */
    u64 frame_count;
    struct block *blocks;
    struct site *sites;
    struct link *links;
};

enum status codecache_create(struct vcpu *v);
void codecache_destroy(struct vcpu *v);

/* The block that begins at `offset` in RAM for this RIP and key, or 0. */
u32 codecache_find(const struct sbe *s, u64 offset, u64 rip, u32 key);

/* Is there space for one more block in the region, however large? */
bool codecache_has_space(const struct sbe *s);

/* Starts a new block of `bytes` of guest code; the next region is emptied first if space may run out. It is found from
 * codecache_commit() on. */
u32 codecache_begin(struct vcpu *v, u64 offset, u64 rip, u32 key);
void codecache_commit(struct sbe *s, u32 block, unsigned bytes);
/* The committed block's instruction goes on for `bytes` at `offset` in RAM: it dies with code there, too. */
void codecache_commit_rest(struct sbe *s, u32 block, u64 offset, unsigned bytes);
/* A record for the block under construction. */
u32 codecache_site(struct sbe *s, u32 block);
u32 codecache_link(struct sbe *s, u32 block);

/* Makes the link's jump go to `target` directly. */
void codecache_chain(struct sbe *s, u32 link, u32 target);

/* The class of a key that has one; else JUMP_CLASSES. */
static inline u32 codecache_class_known(const struct sbe *s, u32 key)
{
    u32 class = 0;
    while (class < s->classes && s->class_keys[class] != key)
        class++;
    return class < s->classes ? class : JUMP_CLASSES;
}

/* The class of a key, which is made if need be: when there are too many, all blocks and other classes go. */
u8 codecache_class(struct vcpu *v, u32 key);

/* Remembers the block as the target of indirect jumps to its RIP. */
void codecache_jump_remember(struct vcpu *v, u32 block);
void codecache_jump_forget_all(struct vcpu *v);

/* Kills one block; those made from `size` bytes at `offset`, all in one page of RAM; all. Returns the page's lines (of 64 bytes,
 * as bits) in which code is left. */
void codecache_kill(struct vcpu *v, u32 block);
u64 codecache_forget(struct vcpu *v, u64 offset, unsigned size);
void codecache_forget_all(struct vcpu *v);
/* The same, after a write: it does not hurt a block to have soft immediates written, and others are remembered. */
u64 codecache_written(struct vcpu *v, u64 offset, unsigned size);

/* Bytes of code in the cache; records of blocks, sites and links. */
struct codecache_use {
    u64 code, blocks, sites, links;
};
struct codecache_use codecache_use(const struct sbe *s);

/* A place was written while it was code. */
void codecache_patched(struct sbe *s, u64 offset);

/* Shall the immediate of `size` bytes at `offset` in RAM be soft in the block? Then it is from now on. */
bool codecache_soft(struct sbe *s, u32 block, u64 offset, unsigned size);

static inline u64 jump_slot(u64 rip) { return (rip >> 12 & 15) << 8 | (rip >> 2 & 255); } /* PEXT by JUMP_MASK */

/* An instruction at `offset` in RAM has crossed a page: it is told to look beforehand when it is translated again. */
void codecache_learn_crossing(struct vcpu *v, u64 offset);
bool codecache_crosses(const struct sbe *s, u64 offset);

/* Likewise: a fault in a window has cost it so much. When it has borne enough, the tables are better. It is remembered here and not
 * in the site, which code that changes itself has not for long. */
enum { STRAIN_BORNE = 400 };
void codecache_strain(struct vcpu *v, u64 offset, u16 cost);
bool codecache_strained(const struct sbe *s, u64 offset);

/* What a site's number carries when an exception led there. */
#define SITE_FAULTED 0x80000000u

/* Where execution goes on after an exception at `offset` of the code, for struct host_exec. */
bool codecache_landing(const void *context, u64 offset, struct host_landing *to);

static inline const u8 *codecache_rx(const struct sbe *s, u32 offset) { return s->code.rx + offset; }

#endif
