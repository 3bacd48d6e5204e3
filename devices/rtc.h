/* MC146818 real-time clock and 128 bytes of CMOS memory at ports 0x70 and 0x71.
 *
 * Motorola MC146818A data sheet. The clock's seconds follow virtual time; date and time are registers that
 * advance at each update, BCD and 24-hour at power-up. UIP is set during the 244 µs before an update; the update itself
 * takes no time. The century is in byte 0x32, in the format of the year. CMOS bytes describe memory as a PC BIOS does.
 * The index register's bit 7 (NMI mask) is kept and has no source to mask. */
#ifndef REPRISE_DEVICES_RTC_H
#define REPRISE_DEVICES_RTC_H

#include "devices/device.h"

enum { RTC_BYTES = 128, RTC_IRQ_LINE = 8 };

struct rtc {
    u64 phase;     /* ns, below one second: updates happen at phase + n seconds */
    u64 updates;   /* updates of the chain seen */
    u64 ticks;     /* periodic ticks of the chain seen */
    u8 index;      /* port 0x70 */
    u8 cmos[RTC_BYTES]; /* 0..13: the clock's registers */
};

/* `seconds` since 1970 at `now`; `ram_below_4g` and `ram_above_4g` in bytes go into the memory size bytes. */
void rtc_reset(struct rtc *r, u64 seconds, u64 now, u64 ram_below_4g, u64 ram_above_4g);

/* Offset 0: index; 1: data. */
u8 rtc_read(struct rtc *r, unsigned offset, const struct device_env *e);
void rtc_write(struct rtc *r, unsigned offset, u8 value, const struct device_env *e);

/* The next time at which an enabled source sets its flag. */
u64 rtc_deadline(const struct rtc *r);
void rtc_tick(struct rtc *r, const struct device_env *e);

#endif
