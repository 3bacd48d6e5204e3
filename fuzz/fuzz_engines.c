/* Whole guests on two engines, from the same inputs as fuzz_guest: the whole state must be the same wherever both are
 * stopped. The engines are the first and the last of `reprise list`, or those of FUZZ_ENGINES=A,B. */
#include "core/cpuid.h"
#include "fuzz/fuzz.h"
#include "fuzz/guest_image.h"
#include "fuzz/pair.h"
#include "sim/engines.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct input {
    const uint8_t *data;
    size_t size;
};

static void load(void *context, struct vm *vm)
{
    const struct input *in = context;
    guest_input_load(vm, in->data, in->size);
}

static void choose_engines(const struct engine *engines[2])
{
    char names[80];
    const char *wanted = getenv("FUZZ_ENGINES");
    engines[0] = engines[1] = engine_at(0);
    for (unsigned n = 1; engine_at(n); n++)
        engines[1] = engine_at(n);
    if (!wanted)
        return;
    snprintf(names, sizeof names, "%s", wanted);
    char *comma = strchr(names, ',');
    FUZZ_CHECK(comma);
    *comma = 0;
    engines[0] = engine_find(names);
    engines[1] = engine_find(comma + 1);
    FUZZ_CHECK(engines[0] && engines[1]);
}

int fuzz_one(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    if (size < GUEST_INPUT_HEADER)
        return 0;
    struct pair_setup setup = {.model = guest_input_model(data), .limit = guest_input_limit(data), .load = load,
                               .context = &in};
    choose_engines(setup.engines);
    FUZZ_CHECK(pair_run(&setup, NULL).result != PAIR_DISAGREE);
    setup.cut_seed = guest_input_seed(data);
    FUZZ_CHECK(pair_run(&setup, NULL).result != PAIR_DISAGREE);
    return 0;
}
