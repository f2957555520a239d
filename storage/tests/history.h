/* storage/tests/history.h — a random log for the store, from a seed, and what must come of it.
 *
 * It defines hosts and charts, adds dimensions, sends rows (late, repeated, off the grid, with gaps
 * and flags) through the bodies of log entries, seals, records gaps, changes owners and drops what
 * is old, as a leader would.  A plain array keeps what every second must hold. */
#ifndef QR_STORAGE_TESTS_HISTORY_H
#define QR_STORAGE_TESTS_HISTORY_H

#include "storage/entry.h"
#include "storage/tests/fixture.h"

#define HISTORY_WINDOW_S 60
#define HISTORY_S        1200
#define HISTORY_CHARTS   6
#define HISTORY_DIMS     5

struct history {
    struct qr_rng rng;
    int64_t now_s;
    uint32_t n_dims[HISTORY_CHARTS];
    uint32_t step_s[HISTORY_CHARTS];
    int64_t retain_s;
    uint32_t epochs[2]; /* Of the hosts' owners. */
    struct qr_entry_base bases[HISTORY_CHARTS];
    uint32_t base_cells[HISTORY_CHARTS][HISTORY_DIMS];
    uint32_t cells[HISTORY_CHARTS][HISTORY_S][HISTORY_DIMS];
    /* What was sealed when a value came decides nothing for readers: the first one wins. */
};

static inline void history_init(struct history *history, uint64_t seed)
{
    memset(history, 0, sizeof *history);
    qr_rng_seed(&history->rng, seed);
    history->now_s = 1;
    for (size_t c = 0; c < HISTORY_CHARTS; c++)
        history->bases[c] =
            (struct qr_entry_base){.capacity = HISTORY_DIMS, .cells = history->base_cells[c]};
    history->epochs[0] = history->epochs[1] = 1;
    for (size_t c = 0; c < HISTORY_CHARTS; c++)
        for (size_t t = 0; t < HISTORY_S; t++)
            for (size_t d = 0; d < HISTORY_DIMS; d++)
                history->cells[c][t][d] = E;
}

static inline uint64_t pick(struct history *history, uint64_t n)
{
    return qr_rng_below(&history->rng, n);
}

/* Writes a row as the body of an entry, and applies what it reads from that. */
static inline void history_send(struct history *history, struct qr_store *store, uint32_t c,
                                int64_t end_s, const uint32_t *values, uint32_t n)
{
    struct qr_entry_block block, *blocks[] = {&block};
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    struct qr_buf body = {0};
    uint32_t n_new;
    qr_entry_block_init(&block);
    block.host = c % 2 + 1;
    block.epoch = history->epochs[c % 2];
    assert_int_equal(qr_entry_block_row(&block, &history->bases[c], c + 1, end_s, values, n), 0);
    assert_int_equal(qr_entry_encode(&body, blocks, 1), 0);
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&body)), 0);
    assert_true(qr_entry_next_host(reader, &host));
    assert_int_equal(qr_entry_read_rows(reader, qr_store_base, store), 0);
    assert_true(qr_entry_next_row(reader, &row));
    assert_int_equal(qr_store_apply_row(store, host.host, row.chart, history->now_s, row.end_s,
                                        row.values, row.n, &n_new),
                     0);
    qr_entry_reader_free(reader);
    qr_entry_block_release(&block);
    qr_buf_release(&body);
}

/* Another member has the host: its first rows are KEY rows. */
static inline void history_own(struct history *history, uint32_t host)
{
    history->epochs[host]++;
    for (uint32_t c = host; c < HISTORY_CHARTS; c += 2)
        qr_entry_base_reset(&history->bases[c]);
}

static inline void history_row(struct history *history, struct qr_store *store, uint32_t c,
                               int64_t end_s)
{
    uint32_t values[HISTORY_DIMS], n;
    n = pick(history, 4) != 0 ? history->n_dims[c]
                              : (uint32_t)pick(history, history->n_dims[c] + 1);
    for (uint32_t d = 0; d < n; d++) {
        values[d] = pick(history, 3) == 0   ? history->base_cells[c][d]
                    : pick(history, 5) == 0 ? E
                                            : qr_value_pack((double)pick(history, 500) / 4, 0);
        if (values[d] != E && pick(history, 40) == 0)
            values[d] |= QR_VALUE_ANOMALOUS;
        if (end_s >= history->retain_s && values[d] != E && history->cells[c][end_s][d] == E)
            history->cells[c][end_s][d] = values[d];
    }
    history_send(history, store, c, end_s, values, n);
}

