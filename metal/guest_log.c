#include "metal/guest_log.h"

#include "core/host.h"
#include "core/version.h"
#include "metal/clock.h"
#include "metal/print.h"
#include "metal/processor.h"
#include "metal/serial.h"

/* At most this much of a run is missing when the machine fails. */
static const u64 flush_every_ns = NS_PER_SECOND / 4;

static bool append(void *context, const void *from, size_t bytes)
{
    serial_write((enum serial_port)(u64)context, from, bytes);
    return true;
}

static size_t read_nothing(void *context, u64 at, void *to, size_t bytes)
{
    (void)context, (void)at, (void)to, (void)bytes;
    return 0;
}

static u64 size_unknown(void *context)
{
    (void)context;
    return 0;
}

/* CPUID leaves 0x80000002 to 0x80000004: the name of the processor, which decides undefined flags. */
static const char *processor_name(char name[49])
{
    u32 words[12] = {0};
    for (u32 n = 0; n < 3; n++)
        processor_cpuid(0x80000002 + n, words + 4 * n);
    memcpy(name, words, sizeof words);
    name[48] = 0;
    while (*name == ' ')
        name++;
    return name;
}

static void describe(struct log_machine *m, const struct vm *vm, const struct vmx *vmx,
                     const struct guest_images *images, char processor[49])
{
    const struct vm_config *c = &vm->config;
    *m = (struct log_machine){
        .ram_bytes = c->ram_bytes,
        .rtc_start = c->rtc_start,
        .debug_exit = c->debug_exit,
        .reset_exits = vmx->reset_exits,
        .cpu = c->model->name,
        .model = *c->model,
        .append = images->append,
        .image_count = images->count,
        .program = REPRISE_VERSION,
        .engine = c->engine->name,
        .host = processor_name(processor),
        .started = clock_wall_seconds(),
        .checkpoint_interval = vmx->checkpoint,
        .wall = vmx->clock == VMX_CLOCK_WALL,
    };
    memcpy(m->images, images->item, sizeof m->images);
}

bool guest_log_start(struct guest_log *log, struct vm *vm, const struct vmx *vmx, const struct guest_images *images)
{
    static struct log_machine machine; /* one at a time */
    char processor[49];
    enum serial_port port = (enum serial_port)(SERIAL_COM2 + vmx->log - VMX_LOG_COM2);
    *log = (struct guest_log){0};
    if (vmx->log == VMX_LOG_NONE)
        return true;
    if (!serial_open(port)) {
        print("reprise: the machine has not the serial port of reprise.log; remove that line\n");
        return false;
    }
    const struct log_file file = {
        .context = (void *)(u64)port, .append = append, .read = read_nothing, .size = size_unknown};
    describe(&machine, vm, vmx, images, processor);
    log->writer = host_alloc(sizeof *log->writer);
    if (!log->writer || log_writer_open(log->writer, &file, NULL, &machine) != STATUS_OK) {
        print("reprise: the log cannot be written: no memory, or its texts are too long\n");
        if (log->writer)
            host_free(log->writer, sizeof *log->writer);
        log->writer = NULL;
        return false;
    }
    recorder_start(&log->recorder, vm, log->writer, vmx->checkpoint);
    guest_log_pulse(log, vm, true);
    return true;
}

void guest_log_pulse(struct guest_log *log, struct vm *vm, bool now)
{
    if (!log->writer || (!now && clock_ns() - log->flushed_at < flush_every_ns))
        return;
    recorder_flush(&log->recorder, vm);
    log->flushed_at = clock_ns();
}

void guest_log_finish(struct guest_log *log, struct vm *vm, enum log_ending ending)
{
    if (!log->writer)
        return;
    if (ending < LOG_ENDINGS)
        recorder_end(&log->recorder, vm, ending);
    (void)log_flush(log->writer);
    vm->recorder = NULL;
    host_free(log->writer, sizeof *log->writer);
    log->writer = NULL;
}

static size_t read_memory(void *context, u64 at, void *to, size_t bytes)
{
    const struct boot_file *file = context;
    size_t there = at < file->size ? file->size - at : 0;
    if (bytes > there)
        bytes = there;
    memcpy(to, file->data + at, bytes);
    return bytes;
}

static u64 memory_size(void *context) { return ((const struct boot_file *)context)->size; }

static bool append_nothing(void *context, const void *from, size_t bytes)
{
    (void)context, (void)from, (void)bytes;
    return false;
}

struct log_file guest_log_file(const struct boot_file *file)
{
    return (struct log_file){
        .context = (void *)file, .append = append_nothing, .read = read_memory, .size = memory_size};
}
