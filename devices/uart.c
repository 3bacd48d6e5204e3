#include "devices/uart.h"

#define IER_RDA 0x01u
#define IER_THRE 0x02u
#define IER_LINE 0x04u
#define IER_MODEM 0x08u
#define IER_MASK 0x0fu

#define IIR_NONE 0x01u
#define IIR_MODEM 0x00u
#define IIR_THRE 0x02u
#define IIR_RDA 0x04u
#define IIR_LINE 0x06u
#define IIR_TIMEOUT 0x0cu
#define IIR_FIFO 0xc0u

#define FCR_ENABLE 0x01u
#define FCR_CLEAR_RECEIVE 0x02u
#define FCR_KEPT 0xc9u /* trigger level, DMA mode, enable: what the clear commands leave */

#define LCR_BREAK 0x40u
#define LCR_DLAB 0x80u

#define MCR_OUT2 0x08u
#define MCR_LOOP 0x10u
#define MCR_MASK 0x1fu

#define LSR_DR 0x01u
#define LSR_OE 0x02u
#define LSR_BREAK 0x10u
#define LSR_ERRORS 0x1eu
#define LSR_THRE 0x20u
#define LSR_TEMT 0x40u
#define LSR_FIFO_ERROR 0x80u

#define MSR_DELTA_CTS 0x01u
#define MSR_DELTA_DSR 0x02u
#define MSR_TRAILING_RI 0x04u
#define MSR_DELTA_DCD 0x08u
#define MSR_DELTAS 0x0fu
#define MSR_RI 0x40u
#define MSR_CONNECTED 0xb0u /* DCD, DSR, CTS */

#define UART_CLOCK_HZ 1843200ull

static bool fifo_on(const struct uart *u) { return u->fcr & FCR_ENABLE; }
static unsigned capacity(const struct uart *u) { return fifo_on(u) ? UART_FIFO : 1; }

static unsigned trigger_level(const struct uart *u)
{
    static const u8 levels[4] = {1, 4, 8, 14};
    return fifo_on(u) ? levels[u->fcr >> 6] : 1;
}

/* Four times the time of one character with start, data, parity and stop bits. */
static u64 timeout_ns(const struct uart *u)
{
    unsigned bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);
    u64 divisor = u->divisor ? u->divisor : 65536;
    return 4 * bits * 16 * divisor * NS_PER_SECOND / UART_CLOCK_HZ;
}

