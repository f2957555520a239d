#include "storage/value.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/cmocka.h"

#define V(sign, code, m) ((uint32_t)(sign) << 31 | (uint32_t)(code) << 26 | (uint32_t)(m))

static const struct {
    double in;
    uint32_t value;
} cases[] = {
    {0.0, 0},
    {-0.0, 0},
    {1, V(0, 0, 1)},
    {-1, V(1, 0, 1)},
    {30, V(0, 0, 30)},
    {0.5, V(0, 1, 5)},
    {-0.25, V(1, 2, 25)},
    {1e-7, V(0, 7, 1)},
    {4e-8, 0},
    {-4e-8, 0},
    {DBL_MIN / 2, 0},
    {0.1677722, V(0, 7, 1677722)},
    {0.1677721, V(0, 7, 1677721)},
    {1.0 / 3, V(0, 7, 3333333)},
    {1e6 / 3, V(0, 1, 3333333)},
    {16777215, V(0, 0, 16777215)},
    {16777216, V(0, 8, 1677722)},
    {16777215.4, V(0, 8, 1677722)},
    {20000000, V(0, 8, 2000000)},
    {1677721.55, V(0, 0, 1677722)},  /* One more digit, 16777215.5, is too large: step back. */
    {1677721.45, V(0, 1, 16777214)}, /* A tie as a double: Netdata's product rounds to even. */
    {1.6777215e14, V(0, 14, 16777215)},
    {1.6777216e14, V(0, 18, 1677722)},
    {1.6777215e15, V(0, 18, 16777215)},
    {1.67772154e15, V(0, 18, 16777200)}, /* Rounds down to less than the step: one step back. */
    {16777215e14, V(0, 21, 16777215)},
    {1e300, V(0, 21, 16777215)},
    {-DBL_MAX, V(1, 21, 16777215)},
    {NAN, QR_VALUE_EMPTY},
    {INFINITY, QR_VALUE_EMPTY},
    {-INFINITY, QR_VALUE_EMPTY},
};

static void packs_as_netdata_does(void **state)
{
    (void)state;
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        uint32_t value = qr_value_pack(cases[c].in, 0);
        if (value != cases[c].value)
            print_error("%.17g: 0x%08x, expected 0x%08x\n", cases[c].in, value, cases[c].value);
        assert_int_equal(value, cases[c].value);
    }
}

static void keeps_flags_beside_the_value(void **state)
{
    (void)state;
    assert_int_equal(qr_value_pack(1, QR_VALUE_RESET), 1 | QR_VALUE_RESET);
    assert_int_equal(qr_value_pack(0, QR_VALUE_ANOMALOUS), QR_VALUE_ANOMALOUS);
    assert_int_equal(qr_value_pack(NAN, QR_VALUE_FLAGS), QR_VALUE_EMPTY);
    assert_true(qr_value_unpack(qr_value_pack(-2.5, QR_VALUE_FLAGS)) == -2.5);
    assert_true(isnan(qr_value_unpack(QR_VALUE_EMPTY)));
}

/* The rule as its own program: step by step, no table, no short cut. */
static double round_as_netdata(double v)
{
    double n = fabs(v);
    int steps = 0;
    if (n > 16777215.0) {
        double factor = n / 10000000.0 > 16777215.0 ? 100 : 10;
        for (; steps < 7 && n > 16777215.0; steps++)
            n /= factor;
        n = n > 16777215.0 ? 16777215.0 : rint(n);
        while (steps-- > 0)
            n *= factor;
    } else {
        for (; steps < 7 && n < 1677722.0; steps++)
            n *= 10;
        if (n > 16777215.0) {
            n /= 10;
            steps--;
        }
        double power = 1;
        while (steps-- > 0)
            power *= 10;
        n = rint(n) / power;
    }
    return v < 0 ? -n : n;
}

static double any_double(struct qr_rng *rng)
{
    uint64_t bits = qr_rng_next(rng);
    double v;
    switch (qr_rng_below(rng, 5)) {
    case 0: /* Any bits. */
        memcpy(&v, &bits, sizeof v);
        return v;
    case 1: /* A decimal. */
        return (double)(int64_t)(bits >> 36) / pow(10, (double)qr_rng_below(rng, 9));
    case 2: /* Any magnitude that is not saturated. */
        return ldexp((double)(bits >> 11), (int)qr_rng_below(rng, 110) - 90);
    case 3: /* Near a tie or a border. */
        return ((double)(1677715 + bits % 15) + (double)qr_rng_below(rng, 5) / 4) *
               pow(10, (double)qr_rng_below(rng, 24) - 8);
    default:
        return ((double)(16777210 + bits % 10) + (double)qr_rng_below(rng, 5) / 4) *
               pow(10, (double)qr_rng_below(rng, 24) - 8);
    }
}

