/* A second look at a stretch in which a machine and its reference came to differ: from the last common state on, instruction by
 * instruction, with memory compared after each, so that what the table of known differences explains can be taken over
 * where it happens, before it spreads. */
#ifndef REPRISE_SIM_VERIFY_AGAIN_H
#define REPRISE_SIM_VERIFY_AGAIN_H

#include "sim/verify_base.h"
#include "sim/verify_pair.h"

/* Takes both machines of `p` back to `base` and its console (as recorded there), and runs them to icount `until`. PAIR_SAME and
 * PAIR_ENDED: every difference was explained. The console shows nothing twice. */
enum pair_state verify_again(struct verify_pair *p, const struct verify_base *base, const struct console_record *console,
                             u64 until);

#endif
