/* storage/chunk.h — one chart of one window as bytes, in block files and in snapshots.
 *
 *   varint first_s - window start, step_s, n_rows, n_dims; then each dimension's series (codec)
 *
 * Canonical: the first and the last row hold something, the step is the greatest common divisor of
 * the distances between rows that do (1 for a single row), and so does the last dimension.  So the
 * bytes depend on nothing but the values.  Thread: any. */
#ifndef QR_STORAGE_CHUNK_H
#define QR_STORAGE_CHUNK_H

#include "base/buf.h"
#include "base/cursor.h"
#include "storage/aggregate.h"
#include "storage/codec.h"
#include "storage/grid.h"

/* Appends what `grid` holds, which lies in the window from window_start_s; *n_samples values are
 * present, and with none nothing is appended.  0 or UV_ENOMEM. */
int qr_chunk_encode(struct qr_codec *codec, struct qr_buf *out, int64_t window_start_s,
                    const struct qr_grid *grid, uint64_t *n_samples);

/* The same; appends to `cuts`, as u32, where in what it appended each series begins, and where the
 * last one ends. */
int qr_chunk_encode_cuts(struct qr_codec *codec, struct qr_buf *out, int64_t window_start_s,
                         const struct qr_grid *grid, uint64_t *n_samples, struct qr_buf *cuts);

/* Takes all of `bytes`.  0, QR_E_MALFORMED or UV_ENOMEM. */
int qr_chunk_decode(struct qr_slice bytes, int64_t window_start_s, uint32_t window_s,
                    struct qr_grid *grid);

/* ---- parts of a chunk ---- */

/* Its shape; borrows the bytes. */
struct qr_chunk {
    int64_t first_s;
    uint32_t step_s, n_rows, n_dims;
    struct qr_slice series;
};

/* 0 or QR_E_MALFORMED. */
int qr_chunk_open(struct qr_chunk *chunk, struct qr_slice bytes, int64_t window_start_s,
                  uint32_t window_s);

/* Which dimensions are wanted, in ascending order; NULL: all. */
struct qr_dims {
    const uint32_t *at;
    uint32_t n;
};

/* The rows that end in [first_s, last_s]; with `dims`, column i is dimension dims->at[i], EMPTY if
 * the chunk has none.  What lies outside is passed by.  1, 0: no such row, or an error as above. */
int qr_chunk_read(const struct qr_chunk *chunk, const struct qr_dims *dims, int64_t first_s,
                  int64_t last_s, struct qr_grid *grid);

/* Spans of time, one after the other: bucket i is (first_s + (i - 1) * step_s,
 * first_s + i * step_s]. */
struct qr_buckets {
    int64_t first_s; /* End of bucket 0. */
    int64_t step_s;
    uint32_t n;
};

/* The buckets that end at or after the first row, and begin before the last: how many, from
 * *first; 0: none. */
uint32_t qr_buckets_find(const struct qr_buckets *buckets, int64_t first_s, int64_t last_s,
                         uint32_t *first);

/* Adds the rows of each bucket, of dims->at[d], to sums[d * buckets->n + i].  0, QR_E_MALFORMED or
 * UV_ENOMEM; then some may have been added. */
int qr_chunk_aggregate(const struct qr_chunk *chunk, const struct qr_dims *dims,
                       const struct qr_buckets *buckets, struct qr_aggregate *sums);

#endif
