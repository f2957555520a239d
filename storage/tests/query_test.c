#include "storage/query.h"

#include <uv.h>

#include "base/log.h"
#include "storage/tests/member.h"
#include "testing/memory_disk.h"

struct fixture {
    struct qr_memory_disk disk;
    struct qr_store *store;
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    qr_memory_disk_init(&fixture->disk);
    const struct qr_store_config config = {
        .disk = &fixture->disk.disk, .dir = "/d", .window_s = 600};
    assert_int_equal(qr_store_open(&fixture->store, &config, NULL), 0);
    add_host(fixture->store, 1);
    add_chart(fixture->store, 1, "a", 10, 2);
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    struct fixture *fixture = *state;
    qr_store_close(fixture->store);
    qr_memory_disk_release(&fixture->disk);
    free(fixture);
    return 0;
}

/* The slabs of a query, as text: "first+step*rows/dims ". */
static void expect(struct qr_store *store, int64_t first_s, int64_t last_s, const char *expected,
                   uint32_t n_bad)
{
    struct qr_query *query;
    struct qr_slab slab;
    char text[256] = "";
    int slot = qr_store_enter(store);
    assert_int_equal(qr_query_open(&query, store, qr_store_chart_by_id(store, 1), first_s, last_s),
                     0);
    while (qr_query_next(query, &slab) == 1) {
        size_t len = strlen(text);
        snprintf(text + len, sizeof text - len, "%lld+%u*%u/%u ", (long long)slab.first_s,
                 slab.step_s, slab.n_rows, slab.n_dims);
    }
    assert_int_equal(qr_query_n_bad(query), n_bad);
    assert_int_equal(qr_query_next(query, &slab), 0);
    qr_query_close(query);
    qr_store_leave(store, slot);
    assert_string_equal(text, expected);
}

static void spans_are_cut_to_what_is_asked(void **state)
{
    struct fixture *fixture = *state;
    for (int64_t t = 1200; t <= 1800; t += 10)
        put_row(fixture->store, 1, 1, t, (uint32_t[]){1, 2}, 2);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1200), 0);
    expect(fixture->store, 0, 10000, "1200+10*60/2 1800+10*60/2 ", 0);
    expect(fixture->store, 1200, 1800, "1200+10*60/2 1800+10*1/2 ", 0);
    expect(fixture->store, 1201, 1229, "1210+10*2/2 ", 0);
    expect(fixture->store, 1211, 1219, "", 0);
    expect(fixture->store, 0, 1199, "", 0);
    expect(fixture->store, 1790, 1790, "1790+10*1/2 ", 0);
    expect(fixture->store, 1791, 1799, "", 0);
    expect(fixture->store, 1800, 1200, "", 0);
}

static void generations_become_one_slab(void **state)
{
    struct fixture *fixture = *state;
    put_row(fixture->store, 1, 1, 1210, (uint32_t[]){1}, 1);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1200), 0);
    put_row(fixture->store, 1, 1, 1210, (uint32_t[]){9, 2}, 2);
    put_row(fixture->store, 1, 1, 1215, (uint32_t[]){3, 4}, 2);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1200), 0);
    put_row(fixture->store, 1, 1, 1211, (uint32_t[]){5, 6}, 2);
    expect(fixture->store, 1205, 1220, "1210+1*6/2 ", 0);
    static const struct {
        int64_t end_s;
        uint32_t cells[2];
    } cells[] = {{1210, {1, 2}}, {1211, {5, 6}}, {1212, {E, E}}, {1215, {3, 4}}};
    for (size_t i = 0; i < QR_COUNT(cells); i++)
        for (uint32_t d = 0; d < 2; d++)
            assert_int_equal(cell_at(fixture->store, 1, cells[i].end_s, d), cells[i].cells[d]);
}

/* Without its first file a window's later ones may say what the first overrules. */
static void a_window_with_a_bad_file_is_left_out(void **state)
{
    struct fixture *fixture = *state;
    put_row(fixture->store, 1, 1, 1210, (uint32_t[]){1, 2}, 2);
    put_row(fixture->store, 1, 1, 1810, (uint32_t[]){1, 2}, 2);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1200), 0);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1800), 0);
    put_row(fixture->store, 1, 1, 1210, (uint32_t[]){3, 4}, 2);
    struct qr_disk *disk = &fixture->disk.disk;
    assert_int_equal(disk->unlink(disk, "/d/s0000-t0-000004b0-w600-g0.qb"), 0);
    expect(fixture->store, 1200, 2000, "1810+1*1/2 ", 1);
    struct qr_store_stats stats;
    qr_store_get_stats(fixture->store, &stats);
    assert_int_equal(stats.n_missing, 1);
    assert_int_equal(stats.n_bad_pages, 1);
    struct qr_block_name name;
    assert_int_equal(qr_store_missing(fixture->store, &name, 1), 1);
    assert_string_equal(name.name, "s0000-t0-000004b0-w600-g0.qb");
}

