#include "storage/lanes.h"

#include <math.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "storage/pack.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define N QR_LANES_N

static const struct qr_lanes *const both[] = {&qr_lanes_plain, &qr_lanes_avx2};

static uint32_t random_bits(struct qr_rng *rng)
{
    return (uint32_t)(qr_rng_next(rng) >> (32 + qr_rng_below(rng, 32)));
}

/* Integer i of a width, bit by bit. */
static uint32_t unpacked(const uint8_t *p, unsigned width, uint32_t i)
{
    uint32_t v = 0;
    for (unsigned b = 0; b < width; b++) {
        unsigned bit = i / 4 * width + b, byte = bit / 32 * 16 + i % 4 * 4 + bit % 32 / 8;
        v |= (uint32_t)(p[byte] >> bit % 8 & 1) << b;
    }
    return v;
}

static void every_width_is_unpacked(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 71);
    for (unsigned round = 0; round < 20; round++)
        for (unsigned width = 0; width <= QR_LANES_WIDTH_MAX; width++)
            for (size_t k = 0; k < QR_COUNT(both); k++) {
                uint8_t packed[16 * 32 + 1];
                uint32_t v[N];
                if (!qr_lanes_supported(both[k]))
                    continue;
                for (size_t i = 0; i < sizeof packed; i++)
                    packed[i] = (uint8_t)qr_rng_next(&rng);
                both[k]->unpack(packed + 1, width, v); /* Not aligned. */
                for (uint32_t i = 0; i < N; i++)
                    assert_int_equal(v[i], unpacked(packed + 1, width, i));
            }
}

/* What each number must become, one by one, in 32 bits that wrap. */
static void offsets_and_differences_are_modulo_2_32(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 72);
    for (unsigned round = 0; round < 2000; round++)
        for (size_t k = 0; k < QR_COUNT(both); k++) {
            uint32_t v[N];
            int32_t x[N], base = (int32_t)random_bits(&rng),
                          factor = qr_rng_below(&rng, 2) ? 1 : (int32_t)random_bits(&rng);
            if (!qr_lanes_supported(both[k]))
                continue;
            for (uint32_t i = 0; i < N; i++)
                v[i] = random_bits(&rng);
            both[k]->offsets(v, base, factor, x);
            for (uint32_t i = 0; i < N; i++)
                assert_int_equal((uint32_t)x[i], (uint32_t)base + v[i] * (uint32_t)factor);
            both[k]->differences(v, base, factor, x);
            uint32_t before = (uint32_t)base;
            for (uint32_t i = 0; i < N; i++) {
                before += (v[i] >> 1 ^ (0 - (v[i] & 1))) * (uint32_t)factor;
                assert_int_equal((uint32_t)x[i], before);
            }
        }
}

static void integers_become_values_of_one_form(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 73);
    for (unsigned round = 0; round < 4000; round++)
        for (size_t k = 0; k < QR_COUNT(both); k++) {
            int32_t x[N];
            uint32_t values[N];
            unsigned code = (unsigned)qr_rng_below(&rng, 8);
            bool fits = true, outside = round % 4 == 0;
            if (!qr_lanes_supported(both[k]))
                continue;
            for (uint32_t i = 0; i < N; i++) { /* Some with more digits, all of them zeros. */
                int64_t m = random_bits(&rng) & QR_VALUE_MANTISSA_MAX;
                for (uint64_t zeros = qr_rng_below(&rng, code + 1); zeros > 0; zeros--)
                    m = m * 10 <= INT32_MAX ? m * 10 : m;
                x[i] = (int32_t)(qr_rng_below(&rng, 3) == 0 ? -m : m);
            }
            if (outside) /* Just too large, or as far as it goes. */
                x[qr_rng_below(&rng, N)] = qr_rng_below(&rng, 2) ? 1 << 24 : INT32_MIN;
            for (uint32_t i = 0; i < N; i++) {
                uint32_t value = qr_value_of_decimal(x[i], -(int)code);
                fits = fits && !qr_value_is_empty(value) && qr_value_code(value) <= 7;
            }
            assert_int_equal(fits, !outside);
            assert_int_equal(both[k]->values(x, code, values), fits);
            for (uint32_t i = 0; i < N && fits; i++)
                assert_int_equal(values[i], qr_value_of_decimal(x[i], -(int)code));
        }
}

