/* Where our decoder and Zydis differ on purpose. */
#ifndef REPRISE_SIM_TESTS_ZYDIS_EXCEPTIONS_H
#define REPRISE_SIM_TESTS_ZYDIS_EXCEPTIONS_H

#include "sim/tests/zydis_compare.h"

/* A difference matches an exception if all that is not NULL agrees. */
struct exception {
    enum verdict verdict;
    const char *isa_set; /* Zydis' name of the instruction set extension; a final * stands for any rest */
    const char *zydis;   /* Zydis' mnemonic */
    const char *ours;    /* mnemonic of our row */
    const char *what;    /* in which respect they differ */
    bool (*applies)(const struct comparison *c); /* further conditions */
    const char *reason;
};

extern const struct exception exceptions[];
extern const unsigned exception_count;

/* The first exception that explains the difference, or NULL. */
const struct exception *exception_find(const struct comparison *c);

#endif
