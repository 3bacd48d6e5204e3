#include "sim/input.h"

#include "replay/input.h"
#include "sim/dump.h"
#include "sim/host_linux.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void show_status(struct vm *vm)
{
    fprintf(stderr, "\n[%s, %s: %" PRIu64 " instructions, %.6f virtual seconds, next ", vm->config.engine->name,
            vm->config.model->name, vm->vcpu[0]->cpu.icount, (double)vm_now(vm) / 1e9);
    dump_instruction(stderr, vm->vcpu[0]);
    fprintf(stderr, "]\n");
}

static void take_byte(struct input *input, struct vm *vm, u8 byte)
{
    switch (input->terminal ? terminal_filter(&input->escape, byte) : TERMINAL_BYTE) {
    case TERMINAL_NONE: return;
    case TERMINAL_BYTE:
        if (input->count < INPUT_QUEUE_BYTES)
            input->queue[(input->head + input->count++) % INPUT_QUEUE_BYTES] = byte;
        return;
    case TERMINAL_QUIT: host_request_stop(STOP_REASON_USER); return;
    case TERMINAL_HELP: fputs(terminal_help, stderr); return;
    case TERMINAL_STATUS: show_status(vm); return;
    }
}

/* Bytes that can be taken now. A full queue still lets the escape key through on a terminal: the user must be able to
 * leave a guest that does not listen; typed-ahead bytes beyond the queue are then lost. */
static size_t room(const struct input *input)
{
    u32 free_bytes = INPUT_QUEUE_BYTES - input->count;
    return free_bytes || !input->terminal ? free_bytes : 16;
}

bool input_poll(struct input *input, struct vm *vm, u64 wait_ns)
{
    u8 bytes[512];
    /* A stop signal just before ppoll() must not be slept over for long. */
    struct timespec wait = {wait_ns >= NS_PER_SECOND, wait_ns >= NS_PER_SECOND ? 0 : (long)wait_ns};
    size_t wanted = room(input) < sizeof bytes ? room(input) : sizeof bytes;
    struct pollfd p = {.fd = input->open && wanted ? STDIN_FILENO : -1, .events = POLLIN};
    if (host_stop_requested() || ppoll(&p, 1, &wait, NULL) <= 0)
        return false;
    ssize_t n = read(STDIN_FILENO, bytes, wanted);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return false;
    if (n <= 0)
        input->open = false;
    for (ssize_t i = 0; i < n; i++)
        take_byte(input, vm, bytes[i]);
    return true;
}

bool input_feed(struct input *input, struct vm *vm)
{
    bool any = false;
    while (input->count && input_deliver(vm, INPUT_SERIAL, 0, input->queue[input->head])) {
        input->head = (input->head + 1) % INPUT_QUEUE_BYTES;
        input->count--;
        any = true;
    }
    return any;
}
