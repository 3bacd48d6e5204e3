#include "sim/ring.h"

#include "sim/log_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char suffix[] = ".rlog";

/* $XDG_STATE_HOME/reprise, or ~/.local/state/reprise (XDG Base Directory Specification 0.8). */
static bool find_folder(char folder[RING_PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = -1;
    if (state && state[0] == '/')
        n = snprintf(folder, RING_PATH_MAX, "%s/reprise", state);
    else if (home && home[0] == '/')
        n = snprintf(folder, RING_PATH_MAX, "%s/.local/state/reprise", home);
    return n > 0 && n < RING_PATH_MAX - 64; /* room for a log's name */
}

/* Creates the folder and those above it, like mkdir -p. *is_new if it was not there. */
static bool make_folder(const char *folder, bool *is_new)
{
    char part[RING_PATH_MAX];
    size_t length = strlen(folder);
    memcpy(part, folder, length + 1);
    for (size_t n = 1; n < length; n++) {
        if (part[n] != '/')
            continue;
        part[n] = 0;
        if (mkdir(part, 0700) && errno != EEXIST)
            return false;
        part[n] = '/';
    }
    *is_new = !mkdir(folder, 0700);
    return *is_new || errno == EEXIST;
}

static bool is_log(const char *name)
{
    size_t length = strlen(name);
    return length > sizeof suffix && !strcmp(name + length - (sizeof suffix - 1), suffix);
}

static int select_log(const struct dirent *entry) { return is_log(entry->d_name); }

/* Names begin with the time: their order is that of the runs. */
static int list(const char *folder, struct dirent ***names)
{
    int count = scandir(folder, names, select_log, alphasort);
    return count < 0 ? 0 : count;
}

static void free_list(struct dirent **names, int count)
{
    if (count <= 0)
        return;
    for (int n = 0; n < count; n++)
        free(names[n]);
    free(names);
}

static u64 size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : (u64)st.st_size;
}

/* Removes the log unless somebody is writing it. */
static bool remove_log(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool live = fd >= 0 && log_file_is_live(fd);
    if (fd >= 0)
        close(fd);
    return !live && !unlink(path);
}

/* Removes the oldest until there is room for one more of the largest size. */
static void prune(const char *folder)
{
    struct dirent **names = NULL;
    char path[RING_PATH_MAX + 300];
    int count = list(folder, &names), left = count;
    u64 bytes = 0;
    for (int n = 0; n < count; n++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[n]->d_name);
        bytes += size_of(path);
    }
    for (int n = 0; n < count && (left >= RING_LOGS_MAX || bytes > RING_BYTES_MAX - RING_LOG_BYTES_MAX); n++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[n]->d_name);
        u64 size = size_of(path);
        if (!remove_log(path))
            continue;
        left--;
        bytes -= size;
    }
    free_list(names, count);
}

static void announce(const char *folder)
{
    fprintf(stderr,
            "reprise: runs are recorded in %s (at most %llu MiB; the oldest go first). `reprise replay --last` "
            "repeats the newest; --no-record or REPRISE_RECORD=off records nothing. This is said once.\n",
            folder, RING_BYTES_MAX >> 20);
}

int ring_create(char path[RING_PATH_MAX])
{
    char folder[RING_PATH_MAX], stamp[32];
    struct timespec now;
    struct tm utc;
    bool is_new;
    if (!find_folder(folder) || !make_folder(folder, &is_new))
        return -1;
    prune(folder);
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", &utc);
    int length = snprintf(path, RING_PATH_MAX, "%s/%s.%03ld-%d%s", folder, stamp, now.tv_nsec / 1000000,
                          (int)getpid(), suffix);
    if (length >= RING_PATH_MAX)
        return -1;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    (void)log_file_lock(fd);
    if (is_new)
        announce(folder);
    return fd;
}

bool ring_newest(char path[RING_PATH_MAX], char *message, size_t room)
{
    char folder[RING_PATH_MAX];
    struct dirent **names = NULL;
    if (!find_folder(folder)) {
        snprintf(message, room, "--last: neither XDG_STATE_HOME nor HOME is set; name the log instead");
        return false;
    }
    int count = list(folder, &names);
    bool found = count > 0 && snprintf(path, RING_PATH_MAX, "%s/%s", folder, names[count - 1]->d_name) < RING_PATH_MAX;
    free_list(names, count);
    if (!found)
        snprintf(message, room, "--last: %.200s holds no runs; record one with `reprise run`, or name a log", folder);
    return found;
}
