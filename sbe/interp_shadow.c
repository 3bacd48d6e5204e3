/* The interpreter with the product's memory management: what the shadow MMU gets wrong shows without the translator. */
#include "core/engine.h"
#include "core/vm.h"
#include "mmu/shadow.h"
#include "sbe/interp.h"

static enum status create(struct vcpu *v)
{
    enum status status = engine_interp.create(v);
    if (status != STATUS_OK)
        return status;
    const struct shadow_config config = shadow_config_of(v->vm);
    status = tlb_use_shadow(v->vm, &config);
    if (status != STATUS_OK)
        engine_interp.destroy(v);
    return status;
}

static void destroy(struct vcpu *v)
{
    shadow_destroy(v->vm);
    engine_interp.destroy(v);
}

static void run(struct vcpu *v) { engine_interp.run(v); }

const struct engine engine_interp_shadow = {
    .name = "interp-shadow",
    .summary = "the interpreter over shadow page tables, for testing them",
    .create = create,
    .destroy = destroy,
    .run = run,
};
