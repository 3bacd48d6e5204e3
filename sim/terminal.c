#include "sim/terminal.h"

#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum { ESCAPE = 'A' - '@' };

static struct termios saved, raw;
static volatile sig_atomic_t is_raw;

const char terminal_help[] = "\nCtrl-A x       end the run\n"
                             "Ctrl-A h       this help\n"
                             "Ctrl-A s       where the guest is\n"
                             "Ctrl-A Ctrl-A  send Ctrl-A to the guest\n";

void terminal_restore(void)
{
    if (!is_raw)
        return;
    is_raw = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &saved);
}

/* Stopped and continued from outside: a shell has set the terminal to its own taste meanwhile. */
static void on_continue(int signal)
{
    (void)signal;
    if (is_raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* A crash of ours must not leave the user without echo. The default action follows. */
static void on_crash(int signal)
{
    terminal_restore();
    raise(signal);
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_continue, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGCONT, &action, NULL);
    action = (struct sigaction){.sa_handler = on_crash, .sa_flags = (int)SA_RESETHAND};
    static const int crashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL};
    for (size_t n = 0; n < ARRAY_LEN(crashes); n++)
        sigaction(crashes[n], &action, NULL);
}

bool terminal_enter(void)
{
    if (!isatty(STDIN_FILENO) || tcgetpgrp(STDIN_FILENO) != getpgrp() || tcgetattr(STDIN_FILENO, &saved))
        return false;
    raw = saved;
    raw.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
    raw.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
    raw.c_cflag = (raw.c_cflag & ~(tcflag_t)(CSIZE | PARENB)) | CS8;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    catch_signals();
    atexit(terminal_restore);
    is_raw = 1;
    if (tcsetattr(STDIN_FILENO, TCSANOW, &raw)) {
        is_raw = 0;
        return false;
    }
    return true;
}

enum terminal_key terminal_filter(struct terminal_escape *escape, u8 byte)
{
    if (!escape->pending) {
        escape->pending = byte == ESCAPE;
        return byte == ESCAPE ? TERMINAL_NONE : TERMINAL_BYTE;
    }
    escape->pending = false;
    switch (byte) {
    case ESCAPE: return TERMINAL_BYTE;
    case 'x':
    case 'X': return TERMINAL_QUIT;
    case 's':
    case 'S': return TERMINAL_STATUS;
    case 'h':
    case 'H':
    case '?': return TERMINAL_HELP;
    default: return TERMINAL_NONE;
    }
}
