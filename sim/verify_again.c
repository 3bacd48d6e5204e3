#include "sim/verify_again.h"

#include "mmu/access.h"

enum pair_state verify_again(struct verify_pair *p, const struct verify_base *base, const struct console_record *console,
                             u64 until)
{
    const struct grain single = {.kind = GRAIN_COUNT, .count = 1};
    bool shown = p->console.shown;
    for (unsigned n = 0; n < 2; n++)
        verify_base_restore(base, p->vm[n]);
    verify_pair_seek(p, &base->place);
    p->console = *console;
    p->console.shown = false;
    p->memory_each = true;
    enum pair_state state = verify_pair_run(p, until, &single);
    p->memory_each = false;
    p->console.shown = shown;
    return state;
}
