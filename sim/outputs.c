#include "sim/outputs.h"

#include "sim/host_linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool names_file(const char *output)
{
    return output && strcmp(output, "stdio") && strcmp(output, "stderr") && strcmp(output, "none");
}

/* Could `path` be opened for writing? Creates nothing. */
static bool output_check(const char *option, const char *path, char message[FILE_MESSAGE_MAX])
{
    char why[FILE_MESSAGE_MAX];
    struct stat st;
    bool plain = !stat(path, &st) && !S_ISDIR(st.st_mode) && strcmp(option, "stats");
    if (plain && !access(path, W_OK))
        return true;
    if (!plain && report_check(path, why))
        return true;
    if (plain)
        snprintf(why, sizeof why, "%.200s: %s; choose a file that you may write", path, strerror(errno));
    snprintf(message, FILE_MESSAGE_MAX, "--%s: %.370s", option, why);
    return false;
}

/* Everything is checked before the first file is truncated, so that an error leaves nothing half-written. */
static bool outputs_check(const struct run_options *o, const struct trace *trace, char message[FILE_MESSAGE_MAX])
{
    return (!names_file(o->serial) || output_check("serial", o->serial, message)) &&
           (!names_file(o->debug_console) || output_check("debug-console", o->debug_console, message)) &&
           (!trace->path || output_check("trace", trace->path, message)) &&
           (!o->record || output_check("record", o->record, message)) &&
           (!o->stats || output_check("stats", o->stats, message));
}

static bool attach(enum host_channel channel, const char *option, const char *where, char message[FILE_MESSAGE_MAX])
{
    int fd = -1;
    if (!strcmp(where, "stdio"))
        fd = STDOUT_FILENO;
    else if (!strcmp(where, "stderr"))
        fd = STDERR_FILENO;
    else if (strcmp(where, "none") && (fd = open(where, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        snprintf(message, FILE_MESSAGE_MAX, "--%s: %.200s: %s; choose a place where you may write", option, where,
                 strerror(errno));
        return false;
    }
    host_console_attach(channel, fd);
    return true;
}

bool outputs_open(const struct run_options *o, struct trace *trace, struct vm *vm, char message[FILE_MESSAGE_MAX])
{
    return outputs_check(o, trace, message) && attach(HOST_COM1, "serial", o->serial, message) &&
           attach(HOST_DEBUG_CONSOLE, "debug-console", o->debug_console, message) &&
           trace_start(trace, vm, message);
}
