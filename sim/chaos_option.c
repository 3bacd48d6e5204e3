#include "sim/chaos_option.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum chaos_kind kind;
} kinds[] = {{"irq", CHAOS_IRQ}, {"clock", CHAOS_CLOCK}, {"tlb", CHAOS_TLB}};

/* The kind whose name is `length` characters at `text`; 0: none. */
static u32 find_kind(const char *text, size_t length)
{
    for (unsigned n = 0; n < ARRAY_LEN(kinds); n++)
        if (strlen(kinds[n].name) == length && !strncmp(kinds[n].name, text, length))
            return (u32)kinds[n].kind;
    return 0;
}

static bool parse_kinds(const char *text, u32 *found)
{
    for (*found = 0;; text++) {
        size_t length = strcspn(text, ",");
        u32 kind = find_kind(text, length);
        if (!kind)
            return false;
        *found |= kind;
        text += length;
        if (!*text)
            return true;
    }
}

bool chaos_parse(const char *text, struct chaos_config *config)
{
    struct chaos_config c = {.seed = 1, .kinds = CHAOS_ALL};
    char *end;
    if (!isdigit((unsigned char)*text)) {
        if (!parse_kinds(text, &c.kinds))
            return false;
        *config = c;
        return true;
    }
    errno = 0;
    c.seed = strtoull(text, &end, 0);
    if (errno || (*end && (*end != ',' || !parse_kinds(end + 1, &c.kinds))))
        return false;
    *config = c;
    return true;
}

void chaos_text(const struct chaos_config *config, char text[CHAOS_TEXT_MAX])
{
    int used = config->kinds ? snprintf(text, CHAOS_TEXT_MAX, "%" PRIu64, config->seed) : 0;
    text[used] = 0;
    for (unsigned n = 0; n < ARRAY_LEN(kinds); n++)
        if (config->kinds & kinds[n].kind)
            used += snprintf(text + used, CHAOS_TEXT_MAX - (size_t)used, ",%s", kinds[n].name);
}
