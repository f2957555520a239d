#include "base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static uint64_t system_mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return (uint64_t)read_us(CLOCK_MONOTONIC) / 1000;
}

static int64_t system_real_us(const struct qr_clock *clock)
{
    (void)clock;
    return read_us(CLOCK_REALTIME);
}

const struct qr_clock qr_clock_system = {system_mono_ms, system_real_us};
