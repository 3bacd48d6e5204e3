#include "sim/exit_code.h"

#include <stddef.h>

const struct exit_code_info exit_codes[] = {
    {"0", "the guest powered itself off, or help was asked for"},
    {"2", "usage: an option, a kernel, an initrd or a module is wrong"},
    {"4", "the guest failed: a triple fault; registers and code are on stderr"},
    {"6", "a limit was reached: --timeout or --max-insns"},
    {"8", "the host failed: no memory, a file cannot be written, a processor feature is missing"},
    {"10", "the user ended the run: Ctrl-A x, or a signal"},
    {"12", "the guest halted for ever: nothing can wake it"},
    {"14", "the guest asked for a reset, with --reset exit"},
    {"16", "two runs that should be the same differ (verify, replay, diff); where, is on stderr"},
    {"18", "the log ends before the run did, or before the place that was asked for"},
    {"20", "what was asked for is not in the recorded run: an instruction beyond its end, an address that is not mapped, a write"
           " that never happened"},
    {"odd", "the guest wrote v to port 0xF4 with --debug-exit: (v << 1) | 1, in 8 bits"},
    {NULL, NULL},
};
