#include "sim/snapshot_file.h"

#include "replay/crc32c.h"
#include "replay/log.h"
#include "replay/snapshot.h"
#include "sim/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { LEVEL = 3, MODEL_BYTES = 32, GROW = 1 << 20 };
#define FILE_MAX (1ull << 40)
#define NO_PAGE UINT64_MAX

static const char magic[8] = "RpsSnap\n";

struct snapshot_start {
    char magic[8];
    u32 version;
    u32 crc; /* of the others */
    u64 body; /* bytes before compression */
};
_Static_assert(sizeof(struct snapshot_start) == 24, "the file's first bytes");

/* All that must agree before the state can mean the same. */
struct snapshot_header {
    u64 ram_bytes, rtc_start, chaos_seed;
    u32 chaos_kinds, zero, debug_exit, vcpus, revision, cpu_bytes, chipset_bytes, state_bytes;
    char model[MODEL_BYTES];
};
_Static_assert(sizeof(struct snapshot_header) == 88, "no padding goes into the file");

static bool refuse(char *message, const char *name, const char *what, const char *action)
{
    snprintf(message, SNAPSHOT_MESSAGE_MAX, "%.200s: %s; %s", name, what, action);
    return false;
}

static u32 start_crc(const struct snapshot_start *start)
{
    struct snapshot_start plain = *start;
    plain.crc = 0;
    return crc32c(0, &plain, sizeof plain);
}

/* ---- Writing ------------------------------------------------------------------------------------ */

/* A file being made, in memory. */
struct sink {
    ZSTD_CCtx *zstd;
    u8 *bytes;
    size_t used, room;
    u64 body; /* put so far */
    u32 crc;
    bool failed;
};

static bool grow(struct sink *s)
{
    size_t room = s->room + (s->room / 2 > GROW ? s->room / 2 : GROW);
    u8 *bytes = realloc(s->bytes, room);
    if (!bytes)
        return false;
    s->bytes = bytes;
    s->room = room;
    return true;
}

static void push(struct sink *s, const void *from, size_t bytes, ZSTD_EndDirective end)
{
    ZSTD_inBuffer in = {from, bytes, 0};
    size_t left = 1;
    while (!s->failed && (in.pos < in.size || (end == ZSTD_e_end && left))) {
        if (s->room - s->used < GROW / 2 && !grow(s)) {
            s->failed = true;
            return;
        }
        ZSTD_outBuffer out = {s->bytes, s->room, s->used};
        left = ZSTD_compressStream2(s->zstd, &out, &in, end);
        s->failed = ZSTD_isError(left);
        s->used = out.pos;
    }
}

static void put(struct sink *s, const void *from, size_t bytes)
{
    s->body += bytes;
    s->crc = crc32c(s->crc, from, bytes);
    push(s, from, bytes, ZSTD_e_continue);
}

static struct snapshot_header header_of(const struct vm *vm)
{
    struct snapshot_header h = {
        .ram_bytes = vm->config.ram_bytes, .rtc_start = vm->config.rtc_start, .debug_exit = vm->config.debug_exit,
        .chaos_seed = vm->config.chaos.seed, .chaos_kinds = vm->config.chaos.kinds,
        .vcpus = vm->vcpu_count, .revision = LOG_MACHINE_REVISION, .cpu_bytes = sizeof(struct cpu),
        .chipset_bytes = sizeof(struct chipset), .state_bytes = sizeof(struct machine_state)};
    snprintf(h.model, sizeof h.model, "%s", vm->config.model->name);
    return h;
}

static void put_pages(struct sink *s, const struct physmem *m)
{
    static const u8 zeros[PAGE_SIZE];
    for (u64 page = 0; page < physmem_pages(m); page++) {
        const u8 *host = physmem_pointer(m, physmem_page_address(m, page));
        if (!host || !m->written[page].interval || !memcmp(host, zeros, PAGE_SIZE))
            continue;
        put(s, &page, sizeof page);
        put(s, host, PAGE_SIZE);
    }
}

static void put_body(struct sink *s, struct vm *vm)
{
    static struct machine_state state;
    const struct snapshot_header header = header_of(vm);
    const u64 end = NO_PAGE;
    machine_state_save(vm, &state);
    put(s, &header, sizeof header);
    put(s, &state, sizeof state);
    put_pages(s, &vm->memory);
    put(s, &end, sizeof end);
    const u32 crc = s->crc;
    put(s, &crc, sizeof crc);
    push(s, NULL, 0, ZSTD_e_end);
}

