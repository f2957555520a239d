/* storage/integers.h — a column of integers, written in the way that takes the fewest bytes.
 *
 *   2 constant    zigzag
 *   3 runs        zigzag of the first; for each run varint length - 1, and before the next one the
 *                 zigzag difference to it
 *   4 dictionary  varint values - 2; zigzag of the least, varint distance - 1 to each next one; an
 *                 index for each integer (storage/pack), in pieces of 128
 *   5 frames      of 128 (storage/frame)
 *
 * The lower number on a tie.  The choice compares exact sizes of integers, so the same column gives
 * the same bytes on every machine.  Numbers 0 and 1 are those of storage/series, which holds values
 * in such columns.  Thread: any. */
#ifndef QR_STORAGE_INTEGERS_H
#define QR_STORAGE_INTEGERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "storage/frame.h"

enum qr_integers_mode {
    QR_INTEGERS_CONSTANT = 2,
    QR_INTEGERS_RUNS,
    QR_INTEGERS_DICTIONARY,
    QR_INTEGERS_FRAMES
};

/* No more than that is written for n integers. */
static inline size_t qr_integers_bytes_max(uint32_t n)
{
    return QR_FRAME_WRITTEN_BYTES_MAX * ((size_t)n / QR_FRAME_N + 1);
}

/* Writes n integers (n > 0) within QR_INTEGER_MAX, says how in *mode, and returns the end.  With
 * `values`: x[i] * 10^exponent are the canonical values[i], and may be written as such (frames). */
uint8_t *qr_integers_put(uint8_t *p, const int64_t *x, const uint32_t *values, uint32_t n,
                         int exponent, enum qr_integers_mode *mode);

/* ---- a column alone: u8 mode, and the integers ---- */

/* Appends n integers (n > 0).  0 or UV_ENOMEM. */
int qr_integers_encode(struct qr_buf *out, const int64_t *x, uint32_t n);
/* Takes n of them, all within QR_INTEGER_MAX; fails the cursor. */
void qr_integers_decode(struct qr_cursor *in, int64_t *x, uint32_t n);

/* ---- pieces, for who does not want them all ---- */

/* One run after the other; begins zeroed. */
struct qr_run {
    int64_t x;
    uint32_t first, end; /* Places. */
};

/* The next run of n integers; false: no more, or malformed (the cursor failed). */
bool qr_run_next(struct qr_cursor *in, uint32_t n, struct qr_run *run);

/* Indexes of 128 integers, and frames, begin at places that 128 divides. */
#define QR_DICTIONARY_MAX 256u
struct qr_dictionary {
    uint32_t n;
    unsigned width; /* Of an index. */
    int64_t entries[QR_DICTIONARY_MAX];
};

bool qr_dictionary_take(struct qr_cursor *in, struct qr_dictionary *dictionary);
/* The next n <= 128 indexes, all of them below dictionary->n. */
bool qr_dictionary_indexes(struct qr_cursor *in, const struct qr_dictionary *dictionary, uint32_t n,
                           uint32_t indexes[QR_FRAME_N]);
/* Passes by n <= 128 of them. */
void qr_dictionary_skip(struct qr_cursor *in, const struct qr_dictionary *dictionary, uint32_t n);

#endif
