/* The value of --chaos: text to struct chaos_config and back. */
#ifndef REPRISE_SIM_CHAOS_OPTION_H
#define REPRISE_SIM_CHAOS_OPTION_H

#include "core/chaos.h"

/* "SEED", "SEED,KIND...", or "KIND..." with seed 1; a seed alone means every kind. False, with nothing changed, for
 * anything else. */
bool chaos_parse(const char *text, struct chaos_config *config);

/* As chaos_parse() reads it, always with seed and kinds. "" for no chaos. */
enum { CHAOS_TEXT_MAX = 48 };
void chaos_text(const struct chaos_config *config, char text[CHAOS_TEXT_MAX]);

#endif