static inline void history_define(struct history *history, struct qr_store *store, uint32_t c)
{
    char id[16];
    uint32_t chart;
    snprintf(id, sizeof id, "chart%u", c);
    if (history->n_dims[c] < HISTORY_DIMS)
        history->n_dims[c]++;
    history->step_s[c] = 1 + (uint32_t)pick(history, 4);
    assert_int_equal(
        qr_store_apply_chart(store, c % 2 + 1,
                             chart_def(id, id, history->step_s[c], 0, history->n_dims[c]), &chart),
        0);
    assert_int_equal(chart, c + 1);
}

static inline void history_seal(struct history *history, struct qr_store *store)
{
    int64_t starts[4];
    unsigned n = qr_store_sealable(store, history->now_s - 5, starts, 4);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(qr_store_apply_seal(store, starts[i]), 0);
}

static inline void history_retain(struct history *history, struct qr_store *store)
{
    int64_t edge = history->now_s - 600;
    assert_int_equal(retain_from(store, edge), 0);
    if (edge < history->retain_s)
        return;
    history->retain_s = edge > 0 ? edge - edge % HISTORY_WINDOW_S : 0;
    for (size_t c = 0; c < HISTORY_CHARTS; c++)
        for (int64_t t = 0; t < history->retain_s; t++)
            for (size_t d = 0; d < HISTORY_DIMS; d++)
                history->cells[c][t][d] = E;
}

/* The same calls for the same history, whatever became of the store in between.  False: the end. */
static inline bool history_step(struct history *history, struct qr_store *store)
{
    if (history->now_s == 1) {
        add_host(store, 1);
        add_host(store, 2);
        for (uint32_t c = 0; c < HISTORY_CHARTS; c++)
            history_define(history, store, c);
    }
    for (uint32_t c = 0; c < HISTORY_CHARTS; c++)
        if (history->now_s % history->step_s[c] == 0)
            history_row(history, store, c, history->now_s);
    if (pick(history, 6) == 0) /* A replay. */
        for (int64_t t = history->now_s - (int64_t)pick(history, 150),
                     c = (int64_t)pick(history, 6);
             t < history->now_s; t++)
            if (t >= 1)
                history_row(history, store, (uint32_t)c, t);
    if (pick(history, 60) == 0)
        history_define(history, store, (uint32_t)pick(history, HISTORY_CHARTS));
    if (pick(history, 50) == 0)
        assert_int_equal(
            qr_store_apply_gap(store, &(struct qr_gap){1, history->now_s - 1, history->now_s, 1}),
            0);
    if (pick(history, 30) == 0)
        history_seal(history, store);
    if (pick(history, 80) == 0)
        history_own(history, (uint32_t)pick(history, 2));
    if (pick(history, 100) == 0)
        history_retain(history, store);
    if (pick(history, 20) == 0)
        assert_int_equal(qr_store_apply_connected(store, 1, pick(history, 2), history->now_s), 0);
    return ++history->now_s < HISTORY_S;
}

/* Every second of every chart is what the history says. */
static inline void history_check(const struct history *history, struct qr_store *store)
{
    static uint32_t seen[HISTORY_S][HISTORY_DIMS];
    int slot = qr_store_enter(store);
    for (uint32_t c = 0; c < HISTORY_CHARTS; c++) {
        for (size_t t = 0; t < HISTORY_S; t++)
            for (size_t d = 0; d < HISTORY_DIMS; d++)
                seen[t][d] = E;
        struct qr_query *query;
        struct qr_slab slab;
        assert_int_equal(
            qr_query_open(&query, store, qr_store_chart_by_id(store, c + 1), 0, HISTORY_S), 0);
        int more;
        while ((more = qr_query_next(query, &slab)) == 1)
            for (uint32_t row = 0; row < slab.n_rows; row++)
                for (uint32_t d = 0; d < slab.n_dims; d++)
                    seen[slab.first_s + (int64_t)row * slab.step_s][d] = qr_slab_at(&slab, row, d);
        assert_int_equal(more, 0);
        assert_int_equal(qr_query_n_bad(query), 0);
        qr_query_close(query);
        for (int64_t t = 0; t < history->now_s; t++)
            if (memcmp(seen[t], history->cells[c][t], sizeof seen[t]) != 0)
                fail_msg("chart %u second %lld differs", c + 1, (long long)t);
    }
    qr_store_leave(store, slot);
}

#endif
