/* The one error enumeration. Every function that can fail for a reason outside itself returns it. */
#ifndef REPRISE_CORE_STATUS_H
#define REPRISE_CORE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_NO_MEMORY,    /* the host refused memory */
    STATUS_BAD_IMAGE,    /* a kernel, initrd or module is malformed or unknown */
    STATUS_TOO_BIG,      /* an image does not fit guest memory, or a fixed capacity is exhausted */
    STATUS_BAD_ARGUMENT, /* contradictory or impossible configuration */
    STATUS_UNSUPPORTED,  /* valid, but needs something this host or build lacks */
    STATUS_IO,           /* the host failed to read or write */
};

#endif
