#include "storage/retain.h"

#include "base/error.h"
#include "storage/tests/tiers.h"

#define N_SPANS 6

/* Some spans of one chart in files, all merges done. */
static void start_spans(struct member *member, struct table *table)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 5);
    start(member);
    add_host(member->store, 1);
    table_init(table, add_chart(member->store, 1, "c", 1, 3), 3, N_SPANS * SPAN_S);
    table_fill(table, &rng, 1, table->n, 1);
    send_rows(member->store, table, 0, table->n);
    seal_all(member->store);
    merge_all(member->store, table->n);
}

static uint64_t bytes_of(struct qr_store *store, unsigned tier)
{
    const struct qr_block_set *set = atomic_load(&qr_store_state(store)->manifest.set);
    uint64_t bytes = 0;
    for (uint32_t i = 0; set != NULL && i < set->n; i++)
        bytes += set->at[i]->id.tier == tier ? set->at[i]->bytes : 0;
    return bytes;
}

static void retain_ok(struct qr_store *store, int64_t t0, int64_t t1, int64_t t2)
{
    const struct qr_retention retention = {.before_s = {t0, t1, t2}};
    assert_int_equal(qr_store_apply_retain(store, &retention), 0);
}

/* Each tier begins at its own edge; samples that are gone have points still. */
static void each_tier_has_its_edge(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    start_spans(&member, &table);
    const struct qr_chart *chart = qr_store_chart_by_id(member.store, 1);
    retain_ok(member.store, 2 * SPAN_S + 700, 0, 0);
    int64_t edge_s = 2 * SPAN_S + 660; /* The window's start. */
    assert_int_equal(qr_store_edge(member.store, 0), edge_s);
    assert_samples(member.store, &table, edge_s);
    assert_points(member.store, &table, 1, 0, table.n);
    assert_points(member.store, &table, 2, 0, table.n);
    assert_int_equal(qr_chart_first_s(chart), 1);
    /* Points of a minute go, those of an hour stay, which are of a whole day. */
    retain_ok(member.store, 5 * SPAN_S, 3 * SPAN_S, 0);
    assert_points(member.store, &table, 1, 3 * SPAN_S, table.n);
    assert_points(member.store, &table, 2, 0, table.n);
    assert_int_equal(qr_chart_first_s(chart), 1);
    retain_ok(member.store, 5 * SPAN_S, 5 * SPAN_S, DAY_S);
    assert_int_equal(qr_chart_first_s(chart), 5 * SPAN_S);
    assert_int_equal(bytes_of(member.store, 2), 0);
    assert_samples(member.store, &table, 5 * SPAN_S);
    /* Edges do not move back. */
    retain_ok(member.store, 0, 0, 0);
    assert_int_equal(qr_store_edge(member.store, 1), 5 * SPAN_S);
    assert_int_equal(qr_memory_disk_n_files(&member.disk), n_blocks(member.store));
    free(table.values);
    stop(&member);
}

static void late_rows_before_the_edge_are_refused(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    start_spans(&member, &table);
    retain_ok(member.store, SPAN_S + 2 * HISTORY_WINDOW_S, 0, 0);
    uint32_t values[] = {1, 2, 3};
    assert_int_equal(put_row(member.store, 1, 1, SPAN_S + HISTORY_WINDOW_S, values, 3), 0);
    assert_true(put_row(member.store, 1, 1, SPAN_S + 2 * HISTORY_WINDOW_S, values, 3) > 0);
    free(table.values);
    stop(&member);
}

/* The oldest files go until the rest fits, and no more. */
static void a_budget_drops_the_oldest(void **state)
{
    (void)state;
    struct member member;
    struct table table;
    start_spans(&member, &table);
    for (unsigned tier = 0; tier < 2; tier++) {
        uint64_t all = bytes_of(member.store, tier);
        struct qr_retention retention = {.bytes_max = {0}};
        retention.bytes_max[tier] = all;
        assert_int_equal(qr_store_apply_retain(member.store, &retention), 0);
        assert_int_equal(bytes_of(member.store, tier), all);
        retention.bytes_max[tier] = all - 1;
        assert_int_equal(qr_store_apply_retain(member.store, &retention), 0);
        assert_int_equal(qr_store_edge(member.store, tier), SPAN_S);
        assert_true(bytes_of(member.store, tier) < all);
        retention.bytes_max[tier] = all / 2;
        assert_int_equal(qr_store_apply_retain(member.store, &retention), 0);
        assert_in_range(bytes_of(member.store, tier), 1, all / 2);
        assert_true(qr_store_edge(member.store, tier) > SPAN_S);
    }
    assert_samples(member.store, &table, qr_store_edge(member.store, 0));
    assert_points(member.store, &table, 2, 0, table.n);
    free(table.values);
    stop(&member);
}

/* A member that was restarted from snapshots in between has the same edges and files. */
static void members_drop_the_same(void **state)
{
    (void)state;
    struct member members[2];
    struct table tables[2];
    start_spans(&members[0], &tables[0]);
    start_spans(&members[1], &tables[1]);
    uint64_t all = bytes_of(members[0].store, 0);
    for (uint64_t part = 10; part > 0; part--) {
        const struct qr_retention retention = {.bytes_max = {all * part / 10, all / 10, 0}};
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(qr_store_apply_retain(members[i].store, &retention), 0);
        go_through_snapshot(&members[1], part % 2 == 0);
        assert_same_snapshots(members[0].store, members[1].store);
        assert_same_files(&members[0].disk, &members[1].disk);
    }
    for (unsigned i = 0; i < 2; i++) {
        free(tables[i].values);
        stop(&members[i]);
    }
}

/* What a merge takes stays until the merge is agreed on. */
static void an_edge_waits_for_a_merge(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    sealed_rows(&member);
    confirm_all(member.store);
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0);
    retain_ok(member.store, 2 * HISTORY_WINDOW_S, 0, 0);
    assert_int_equal(qr_store_edge(member.store, 0), 0);
    confirm_all(member.store);
    assert_rows(&member);
    retain_ok(member.store, 2 * HISTORY_WINDOW_S, 0, 0);
    assert_int_equal(qr_store_edge(member.store, 0), 2 * HISTORY_WINDOW_S);
    assert_int_equal(cell_at(member.store, 1, 2 * HISTORY_WINDOW_S - 1, 0), E);
    assert_int_equal(cell_at(member.store, 1, 2 * HISTORY_WINDOW_S, 0), 2 * HISTORY_WINDOW_S);
    stop(&member);
}

static void a_time_out_of_range_is_refused(void **state)
{
    (void)state;
    struct member member;
    start(&member);
    const struct qr_retention retention = {.before_s = {0, 0, QR_TIME_S_MAX + 1}};
    assert_int_equal(qr_store_apply_retain(member.store, &retention), QR_E_LIMIT);
    stop(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_tier_has_its_edge),
        cmocka_unit_test(late_rows_before_the_edge_are_refused),
        cmocka_unit_test(a_budget_drops_the_oldest),
        cmocka_unit_test(members_drop_the_same),
        cmocka_unit_test(an_edge_waits_for_a_merge),
        cmocka_unit_test(a_time_out_of_range_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
