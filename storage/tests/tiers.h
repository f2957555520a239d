/* storage/tests/tiers.h — members whose windows are merged: random samples, a plain table of them,
 * and what every tier must say then.
 *
 * Time is divided in windows of a minute, so a span is 36 minutes and a file of tier 2 has 144. */
#ifndef QR_STORAGE_TESTS_TIERS_H
#define QR_STORAGE_TESTS_TIERS_H

#include "storage/internal.h"
#include "storage/tests/member.h"
#include "storage/tier_query.h"

#define SPAN_S (HISTORY_WINDOW_S * (int64_t)QR_MERGE_WINDOWS)
#define DAY_S  (SPAN_S * QR_MERGE_SPANS)

/* What a chart's samples are. */
struct table {
    uint32_t chart, n_dims;
    int64_t n;        /* Seconds. */
    uint32_t *values; /* A row a second. */
};

static inline void table_init(struct table *table, uint32_t chart, uint32_t n_dims, int64_t n)
{
    *table = (struct table){chart, n_dims, n, malloc((size_t)n * n_dims * sizeof(uint32_t))};
    for (size_t i = 0; i < (size_t)n * n_dims; i++)
        table->values[i] = E;
}

static inline uint32_t *table_row(const struct table *table, int64_t t)
{
    return table->values + (size_t)t * table->n_dims;
}

/* Every `every_s` seconds from `from_s` on: gaps, resets, anomalies, constants, far values. */
static inline void table_fill(struct table *table, struct qr_rng *rng, int64_t from_s, int64_t to_s,
                              uint32_t every_s)
{
    for (int64_t t = from_s; t < to_s; t += every_s) {
        bool gap = qr_rng_below(rng, 30) == 0;
        for (uint32_t d = 0; d < table->n_dims && !gap; d++) {
            uint32_t flags = (qr_rng_below(rng, 40) == 0 ? QR_VALUE_ANOMALOUS : 0) |
                             (qr_rng_below(rng, 200) == 0 ? QR_VALUE_RESET : 0);
            double v = d == 0   ? 7
                       : d == 1 ? (double)qr_rng_below(rng, 1000) / 8 - 60
                                : (double)(t % 100) * (qr_rng_below(rng, 500) == 0 ? 1e18 : 1);
            if (qr_rng_below(rng, 50) != 0)
                table_row(table, t)[d] = qr_value_pack(v, flags);
        }
    }
}

/* Sends the rows that end in [from_s, to_s). */
static inline void send_rows(struct qr_store *store, const struct table *table, int64_t from_s,
                             int64_t to_s)
{
    for (int64_t t = from_s > 0 ? from_s : 1; t < to_s; t++) {
        bool any = false;
        for (uint32_t d = 0; d < table->n_dims; d++)
            any = any || table_row(table, t)[d] != E;
        if (any)
            put_row(store, 1, table->chart, t, table_row(table, t), table->n_dims);
    }
}

static inline void seal_all(struct qr_store *store)
{
    int64_t starts[64];
    unsigned n;
    while ((n = qr_store_sealable(store, INT64_MAX / 4, starts, QR_COUNT(starts))) != 0)
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(qr_store_apply_seal(store, starts[i]), 0);
}

/* The group is of one, and agrees with itself. */
static inline void confirm_all(struct qr_store *store)
{
    struct qr_store_file files[16];
    unsigned n;
    while ((n = qr_store_unvoted(store, 1, files, QR_COUNT(files))) != 0)
        for (unsigned i = 0; i < n; i++) {
            const struct qr_file_vote vote = {1, files[i].bytes, files[i].hash};
            assert_int_equal(qr_store_apply_vote(store, &files[i].id, &vote, 1), 0);
        }
}

/* All that is due of what ended at or before `before_s`; how many merges. */
static inline unsigned merge_all(struct qr_store *store, int64_t before_s)
{
    struct qr_block_id id;
    unsigned n = 0;
    confirm_all(store);
    for (; qr_store_merge_due(store, before_s, &id); n++) {
        assert_int_equal(qr_store_apply_merge(store, id.tier, id.shard, id.start_s), 0);
        confirm_all(store);
    }
    return n;
}

