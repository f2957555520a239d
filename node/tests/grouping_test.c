#include "node/grouping.h"

#include <math.h>
#include <stdio.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

#define END 1e300 /* of a list of values */

/* One row of a 5-row window of groups of 5; expected values computed by hand from the formulas. */
static const struct {
    const char *group, *options, *name;
    double values[12];
    double expected;
} rows[] = {
    {"average", "", "average", {1, 2, 6, END}, 3},
    {"mean", "", "average", {1, 2, 6, END}, 3},
    {"nonsense", "", "average", {1, 2, 6, END}, 3},
    {"average", "", "average", {END}, NAN},
    {"sum", "", "sum", {1, -2, 6, END}, 5},
    {"min", "", "min", {5, -2, 3, END}, -2}, /* by absolute value */
    {"min", "", "min", {-5, 4, END}, 4},
    {"max", "", "max", {5, -7, 3, END}, -7},
    {"incremental-sum", "", "incremental_sum", {5, 9, 3, END}, -2},
    {"incremental_sum", "", "incremental_sum", {5, END}, 0},
    {"median", "", "median", {9, 1, 5, END}, 5},
    {"median", "", "median", {1, 3, END}, 2},
    {"median", "", "median", {1, 2, 3, 10, END}, 6.5}, /* one to the right */
    {"median", "", "median", {7, END}, 7},
    {"median", "", "median", {END}, NAN},
    {"trimmed-median10", "", "trimmed-median10", {0, 20, 30, 40, 100, END}, 30},
    {"trimmed-median", "10", "trimmed-median", {0, 20, 30, 40, 100, END}, 30},
    {"trimmed-median25", "", "trimmed-median25", {0, 1, 2, 3, 100, END}, 100}, /* never nothing */
    {"trimmed-mean25", "", "trimmed-mean25", {1, 2, 3, 10, END}, 2.5},
    {"trimmed-mean", "", "trimmed-mean", {4, END}, 4},
    {"trimmed-mean", "", "trimmed-mean", {4, 4, 4, END}, 4},
    {"percentile50", "", "percentile50", {4, 3, 2, 1, END}, 1.5},
    {"percentile", "50", "percentile", {4, 3, 2, 1, END}, 1.5},
    {"percentile50", "", "percentile50", {-4, 3, 2, 1, END}, 2.5}, /* from the other end */
    /* 3 values, 0.5: one slot and half of the next: (1 + 2 * .5 + 1 * .5) / 2 */
    {"percentile50", "", "percentile50", {1, 2, 3, END}, 1.25},
    {"stddev", "", "stddev", {2, 4, 4, 4, 5, 5, 7, 9, END}, 2.138089935299395},
    {"stddev", "", "stddev", {3, END}, 0},
    {"cv", "", "cv", {2, 4, END}, 47.14045207910317},
    {"rsd", "", "cv", {-2, -4, END}, 47.14045207910317},
    {"cv", "", "cv", {1, -1, END}, NAN},
    {"cv", "", "cv", {1, END}, 0},
    /* alpha = 2 / 6 */
    {"ses", "", "ses", {3, 6, END}, 4},
    {"ewma", "", "ses", {3, 6, 1, END}, 3},
    /* 3; trend 3, level 6: 1/3*6 + 2/3*9 = 8 */
    {"des", "", "des", {3, END}, 3},
    {"des", "", "des", {3, 6, END}, 8},
    {"countif", ">5", "countif", {4, 5, 6, 7, END}, 50},
    {"countif", ">=5", "countif", {4, 5, 6, 7, END}, 75},
    {"countif", ">: 5", "countif", {4, 5, 6, 7, END}, 75},
    {"countif", "<5", "countif", {4, 5, 6, 7, END}, 25},
    {"countif", "<=5", "countif", {4, 5, 6, 7, END}, 50},
    {"countif", "=5", "countif", {4, 5, 6, 7, END}, 25},
    {"countif", "!5", "countif", {4, 5, 6, 7, END}, 75},
    {"countif", "<>5", "countif", {4, 5, 6, 7, END}, 75},
    {"countif", "!:-5", "countif", {-5, 5, END}, 50},
    {"countif", "", "countif", {0, 5, END}, 50},
    {"countif", "15", "countif", {5, 15, END}, 50}, /* its first byte counts as the operator */
    {"countif", ">5", "countif", {END}, NAN},
};

