#include "cluster/latency.h"

#include <stdlib.h>

#include "base/rng.h"
#include "testing/cmocka.h"

static void percentiles_of_the_newest(void **state)
{
    (void)state;
    static struct qr_latency latency;
    assert_int_equal(qr_latency_percentile(&latency, 50), 0);
    for (int i = 0; i < 5000; i++)
        qr_latency_add(&latency, 1000000);
    for (int i = 100; i >= 1; i--)
        for (unsigned n = 0; n < QR_LATENCY_SAMPLES / 100 + 1; n++)
            qr_latency_add(&latency, i * 10);
    qr_latency_add(&latency, -5); /* not counted */
    uint64_t p50 = qr_latency_percentile(&latency, 50), p99 = qr_latency_percentile(&latency, 99);
    assert_in_range(p50, 450, 550);
    assert_in_range(p99, 900, 1000);
    assert_true(qr_latency_percentile(&latency, 0) <= p50);
    assert_true(qr_latency_percentile(&latency, 100) >= p99);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void each_percentile_is_that_of_the_sorted(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 7);
    for (uint32_t n = 1; n < 300; n += 1 + n / 9) {
        struct qr_latency latency = {0};
        uint32_t sorted[QR_LATENCY_SAMPLES];
        uint64_t different = 1 + qr_rng_below(&rng, 2 * n);
        for (uint32_t i = 0; i < n; i++) {
            sorted[i] = (uint32_t)qr_rng_below(&rng, different);
            qr_latency_add(&latency, sorted[i]);
        }
        qsort(sorted, n, sizeof *sorted, compare);
        for (unsigned p = 0; p <= 100; p++)
            assert_int_equal(qr_latency_percentile(&latency, p), sorted[(n - 1) * p / 100]);
    }
}

static void what_was_found_stays_for_a_sixteenth_of_the_samples(void **state)
{
    (void)state;
    static struct qr_latency latency;
    uint64_t p50, p99;
    qr_latency_get(&latency, &p50, &p99);
    assert_int_equal(p50, 0);
    qr_latency_add(&latency, 7);
    qr_latency_get(&latency, &p50, &p99);
    assert_int_equal(p50, 7); /* The first one counts at once. */
    for (unsigned i = 1; i < QR_LATENCY_SAMPLES; i++)
        qr_latency_add(&latency, 7);
    qr_latency_get(&latency, &p50, &p99);
    for (unsigned i = 0; i < QR_LATENCY_SAMPLES / 16; i++)
        qr_latency_add(&latency, 9);
    qr_latency_get(&latency, &p50, &p99);
    assert_int_equal(p99, 7);
    qr_latency_add(&latency, 9);
    qr_latency_get(&latency, &p50, &p99);
    assert_int_equal(p50, 7);
    assert_int_equal(p99, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_of_the_newest),
        cmocka_unit_test(each_percentile_is_that_of_the_sorted),
        cmocka_unit_test(what_was_found_stays_for_a_sixteenth_of_the_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
