/* The 16550A: in any state that satisfies uart_valid(), any of the accesses and received bytes. */
#include "eva/board.h"

#include "devices/uart.c"

static struct uart u;

static void access(void)
{
    struct device_env e = any_env();
    switch (any_below(6)) {
    case 0: uart_read(&u, any_u32(), &e); break;
    case 1: uart_write(&u, any_u32(), any_u8(), &e); break;
    case 2: uart_receive(&u, any_u8(), &e); break;
    case 3: uart_room(&u); break;
    case 4: uart_deadline(&u); break;
    default: uart_tick(&u, &e); break;
    }
}

void main(void)
{
    uart_reset(&u, any_below(4), any_below(16));
    if (!uart_valid(&u)) {
        //@ check valid_after_reset: \false;
    }
    any_bytes(&u, sizeof u);
    if (!uart_valid(&u))
        return;
    access();
    if (!uart_valid(&u)) {
        //@ check still_valid: \false;
    }
    REACHED(any_access);
}
