#include "storage/integers.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "storage/pack.h"

#define HASH_SLOTS 1024u

/* ---- writing ---- */

static size_t runs_bytes(const int64_t *x, uint32_t n)
{
    size_t bytes = qr_varint_bytes(qr_zigzag(x[0]));
    for (uint32_t at = 0; at < n;) {
        uint32_t from = at;
        while (at < n && x[at] == x[from])
            at++;
        bytes += qr_varint_bytes(at - from - 1);
        if (at < n)
            bytes += qr_varint_bytes(qr_zigzag(x[at] - x[from]));
    }
    return bytes;
}

static uint8_t *put_runs(uint8_t *p, const int64_t *x, uint32_t n)
{
    p = qr_put_varint(p, qr_zigzag(x[0]));
    for (uint32_t at = 0; at < n;) {
        uint32_t from = at;
        while (at < n && x[at] == x[from])
            at++;
        p = qr_put_varint(p, at - from - 1);
        if (at < n)
            p = qr_put_varint(p, qr_zigzag(x[at] - x[from]));
    }
    return p;
}

struct dictionary {
    uint32_t n;
    int64_t sorted[QR_DICTIONARY_MAX];
    uint16_t slots[HASH_SLOTS]; /* Place in `found` + 1. */
    int64_t found[QR_DICTIONARY_MAX];
    uint8_t rank[QR_DICTIONARY_MAX]; /* Of found[i] in sorted. */
};

static uint16_t *slot_of(struct dictionary *dictionary, int64_t x)
{
    uint32_t i = (uint32_t)((uint64_t)x * UINT64_C(0x9e3779b97f4a7c15) >> 54);
    while (dictionary->slots[i] != 0 && dictionary->found[dictionary->slots[i] - 1] != x)
        i = (i + 1) % HASH_SLOTS;
    return &dictionary->slots[i];
}

static int compare_integers(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The distinct values of x, sorted; false: more than QR_DICTIONARY_MAX. */
static bool collect(struct dictionary *dictionary, const int64_t *x, uint32_t n)
{
    dictionary->n = 0;
    memset(dictionary->slots, 0, sizeof dictionary->slots);
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && x[i] == x[i - 1])
            continue;
        uint16_t *slot = slot_of(dictionary, x[i]);
        if (*slot != 0)
            continue;
        if (dictionary->n == QR_DICTIONARY_MAX)
            return false;
        dictionary->found[dictionary->n] = x[i];
        *slot = (uint16_t)++dictionary->n;
    }
    memcpy(dictionary->sorted, dictionary->found, dictionary->n * sizeof *dictionary->sorted);
    qsort(dictionary->sorted, dictionary->n, sizeof *dictionary->sorted, compare_integers);
    for (uint32_t rank = 0; rank < dictionary->n; rank++)
        dictionary->rank[*slot_of(dictionary, dictionary->sorted[rank]) - 1] = (uint8_t)rank;
    return true;
}

static size_t dictionary_bytes(const struct dictionary *dictionary, uint32_t n)
{
    const int64_t *v = dictionary->sorted;
    size_t bytes = qr_varint_bytes(dictionary->n - 2) + qr_varint_bytes(qr_zigzag(v[0]));
    for (uint32_t i = 1; i < dictionary->n; i++)
        bytes += qr_varint_bytes((uint64_t)(v[i] - v[i - 1]) - 1);
    return bytes + qr_packed_bytes(n, qr_bit_width(dictionary->n - 1));
}

static uint8_t *put_dictionary(uint8_t *p, struct dictionary *dictionary, const int64_t *x,
                               uint32_t n)
{
    const int64_t *v = dictionary->sorted;
    p = qr_put_varint(p, dictionary->n - 2);
    p = qr_put_varint(p, qr_zigzag(v[0]));
    for (uint32_t i = 1; i < dictionary->n; i++)
        p = qr_put_varint(p, (uint64_t)(v[i] - v[i - 1]) - 1);
    unsigned width = qr_bit_width(dictionary->n - 1);
    uint64_t indexes[QR_FRAME_N];
    for (uint32_t at = 0; at < n; at += QR_FRAME_N) {
        uint32_t n_block = qr_frame_size(n, at);
        for (uint32_t i = 0; i < n_block; i++) {
            if (i > 0 && x[at + i] == x[at + i - 1])
                indexes[i] = indexes[i - 1];
            else
                indexes[i] = dictionary->rank[*slot_of(dictionary, x[at + i]) - 1];
        }
        p = qr_put_packed(p, indexes, n_block, width);
    }
    return p;
}

static uint8_t *put_frames(uint8_t *p, const int64_t *x, const uint32_t *values, uint32_t n,
                           int exponent)
{
    for (uint32_t at = 0; at < n; at += QR_FRAME_N)
        p = qr_frame_put(p, x + at, values != NULL ? values + at : NULL, qr_frame_size(n, at),
                         exponent);
    return p;
}

