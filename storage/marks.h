/* storage/marks.h — which of n places are marked: gaps of a series, resets, anomalies.
 *
 *   u8 0, varints: lengths of runs of places that are not and that are marked, in turn
 *   u8 1, a bit a place, the lowest first, the rest of the last byte 0
 *
 * The shorter one is written, runs on a tie.  Thread: any. */
#ifndef QR_STORAGE_MARKS_H
#define QR_STORAGE_MARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"

static inline size_t qr_marks_bytes_max(uint32_t n)
{
    return 1 + ((size_t)n + 7) / 8;
}

/* One byte a place, 0 or 1.  Returns the end. */
uint8_t *qr_marks_put(uint8_t *p, const uint8_t *marked, uint32_t n);

/* As read: borrows the bytes.  A zeroed one has no marks. */
struct qr_marks {
    uint32_t n;
    uint32_t n_marked;
    bool is_bits;
    struct qr_slice bytes;
};

/* Takes marks of n places, at least one of them marked.  False: malformed. */
bool qr_marks_take(struct qr_cursor *in, uint32_t n, struct qr_marks *marks);

/* Walks over what is marked. */
struct qr_marks_walk {
    const struct qr_marks *marks;
    struct qr_cursor in;
    uint32_t at; /* All before it was seen. */
};

void qr_marks_walk(struct qr_marks_walk *walk, const struct qr_marks *marks);
/* The next marked places, from *first to before *end; false: no more. */
bool qr_marks_next(struct qr_marks_walk *walk, uint32_t *first, uint32_t *end);

/* How many are marked in [first, end). */
uint32_t qr_marks_count(const struct qr_marks *marks, uint32_t first, uint32_t end);

#endif
