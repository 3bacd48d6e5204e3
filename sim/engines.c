#include "sim/engines.h"

#include "sim/bochs_engine.h"

#include <string.h>

static const struct engine *const engines[] = {&engine_interp, &engine_interp_shadow, &engine_sbe, &engine_sbe_window,
                                             &engine_sbe_auto, &engine_bochs};

const struct engine *engine_at(unsigned n)
{
    return n < ARRAY_LEN(engines) ? engines[n] : NULL;
}

const struct engine *engine_find(const char *name)
{
    const struct engine *e;
    for (unsigned n = 0; (e = engine_at(n)); n++)
        if (!strcmp(e->name, name))
            return e;
    return NULL;
}

const char *engine_missing(const struct engine *engine)
{
    return engine == &engine_bochs ? bochs_engine_missing() : NULL;
}
