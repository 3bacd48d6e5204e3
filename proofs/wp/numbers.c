/* log_rd, log_prefix: the numbers that logs are made of. Reading one takes at least one byte and none behind the end, so that a
 * reader makes progress and stops; writing one keeps to its room. */
#include "replay/log_format.c"