static void rounds_as_the_loop_for_any_double(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 1);
    for (int i = 0; i < 1000000; i++) {
        double v = any_double(&rng);
        uint32_t value = qr_value_pack(v, 0);
        if (!isfinite(v)) {
            assert_int_equal(value, QR_VALUE_EMPTY);
            continue;
        }
        double expected = round_as_netdata(v);
        double got = qr_value_unpack(value);
        if (fabs(got - expected) > fabs(expected) * 1e-15)
            fail_msg("%.17g: %.17g, expected %.17g", v, got, expected);
        assert_true(qr_value_is_canonical(value));
        assert_int_equal(qr_value_pack(got, 0), value);
    }
}

static void each_canonical_value_survives_unpacking(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 2);
    unsigned n_canonical = 0;
    for (int i = 0; i < 2000000; i++) {
        uint32_t value = (uint32_t)qr_rng_next(&rng) & ~QR_VALUE_FLAGS;
        if (!qr_value_is_canonical(value))
            continue;
        n_canonical++;
        if (qr_value_pack(qr_value_unpack(value), 0) != value)
            fail_msg("0x%08x: %.17g packs to 0x%08x", value, qr_value_unpack(value),
                     qr_value_pack(qr_value_unpack(value), 0));
        if (!qr_value_is_empty(value))
            assert_int_equal(
                qr_value_of_decimal(qr_value_mantissa(value), qr_value_exponent(value)), value);
    }
    assert_true(n_canonical > 500000);
}

static void text_of_seven_places_gives_the_same_value(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 3);
    for (int i = 0; i < 200000; i++) {
        uint32_t value = qr_value_pack(any_double(&rng), 0);
        if (qr_value_is_empty(value))
            continue;
        char text[64];
        snprintf(text, sizeof text, "%0.7f", qr_value_unpack(value));
        assert_int_equal(qr_value_pack(strtod(text, NULL), 0), value);
    }
}

static void decimals_have_one_form(void **state)
{
    (void)state;
    assert_int_equal(qr_value_of_decimal(100, -2), 1);
    assert_int_equal(qr_value_of_decimal(-150, -2), V(1, 1, 15));
    assert_int_equal(qr_value_of_decimal(2, 7), V(0, 8, 2000000));
    assert_int_equal(qr_value_of_decimal(1, 3), 1000);
    assert_int_equal(qr_value_of_decimal(200000000, -1), V(0, 8, 2000000));
    assert_int_equal(qr_value_of_decimal(16777217, 0), QR_VALUE_EMPTY);
    assert_int_equal(qr_value_of_decimal(1, -8), QR_VALUE_EMPTY);
    assert_int_equal(qr_value_of_decimal(16777215, 9), QR_VALUE_EMPTY);
    assert_int_equal(qr_value_of_decimal(1677721, 9), V(0, 18, 16777210));
    assert_int_equal(qr_value_of_decimal(0, 3), 0);
    assert_false(qr_value_is_canonical(V(0, 1, 10)));
    assert_false(qr_value_is_canonical(V(1, 0, 0)));
    assert_false(qr_value_is_canonical(V(0, 8, 1)));
    assert_false(qr_value_is_canonical(V(0, 16, 16777215)));
    assert_false(qr_value_is_canonical(V(0, 22, 16777215)));
    assert_false(qr_value_is_canonical(QR_VALUE_EMPTY | 1));
}

/* Zero after zero taken off, as it is meant. */
static uint32_t of_decimal_slowly(int64_t x, int e)
{
    while (x != 0 && (e < 0 || llabs(x) > QR_VALUE_MANTISSA_MAX) && x % 10 == 0) {
        x /= 10;
        e++;
    }
    return qr_value_of_decimal(x, e);
}

static void zeros_are_taken_off_by_one_or_many(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 17);
    for (unsigned i = 0; i < 1000000; i++) {
        int64_t x = (int64_t)(qr_rng_next(&rng) >> (11 + qr_rng_below(&rng, 50)));
        for (uint64_t zeros = qr_rng_below(&rng, 12); zeros > 0 && x < INT64_MAX / 10; zeros--)
            x *= 10;
        x = i % 2 ? x : -x;
        int e = (int)qr_rng_below(&rng, 22) - 9;
        assert_int_equal(qr_value_of_decimal(x, e), of_decimal_slowly(x, e));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packs_as_netdata_does),
        cmocka_unit_test(keeps_flags_beside_the_value),
        cmocka_unit_test(rounds_as_the_loop_for_any_double),
        cmocka_unit_test(each_canonical_value_survives_unpacking),
        cmocka_unit_test(text_of_seven_places_gives_the_same_value),
        cmocka_unit_test(decimals_have_one_form),
        cmocka_unit_test(zeros_are_taken_off_by_one_or_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