static void a_failing_disk_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct qr_query *query;
    struct qr_slab slab;
    put_row(fixture->store, 1, 1, 1210, (uint32_t[]){1, 2}, 2);
    assert_int_equal(qr_store_apply_seal(fixture->store, 1200), 0);
    int slot = qr_store_enter(fixture->store);
    assert_int_equal(
        qr_query_open(&query, fixture->store, qr_store_chart_by_id(fixture->store, 1), 1200, 1300),
        0);
    fixture->disk.fail_at = fixture->disk.n_calls + 1;
    assert_int_equal(qr_query_next(query, &slab), UV_EIO);
    qr_query_close(query);
    qr_store_leave(fixture->store, slot);
    expect(fixture->store, 1200, 2000, "1210+1*1/2 ", 0); /* It was the disk, not the file. */
}

/* Random spans, dimensions and buckets of a chart: sums, and rows, are those of the history. */
static unsigned check_sums(const struct history *history, struct qr_store *store,
                           struct qr_rng *rng)
{
    uint32_t c = (uint32_t)qr_rng_below(rng, HISTORY_CHARTS), at[HISTORY_DIMS];
    struct qr_dims dims = {at, 0};
    for (uint32_t d = 0; d < HISTORY_DIMS; d++)
        if (qr_rng_below(rng, 3) != 0)
            at[dims.n++] = d;
    int64_t first_s = (int64_t)qr_rng_below(rng, HISTORY_S),
            last_s = first_s + (int64_t)qr_rng_below(rng, HISTORY_S);
    struct qr_buckets buckets = {.first_s = (int64_t)qr_rng_below(rng, HISTORY_S),
                                 .step_s = 1 + (int64_t)qr_rng_below(rng, 300),
                                 .n = 1 + (uint32_t)qr_rng_below(rng, 40)};
    static struct qr_aggregate sums[HISTORY_DIMS * 40], expected[HISTORY_DIMS * 40];
    memset(sums, 0, sizeof sums);
    memset(expected, 0, sizeof expected);
    for (int64_t t = first_s; t <= last_s && t < HISTORY_S; t++) {
        int64_t past_s = t - buckets.first_s + buckets.step_s - 1;
        if (past_s >= 0 && past_s / buckets.step_s < buckets.n)
            for (uint32_t i = 0; i < dims.n; i++)
                qr_aggregate_add(&expected[i * buckets.n + past_s / buckets.step_s],
                                 history->cells[c][t][at[i]]);
    }
    struct qr_query *query;
    struct qr_query_sums part;
    assert_int_equal(
        qr_query_open(&query, store, qr_store_chart_by_id(store, c + 1), first_s, last_s), 0);
    qr_query_select(query, &dims);
    assert_int_equal(qr_query_aggregate(query, &buckets, dims.n, sums), 0);
    assert_int_equal(qr_query_n_bad(query), 0);
    assert_memory_equal(sums, expected, sizeof sums);
    qr_query_close(query);
    /* Was it one of those that are added up as they are stored?  Then again, row by row. */
    unsigned n_summed = 0;
    struct qr_slab slab;
    assert_int_equal(
        qr_query_open(&query, store, qr_store_chart_by_id(store, c + 1), first_s, last_s), 0);
    qr_query_select(query, &dims);
    int more = 1;
    while (more == 1) {
        int64_t sum_first_s = -1;
        if (qr_query_sum(query, &buckets, &part) == 1) {
            n_summed++;
            sum_first_s = part.first_s;
            qr_query_back(query);
        }
        more = qr_query_next(query, &slab);
        if (sum_first_s != -1) {
            assert_int_equal(more, 1);
            assert_int_equal(slab.first_s, part.first_s);
            assert_int_equal(slab.first_s + (int64_t)(slab.n_rows - 1) * slab.step_s, part.last_s);
            assert_int_equal(slab.n_dims, part.n_dims);
        }
        for (uint32_t row = 0; more == 1 && row < slab.n_rows; row++)
            for (uint32_t i = 0; i < dims.n; i++)
                assert_int_equal(
                    qr_slab_at(&slab, row, i),
                    history->cells[c][slab.first_s + (int64_t)row * slab.step_s][at[i]]);
    }
    assert_int_equal(more, 0);
    qr_query_close(query);
    return n_summed;
}

static void sums_are_those_of_the_rows(void **state)
{
    (void)state;
    static struct history history;
    unsigned n_summed = 0;
    for (uint64_t seed = 100; seed < 106; seed++) {
        struct member member;
        struct qr_rng rng;
        qr_rng_seed(&rng, seed);
        history_init(&history, seed);
        start(&member);
        while (history_step(&history, member.store))
            continue;
        int slot = qr_store_enter(member.store);
        for (int round = 0; round < 400; round++)
            n_summed += check_sums(&history, member.store, &rng);
        qr_store_leave(member.store, slot);
        stop(&member);
    }
    assert_true(n_summed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_are_cut_to_what_is_asked, make, drop),
        cmocka_unit_test_setup_teardown(generations_become_one_slab, make, drop),
        cmocka_unit_test_setup_teardown(a_window_with_a_bad_file_is_left_out, make, drop),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_an_error, make, drop),
        cmocka_unit_test(sums_are_those_of_the_rows),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
