/* tc_bounds, the lowest floor: whatever an emitter is asked for, it writes between where it stands and its end, never
 * moves beyond that, and by at most as many bytes as its contract says. */
#include "sbe/emit.h"
