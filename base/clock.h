/* base/clock.h — time as an interface, so that a whole cluster can run on a false clock.
 *
 * `mono_ms` never goes back and measures durations; `real_us` is the wall clock in unix
 * microseconds and may jump.  Nothing in `apply` may read either.  Thread: any. */
#ifndef QR_BASE_CLOCK_H
#define QR_BASE_CLOCK_H

#include <stdint.h>

struct qr_clock {
    uint64_t (*mono_ms)(const struct qr_clock *clock);
    int64_t (*real_us)(const struct qr_clock *clock);
};

/* The machine's clocks. */
extern const struct qr_clock qr_clock_system;

static inline uint64_t qr_clock_mono_ms(const struct qr_clock *clock)
{
    return clock->mono_ms(clock);
}

static inline int64_t qr_clock_real_us(const struct qr_clock *clock)
{
    return clock->real_us(clock);
}

static inline int64_t qr_clock_real_s(const struct qr_clock *clock)
{
    return clock->real_us(clock) / 1000000;
}

#endif
