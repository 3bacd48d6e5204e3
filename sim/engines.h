/* The engines that can be chosen with --engine. */
#ifndef REPRISE_SIM_ENGINES_H
#define REPRISE_SIM_ENGINES_H

#include "core/engine.h"

#define ENGINE_DEFAULT "sbe"

/* The n-th engine, or NULL past the last. */
const struct engine *engine_at(unsigned n);
const struct engine *engine_find(const char *name); /* NULL if unknown */

/* NULL, or in one line why this engine cannot be used here. */
const char *engine_missing(const struct engine *engine);

#endif
