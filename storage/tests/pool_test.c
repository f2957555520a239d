#include "storage/pool.h"

#include "storage/tests/fixture.h"

static void equal_definitions_are_one(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_pool *pool;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_pool_new(&pool, &epoch), 0);
    struct qr_chart_def *same = chart_def("a", "b", 1, 0, 3), *other = chart_def("a", "b", 1, 0, 3);
    const struct qr_chart_def *first = qr_pool_def(pool, same);
    const struct qr_chart_def *second = qr_pool_def(pool, other);
    assert_ptr_equal(first, second);
    free(other);
    /* What differs anywhere is another one, with the texts that it shares. */
    struct qr_dim_def dims[3];
    struct qr_def_label label = {"k", "v", 1};
    memcpy(dims, same->dims, sizeof dims);
    struct qr_chart_def views[7];
    for (size_t i = 0; i < QR_COUNT(views); i++)
        views[i] = *same;
    views[0].flags = 1;
    views[1].title = "t";
    views[2].n_dims = 2;
    dims[2].divisor = 9;
    views[3].dims = dims;
    views[4].n_labels = 1, views[4].labels = &label;
    views[5].priority = -4;
    views[6].module = "m";
    const struct qr_chart_def *pooled[QR_COUNT(views)];
    for (size_t i = 0; i < QR_COUNT(views); i++) {
        pooled[i] = qr_pool_def(pool, &views[i]);
        assert_ptr_not_equal(pooled[i], first);
        assert_ptr_equal(pooled[i]->id, first->id);
        for (size_t k = 0; k < i; k++)
            assert_ptr_not_equal(pooled[i], pooled[k]);
    }
    struct qr_pool_stats stats;
    qr_pool_get_stats(pool, &stats);
    assert_int_equal(stats.n_defs, 8);
    assert_int_equal(stats.n_texts, 10); /* "", a, b, d0, d1, d2, t, k, v, m */
    qr_pool_drop_def(first);
    assert_ptr_equal(qr_pool_def(pool, same), first); /* The second user was still there. */
    qr_pool_drop_def(first);
    qr_pool_drop_def(second);
    for (size_t i = 0; i < QR_COUNT(views); i++)
        qr_pool_drop_def(pooled[i]);
    qr_epoch_collect(&epoch);
    qr_pool_get_stats(pool, &stats);
    assert_int_equal(stats.n_defs, 0);
    assert_int_equal(stats.n_texts, 0);
    assert_int_equal(stats.bytes, 0);
    qr_epoch_release(&epoch);
    qr_pool_free(pool);
    free(same);
}

static void what_a_reader_sees_stays(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_pool *pool;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_pool_new(&pool, &epoch), 0);
    struct qr_chart_def *def = chart_def("id", "id", 1, 0, 1);
    const struct qr_chart_def *pooled = qr_pool_def(pool, def);
    int slot = qr_epoch_enter(&epoch);
    qr_pool_drop_def(pooled);
    qr_epoch_collect(&epoch);
    assert_string_equal(pooled->id, "id");
    const struct qr_chart_def *again = qr_pool_def(pool, def);
    assert_ptr_not_equal(again, pooled); /* The one that goes does not come back. */
    assert_ptr_equal(again->id, pooled->id);
    qr_epoch_leave(&epoch, slot);
    qr_epoch_collect(&epoch);
    assert_string_equal(again->id, "id");
    qr_epoch_release(&epoch);
    qr_pool_free(pool);
    free(def);
}

static void definitions_are_numbered_as_they_come(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_pool *pool;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_pool_new(&pool, &epoch), 0);
    const struct qr_chart_def *defs[3];
    for (unsigned i = 0; i < 3; i++) {
        struct qr_chart_def *def = chart_def("x", "x", i + 1, 0, 1);
        defs[i] = qr_pool_def(pool, def);
        free(def);
    }
    for (int round = 0; round < 2; round++) {
        struct qr_pool_numbers numbers = qr_pool_begin_numbers(pool);
        assert_int_equal(qr_pool_number(&numbers, defs[2]), 0);
        assert_int_equal(qr_pool_number(&numbers, defs[0]), 0);
        assert_int_equal(qr_pool_number(&numbers, defs[2]), 1);
        assert_int_equal(qr_pool_number(&numbers, defs[0]), 2);
        assert_int_equal(qr_pool_number(&numbers, defs[1]), 0);
    }
    qr_epoch_release(&epoch);
    qr_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_definitions_are_one),
        cmocka_unit_test(what_a_reader_sees_stays),
        cmocka_unit_test(definitions_are_numbered_as_they_come),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
