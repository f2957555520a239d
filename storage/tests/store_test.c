#include "storage/store.h"

#include <unistd.h>

#include "storage/tests/fixture.h"

/* Real files, in a folder of its own; the tests that need faults are in sealing_test.c. */
static char dir[] = "/tmp/qr-store-test-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static int make(void **state)
{
    const struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    struct qr_store *store;
    assert_int_equal(qr_store_open(&store, &config, NULL), 0);
    *state = store;
    return 0;
}

static int drop(void **state)
{
    qr_store_close(*state);
    return 0;
}

static void ids_come_in_log_order(void **state)
{
    struct qr_store *store = *state;
    assert_int_equal(add_host(store, 5), 1);
    assert_int_equal(add_host(store, 4), 2);
    assert_int_equal(add_host(store, 5), 1);
    assert_int_equal(add_chart(store, 2, "a.b", 1, 1), 1);
    assert_int_equal(add_chart(store, 1, "a.b", 1, 1), 2);
    assert_int_equal(add_chart(store, 2, "a.b", 1, 2), 1);
    assert_int_equal(qr_store_n_hosts(store), 2);
    struct qr_host *host = qr_store_host_at(store, 1);
    assert_int_equal(host->id, 2);
    assert_ptr_equal(host, qr_store_host_by_id(store, 2));
    assert_ptr_equal(host, qr_store_host_by_guid(store, &host->guid));
    assert_string_equal(host->guid_text, "04000700-0000-0000-0000-000000000000");
    assert_int_equal(host->n_charts, 1);
    assert_int_equal(qr_host_first(host)->id, 1);
    assert_null(qr_store_host_by_id(store, 3));
    assert_null(qr_store_host_by_id(store, 0));
    assert_null(qr_store_chart_by_id(store, 3));
    uint32_t id;
    assert_int_equal(qr_store_apply_chart(store, 3, chart_def("x", "x", 1, 0, 1), &id),
                     QR_E_UNKNOWN);
    struct qr_store_stats stats;
    qr_store_get_stats(store, &stats);
    assert_int_equal(stats.n_hosts, 2);
    assert_int_equal(stats.n_charts, 2);
    assert_int_equal(stats.n_dims, 3);
}

static void charts_are_found_by_id_then_by_name(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1), id;
    const struct qr_host *h = qr_store_host_by_id(store, host);
    char text[16];
    for (unsigned i = 0; i < 200; i++) {
        char name[16];
        snprintf(text, sizeof text, "id%u", i);
        snprintf(name, sizeof name, "name%u", i);
        assert_int_equal(qr_store_apply_chart(store, host, chart_def(text, name, 1, 0, 1), &id), 0);
    }
    /* One takes the id of another as its name; another is renamed there and back. */
    assert_int_equal(qr_store_apply_chart(store, host, chart_def("id7", "id9", 1, 0, 1), &id), 0);
    assert_int_equal(qr_store_apply_chart(store, host, chart_def("id8", "x", 1, 0, 1), &id), 0);
    assert_null(qr_store_chart_find(store, h, qr_slice_str("name8")));
    assert_int_equal(qr_store_chart_find(store, h, qr_slice_str("x"))->id, 9);
    assert_int_equal(qr_store_apply_chart(store, host, chart_def("id8", "name3", 1, 0, 1), &id), 0);
    assert_null(qr_store_chart_find(store, h, qr_slice_str("x")));
    assert_int_equal(qr_store_chart_find(store, h, qr_slice_str("name3"))->id, 4);
    assert_int_equal(qr_store_chart_find(store, h, qr_slice_str("id9"))->id, 10);
    for (unsigned i = 0; i < 200; i++) {
        snprintf(text, sizeof text, "id%u", i);
        assert_int_equal(qr_store_chart_find(store, h, qr_slice_str(text))->id, i + 1);
    }
    assert_null(qr_store_chart_find(store, h, qr_slice_str("id200")));
    assert_null(qr_store_chart_find(store, h, qr_slice_str("name7")));
}

static void dimensions_keep_their_places(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1), id;
    /* d0 d1 d2, then d1 .. d4: d0 stays and is obsolete, d3 and d4 come at the end. */
    add_chart(store, host, "a", 1, 3);
    assert_int_equal(qr_store_apply_chart(store, host, chart_def("a", "a", 5, 1, 4), &id), 0);
    const struct qr_chart_def *def = qr_store_chart_by_id(store, id)->def;
    assert_int_equal(def->update_every, 5);
    assert_int_equal(def->n_dims, 5);
    for (unsigned i = 0; i < 5; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%u", i);
        assert_string_equal(def->dims[i].id, name);
        assert_int_equal(def->dims[i].flags, i == 0 ? 1 : 0);
    }
    /* And back: it is not obsolete any more. */
    assert_int_equal(qr_store_apply_chart(store, host, chart_def("a", "a", 5, 0, 5), &id), 0);
    def = qr_store_chart_by_id(store, id)->def;
    assert_int_equal(def->n_dims, 5);
    assert_int_equal(def->dims[0].flags, 0);
}

