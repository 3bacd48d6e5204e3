#include "sim/images.h"

#include "sim/log_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool add_image(struct image_set *set, enum log_image_kind kind, const char *path, size_t length,
                      const char *text)
{
    unsigned n = set->count;
    if (length >= sizeof set->paths[n])
        return false;
    memcpy(set->paths[n], path, length);
    set->paths[n][length] = 0;
    set->item[n] = (struct log_image){.kind = kind, .path = set->paths[n], .text = text};
    set->count++;
    return true;
}

/* "FILE STRING": the string goes to the guest. */
static bool add_module(struct image_set *set, const char *item, char *message)
{
    size_t length = strcspn(item, " ");
    if (length && add_image(set, LOG_IMAGE_MODULE, item, length, item + length + (item[length] == ' ')))
        return true;
    snprintf(message, IMAGES_MESSAGE_MAX, "--module: \"%.80s\" does not begin with a file name; write \"FILE STRING\"",
             item);
    return false;
}

static bool add_file(struct image_set *set, enum log_image_kind kind, const char *path, char *message)
{
    if (add_image(set, kind, path, strlen(path), ""))
        return true;
    snprintf(message, IMAGES_MESSAGE_MAX, "%.200s...: the path is too long; give a shorter one", path);
    return false;
}

bool images_from_options(struct image_set *set, const struct run_options *o, char message[IMAGES_MESSAGE_MAX])
{
    set->count = 0;
    set->append = o->append;
    set->limit = o->memory;
    set->known = false;
    set->log = NULL;
    if (!add_file(set, LOG_IMAGE_KERNEL, o->kernel, message) ||
        (o->initrd && !add_file(set, LOG_IMAGE_INITRD, o->initrd, message)))
        return false;
    for (unsigned n = 0; n < o->modules.count; n++)
        if (!add_module(set, o->modules.item[n], message))
            return false;
    return true;
}

void images_from_log(struct image_set *set, struct log_reader *log)
{
    const struct log_machine *m = &log->machine;
    memcpy(set->item, m->images, sizeof set->item);
    set->count = m->image_count;
    set->append = m->append;
    set->limit = m->ram_bytes;
    set->known = true;
    set->log = log;
}

/* An embedded image, into memory that file_free() gives back. */
static bool read_embedded(struct image_set *set, unsigned n, struct file *file, char *message)
{
    u64 size = set->item[n].size;
    *file = (struct file){0};
    if (!size)
        return true;
    void *memory = mmap(NULL, (size + 4095) & ~4095ull, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        snprintf(message, IMAGES_MESSAGE_MAX, "no memory for image %u of the log; free some", n);
        return false;
    }
    *file = (struct file){.data = memory, .size = size};
    if (log_read_image(set->log, n, file->data))
        return true;
    file_free(file);
    snprintf(message, IMAGES_MESSAGE_MAX,
             "image %u (%.200s) is not whole in the log, which was cut off or damaged; take another copy", n,
             set->item[n].path);
    return false;
}

/* Notes what was read, or compares it with what was read, or recorded, before. */
static bool check_contents(struct image_set *set, unsigned n, const struct file *file, char *message)
{
    struct log_image *item = &set->item[n];
    u8 hash[LOG_HASH_BYTES];
    if (!set->hash && !set->known)
        return true;
    log_hash_image(file->data, file->size, hash);
    if (!set->known) {
        item->size = file->size;
        memcpy(item->hash, hash, sizeof hash);
        return true;
    }
    if (item->size == file->size && !memcmp(item->hash, hash, sizeof hash))
        return true;
    snprintf(message, IMAGES_MESSAGE_MAX,
             "%.300s: is not the file that the run began with (its SHA-256 differs); put that one back, or record with "
             "--embed next time", item->path);
    return false;
}

static bool read_image(struct image_set *set, unsigned n, char *message)
{
    const struct log_image *item = &set->item[n];
    struct file *file = &set->files[n];
    if (item->embedded && set->log ? !read_embedded(set, n, file, message)
                                   : !file_read(item->path, set->limit, file, message))
        return false;
    set->held++;
    return check_contents(set, n, file, message);
}

static void describe(const struct boot_report *r, char *message)
{
    int n = 0;
    char sizes[80] = "", where[40] = "";
    if (r->has_offset)
        snprintf(where, sizeof where, " (at offset 0x%" PRIx64 ")", r->offset);
    if (r->need)
        snprintf(sizes, sizeof sizes, " (%" PRIu64 " bytes wanted, %" PRIu64 " there)", r->need, r->have);
    if (r->image)
        n = snprintf(message, IMAGES_MESSAGE_MAX, "%.300s: ", r->image);
    snprintf(message + n, (size_t)(IMAGES_MESSAGE_MAX - n), "%s%s%s; %s", r->what, where, sizes, r->action);
}

static bool boot(struct vm *vm, const struct image_set *set, struct boot_report *report, char *message)
{
    static struct boot_image image[LOG_IMAGES_MAX]; /* one boot at a time */
    for (unsigned n = 0; n < set->count; n++)
        image[n] = (struct boot_image){.data = set->files[n].data, .size = set->files[n].size,
                                       .name = set->item[n].path, .text = set->item[n].text};
    bool initrd = set->count > 1 && set->item[1].kind == LOG_IMAGE_INITRD;
    unsigned modules = initrd ? 2 : 1;
    const struct boot_images b = {
        .kernel = image[0],
        .initrd = initrd ? &image[1] : NULL,
        .append = set->append,
        .modules = &image[modules],
        .module_count = set->count - modules,
    };
    if (boot_load(vm, &b, report) == STATUS_OK)
        return true;
    describe(report, message);
    return false;
}

void images_release(struct image_set *set)
{
    for (unsigned n = 0; n < set->held; n++)
        file_free(&set->files[n]);
    set->held = 0;
}

bool images_boot_set(struct vm *vm, struct image_set *set, struct boot_report *report,
                     char message[IMAGES_MESSAGE_MAX])
{
    bool ok = true;
    images_release(set);
    for (unsigned n = 0; ok && n < set->count; n++)
        ok = read_image(set, n, message);
    ok = ok && boot(vm, set, report, message);
    set->known = set->known || (ok && set->hash);
    if (!ok || !set->keep)
        images_release(set);
    return ok;
}

bool images_boot(struct vm *vm, const struct run_options *options, struct boot_report *report,
                 char message[IMAGES_MESSAGE_MAX])
{
    static struct image_set set;
    return images_from_options(&set, options, message) && images_boot_set(vm, &set, report, message);
}
