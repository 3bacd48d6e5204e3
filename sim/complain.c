#include "sim/complain.h"

#include "sim/host_linux.h"
#include "sim/terminal.h"

#include <stdio.h>
#include <unistd.h>

int complain(int code, const char *message)
{
    terminal_restore();
    host_console_flush();
    if (host_console_midline(STDOUT_FILENO) && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    fprintf(stderr, "reprise: %s\n", message);
    return code;
}
