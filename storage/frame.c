#include "storage/frame.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "storage/lanes.h"
#include "storage/pack.h"
#include "storage/value.h"

#define WITH_FACTOR 4u
#define EXCEPTIONS  128u
#define WIDTH_MASK  127u

/* ---- streams ---- */

struct stream {
    size_t bytes;
    unsigned width, high_width;
    uint32_t n_exceptions;
};

static struct stream plan_stream(const uint64_t *v, uint32_t n)
{
    uint8_t count[2][65] = {0}; /* Two, so that equal neighbours do not wait for each other. */
    uint64_t all = 0;
    for (uint32_t i = 0; i < n; i++) {
        count[i % 2][qr_bit_width(v[i])]++;
        all |= v[i];
    }
    unsigned widest = qr_bit_width(all);
    assert(widest <= QR_PACK_WIDTH_MAX);
    struct stream best = {1 + qr_packed_bytes(n, widest), widest, 0, 0};
    uint32_t n_wider = 0;
    for (unsigned width = widest; width-- > 0;) {
        n_wider += (uint32_t)count[0][width + 1] + count[1][width + 1];
        size_t bytes =
            3 + qr_packed_bytes(n, width) + n_wider + qr_packed_bytes(n_wider, widest - width);
        if (bytes < best.bytes)
            best = (struct stream){bytes, width, widest - width, n_wider};
    }
    return best;
}

static uint8_t *put_stream(uint8_t *p, const uint64_t *v, uint32_t n, const struct stream *plan)
{
    *p++ = (uint8_t)(plan->width | (plan->n_exceptions != 0 ? EXCEPTIONS : 0));
    p = qr_put_packed(p, v, n, plan->width);
    if (plan->n_exceptions == 0)
        return p;
    *p++ = (uint8_t)(plan->n_exceptions - 1);
    *p++ = (uint8_t)plan->high_width;
    uint64_t high[QR_FRAME_N];
    uint32_t n_high = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] >> plan->width == 0)
            continue;
        *p++ = (uint8_t)i;
        high[n_high++] = v[i] >> plan->width;
    }
    return qr_put_packed(p, high, n_high, plan->high_width);
}

static void skip_stream(struct qr_cursor *in, uint32_t n)
{
    uint8_t head = qr_cursor_u8(in);
    qr_cursor_take(in, qr_packed_bytes(n, head & WIDTH_MASK));
    if ((head & EXCEPTIONS) == 0)
        return;
    uint32_t n_exceptions = (uint32_t)qr_cursor_u8(in) + 1;
    unsigned width = qr_cursor_u8(in);
    qr_cursor_take(in, n_exceptions + qr_packed_bytes(n_exceptions, width));
}

/* Places and high bits of exceptions; how many. */
static uint32_t take_exceptions(struct qr_cursor *in, uint32_t n, unsigned width,
                                const uint8_t **places, uint64_t *high, unsigned *high_width)
{
    uint32_t n_exceptions = (uint32_t)qr_cursor_u8(in) + 1;
    *high_width = qr_cursor_u8(in);
    if (in->failed || n_exceptions > n || *high_width == 0 ||
        *high_width > QR_PACK_WIDTH_MAX - width) {
        in->failed = true;
        return 0;
    }
    *places = (const uint8_t *)qr_cursor_take(in, n_exceptions).base;
    qr_take_packed_wide(in, high, n_exceptions, *high_width);
    for (uint32_t i = 0; i < n_exceptions && !in->failed; i++)
        if ((*places)[i] >= n || (i > 0 && (*places)[i] <= (*places)[i - 1]) || high[i] == 0)
            in->failed = true;
    return in->failed ? 0 : n_exceptions;
}

/* To v, or to wide if there are more than 32 bits; how many, 0 after a failure too. */
static unsigned take_stream(struct qr_cursor *in, uint32_t n, uint32_t *v, uint64_t *wide)
{
    uint8_t head = qr_cursor_u8(in);
    unsigned width = head & WIDTH_MASK, high_width = 0;
    const uint8_t *places = NULL;
    uint64_t high[QR_FRAME_N];
    if (width > QR_PACK_WIDTH_MAX) {
        in->failed = true;
        return 0;
    }
    if (width > QR_LANES_WIDTH_MAX)
        qr_take_packed_wide(in, wide, n, width);
    else
        qr_take_packed(in, v, n, width);
    if (in->failed || (head & EXCEPTIONS) == 0)
        return width;
    uint32_t n_exceptions = take_exceptions(in, n, width, &places, high, &high_width);
    if (width + high_width <= 32) {
        for (uint32_t i = 0; i < n_exceptions; i++)
            v[places[i]] |= (uint32_t)(high[i] << width);
        return width + high_width;
    }
    for (uint32_t i = 0; i < n && width <= QR_LANES_WIDTH_MAX; i++)
        wide[i] = v[i];
    for (uint32_t i = 0; i < n_exceptions; i++)
        wide[places[i]] |= high[i] << width;
    return width + high_width;
}

