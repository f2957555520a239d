#include "storage/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/pack.h"
#include "storage/series.h"
#include "storage/value.h"

void qr_codec_release(struct qr_codec *codec)
{
    free(codec->x);
    free(codec->values);
    free(codec->marks);
    *codec = (struct qr_codec){0};
}

static int reserve(struct qr_codec *codec, uint32_t n)
{
    if (n <= codec->capacity)
        return 0;
    qr_codec_release(codec);
    codec->x = malloc(n * sizeof *codec->x);
    codec->values = malloc(n * sizeof *codec->values);
    codec->marks = calloc(3, n);
    if (codec->x == NULL || codec->values == NULL || codec->marks == NULL) {
        qr_codec_release(codec);
        return UV_ENOMEM;
    }
    codec->capacity = n;
    return 0;
}

/* ---- encoding ---- */

/* Integers at the least exponent; false: not all of them are canonical values that fit. */
static bool to_integers(const uint32_t *values, uint32_t n, int64_t *x, int *exponent)
{
    int least = INT32_MAX;
    bool whole = true;
    for (uint32_t i = 0; i < n; i++) {
        whole &= values[i] <= QR_VALUE_MANTISSA_MAX;
        if (values[i] == 0)
            continue;
        if (values[i] > QR_VALUE_MANTISSA_MAX &&
            (!qr_value_is_canonical(values[i]) || qr_value_is_empty(values[i])))
            return false;
        int e = qr_value_exponent(values[i]);
        least = e < least ? e : least;
    }
    *exponent = least == INT32_MAX ? 0 : least;
    for (uint32_t i = 0; i < n; i++) {
        if (whole) {
            x[i] = values[i];
            continue;
        }
        int64_t m = qr_value_mantissa(values[i]);
        int shift = m != 0 ? qr_value_exponent(values[i]) - *exponent : 0;
        if (shift > 15 || llabs(m) > QR_INTEGER_MAX / qr_power_of_10[shift])
            return false;
        x[i] = m * qr_power_of_10[shift];
    }
    return true;
}

/* What is present, without flags, to codec->values; how many.  The marks show what was not. */
static uint32_t separate(struct qr_codec *codec, const uint32_t *values, uint32_t n,
                         uint32_t stride, uint8_t *head)
{
    uint8_t *gaps = codec->marks, *resets = gaps + n, *anomalies = resets + n;
    uint32_t n_present = 0, flags = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t value = values[(size_t)i * stride];
        gaps[i] = value == QR_VALUE_EMPTY;
        if (gaps[i])
            continue;
        flags |= value;
        resets[n_present] = (value & QR_VALUE_RESET) != 0;
        anomalies[n_present] = (value & QR_VALUE_ANOMALOUS) != 0;
        codec->values[n_present++] = value & ~QR_VALUE_FLAGS;
    }
    *head = (uint8_t)((n_present < n ? QR_SERIES_GAPS : 0) |
                      (flags & QR_VALUE_RESET ? QR_SERIES_RESETS : 0) |
                      (flags & QR_VALUE_ANOMALOUS ? QR_SERIES_ANOMALIES : 0));
    return n_present;
}

static uint8_t *put_values(struct qr_codec *codec, uint8_t *p, uint8_t *head, uint32_t n)
{
    int exponent;
    if (to_integers(codec->values, n, codec->x, &exponent)) {
        enum qr_integers_mode mode;
        *p++ = (uint8_t)(exponent - QR_VALUE_EXPONENT_MIN);
        p = qr_integers_put(p, codec->x, codec->values, n, exponent, &mode);
        *head |= (uint8_t)mode;
        return p;
    }
    *head |= QR_SERIES_RAW;
    for (uint32_t i = 0; i < n; i++)
        p = qr_put_u32(p, codec->values[i]);
    return p;
}

