#include "storage/forget.h"

#include <malloc.h>

#include "storage/internal.h"
#include "storage/tests/member.h"

#define W HISTORY_WINDOW_S

static struct qr_chart_def *obsolete_def(const char *id)
{
    struct qr_chart_def *def = chart_def(id, id, 1, 0, 2);
    def->flags = 1;
    return def;
}

static bool is_alive(const struct qr_store *store, uint32_t chart)
{
    return qr_store_chart_by_id(store, chart) != NULL;
}

static uint32_t put_def(struct qr_store *store, uint32_t host, struct qr_chart_def *def)
{
    uint32_t id = 0;
    assert_int_equal(qr_store_apply_chart(store, host, def, &id), 0);
    return id;
}

static void row_at(struct qr_store *store, uint32_t host, uint32_t chart, int64_t now_s,
                   int64_t end_s)
{
    uint32_t n_new, values[] = {1, 2};
    assert_int_equal(qr_store_apply_row(store, host, chart, now_s, end_s, values, 2, &n_new), 0);
}

static uint32_t forget(struct qr_store *store, uint32_t host, uint32_t chart, bool only_expired)
{
    uint32_t n;
    const struct qr_forgotten what = {host, chart};
    assert_int_equal(qr_store_apply_forget(store, &what, only_expired, &n), 0);
    assert_int_equal(qr_store_apply_forgotten(store), 0);
    return n;
}

/* All that is due now, as the leader finds it. */
static uint32_t forget_expired(struct qr_store *store)
{
    struct qr_forgotten found[16];
    uint32_t after = 0, n_all = 0;
    while (after != UINT32_MAX) {
        uint32_t n = qr_store_expired(store, &after, found, QR_COUNT(found));
        for (uint32_t i = 0; i < n; i++)
            n_all += forget(store, found[i].host, found[i].chart, true);
    }
    return n_all;
}

/* ---- what is expired ---- */

static void a_chart_goes_with_its_last_sample(void **state)
{
    (void)state;
    struct member m;
    start(&m);
    uint32_t host = add_host(m.store, 1);
    qr_store_apply_connected(m.store, host, true, 5 * INT64_C(1000000));
    uint32_t kept = add_chart(m.store, host, "kept", 1, 2);
    uint32_t silent = add_chart(m.store, host, "silent", 1, 2);
    uint32_t gone = put_def(m.store, host, obsolete_def("gone"));
    uint32_t never = put_def(m.store, host, obsolete_def("never"));
    uint32_t waiting = add_chart(m.store, host, "waiting", 1, 2);
    uint32_t replayed = add_chart(m.store, host, "replayed", 1, 2);
    row_at(m.store, host, silent, 10, 10);
    row_at(m.store, host, gone, 10, 10);
    row_at(m.store, host, kept, 10, 10);
    row_at(m.store, host, kept, 5 * W, 5 * W);
    assert_int_equal(forget_expired(m.store), 1); /* Obsolete, and never had a row. */
    assert_false(is_alive(m.store, never));
    assert_int_equal(retain_from(m.store, W - 1), 0);
    assert_int_equal(forget_expired(m.store), 0); /* Its window is there. */
    assert_int_equal(retain_from(m.store, W), 0);
    row_at(m.store, host, replayed, 5 * W, 50); /* Too old, but its child is busy with it. */
    assert_int_equal(forget_expired(m.store), 2);
    assert_false(is_alive(m.store, silent));
    assert_false(is_alive(m.store, gone));
    assert_true(is_alive(m.store, kept) && is_alive(m.store, waiting) &&
                is_alive(m.store, replayed));
    /* Told again it is a new one. */
    assert_true(add_chart(m.store, host, "silent", 1, 2) > replayed);
    /* The host leaves: what had no row goes once that is as long ago. */
    qr_store_apply_connected(m.store, host, false, 6 * W * INT64_C(1000000));
    assert_int_equal(retain_from(m.store, 6 * W), 0);
    assert_int_equal(forget_expired(m.store), 2); /* kept, replayed: no row since the edge */
    assert_int_equal(retain_from(m.store, 7 * W), 0);
    assert_int_equal(forget_expired(m.store), 2); /* waiting, silent */
    assert_int_equal(qr_store_n_hosts(m.store), 1);
    assert_int_equal(forget_expired(m.store), 1); /* and so the host */
    assert_int_equal(qr_store_n_hosts(m.store), 0);
    assert_null(qr_store_host_by_id(m.store, host));
    assert_int_equal(add_host(m.store, 1), host + 1);
    stop(&m);
}

