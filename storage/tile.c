#include "storage/tile.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "storage/value.h"

struct qr_tile_raw *qr_tile_raw_new(uint32_t n_rows, uint32_t n_cols)
{
    struct qr_tile_raw *raw = malloc(qr_tile_raw_bytes(n_rows, n_cols));
    if (raw == NULL)
        return NULL;
    raw->version = 0;
    raw->queued = false;
    size_t n = (size_t)n_rows * n_cols;
    for (size_t i = 0; i < n; i++)
        atomic_init(&raw->cells[i], QR_VALUE_EMPTY);
    return raw;
}

static void copy_column(const struct qr_tile_raw *raw, uint32_t n_cols, uint32_t column,
                        uint32_t first, uint32_t n, uint32_t *values)
{
    const _Atomic uint32_t *cell = raw->cells + (size_t)first * n_cols + column;
    for (uint32_t i = 0; i < n; i++, cell += n_cols)
        values[i] = atomic_load_explicit(cell, memory_order_relaxed);
}

/* ---- encoding ---- */

void qr_tile_writer_release(struct qr_tile_writer *writer)
{
    qr_codec_release(&writer->codec);
    qr_buf_release(&writer->series);
    qr_buf_release(&writer->out);
}

int qr_tile_encode(struct qr_tile_writer *writer, const struct qr_tile_raw *raw, uint32_t n_rows,
                   uint32_t n_cols, size_t *at)
{
    uint32_t column[QR_TILE_ROWS];
    assert(n_rows <= QR_TILE_ROWS);
    int err = 0;
    qr_buf_clear(&writer->series);
    for (uint32_t c = 0; c < n_cols && err == 0; c++) {
        copy_column(raw, n_cols, c, 0, n_rows, column);
        err = qr_codec_encode(&writer->codec, &writer->series, column, n_rows, 1);
    }
    if (err == 0 && writer->out.len % 2 != 0)
        err = qr_buf_add_u8(&writer->out, 0);
    size_t start = writer->out.len;
    if (err == 0)
        err = qr_buf_add_bytes(&writer->out, qr_buf_slice(&writer->series));
    if (err == 0)
        *at = start;
    return err;
}

/* ---- decoding ---- */

static struct qr_cursor series_of(uintptr_t tile)
{
    const void *bytes = (const void *)(tile - 1);
    struct qr_cursor length = qr_cursor_of(qr_slice_of(bytes, 5));
    size_t len = (size_t)qr_cursor_varint_max(&length, UINT32_MAX);
    return qr_cursor_of(qr_slice_of(length.p, len));
}

/* The next column, rows first .. first + n - 1 of it. */
static void take_column(struct qr_cursor *in, uint32_t n_rows, uint32_t first, uint32_t n,
                        uint32_t *values)
{
    int err = qr_codec_decode(in, &(struct qr_codec_rows){n_rows, first, first + n}, values);
    assert(err == 0); /* We wrote it. */
    (void)err;
}

void qr_tile_load(uintptr_t tile, uint32_t n_rows, uint32_t n_cols, uint32_t first, uint32_t n,
                  uint32_t *values, size_t stride)
{
    if (tile == 0)
        return;
    if (!qr_tile_is_encoded(tile)) {
        for (uint32_t c = 0; c < n_cols; c++)
            copy_column(qr_tile_raw_of(tile), n_cols, c, first, n, values + c * stride);
        return;
    }
    struct qr_cursor in = series_of(tile);
    for (uint32_t c = 0; c < n_cols; c++)
        take_column(&in, n_rows, first, n, values + c * stride);
    assert(qr_cursor_done(&in));
}

struct qr_tile_raw *qr_tile_decode(uintptr_t tile, uint32_t n_rows, uint32_t n_cols)
{
    uint32_t column[QR_TILE_ROWS];
    struct qr_tile_raw *raw = qr_tile_raw_new(n_rows, n_cols);
    struct qr_cursor in = series_of(tile);
    for (uint32_t c = 0; c < n_cols && raw != NULL; c++) {
        take_column(&in, n_rows, 0, n_rows, column);
        for (uint32_t i = 0; i < n_rows; i++)
            atomic_init(&raw->cells[(size_t)i * n_cols + c], column[i]);
    }
    return raw;
}
