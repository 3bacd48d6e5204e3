#include "sim/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const u64 chunk = 16 << 20;

static bool refuse(char *message, const char *path, const char *what, const char *action)
{
    snprintf(message, FILE_MESSAGE_MAX, "%.200s: %s; %s", path, what, action);
    return false;
}

static bool too_large(char *message, const char *path, u64 limit)
{
    snprintf(message, FILE_MESSAGE_MAX, "%.200s: is larger than the guest's memory (%llu MiB); give more with -m", path,
             (unsigned long long)(limit >> 20));
    return false;
}

/* Reads to the end, or one byte past the limit. *data grows as needed: pipes do not say how much is coming. */
static bool read_all(int fd, u64 limit, struct file *file, u64 *room)
{
    for (;;) {
        if (file->size == *room) {
            if (*room > limit)
                return true;
            void *grown = mremap(file->data, *room, *room + chunk, MREMAP_MAYMOVE);
            if (grown == MAP_FAILED)
                return false;
            file->data = grown;
            *room += chunk;
        }
        ssize_t n = read(fd, file->data + file->size, *room - file->size);
        if (n == 0 || (n > 0 && (file->size += (u64)n) > limit))
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
}

static bool read_open(int fd, const char *path, u64 limit, struct file *file, char *message)
{
    struct stat st;
    if (fstat(fd, &st))
        return refuse(message, path, strerror(errno), "check the file");
    if (S_ISDIR(st.st_mode))
        return refuse(message, path, "is a directory", "name a file in it");
    if (S_ISREG(st.st_mode) && (u64)st.st_size > limit)
        return too_large(message, path, limit);
    u64 room = S_ISREG(st.st_mode) ? ((u64)st.st_size + 4096) & ~4095ull : chunk;
    /* Faulting pages in one by one would cost more than reading does. Not mmap of the file itself: it may shrink. */
    int populate = S_ISREG(st.st_mode) ? MAP_POPULATE : 0;
    void *memory = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | populate, -1, 0);
    if (memory == MAP_FAILED)
        return refuse(message, path, "no memory to read it", "free some");
    *file = (struct file){.data = memory};
    bool ok = read_all(fd, limit, file, &room);
    if (!ok)
        refuse(message, path, strerror(errno), "check the file and its disk");
    if (ok && file->size > limit)
        ok = too_large(message, path, limit);
    /* Give back what a chunk had too much, so that file_free() needs no second size. */
    u64 kept = (file->size + 4095) & ~4095ull;
    if (!ok || !kept) {
        munmap(file->data, room);
        *file = (struct file){0};
    } else if (kept < room) {
        munmap(file->data + kept, room - kept);
    }
    return ok;
}

bool file_read(const char *path, u64 limit, struct file *file, char message[FILE_MESSAGE_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return refuse(message, path, strerror(errno), errno == ENOENT ? "check the path" : "check its permissions");
    bool ok = read_open(fd, path, limit, file, message);
    close(fd);
    return ok;
}

void file_free(struct file *file)
{
    if (file->data)
        munmap(file->data, (file->size + 4095) & ~4095ull);
    *file = (struct file){0};
}

bool report_open(const char *path, struct report_file *report, char message[FILE_MESSAGE_MAX])
{
    struct stat st;
    *report = (struct report_file){.path = path, .fd = -1};
    bool exists = !stat(path, &st);
    if (exists && S_ISDIR(st.st_mode))
        return refuse(message, path, "is a directory", "name a file in it");
    if (exists && !S_ISREG(st.st_mode)) {
        report->fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    } else if (exists && access(path, W_OK)) {
        return refuse(message, path, strerror(errno), "choose a file that you may write");
    } else if (snprintf(report->temporary, sizeof report->temporary, "%s.XXXXXX", path) <
               (int)sizeof report->temporary) {
        report->fd = mkostemp(report->temporary, O_CLOEXEC);
    } else {
        errno = ENAMETOOLONG;
    }
    if (report->fd < 0)
        return refuse(message, path, strerror(errno), "choose a place where you may write");
    return true;
}

static void discard(struct report_file *report)
{
    close(report->fd);
    if (report->temporary[0])
        unlink(report->temporary);
}

bool report_check(const char *path, char message[FILE_MESSAGE_MAX])
{
    struct report_file report;
    if (!report_open(path, &report, message))
        return false;
    discard(&report);
    return true;
}

static bool put(int fd, const char *text, size_t bytes)
{
    while (bytes) {
        ssize_t n = write(fd, text, bytes);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            text += n;
            bytes -= (size_t)n;
        }
    }
    return true;
}

/* mkostemp makes files that only their owner can read; a report gets the rights of an ordinary new file. */
static void set_mode(int fd)
{
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
}

bool report_commit(struct report_file *report, const char *text, size_t bytes, char message[FILE_MESSAGE_MAX])
{
    if (!put(report->fd, text, bytes)) {
        refuse(message, report->path, strerror(errno), "make room, or choose another place");
        discard(report);
        return false;
    }
    if (!report->temporary[0]) {
        close(report->fd);
        return true;
    }
    set_mode(report->fd);
    if (fsync(report->fd) || rename(report->temporary, report->path)) {
        refuse(message, report->path, strerror(errno), "choose another place");
        discard(report);
        return false;
    }
    close(report->fd);
    return true;
}
