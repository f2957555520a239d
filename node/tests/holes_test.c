#include "node/holes.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/stream.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define T0 1795405200

static char dir[] = "/tmp/quorate-holes-XXXXXX";
static struct qr_store *store;
static uint32_t host_id, chart_id;

static void on_sealed(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                      uint64_t hash)
{
    (void)data, (void)id, (void)status, (void)bytes, (void)hash;
}

static void on_bad_block(void *data, const char *name, const char *sentence)
{
    (void)data, (void)name, (void)sentence;
}

static const struct qr_dim_def two_dims[] = {{"a", "a", 1, 1, 0, 0}, {"b", "b", 1, 1, 0, 0}};

static void encode_chart(struct qr_buf *out, uint32_t n_dims, const char *title)
{
    struct qr_chart_def def = {.id = "t.c",
                               .name = "t.c",
                               .title = title,
                               .units = "",
                               .family = "",
                               .context = "t.c",
                               .plugin = "",
                               .module = "",
                               .priority = 1,
                               .update_every = 2,
                               .n_dims = n_dims,
                               .dims = two_dims};
    assert_int_equal(qr_chart_def_encode(out, &def), 0);
}

static struct qr_chart_def *decoded(struct qr_buf *encoded)
{
    struct qr_chart_def *def;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(encoded));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    return def;
}

static int setup(void **state)
{
    (void)state;
    struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    struct qr_store_events events = {NULL, on_sealed, on_bad_block};
    struct qr_buf body = {0};
    struct qr_host_def *host;
    struct qr_host_def told = {.hostname = "h",
                               .registry_hostname = "h",
                               .os = "",
                               .timezone = "",
                               .abbrev_timezone = "",
                               .program_name = "",
                               .program_version = ""};
    if (mkdtemp(dir) == NULL || qr_store_open(&store, &config, &events) != 0)
        return -1;
    qr_host_def_encode(&body, &told);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    if (qr_host_def_decode(&host, &in) != 0 || qr_store_apply_host(store, host, &host_id) != 0)
        return -1;
    qr_buf_clear(&body);
    encode_chart(&body, 2, "title");
    int err = qr_store_apply_chart(store, host_id, decoded(&body), &chart_id);
    qr_buf_release(&body);
    return err;
}

static int teardown(void **state)
{
    (void)state;
    qr_store_close(store);
    return 0;
}

static void put(int64_t from_s, int64_t to_s)
{
    for (int64_t t = from_s; t <= to_s; t += 2) {
        uint32_t cells[] = {qr_value_pack((double)t, 0), QR_VALUE_EMPTY};
        uint32_t n;
        assert_int_equal(qr_store_apply_row(store, host_id, chart_id, T0, t, cells, 2, &n), 0);
    }
}

static void format_block_path(int64_t start_s, char path[1024])
{
    snprintf(path, 1024, "%s/s0000-t0-%08llx-w600-g0.qb", dir, (unsigned long long)start_s);
}

/* Of a child that has what ends behind first_s. */
static uint32_t find(int64_t first_s, int64_t until_s, struct qr_stream_hole *holes, uint32_t max)
{
    struct qr_feed_source child = {.first_s = first_s};
    return qr_holes_find(store, chart_id, &child, until_s, holes, max);
}

static void finds_what_is_missing_behind_the_watermark(void **state)
{
    (void)state;
    struct qr_stream_hole holes[4];
    put(T0 + 2, T0 + 20);
    put(T0 + 30, T0 + 40); /* (20, 28] is missing */
    put(T0 + 50, T0 + 60); /* (40, 48] too, but recorded */
    struct qr_gap gap = {chart_id, T0 + 40, T0 + 48, QR_GAP_NOT_COLLECTED};
    assert_int_equal(qr_store_apply_gap(store, &gap), 0);

    uint32_t n = find(T0, T0 + 60, holes, 4);
    assert_int_equal(n, 1);
    assert_int_equal(holes[0].after_s, T0 + 20);
    assert_int_equal(holes[0].before_s, T0 + 28);

    /* What the child does not keep any more is missing all the same: the planner says why. */
    assert_int_equal(find(T0 + 28, T0 + 60, holes, 4), 1);
    struct qr_gap kept_no_more = {chart_id, T0 + 20, T0 + 28, QR_GAP_RETENTION};
    assert_int_equal(qr_store_apply_gap(store, &kept_no_more), 0);
    assert_int_equal(find(T0 + 28, T0 + 60, holes, 4), 0);

    /* A part of a hole that is recorded leaves the rest. */
    put(T0 + 80, T0 + 90); /* (60, 78] */
    struct qr_gap middle = {chart_id, T0 + 66, T0 + 70, QR_GAP_NOT_COLLECTED};
    assert_int_equal(qr_store_apply_gap(store, &middle), 0);
    n = find(T0 + 28, T0 + 90, holes, 4);
    assert_int_equal(n, 2);
    assert_int_equal(holes[0].after_s, T0 + 60);
    assert_int_equal(holes[0].before_s, T0 + 66);
    assert_int_equal(holes[1].after_s, T0 + 70);
    assert_int_equal(holes[1].before_s, T0 + 78);

    /* With room for one, the newest. */
    n = find(T0 + 28, T0 + 90, holes, 1);
    assert_int_equal(n, 1);
    assert_int_equal(holes[0].before_s, T0 + 78);
}

