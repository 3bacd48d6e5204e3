/* The loader of Linux kernels: whatever bytes the image or the initrd holds, of whatever size, its headers are read, and the
 * kernel proper lies, within the image; the walk along a cpio archive ends. */
#include "core/boot_linux.c"
