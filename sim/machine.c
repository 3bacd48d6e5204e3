#include "sim/machine.h"

#include "sim/complain.h"
#include "sim/engines.h"
#include "sim/exit_code.h"

#include <stdio.h>

struct vm_config machine_config(const struct run_options *o)
{
    return (struct vm_config){
        .ram_bytes = o->memory,
        .model = cpu_model_find(o->cpu),
        .engine = engine_find(o->engine),
        .debug_exit = o->debug_exit,
        .rtc_start = o->rtc,
        .chaos = o->chaos,
        .shadow_bytes = o->shadow_memory,
        .code_bytes = o->code_cache,
    };
}

int machine_create(struct vm **vm, const struct vm_config *config)
{
    char message[200];
    enum status status = vm_create(vm, config);
    if (status == STATUS_OK)
        return 0;
    if (status == STATUS_UNSUPPORTED && cpu_model_missing_on_host(config->model) == FEAT_BASE)
        snprintf(message, sizeof message, "--engine %s: this host's processor lacks BMI2, which it needs; use --engine interp",
                 config->engine->name);
    else if (status == STATUS_UNSUPPORTED)
        snprintf(message, sizeof message,
                 "--cpu %s: this host's processor lacks %s; `reprise list` shows models that work", config->model->name,
                 feature_name(cpu_model_missing_on_host(config->model)));
    else
        snprintf(message, sizeof message, "the host refuses memory for a guest of %llu MiB; give less with -m",
                 (unsigned long long)(config->ram_bytes >> 20));
    return complain(EXIT_HOST, message);
}