static void rows_are_checked(void **state)
{
    struct qr_store *store = *state;
    uint32_t a = add_host(store, 1), b = add_host(store, 2);
    uint32_t chart = add_chart(store, a, "a", 1, 2);
    uint32_t values[3] = {1, 2, 3}, n_new;
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, 100, values, 3, &n_new), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, 0, values, 2, &n_new), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, -5, values, 2, &n_new), QR_E_LIMIT);
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, 86501, values, 2, &n_new),
                     QR_E_LIMIT);
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, INT64_MAX, values, 2, &n_new),
                     QR_E_LIMIT);
    assert_int_equal(qr_store_apply_row(store, b, chart, 100, 100, values, 2, &n_new),
                     QR_E_UNKNOWN);
    assert_int_equal(qr_store_apply_row(store, a, 9, 100, 100, values, 2, &n_new), QR_E_UNKNOWN);
    assert_int_equal(qr_store_apply_row(store, a, chart, 100, 86500, values, 2, &n_new), 0);
    assert_int_equal(n_new, 2);
}

static void the_first_value_of_a_second_stays(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1), chart = add_chart(store, host, "a", 1, 3);
    assert_int_equal(put_row(store, host, chart, 1000, (uint32_t[]){E, 5}, 2), 1);
    assert_int_equal(put_row(store, host, chart, 1000, (uint32_t[]){4, 6, 7}, 3), 2);
    assert_int_equal(put_row(store, host, chart, 1000, (uint32_t[]){4, 6, 7}, 3), 0);
    assert_int_equal(cell_at(store, chart, 1000, 0), 4);
    assert_int_equal(cell_at(store, chart, 1000, 1), 5);
    assert_int_equal(cell_at(store, chart, 1000, 2), 7);
    const struct qr_chart *c = qr_store_chart_by_id(store, chart);
    assert_int_equal(c->n_samples, 3);
    assert_int_equal(c->watermark_s, 1000);
    assert_int_equal(qr_chart_first_s(c), 1000);
    assert_int_equal(put_row(store, host, chart, 900, (uint32_t[]){1}, 1), 1);
    assert_int_equal(put_row(store, host, chart, 1100, (uint32_t[]){E, E, E}, 3), 0);
    assert_int_equal(c->watermark_s, 1100);
    assert_int_equal(qr_chart_first_s(c), 900);
    struct qr_store_stats stats;
    qr_store_get_stats(store, &stats);
    assert_int_equal(stats.n_samples, 4);
    assert_int_equal(stats.n_duplicates, 4);
    assert_int_equal(stats.n_rows, 5);
}

static void windows_with_data_can_be_sealed(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1), chart = add_chart(store, host, "a", 1, 1);
    int64_t starts[4];
    const int64_t times[] = {1800, 1, 599, 600, 1799, 3000};
    for (size_t i = 0; i < QR_COUNT(times); i++)
        put_row(store, host, chart, times[i], (uint32_t[]){1}, 1);
    put_row(store, host, chart, 2400, (uint32_t[]){E}, 1);
    assert_int_equal(qr_store_sealable(store, 599, starts, 4), 0);
    assert_int_equal(qr_store_sealable(store, 600, starts, 4), 1);
    assert_int_equal(qr_store_sealable(store, 10000, starts, 4), 4);
    assert_int_equal(starts[0], 0);
    assert_int_equal(starts[1], 600);
    assert_int_equal(starts[2], 1200);
    assert_int_equal(starts[3], 1800);
}

static void gaps_are_kept_by_chart(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1);
    add_chart(store, host, "a", 1, 1);
    add_chart(store, host, "b", 1, 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(
            qr_store_apply_gap(store, &(struct qr_gap){(uint32_t)(i % 2) + 1, i, i + 1, 2}), 0);
    assert_int_equal(qr_store_apply_gap(store, &(struct qr_gap){3, 1, 2, 0}), QR_E_UNKNOWN);
    assert_int_equal(qr_store_apply_gap(store, &(struct qr_gap){1, 2, 2, 0}), QR_E_LIMIT);
    struct qr_gap gaps[3];
    assert_int_equal(qr_store_gaps(store, 2, gaps, 3), 50);
    uint64_t of_hosts[1] = {0};
    uint64_t of_chart_1 = qr_store_gaps(store, 1, NULL, 0);
    qr_store_gaps_of_hosts(store, qr_store_hosts(store), of_hosts, 1);
    assert_int_equal(of_hosts[0], 50 + of_chart_1);
    assert_int_equal(gaps[2].after_s, 5);
    assert_int_equal(gaps[2].before_s, 6);
    assert_int_equal(gaps[2].reason, 2);
}

/* Rows of any step, phase, order and width against a plain array. */
#define MODEL_S    3000
#define MODEL_DIMS 4

