/* Kernel, initrd and modules from the host's files, or out of a log, into the guest. */
#ifndef REPRISE_SIM_IMAGES_H
#define REPRISE_SIM_IMAGES_H

#include "core/boot.h"
#include "core/vm.h"
#include "replay/log.h"
#include "sim/files.h"
#include "sim/options.h"

enum { IMAGES_MESSAGE_MAX = 800 };

/* What to boot, and what is known about it. Large: not for a stack. */
struct image_set {
    struct log_image item[LOG_IMAGES_MAX]; /* the kernel, the initrd if any, the modules */
    unsigned count;
    const char *append;
    u64 limit;              /* bytes of an image */
    bool hash;              /* note sizes and hashes when they are read for the first time */
    bool known;             /* sizes and hashes are known: what is read must be the same */
    struct log_reader *log; /* embedded images come from here; NULL: none are embedded */
    bool keep;              /* hold the contents after the boot, until images_release() */
    struct file files[LOG_IMAGES_MAX]; /* contents, while they are held */
    unsigned held;
    char paths[LOG_IMAGES_MAX][4096];
};

/* Texts point into the options. False with one line in `message` otherwise. */
bool images_from_options(struct image_set *set, const struct run_options *options, char message[IMAGES_MESSAGE_MAX]);
/* As the log says; texts point into it. The log must stay open. */
void images_from_log(struct image_set *set, struct log_reader *log);

/* Reads the images and boots them: boot_load(). Unless told to keep them holds nothing afterwards, so a second boot
 * reads them anew; if they are known, and have changed meanwhile, that is an error. False with one line in `message`
 * otherwise. */
bool images_boot_set(struct vm *vm, struct image_set *set, struct boot_report *report,
                     char message[IMAGES_MESSAGE_MAX]);

void images_release(struct image_set *set);

/* images_from_options() and images_boot_set(). */
bool images_boot(struct vm *vm, const struct run_options *options, struct boot_report *report,
                 char message[IMAGES_MESSAGE_MAX]);

#endif
