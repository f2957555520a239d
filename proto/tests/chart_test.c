#include "proto/chart.h"

#include <stdio.h>

#include "base/error.h"
#include "testing/cmocka.h"

static struct qr_chart *define(struct qr_charts *charts, const char *id)
{
    struct qr_slice words[1] = {qr_slice_str(id)};
    struct qr_chart *chart = NULL;
    const char *reason;
    assert_int_equal(qr_charts_define(charts, (struct qr_args){words, 1}, 1, &chart, &reason), 0);
    return chart;
}

/* In the order of the last round, in another one, and after charts were added. */
static void finds_charts_in_any_order(void **state)
{
    struct qr_charts charts = {0};
    struct qr_chart *at[200];
    char id[32];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "t.c%d", i);
        at[i] = define(&charts, id);
        assert_int_equal(at[i]->pub.slot, i);
    }
    for (int round = 1; round < 8; round++)
        for (int i = 0; i < 200 * 2; i++) {
            int which = i * (round % 4 + 1) % 200;
            snprintf(id, sizeof id, "t.c%d", which);
            assert_ptr_equal(qr_charts_find(&charts, qr_slice_str(id)), at[which]);
        }
    assert_null(qr_charts_find(&charts, qr_slice_str("t.c200")));
    assert_null(qr_charts_find(&charts, qr_slice_str("")));
    assert_ptr_equal(define(&charts, "t.c7"), at[7]);
    assert_int_equal(charts.n, 200);
    qr_charts_release(&charts);
}

static void adds_each_dimension_once(void **state)
{
    struct qr_charts charts = {0};
    struct qr_chart *chart = define(&charts, "t.c");
    char id[32];
    const char *reason;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(id, sizeof id, "d%d", i * 7 % 100);
            struct qr_slice words[1] = {qr_slice_str(id)};
            assert_int_equal(
                qr_charts_dimension(&charts, chart, (struct qr_args){words, 1}, &reason), 0);
        }
    assert_int_equal(chart->pub.n_dims, 100);
    assert_int_equal(charts.dims_max, 100);
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "d%d", i * 7 % 100);
        assert_int_equal(qr_chart_find_dim(chart, qr_slice_str(id)), i);
    }
    assert_int_equal(qr_chart_find_dim(chart, qr_slice_str("d100")), UINT32_MAX);
    qr_charts_release(&charts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_charts_in_any_order),
        cmocka_unit_test(adds_each_dimension_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
