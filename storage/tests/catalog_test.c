#include "storage/catalog.h"

#include "storage/tests/fixture.h"

struct fixture {
    struct qr_epoch epoch;
    struct qr_catalog catalog;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    qr_epoch_init(&fixture->epoch);
    assert_int_equal(qr_catalog_init(&fixture->catalog, &fixture->epoch), 0);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    struct fixture *fixture = *state;
    qr_epoch_release(&fixture->epoch);
    qr_catalog_release(&fixture->catalog);
    free(fixture);
    return 0;
}

static struct qr_chart_def *def_of(const char *id, const char *const *dims, uint32_t n)
{
    struct qr_dim_def views[8];
    for (uint32_t i = 0; i < n; i++)
        views[i] = (struct qr_dim_def){dims[i], dims[i], (int64_t)i + 1, 1, 0, 0};
    struct qr_chart_def view = {.id = id, .name = id, .n_dims = n, .dims = views}, *def;
    struct qr_buf bytes = {0};
    assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

/* Definitions in turn, and the dimensions after each: "+" before the obsolete. */
static void dimensions_merge_by_id(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *given[5];
        uint32_t n_given;
        const char *expected;
    } cases[] = {
        {{"a", "b"}, 2, "a b "},
        {{"b", "a"}, 2, "a b "},
        {{"c"}, 1, "+a +b c "},
        {{"b", "d"}, 2, "+a b +c d "},
        {{"a", "b", "c", "d"}, 4, "a b c d "},
        {{"e", "e"}, 2, "+a +b +c +d e "}, /* The same twice is one. */
        {{0}, 0, "+a +b +c +d +e "},
    };
    struct qr_host *host;
    struct qr_chart *chart;
    assert_int_equal(qr_catalog_put_host(&fixture->catalog, host_def(1), &host), 0);
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        assert_int_equal(qr_catalog_put_chart(&fixture->catalog, host,
                                              def_of("x", cases[c].given, cases[c].n_given),
                                              &chart),
                         0);
        const struct qr_chart_def *def = atomic_load(&chart->def);
        char text[64] = "";
        for (uint32_t d = 0; d < def->n_dims; d++) {
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%s%s ", def->dims[d].flags & 1 ? "+" : "",
                     def->dims[d].id);
        }
        assert_string_equal(text, cases[c].expected);
    }
    /* The newest description of a dimension counts. */
    assert_int_equal(qr_catalog_put_chart(&fixture->catalog, host,
                                          def_of("x", (const char *[]){"b", "a"}, 2), &chart),
                     0);
    assert_int_equal(atomic_load(&chart->def)->dims[0].multiplier, 2);
    assert_int_equal(atomic_load(&chart->def)->dims[1].multiplier, 1);
}

static void hosts_are_changed_in_place(void **state)
{
    struct fixture *fixture = *state;
    struct qr_host *first, *again;
    assert_int_equal(qr_catalog_put_host(&fixture->catalog, host_def(1), &first), 0);
    const struct qr_host_def *old = atomic_load(&first->def);
    assert_int_equal(qr_catalog_put_host(&fixture->catalog, host_def(1), &again), 0);
    assert_ptr_equal(first, again);
    assert_ptr_not_equal(atomic_load(&first->def), old);
    for (unsigned i = 2; i < 100; i++)
        assert_int_equal(qr_catalog_put_host(&fixture->catalog, host_def(i), &again), 0);
    assert_int_equal(qr_catalog_n_hosts(&fixture->catalog), 99);
    for (uint32_t id = 1; id < 100; id++) {
        struct qr_host *host = qr_catalog_host(&fixture->catalog, id);
        assert_int_equal(host->id, id);
        assert_ptr_equal(qr_catalog_host_by_guid(&fixture->catalog, &host->guid), host);
    }
    assert_null(qr_catalog_host(&fixture->catalog, 100));
    assert_null(qr_catalog_find(first, qr_slice_str("x")));
}

static void a_host_has_a_limit_of_charts(void **state)
{
    struct fixture *fixture = *state;
    struct qr_host *host;
    struct qr_chart *chart;
    assert_int_equal(qr_catalog_put_host(&fixture->catalog, host_def(1), &host), 0);
    char id[16];
    for (unsigned i = 0; i < QR_CHARTS_PER_HOST_MAX; i++) {
        snprintf(id, sizeof id, "c%u", i);
        assert_int_equal(qr_catalog_put_chart(&fixture->catalog, host, def_of(id, NULL, 0), &chart),
                         0);
    }
    assert_int_equal(
        qr_catalog_put_chart(&fixture->catalog, host, def_of("one more", NULL, 0), &chart),
        QR_E_LIMIT);
    assert_int_equal(qr_catalog_put_chart(&fixture->catalog, host, def_of("c7", NULL, 0), &chart),
                     0);
    assert_int_equal(chart->id, 8);
    assert_ptr_equal(qr_catalog_find(host, qr_slice_str("c99999")),
                     qr_catalog_chart(&fixture->catalog, 100000));
    assert_ptr_equal(qr_catalog_of(chart), &fixture->catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dimensions_merge_by_id, make, drop),
        cmocka_unit_test_setup_teardown(hosts_are_changed_in_place, make, drop),
        cmocka_unit_test_setup_teardown(a_host_has_a_limit_of_charts, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
