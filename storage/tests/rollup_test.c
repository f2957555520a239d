#include "storage/rollup.h"

#include "base/rng.h"
#include "testing/cmocka.h"

#define E QR_VALUE_EMPTY

static struct qr_point point_of(const uint32_t *values, size_t n)
{
    struct qr_point point = {0};
    for (size_t i = 0; i < n; i++)
        qr_point_add_value(&point, values[i]);
    return point;
}

static void a_point_tells_least_greatest_sum_and_count(void **state)
{
    (void)state;
    const uint32_t values[] = {qr_value_pack(1.5, 0), E, qr_value_pack(-3, QR_VALUE_ANOMALOUS),
                               qr_value_pack(1e9, QR_VALUE_RESET), qr_value_pack(0.0000001, 0)};
    struct qr_point point = point_of(values, QR_COUNT(values));
    assert_int_equal(point.min, qr_value_pack(-3, 0));
    assert_int_equal(point.max, qr_value_pack(1e9, 0));
    assert_int_equal(point.count, 4);
    assert_int_equal(point.anomalies, 1);
    assert_true(point.sum == (qr_i128)(INT64_C(10000000000) - 15) * 1000000 + 1);
    assert_true(qr_point_sum(&point) == 999999998.5000001);
}

/* The largest values of a whole day fit, and cancel out exactly. */
static void sums_do_not_overflow_or_round(void **state)
{
    (void)state;
    struct qr_point point = {0};
    for (int i = 0; i < 86400; i++)
        qr_point_add_value(&point, qr_value_pack(1e300, 0));
    qr_i128 whole = point.sum;
    assert_true(whole > 0 && whole == qr_value_scaled(point.max) * 86400);
    qr_point_add_value(&point, qr_value_pack(0.0000001, 0));
    assert_true(point.sum == whole + 1);
    for (int i = 0; i < 86400; i++)
        qr_point_add_value(&point, qr_value_pack(-1e300, 0));
    assert_true(point.sum == 1);
}

/* Bits that no value has: they may come from a member that is not sound. */
static void what_is_no_value_does_not_count(void **state)
{
    (void)state;
    const uint32_t values[] = {30u << 26 | 5, 22u << 26 | 1, 31u << 26 | 7};
    assert_int_equal(point_of(values, QR_COUNT(values)).count, 0);
    /* 10 * 10^-1 and -0 are the numbers 1 and 0 in another form. */
    const uint32_t forms[] = {1u << 26 | 10, 1u << 31};
    struct qr_point point = point_of(forms, QR_COUNT(forms));
    assert_int_equal(point.min, 0);
    assert_int_equal(point.max, 1);
    assert_int_equal(point.count, 2);
}

static uint32_t random_value(struct qr_rng *rng)
{
    static const double scales[] = {1, 0.001, 1e-7, 1e6, 1e13, 1e20};
    if (qr_rng_below(rng, 4) == 0)
        return E;
    double v = (double)qr_rng_below(rng, 2000000) - 1000000;
    return qr_value_pack(v * scales[qr_rng_below(rng, QR_COUNT(scales))],
                         qr_rng_below(rng, 9) == 0 ? QR_VALUE_ANOMALOUS : 0);
}

static void assert_same_points(const struct qr_points *a, const struct qr_points *b)
{
    assert_int_equal(a->first_s, b->first_s);
    assert_int_equal(a->n_rows, b->n_rows);
    for (size_t i = 0; i < (size_t)a->n_rows * a->n_dims; i++) {
        assert_int_equal(a->at[i].count, b->at[i].count);
        if (a->at[i].count == 0)
            continue;
        assert_true(a->at[i].sum == b->at[i].sum);
        assert_int_equal(a->at[i].min, b->at[i].min);
        assert_int_equal(a->at[i].max, b->at[i].max);
        assert_int_equal(a->at[i].anomalies, b->at[i].anomalies);
    }
}

static const uint32_t steps[] = {1, 2, 5, 10, 60, 3600};

/* Any value is in the point whose end is the next multiple; an order of magnitude is one pass or
 * two; files may cut it anywhere. */
static void coarser_points_are_the_same_by_any_way(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 7);
    for (size_t c = 0; c < QR_COUNT(steps); c++) {
        struct qr_grid grid = {0};
        struct qr_points fine = {0}, coarse = {0}, direct = {0}, parts = {0};
        uint32_t n = 3 * 3600 / steps[c] + 3;
        int64_t first = 7200 + (int64_t)qr_rng_below(&rng, 100);
        assert_int_equal(qr_grid_reset(&grid, first, steps[c], n, 2), 0);
        for (uint32_t i = 0; i < 2 * n; i++)
            grid.values[i] = random_value(&rng);
        int64_t last = qr_grid_last_s(&grid);
        assert_int_equal(qr_points_span(&fine, 60, first, last, 2), 0);
        assert_int_equal(qr_points_span(&coarse, 3600, first, last, 2), 0);
        assert_int_equal(qr_points_span(&direct, 3600, first, last, 2), 0);
        assert_int_equal(qr_points_span(&parts, 3600, first, last, 2), 0);
        qr_points_add_grid(&fine, &grid);
        qr_points_add_points(&coarse, &fine);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t d = 0; d < 2; d++) {
                int64_t end = first + (int64_t)i * steps[c], t = direct.first_s;
                uint32_t row = 0;
                while (!(end > t - 3600 && end <= t))
                    t += 3600, row++;
                qr_point_add_value(qr_points_at(&direct, row, d), qr_grid_at(&grid, i, d));
            }
        assert_same_points(&coarse, &direct);
        for (uint32_t at = 0; at < n;) {
            uint32_t len = 1 + (uint32_t)qr_rng_below(&rng, 500);
            len = len < n - at ? len : n - at;
            const struct qr_columns piece = {
                first + (int64_t)at * steps[c], steps[c], len, 2, n, grid.values + at};
            int64_t end = piece.first_s + (int64_t)(len - 1) * steps[c];
            struct qr_points some = {0};
            assert_int_equal(qr_points_span(&some, 60, piece.first_s, end, 2), 0);
            qr_points_add_values(&some, &piece);
            qr_points_add_points(&parts, &some);
            qr_points_release(&some);
            at += len;
        }
        assert_same_points(&parts, &direct);
        qr_grid_release(&grid);
        qr_points_release(&fine);
        qr_points_release(&coarse);
        qr_points_release(&direct);
        qr_points_release(&parts);
    }
}

static void what_lies_outside_is_left_out(void **state)
{
    (void)state;
    uint32_t values[] = {1, 2, 3, 4};
    const struct qr_grid grid = {60, 60, 4, 1, values, 0}; /* 60, 120, 180, 240 */
    struct qr_points points = {0};
    assert_int_equal(qr_points_reset(&points, 120, 60, 2, 1), 0);
    qr_points_add_grid(&points, &grid);
    assert_int_equal(points.at[0].min, 2);
    assert_int_equal(points.at[1].min, 3);
    assert_int_equal(points.at[0].count + points.at[1].count, 2);
    qr_points_release(&points);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_point_tells_least_greatest_sum_and_count),
        cmocka_unit_test(sums_do_not_overflow_or_round),
        cmocka_unit_test(what_is_no_value_does_not_count),
        cmocka_unit_test(coarser_points_are_the_same_by_any_way),
        cmocka_unit_test(what_lies_outside_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