int qr_codec_encode(struct qr_codec *codec, struct qr_buf *out, const uint32_t *values, uint32_t n,
                    uint32_t stride)
{
    assert(n > 0);
    size_t bound = 2 + 3 * qr_marks_bytes_max(n) + qr_integers_bytes_max(n);
    if (reserve(codec, n) != 0 || qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len, *p = start + 1;
    uint32_t n_present = separate(codec, values, n, stride, start);
    if (n_present == 0) {
        *start = QR_SERIES_EMPTY;
        out->len += 1;
        return 0;
    }
    const uint8_t *gaps = codec->marks, *resets = gaps + n, *anomalies = resets + n;
    if (*start & QR_SERIES_GAPS)
        p = qr_marks_put(p, gaps, n);
    if (*start & QR_SERIES_RESETS)
        p = qr_marks_put(p, resets, n_present);
    if (*start & QR_SERIES_ANOMALIES)
        p = qr_marks_put(p, anomalies, n_present);
    p = put_values(codec, p, start, n_present);
    assert((size_t)(p - start) <= bound);
    out->len += (size_t)(p - start);
    return 0;
}

/* ---- decoding ---- */

static void fill(uint32_t *out, uint32_t n, uint32_t value)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = value;
}

/* Where two ranges meet: *first and *end are cut to [first_wanted, end_wanted). */
static bool clip(uint32_t *first, uint32_t *end, uint32_t first_wanted, uint32_t end_wanted)
{
    *first = *first > first_wanted ? *first : first_wanted;
    *end = *end < end_wanted ? *end : end_wanted;
    return *first < *end;
}

/* Values [first, end) of those present, to `out`. */
static bool take_runs(struct qr_cursor *in, const struct qr_series *series, uint32_t first,
                      uint32_t end, uint32_t *out)
{
    struct qr_run run = {0};
    while (qr_run_next(in, series->n_present, &run)) {
        uint32_t value, from = run.first, to = run.end;
        if (!qr_series_value(series, run.x, &value))
            return false;
        if (clip(&from, &to, first, end))
            fill(out + (from - first), to - from, value);
    }
    return !in->failed;
}

/* Frames, and indexes of dictionaries, that lie outside of [first, end) are passed by. */
static bool is_outside(uint32_t at, uint32_t first, uint32_t end)
{
    return at >= end || at + QR_FRAME_N <= first;
}

static bool take_dictionary(struct qr_cursor *in, const struct qr_series *series, uint32_t first,
                            uint32_t end, uint32_t *out)
{
    struct qr_dictionary dictionary;
    uint32_t values[QR_DICTIONARY_MAX], indexes[QR_FRAME_N];
    if (!qr_dictionary_take(in, &dictionary) || !qr_series_values(series, &dictionary, values))
        return false;
    for (uint32_t at = 0; at < series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = qr_frame_size(series->n_present, at), from = at, to = at + n;
        if (is_outside(at, first, end)) {
            qr_dictionary_skip(in, &dictionary, n);
            continue;
        }
        if (!qr_dictionary_indexes(in, &dictionary, n, indexes))
            return false;
        clip(&from, &to, first, end);
        for (uint32_t i = from; i < to; i++)
            out[i - first] = values[indexes[i - at]];
    }
    return !in->failed;
}

static bool take_frames(struct qr_cursor *in, const struct qr_series *series, uint32_t first,
                        uint32_t end, uint32_t *out)
{
    struct qr_frame frame;
    uint32_t values[QR_FRAME_N];
    for (uint32_t at = 0; at < series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = qr_frame_size(series->n_present, at), from = at, to = at + n;
        if (is_outside(at, first, end)) {
            qr_frame_skip(in, n);
            continue;
        }
        clip(&from, &to, first, end);
        bool whole = to - from == QR_FRAME_N;
        uint32_t *decoded = whole ? out + (at - first) : values;
        if (!qr_frame_take(in, n, &frame) || !qr_frame_values(&frame, series->exponent, decoded))
            return false;
        if (!whole)
            memcpy(out + (from - first), values + (from - at), (to - from) * sizeof *out);
    }
    return !in->failed;
}

