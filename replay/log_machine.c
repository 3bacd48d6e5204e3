/* The machine's description in a log: written, read, and compared with what this build has. */
#include "replay/log_format.h"

static const char cut_off[] = "was written by something else than this program";
static const char newer[] = "replay it with the version of Reprise that wrote it";

static bool put_field(struct log_writer *w, enum field number, const void *data, size_t bytes)
{
    u8 head[2 * VARINT_MAX];
    unsigned used = varint_put(head, number);
    used += varint_put(head + used, bytes);
    if (used + bytes > LOG_PLAIN_MAX)
        return false;
    /* A field does not cross chunks. */
    if (w->used + used + bytes > LOG_PLAIN_MAX && !writer_end_chunk(w, CHUNK_MACHINE))
        return false;
    return writer_put_bytes(w, head, used) && writer_put_bytes(w, data, bytes);
}

static bool put_number(struct log_writer *w, enum field number, u64 value)
{
    u8 bytes[VARINT_MAX];
    return put_field(w, number, bytes, varint_put(bytes, value));
}

static bool put_text(struct log_writer *w, enum field number, const char *text)
{
    return put_field(w, number, text, strlen(text));
}

static bool put_model(struct log_writer *w, const struct log_machine *m)
{
    return put_text(w, FIELD_CPU, m->cpu) && put_text(w, FIELD_VENDOR, m->model.vendor) &&
           put_text(w, FIELD_BRAND, m->model.brand) && put_number(w, FIELD_SIGNATURE, m->model.signature) &&
           put_number(w, FIELD_MAX_BASIC, m->model.max_basic) &&
           put_number(w, FIELD_MAX_EXTENDED, m->model.max_extended) &&
           put_number(w, FIELD_FEATURES_0, m->model.features[0]) &&
           put_number(w, FIELD_FEATURES_1, m->model.features[1]);
}

static bool put_image(struct log_writer *w, const struct log_image *i)
{
    return put_number(w, FIELD_IMAGE, i->kind) && put_text(w, FIELD_IMAGE_PATH, i->path) &&
           put_text(w, FIELD_IMAGE_TEXT, i->text) && put_number(w, FIELD_IMAGE_SIZE, i->size) &&
           put_field(w, FIELD_IMAGE_HASH, i->hash, LOG_HASH_BYTES) && put_number(w, FIELD_IMAGE_EMBEDDED, i->embedded);
}

bool machine_put(struct log_writer *w, const struct log_machine *m)
{
    bool ok = put_number(w, FIELD_REVISION, LOG_MACHINE_REVISION) && put_number(w, FIELD_RAM, m->ram_bytes) &&
              put_number(w, FIELD_RTC, m->rtc_start) && put_number(w, FIELD_DEBUG_EXIT, m->debug_exit) &&
              put_number(w, FIELD_RESET_EXITS, m->reset_exits) && put_model(w, m) &&
              put_text(w, FIELD_APPEND, m->append);
    if (ok && m->chaos.kinds)
        ok = put_number(w, FIELD_CHAOS_SEED, m->chaos.seed) && put_number(w, FIELD_CHAOS_KINDS, m->chaos.kinds);
    for (unsigned n = 0; ok && n < m->image_count; n++)
        ok = put_image(w, &m->images[n]);
    return ok && put_text(w, FIELD_PROGRAM, m->program) && put_text(w, FIELD_ENGINE, m->engine) &&
           put_text(w, FIELD_HOST, m->host) && put_number(w, FIELD_STARTED, m->started) &&
           put_number(w, FIELD_INTERVAL, m->checkpoint_interval) && put_number(w, FIELD_WALL, m->wall) &&
           put_number(w, FIELD_END, 0);
}

/* ---- Reading -------------------------------------------------------------------------------------- */

static bool refuse(struct log_error *why, const char *what, const char *action)
{
    *why = (struct log_error){.what = what, .action = action};
    return false;
}

