#include "node/keeper.h"

#include <stdlib.h>

#include "base/error.h"
#include "storage/value.h"
#include "testing/cmocka.h"
#include "testing/process.h"

#define WINDOW_S 3600
#define T0       1795406400 /* Start of a window. */

static char dir[QR_TEMP_DIR_BYTES];
static struct qr_store *store;
static struct qr_keeper *keeper;
static struct qr_agreed time_now;
static struct qr_config config = {.window_s = WINDOW_S};
static uint32_t host_id, chart_id;

static void add_chart(void)
{
    struct qr_dim_def dim = {"d", "d", 1, 1, 0, 0};
    struct qr_host_def told_host = {.hostname = "h",
                                    .registry_hostname = "h",
                                    .os = "",
                                    .timezone = "",
                                    .abbrev_timezone = "",
                                    .program_name = "",
                                    .program_version = ""};
    struct qr_chart_def told_chart = {.id = "t.c",
                                      .name = "t.c",
                                      .title = "",
                                      .units = "",
                                      .family = "",
                                      .context = "",
                                      .plugin = "",
                                      .module = "",
                                      .update_every = 1,
                                      .n_dims = 1,
                                      .dims = &dim};
    struct qr_buf body = {0};
    struct qr_host_def *host;
    struct qr_chart_def *chart;
    qr_host_def_encode(&body, &told_host);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_host_def_decode(&host, &in), 0);
    assert_int_equal(qr_store_apply_host(store, host, &host_id), 0);
    qr_buf_clear(&body);
    qr_chart_def_encode(&body, &told_chart);
    in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_chart_def_decode(&chart, &in), 0);
    assert_int_equal(qr_store_apply_chart(store, host_id, chart, &chart_id), 0);
    qr_buf_release(&body);
}

static int setup(void **state)
{
    (void)state;
    qr_temp_dir(dir, "keeper-test");
    qr_agreed_init(&time_now, &qr_clock_system);
    struct qr_store_config store_config = {
        .disk = &qr_disk_files, .dir = dir, .window_s = WINDOW_S};
    if (qr_store_open(&store, &store_config, NULL) != 0 ||
        qr_keeper_new(&keeper, NULL, store, &config, &time_now) != 0)
        return -1;
    add_chart();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(keeper);
    qr_store_close(store);
    qr_remove_dir(dir);
    return 0;
}

/* A second of a cluster: the child's row for `end_s` is applied, what is due is sealed. */
static unsigned second(int64_t now_s, int64_t end_s)
{
    int64_t starts[QR_KEEPER_WINDOWS_MAX];
    uint32_t n, cell = qr_value_pack(1, 0);
    if (end_s != 0)
        assert_int_equal(qr_store_apply_row(store, host_id, chart_id, now_s, end_s, &cell, 1, &n),
                         0);
    unsigned n_due = qr_keeper_due(keeper, now_s, starts);
    for (unsigned i = 0; i < n_due; i++)
        assert_int_equal(qr_store_apply_seal(store, starts[i]), 0);
    return n_due;
}

static uint64_t n_blocks(void)
{
    struct qr_store_stats stats;
    qr_store_get_stats(store, &stats);
    return stats.n_blocks;
}

static void a_window_is_sealed_soon_after_its_end(void **state)
{
    (void)state;
    for (int64_t now = T0 + 1; now < T0 + WINDOW_S + QR_KEEPER_GRACE_S; now++)
        assert_int_equal(second(now, now), 0);
    assert_int_equal(second(T0 + WINDOW_S + QR_KEEPER_GRACE_S, 0), 1);
    assert_int_equal(n_blocks(), 1);
}

/* Ten minutes after the others, as a clock that is wrong, or a backlog, is. */
static void a_child_that_is_late_makes_few_files(void **state)
{
    (void)state;
    for (int64_t now = T0; now < T0 + 3 * WINDOW_S; now++)
        second(now, now - 600);
    assert_in_range(n_blocks(), 3, 8); /* Not one a second. */
}

