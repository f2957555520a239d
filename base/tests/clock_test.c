#include "base/clock.h"

#include <time.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

static int64_t libc_us(clockid_t id)
{
    struct timespec now;
    assert_int_equal(clock_gettime(id, &now), 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void the_system_clock_is_the_machines(void **state)
{
    int64_t before = libc_us(CLOCK_REALTIME);
    int64_t real = qr_clock_real_us(&qr_clock_system);
    assert_in_range(real, before, libc_us(CLOCK_REALTIME));

    before = libc_us(CLOCK_MONOTONIC);
    uint64_t mono = qr_clock_mono_ms(&qr_clock_system);
    assert_in_range(mono, before / 1000, libc_us(CLOCK_MONOTONIC) / 1000);
}

static void the_monotonic_clock_never_goes_back(void **state)
{
    uint64_t last = qr_clock_mono_ms(&qr_clock_system);
    const uint64_t started = last;
    while (last < started + 20) {
        uint64_t now = qr_clock_mono_ms(&qr_clock_system);
        assert_true(now >= last);
        last = now;
    }
}

struct false_clock {
    struct qr_clock clock;
    int64_t us;
};

static uint64_t false_mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)QR_CONTAINER_OF(clock, struct false_clock, clock)->us / 1000;
}

static int64_t false_real_us(const struct qr_clock *clock)
{
    return QR_CONTAINER_OF(clock, struct false_clock, clock)->us;
}

static void a_false_clock_stands_in(void **state)
{
    struct false_clock f = {{false_mono_ms, false_real_us}, 12345678};
    assert_int_equal(qr_clock_mono_ms(&f.clock), 12345);
    assert_int_equal(qr_clock_real_us(&f.clock), 12345678);
    assert_int_equal(qr_clock_real_s(&f.clock), 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_system_clock_is_the_machines),
        cmocka_unit_test(the_monotonic_clock_never_goes_back),
        cmocka_unit_test(a_false_clock_stands_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