/* Every second is what the table says. */
static inline void assert_samples(struct qr_store *store, const struct table *table, int64_t from_s)
{
    uint32_t *seen = malloc((size_t)table->n * table->n_dims * sizeof *seen);
    for (size_t i = 0; i < (size_t)table->n * table->n_dims; i++)
        seen[i] = E;
    int slot = qr_store_enter(store);
    struct qr_query *query;
    struct qr_slab slab;
    int64_t last_s = -1;
    assert_int_equal(
        qr_query_open(&query, store, qr_store_chart_by_id(store, table->chart), 0, table->n), 0);
    while (qr_query_next(query, &slab) == 1) {
        if (slab.first_s <= last_s)
            fail_msg("chart %u: a slab begins at %lld, not behind %lld", table->chart,
                     (long long)slab.first_s, (long long)last_s);
        for (uint32_t i = 0; i < slab.n_rows; i++)
            for (uint32_t d = 0; d < slab.n_dims; d++) {
                last_s = slab.first_s + (int64_t)i * slab.step_s;
                seen[(size_t)last_s * table->n_dims + d] = qr_slab_at(&slab, i, d);
            }
    }
    assert_int_equal(qr_query_n_bad(query), 0);
    qr_query_close(query);
    qr_store_leave(store, slot);
    for (int64_t t = 0; t < table->n; t++)
        for (uint32_t d = 0; d < table->n_dims; d++) {
            uint32_t want = t >= from_s ? table_row(table, t)[d] : E;
            if (seen[(size_t)t * table->n_dims + d] != want)
                fail_msg("chart %u dimension %u second %lld differs", table->chart, d,
                         (long long)t);
        }
    free(seen);
}

static inline void assert_point(const struct qr_point *want, const struct qr_point *got,
                                unsigned tier, int64_t end_s)
{
    bool same = want->count == got->count;
    if (same && want->count != 0)
        same = want->sum == got->sum && want->min == got->min && want->max == got->max &&
               want->anomalies == got->anomalies;
    if (!same)
        fail_msg("tier %u point %lld differs: %u values for %u", tier, (long long)end_s, got->count,
                 want->count);
}

/* The points that end in (from_s, to_s] are those of the table's samples. */
static inline void assert_points(struct qr_store *store, const struct table *table, unsigned tier,
                                 int64_t from_s, int64_t to_s)
{
    struct qr_points points = {0};
    int slot = qr_store_enter(store);
    struct qr_tier_reader reader = {store, qr_store_chart_by_id(store, table->chart)};
    assert_int_equal(qr_tier_read(&reader, tier, from_s + 1, to_s, &points), 0);
    assert_int_equal(reader.n_bad, 0);
    qr_tier_reader_release(&reader);
    qr_store_leave(store, slot);
    uint32_t step_s = qr_tier_step(tier);
    for (uint32_t row = 0; row < points.n_rows; row++) {
        int64_t end_s = points.first_s + (int64_t)row * step_s;
        for (uint32_t d = 0; d < table->n_dims; d++) {
            struct qr_point want = {0};
            for (int64_t t = end_s - step_s + 1; t <= end_s; t++)
                if (t >= 0 && t < table->n)
                    qr_point_add_value(&want, table_row(table, t)[d]);
            assert_point(&want, qr_points_at(&points, row, d), tier, end_s);
        }
    }
    qr_points_release(&points);
}

/* The file of an id that is in the manifest; NULL: none. */
static inline const struct qr_memory_file *file_of(struct member *member, unsigned tier,
                                                   int64_t start_s, uint32_t window_s)
{
    const struct qr_block_set *set = atomic_load(&qr_store_state(member->store)->manifest.set);
    for (uint32_t i = 0; set != NULL && i < set->n; i++) {
        const struct qr_block_id *id = &set->at[i]->id;
        char path[QR_PATH_BYTES_MAX];
        if (id->tier != tier || id->start_s != start_s || id->window_s != window_s)
            continue;
        assert_int_equal(qr_store_path(member->store, id, path), 0);
        return qr_memory_disk_get(&member->disk, path);
    }
    return NULL;
}

static inline unsigned n_blocks(struct qr_store *store)
{
    struct qr_store_stats stats;
    qr_store_get_stats(store, &stats);
    return (unsigned)stats.n_blocks;
}

#endif
