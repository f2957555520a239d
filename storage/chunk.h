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
#include "storage/codec.h"
#include "storage/grid.h"

/* Appends what `grid` holds, which lies in the window from window_start_s; *n_samples values are
 * present, and with none nothing is appended.  0 or UV_ENOMEM. */
int qr_chunk_encode(struct qr_codec *codec, struct qr_buf *out, int64_t window_start_s,
                    const struct qr_grid *grid, uint64_t *n_samples);

/* Takes all of `bytes`.  0, QR_E_MALFORMED or UV_ENOMEM. */
int qr_chunk_decode(struct qr_slice bytes, int64_t window_start_s, uint32_t window_s,
                    struct qr_grid *grid);

#endif
