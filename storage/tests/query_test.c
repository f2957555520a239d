#include "storage/query.h"

#include <uv.h>

#include "base/log.h"
#include "storage/tests/fixture.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(spans_are_cut_to_what_is_asked, make, drop),
        cmocka_unit_test_setup_teardown(generations_become_one_slab, make, drop),
        cmocka_unit_test_setup_teardown(a_window_with_a_bad_file_is_left_out, make, drop),
        cmocka_unit_test_setup_teardown(a_failing_disk_is_an_error, make, drop),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