static void check_all(struct qr_store *store, uint32_t chart_id,
                      const uint32_t model[MODEL_S][MODEL_DIMS], int64_t first, int64_t last)
{
    static uint32_t seen[MODEL_S][MODEL_DIMS];
    for (size_t t = 0; t < MODEL_S; t++)
        for (size_t d = 0; d < MODEL_DIMS; d++)
            seen[t][d] = E;
    struct qr_query *query;
    struct qr_slab slab;
    int slot = qr_store_enter(store);
    assert_int_equal(
        qr_query_open(&query, store, qr_store_chart_by_id(store, chart_id), first, last), 0);
    int64_t newest = -1;
    while (qr_query_next(query, &slab) == 1) {
        assert_true(slab.n_rows > 0);
        for (uint32_t row = 0; row < slab.n_rows; row++) {
            int64_t t = slab.first_s + (int64_t)row * slab.step_s;
            assert_true(t > newest);
            assert_true(t >= first && t <= last);
            newest = t;
            for (uint32_t d = 0; d < slab.n_dims; d++)
                seen[t][d] = qr_slab_at(&slab, row, d);
        }
    }
    qr_query_close(query);
    qr_store_leave(store, slot);
    for (int64_t t = first < 0 ? 0 : first; t <= last && t < MODEL_S; t++)
        assert_memory_equal(seen[t], model[t], sizeof seen[t]);
}

static void any_order_of_rows_gives_the_same_cells(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1);
    struct qr_rng rng;
    qr_rng_seed(&rng, 11);
    for (unsigned round = 0; round < 40; round++) {
        static uint32_t model[MODEL_S][MODEL_DIMS];
        for (size_t t = 0; t < MODEL_S; t++)
            for (size_t d = 0; d < MODEL_DIMS; d++)
                model[t][d] = E;
        char id[16];
        snprintf(id, sizeof id, "c%u", round);
        uint32_t n_dims = 1, id_number;
        uint32_t chart = add_chart(store, host, id, 10, n_dims);
        uint32_t step = 1 + (uint32_t)qr_rng_below(&rng, 700);
        for (int i = 0; i < 300; i++) {
            if (qr_rng_below(&rng, 60) == 0 && n_dims < MODEL_DIMS) {
                n_dims++;
                assert_int_equal(qr_store_apply_chart(
                                     store, host, chart_def(id, id, step, 0, n_dims), &id_number),
                                 0);
            }
            if (qr_rng_below(&rng, 100) == 0)
                step = 1 + (uint32_t)qr_rng_below(&rng, 30);
            int64_t t = (int64_t)(qr_rng_below(&rng, MODEL_S / step + 1) * step);
            if (t < 1 || t >= MODEL_S)
                continue;
            uint32_t values[MODEL_DIMS], expected = 0;
            uint32_t n = (uint32_t)qr_rng_below(&rng, n_dims + 1);
            for (uint32_t d = 0; d < n; d++) {
                values[d] = qr_rng_below(&rng, 4) == 0 ? E : (uint32_t)qr_rng_below(&rng, 1000);
                if (model[t][d] == E && values[d] != E) {
                    model[t][d] = values[d];
                    expected++;
                }
            }
            assert_int_equal(put_row(store, host, chart, t, values, n), expected);
        }
        check_all(store, chart, model, 0, MODEL_S - 1);
        for (int i = 0; i < 20; i++) {
            int64_t first = (int64_t)qr_rng_below(&rng, MODEL_S);
            check_all(store, chart, model, first,
                      first + (int64_t)qr_rng_below(&rng, (uint64_t)(MODEL_S - first)));
        }
    }
}

static void a_sealed_window_is_read_from_its_file(void **state)
{
    struct qr_store *store = *state;
    uint32_t host = add_host(store, 1), chart = add_chart(store, host, "a", 1, 2);
    for (int64_t t = 600; t < 1300; t++)
        put_row(store, host, chart, t, (uint32_t[]){(uint32_t)t, t % 7 == 0 ? E : 3}, 2);
    assert_int_equal(qr_store_apply_seal(store, 600), 0);
    struct qr_store_stats stats;
    qr_store_get_stats(store, &stats);
    assert_int_equal(stats.n_blocks, 1);
    char path[256];
    assert_int_equal(qr_store_block_path(store, "s0000-t0-00000258-w600-g0.qb", path, sizeof path),
                     0);
    assert_int_equal(access(path, R_OK), 0);
    for (int64_t t = 600; t < 1300; t++) {
        assert_int_equal(cell_at(store, chart, t, 0), t);
        assert_int_equal(cell_at(store, chart, t, 1), t % 7 == 0 ? E : 3);
    }
    assert_int_equal(retain_from(store, 1200), 0);
    assert_int_equal(access(path, R_OK), -1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, make, drop)
    const struct CMUnitTest tests[] = {
        TEST(ids_come_in_log_order),
        TEST(charts_are_found_by_id_then_by_name),
        TEST(dimensions_keep_their_places),
        TEST(rows_are_checked),
        TEST(the_first_value_of_a_second_stays),
        TEST(windows_with_data_can_be_sealed),
        TEST(gaps_are_kept_by_chart),
        TEST(any_order_of_rows_gives_the_same_cells),
        TEST(a_sealed_window_is_read_from_its_file),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