/* ---- writing ---- */

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Forms that are compared; the best so far is `best`. */
struct plan {
    uint32_t n;
    size_t bytes;
    enum qr_frame_form form;
    uint64_t factor;
    int64_t base;
    uint32_t least_code;
    struct stream stream, codes_stream;
    uint64_t v[QR_FRAME_FORMS][QR_FRAME_N];
    uint64_t codes[QR_FRAME_N];
};

static void consider(struct plan *plan, enum qr_frame_form form, int64_t base, uint64_t factor,
                     const struct stream *stream, size_t more_bytes)
{
    size_t bytes = 1 + qr_varint_bytes(qr_zigzag(base)) + stream->bytes + more_bytes +
                   (factor > 1 ? qr_varint_bytes(factor - 2) : 0);
    if (plan->bytes != 0 && bytes >= plan->bytes)
        return;
    plan->bytes = bytes;
    plan->form = form;
    plan->base = base;
    plan->factor = factor;
    plan->stream = *stream;
}

static uint64_t plan_offsets(struct plan *plan, const int64_t *x)
{
    uint64_t *v = plan->v[QR_FRAME_OFFSETS];
    int64_t least = x[0];
    for (uint32_t i = 1; i < plan->n; i++)
        least = x[i] < least ? x[i] : least;
    uint64_t factor = 0;
    for (uint32_t i = 0; i < plan->n; i++)
        v[i] = (uint64_t)(x[i] - least);
    for (uint32_t i = 0; i < plan->n && factor != 1; i++)
        factor = gcd(v[i], factor);
    struct stream stream = plan_stream(v, plan->n);
    consider(plan, QR_FRAME_OFFSETS, least, 1, &stream, 0);
    return factor;
}

static void plan_differences(struct plan *plan, const int64_t *x)
{
    uint64_t *v = plan->v[QR_FRAME_DIFFERENCES];
    v[0] = 0;
    for (uint32_t i = 1; i < plan->n; i++)
        v[i] = qr_zigzag(x[i] - x[i - 1]);
    struct stream stream = plan_stream(v, plan->n);
    consider(plan, QR_FRAME_DIFFERENCES, x[0], 1, &stream, 0);
}

/* Both once more, divided.  What divides all offsets divides all differences, which are twice
 * themselves, or that minus one, in zigzag. */
static void plan_divided(struct plan *plan, const int64_t *x, uint64_t factor)
{
    uint64_t offsets[QR_FRAME_N], differences[QR_FRAME_N];
    for (uint32_t i = 0; i < plan->n; i++) {
        offsets[i] = plan->v[QR_FRAME_OFFSETS][i] / factor;
        differences[i] = i == 0 ? 0 : qr_zigzag((x[i] - x[i - 1]) / (int64_t)factor);
    }
    int64_t least = x[0] - (int64_t)plan->v[QR_FRAME_OFFSETS][0];
    struct stream stream = plan_stream(offsets, plan->n);
    consider(plan, QR_FRAME_OFFSETS, least, factor, &stream, 0);
    stream = plan_stream(differences, plan->n);
    consider(plan, QR_FRAME_DIFFERENCES, x[0], factor, &stream, 0);
    if (plan->factor != 1)
        memcpy(plan->v[plan->form], plan->form == QR_FRAME_OFFSETS ? offsets : differences,
               plan->n * sizeof *offsets);
}