/* A copy of the bytes as a text, or NULL: no room, or a NUL in it. */
static const char *take_text(struct log_reader *r, const struct machine_field *f)
{
    char *text = r->text + r->text_used;
    size_t used = r->text_used + f->bytes + 1;
    if (used > LOG_TEXT_MAX)
        return NULL;
    for (size_t n = 0; n < f->bytes; n++)
        if (!f->data[n])
            return NULL;
    memcpy(text, f->data, f->bytes);
    text[f->bytes] = 0;
    r->text_used = used;
    return text;
}

static bool take_name(char *to, size_t room, const struct machine_field *f)
{
    if (f->bytes >= room)
        return false;
    memset(to, 0, room);
    memcpy(to, f->data, f->bytes);
    return true;
}

static bool take_number(const struct machine_field *f, u64 most, u64 *value)
{
    size_t at = 0;
    return varint_get(f->data, f->bytes, &at, value) && at == f->bytes && *value <= most;
}

/* Numbers go to a u64, then to their place. */
static bool take_machine_number(struct log_machine *m, const struct machine_field *f)
{
    u64 value;
    if (!take_number(f, UINT64_MAX, &value))
        return false;
    switch (f->number) {
    case FIELD_RAM: m->ram_bytes = value; return true;
    case FIELD_RTC: m->rtc_start = value; return true;
    case FIELD_DEBUG_EXIT: m->debug_exit = value; return value <= 1;
    case FIELD_RESET_EXITS: m->reset_exits = value; return value <= 1;
    case FIELD_CHAOS_SEED: m->chaos.seed = value; return true;
    case FIELD_CHAOS_KINDS: m->chaos.kinds = (u32)value; return value && value <= CHAOS_ALL;
    case FIELD_SIGNATURE: m->model.signature = (u32)value; return value <= UINT32_MAX;
    case FIELD_MAX_BASIC: m->model.max_basic = (u32)value; return value <= UINT32_MAX;
    case FIELD_MAX_EXTENDED: m->model.max_extended = (u32)value; return value <= UINT32_MAX;
    case FIELD_FEATURES_0: m->model.features[0] = value; return true;
    case FIELD_FEATURES_1: m->model.features[1] = value; return true;
    case FIELD_STARTED: m->started = value; return true;
    case FIELD_INTERVAL: m->checkpoint_interval = value; return true;
    case FIELD_WALL: m->wall = value; return value <= 1;
    default: return false;
    }
}

static bool take_machine_text(struct log_reader *r, const struct machine_field *f)
{
    struct log_machine *m = &r->machine;
    if (f->number == FIELD_VENDOR)
        return take_name(m->model.vendor, sizeof m->model.vendor, f);
    if (f->number == FIELD_BRAND)
        return take_name(m->model.brand, sizeof m->model.brand, f);
    const char *text = take_text(r, f);
    switch (f->number) {
    case FIELD_CPU: m->cpu = text; break;
    case FIELD_APPEND: m->append = text; break;
    case FIELD_PROGRAM: m->program = text; break;
    case FIELD_ENGINE: m->engine = text; break;
    case FIELD_HOST: m->host = text; break;
    default: return false;
    }
    return text != NULL;
}

static bool begin_image(struct log_machine *m, const struct machine_field *f)
{
    u64 kind;
    if (m->image_count == LOG_IMAGES_MAX || !take_number(f, LOG_IMAGE_MODULE, &kind))
        return false;
    m->images[m->image_count++] = (struct log_image){.kind = (enum log_image_kind)kind, .path = "", .text = ""};
    return true;
}

static bool take_image_field(struct log_reader *r, const struct machine_field *f)
{
    struct log_machine *m = &r->machine;
    if (!m->image_count)
        return false;
    struct log_image *i = &m->images[m->image_count - 1];
    u64 value = 0;
    switch (f->number) {
    case FIELD_IMAGE_PATH: i->path = take_text(r, f); return i->path != NULL;
    case FIELD_IMAGE_TEXT: i->text = take_text(r, f); return i->text != NULL;
    case FIELD_IMAGE_SIZE: return take_number(f, UINT64_MAX, &i->size);
    case FIELD_IMAGE_HASH:
        if (f->bytes == LOG_HASH_BYTES)
            memcpy(i->hash, f->data, LOG_HASH_BYTES);
        return f->bytes == LOG_HASH_BYTES;
    case FIELD_IMAGE_EMBEDDED:
        if (!take_number(f, 1, &value))
            return false;
        i->embedded = value;
        return true;
    default: return false;
    }
}

