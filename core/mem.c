#include "core/mem.h"

typedef unsigned long long __attribute__((may_alias, aligned(1))) eight;
typedef unsigned __attribute__((may_alias, aligned(1))) four;

/* Guest operands are small, and REP has a start-up time: both ends, which may overlap, are read before either is
 * written. */
static void copy_small(void *to, const void *from, size_t bytes)
{
    char *d = to;
    const char *s = from;
    if (bytes >= 8) {
        eight first = *(const eight *)s, last = *(const eight *)(s + bytes - 8);
        *(eight *)d = first;
        *(eight *)(d + bytes - 8) = last;
    } else if (bytes >= 4) {
        four first = *(const four *)s, last = *(const four *)(s + bytes - 4);
        *(four *)d = first;
        *(four *)(d + bytes - 4) = last;
    } else if (bytes) {
        char first = s[0], middle = s[bytes / 2], last = s[bytes - 1];
        d[0] = first;
        d[bytes / 2] = middle;
        d[bytes - 1] = last;
    }
}

/* Likewise structs. The compiler must not take the loop for what it is. */
enum { COPY_BY_EIGHT = 192 };
static void copy_by_eight(void *to, const void *from, size_t bytes)
{
    char *d = to;
    const char *s = from;
    size_t last = bytes - 8;
    eight tail = *(const eight *)(s + last); /* which may overlap what is written (memmove) */
    for (size_t at = 0; at < last; at += 8) {
        *(eight *)(d + at) = *(const eight *)(s + at);
        __asm__ volatile("");
    }
    *(eight *)(d + last) = tail;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    void *d = to;
    if (bytes <= 16) {
        copy_small(to, from, bytes);
        return to;
    }
    if (bytes <= COPY_BY_EIGHT) {
        copy_by_eight(to, from, bytes);
        return to;
    }
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(bytes) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if (bytes <= 16) {
        copy_small(to, from, bytes);
        return to;
    }
    if ((size_t)((char *)to - (const char *)from) >= bytes)
        return memcpy(to, from, bytes);
    char *d = (char *)to + bytes - 1;
    const char *s = (const char *)from + bytes - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(bytes) : : "memory");
    return to;
}

void *memset(void *to, int byte, size_t bytes)
{
    void *d = to;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < bytes; i++)
        if (x[i] != y[i])
            return x[i] - y[i];
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}
