#include "replay/record.h"

#include "core/vm.h"
#include "replay/hash.h"

static struct log_event at_present(const struct vm *vm, enum log_source source)
{
    return (struct log_event){
        .icount = vm->vcpu[0]->cpu.icount, .skipped_ns = vm->clock.skipped_ns, .source = source};
}

void recorder_start(struct recorder *r, struct vm *vm, struct log_writer *log, u64 interval)
{
    *r = (struct recorder){.log = log, .interval = interval, .next = interval ? interval : UINT64_MAX};
    (void)state_hash_remember(vm); /* without memory for it, hashes only cost more */
    vm->recorder = r;
}

void recorder_input(struct recorder *r, const struct input_place *place, enum input_source source, unsigned unit,
                    u64 value)
{
    static const u8 sources[INPUT_SOURCES] = {
        [INPUT_SERIAL] = LOG_SERIAL, [INPUT_KEYBOARD] = LOG_KEYBOARD, [INPUT_TIME] = LOG_TIME,
                                              [INPUT_MEMORY] = LOG_MEMORY};
    const struct log_event event = {.icount = place->icount, .skipped_ns = place->skipped_ns,
                                    .source = (enum log_source)sources[source], .unit = unit, .value = value};
    (void)log_put(r->log, &event); /* a log that takes no more says so at its end: log_writer.failed */
}

static void put_hash(struct recorder *r, struct vm *vm)
{
    input_settle(vm);
    struct log_event event = at_present(vm, LOG_CHECKPOINT);
    event.hash = state_hash(vm);
    (void)log_put(r->log, &event);
}

void recorder_checkpoint(struct recorder *r, struct vm *vm)
{
    u64 icount = vm->vcpu[0]->cpu.icount;
    if (icount < r->next || r->log->failed)
        return;
    put_hash(r, vm);
    r->next = icount - icount % r->interval + r->interval;
}

void recorder_flush(struct recorder *r, struct vm *vm)
{
    const struct log_event event = at_present(vm, LOG_MARK);
    /* Nothing new to say: no byte. */
    if (r->log->used || event.icount != r->log->icount || event.skipped_ns != r->log->skipped_ns)
        (void)log_put(r->log, &event);
    (void)log_flush(r->log);
}

void recorder_end(struct recorder *r, struct vm *vm, enum log_ending ending)
{
    input_settle(vm);
    struct log_event event = at_present(vm, LOG_END);
    event.hash = state_hash(vm);
    event.unit = (u32)ending;
    event.value = ending == LOG_END_DEBUG_EXIT ? vm->exit_value : 0;
    (void)log_put(r->log, &event);
}