uint8_t *qr_integers_put(uint8_t *p, const int64_t *x, const uint32_t *values, uint32_t n,
                         int exponent, enum qr_integers_mode *mode)
{
    uint32_t same = 1;
    while (same < n && x[same] == x[0])
        same++;
    if (same == n) {
        *mode = QR_INTEGERS_CONSTANT;
        return qr_put_varint(p, qr_zigzag(x[0]));
    }
    size_t best = runs_bytes(x, n);
    *mode = QR_INTEGERS_RUNS;
    struct dictionary dictionary;
    uint8_t *end = p;
    /* A frame takes three bytes at least: no need to look if runs take no more. */
    if (best > 3 * ((n + QR_FRAME_N - 1) / QR_FRAME_N)) {
        if (collect(&dictionary, x, n) && dictionary_bytes(&dictionary, n) < best) {
            best = dictionary_bytes(&dictionary, n);
            *mode = QR_INTEGERS_DICTIONARY;
        }
        end = put_frames(p, x, values, n, exponent);
        if ((size_t)(end - p) < best)
            *mode = QR_INTEGERS_FRAMES;
    }
    return *mode == QR_INTEGERS_RUNS         ? put_runs(p, x, n)
           : *mode == QR_INTEGERS_DICTIONARY ? put_dictionary(p, &dictionary, x, n)
                                             : end;
}

int qr_integers_encode(struct qr_buf *out, const int64_t *x, uint32_t n)
{
    assert(n > 0);
    size_t bound = 1 + qr_integers_bytes_max(n);
    enum qr_integers_mode mode;
    if (qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len;
    uint8_t *end = qr_integers_put(start + 1, x, NULL, n, 0, &mode);
    *start = (uint8_t)mode;
    assert((size_t)(end - start) <= bound);
    out->len += (size_t)(end - start);
    return 0;
}

/* ---- reading ---- */

bool qr_run_next(struct qr_cursor *in, uint32_t n, struct qr_run *run)
{
    if (run->end == n)
        return false;
    run->x = qr_add_wrapping(run->x, qr_cursor_zigzag(in));
    run->first = run->end;
    run->end += (uint32_t)qr_cursor_varint_max(in, n - run->first - 1) + 1;
    return !in->failed;
}

bool qr_dictionary_take(struct qr_cursor *in, struct qr_dictionary *dictionary)
{
    int64_t *entries = dictionary->entries;
    uint32_t n = (uint32_t)qr_cursor_varint_max(in, QR_DICTIONARY_MAX - 2) + 2;
    entries[0] = qr_cursor_zigzag(in);
    for (uint32_t i = 1; i < n; i++)
        entries[i] = qr_add_wrapping(
            entries[i - 1], (int64_t)(qr_cursor_varint_max(in, 2 * (uint64_t)QR_INTEGER_MAX) + 1));
    dictionary->n = n;
    dictionary->width = qr_bit_width(n - 1);
    return !in->failed;
}

bool qr_dictionary_indexes(struct qr_cursor *in, const struct qr_dictionary *dictionary, uint32_t n,
                           uint32_t indexes[QR_FRAME_N])
{
    uint32_t most = 0;
    qr_take_packed(in, indexes, n, dictionary->width);
    for (uint32_t i = 0; i < n && !in->failed; i++)
        most = indexes[i] > most ? indexes[i] : most;
    return !in->failed && most < dictionary->n;
}

void qr_dictionary_skip(struct qr_cursor *in, const struct qr_dictionary *dictionary, uint32_t n)
{
    qr_cursor_take(in, qr_packed_bytes(n, dictionary->width));
}

static void fill(int64_t *x, uint32_t n, int64_t value)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = value;
}

static bool take_frames(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    struct qr_frame frame;
    struct qr_frame_integers integers;
    for (uint32_t at = 0; at < n; at += QR_FRAME_N) {
        uint32_t n_frame = qr_frame_size(n, at);
        if (!qr_frame_take(in, n_frame, &frame) || frame.form == QR_FRAME_SPLIT ||
            !qr_frame_integers(&frame, 0, &integers))
            return false;
        for (uint32_t i = 0; i < n_frame; i++)
            x[at + i] = integers.is_wide ? integers.wide[i] : integers.narrow[i];
    }
    return true;
}

static bool take_dictionary(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    struct qr_dictionary dictionary;
    uint32_t indexes[QR_FRAME_N];
    if (!qr_dictionary_take(in, &dictionary))
        return false;
    for (uint32_t at = 0; at < n; at += QR_FRAME_N) {
        uint32_t n_here = qr_frame_size(n, at);
        if (!qr_dictionary_indexes(in, &dictionary, n_here, indexes))
            return false;
        for (uint32_t i = 0; i < n_here; i++)
            x[at + i] = dictionary.entries[indexes[i]];
    }
    return true;
}

static bool take_integers(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    struct qr_run run = {0};
    switch (qr_cursor_u8(in)) {
    case QR_INTEGERS_CONSTANT:
        fill(x, n, qr_cursor_zigzag(in));
        return true;
    case QR_INTEGERS_RUNS:
        while (qr_run_next(in, n, &run))
            fill(x + run.first, run.end - run.first, run.x);
        return true;
    case QR_INTEGERS_DICTIONARY:
        return take_dictionary(in, x, n);
    case QR_INTEGERS_FRAMES:
        return take_frames(in, x, n);
    default:
        return false;
    }
}

void qr_integers_decode(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    assert(n > 0);
    if (!take_integers(in, x, n))
        in->failed = true;
    for (uint32_t i = 0; i < n && !in->failed; i++)
        in->failed = x[i] > QR_INTEGER_MAX || x[i] < -QR_INTEGER_MAX;
}
