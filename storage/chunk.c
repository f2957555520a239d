#include "storage/chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/codec_aggregate.h"
#include "storage/value.h"

/* The part of a grid that holds something. */
struct extent {
    uint32_t first_row, last_row, stride_rows, n_dims;
    uint64_t n_samples;
};

static uint32_t gcd(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static struct extent measure(const struct qr_grid *grid)
{
    struct extent extent = {0};
    for (uint32_t row = 0; row < grid->n_rows; row++) {
        uint32_t n_present = 0;
        for (uint32_t d = 0; d < grid->n_dims; d++) {
            if (qr_value_is_empty(qr_grid_at(grid, row, d)))
                continue;
            n_present++;
            if (d >= extent.n_dims)
                extent.n_dims = d + 1;
        }
        if (n_present == 0)
            continue;
        if (extent.n_samples == 0)
            extent.first_row = row;
        extent.stride_rows = gcd(row - extent.first_row, extent.stride_rows);
        extent.last_row = row;
        extent.n_samples += n_present;
    }
    return extent;
}

int qr_chunk_encode(struct qr_codec *codec, struct qr_buf *out, int64_t window_start_s,
                    const struct qr_grid *grid, uint64_t *n_samples)
{
    return qr_chunk_encode_cuts(codec, out, window_start_s, grid, n_samples, NULL);
}

static int add_cut(struct qr_buf *cuts, size_t at)
{
    uint32_t cut = (uint32_t)at;
    return cuts != NULL ? qr_buf_add(cuts, &cut, sizeof cut) : 0;
}

int qr_chunk_encode_cuts(struct qr_codec *codec, struct qr_buf *out, int64_t window_start_s,
                         const struct qr_grid *grid, uint64_t *n_samples, struct qr_buf *cuts)
{
    size_t start = out->len;
    struct extent extent = measure(grid);
    *n_samples = extent.n_samples;
    if (extent.n_samples == 0)
        return 0;
    bool is_single = extent.stride_rows == 0;
    uint32_t stride = is_single ? 1 : extent.stride_rows;
    uint32_t n_rows = (extent.last_row - extent.first_row) / stride + 1;
    int64_t first_s = grid->first_s + (int64_t)extent.first_row * grid->step_s;
    assert(first_s >= window_start_s);
    qr_buf_add_varint(out, (uint64_t)(first_s - window_start_s));
    qr_buf_add_varint(out, is_single ? 1 : stride * grid->step_s);
    qr_buf_add_varint(out, n_rows);
    int err = qr_buf_add_varint(out, extent.n_dims);
    for (uint32_t d = 0; d < extent.n_dims && err == 0; d++) {
        err = add_cut(cuts, out->len - start);
        if (err == 0)
            err = qr_codec_encode(codec, out, qr_grid_column(grid, d) + extent.first_row, n_rows,
                                  stride);
    }
    return err != 0 ? err : add_cut(cuts, out->len - start);
}

int qr_chunk_open(struct qr_chunk *chunk, struct qr_slice bytes, int64_t window_start_s,
                  uint32_t window_s)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    uint32_t first = (uint32_t)qr_cursor_varint_max(&in, window_s - 1);
    uint32_t step = (uint32_t)qr_cursor_varint_max(&in, window_s);
    uint64_t n_rows = qr_cursor_varint_max(&in, window_s);
    uint32_t n_dims = (uint32_t)qr_cursor_varint_max(&in, QR_DIMS_PER_CHART_MAX);
    if (in.failed || step == 0 || n_rows == 0 || n_dims == 0 || n_dims > qr_cursor_left(&in) ||
        first + (n_rows - 1) * step >= window_s)
        return QR_E_MALFORMED;
    *chunk = (struct qr_chunk){window_start_s + first, step, (uint32_t)n_rows, n_dims,
                               qr_slice_of(in.p, qr_cursor_left(&in))};
    return 0;
}

int qr_chunk_decode(struct qr_slice bytes, int64_t window_start_s, uint32_t window_s,
                    struct qr_grid *grid)
{
    struct qr_chunk chunk;
    int err = qr_chunk_open(&chunk, bytes, window_start_s, window_s);
    if (err != 0)
        return err;
    err = qr_grid_reset(grid, chunk.first_s, chunk.step_s, chunk.n_rows, chunk.n_dims);
    struct qr_cursor in = qr_cursor_of(chunk.series);
    const struct qr_codec_rows all = {chunk.n_rows, 0, chunk.n_rows};
    for (uint32_t d = 0; d < chunk.n_dims && err == 0; d++)
        err = qr_codec_decode(&in, &all, qr_grid_column(grid, d));
    if (err == 0 && !qr_cursor_done(&in))
        err = QR_E_MALFORMED;
    return err;
}

/* ---- parts of a chunk ---- */

