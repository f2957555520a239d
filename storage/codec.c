#include "storage/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/frame.h"
#include "storage/lanes.h"
#include "storage/marks.h"
#include "storage/pack.h"
#include "storage/value.h"

enum mode { MODE_EMPTY, MODE_RAW, MODE_CONSTANT, MODE_RUNS, MODE_DICTIONARY, MODE_FRAMES };

#define HEAD_MODE      7u
#define HEAD_GAPS      8u
#define HEAD_RESETS    16u
#define HEAD_ANOMALIES 32u
#define DICTIONARY_MAX 256u
#define HASH_SLOTS     1024u

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

/* ---- integers: encoding ---- */

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
    int64_t sorted[DICTIONARY_MAX];
    uint16_t slots[HASH_SLOTS]; /* Place in `found` + 1. */
    int64_t found[DICTIONARY_MAX];
    uint8_t rank[DICTIONARY_MAX]; /* Of found[i] in sorted. */
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

/* The distinct values of x, sorted; false: more than DICTIONARY_MAX. */
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
        if (dictionary->n == DICTIONARY_MAX)
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
        uint32_t n_block = n - at < QR_FRAME_N ? n - at : QR_FRAME_N;
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
        p = qr_frame_put(p, x + at, values != NULL ? values + at : NULL,
                         n - at < QR_FRAME_N ? n - at : QR_FRAME_N, exponent);
    return p;
}

static uint8_t *put_integers(uint8_t *p, uint8_t *head, const int64_t *x, const uint32_t *values,
                             uint32_t n, int exponent)
{
    uint32_t same = 1;
    while (same < n && x[same] == x[0])
        same++;
    if (same == n) {
        *head |= MODE_CONSTANT;
        return qr_put_varint(p, qr_zigzag(x[0]));
    }
    size_t best = runs_bytes(x, n);
    enum mode mode = MODE_RUNS;
    struct dictionary dictionary;
    uint8_t *end = p;
    /* A frame takes three bytes at least: no need to look if runs take no more. */
    if (best > 3 * ((n + QR_FRAME_N - 1) / QR_FRAME_N)) {
        if (collect(&dictionary, x, n) && dictionary_bytes(&dictionary, n) < best) {
            best = dictionary_bytes(&dictionary, n);
            mode = MODE_DICTIONARY;
        }
        end = put_frames(p, x, values, n, exponent);
        if ((size_t)(end - p) < best)
            mode = MODE_FRAMES;
    }
    *head |= (uint8_t)mode;
    return mode == MODE_RUNS         ? put_runs(p, x, n)
           : mode == MODE_DICTIONARY ? put_dictionary(p, &dictionary, x, n)
                                     : end;
}

/* ---- values to integers ---- */

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

/* ---- a series: encoding ---- */

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
    *head = (uint8_t)((n_present < n ? HEAD_GAPS : 0) | (flags & QR_VALUE_RESET ? HEAD_RESETS : 0) |
                      (flags & QR_VALUE_ANOMALOUS ? HEAD_ANOMALIES : 0));
    return n_present;
}

static uint8_t *put_values(struct qr_codec *codec, uint8_t *p, uint8_t *head, uint32_t n)
{
    int exponent;
    if (to_integers(codec->values, n, codec->x, &exponent)) {
        *p++ = (uint8_t)(exponent - QR_VALUE_EXPONENT_MIN);
        return put_integers(p, head, codec->x, codec->values, n, exponent);
    }
    *head |= MODE_RAW;
    for (uint32_t i = 0; i < n; i++)
        p = qr_put_u32(p, codec->values[i]);
    return p;
}