/* Only where exponents differ: otherwise it is offsets, and more. */
static void plan_split(struct plan *plan, const uint32_t *values, int exponent)
{
    uint64_t *v = plan->v[QR_FRAME_SPLIT];
    uint32_t least_code = 31, codes = 0;
    int32_t least = INT32_MAX;
    for (uint32_t i = 0; i < plan->n; i++) {
        int32_t m = qr_value_mantissa(values[i]);
        uint32_t code = qr_value_code(values[i]);
        least = m < least ? m : least;
        if (m == 0)
            continue;
        least_code = code < least_code ? code : least_code;
        codes |= 1u << code;
    }
    if ((codes & (codes - 1)) == 0 && exponent <= 0 && codes >> -exponent == 1)
        return;
    for (uint32_t i = 0; i < plan->n; i++) {
        int32_t m = qr_value_mantissa(values[i]);
        v[i] = (uint64_t)(m - least);
        plan->codes[i] = m != 0 ? qr_value_code(values[i]) - least_code : 0;
    }
    struct stream stream = plan_stream(v, plan->n),
                  codes_stream = plan_stream(plan->codes, plan->n);
    consider(plan, QR_FRAME_SPLIT, least, 1, &stream, 1 + codes_stream.bytes);
    if (plan->form == QR_FRAME_SPLIT) {
        plan->codes_stream = codes_stream;
        plan->least_code = least_code;
    }
}

uint8_t *qr_frame_put(uint8_t *p, const int64_t *x, const uint32_t *values, uint32_t n,
                      int exponent)
{
    struct plan plan;
    plan.n = n;
    plan.bytes = 0;
    uint64_t factor = plan_offsets(&plan, x);
    if (factor != 0) { /* They are not all the same. */
        plan_differences(&plan, x);
        if (factor != 1)
            plan_divided(&plan, x, factor);
        if (values != NULL)
            plan_split(&plan, values, exponent);
    }
    uint8_t *start = p;
    *p++ = (uint8_t)(plan.form | (plan.factor > 1 ? WITH_FACTOR : 0));
    p = qr_put_varint(p, qr_zigzag(plan.base));
    if (plan.factor > 1)
        p = qr_put_varint(p, plan.factor - 2);
    p = put_stream(p, plan.v[plan.form], n, &plan.stream);
    if (plan.form == QR_FRAME_SPLIT) {
        *p++ = (uint8_t)plan.least_code;
        p = put_stream(p, plan.codes, n, &plan.codes_stream);
    }
    assert((size_t)(p - start) == plan.bytes && plan.bytes <= QR_FRAME_WRITTEN_BYTES_MAX);
    return p;
}

/* ---- reading ---- */

void qr_frame_skip(struct qr_cursor *in, uint32_t n)
{
    uint8_t head = qr_cursor_u8(in);
    qr_cursor_varint(in);
    if (head & WITH_FACTOR)
        qr_cursor_varint(in);
    skip_stream(in, n);
    if ((head & ~WITH_FACTOR) == QR_FRAME_SPLIT) {
        qr_cursor_u8(in);
        skip_stream(in, n);
    }
}

static void fill_up(uint32_t *v, uint32_t n, uint32_t with)
{
    for (uint32_t i = n; i < QR_FRAME_N; i++)
        v[i] = with;
}

static void take_codes(struct qr_cursor *in, struct qr_frame *frame)
{
    uint64_t unused[QR_FRAME_N];
    frame->least_code = qr_cursor_u8(in);
    if (frame->bits > 32 || frame->least_code > 31 ||
        take_stream(in, frame->n, frame->codes, unused) > 5) {
        in->failed = true;
        return;
    }
    if (in->failed)
        return;
    for (uint32_t i = 0; i < frame->n; i++)
        frame->codes[i] += frame->least_code;
    fill_up(frame->codes, frame->n, frame->codes[frame->n - 1]);
}

bool qr_frame_take(struct qr_cursor *in, uint32_t n, struct qr_frame *frame)
{
    uint8_t head = qr_cursor_u8(in);
    frame->n = n;
    frame->form = head & ~WITH_FACTOR;
    frame->factor = 1;
    if (frame->form >= QR_FRAME_FORMS || head == (QR_FRAME_SPLIT | WITH_FACTOR))
        in->failed = true;
    frame->base = qr_cursor_zigzag(in);
    if (head & WITH_FACTOR)
        frame->factor = qr_cursor_varint_max(in, 2 * (uint64_t)QR_INTEGER_MAX) + 2;
    frame->bits = take_stream(in, n, frame->v, frame->wide);
    if (in->failed)
        return false;
    if (frame->bits <= 32)
        fill_up(frame->v, n, frame->form == QR_FRAME_DIFFERENCES ? 0 : frame->v[n - 1]);
    if (frame->form == QR_FRAME_SPLIT)
        take_codes(in, frame);
    return !in->failed;
}

