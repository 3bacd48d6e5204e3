/* A log opened for replay, and the machine it describes: what every verb that looks at a recorded run starts from. */
#ifndef REPRISE_SIM_REPLAY_SESSION_H
#define REPRISE_SIM_REPLAY_SESSION_H

#include "core/engine.h"
#include "replay/replay.h"
#include "sim/images.h"

enum { SESSION_MESSAGE_MAX = IMAGES_MESSAGE_MAX };

struct replay_session {
    int fd;
    char path[4096];
    struct log_reader *reader; /* reader->machine says what ran */
    struct image_set images;
    struct vm *vm;        /* after session_create() */
    struct replay replay; /* started; the owner may set pulse and context, and verify before session_create() */
    char failure[SESSION_MESSAGE_MAX]; /* why the images could not be booted again: REPLAY_FAILED */
};

/* Opens the log at `path`; NULL: the newest of the ring. Creates no machine. False with one line in `message`
 * otherwise, and nothing held. *s is large: not for a stack. */
bool session_open(struct replay_session *s, const char *path, char message[SESSION_MESSAGE_MAX]);

/* Creates the machine, which must be one that this build has, on `engine`, and boots its images, which must be those
 * of the recorded run. The replay stands at its first instruction. Zero, or the exit code of what went wrong, which
 * the user has been told. */
int session_create(struct replay_session *s, const struct engine *engine);

/* icount of the last event that the log holds now. The reader stays where it is. */
u64 session_length(struct replay_session *s);

/* True while the program that writes the log lives: what replay_run() finds to be REPLAY_LOG_OUT may go on. */
bool session_is_live(const struct replay_session *s);

void session_close(struct replay_session *s);

#endif