/* The first of n rows that ends at or after that time; n: none. */
static uint32_t row_from(const struct qr_chunk *chunk, int64_t time_s)
{
    if (time_s <= chunk->first_s)
        return 0;
    uint64_t row = ((uint64_t)(time_s - chunk->first_s) + chunk->step_s - 1) / chunk->step_s;
    return row < chunk->n_rows ? (uint32_t)row : chunk->n_rows;
}

/* How many of them end at or before it. */
static uint32_t rows_until(const struct qr_chunk *chunk, int64_t time_s)
{
    if (time_s < chunk->first_s)
        return 0;
    uint64_t row = (uint64_t)(time_s - chunk->first_s) / chunk->step_s;
    return row < chunk->n_rows ? (uint32_t)row + 1 : chunk->n_rows;
}

static uint32_t n_wanted(const struct qr_chunk *chunk, const struct qr_dims *dims)
{
    return dims != NULL ? dims->n : chunk->n_dims;
}

/* Moves to the series of the i-th dimension that is wanted, when *at have been taken.  1, 0: there
 * is none, or QR_E_MALFORMED. */
static int find_series(const struct qr_chunk *chunk, const struct qr_dims *dims, uint32_t i,
                       struct qr_cursor *in, uint32_t *at)
{
    uint32_t dim = dims != NULL ? dims->at[i] : i;
    assert(dim >= *at);
    if (dim >= chunk->n_dims)
        return 0;
    for (; *at < dim; ++*at)
        if (qr_codec_skip(in, chunk->n_rows) != 0)
            return QR_E_MALFORMED;
    ++*at;
    return 1;
}

int qr_chunk_read(const struct qr_chunk *chunk, const struct qr_dims *dims, int64_t first_s,
                  int64_t last_s, struct qr_grid *grid)
{
    struct qr_codec_rows rows = {chunk->n_rows, row_from(chunk, first_s),
                                 rows_until(chunk, last_s)};
    struct qr_cursor in = qr_cursor_of(chunk->series);
    uint32_t n_dims = n_wanted(chunk, dims), at = 0;
    if (rows.first >= rows.end)
        return 0;
    int err = qr_grid_reset(grid, chunk->first_s + (int64_t)rows.first * chunk->step_s,
                            chunk->step_s, rows.end - rows.first, n_dims);
    for (uint32_t i = 0; i < n_dims && err == 0; i++) {
        int found = find_series(chunk, dims, i, &in, &at);
        if (found <= 0)
            return found < 0 ? found : 1; /* Nor is there one for those after it. */
        err = qr_codec_decode(&in, &rows, qr_grid_column(grid, i));
    }
    return err != 0 ? err : 1;
}

uint32_t qr_buckets_find(const struct qr_buckets *buckets, int64_t first_s, int64_t last_s,
                         uint32_t *first)
{
    int64_t start_s = buckets->first_s - buckets->step_s; /* Not part of bucket 0. */
    if (last_s <= start_s || buckets->n == 0 || first_s > last_s)
        return 0;
    int64_t low = first_s <= start_s ? 0 : (first_s - start_s - 1) / buckets->step_s;
    int64_t high = (last_s - start_s - 1) / buckets->step_s;
    if (low >= buckets->n)
        return 0;
    if (high >= buckets->n)
        high = (int64_t)buckets->n - 1;
    *first = (uint32_t)low;
    return (uint32_t)(high - low) + 1;
}

/* Rows where buckets begin, and where the last one ends; NULL: no memory. */
static uint32_t *make_bounds(const struct qr_chunk *chunk, const struct qr_buckets *buckets,
                             uint32_t first, uint32_t n)
{
    uint32_t *bounds = malloc((n + (size_t)1) * sizeof *bounds);
    int64_t start_s = buckets->first_s + ((int64_t)first - 1) * buckets->step_s;
    for (uint32_t i = 0; bounds != NULL && i <= n; i++)
        bounds[i] = rows_until(chunk, start_s + i * buckets->step_s);
    return bounds;
}

int qr_chunk_aggregate(const struct qr_chunk *chunk, const struct qr_dims *dims,
                       const struct qr_buckets *buckets, struct qr_aggregate *sums)
{
    int64_t last_s = chunk->first_s + (int64_t)(chunk->n_rows - 1) * chunk->step_s;
    uint32_t first, n = qr_buckets_find(buckets, chunk->first_s, last_s, &first), at = 0;
    if (n == 0)
        return 0;
    uint32_t *bounds = make_bounds(chunk, buckets, first, n);
    if (bounds == NULL)
        return UV_ENOMEM;
    struct qr_cursor in = qr_cursor_of(chunk->series);
    int err = 0;
    for (uint32_t i = 0; i < n_wanted(chunk, dims) && err == 0; i++) {
        int found = find_series(chunk, dims, i, &in, &at);
        if (found == 0)
            break;
        err = found < 0 ? found
                        : qr_codec_aggregate(&in, chunk->n_rows, bounds, n,
                                             sums + (size_t)i * buckets->n + first);
    }
    free(bounds);
    return err;
}