/* The integers in 32 bits; false: they might not fit. */
static bool narrow(const struct qr_frame *frame, int64_t base, uint64_t factor, int32_t *x)
{
    const int64_t limit = INT64_C(1) << 30;
    bool differences = frame->form == QR_FRAME_DIFFERENCES;
    unsigned bits = frame->bits + (differences ? 6 : 0); /* 128 halves. */
    if (base >= limit || base <= -limit || bits > 30 || factor > (uint64_t)limit >> bits)
        return false;
    const struct qr_lanes *lanes = qr_lanes_here();
    if (differences)
        lanes->differences(frame->v, (int32_t)base, (int32_t)factor, x);
    else
        lanes->offsets(frame->v, (int32_t)base, (int32_t)factor, x);
    return true;
}

/* The integers in 64 bits; false: one is too large. */
static bool widen(const struct qr_frame *frame, int64_t base, uint64_t factor, int64_t *x)
{
    bool differences = frame->form == QR_FRAME_DIFFERENCES;
    for (uint32_t i = 0; i < frame->n; i++) {
        uint64_t v = frame->bits > 32 ? frame->wide[i] : frame->v[i];
        if (differences)
            v = (uint64_t)qr_unzigzag(v);
        x[i] = (int64_t)((uint64_t)base + factor * v);
        if (x[i] > QR_INTEGER_MAX || x[i] < -QR_INTEGER_MAX)
            return false;
        if (differences)
            base = x[i];
    }
    return true;
}

static bool mantissas(const struct qr_frame *frame, int32_t *x)
{
    return frame->bits <= 25 && narrow(frame, frame->base, 1, x);
}

/* What `narrow` was not sure of: in 32 bits after all; false: one does not fit. */
static bool fit(const int64_t *wide, uint32_t n, int32_t *x)
{
    int64_t beyond = 0;
    for (uint32_t i = 0; i < n; i++) {
        x[i] = (int32_t)wide[i];
        beyond |= wide[i] ^ x[i];
    }
    memset(x + n, 0, (QR_FRAME_N - n) * sizeof *x);
    return beyond == 0;
}

static bool values_of_wide(const int64_t *x, uint32_t n, int exponent, uint32_t *values)
{
    for (uint32_t i = 0; i < n; i++) {
        values[i] = i > 0 && x[i] == x[i - 1] ? values[i - 1] : qr_value_of_decimal(x[i], exponent);
        if (qr_value_is_empty(values[i]))
            return false;
    }
    return true;
}

bool qr_frame_values(const struct qr_frame *frame, int exponent, uint32_t values[QR_FRAME_N])
{
    int32_t x[QR_FRAME_N];
    int64_t wide[QR_FRAME_N];
    if (frame->form == QR_FRAME_SPLIT)
        return mantissas(frame, x) && qr_lanes_here()->split(x, frame->codes, values);
    int64_t base = frame->base;
    uint64_t factor = frame->factor;
    while (exponent < 0 && factor % 10 == 0 && base % 10 == 0) { /* Zeros that all of them have. */
        factor /= 10;
        base /= 10;
        exponent++;
    }
    bool is_narrow = narrow(frame, base, factor, x);
    if (is_narrow && exponent <= 0 && qr_lanes_here()->values(x, (unsigned)-exponent, values))
        return true;
    if (!widen(frame, base, factor, wide))
        return false;
    return (!is_narrow && exponent <= 0 && fit(wide, frame->n, x) &&
            qr_lanes_here()->values(x, (unsigned)-exponent, values)) ||
           values_of_wide(wide, frame->n, exponent, values);
}

static bool integers_of_split(const struct qr_frame *frame, int exponent, int64_t *x)
{
    int32_t m[QR_FRAME_N];
    if (!mantissas(frame, m))
        return false;
    for (uint32_t i = 0; i < frame->n; i++) {
        int shift = m[i] != 0 ? qr_value_exponent(frame->codes[i] << 26) - exponent : 0;
        /* A hostile base gives mantissas to 2^30, whose product with 10^9 still fits. */
        if (shift < 0 || shift > 15 ||
            (shift > 9 && abs(m[i]) > QR_INTEGER_MAX / qr_power_of_10[shift]))
            return false;
        x[i] = m[i] * qr_power_of_10[shift];
        if (x[i] > QR_INTEGER_MAX || x[i] < -QR_INTEGER_MAX)
            return false;
    }
    return true;
}

bool qr_frame_integers(const struct qr_frame *frame, int exponent,
                       struct qr_frame_integers *integers)
{
    integers->is_wide = true;
    if (frame->form == QR_FRAME_SPLIT)
        return integers_of_split(frame, exponent, integers->wide);
    if (narrow(frame, frame->base, frame->factor, integers->narrow)) {
        integers->is_wide = false;
        return true;
    }
    return widen(frame, frame->base, frame->factor, integers->wide);
}
