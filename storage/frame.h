/* storage/frame.h — up to 128 numbers as offsets from one: the pieces of a long series.
 *
 * A frame holds all that it needs, so any one is decoded alone.  It is written in the form that
 * takes the fewest bytes, the lower one on a tie:
 *
 *   0 offsets       from the least integer at the series' exponent
 *   1 differences   each from the integer before, zigzag
 *   2 split         mantissas, and beside them exponent codes: each number at its own exponent
 *
 * Offsets and differences are divided by a common factor if that is smaller.  What is left is a
 * stream: fixed-width integers, with the high bits of the few wider ones beside, where that costs
 * less than a greater width.
 *
 *   frame    u8 form, bit 2: factor; zigzag base; varint factor - 2; stream;
 *            of split: u8 least code, stream
 *   stream   u8 width, bit 7: exceptions; packed integers (storage/pack);
 *            u8 exceptions - 1, u8 width of their high bits, u8 place of each, high bits packed
 *
 * Thread: any. */
#ifndef QR_STORAGE_FRAME_H
#define QR_STORAGE_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cursor.h"

#define QR_FRAME_N                 128u
#define QR_FRAME_WRITTEN_BYTES_MAX 1024u /* Of any frame that is written. */

/* Integers in a series, at its exponent, are within this. */
#define QR_INTEGER_MAX (INT64_C(1) << 53)

enum qr_frame_form { QR_FRAME_OFFSETS, QR_FRAME_DIFFERENCES, QR_FRAME_SPLIT, QR_FRAME_FORMS };

/* Of a column of n that is cut in frames: how many are in the one that begins at place `at`. */
static inline uint32_t qr_frame_size(uint32_t n, uint32_t at)
{
    return n - at < QR_FRAME_N ? n - at : QR_FRAME_N;
}

/* Writes n numbers: x[i] * 10^exponent are the canonical values[i].  Returns the end.  Without
 * values they are integers that need not be any, and are not split. */
uint8_t *qr_frame_put(uint8_t *p, const int64_t *x, const uint32_t *values, uint32_t n,
                      int exponent);

/* Passes by a frame of n, without a look at its integers. */
void qr_frame_skip(struct qr_cursor *in, uint32_t n);

/* A frame as read. */
struct qr_frame {
    uint32_t n;
    unsigned form;
    unsigned bits; /* No integer of v has more. */
    int64_t base;
    uint64_t factor;
    uint32_t least_code;
    uint32_t v[QR_FRAME_N];    /* If bits <= 32; filled up to the end. */
    uint64_t wide[QR_FRAME_N]; /* Otherwise. */
    uint32_t codes[QR_FRAME_N];
};

/* False: malformed. */
bool qr_frame_take(struct qr_cursor *in, uint32_t n, struct qr_frame *frame);

/* Its values; writes all 128, of which n count.  False: they are not what was written. */
bool qr_frame_values(const struct qr_frame *frame, int exponent, uint32_t values[QR_FRAME_N]);

/* Its integers at that exponent, in one of two sizes.  False as above. */
struct qr_frame_integers {
    bool is_wide;
    int32_t narrow[QR_FRAME_N];
    int64_t wide[QR_FRAME_N];
};
bool qr_frame_integers(const struct qr_frame *frame, int exponent,
                       struct qr_frame_integers *integers);

#endif
