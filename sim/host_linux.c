#include "sim/host_linux.h"

#include "sim/terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 4096 };

struct channel {
    int fd;
    bool midline;
    size_t used;
    u8 buffer[BUFFER_BYTES];
};

static struct channel channels[HOST_CHANNELS] = {[0 ... HOST_CHANNELS - 1] = {.fd = -1}};
static host_console_tap *console_tap;
static void *console_tap_context;
static volatile sig_atomic_t stop_reason;
static bool output_lost;

void *host_alloc(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void host_free(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

/* Guard markers cost no mapping of their own; where the kernel has none (Linux before 6.13), each guarded piece does. */
bool host_guard(void *memory, size_t bytes)
{
    enum { GUARD_INSTALL = 102 }; /* MADV_GUARD_INSTALL, unknown to older C libraries */
    return madvise(memory, bytes, GUARD_INSTALL) == 0 || mprotect(memory, bytes, PROT_NONE) == 0;
}

void host_request_stop(enum stop_reason reason)
{
    if (!stop_reason)
        stop_reason = (sig_atomic_t)reason;
}

enum stop_reason host_stop_reason(void)
{
    return (enum stop_reason)stop_reason;
}

bool host_stop_requested(void)
{
    return stop_reason != STOP_REASON_NONE;
}

bool host_output_lost(void)
{
    return output_lost;
}

/* Writes everything; false if the other end is gone or the disk is full. */
static bool write_all(int fd, const u8 *from, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, from, bytes);
        if (n >= 0) {
            from += n;
            bytes -= (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            poll(&p, 1, 100);
        } else if (errno != EINTR) {
            return false;
        }
        if (bytes && host_stop_reason() == STOP_REASON_SIGNAL)
            return true; /* nobody may be reading any more */
    }
    return true;
}

static void flush_channel(struct channel *c)
{
    if (c->used && c->fd >= 0 && !write_all(c->fd, c->buffer, c->used)) {
        c->fd = -1;
        output_lost = true;
        host_request_stop(STOP_REASON_OUTPUT);
    }
    c->used = 0;
}

void host_console_attach(enum host_channel channel, int fd)
{
    channels[channel].fd = fd;
}

void host_console_set_tap(host_console_tap *tap, void *context)
{
    console_tap = tap;
    console_tap_context = context;
}

void host_console_write(enum host_channel channel, u8 byte)
{
    struct channel *c = &channels[channel];
    if (console_tap && !console_tap(console_tap_context, channel, byte))
        return;
    if (c->fd < 0)
        return;
    c->midline = byte != '\n';
    c->buffer[c->used++] = byte;
    if (byte == '\n' || c->used == BUFFER_BYTES)
        flush_channel(c);
}

void host_console_flush(void)
{
    for (unsigned n = 0; n < HOST_CHANNELS; n++)
        flush_channel(&channels[n]);
}

bool host_console_midline(int fd)
{
    for (unsigned n = 0; n < HOST_CHANNELS; n++)
        if (channels[n].fd == fd && channels[n].midline)
            return true;
    return false;
}

void host_log(const char *message)
{
    host_console_flush();
    fprintf(stderr, "reprise: %s\n", message);
}

void host_panic(const char *file, int line, const char *message)
{
    terminal_restore();
    fprintf(stderr, "\nreprise: a bug in reprise, at %s:%d: %s\nPlease report it with the command line.\n", file, line,
            message);
    abort();
}

/* Whether sanitizers are in this build; CMake defines the value. */
bool host_fpu_volatile(void)
{
    return REPRISE_FPU_VOLATILE;
}

static void on_signal(int signal)
{
    host_request_stop(signal == SIGALRM ? STOP_REASON_TIMEOUT : STOP_REASON_SIGNAL);
}

void host_catch_signals(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM};
    struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART: poll and write must return */
    sigemptyset(&action.sa_mask);
    for (size_t n = 0; n < ARRAY_LEN(signals); n++)
        sigaction(signals[n], &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

enum status host_start_timer(u64 ns)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    struct itimerspec when = {.it_value = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)}};
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &when, NULL))
        return STATUS_IO;
    return STATUS_OK;
}

u64 host_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (u64)now.tv_sec * 1000000000u + (u64)now.tv_nsec;
}
