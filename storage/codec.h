/* storage/codec.h — one series of one window as bytes: integers only, one encoding of each series.
 *
 * Values turn into integers at the series' smallest decimal exponent, gaps and flags into marks
 * beside them.  The integers are written in the way that takes the fewest bytes, the lower number
 * on a tie:
 *
 *   0 empty       nothing is present
 *   1 raw         u32 each: what is no canonical value, or spans more than 2^53
 *   2 constant    one integer
 *   3 runs        (length, difference) pairs
 *   4 dictionary  2 .. 256 values, and a packed index for each
 *   5 frames      of 128 (storage/frame)
 *
 * The choice compares exact sizes of integers, so the same values give the same bytes on every
 * machine.  A range of rows is decoded, or added up, without the frames that it does not touch.
 *
 * Bytes: docs/formats/block-file.md.  Thread: any; a struct qr_codec is one thread's. */
#ifndef QR_STORAGE_CODEC_H
#define QR_STORAGE_CODEC_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"

/* Working memory of the encoder, kept from series to series.  A zeroed one is valid. */
struct qr_codec {
    uint32_t capacity; /* Values. */
    int64_t *x;
    uint32_t *values;
    uint8_t *marks; /* Three, one byte a value. */
};

void qr_codec_release(struct qr_codec *codec);

/* Appends n values (n > 0), which lie `stride` apart.  0 or UV_ENOMEM. */
int qr_codec_encode(struct qr_codec *codec, struct qr_buf *out, const uint32_t *values, uint32_t n,
                    uint32_t stride);

/* Which rows are wanted of a series of n: [first, end), first < end <= n. */
struct qr_codec_rows {
    uint32_t n, first, end;
};

/* Takes one series and writes the values of `rows`.  0 or QR_E_MALFORMED; then `values` may be
 * partly written. */
int qr_codec_decode(struct qr_cursor *in, const struct qr_codec_rows *rows, uint32_t *values);

/* Passes by a series of n rows.  0 or QR_E_MALFORMED. */
int qr_codec_skip(struct qr_cursor *in, uint32_t n);

#endif
