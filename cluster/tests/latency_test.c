#include "cluster/latency.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(percentiles_of_the_newest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