bool snapshot_write(const char *path, struct vm *vm, char message[SNAPSHOT_MESSAGE_MAX])
{
    struct sink s = {.zstd = ZSTD_createCCtx(), .room = 2 * GROW};
    struct report_file file;
    s.bytes = malloc(s.room);
    s.failed = !s.zstd || !s.bytes || ZSTD_isError(ZSTD_CCtx_setParameter(s.zstd, ZSTD_c_compressionLevel, LEVEL));
    s.used = sizeof(struct snapshot_start);
    if (!s.failed)
        put_body(&s, vm);
    bool ok = !s.failed && report_open(path, &file, message);
    if (ok) {
        struct snapshot_start start = {.version = SNAPSHOT_VERSION, .body = s.body};
        memcpy(start.magic, magic, sizeof magic);
        start.crc = start_crc(&start);
        memcpy(s.bytes, &start, sizeof start);
        ok = report_commit(&file, (const char *)s.bytes, s.used, message);
    }
    if (s.failed)
        refuse(message, path, "no memory to compress the machine", "free some");
    ZSTD_freeCCtx(s.zstd);
    free(s.bytes);
    return ok;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

struct snapshot {
    char name[200];
    struct file file; /* empty if the bytes are the caller's */
    const u8 *bytes;
    u64 size;
    ZSTD_DCtx *zstd;
    ZSTD_inBuffer in;
    u32 crc;
    struct snapshot_header header;
};

/* Exactly `bytes` of the body. */
static bool get(struct snapshot *s, void *to, size_t bytes)
{
    ZSTD_outBuffer out = {to, bytes, 0};
    while (out.pos < bytes) {
        size_t before = out.pos, taken = s->in.pos;
        size_t result = ZSTD_decompressStream(s->zstd, &out, &s->in);
        if (ZSTD_isError(result) || (out.pos == before && s->in.pos == taken))
            return false;
    }
    s->crc = crc32c(s->crc, to, bytes);
    return true;
}

static bool damaged(const struct snapshot *s, char *message)
{
    return refuse(message, s->name, "the snapshot is damaged or cut off", "take it again");
}

/* A field that must be what this build has. */
static bool must_be(const struct snapshot *s, const char *field, u64 value, u64 here, char *message)
{
    if (value == here)
        return true;
    snprintf(message, SNAPSHOT_MESSAGE_MAX, "%s: %s is %" PRIu64 " in the snapshot and %" PRIu64 " here; use the "
             "version of reprise that took it", s->name, field, value, here);
    return false;
}

static bool check_header(struct snapshot *s, struct vm_config *config, char *message)
{
    const struct snapshot_header *h = &s->header;
    if (!must_be(s, "the machine's revision", h->revision, LOG_MACHINE_REVISION, message) ||
        !must_be(s, "the size of a processor's state", h->cpu_bytes, sizeof(struct cpu), message) ||
        !must_be(s, "the size of the devices' state", h->chipset_bytes, sizeof(struct chipset), message) ||
        !must_be(s, "the size of the state", h->state_bytes, sizeof(struct machine_state), message) ||
        !must_be(s, "the number of processors", h->vcpus, VCPU_MAX, message))
        return false;
    const struct cpu_model *model = memchr(h->model, 0, MODEL_BYTES) ? cpu_model_find(h->model) : NULL;
    if (!model)
        return refuse(message, s->name, "this build has no such processor model", "use the version that took it");
    if (!h->ram_bytes || h->ram_bytes % (1 << 20) || h->ram_bytes > 512ull << 30)
        return refuse(message, s->name, "no machine has that much memory", "take it again");
    if (h->chaos_kinds > CHAOS_ALL)
        return refuse(message, s->name, "this build has no such chaos", "use the version that took it");
    *config = (struct vm_config){
        .chaos = {.seed = h->chaos_seed, .kinds = h->chaos_kinds},
        .ram_bytes = h->ram_bytes, .rtc_start = h->rtc_start, .debug_exit = h->debug_exit, .model = model};
    return true;
}

static bool read_header(struct snapshot *s, struct vm_config *config, char *message)
{
    struct snapshot_start start;
    if (s->size < sizeof start || memcmp(s->bytes, magic, sizeof magic))
        return refuse(message, s->name, "this is no snapshot", "check the path");
    memcpy(&start, s->bytes, sizeof start);
    if (start.version != SNAPSHOT_VERSION)
        return must_be(s, "the format's version", start.version, SNAPSHOT_VERSION, message);
    s->in = (ZSTD_inBuffer){s->bytes, s->size, sizeof start};
    if (start.crc != start_crc(&start) || !s->zstd || !get(s, &s->header, sizeof s->header))
        return damaged(s, message);
    return check_header(s, config, message);
}

bool snapshot_open_bytes(struct snapshot_bytes from, struct snapshot **snapshot, struct vm_config *config,
                         char message[SNAPSHOT_MESSAGE_MAX])
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return refuse(message, from.name, "no memory to read it", "free some");
    snprintf(s->name, sizeof s->name, "%s", from.name);
    s->bytes = from.data;
    s->size = from.size;
    s->zstd = ZSTD_createDCtx();
    *snapshot = s;
    if (read_header(s, config, message))
        return true;
    snapshot_close(s);
    *snapshot = NULL;
    return false;
}

bool snapshot_open(const char *path, struct snapshot **snapshot, struct vm_config *config,
                   char message[SNAPSHOT_MESSAGE_MAX])
{
    struct file file;
    if (!file_read(path, FILE_MAX, &file, message))
        return false;
    const struct snapshot_bytes bytes = {file.data, file.size, path};
    if (!snapshot_open_bytes(bytes, snapshot, config, message)) {
        file_free(&file);
        return false;
    }
    (*snapshot)->file = file;
    return true;
}

static bool load_pages(struct snapshot *s, struct physmem *m)
{
    u8 contents[PAGE_SIZE];
    for (u64 page, next = 0;; next = page + 1) {
        if (!get(s, &page, sizeof page))
            return false;
        if (page == NO_PAGE)
            return true;
        if (page < next || page >= physmem_pages(m) || !get(s, contents, PAGE_SIZE) ||
            !physmem_load(m, physmem_page_address(m, page), contents, PAGE_SIZE))
            return false;
    }
}

bool snapshot_load(struct snapshot *s, struct vm *vm, char message[SNAPSHOT_MESSAGE_MAX])
{
    static struct machine_state state;
    u32 crc;
    bool whole = get(s, &state, sizeof state) && load_pages(s, &vm->memory);
    u32 wanted = s->crc;
    if (!whole || !get(s, &crc, sizeof crc) || crc != wanted)
        return damaged(s, message);
    if (!machine_state_valid(&state))
        return refuse(message, s->name, "no machine can come to the state in the snapshot", "take it again");
    machine_state_load(vm, &state);
    return true;
}

void snapshot_close(struct snapshot *s)
{
    ZSTD_freeDCtx(s->zstd);
    file_free(&s->file);
    free(s);
}