static void check(double v, double expected, const char *group, size_t row)
{
    if (isnan(expected) ? !isnan(v) : !(fabs(v - expected) < 1e-12))
        fail_msg("row %zu: %s gives %.17g, not %.17g", row, group, v, expected);
}

static void groups_by_the_formulas(void **state)
{
    (void)state;
    struct qr_window window = {.n_rows = 5, .group = 5, .step_s = 5, .divisor = 1};
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        struct qr_grouping_spec spec;
        struct qr_grouping g;
        qr_grouping_parse(&spec, qr_slice_str(rows[i].group), qr_slice_str(rows[i].options));
        assert_string_equal(spec.name, rows[i].name);
        qr_grouping_init(&g, &spec, &window);
        bool forgets = spec.kind != QR_GROUP_SES && spec.kind != QR_GROUP_DES;
        for (int repeat = 0; repeat < (forgets ? 2 : 1); repeat++) {
            for (size_t v = 0; rows[i].values[v] != END; v++)
                assert_int_equal(qr_grouping_add(&g, rows[i].values[v]), 0);
            check(qr_grouping_take(&g), rows[i].expected, rows[i].group, i);
            if (forgets)
                assert_true(isnan(qr_grouping_take(&g)));
        }
        qr_grouping_release(&g);
    }
}

static void resampling_rescales_the_average_only(void **state)
{
    (void)state;
    struct qr_window window = {.n_rows = 1, .group = 180, .divisor = 3, .resampled = true};
    struct qr_grouping_spec spec;
    struct qr_grouping g;
    qr_grouping_parse(&spec, qr_slice_str("average"), qr_slice_str(""));
    qr_grouping_init(&g, &spec, &window);
    for (int i = 0; i < 180; i++)
        qr_grouping_add(&g, 2);
    check(qr_grouping_take(&g), 120, "average", 0);
    qr_grouping_parse(&spec, qr_slice_str("sum"), qr_slice_str(""));
    qr_grouping_init(&g, &spec, &window);
    for (int i = 0; i < 180; i++)
        qr_grouping_add(&g, 2);
    check(qr_grouping_take(&g), 360, "sum", 0);
}

static void smoothing_goes_on_across_rows(void **state)
{
    (void)state;
    struct qr_window window = {.n_rows = 2, .group = 1, .divisor = 1}; /* alpha = 2/3 */
    struct qr_grouping_spec spec;
    struct qr_grouping g;
    qr_grouping_parse(&spec, qr_slice_str("ses"), qr_slice_str(""));
    qr_grouping_init(&g, &spec, &window);
    assert_true(isnan(qr_grouping_take(&g)));
    qr_grouping_add(&g, 3);
    check(qr_grouping_take(&g), 3, "ses", 0);
    qr_grouping_add(&g, 6);
    check(qr_grouping_take(&g), 5, "ses", 1);
    check(qr_grouping_take(&g), 5, "ses", 2);
}

static void many_values_are_kept(void **state)
{
    (void)state;
    struct qr_window window = {.n_rows = 1, .group = 1001, .divisor = 1};
    struct qr_grouping_spec spec;
    struct qr_grouping g;
    qr_grouping_parse(&spec, qr_slice_str("median"), qr_slice_str(""));
    qr_grouping_init(&g, &spec, &window);
    for (int i = 0; i < 1001; i++)
        assert_int_equal(qr_grouping_add(&g, (i * 8) % 1001), 0);
    check(qr_grouping_take(&g), 500, "median", 0);
    qr_grouping_release(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_by_the_formulas),
        cmocka_unit_test(resampling_rescales_the_average_only),
        cmocka_unit_test(smoothing_goes_on_across_rows),
        cmocka_unit_test(many_values_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