static void only_canonical_values_are_put_together(void **state)
{
    (void)state;
    struct qr_rng rng;
    unsigned n_refused = 0, n_good = 0;
    qr_rng_seed(&rng, 74);
    for (unsigned round = 0; round < 4000; round++)
        for (size_t k = 0; k < QR_COUNT(both); k++) {
            int32_t m[N];
            uint32_t codes[N], values[N], expected[N];
            uint64_t codes_max = qr_rng_below(&rng, 3) == 0 ? 33 : 8;
            bool good = true;
            if (!qr_lanes_supported(both[k]))
                continue;
            for (uint32_t i = 0; i < N; i++) {
                m[i] = (int32_t)qr_rng_below(&rng, 1 << 24);
                codes[i] = (uint32_t)qr_rng_below(&rng, codes_max);
                if (codes[i] != 0 && m[i] % 10 == 0 && qr_rng_below(&rng, 1000) != 0)
                    m[i] += m[i] == 0 ? 0 : 1;
                if (codes_max > 8 && round % 2 == 0) { /* Of those that are large. */
                    m[i] = 2000001 + (int32_t)qr_rng_below(&rng, 1000000);
                    codes[i] = 8 + codes[i] % 7;
                }
                if (qr_rng_below(&rng, 100000) == 0)
                    m[i] = 1 << 24;
                expected[i] = codes[i] << 26 | (uint32_t)m[i];
                if (m[i] == 0)
                    expected[i] = 0;
                good = good && m[i] < 1 << 24 && codes[i] < 32 &&
                       qr_value_is_canonical(expected[i]) && !qr_value_is_empty(expected[i]);
                if (qr_rng_below(&rng, 2) && m[i] != 0) {
                    m[i] = -m[i];
                    expected[i] |= 1u << 31;
                }
            }
            assert_int_equal(both[k]->split(m, codes, values), good);
            if (good)
                assert_memory_equal(values, expected, sizeof values);
            *(good ? &n_good : &n_refused) += 1;
        }
    assert_true(n_good > 100 && n_refused > 100);
}

/* The same doubles, bit by bit, in groups of every kind and of any length. */
static void values_become_the_same_doubles(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 76);
    for (unsigned round = 0; round < 4000; round++)
        for (size_t k = 0; k < QR_COUNT(both); k++) {
            uint32_t values[N], n = (uint32_t)qr_rng_below(&rng, N + 1), kind = round % 4;
            double got[N + 1], expected;
            if (!qr_lanes_supported(both[k]))
                continue;
            for (uint32_t i = 0; i < n; i++) {
                values[i] = (uint32_t)qr_rng_next(&rng);
                if (kind == 1) /* Small ones. */
                    values[i] &= ~(24u << 26);
                else if (kind == 2 && i > 0 && qr_rng_below(&rng, 12) != 0)
                    values[i] = values[i - 1];
                else if (kind == 3 && qr_rng_below(&rng, 20) == 0)
                    values[i] = QR_VALUE_EMPTY;
            }
            got[n] = 12345;
            both[k]->unpack_values(values, n, got);
            assert_true(got[n] == 12345);
            for (uint32_t i = 0; i < n; i++) {
                expected = qr_value_unpack(values[i]);
                assert_true(isnan(expected) ? isnan(got[i])
                                            : memcmp(&expected, &got[i], sizeof expected) == 0);
            }
        }
}

static void sums_are_exact(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 75);
    for (uint32_t n = 1; n <= N; n++)
        for (size_t k = 0; k < QR_COUNT(both); k++) {
            int32_t x[N], min = INT32_MAX, max = INT32_MIN;
            int64_t sum = 0;
            struct qr_lanes_sum got;
            if (!qr_lanes_supported(both[k]))
                continue;
            for (uint32_t i = 0; i < n; i++) {
                x[i] = n % 3 == 0 ? INT32_MIN : (int32_t)random_bits(&rng);
                sum += x[i];
                min = x[i] < min ? x[i] : min;
                max = x[i] > max ? x[i] : max;
            }
            both[k]->sum(x, n, &got);
            assert_true(got.sum == sum && got.min == min && got.max == max);
        }
}

static void the_best_of_this_machine_is_used(void **state)
{
    (void)state;
    assert_true(qr_lanes_supported(&qr_lanes_plain));
    assert_ptr_equal(qr_lanes_here(),
                     qr_lanes_supported(&qr_lanes_avx2) ? &qr_lanes_avx2 : &qr_lanes_plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_is_unpacked),
        cmocka_unit_test(offsets_and_differences_are_modulo_2_32),
        cmocka_unit_test(integers_become_values_of_one_form),
        cmocka_unit_test(only_canonical_values_are_put_together),
        cmocka_unit_test(values_become_the_same_doubles),
        cmocka_unit_test(sums_are_exact),
        cmocka_unit_test(the_best_of_this_machine_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
