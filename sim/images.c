#include "sim/images.h"

#include "sim/files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { FILES_MAX = 2 + BOOT_MODULES_MAX, PATH_LENGTH_MAX = 4096 };

/* Everything that is read, and the images that point into it. */
struct images {
    struct file files[FILES_MAX];
    unsigned file_count;
    char module_path[BOOT_MODULES_MAX][PATH_LENGTH_MAX];
    struct boot_image initrd, modules[BOOT_MODULES_MAX];
    struct boot_images boot;
};

static bool read_image(struct images *images, const char *path, const char *text, u64 limit, struct boot_image *image,
                       char *message)
{
    struct file *file = &images->files[images->file_count];
    if (!file_read(path, limit, file, message))
        return false;
    images->file_count++;
    *image = (struct boot_image){.data = file->data, .size = file->size, .name = path, .text = text};
    return true;
}

/* "FILE STRING": the string goes to the guest. */
static bool read_module(struct images *images, unsigned n, const char *item, u64 limit, char *message)
{
    size_t length = strcspn(item, " ");
    if (!length || length >= PATH_LENGTH_MAX) {
        snprintf(message, IMAGES_MESSAGE_MAX,
                 "--module: \"%.80s\" does not begin with a file name; write \"FILE STRING\"", item);
        return false;
    }
    memcpy(images->module_path[n], item, length);
    const char *text = item + length + (item[length] == ' ');
    return read_image(images, images->module_path[n], text, limit, &images->modules[n], message);
}

static bool read_all(struct images *images, const struct run_options *o, char *message)
{
    struct boot_images *b = &images->boot;
    *b = (struct boot_images){.append = o->append, .modules = images->modules};
    if (!read_image(images, o->kernel, "", o->memory, &b->kernel, message))
        return false;
    if (o->initrd && !read_image(images, o->initrd, "", o->memory, &images->initrd, message))
        return false;
    b->initrd = o->initrd ? &images->initrd : NULL;
    for (; b->module_count < o->modules.count; b->module_count++)
        if (!read_module(images, b->module_count, o->modules.item[b->module_count], o->memory, message))
            return false;
    return true;
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

bool images_boot(struct vm *vm, const struct run_options *options, struct boot_report *report,
                 char message[IMAGES_MESSAGE_MAX])
{
    static struct images images; /* too large for a stack; one boot at a time */
    memset(&images, 0, sizeof images);
    bool ok = read_all(&images, options, message);
    if (ok && boot_load(vm, &images.boot, report) != STATUS_OK) {
        describe(report, message);
        ok = false;
    }
    for (unsigned n = 0; n < images.file_count; n++)
        file_free(&images.files[n]);
    return ok;
}