/* Flags are beside, not in them. */
static bool take_raw(struct qr_cursor *in, const struct qr_series *series, uint32_t first,
                     uint32_t end, uint32_t *out)
{
    qr_cursor_take(in, (size_t)first * 4);
    uint32_t all = 0;
    for (uint32_t i = first; i < end; i++)
        all |= out[i - first] = qr_cursor_u32(in);
    qr_cursor_take(in, (size_t)(series->n_present - end) * 4);
    return !in->failed && (all & QR_VALUE_FLAGS) == 0;
}

/* Values [first, end) of those present. */
static bool take_values(struct qr_cursor *in, const struct qr_series *series, uint32_t first,
                        uint32_t end, uint32_t *out)
{
    uint32_t value;
    switch (series->mode) {
    case QR_SERIES_RAW:
        return take_raw(in, series, first, end, out);
    case QR_INTEGERS_CONSTANT:
        if (!qr_series_value(series, qr_cursor_zigzag(in), &value))
            return false;
        fill(out, end - first, value);
        return !in->failed;
    case QR_INTEGERS_RUNS:
        return take_runs(in, series, first, end, out);
    case QR_INTEGERS_DICTIONARY:
        return take_dictionary(in, series, first, end, out);
    case QR_INTEGERS_FRAMES:
        return take_frames(in, series, first, end, out);
    case QR_SERIES_EMPTY:
        break;
    }
    return false;
}

/* Sets a flag where it is marked; `out` has the values of places [first, end). */
static void put_flags(const struct qr_marks *marks, uint32_t first, uint32_t end, uint32_t flag,
                      uint32_t *out)
{
    struct qr_marks_walk walk;
    uint32_t from, to;
    qr_marks_walk(&walk, marks);
    while (qr_marks_next(&walk, &from, &to) && from < end)
        if (clip(&from, &to, first, end))
            for (uint32_t i = from; i < to; i++)
                out[i - first] |= flag;
}

/* The values of what is present lie at the end of `out`: moves them to their rows, from the first
 * on, so that none is overwritten before it is moved. */
static void spread(const struct qr_marks *gaps, const struct qr_codec_rows *rows,
                   uint32_t n_present, uint32_t *out)
{
    struct qr_marks_walk walk;
    uint32_t from, to, row = rows->first, n = rows->end - rows->first;
    const uint32_t *next = out + (n - n_present);
    qr_marks_walk(&walk, gaps);
    while (qr_marks_next(&walk, &from, &to) && from < rows->end) {
        if (!clip(&from, &to, rows->first, rows->end))
            continue;
        memmove(out + (row - rows->first), next, (from - row) * sizeof *out);
        next += from - row;
        fill(out + (from - rows->first), to - from, QR_VALUE_EMPTY);
        row = to;
    }
}

int qr_codec_decode(struct qr_cursor *in, const struct qr_codec_rows *rows, uint32_t *values)
{
    assert(rows->first < rows->end && rows->end <= rows->n);
    struct qr_series series;
    uint32_t n_rows = rows->end - rows->first;
    if (!qr_series_take(in, rows->n, &series))
        return QR_E_MALFORMED;
    if (series.mode == QR_SERIES_EMPTY) {
        fill(values, n_rows, QR_VALUE_EMPTY);
        return 0;
    }
    uint32_t first = qr_series_place(&series, rows->first),
             end = qr_series_place(&series, rows->end);
    uint32_t *out = values + (n_rows - (end - first));
    if (!take_values(in, &series, first, end, out))
        return QR_E_MALFORMED;
    if (series.resets.n_marked != 0)
        put_flags(&series.resets, first, end, QR_VALUE_RESET, out);
    if (series.anomalies.n_marked != 0)
        put_flags(&series.anomalies, first, end, QR_VALUE_ANOMALOUS, out);
    if (series.gaps.n_marked != 0)
        spread(&series.gaps, rows, end - first, values);
    return 0;
}

int qr_codec_skip(struct qr_cursor *in, uint32_t n)
{
    struct qr_series series;
    if (!qr_series_take(in, n, &series))
        return QR_E_MALFORMED;
    return series.mode == QR_SERIES_EMPTY || take_values(in, &series, 0, 0, NULL) ? 0
                                                                                  : QR_E_MALFORMED;
}
