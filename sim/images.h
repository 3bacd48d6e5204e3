/* Kernel, initrd and modules from the host's files into the guest. */
#ifndef REPRISE_SIM_IMAGES_H
#define REPRISE_SIM_IMAGES_H

#include "core/vm.h"
#include "sim/options.h"

enum { IMAGES_MESSAGE_MAX = 800 };

/* Reads the files and boots them: boot_load(). Holds nothing afterwards, so a second boot reads them anew.
 * False with one line in `message` otherwise. */
bool images_boot(struct vm *vm, const struct run_options *options, struct boot_report *report,
                 char message[IMAGES_MESSAGE_MAX]);

#endif
