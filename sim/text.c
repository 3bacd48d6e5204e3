#include "sim/text.h"

#include <time.h>

void text_put(FILE *to, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, to);
}

/* Bytes of the UTF-8 sequence at `at`, 0 if it is none (RFC 3629). */
static unsigned sequence_length(const unsigned char *at)
{
    unsigned length = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : (at[0] & 0xf0) == 0xe0 ? 3 :
                      at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : 0;
    for (unsigned n = 1; n < length; n++)
        if ((at[n] & 0xc0) != 0x80)
            return 0;
    bool too_short = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool no_character = (at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90);
    return length > 1 && (too_short || no_character) ? 0 : length;
}

void text_put_json(FILE *to, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', to);
    while (*at) {
        unsigned length = sequence_length(at);
        if (*at == '"' || *at == '\\')
            fprintf(to, "\\%c", *at);
        else if (*at < 0x20)
            fprintf(to, "\\u%04x", *at);
        else if (length)
            fwrite(at, 1, length, to);
        else
            fputs("\\ufffd", to);
        at += length ? length : 1;
    }
    fputc('"', to);
}

void text_put_hex(FILE *to, const u8 *bytes, size_t count)
{
    for (size_t n = 0; n < count; n++)
        fprintf(to, "%02x", bytes[n]);
}

void text_put_time(FILE *to, u64 seconds)
{
    time_t when = (time_t)seconds;
    struct tm utc;
    char text[40];
    if (gmtime_r(&when, &utc) && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &utc))
        fputs(text, to);
    else
        fprintf(to, "second %llu", (unsigned long long)seconds);
}