static void an_entry_that_comes_late_spares_what_lives(void **state)
{
    (void)state;
    struct member m;
    start(&m);
    uint32_t host = add_host(m.store, 1), chart = add_chart(m.store, host, "a", 1, 2);
    row_at(m.store, host, chart, 100, 100);
    assert_int_equal(retain_from(m.store, 2 * W), 0);
    struct qr_forgotten found;
    uint32_t after = 0;
    assert_int_equal(qr_store_expired(m.store, &after, &found, 1), 1);
    row_at(m.store, host, chart, 3 * W, 3 * W); /* It is in the log before the entry. */
    assert_int_equal(forget(m.store, found.host, found.chart, true), 0);
    assert_true(is_alive(m.store, chart));
    assert_int_equal(forget(m.store, host, 0, true), 0);
    assert_int_equal(forget(m.store, host, chart, false), 1);
    uint32_t n;
    assert_int_equal(qr_store_apply_forget(m.store, &(struct qr_forgotten){host, chart}, false, &n),
                     QR_E_UNKNOWN);
    assert_int_equal(qr_store_apply_forget(m.store, &(struct qr_forgotten){7, 0}, false, &n),
                     QR_E_UNKNOWN);
    stop(&m);
}

/* ---- what goes with it ---- */

static void nothing_of_it_is_left(void **state)
{
    (void)state;
    struct member m, other;
    start(&m);
    start(&other);
    uint32_t host = add_host(m.store, 1), two = add_host(m.store, 2);
    uint32_t a = add_chart(m.store, host, "a", 1, 2), b = add_chart(m.store, host, "b", 1, 2);
    uint32_t c = add_chart(m.store, two, "a", 1, 2);
    for (int64_t t = 10; t < 3 * W; t += 50) {
        row_at(m.store, host, a, t, t);
        row_at(m.store, two, c, t, t);
    }
    row_at(m.store, host, b, 9 * W, 9 * W); /* Alone in its window. */
    assert_int_equal(qr_store_apply_gap(m.store, &(struct qr_gap){a, 1, 9, 2}), 0);
    assert_int_equal(qr_store_apply_gap(m.store, &(struct qr_gap){c, 1, 9, 2}), 0);
    int slot = qr_store_enter(m.store);
    struct qr_chart *seen = qr_store_chart_by_id(m.store, a);
    assert_int_equal(forget(m.store, host, 0, false), 3);
    /* Who found it before may go on reading. */
    assert_string_equal(atomic_load(&seen->def)->id, "a");
    assert_int_equal(seen->host->id, host);
    struct qr_query *query;
    assert_int_equal(qr_query_open(&query, m.store, seen, 1, 3 * W), 0);
    struct qr_slab slab;
    while (qr_query_next(query, &slab) == 1)
        assert_true(slab.n_rows > 0);
    qr_query_close(query);
    qr_store_leave(m.store, slot);
    assert_null(qr_store_chart_by_id(m.store, a));
    assert_int_equal(qr_store_gaps(m.store, a, NULL, 0), 0);
    assert_int_equal(qr_store_gaps(m.store, c, NULL, 0), 1);
    int64_t starts[8];
    assert_int_equal(qr_store_sealable(m.store, 100 * W, starts, 8), 3); /* b's has gone. */
    uint32_t n_new;
    assert_int_equal(qr_store_apply_row(m.store, host, a, 100, 100, (uint32_t[]){1}, 1, &n_new),
                     QR_E_UNKNOWN);
    struct qr_buf bytes = snapshot_of(m.store);
    assert_int_equal(qr_store_restore(other.store, qr_buf_slice(&bytes)), 0);
    assert_same_snapshots(m.store, other.store);
    qr_buf_release(&bytes);
    stop(&m);
    stop(&other);
}

/* One member cannot write while the chart is forgotten: its file is that of the others after all.
 */