static void expect_holes(struct qr_feed_source source, int64_t until_s,
                         const struct qr_stream_hole *expected, uint32_t n)
{
    struct qr_stream_hole holes[8];
    assert_int_equal(qr_holes_find(store, chart_id, &source, until_s, holes, 8), n);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(holes[i].after_s, expected[i].after_s);
        assert_int_equal(holes[i].before_s, expected[i].before_s);
    }
}

/* The store of another time, in the same chart: from here on nothing else is in it. */
static void a_gap_counts_unless_the_source_contradicts_it(void **state)
{
    (void)state;
    const int64_t t0 = T0 + 20000;
    put(t0 + 102, t0 + 120);
    put(t0 + 142, t0 + 160);
    put(t0 + 182, t0 + 200);
    const struct qr_gap never = {chart_id, t0 + 120, t0 + 140, QR_GAP_NOT_COLLECTED};
    const struct qr_gap old = {chart_id, t0 + 160, t0 + 180, QR_GAP_RETENTION};
    const struct qr_gap before = {chart_id, T0, t0 + 100, QR_GAP_NOT_COLLECTED};
    assert_int_equal(qr_store_apply_gap(store, &never), 0);
    assert_int_equal(qr_store_apply_gap(store, &old), 0);
    assert_int_equal(qr_store_apply_gap(store, &before), 0);

    expect_holes((struct qr_feed_source){.first_s = t0 + 180}, t0 + 200, NULL, 0);
    expect_holes((struct qr_feed_source){.first_s = 0}, t0 + 200, NULL, 0);
    /* The child has more than it said. */
    const struct qr_stream_hole kept[] = {{t0 + 170, t0 + 180}};
    expect_holes((struct qr_feed_source){.first_s = t0 + 170}, t0 + 200, kept, 1);

    /* A node that may have refilled it all: but for what it says that it has not. */
    const struct qr_stream_hole all[] = {
        {t0 + 90, t0 + 100}, {t0 + 120, t0 + 140}, {t0 + 160, t0 + 180}};
    expect_holes((struct qr_feed_source){t0 + 90, true}, t0 + 200, all, 3);
    const struct qr_stream_hole newer[] = {{t0 + 130, t0 + 140}, {t0 + 160, t0 + 180}};
    expect_holes((struct qr_feed_source){t0 + 130, true}, t0 + 200, newer, 2);
    expect_holes((struct qr_feed_source){0, true}, t0 + 200, NULL, 0);
}

static void drop(struct qr_gap *gaps, uint32_t n, const struct qr_gap *left, uint32_t n_left)
{
    assert_int_equal(qr_holes_drop_recorded(store, gaps, n), n_left);
    for (uint32_t i = 0; i < n_left; i++) {
        assert_int_equal(gaps[i].chart, left[i].chart);
        assert_int_equal(gaps[i].after_s, left[i].after_s);
        assert_int_equal(gaps[i].before_s, left[i].before_s);
        assert_int_equal(gaps[i].reason, left[i].reason);
    }
}

static void a_gap_is_recorded_once(void **state)
{
    (void)state;
    const int64_t t0 = T0 + 20000; /* Those of the test before. */
    const uint32_t c = chart_id, never = QR_GAP_NOT_COLLECTED, old = QR_GAP_RETENTION;
    struct qr_gap known[] = {{c, t0 + 165, t0 + 180, (uint8_t)old},
                             {c, t0 + 120, t0 + 140, (uint8_t)never},
                             {c, t0 + 125, t0 + 130, (uint8_t)old}};
    drop(known, 3, NULL, 0);
    /* That the child does not keep it is less than that it has never had it. */
    struct qr_gap stronger[] = {{c, t0 + 165, t0 + 180, (uint8_t)never}};
    drop(stronger, 1, (struct qr_gap[]){stronger[0]}, 1);
    /* What is new of them; another chart has none. */
    struct qr_gap longer[] = {{c, t0 + 120, t0 + 142, (uint8_t)never},
                              {c + 1, t0 + 120, t0 + 142, (uint8_t)never},
                              {c, t0 + 118, t0 + 140, (uint8_t)never}};
    const struct qr_gap left[] = {{c, t0 + 140, t0 + 142, (uint8_t)never},
                                  {c + 1, t0 + 120, t0 + 142, (uint8_t)never},
                                  {c, t0 + 118, t0 + 120, (uint8_t)never}};
    drop(longer, 3, left, 3);
    struct qr_gap around[] = {{c, t0 + 110, t0 + 150, (uint8_t)never}};
    drop(around, 1, (struct qr_gap[]){around[0]}, 1);
    const struct qr_gap next = {c, t0 + 140, t0 + 150, (uint8_t)never};
    assert_int_equal(qr_store_apply_gap(store, &next), 0);
    struct qr_gap in_two_parts[] = {{c, t0 + 120, t0 + 150, (uint8_t)never}};
    drop(in_two_parts, 1, NULL, 0);
    assert_int_equal(qr_holes_drop_recorded(store, NULL, 0), 0);
}

