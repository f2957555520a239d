#include "storage/tier_query.h"

#include "storage/tests/tiers.h"

static void start_table(struct member *member, struct table *table, int64_t n)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 6);
    start(member);
    add_host(member->store, 1);
    table_init(table, add_chart(member->store, 1, "c", 1, 3), 3, n);
    table_fill(table, &rng, 1, n, 1);
}

/* Points are the same wherever their samples are: head, windows, spans, days; in part or in whole;
 * late ones are in them at once. */
static void points_are_the_same_at_every_moment(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    start_table(&member, &table, DAY_S + SPAN_S);
    int64_t hole_s = SPAN_S - 500, late_s = 1000;
    send_rows(member.store, &table, 0, hole_s);
    send_rows(member.store, &table, hole_s + late_s, table.n);
    seal_all(member.store);
    merge_all(member.store, 2 * SPAN_S);
    send_rows(member.store, &table, hole_s, hole_s + late_s); /* In two spans. */
    for (unsigned step = 0; step < 4; step++) {
        for (unsigned tier = 1; tier < QR_TIERS; tier++) {
            int64_t point_s = qr_tier_step(tier);
            assert_points(member.store, &table, tier, 0, table.n);
            for (int64_t from = 0; from + 3 * point_s < table.n; from += 5 * point_s + 7)
                assert_points(member.store, &table, tier, from, from + 3 * point_s);
        }
        if (step == 0)
            seal_all(member.store);
        else if (step == 1)
            merge_all(member.store, SPAN_S);
        else
            merge_all(member.store, DAY_S);
    }
    free(table.values);
    stop(&member);
}

/* Reads a span's points of tier 1; how many files could not be read. */
static uint32_t read_points(struct qr_store *store, int64_t first_s, int64_t last_s,
                            uint64_t *n_values)
{
    int slot = qr_store_enter(store);
    struct qr_tier_reader reader = {store, qr_store_chart_by_id(store, 1)};
    struct qr_points points = {0};
    assert_int_equal(qr_tier_read(&reader, 1, first_s, last_s, &points), 0);
    *n_values = 0;
    for (uint32_t row = 0; row < points.n_rows; row++)
        *n_values += qr_points_at(&points, row, 0)->count;
    uint32_t n_bad = reader.n_bad;
    qr_points_release(&points);
    qr_tier_reader_release(&reader);
    qr_store_leave(store, slot);
    return n_bad;
}

/* Nothing of a damaged file is given out; the others are. */
static void a_damaged_file_is_left_out(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    uint64_t n_all, n_rest;
    start_table(&member, &table, 3 * SPAN_S);
    send_rows(member.store, &table, 0, table.n);
    seal_all(member.store);
    merge_all(member.store, table.n);
    assert_int_equal(retain_from(member.store, 0), 0);
    const struct qr_retention no_samples = {.before_s = {table.n}};
    assert_int_equal(qr_store_apply_retain(member.store, &no_samples), 0);
    assert_int_equal(read_points(member.store, 1, table.n, &n_all), 0);
    const struct qr_memory_file *file = file_of(&member, 1, SPAN_S, (uint32_t)SPAN_S);
    file->bytes[QR_BLOCK_HEADER_BYTES + 20] ^= 1;
    assert_int_equal(read_points(member.store, 1, table.n, &n_rest), 1);
    assert_true(n_rest < n_all);
    assert_true(n_rest > n_all / 2);
    qr_store_poll(member.store);
    assert_int_equal(member.n_bad, 1);
    free(table.values);
    stop(&member);
}

static void a_span_without_points_is_empty(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    uint64_t n;
    start_table(&member, &table, SPAN_S);
    send_rows(member.store, &table, 0, table.n);
    assert_int_equal(read_points(member.store, 61, 119, &n), 0); /* No point ends there. */
    assert_int_equal(n, 0);
    assert_int_equal(read_points(member.store, 2 * SPAN_S, 3 * SPAN_S, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(read_points(member.store, -100, 60, &n), 0);
    assert_in_range(n, 1, 60);
    free(table.values);
    stop(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_the_same_at_every_moment),
        cmocka_unit_test(a_damaged_file_is_left_out),
        cmocka_unit_test(a_span_without_points_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
