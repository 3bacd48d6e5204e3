/* Exit codes of the program. A guest that leaves through port 0xF4 with value v gives (v << 1) | 1, always odd; every
 * code of ours is even, so that the two cannot be confused. */
#ifndef REPRISE_SIM_EXIT_CODE_H
#define REPRISE_SIM_EXIT_CODE_H

enum exit_code {
    EXIT_POWER_OFF = 0,
    EXIT_USAGE = 2,
    EXIT_GUEST = 4,
    EXIT_LIMIT = 6,
    EXIT_HOST = 8,
    EXIT_QUIT = 10,
    EXIT_IDLE = 12,
    EXIT_RESET = 14,
    EXIT_DIVERGED = 16,
    EXIT_LOG_OUT = 18,
    EXIT_NOT_THERE = 20,
};

/* For help and the manual page; ends with a NULL meaning. */
struct exit_code_info {
    const char *code;
    const char *meaning;
};
extern const struct exit_code_info exit_codes[];

#endif
