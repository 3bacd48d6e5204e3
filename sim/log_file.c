#include "sim/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <gcrypt.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* Fast: a chunk is small, and written while a guest waits. */
enum { LEVEL = 3 };

static size_t pack(const void *from, size_t bytes, void *to, size_t room)
{
    size_t n = ZSTD_compress(to, room, from, bytes, LEVEL);
    return ZSTD_isError(n) ? 0 : n;
}

static size_t unpack(const void *from, size_t bytes, void *to, size_t room)
{
    size_t n = ZSTD_decompress(to, room, from, bytes);
    return ZSTD_isError(n) ? 0 : n;
}

const struct log_codec log_codec_zstd = {.pack = pack, .unpack = unpack};

static int fd_of(void *context) { return (int)(intptr_t)context; }

static bool file_append(void *context, const void *from, size_t bytes)
{
    const u8 *at = from;
    while (bytes) {
        ssize_t n = write(fd_of(context), at, bytes);
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            bytes -= (size_t)n;
        }
    }
    return true;
}

static size_t file_read_at(void *context, u64 at, void *to, size_t bytes)
{
    size_t done = 0;
    while (done < bytes && at + done <= INT64_MAX) {
        ssize_t n = pread(fd_of(context), (u8 *)to + done, bytes - done, (off_t)(at + done));
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        if (n > 0)
            done += (size_t)n;
    }
    return done;
}

static u64 file_size(void *context)
{
    struct stat st;
    return fstat(fd_of(context), &st) ? 0 : (u64)st.st_size;
}

struct log_file log_file_of(int fd)
{
    return (struct log_file){
        .context = (void *)(intptr_t)fd, .append = file_append, .read = file_read_at, .size = file_size};
}

bool log_file_lock(int fd) { return !flock(fd, LOCK_EX | LOCK_NB); }

bool log_file_is_live(int fd)
{
    if (flock(fd, LOCK_SH | LOCK_NB))
        return errno == EWOULDBLOCK;
    flock(fd, LOCK_UN);
    return false;
}

void log_hash_image(const u8 *data, u64 size, u8 hash[LOG_HASH_BYTES])
{
    gcry_check_version(NULL);
    gcry_md_hash_buffer(GCRY_MD_SHA256, hash, data ? data : (const u8 *)"", size);
}