/* Jobs end when the loop runs, and not before: the disk is slow. */
static void no_more_is_frozen_than_disks_keep_up_with(void **state)
{
    (void)state;
    uv_loop_t loop;
    int64_t starts[QR_KEEPER_WINDOWS_MAX];
    uint32_t n_new, cell = qr_value_pack(1, 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    qr_store_close(store);
    free(keeper);
    const struct qr_store_config store_config = {
        .loop = &loop, .disk = &qr_disk_files, .dir = dir, .window_s = WINDOW_S};
    assert_int_equal(qr_store_open(&store, &store_config, NULL), 0);
    assert_int_equal(qr_keeper_new(&keeper, NULL, store, &config, &time_now), 0);
    add_chart();
    int64_t now = T0 + 12 * WINDOW_S;
    for (int64_t t = T0; t < T0 + 6 * WINDOW_S; t += WINDOW_S)
        assert_int_equal(qr_store_apply_row(store, host_id, chart_id, now, t, &cell, 1, &n_new), 0);
    assert_int_equal(qr_keeper_due(keeper, now, starts), 0);
    now += QR_KEEPER_LATE_S;
    unsigned n_sealed = 0, n_rounds = 0, n;
    while ((n = qr_keeper_due(keeper, now, starts)) != 0) {
        assert_int_equal(n, QR_KEEPER_UNWRITTEN_MAX + 1);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(qr_store_apply_seal(store, starts[i]), 0);
        assert_int_equal(qr_store_unwritten(store), n);
        assert_int_equal(qr_keeper_due(keeper, now, starts), 0);
        n_sealed += n;
        n_rounds++;
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(qr_store_unwritten(store), 0);
    }
    assert_int_equal(n_rounds, 2); /* Those that had to wait did not wait anew. */
    assert_int_equal(n_sealed, 6);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void agree(void)
{
    struct qr_store_file file;
    while (qr_store_unvoted(store, 1, &file, 1) != 0) {
        const struct qr_file_vote vote = {1, file.bytes, file.hash};
        assert_int_equal(qr_store_apply_vote(store, &file.id, &vote, 1), 0);
    }
}

#define SPAN_S   (36 * (int64_t)WINDOW_S)
#define SETTLE_S (WINDOW_S + QR_KEEPER_GRACE_S + QR_KEEPER_LATE_S)

/* A value of each of a span's windows, sealed and agreed on. */
static int64_t seal_a_span(void)
{
    int64_t begin_s = T0 - T0 % SPAN_S;
    uint32_t n_new, cell = qr_value_pack(1, 0);
    for (int64_t t = begin_s; t < begin_s + SPAN_S; t += WINDOW_S) {
        assert_int_equal(
            qr_store_apply_row(store, host_id, chart_id, begin_s + SPAN_S, t, &cell, 1, &n_new), 0);
        assert_int_equal(qr_store_apply_seal(store, t), 0);
    }
    return begin_s;
}

static void a_span_is_merged_when_nothing_more_is_expected(void **state)
{
    (void)state;
    struct qr_block_id id;
    int64_t begin_s = seal_a_span(), end_s = begin_s + SPAN_S;
    assert_false(qr_keeper_merge_due(keeper, end_s + SETTLE_S, &id)); /* Not agreed on. */
    agree();
    assert_false(qr_keeper_merge_due(keeper, end_s + SETTLE_S - 1, &id));
    for (unsigned tier = 0; tier < 2; tier++) {
        assert_true(qr_keeper_merge_due(keeper, end_s + SETTLE_S, &id));
        assert_int_equal(id.tier, tier);
        assert_int_equal(id.start_s, begin_s);
        assert_int_equal(qr_store_apply_merge(store, id.tier, id.shard, id.start_s), 0);
        assert_false(qr_keeper_merge_due(keeper, end_s + SETTLE_S, &id)); /* One at a time. */
        agree();
    }
    assert_false(qr_keeper_merge_due(keeper, end_s + SETTLE_S, &id)); /* The day is not over. */
    /* Late samples: when it has been quiet for a while. */
    int64_t now = end_s + 2 * WINDOW_S + SETTLE_S;
    uint32_t n_new, cell = qr_value_pack(2, 0);
    assert_int_equal(
        qr_store_apply_row(store, host_id, chart_id, now, begin_s + 7, &cell, 1, &n_new), 0);
    assert_false(qr_keeper_merge_due(keeper, now, &id)); /* Not sealed. */
    assert_int_equal(qr_store_apply_seal(store, begin_s), 0);
    agree();
    assert_false(qr_keeper_merge_due(keeper, now, &id));
    assert_false(qr_keeper_merge_due(keeper, now + QR_KEEPER_LATE_S - 1, &id));
    assert_true(qr_keeper_merge_due(keeper, now + QR_KEEPER_LATE_S, &id));
    assert_int_equal(id.generation, 3);
}

/* No edge is asked for that drops samples before they are points; for a day at most. */
static void retention_waits_for_points(void **state)
{
    (void)state;
    struct qr_retention retention;
    struct qr_block_id id;
    int64_t begin_s = seal_a_span(), now = begin_s + SPAN_S + SETTLE_S;
    agree();
    config.retention_hours[0] = 1;
    config.retention_hours[1] = 10;
    config.retention_mib[1] = 3;
    qr_keeper_retention(keeper, now, &retention);
    assert_int_equal(retention.before_s[0],
                     begin_s > now - 3600 - 86400 ? begin_s : now - 3600 - 86400);
    assert_int_equal(retention.before_s[1], now - 36000);
    assert_int_equal(retention.bytes_max[0], 0);
    assert_int_equal(retention.bytes_max[1], 3 << 20);
    while (qr_keeper_merge_due(keeper, now, &id)) {
        assert_int_equal(qr_store_apply_merge(store, id.tier, id.shard, id.start_s), 0);
        agree();
    }
    qr_keeper_retention(keeper, now, &retention);
    assert_int_equal(retention.before_s[0], now - 3600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_is_sealed_soon_after_its_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_that_is_late_makes_few_files, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_is_frozen_than_disks_keep_up_with, setup, teardown),
        cmocka_unit_test_setup_teardown(a_span_is_merged_when_nothing_more_is_expected, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(retention_waits_for_points, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
