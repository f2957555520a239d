/* storage/tests/fixture.h — short ways to make definitions and rows, for this folder's tests. */
#ifndef QR_STORAGE_TESTS_FIXTURE_H
#define QR_STORAGE_TESTS_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/rng.h"
#include "storage/query.h"
#include "storage/store.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E QR_VALUE_EMPTY

static inline struct qr_host_def *host_def(unsigned i)
{
    struct qr_host_def view = {.guid = {{(uint8_t)i, (uint8_t)(i >> 8), 7}}, .hostname = "child"};
    struct qr_buf bytes = {0};
    struct qr_host_def *def = NULL;
    assert_int_equal(qr_host_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_host_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

/* A chart with the dimensions d<first> .. d<first + n - 1>. */
static inline struct qr_chart_def *chart_def(const char *id, const char *name, uint32_t step_s,
                                             unsigned first, unsigned n)
{
    static char ids[64][8];
    struct qr_dim_def dims[64];
    assert_true(n <= QR_COUNT(dims));
    for (unsigned i = 0; i < n; i++) {
        snprintf(ids[i], sizeof ids[i], "d%u", (first + i) % 1000);
        dims[i] = (struct qr_dim_def){ids[i], ids[i], 1, 1, 0, 0};
    }
    struct qr_chart_def view = {
        .id = id, .name = name, .update_every = step_s, .n_dims = n, .dims = dims};
    struct qr_buf bytes = {0};
    struct qr_chart_def *def = NULL;
    assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

static inline uint32_t add_host(struct qr_store *store, unsigned i)
{
    uint32_t id = 0;
    assert_int_equal(qr_store_apply_host(store, host_def(i), &id), 0);
    return id;
}

static inline uint32_t add_chart(struct qr_store *store, uint32_t host, const char *id,
                                 uint32_t step_s, unsigned n_dims)
{
    uint32_t chart = 0;
    assert_int_equal(
        qr_store_apply_chart(store, host, chart_def(id, id, step_s, 0, n_dims), &chart), 0);
    return chart;
}

/* Applies a row that is sound; how many cells are new. */
static inline uint32_t put_row(struct qr_store *store, uint32_t host, uint32_t chart, int64_t end_s,
                               const uint32_t *values, uint32_t n)
{
    uint32_t n_new = 99;
    assert_int_equal(qr_store_apply_row(store, host, chart, end_s + 1, end_s, values, n, &n_new),
                     0);
    return n_new;
}

/* The cell that a query gives for one second and dimension. */
static inline uint32_t cell_at(struct qr_store *store, uint32_t chart_id, int64_t end_s,
                               uint32_t dim)
{
    int slot = qr_store_enter(store);
    struct qr_query *query;
    struct qr_slab slab;
    struct qr_chart *chart = qr_store_chart_by_id(store, chart_id);
    assert_int_equal(qr_query_open(&query, store, chart, end_s, end_s), 0);
    uint32_t value = E;
    int more;
    while ((more = qr_query_next(query, &slab)) == 1) {
        assert_int_equal(slab.n_rows, 1);
        assert_int_equal(slab.first_s, end_s);
        value = qr_slab_at(&slab, 0, dim);
    }
    assert_int_equal(more, 0);
    assert_int_equal(qr_query_n_bad(query), 0);
    qr_query_close(query);
    qr_store_leave(store, slot);
    return value;
}

/* All tiers alike. */
static inline int retain_from(struct qr_store *store, int64_t before_s)
{
    const struct qr_retention retention = {.before_s = {before_s, before_s, before_s}};
    return qr_store_apply_retain(store, &retention);
}

#endif