static void a_window_that_is_being_written_stays_whole(void **state)
{
    (void)state;
    struct member well, ill;
    start(&well);
    start(&ill);
    struct member *members[] = {&well, &ill};
    for (int i = 0; i < 2; i++) {
        struct qr_store *store = members[i]->store;
        uint32_t host = add_host(store, 1);
        uint32_t a = add_chart(store, host, "a", 1, 2), b = add_chart(store, host, "b", 1, 2);
        for (int64_t t = 1; t < W; t += 7) {
            row_at(store, host, a, t, t);
            row_at(store, host, b, t, t);
        }
        if (i == 1) {
            ill.disk.fail_at = 1;
            ill.disk.fail_with = UV_EIO;
            ill.disk.stay_failed = true;
        }
        assert_int_equal(qr_store_apply_seal(store, 0), 0);
        row_at(store, host, a, W, W);
        assert_int_equal(forget(store, host, a, false), 1);
        assert_null(qr_store_chart_by_id(store, a));
    }
    assert_int_equal(well.n_sealed, 1);
    assert_int_equal(ill.n_sealed, 0);
    ill.disk.fail_at = 0;
    ill.disk.stay_failed = false;
    ill.disk.fail_with = 0;
    qr_store_poll(ill.store);
    assert_int_equal(ill.n_sealed, 1);
    assert_same_files(&well.disk, &ill.disk);
    assert_same_snapshots(well.store, ill.store);
    qr_store_poll(ill.store); /* Frees it now. */
    assert_null(qr_store_state(ill.store)->catalog.condemned);
    stop(&well);
    stop(&ill);
}

/* ---- churn ---- */

#define CHURN_ROUNDS    50
#define CHURN_PER_ROUND 1000

struct kept {
    uint32_t n_charts, n_texts, n_defs, n_contexts, n_labels;
    uint64_t head_bytes, pool_bytes;
    size_t heap_bytes; /* 0 where the allocator does not tell. */
};

static struct kept kept_by(struct qr_store *store)
{
    struct qr_catalog_stats stats;
    struct qr_store_stats all;
    qr_catalog_get_stats(&qr_store_state(store)->catalog, &stats);
    qr_store_get_stats(store, &all);
    return (struct kept){all.n_charts,
                         stats.pool.n_texts,
                         stats.pool.n_defs,
                         stats.n_terms[QR_TERM_CONTEXT],
                         stats.n_terms[QR_TERM_CHART_LABEL],
                         all.head_bytes,
                         stats.pool.bytes,
                         mallinfo2().uordblks};
}

static void churn_round(struct qr_store *store, uint32_t host, int round)
{
    static uint32_t ids[CHURN_PER_ROUND];
    int64_t now_s = (int64_t)round * W + 10;
    for (unsigned i = 0; i < CHURN_PER_ROUND; i++) {
        char id[48];
        snprintf(id, sizeof id, "container_%d_%u.cpu", round, i);
        ids[i] = put_def(store, host, chart_def(id, id, 1, i % 7, 2));
        row_at(store, host, ids[i], now_s, now_s);
    }
    for (unsigned i = 0; i < CHURN_PER_ROUND; i++) { /* Half of them say that they end. */
        char id[48];
        snprintf(id, sizeof id, "container_%d_%u.cpu", round, i);
        if (i % 2 == 0)
            assert_int_equal(put_def(store, host, obsolete_def(id)), ids[i]);
    }
    assert_int_equal(qr_store_apply_seal(store, now_s / W * W), 0);
    assert_int_equal(retain_from(store, now_s - 3 * W), 0);
    forget_expired(store);
    qr_store_poll(store);
}

static void ephemeral_charts_leave_nothing_behind(void **state)
{
    (void)state;
    struct member m;
    start(&m);
    uint32_t host = add_host(m.store, 1);
    struct kept early = {0}, late = {0};
    for (int round = 1; round <= CHURN_ROUNDS; round++) {
        churn_round(m.store, host, round);
        if (round == 10)
            early = kept_by(m.store);
    }
    late = kept_by(m.store);
    assert_int_equal(early.n_charts, late.n_charts);
    assert_true(late.n_charts <= 5 * CHURN_PER_ROUND);
    assert_int_equal(early.n_texts, late.n_texts);
    assert_int_equal(early.n_defs, late.n_defs);
    assert_int_equal(early.n_contexts, late.n_contexts);
    assert_int_equal(early.n_labels, late.n_labels);
    assert_int_equal(early.head_bytes, late.head_bytes);
    assert_true(late.pool_bytes < early.pool_bytes + early.pool_bytes / 50); /* Longer names. */
    if (early.heap_bytes > 1024 * 1024)
        assert_true(late.heap_bytes < early.heap_bytes + early.heap_bytes / 10);
    assert_int_equal(qr_store_state(m.store)->catalog.last_chart, CHURN_ROUNDS * CHURN_PER_ROUND);
    stop(&m);
}

int main(void)
{
    qr_log_open(-1, QR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chart_goes_with_its_last_sample),
        cmocka_unit_test(an_entry_that_comes_late_spares_what_lives),
        cmocka_unit_test(nothing_of_it_is_left),
        cmocka_unit_test(a_window_that_is_being_written_stays_whole),
        cmocka_unit_test(ephemeral_charts_leave_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