/* As many as a note holds, given backwards. */
static void many_gaps_are_dropped_at_once(void **state)
{
    (void)state;
    struct qr_gap gaps[QR_NOTE_GAPS_MAX];
    const int64_t t0 = T0 + 40000;
    for (uint32_t i = 0; i < QR_NOTE_GAPS_MAX; i++) {
        gaps[i] = (struct qr_gap){chart_id, t0 + 4 * i, t0 + 4 * i + 2, QR_GAP_RETENTION};
        assert_int_equal(qr_store_apply_gap(store, &gaps[i]), 0);
    }
    for (uint32_t i = 0; i < QR_NOTE_GAPS_MAX; i++)
        gaps[i] = (struct qr_gap){chart_id, t0 + 4 * (QR_NOTE_GAPS_MAX - 1 - i),
                                  t0 + 4 * (QR_NOTE_GAPS_MAX - 1 - i) + 2, QR_GAP_RETENTION};
    gaps[100].before_s++;
    const struct qr_gap left = {chart_id, gaps[100].before_s - 1, gaps[100].before_s,
                                QR_GAP_RETENTION};
    drop(gaps, QR_NOTE_GAPS_MAX, &left, 1);
}

/* Before our first row: only a node is asked for it. */
static void what_is_older_than_the_first_row(void **state)
{
    (void)state;
    const int64_t first_s = T0 + 2;
    expect_holes((struct qr_feed_source){.first_s = first_s - 22}, T0 + 10, NULL, 0);
    const struct qr_stream_hole older[] = {{first_s - 22, first_s - 2}};
    expect_holes((struct qr_feed_source){first_s - 22, true}, T0 + 10, older, 1);
}

static void put_one(int64_t t)
{
    put(t, t);
}

/* The chart had another interval then, a longer one. */
static void a_coarser_grid_has_no_holes(void **state)
{
    (void)state;
    struct qr_stream_hole holes[8];
    const int64_t t0 = T0 + 3600;
    const struct qr_gap between = {chart_id, T0 + 60, t0, QR_GAP_RETENTION};
    assert_int_equal(qr_store_apply_gap(store, &between), 0);
    put(t0 + 2, t0 + 32);
    for (int64_t t = t0 + 40; t <= t0 + 100; t += 10) /* (32, 38] lies in the first of these */
        put_one(t);
    put(t0 + 102, t0 + 120);
    assert_int_equal(find(t0 + 2, t0 + 120, holes, 8), 0);

    /* In it there are some, and around it. */
    put(t0 + 140, t0 + 150);                           /* (120, 138] */
    for (int64_t t = t0 + 180; t <= t0 + 220; t += 10) /* (150, 178] */
        put_one(t);
    for (int64_t t = t0 + 260; t <= t0 + 300; t += 10) /* (220, 258] */
        put_one(t);
    put(t0 + 306, t0 + 310); /* (300, 304] */
    uint32_t n = find(t0 + 2, t0 + 310, holes, 8);
    static const int64_t expected[][2] = {{120, 138}, {150, 178}, {220, 258}, {300, 304}};
    assert_int_equal(n, 4);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(holes[i].after_s - t0, expected[i][0]);
        assert_int_equal(holes[i].before_s - t0, expected[i][1]);
    }
}

/* A chart pauses, has one point, and what comes then is missing for as long as it paused. */
static void a_hole_beside_a_pause_is_one(void **state)
{
    (void)state;
    struct qr_stream_hole holes[4];
    const int64_t t0 = T0 + 30000;
    put(t0 + 2, t0 + 20);
    put_one(t0 + 28);
    put(t0 + 36, t0 + 50);
    assert_int_equal(find(t0 + 2, t0 + 50, holes, 2), 2); /* The newest; older tests have others. */
    assert_int_equal(holes[0].after_s, t0 + 20);
    assert_int_equal(holes[0].before_s, t0 + 26);
    assert_int_equal(holes[1].after_s, t0 + 28);
    assert_int_equal(holes[1].before_s, t0 + 34);
}