/* A log of another revision describes a machine that this build is not; what else it says may have another meaning. */
static bool take_revision(const struct machine_field *f, struct log_error *why)
{
    u64 revision;
    if (take_number(f, UINT64_MAX, &revision) && revision == LOG_MACHINE_REVISION)
        return true;
    *why = (struct log_error){.what = "machine revision", .wanted = revision, .have = LOG_MACHINE_REVISION,
                              .action = newer};
    return false;
}

bool machine_take_field(struct log_reader *r, const struct machine_field *f, struct log_error *why)
{
    bool ok;
    if (f->number >= FIELD_KNOWN && f->number < FIELD_FREE)
        return refuse(why, "its machine has something that this version does not know", newer);
    switch (f->number) {
    case FIELD_REVISION: return take_revision(f, why);
    case FIELD_CPU: case FIELD_VENDOR: case FIELD_BRAND: case FIELD_APPEND: case FIELD_PROGRAM: case FIELD_ENGINE:
    case FIELD_HOST:
        ok = take_machine_text(r, f);
        break;
    case FIELD_IMAGE: ok = begin_image(&r->machine, f); break;
    case FIELD_IMAGE_PATH: case FIELD_IMAGE_TEXT: case FIELD_IMAGE_SIZE: case FIELD_IMAGE_HASH:
    case FIELD_IMAGE_EMBEDDED:
        ok = take_image_field(r, f);
        break;
    case FIELD_END: ok = true; break;
    default: ok = f->number > FIELD_WALL || take_machine_number(&r->machine, f); break;
    }
    return ok || refuse(why, "the description of its machine is malformed", cut_off);
}

/* ---- Comparing ------------------------------------------------------------------------------------ */

static bool differs(struct log_error *why, const char *what, u64 wanted, u64 have)
{
    *why = (struct log_error){.what = what, .wanted = wanted, .have = have,
                              .action = newer};
    return wanted != have;
}

static bool text_differs(struct log_error *why, const char *what, const char *wanted, const char *have)
{
    *why = (struct log_error){.what = what, .wanted_text = wanted, .have_text = have,
                              .action = newer};
    size_t length = strlen(wanted);
    return length != strlen(have) || memcmp(wanted, have, length);
}

static bool model_differs(const struct cpu_model *log, const struct cpu_model *here, struct log_error *why)
{
    return text_differs(why, "processor vendor", log->vendor, here->vendor) ||
           text_differs(why, "processor brand", log->brand, here->brand) ||
           differs(why, "processor signature", log->signature, here->signature) ||
           differs(why, "highest basic CPUID leaf", log->max_basic, here->max_basic) ||
           differs(why, "highest extended CPUID leaf", log->max_extended, here->max_extended) ||
           differs(why, "processor features (first word)", log->features[0], here->features[0]) ||
           differs(why, "processor features (second word)", log->features[1], here->features[1]);
}

bool log_machine_matches(const struct log_machine *m, struct log_error *why)
{
    const struct cpu_model *here = cpu_model_find(m->cpu);
    const u64 mib = 1 << 20;
    if (!here) {
        text_differs(why, "processor model", m->cpu, "none of that name");
        return false;
    }
    if (model_differs(&m->model, here, why))
        return false;
    if (!m->ram_bytes || m->ram_bytes % mib || m->ram_bytes > 512ull << 30)
        return refuse(why, "its guest memory is no size that a machine has", cut_off);
    for (unsigned n = 0; n < m->image_count; n++)
        if (m->images[n].size > m->ram_bytes || (m->images[n].kind == LOG_IMAGE_KERNEL) != (n == 0) ||
            (m->images[n].kind == LOG_IMAGE_INITRD && n != 1))
            return refuse(why, "its images are none that a machine boots", cut_off);
    return m->image_count || refuse(why, "it names no kernel", cut_off);
}
