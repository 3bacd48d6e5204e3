/* Kernel, initrd and modules of a guest, from the boot modules or out of a log. */
#ifndef REPRISE_METAL_GUEST_IMAGES_H
#define REPRISE_METAL_GUEST_IMAGES_H

#include "core/vm.h"
#include "core/vmx.h"
#include "metal/boot_info.h"
#include "replay/log.h"

struct guest_images {
    struct log_image item[LOG_IMAGES_MAX];
    const u8 *data[LOG_IMAGES_MAX];
    void *held[LOG_IMAGES_MAX]; /* copies of images that were embedded in a log */
    unsigned count;
    const char *append;
};

/* Finds what the configuration names. Hashes are taken if `hash`. False, which the person has been told, if
 * something is not there. */
bool guest_images_find(struct guest_images *images, const struct vmx *vmx, const struct boot_info *boot, bool hash);
/* Finds what a log names: inside it, or among the modules; those must be what the run began with. */
bool guest_images_recall(struct guest_images *images, struct log_reader *log, const struct boot_info *boot);
void guest_images_release(struct guest_images *images);

/* Boots them. False, which the person has been told, if they are nothing that boots. */
bool guest_images_boot(const struct guest_images *images, struct vm *vm);

#endif