static void what_cannot_be_read_is_not_known_to_be_missing(void **state)
{
    (void)state;
    struct qr_stream_hole holes[4];
    struct qr_buf snapshot = {0};
    struct qr_block_name name;
    char path[1024];
    const int64_t t0 = T0 + 1200; /* Three windows, with a hole in the first and in the third. */
    put(t0 + 2, t0 + 100);
    put(t0 + 110, t0 + 1300);
    put(t0 + 1310, t0 + 1400);
    assert_int_equal(qr_store_apply_seal(store, t0 + 600), 0);
    assert_int_equal(find(t0 + 2, t0 + 1400, holes, 4), 2);

    /* The file of the second is not there, as after a snapshot from a peer. */
    assert_int_equal(qr_store_snapshot(store, &snapshot), 0);
    format_block_path(t0 + 600, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(qr_store_restore(store, qr_buf_slice(&snapshot)), 0);
    qr_buf_release(&snapshot);
    assert_int_equal(qr_store_missing(store, &name, 1), 1);
    uint32_t n = find(t0 + 2, t0 + 1400, holes, 4);
    assert_int_equal(n, 2);
    assert_int_equal(holes[0].after_s, t0 + 100);
    assert_int_equal(holes[0].before_s, t0 + 108);
    assert_int_equal(holes[1].after_s, t0 + 1300);
    assert_int_equal(holes[1].before_s, t0 + 1308);

    /* Nor at the end, where the watermark is all that is known. */
    n = find(t0 + 110, t0 + 1190, holes, 4);
    assert_int_equal(n, 0);
}

static void tells_a_change_from_a_repetition(void **state)
{
    (void)state;
    struct qr_buf same = {0};
    struct qr_buf other = {0};
    encode_chart(&same, 2, "title");
    encode_chart(&other, 2, "other title");
    int slot = qr_store_enter(store);
    struct qr_host *host = qr_store_host_by_id(store, host_id);
    assert_false(qr_definition_changes(store, host, qr_buf_slice(&same)));
    assert_true(qr_definition_changes(store, host, qr_buf_slice(&other)));

    struct qr_feed_chart item = {.body = same};
    assert_int_equal(qr_places_resolve(store, host, &item), 0);
    assert_int_equal(item.chart, chart_id);
    assert_int_equal(item.places[1], 1);
    free(item.places);
    qr_store_leave(store, slot);
    qr_buf_release(&same);
    qr_buf_release(&other);
}

/* What the log has refused is told apart from what it has not got yet, with the reason. */
static void a_host_that_is_full_is_named(void **state)
{
    (void)state;
    struct qr_buf body = {0};
    uint32_t id;
    int slot = qr_store_enter(store);
    struct qr_host *host = qr_store_host_by_id(store, host_id);
    struct qr_chart_def one = {.id = "one more",
                               .name = "one more",
                               .title = "",
                               .units = "",
                               .family = "",
                               .context = "",
                               .plugin = "",
                               .module = ""};
    assert_int_equal(qr_chart_def_encode(&body, &one), 0);
    struct qr_feed_chart early = {.body = body}, late = {.body = body};
    assert_int_equal(qr_places_resolve(store, host, &early), QR_E_UNKNOWN);
    assert_null(early.refusal);
    for (unsigned i = atomic_load(&host->n_charts); i < QR_CHARTS_PER_HOST_MAX; i++) {
        char name[16];
        struct qr_chart_def def = one;
        struct qr_buf bytes = {0};
        snprintf(name, sizeof name, "c%u", i);
        def.id = def.name = name;
        assert_int_equal(qr_chart_def_encode(&bytes, &def), 0);
        assert_int_equal(qr_store_apply_chart(store, host_id, decoded(&bytes), &id), 0);
        qr_buf_release(&bytes);
    }
    assert_int_equal(qr_store_apply_chart(store, host_id, decoded(&body), &id), QR_E_LIMIT);
    assert_int_equal(qr_places_resolve(store, host, &late), QR_E_LIMIT);
    assert_non_null(strstr(late.refusal, "100000"));
    free(early.places);
    free(late.places);
    qr_store_leave(store, slot);
    qr_buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_missing_behind_the_watermark),
        cmocka_unit_test(a_coarser_grid_has_no_holes),
        cmocka_unit_test(a_hole_beside_a_pause_is_one),
        cmocka_unit_test(what_cannot_be_read_is_not_known_to_be_missing),
        cmocka_unit_test(a_gap_counts_unless_the_source_contradicts_it),
        cmocka_unit_test(a_gap_is_recorded_once),
        cmocka_unit_test(many_gaps_are_dropped_at_once),
        cmocka_unit_test(what_is_older_than_the_first_row),
        cmocka_unit_test(tells_a_change_from_a_repetition),
        cmocka_unit_test(a_host_that_is_full_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