int qr_codec_encode(struct qr_codec *codec, struct qr_buf *out, const uint32_t *values, uint32_t n,
                    uint32_t stride)
{
    assert(n > 0);
    size_t bound =
        2 + 3 * qr_marks_bytes_max(n) + QR_FRAME_BYTES_MAX * ((size_t)n / QR_FRAME_N + 1);
    if (reserve(codec, n) != 0 || qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len, *p = start + 1;
    uint32_t n_present = separate(codec, values, n, stride, start);
    if (n_present == 0) {
        *start = MODE_EMPTY;
        out->len += 1;
        return 0;
    }
    const uint8_t *gaps = codec->marks, *resets = gaps + n, *anomalies = resets + n;
    if (*start & HEAD_GAPS)
        p = qr_marks_put(p, gaps, n);
    if (*start & HEAD_RESETS)
        p = qr_marks_put(p, resets, n_present);
    if (*start & HEAD_ANOMALIES)
        p = qr_marks_put(p, anomalies, n_present);
    p = put_values(codec, p, start, n_present);
    assert((size_t)(p - start) <= bound);
    out->len += (size_t)(p - start);
    return 0;
}

/* ---- a series: decoding ---- */

/* What comes before the numbers. */
struct series {
    enum mode mode;
    int exponent;
    uint32_t n_present;
    struct qr_marks gaps, resets, anomalies;
};

static bool take_head(struct qr_cursor *in, uint32_t n, struct series *series)
{
    *series = (struct series){0};
    uint8_t head = qr_cursor_u8(in);
    series->mode = head & HEAD_MODE;
    if (in->failed || head >> 6 != 0 || series->mode > MODE_FRAMES ||
        (series->mode == MODE_EMPTY && head != 0))
        return false;
    if (series->mode == MODE_EMPTY)
        return true;
    if (head & HEAD_GAPS && !qr_marks_take(in, n, &series->gaps))
        return false;
    series->n_present = n - series->gaps.n_marked;
    if (series->n_present == 0 ||
        (head & HEAD_RESETS && !qr_marks_take(in, series->n_present, &series->resets)) ||
        (head & HEAD_ANOMALIES && !qr_marks_take(in, series->n_present, &series->anomalies)))
        return false;
    if (series->mode != MODE_RAW)
        series->exponent = qr_cursor_u8(in) + QR_VALUE_EXPONENT_MIN;
    return !in->failed && series->exponent <= QR_VALUE_EXPONENT_MAX;
}

/* How many rows before `row` are present: the place of its value among those that are. */
static uint32_t place_of(const struct series *series, uint32_t row)
{
    return row - (series->gaps.n_marked != 0 ? qr_marks_count(&series->gaps, 0, row) : 0);
}

static bool value_of(int64_t x, int exponent, uint32_t *value)
{
    if (x > QR_INTEGER_MAX || x < -QR_INTEGER_MAX)
        return false;
    *value = qr_value_of_decimal(x, exponent);
    return !qr_value_is_empty(*value);
}

/* Of n integers, at most DICTIONARY_MAX; `values` has room for that. */
static bool values_of(const int64_t *x, uint32_t n, int exponent, uint32_t *values)
{
    int32_t narrow[DICTIONARY_MAX] = {0};
    bool is_narrow = exponent <= 0;
    for (uint32_t i = 0; i < n; i++) {
        is_narrow = is_narrow && x[i] <= INT32_MAX && x[i] >= INT32_MIN;
        narrow[i] = (int32_t)x[i];
    }
    for (uint32_t at = 0; at < n && is_narrow; at += QR_LANES_N)
        is_narrow = qr_lanes_here()->values(narrow + at, (unsigned)-exponent, values + at);
    for (uint32_t i = 0; i < n && !is_narrow; i++)
        if (!value_of(x[i], exponent, &values[i]))
            return false;
    return true;
}

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

/* One run after the other. */
struct runs {
    int64_t value;
    uint32_t first, end;
};

/* The next run of n places; false: no more, or malformed. */
static bool next_run(struct qr_cursor *in, uint32_t n, struct runs *run)
{
    if (run->end == n)
        return false;
    run->value = qr_add_wrapping(run->value, qr_cursor_zigzag(in));
    run->first = run->end;
    run->end += (uint32_t)qr_cursor_varint_max(in, n - run->first - 1) + 1;
    return !in->failed;
}

/* Values [first, end) of those present, to `out`. */
static bool take_runs(struct qr_cursor *in, const struct series *series, uint32_t first,
                      uint32_t end, uint32_t *out)
{
    struct runs run = {0};
    while (next_run(in, series->n_present, &run)) {
        uint32_t value, from = run.first, to = run.end;
        if (!value_of(run.value, series->exponent, &value))
            return false;
        if (clip(&from, &to, first, end))
            fill(out + (from - first), to - from, value);
    }
    return !in->failed;
}

/* The entries of a dictionary, and the width of its indexes; 0: malformed. */
static uint32_t take_entries(struct qr_cursor *in, int64_t entries[DICTIONARY_MAX])
{
    uint32_t n = (uint32_t)qr_cursor_varint_max(in, DICTIONARY_MAX - 2) + 2;
    entries[0] = qr_cursor_zigzag(in);
    for (uint32_t i = 1; i < n; i++)
        entries[i] = qr_add_wrapping(
            entries[i - 1], (int64_t)(qr_cursor_varint_max(in, 2 * (uint64_t)QR_INTEGER_MAX) + 1));
    return in->failed ? 0 : n;
}

/* Indexes of the frame that begins at place `at`, all of them below n_entries. */
static bool take_indexes(struct qr_cursor *in, uint32_t n_present, uint32_t at, uint32_t n_entries,
                         uint32_t indexes[QR_FRAME_N])
{
    uint32_t n = n_present - at < QR_FRAME_N ? n_present - at : QR_FRAME_N, most = 0;
    qr_take_packed(in, indexes, n, qr_bit_width(n_entries - 1));
    for (uint32_t i = 0; i < n && !in->failed; i++)
        most = indexes[i] > most ? indexes[i] : most;
    return !in->failed && most < n_entries;
}

/* Frames, and indexes of dictionaries, that lie outside of [first, end) are passed by. */
static bool is_outside(uint32_t at, uint32_t first, uint32_t end)
{
    return at >= end || at + QR_FRAME_N <= first;
}

static uint32_t frame_size(uint32_t n_present, uint32_t at)
{
    return n_present - at < QR_FRAME_N ? n_present - at : QR_FRAME_N;
}

static bool take_dictionary(struct qr_cursor *in, const struct series *series, uint32_t first,
                            uint32_t end, uint32_t *out)
{
    int64_t entries[DICTIONARY_MAX];
    uint32_t values[DICTIONARY_MAX], indexes[QR_FRAME_N];
    uint32_t n_entries = take_entries(in, entries);
    if (!values_of(entries, n_entries, series->exponent, values))
        return false;
    for (uint32_t at = 0; at < series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = frame_size(series->n_present, at), from = at, to = at + n;
        if (is_outside(at, first, end)) {
            qr_cursor_take(in, qr_packed_bytes(n, qr_bit_width(n_entries - 1)));
            continue;
        }
        if (!take_indexes(in, series->n_present, at, n_entries, indexes))
            return false;
        clip(&from, &to, first, end);
        for (uint32_t i = from; i < to; i++)
            out[i - first] = values[indexes[i - at]];
    }
    return !in->failed;
}

static bool take_frames(struct qr_cursor *in, const struct series *series, uint32_t first,
                        uint32_t end, uint32_t *out)
{
    struct qr_frame frame;
    uint32_t values[QR_FRAME_N];
    for (uint32_t at = 0; at < series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = frame_size(series->n_present, at), from = at, to = at + n;
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
static bool take_raw(struct qr_cursor *in, const struct series *series, uint32_t first,
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
static bool take_values(struct qr_cursor *in, const struct series *series, uint32_t first,
                        uint32_t end, uint32_t *out)
{
    uint32_t value;
    switch (series->mode) {
    case MODE_RAW:
        return take_raw(in, series, first, end, out);
    case MODE_CONSTANT:
        if (!value_of(qr_cursor_zigzag(in), series->exponent, &value))
            return false;
        fill(out, end - first, value);
        return !in->failed;
    case MODE_RUNS:
        return take_runs(in, series, first, end, out);
    case MODE_DICTIONARY:
        return take_dictionary(in, series, first, end, out);
    case MODE_FRAMES:
        return take_frames(in, series, first, end, out);
    case MODE_EMPTY:
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
    struct series series;
    uint32_t n_rows = rows->end - rows->first;
    if (!take_head(in, rows->n, &series))
        return QR_E_MALFORMED;
    if (series.mode == MODE_EMPTY) {
        fill(values, n_rows, QR_VALUE_EMPTY);
        return 0;
    }
    uint32_t first = place_of(&series, rows->first), end = place_of(&series, rows->end);
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

/* ---- integers alone ---- */

int qr_codec_encode_integers(struct qr_buf *out, const int64_t *x, uint32_t n)
{
    assert(n > 0);
    size_t bound = 16 + QR_FRAME_BYTES_MAX * ((size_t)n / QR_FRAME_N + 1);
    if (qr_buf_reserve(out, bound) != 0)
        return UV_ENOMEM;
    uint8_t *start = (uint8_t *)out->base + out->len;
    *start = 0;
    uint8_t *end = put_integers(start + 1, start, x, NULL, n, 0);
    assert((size_t)(end - start) <= bound);
    out->len += (size_t)(end - start);
    return 0;
}

static void fill_integers(int64_t *x, uint32_t n, int64_t value)
{
    for (uint32_t i = 0; i < n; i++)
        x[i] = value;
}

static bool take_integer_frames(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    struct qr_frame frame;
    struct qr_frame_integers integers;
    for (uint32_t at = 0; at < n; at += QR_FRAME_N) {
        uint32_t n_frame = frame_size(n, at);
        if (!qr_frame_take(in, n_frame, &frame) || frame.form == QR_FRAME_SPLIT ||
            !qr_frame_integers(&frame, 0, &integers))
            return false;
        for (uint32_t i = 0; i < n_frame; i++)
            x[at + i] = integers.is_wide ? integers.wide[i] : integers.narrow[i];
    }
    return true;
}

static bool take_integer_dictionary(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    int64_t entries[DICTIONARY_MAX];
    uint32_t indexes[QR_FRAME_N], n_entries = take_entries(in, entries);
    for (uint32_t at = 0; at < n; at += QR_FRAME_N) {
        if (n_entries == 0 || !take_indexes(in, n, at, n_entries, indexes))
            return false;
        for (uint32_t i = 0; i < frame_size(n, at); i++)
            x[at + i] = entries[indexes[i]];
    }
    return true;
}

static bool take_integers(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    struct runs run = {0};
    switch (qr_cursor_u8(in)) {
    case MODE_CONSTANT:
        fill_integers(x, n, qr_cursor_zigzag(in));
        return true;
    case MODE_RUNS:
        while (next_run(in, n, &run))
            fill_integers(x + run.first, run.end - run.first, run.value);
        return true;
    case MODE_DICTIONARY:
        return take_integer_dictionary(in, x, n);
    case MODE_FRAMES:
        return take_integer_frames(in, x, n);
    default:
        return false;
    }
}

void qr_codec_decode_integers(struct qr_cursor *in, int64_t *x, uint32_t n)
{
    assert(n > 0);
    if (!take_integers(in, x, n))
        in->failed = true;
    for (uint32_t i = 0; i < n && !in->failed; i++)
        in->failed = x[i] > QR_INTEGER_MAX || x[i] < -QR_INTEGER_MAX;
}

int qr_codec_skip(struct qr_cursor *in, uint32_t n)
{
    struct series series;
    if (!take_head(in, n, &series))
        return QR_E_MALFORMED;
    return series.mode == MODE_EMPTY || take_values(in, &series, 0, 0, NULL) ? 0 : QR_E_MALFORMED;
}

/* ---- a series: adding up ---- */

/* Buckets that are filled one after the other, and where they end among what is present. */
struct adder {
    const struct series *series;
    qr_i128 scale;
    const uint32_t *bounds;
    uint32_t n_buckets, i;
    struct qr_aggregate *buckets;
    struct qr_marks_walk gaps;
    uint32_t gap, gap_end; /* Rows of the gap that bounds come to next. */
    uint32_t n_gaps;       /* Rows in those before. */
    uint32_t first, end;   /* Places in bucket i. */
};

static uint32_t place_of_bound(struct adder *adder, uint32_t row)
{
    while (adder->gap_end <= row) {
        adder->n_gaps += adder->gap_end - adder->gap;
        if (adder->series->gaps.n_marked == 0 ||
            !qr_marks_next(&adder->gaps, &adder->gap, &adder->gap_end))
            adder->gap = adder->gap_end = UINT32_MAX;
    }
    return row - adder->n_gaps - (row > adder->gap ? row - adder->gap : 0);
}

static void adder_init(struct adder *adder, const struct series *series, const uint32_t *bounds,
                       uint32_t n_buckets, struct qr_aggregate *buckets)
{
    *adder = (struct adder){.series = series,
                            .scale = qr_aggregate_scale(series->exponent),
                            .bounds = bounds,
                            .n_buckets = n_buckets,
                            .buckets = buckets};
    qr_marks_walk(&adder->gaps, &series->gaps);
    adder->first = place_of_bound(adder, bounds[0]);
    adder->end = place_of_bound(adder, bounds[1]);
}

/* The part of [*first, end) that is in one bucket; NULL: none of it is in any. */
static struct qr_aggregate *next_bucket(struct adder *adder, uint32_t *first, uint32_t end,
                                        uint32_t *part_end)
{
    while (adder->i < adder->n_buckets && (adder->end <= *first || adder->end == adder->first)) {
        adder->first = adder->end;
        if (++adder->i < adder->n_buckets)
            adder->end = place_of_bound(adder, adder->bounds[adder->i + 1]);
    }
    if (adder->i == adder->n_buckets)
        return NULL;
    *part_end = end;
    return clip(first, part_end, adder->first, adder->end) ? &adder->buckets[adder->i] : NULL;
}

static void add_run(struct adder *adder, int64_t x, uint32_t first, uint32_t end)
{
    struct qr_aggregate *bucket;
    uint32_t to;
    for (; first < end && (bucket = next_bucket(adder, &first, end, &to)) != NULL; first = to)
        qr_aggregate_add_scaled(bucket, to - first, (qr_i128)x * (to - first), x, x, adder->scale);
}

static bool add_runs(struct adder *adder, struct qr_cursor *in)
{
    struct runs run = {0};
    uint32_t value;
    while (next_run(in, adder->series->n_present, &run)) {
        if (!value_of(run.value, adder->series->exponent, &value))
            return false;
        add_run(adder, run.value, run.first, run.end);
    }
    return !in->failed;
}

static void add_wide(struct adder *adder, const int64_t *x, uint32_t at, uint32_t n)
{
    struct qr_aggregate *bucket;
    uint32_t first = at, to;
    for (; first < at + n && (bucket = next_bucket(adder, &first, at + n, &to)) != NULL;
         first = to) {
        int64_t sum = 0, min = x[first - at], max = min; /* 128 of 2^53 fit. */
        for (uint32_t i = first - at; i < to - at; i++) {
            sum += x[i];
            min = x[i] < min ? x[i] : min;
            max = x[i] > max ? x[i] : max;
        }
        qr_aggregate_add_scaled(bucket, to - first, sum, min, max, adder->scale);
    }
}

static void add_narrow(struct adder *adder, const int32_t *x, uint32_t at, uint32_t n)
{
    struct qr_aggregate *bucket;
    uint32_t first = at, to;
    for (; first < at + n && (bucket = next_bucket(adder, &first, at + n, &to)) != NULL;
         first = to) {
        struct qr_lanes_sum sum;
        qr_lanes_here()->sum(x + (first - at), to - first, &sum);
        qr_aggregate_add_scaled(bucket, to - first, sum.sum, sum.min, sum.max, adder->scale);
    }
}

/* No bucket wants anything of the frame at that place. */
static bool is_unwanted(struct adder *adder, uint32_t at, uint32_t n)
{
    uint32_t to;
    return next_bucket(adder, &at, at + n, &to) == NULL;
}

static bool add_dictionary(struct adder *adder, struct qr_cursor *in)
{
    int64_t entries[DICTIONARY_MAX], x[QR_FRAME_N];
    uint32_t indexes[QR_FRAME_N], values[DICTIONARY_MAX];
    uint32_t n_entries = take_entries(in, entries), n_present = adder->series->n_present;
    if (!values_of(entries, n_entries, adder->series->exponent, values))
        return false;
    for (uint32_t at = 0; at < n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = frame_size(n_present, at);
        if (is_unwanted(adder, at, n)) {
            qr_cursor_take(in, qr_packed_bytes(n, qr_bit_width(n_entries - 1)));
            continue;
        }
        if (!take_indexes(in, n_present, at, n_entries, indexes))
            return false;
        for (uint32_t i = 0; i < n; i++)
            x[i] = entries[indexes[i]];
        add_wide(adder, x, at, n);
    }
    return !in->failed;
}

static bool add_frames(struct adder *adder, struct qr_cursor *in)
{
    struct qr_frame frame;
    struct qr_frame_integers x;
    for (uint32_t at = 0; at < adder->series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = frame_size(adder->series->n_present, at);
        if (is_unwanted(adder, at, n)) {
            qr_frame_skip(in, n);
            continue;
        }
        if (!qr_frame_take(in, n, &frame) ||
            !qr_frame_integers(&frame, adder->series->exponent, &x))
            return false;
        if (x.is_wide)
            add_wide(adder, x.wide, at, n);
        else
            add_narrow(adder, x.narrow, at, n);
    }
    return !in->failed;
}

static bool add_raw(struct adder *adder, struct qr_cursor *in)
{
    for (uint32_t at = 0; at < adder->series->n_present && !in->failed; at++) {
        uint32_t value = qr_cursor_u32(in), first = at, to;
        struct qr_aggregate *bucket = next_bucket(adder, &first, at + 1, &to);
        if (bucket != NULL)
            qr_aggregate_add(bucket, value);
    }
    return !in->failed;
}

static bool add_values(struct adder *adder, struct qr_cursor *in)
{
    int64_t x;
    uint32_t value;
    switch (adder->series->mode) {
    case MODE_RAW:
        return add_raw(adder, in);
    case MODE_CONSTANT:
        x = qr_cursor_zigzag(in);
        if (!value_of(x, adder->series->exponent, &value))
            return false;
        add_run(adder, x, 0, adder->series->n_present);
        return !in->failed;
    case MODE_RUNS:
        return add_runs(adder, in);
    case MODE_DICTIONARY:
        return add_dictionary(adder, in);
    case MODE_FRAMES:
        return add_frames(adder, in);
    case MODE_EMPTY:
        break;
    }
    return false;
}

/* Adds how many places are marked to the counter at that offset in each bucket. */
static void add_marks(struct adder *adder, const struct qr_marks *marks, size_t counter)
{
    struct qr_marks_walk walk;
    struct qr_aggregate *bucket;
    uint32_t first, end, to;
    qr_marks_walk(&walk, marks);
    while (qr_marks_next(&walk, &first, &end))
        for (; first < end && (bucket = next_bucket(adder, &first, end, &to)) != NULL; first = to)
            *(uint64_t *)((char *)bucket + counter) += to - first;
}

int qr_codec_aggregate(struct qr_cursor *in, uint32_t n, const uint32_t *bounds, uint32_t n_buckets,
                       struct qr_aggregate *buckets)
{
    assert(n_buckets > 0 && bounds[n_buckets] <= n);
    struct series series;
    struct adder adder;
    if (!take_head(in, n, &series))
        return QR_E_MALFORMED;
    if (series.mode == MODE_EMPTY)
        return 0;
    adder_init(&adder, &series, bounds, n_buckets, buckets);
    if (!add_values(&adder, in))
        return QR_E_MALFORMED;
    if (series.resets.n_marked != 0) {
        adder_init(&adder, &series, bounds, n_buckets, buckets);
        add_marks(&adder, &series.resets, offsetof(struct qr_aggregate, n_resets));
    }
    if (series.anomalies.n_marked != 0) {
        adder_init(&adder, &series, bounds, n_buckets, buckets);
        add_marks(&adder, &series.anomalies, offsetof(struct qr_aggregate, n_anomalous));
    }
    return 0;
}
