/* storage/query.h — reading a chart over a span of time.
 *
 * The iterator gives slabs in ascending time, without overlap: rows on a grid of `step_s`, a column
 * of values (storage/value) for each dimension, QR_VALUE_EMPTY where nothing is stored.
 * It merges block files of all generations, frozen windows and the head: present beats EMPTY,
 * earlier beats later.  Rows without any value may be left out between slabs.
 *
 * A page that fails its checksum is never served, and the store is told; a peer's copy is read
 * instead (config.peers), as for a file that is not here.  If there is none the slab is left out
 * and `n_bad` counts it.  Reads files: workers only.
 *
 * Thread: any worker, between qr_store_enter and qr_store_leave. */
#ifndef QR_STORAGE_QUERY_H
#define QR_STORAGE_QUERY_H

#include <stddef.h>
#include <stdint.h>

#include "storage/chunk.h"
#include "storage/store.h"
#include "storage/value.h"

struct qr_query;

struct qr_slab {
    int64_t first_s; /* End time of the first row. */
    uint32_t step_s;
    uint32_t n_rows;
    uint32_t n_dims;        /* Columns; dimensions added later are absent in older slabs, unless
                             * they are selected: then they are EMPTY. */
    uint32_t stride;        /* From column to column. */
    const uint32_t *values; /* The iterator's until the next call. */
};

/* n_rows values. */
static inline const uint32_t *qr_slab_column(const struct qr_slab *slab, uint32_t dim)
{
    return slab->values + (size_t)dim * slab->stride;
}

/* EMPTY also where the slab has no such dimension. */
static inline uint32_t qr_slab_at(const struct qr_slab *slab, uint32_t row, uint32_t dim)
{
    return dim < slab->n_dims ? qr_slab_column(slab, dim)[row] : QR_VALUE_EMPTY;
}

/* Points whose end time is in [first_s, last_s].  0 or UV_ENOMEM. */
int qr_query_open(struct qr_query **query, struct qr_store *store, const struct qr_chart *chart,
                  int64_t first_s, int64_t last_s);
/* Before the first slab: only these dimensions, in ascending order and the caller's until close.
 * Column i is dimension dims->at[i]. */
void qr_query_select(struct qr_query *query, const struct qr_dims *dims);
/* 1 and the next slab, 0 at the end, or an error (an I/O error; the query may not go on). */
int qr_query_next(struct qr_query *query, struct qr_slab *slab);

/* What lies in one file alone can be added up as it is stored: */
struct qr_query_sums {
    int64_t first_s, last_s;       /* Rows of the span that were read, in buckets or not, .. */
    uint32_t step_s;               /* .. and the step from each to the next. */
    uint32_t first_bucket, n;      /* Which of the buckets they are in. */
    uint32_t n_dims;               /* As in slabs. */
    const struct qr_aggregate *at; /* n of each dimension; the iterator's until the next call. */
};

/* In place of the next slab the sums of its rows, of those that are in any of the buckets.  1; 0:
 * cannot be, nothing is passed, qr_query_next has to give it; or an error as above. */
int qr_query_sum(struct qr_query *query, const struct qr_buckets *buckets,
                 struct qr_query_sums *sums);
/* Right after sums: goes back, so that qr_query_next gives their rows. */
void qr_query_back(struct qr_query *query);

/* All that is left: adds dimension d of bucket i to sums[d * buckets->n + i]; `n_dims` of them, or
 * those that are selected.  0 or an error as above. */
int qr_query_aggregate(struct qr_query *query, const struct qr_buckets *buckets, uint32_t n_dims,
                       struct qr_aggregate *sums);

uint32_t qr_query_n_bad(const struct qr_query *query);
void qr_query_close(struct qr_query *query);

#endif
