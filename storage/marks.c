#include "storage/marks.h"

#include <string.h>

#include "storage/pack.h"

enum { FORM_RUNS, FORM_BITS };

static size_t bits_bytes(uint32_t n)
{
    return ((size_t)n + 7) / 8;
}

/* ---- writing ---- */

static size_t runs_bytes(const uint8_t *marked, uint32_t n)
{
    size_t bytes = 0;
    uint8_t kind = 0;
    for (uint32_t at = 0; at < n; kind ^= 1) {
        uint32_t from = at;
        while (at < n && marked[at] == kind)
            at++;
        bytes += qr_varint_bytes(at - from);
    }
    return bytes;
}

uint8_t *qr_marks_put(uint8_t *p, const uint8_t *marked, uint32_t n)
{
    if (runs_bytes(marked, n) <= bits_bytes(n)) {
        *p++ = FORM_RUNS;
        uint8_t kind = 0;
        for (uint32_t at = 0; at < n; kind ^= 1) {
            uint32_t from = at;
            while (at < n && marked[at] == kind)
                at++;
            p = qr_put_varint(p, at - from);
        }
        return p;
    }
    *p++ = FORM_BITS;
    memset(p, 0, bits_bytes(n));
    for (uint32_t i = 0; i < n; i++)
        p[i / 8] |= (uint8_t)(marked[i] << i % 8);
    return p + bits_bytes(n);
}

/* ---- reading ---- */

/* Only the first run may be empty. */
static void take_runs(struct qr_cursor *in, struct qr_marks *marks)
{
    const uint8_t *start = in->p;
    bool marked = false;
    for (uint32_t at = 0; at < marks->n && !in->failed; marked = !marked) {
        uint32_t len = (uint32_t)qr_cursor_varint_max(in, marks->n - at);
        if (len == 0 && (at != 0 || marked))
            in->failed = true;
        if (marked)
            marks->n_marked += len;
        at += len;
    }
    marks->bytes = qr_slice_of(start, (size_t)(in->p - start));
}

static void take_bits(struct qr_cursor *in, struct qr_marks *marks)
{
    marks->bytes = qr_cursor_take(in, bits_bytes(marks->n));
    if (in->failed)
        return;
    const uint8_t *bits = (const uint8_t *)marks->bytes.base;
    for (size_t i = 0; i < marks->bytes.len; i++)
        marks->n_marked += (uint32_t)__builtin_popcount(bits[i]);
    if (marks->n % 8 != 0 && bits[marks->bytes.len - 1] >> marks->n % 8 != 0)
        in->failed = true;
}

bool qr_marks_take(struct qr_cursor *in, uint32_t n, struct qr_marks *marks)
{
    uint8_t form = qr_cursor_u8(in);
    *marks = (struct qr_marks){.n = n, .is_bits = form == FORM_BITS};
    if (form == FORM_RUNS)
        take_runs(in, marks);
    else if (form == FORM_BITS)
        take_bits(in, marks);
    if (form > FORM_BITS || marks->n_marked == 0)
        in->failed = true;
    return !in->failed;
}

void qr_marks_walk(struct qr_marks_walk *walk, const struct qr_marks *marks)
{
    *walk = (struct qr_marks_walk){marks, qr_cursor_of(marks->bytes), 0};
}

static bool bit_at(const struct qr_marks *marks, uint32_t i)
{
    return (uint8_t)marks->bytes.base[i / 8] >> i % 8 & 1;
}

bool qr_marks_next(struct qr_marks_walk *walk, uint32_t *first, uint32_t *end)
{
    const struct qr_marks *marks = walk->marks;
    if (walk->at >= marks->n)
        return false;
    if (!marks->is_bits) {
        *first = walk->at + (uint32_t)qr_cursor_varint(&walk->in);
        if (*first >= marks->n) {
            walk->at = marks->n;
            return false;
        }
        walk->at = *end = *first + (uint32_t)qr_cursor_varint(&walk->in);
        return true;
    }
    uint32_t at = walk->at;
    while (at < marks->n && !bit_at(marks, at))
        at++;
    *first = at;
    while (at < marks->n && bit_at(marks, at))
        at++;
    walk->at = *end = at;
    return *first < at;
}

uint32_t qr_marks_count(const struct qr_marks *marks, uint32_t first, uint32_t end)
{
    struct qr_marks_walk walk;
    uint32_t n = 0, from, to;
    if (first == 0 && end == marks->n)
        return marks->n_marked;
    qr_marks_walk(&walk, marks);
    while (qr_marks_next(&walk, &from, &to) && from < end) {
        from = from > first ? from : first;
        to = to < end ? to : end;
        if (from < to)
            n += to - from;
    }
    return n;
}
