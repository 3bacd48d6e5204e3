/* The user's terminal as the guest's: raw while a guest runs, restored however the program ends; and the escape key. */
#ifndef REPRISE_SIM_TERMINAL_H
#define REPRISE_SIM_TERMINAL_H

#include "core/types.h"

/* What a key means after the escape key has been looked at. */
enum terminal_key {
    TERMINAL_NONE,   /* swallowed */
    TERMINAL_BYTE,   /* for the guest */
    TERMINAL_QUIT,
    TERMINAL_HELP,
    TERMINAL_STATUS,
};

/* Raw mode, if standard input is a terminal and we are in its foreground. True if it is now raw. */
bool terminal_enter(void);
/* Back to what it was. Async-signal-safe; may be called at any time, more than once. */
void terminal_restore(void);

struct terminal_escape {
    bool pending; /* the last byte was Ctrl-A */
};
enum terminal_key terminal_filter(struct terminal_escape *escape, u8 byte);

extern const char terminal_help[];

#endif
