/* storage/codec.h — one series of one window as bytes: integers only, one encoding of each series.
 *
 * Values turn into integers at the series' smallest decimal exponent, gaps and flags into maps
 * beside them.  The integers are written in the way that takes the fewest bytes, the lower number
 * on a tie:
 *
 *   0 empty       nothing is present
 *   1 raw         u32 each: what is no canonical value, or spans more than 2^53
 *   2 constant    one integer
 *   3 runs        (length, difference) pairs
 *   4 dictionary  2 .. 256 values, and a packed index for each
 *   5 blocks      of 128, each offsets from its least one or differences from the one before,
 *                 packed in the width that costs least, with the few wider ones beside
 *
 * The choice compares exact sizes of integers, so the same values give the same bytes on every
 * machine.  Bytes: docs/formats/block-file.md.  Thread: any; a struct qr_codec is one thread's. */
#ifndef QR_STORAGE_CODEC_H
#define QR_STORAGE_CODEC_H

#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"

/* Working memory, kept from series to series.  A zeroed one is valid. */
struct qr_codec {
    uint32_t capacity; /* Values. */
    int64_t *x;
    uint32_t *values;
    uint8_t *maps; /* Three, one byte a value. */
};

void qr_codec_release(struct qr_codec *codec);

/* Appends n values (n > 0), which lie `stride` apart.  0 or UV_ENOMEM. */
int qr_codec_encode(struct qr_codec *codec, struct qr_buf *out, const uint32_t *values, uint32_t n,
                    uint32_t stride);

/* Takes one series of n values (n > 0) and writes them `stride` apart.  0, QR_E_MALFORMED or
 * UV_ENOMEM; then `values` may be partly written. */
int qr_codec_decode(struct qr_codec *codec, struct qr_cursor *in, uint32_t *values, uint32_t n,
                    uint32_t stride);

/* Columns of integers, in the same ways (2 to 5).  Each is at most QR_CODEC_INTEGER_MAX from 0. */
#define QR_CODEC_INTEGER_MAX (INT64_C(1) << 53)

/* Appends n integers (n > 0).  0 or UV_ENOMEM. */
int qr_codec_encode_integers(struct qr_buf *out, const int64_t *x, uint32_t n);
/* Takes n of them; fails the cursor. */
void qr_codec_decode_integers(struct qr_cursor *in, int64_t *x, uint32_t n);

#endif
