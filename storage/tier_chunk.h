/* storage/tier_chunk.h — one chart's points of one window of a tier as bytes.
 *
 *   varint first row, n_rows, n_dims; then each dimension's columns:
 *   u8 0 nothing
 *   u8 1 integers: u8 exponent + 7, varint expected; columns (storage/integers) of
 *        expected - count for each row, and for rows that have a point: anomalies, min, max - min,
 *        sum - min * count
 *   u8 2 wide (an integer would exceed 2^53): varint expected; columns of expected - count and
 *        anomalies; then for each point u32 min, u32 max, 16 bytes sum in units of 10^-7
 *
 * Row 0 is the point of the window's first second; points lie at multiples of their step.
 * `expected` is the largest count of the series, so that a gap needs no map.  Canonical: the first
 * and the last row and the last dimension hold something, and the exponent follows from the values.
 * Thread: any. */
#ifndef QR_STORAGE_TIER_CHUNK_H
#define QR_STORAGE_TIER_CHUNK_H

#include "base/buf.h"
#include "base/cursor.h"
#include "storage/rollup.h"

/* Working memory.  A zeroed one is valid. */
struct qr_tier_codec {
    int64_t *columns; /* Five. */
    uint32_t capacity;
};

void qr_tier_codec_release(struct qr_tier_codec *codec);

/* Appends the points that end in (after_s, until_s], which lie at or after window_start_s;
 * *n_points of them hold something, of *n_dims dimensions; with none nothing is appended.  0 or
 * UV_ENOMEM. */
int qr_tier_chunk_encode(struct qr_tier_codec *codec, struct qr_buf *out, int64_t window_start_s,
                         const struct qr_points *points, int64_t after_s, int64_t until_s,
                         uint32_t *n_dims, uint64_t *n_points);

/* Takes all of `bytes`: points of what ends in [window_start_s, window_start_s + window_s).  0,
 * QR_E_MALFORMED or UV_ENOMEM. */
int qr_tier_chunk_decode(struct qr_tier_codec *codec, struct qr_slice bytes, int64_t window_start_s,
                         uint32_t window_s, uint32_t step_s, struct qr_points *points);

#endif
