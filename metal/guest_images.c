#include "metal/guest_images.h"

#include "core/host.h"
#include "metal/print.h"
#include "replay/sha256.h"

static bool missing(const char *name)
{
    print_all("reprise: there is no module \"", name, "\"; load it, or correct its name\n");
    return false;
}

/* Copies the first word of `text` to a name, and returns what follows. NULL: the word is too long. */
static const char *first_word(const char *text, char name[256])
{
    unsigned n = 0;
    for (; text[n] && text[n] != ' '; n++) {
        if (n == 255)
            return NULL;
        name[n] = text[n];
    }
    name[n] = 0;
    return text[n] ? text + n + 1 : text + n;
}

static bool add(struct guest_images *images, enum log_image_kind kind, const char *text, const struct boot_info *boot)
{
    char name[256];
    const char *rest = first_word(text, name);
    const struct boot_file *file = rest ? boot_file_find(boot, name) : NULL;
    if (!file)
        return missing(text);
    unsigned n = images->count++;
    images->item[n] = (struct log_image){.kind = kind, .path = file->name, .text = rest, .size = file->size};
    images->data[n] = file->data;
    return true;
}

bool guest_images_find(struct guest_images *images, const struct vmx *vmx, const struct boot_info *boot, bool hash)
{
    *images = (struct guest_images){.append = vmx->append};
    if (!add(images, LOG_IMAGE_KERNEL, vmx->kernel, boot) ||
        (vmx->initrd[0] && !add(images, LOG_IMAGE_INITRD, vmx->initrd, boot)))
        return false;
    for (unsigned n = 0; n < VMX_MODULES && vmx->module[n][0]; n++)
        if (!add(images, LOG_IMAGE_MODULE, vmx->module[n], boot))
            return false;
    for (unsigned n = 0; hash && n < images->count; n++)
        sha256(images->data[n], images->item[n].size, images->item[n].hash);
    return true;
}

static const char *base_name(const char *path)
{
    const char *name = path;
    for (; *path; path++)
        if (*path == '/')
            name = path + 1;
    return name;
}

static bool recall_embedded(struct guest_images *images, unsigned n, struct log_reader *log)
{
    u64 size = images->item[n].size;
    images->held[n] = size ? host_alloc(size) : NULL;
    images->data[n] = images->held[n];
    if (!size || (images->held[n] && log_read_image(log, n, images->held[n])))
        return true;
    print_all("reprise: image \"", images->item[n].path, "\" is not whole in the log; take another copy\n");
    return false;
}

static bool recall(struct guest_images *images, unsigned n, struct log_reader *log, const struct boot_info *boot)
{
    const struct log_image *item = &images->item[n];
    u8 hash[LOG_HASH_BYTES];
    if (item->embedded) {
        if (!recall_embedded(images, n, log))
            return false;
    } else {
        const struct boot_file *file = boot_file_find(boot, base_name(item->path));
        if (!file)
            return missing(base_name(item->path));
        if (file->size != item->size) {
            print_all("reprise: module \"", file->name, "\" has not the size of the file that the run began with\n");
            return false;
        }
        images->data[n] = file->data;
    }
    sha256(images->data[n], item->size, hash);
    if (!memcmp(hash, item->hash, sizeof hash))
        return true;
    print_all("reprise: \"", item->path, "\" is not what the run began with (its SHA-256 differs)\n");
    return false;
}

bool guest_images_recall(struct guest_images *images, struct log_reader *log, const struct boot_info *boot)
{
    const struct log_machine *m = &log->machine;
    *images = (struct guest_images){.append = m->append, .count = m->image_count};
    memcpy(images->item, m->images, sizeof images->item);
    for (unsigned n = 0; n < images->count; n++)
        if (!recall(images, n, log, boot))
            return false;
    return true;
}

void guest_images_release(struct guest_images *images)
{
    for (unsigned n = 0; n < images->count; n++) {
        if (images->held[n])
            host_free(images->held[n], images->item[n].size);
        images->held[n] = NULL;
    }
}

static void explain(const struct boot_report *why)
{
    print_all("reprise: ", why->image ? why->image : "the guest", ": ", why->what);
    if (why->has_offset) {
        print(" (at offset ");
        print_hex(why->offset);
        print(")");
    }
    if (why->need) {
        print(" (");
        print_decimal(why->need);
        print(" bytes wanted, ");
        print_decimal(why->have);
        print(" there)");
    }
    print_all("; ", why->action, "\n");
}

bool guest_images_boot(const struct guest_images *images, struct vm *vm)
{
    struct boot_image image[LOG_IMAGES_MAX];
    struct boot_report why;
    for (unsigned n = 0; n < images->count; n++)
        image[n] = (struct boot_image){.data = images->data[n], .size = images->item[n].size,
                                       .name = images->item[n].path, .text = images->item[n].text};
    bool initrd = images->count > 1 && images->item[1].kind == LOG_IMAGE_INITRD;
    unsigned modules = initrd ? 2 : 1;
    const struct boot_images b = {
        .kernel = image[0],
        .initrd = initrd ? &image[1] : NULL,
        .append = images->append,
        .modules = &image[modules],
        .module_count = images->count - modules,
    };
    if (boot_load(vm, &b, &why) == STATUS_OK)
        return true;
    explain(&why);
    return false;
}