/* Interrupt sources in their order of priority (data sheet, table IV). */
static u8 interrupt_id(const struct uart *u)
{
    if ((u->ier & IER_LINE) && (u->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((u->ier & IER_RDA) && u->count >= trigger_level(u))
        return IIR_RDA;
    if ((u->ier & IER_RDA) && u->timed_out)
        return IIR_TIMEOUT;
    if ((u->ier & IER_THRE) && u->thre_pending)
        return IIR_THRE;
    if ((u->ier & IER_MODEM) && (u->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void drive_irq(const struct uart *u, const struct device_env *e)
{
    bool wired = (u->mcr & (MCR_OUT2 | MCR_LOOP)) == MCR_OUT2;
    device_irq(e, u->line, wired && interrupt_id(u) != IIR_NONE);
}

/* The character timeout runs while the FIFO holds bytes and neither side touches it. */
static void restart_timeout(struct uart *u, u64 now)
{
    u->timed_out = 0;
    u->timeout_at = fifo_on(u) && u->count ? now + timeout_ns(u) : CLOCK_NEVER;
}

static void clear_receiver(struct uart *u)
{
    u->head = u->count = 0;
    u->lsr &= (u8)~(LSR_DR | LSR_FIFO_ERROR);
    u->timed_out = 0;
    u->timeout_at = CLOCK_NEVER;
}

void uart_reset(struct uart *u, unsigned index, unsigned line)
{
    memset(u, 0, sizeof(*u));
    u->index = (u8)index;
    u->line = (u8)line;
    u->divisor = 12;
    u->lsr = LSR_THRE | LSR_TEMT;
    u->msr = MSR_CONNECTED;
    u->timeout_at = CLOCK_NEVER;
}

/* LSR shows the error bits of the byte at the head of the queue, and bit 7 while any byte in the FIFO has some. */
static void show_head(struct uart *u)
{
    u->lsr &= (u8)~LSR_FIFO_ERROR;
    if (u->count == 0) {
        u->lsr &= (u8)~LSR_DR;
        return;
    }
    u->lsr |= (u8)(LSR_DR | u->error[u->head]);
    for (unsigned i = 0; i < u->count && fifo_on(u); i++)
        if (u->error[(u->head + i) % UART_FIFO])
            u->lsr |= LSR_FIFO_ERROR;
}

static void enqueue(struct uart *u, u8 byte, u8 error, u64 now)
{
    if (u->count >= capacity(u)) {
        u->lsr |= LSR_OE;
        if (fifo_on(u))
            return; /* the FIFO keeps what it has; the shift register is lost */
        u->count = 0; /* without it the new byte replaces the old one */
    }
    unsigned slot = (u->head + u->count) % UART_FIFO;
    u->fifo[slot] = byte;
    u->error[slot] = error;
    u->count++;
    show_head(u);
    restart_timeout(u, now);
}

void uart_receive(struct uart *u, u8 byte, const struct device_env *e)
{
    if (u->mcr & MCR_LOOP)
        return; /* the receiver is disconnected from the line */
    enqueue(u, byte, 0, e->now);
    drive_irq(u, e);
}

unsigned uart_room(const struct uart *u)
{
    return u->mcr & MCR_LOOP || u->count >= capacity(u) ? 0 : capacity(u) - u->count;
}

static u8 read_buffer(struct uart *u, u64 now)
{
    u8 byte = u->fifo[u->head];
    if (u->count == 0)
        return byte;
    u->error[u->head] = 0;
    if (u->count > 1 || fifo_on(u))
        u->head = (u8)((u->head + 1) % UART_FIFO);
    u->count--;
    show_head(u);
    restart_timeout(u, now);
    return byte;
}

static void transmit(struct uart *u, u8 byte, const struct device_env *e)
{
    u->thre_pending = 1; /* cleared by the write, raised by the transmitter that is empty again */
    if (u->mcr & MCR_LOOP)
        enqueue(u, (u8)(byte & (0xff >> (3 - (u->lcr & 3)))), 0, e->now);
    else
        device_console(e, u->index, byte);
}

/* The modem inputs: the far end's, or in loopback our own outputs DTR, RTS, OUT1, OUT2. */
static void update_modem(struct uart *u)
{
    u8 inputs = MSR_CONNECTED;
    if (u->mcr & MCR_LOOP)
        inputs = (u8)((u->mcr & 0x02) << 3 | (u->mcr & 0x01) << 5 | (u->mcr & 0x0c) << 4);
    u8 changed = (u8)((inputs ^ u->msr) >> 4);
    u8 deltas = changed & (MSR_DELTA_CTS | MSR_DELTA_DSR | MSR_DELTA_DCD);
    if ((changed & MSR_TRAILING_RI) && !(inputs & MSR_RI))
        deltas |= MSR_TRAILING_RI;
    u->msr = (u8)(inputs | (u->msr & MSR_DELTAS) | deltas);
}

static void write_fcr(struct uart *u, u8 value, u64 now)
{
    bool toggled = ((value ^ u->fcr) & FCR_ENABLE) != 0;
    if (toggled || ((value & FCR_ENABLE) && (value & FCR_CLEAR_RECEIVE)))
        clear_receiver(u);
    u->fcr = value & FCR_ENABLE ? value & FCR_KEPT : 0; /* other bits count only when FCR0 is written as 1 */
    restart_timeout(u, now);
}

static void write_lcr(struct uart *u, u8 value, u64 now)
{
    bool break_begins = (value & ~u->lcr & LCR_BREAK) && (u->mcr & MCR_LOOP);
    u->lcr = value;
    if (break_begins)
        enqueue(u, 0, LSR_BREAK, now);
}

void uart_write(struct uart *u, unsigned offset, u8 value, const struct device_env *e)
{
    bool dlab = u->lcr & LCR_DLAB;
    switch (offset) {
    case 0:
        if (dlab)
            u->divisor = (u16)((u->divisor & 0xff00) | value);
        else
            transmit(u, value, e);
        break;
    case 1:
        if (dlab) {
            u->divisor = (u16)((u->divisor & 0xff) | value << 8);
            break;
        }
        if (value & ~u->ier & IER_THRE)
            u->thre_pending = 1; /* the transmitter is empty: enabling the interrupt raises it */
        u->ier = value & IER_MASK;
        break;
    case 2: write_fcr(u, value, e->now); break;
    case 3: write_lcr(u, value, e->now); break;
    case 4:
        u->mcr = value & MCR_MASK;
        update_modem(u);
        break;
    case 7: u->scratch = value; break;
    default: break; /* LSR and MSR: writes are for factory tests */
    }
    drive_irq(u, e);
}

static u8 read_iir(struct uart *u)
{
    u8 id = interrupt_id(u);
    if (id == IIR_THRE)
        u->thre_pending = 0;
    return (u8)(id | (fifo_on(u) ? IIR_FIFO : 0));
}

static u8 read_lsr(struct uart *u)
{
    u8 value = u->lsr;
    u->lsr &= (u8)~LSR_ERRORS;
    if (u->count)
        u->error[u->head] = 0;
    show_head(u);
    return value;
}

u8 uart_read(struct uart *u, unsigned offset, const struct device_env *e)
{
    bool dlab = u->lcr & LCR_DLAB;
    u8 value;
    switch (offset) {
    case 0: value = dlab ? (u8)u->divisor : read_buffer(u, e->now); break;
    case 1: value = dlab ? (u8)(u->divisor >> 8) : u->ier; break;
    case 2: value = read_iir(u); break;
    case 3: value = u->lcr; break;
    case 4: value = u->mcr; break;
    case 5: value = read_lsr(u); break;
    case 6:
        value = u->msr;
        u->msr &= (u8)~MSR_DELTAS;
        break;
    default: value = u->scratch; break;
    }
    drive_irq(u, e);
    return value;
}

u64 uart_deadline(const struct uart *u)
{
    bool matters = (u->ier & IER_RDA) && !u->timed_out;
    return matters ? u->timeout_at : CLOCK_NEVER;
}

void uart_tick(struct uart *u, const struct device_env *e)
{
    if (e->now < u->timeout_at)
        return;
    u->timed_out = 1;
    u->timeout_at = CLOCK_NEVER;
    drive_irq(u, e);
}
