/* From "different somewhere in these millions of instructions" to the first one: the guest is deterministic, so it can
 * be run again, as often as need be, to any point in between. */
#ifndef REPRISE_SIM_VERIFY_SEARCH_H
#define REPRISE_SIM_VERIFY_SEARCH_H

#include "sim/verify_base.h"
#include "sim/verify_options.h"
#include "sim/verify_report.h"

/* Every so many instructions RAM is compared too, and the state kept as the next base. With a reference only written pages
 * are looked at, so it is more often worth it to go on. */
u64 verify_period(const struct grain *grain, bool reference);

/* Runs on to `until`, cut by the grain and at every multiple of the period. */
enum pair_state verify_advance(struct verify_pair *p, u64 until, const struct verify_options *o);

struct verify_search {
    const struct verify_options *options;
    const struct verify_base *base; /* both were the same there */
    u64 base_at, seen_at;           /* icounts: of the base, and where a difference was seen */
    void (*progress)(u64 from, u64 to); /* NULL: silent */
};

/* Narrows the difference down and fills in *divergence. *at becomes a pair that stands at the first difference; the
 * caller destroys it. False if it does not show again, or the host gives no machines (with one line in `message` then);
 * *divergence may then be as it was, and *at holds no machines. The caller holds none meanwhile. */
bool verify_search(const struct verify_search *search, struct verify_divergence *divergence, struct verify_pair *at,
                   char message[IMAGES_MESSAGE_MAX]);

#endif
