#include "storage/chunk.h"

#include <assert.h>

#include "base/error.h"
#include "base/limits.h"
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
    for (uint32_t d = 0; d < extent.n_dims && err == 0; d++)
        err =
            qr_codec_encode(codec, out, qr_grid_column(grid, d) + extent.first_row, n_rows, stride);
    return err;
}

int qr_chunk_decode(struct qr_slice bytes, int64_t window_start_s, uint32_t window_s,
                    struct qr_grid *grid)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    uint32_t first = (uint32_t)qr_cursor_varint_max(&in, window_s - 1);
    uint32_t step = (uint32_t)qr_cursor_varint_max(&in, window_s);
    uint64_t n_rows = qr_cursor_varint_max(&in, window_s);
    uint32_t n_dims = (uint32_t)qr_cursor_varint_max(&in, QR_DIMS_PER_CHART_MAX);
    if (in.failed || step == 0 || n_rows == 0 || n_dims == 0 || n_dims > qr_cursor_left(&in) ||
        first + (n_rows - 1) * step >= window_s)
        return QR_E_MALFORMED;
    int err = qr_grid_reset(grid, window_start_s + first, step, (uint32_t)n_rows, n_dims);
    for (uint32_t d = 0; d < n_dims && err == 0; d++)
        err = qr_codec_decode(&in, &(struct qr_codec_rows){(uint32_t)n_rows, 0, (uint32_t)n_rows},
                              qr_grid_column(grid, d));
    if (err == 0 && !qr_cursor_done(&in))
        err = QR_E_MALFORMED;
    return err;
}
