#include "storage/aggregate.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

#include <math.h>

static void values_are_added_exactly(void **state)
{
    (void)state;
    struct qr_aggregate a = {0};
    const uint32_t largest = 21u << 26 | QR_VALUE_MANTISSA_MAX;
    const uint32_t least = 7u << 26 | 1; /* 10^-7 */
    qr_aggregate_add(&a, QR_VALUE_EMPTY);
    qr_aggregate_add(&a, 25u << 26 | 3); /* Not a value. */
    assert_int_equal(a.count, 0);
    qr_aggregate_add(&a, largest | QR_VALUE_ANOMALOUS);
    qr_aggregate_add(&a, least | QR_VALUE_RESET | QR_VALUE_ANOMALOUS);
    qr_aggregate_add(&a, largest | 1u << 31);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.n_anomalous, 2);
    assert_int_equal(a.n_resets, 1);
    assert_true(a.sum == 1); /* Where doubles would have lost it. */
    assert_true(qr_aggregate_number(a.max) == qr_value_unpack(largest));
    assert_true(qr_aggregate_number(a.min) == -qr_value_unpack(largest));
}

static void order_does_not_matter(void **state)
{
    (void)state;
    struct qr_aggregate whole = {0}, parts[3] = {0}, backwards = {0};
    for (uint32_t i = 0; i < 300; i++) {
        uint32_t value = qr_value_pack(sin(i) * pow(10, i % 20), i % 7 ? 0 : QR_VALUE_ANOMALOUS);
        qr_aggregate_add(&whole, value);
        qr_aggregate_add(&parts[i / 200], value); /* The last one stays empty. */
    }
    for (int i = 2; i >= 0; i--)
        qr_aggregate_merge(&backwards, &parts[i]);
    assert_int_equal(whole.count, backwards.count);
    assert_int_equal(whole.n_anomalous, backwards.n_anomalous);
    assert_int_equal(whole.n_resets, backwards.n_resets);
    assert_true(whole.sum == backwards.sum && whole.min == backwards.min &&
                whole.max == backwards.max);
}

static void scales_are_powers_of_10(void **state)
{
    (void)state;
    struct qr_aggregate a = {0};
    qr_i128 expected = 1;
    for (int e = QR_VALUE_EXPONENT_MIN; e <= QR_VALUE_EXPONENT_MAX; e++, expected *= 10)
        assert_true(qr_aggregate_scale(e) == expected);
    qr_aggregate_add_scaled(&a, 3, 12, -5, 9, qr_aggregate_scale(-2));
    assert_true(qr_aggregate_number(a.sum) == 0.12 && qr_aggregate_number(a.min) == -0.05 &&
                qr_aggregate_number(a.max) == 0.09 && a.count == 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_added_exactly),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(scales_are_powers_of_10),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
