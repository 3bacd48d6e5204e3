#include "sim/progress.h"

#include "core/clock.h"
#include "sim/host_linux.h"

#include <stdio.h>
#include <unistd.h>

enum { WIDTH = 40 };
static const u64 redraw_ns = NS_PER_SECOND / 5;

void progress_start(struct progress *p, const char *what, u64 total)
{
    *p = (struct progress){.what = what, .total = total, .on = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO),
                           .shown_at = host_nanoseconds()};
}

void progress_show(struct progress *p, u64 done)
{
    if (!p->on || host_nanoseconds() - p->shown_at < redraw_ns)
        return;
    p->shown_at = host_nanoseconds();
    p->drawn = true;
    if (!p->total) {
        fprintf(stderr, "\r%s: %llu million instructions", p->what, (unsigned long long)(done / 1000000));
        return;
    }
    unsigned filled = (unsigned)(done >= p->total ? WIDTH : (u128)done * WIDTH / p->total);
    fprintf(stderr, "\r%s [%.*s%*s] %3u %%", p->what, (int)filled, "########################################",
            (int)(WIDTH - filled), "", (unsigned)(done >= p->total ? 100 : (u128)done * 100 / p->total));
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
