#include "storage/tier_chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "storage/integers.h"

enum form { FORM_NOTHING, FORM_INTEGERS, FORM_WIDE };
enum column { MISSING, ANOMALIES, LEAST, RANGE, SUM, COLUMNS };

void qr_tier_codec_release(struct qr_tier_codec *codec)
{
    free(codec->columns);
    *codec = (struct qr_tier_codec){0};
}

static int reserve(struct qr_tier_codec *codec, uint32_t n)
{
    if (n <= codec->capacity)
        return 0;
    int64_t *columns = malloc(COLUMNS * (size_t)n * sizeof *columns);
    if (columns == NULL)
        return UV_ENOMEM;
    free(codec->columns);
    codec->columns = columns;
    codec->capacity = n;
    return 0;
}

static int64_t *column(const struct qr_tier_codec *codec, enum column which)
{
    return codec->columns + (size_t)which * codec->capacity;
}

static qr_i128 unit_of(int exponent)
{
    qr_i128 unit = 1;
    for (int e = QR_VALUE_EXPONENT_MIN; e < exponent; e++)
        unit *= 10;
    return unit;
}

/* ---- encoding ---- */

static bool divides(qr_i128 unit, qr_i128 v)
{
    if (v >= INT64_MIN && v <= INT64_MAX && unit <= INT64_MAX)
        return (int64_t)v % (int64_t)unit == 0;
    return v % unit == 0;
}

static int least_exponent(int e, uint32_t value)
{
    int exponent = qr_value_exponent(value);
    return value != 0 && exponent < e ? exponent : e;
}

/* An exponent at which all of it is whole. */
static int exponent_of(const struct qr_point *points, uint32_t n)
{
    int e = QR_VALUE_EXPONENT_MAX;
    for (uint32_t i = 0; i < n; i++)
        if (points[i].count != 0)
            e = least_exponent(least_exponent(e, points[i].min), points[i].max);
    qr_i128 unit = unit_of(e);
    for (uint32_t i = 0; i < n; i++)
        for (; points[i].count != 0 && !divides(unit, points[i].sum); e--)
            unit /= 10;
    return e;
}

static bool fits(qr_i128 v)
{
    return v >= -QR_INTEGER_MAX && v <= QR_INTEGER_MAX;
}

/* The columns that need an exponent; false: an integer is too large. */
static bool to_integers(struct qr_tier_codec *codec, const struct qr_point *points, uint32_t n,
                        int exponent)
{
    int64_t *least = column(codec, LEAST), *range = column(codec, RANGE), *sum = column(codec, SUM);
    qr_i128 unit = unit_of(exponent);
    uint32_t at = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (points[i].count == 0)
            continue;
        qr_i128 min = qr_value_scaled(points[i].min) / unit;
        qr_i128 max = qr_value_scaled(points[i].max) / unit;
        qr_i128 rest = points[i].sum / unit - min * points[i].count;
        if (!fits(min) || !fits(max - min) || !fits(rest))
            return false;
        least[at] = (int64_t)min;
        range[at] = (int64_t)(max - min);
        sum[at++] = (int64_t)rest;
    }
    return true;
}

/* Counts and anomalies; how many points there are. */
static uint32_t to_counts(struct qr_tier_codec *codec, const struct qr_point *points, uint32_t n,
                          uint32_t *expected)
{
    int64_t *missing = column(codec, MISSING), *anomalies = column(codec, ANOMALIES);
    uint32_t n_present = 0;
    *expected = 0;
    for (uint32_t i = 0; i < n; i++)
        if (points[i].count > *expected)
            *expected = points[i].count;
    for (uint32_t i = 0; i < n; i++) {
        missing[i] = (int64_t)*expected - points[i].count;
        if (points[i].count != 0)
            anomalies[n_present++] = points[i].anomalies;
    }
    return n_present;
}

static int put_wide(struct qr_buf *out, const struct qr_point *points, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (points[i].count == 0)
            continue;
        qr_buf_add_u32(out, points[i].min);
        qr_buf_add_u32(out, points[i].max);
        qr_buf_add_u64(out, (uint64_t)points[i].sum);
        qr_buf_add_u64(out, (uint64_t)(points[i].sum >> 64));
    }
    return out->failed ? UV_ENOMEM : 0;
}

static int put_series(struct qr_tier_codec *codec, struct qr_buf *out,
                      const struct qr_point *points, uint32_t n)
{
    uint32_t expected, n_present = to_counts(codec, points, n, &expected);
    if (n_present == 0)
        return qr_buf_add_u8(out, FORM_NOTHING);
    int exponent = exponent_of(points, n);
    bool wide = !to_integers(codec, points, n, exponent);
    qr_buf_add_u8(out, wide ? FORM_WIDE : FORM_INTEGERS);
    if (!wide)
        qr_buf_add_u8(out, (uint8_t)(exponent - QR_VALUE_EXPONENT_MIN));
    qr_buf_add_varint(out, expected);
    int err = qr_integers_encode(out, column(codec, MISSING), n);
    for (enum column c = ANOMALIES; c < (wide ? LEAST : COLUMNS) && err == 0; c++)
        err = qr_integers_encode(out, column(codec, c), n_present);
    return err == 0 && wide ? put_wide(out, points, n) : err;
}

/* The rows and dimensions in first .. last that hold something. */
struct extent {
    uint32_t first, last, n_dims;
    uint64_t n_points;
};

static struct extent measure(const struct qr_points *points, uint32_t first, uint32_t last)
{
    struct extent extent = {.first = last, .last = first};
    for (uint32_t d = 0; d < points->n_dims; d++)
        for (uint32_t row = first; row <= last; row++) {
            if (qr_points_at(points, row, d)->count == 0)
                continue;
            extent.n_points++;
            extent.n_dims = d + 1;
            if (row < extent.first)
                extent.first = row;
            if (row > extent.last)
                extent.last = row;
        }
    return extent;
}

int qr_tier_chunk_encode(struct qr_tier_codec *codec, struct qr_buf *out, int64_t window_start_s,
                         const struct qr_points *points, int64_t after_s, int64_t until_s,
                         uint32_t *n_dims, uint64_t *n_points)
{
    int64_t step_s = points->step_s;
    int64_t last = until_s < points->first_s ? -1 : (until_s - points->first_s) / step_s;
    int64_t first = after_s < points->first_s ? 0 : (after_s - points->first_s) / step_s + 1;
    *n_points = 0;
    if (last >= points->n_rows)
        last = (int64_t)points->n_rows - 1;
    if (first > last)
        return 0;
    struct extent extent = measure(points, (uint32_t)first, (uint32_t)last);
    *n_dims = extent.n_dims;
    *n_points = extent.n_points;
    if (extent.n_points == 0)
        return 0;
    uint32_t n_rows = extent.last - extent.first + 1;
    int64_t ahead_s =
        points->first_s + extent.first * step_s - qr_point_end(window_start_s, points->step_s);
    assert(ahead_s >= 0);
    qr_buf_add_varint(out, (uint64_t)(ahead_s / step_s));
    qr_buf_add_varint(out, n_rows);
    qr_buf_add_varint(out, extent.n_dims);
    int err = reserve(codec, n_rows);
    for (uint32_t d = 0; d < extent.n_dims && err == 0; d++)
        err = put_series(codec, out, qr_points_at(points, extent.first, d), n_rows);
    return err == 0 && out->failed ? UV_ENOMEM : err;
}

/* ---- decoding ---- */

static bool take_counts(struct qr_tier_codec *codec, struct qr_cursor *in, uint32_t step_s,
                        struct qr_point *points, uint32_t n, uint32_t *n_present)
{
    uint32_t expected = (uint32_t)qr_cursor_varint_max(in, step_s);
    const int64_t *missing = column(codec, MISSING), *anomalies = column(codec, ANOMALIES);
    qr_integers_decode(in, column(codec, MISSING), n);
    *n_present = 0;
    for (uint32_t i = 0; i < n && !in->failed; i++) {
        in->failed = missing[i] < 0 || missing[i] > expected;
        points[i].count = expected - (uint32_t)missing[i];
        *n_present += points[i].count != 0;
    }
    if (in->failed || *n_present == 0)
        return false;
    qr_integers_decode(in, column(codec, ANOMALIES), *n_present);
    for (uint32_t i = 0, at = 0; i < n && !in->failed; i++) {
        if (points[i].count == 0)
            continue;
        in->failed = anomalies[at] < 0 || anomalies[at] > points[i].count;
        points[i].anomalies = (uint32_t)anomalies[at++];
    }
    return !in->failed;
}

static bool are_numbers(const struct qr_point *point)
{
    return !qr_value_is_empty(point->min) && !qr_value_is_empty(point->max) &&
           ((point->min | point->max) & QR_VALUE_FLAGS) == 0 && qr_value_is_canonical(point->min) &&
           qr_value_is_canonical(point->max);
}

/* Can such numbers have this sum? */
static bool is_sound(const struct qr_point *point)
{
    qr_i128 min = qr_value_scaled(point->min), max = qr_value_scaled(point->max);
    return min <= max && point->sum >= min * point->count && point->sum <= max * point->count;
}

static bool take_wide(struct qr_cursor *in, struct qr_point *points, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct qr_point *point = &points[i];
        if (point->count == 0)
            continue;
        point->min = qr_cursor_u32(in);
        point->max = qr_cursor_u32(in);
        uint64_t low = qr_cursor_u64(in);
        point->sum = (qr_i128)(int64_t)qr_cursor_u64(in) * ((qr_i128)1 << 64) + low;
        if (in->failed || !are_numbers(point) || !is_sound(point))
            return false;
    }
    return true;
}

static bool take_integers(struct qr_tier_codec *codec, struct qr_cursor *in, int exponent,
                          struct qr_point *points, uint32_t n, uint32_t n_present)
{
    for (enum column c = LEAST; c < COLUMNS; c++)
        qr_integers_decode(in, column(codec, c), n_present);
    if (in->failed)
        return false;
    const int64_t *least = column(codec, LEAST), *range = column(codec, RANGE);
    const int64_t *sum = column(codec, SUM);
    qr_i128 unit = unit_of(exponent);
    for (uint32_t i = 0, at = 0; i < n; i++) {
        struct qr_point *point = &points[i];
        if (point->count == 0)
            continue;
        point->min = qr_value_of_decimal(least[at], exponent);
        point->max = qr_value_of_decimal(least[at] + range[at], exponent);
        if (!are_numbers(point))
            return false; /* Only what numbers add up to fits 128 bits. */
        point->sum = ((qr_i128)least[at] * point->count + sum[at]) * unit;
        if (!is_sound(point))
            return false;
        at++;
    }
    return true;
}

static bool take_series(struct qr_tier_codec *codec, struct qr_cursor *in, uint32_t step_s,
                        struct qr_point *points, uint32_t n)
{
    uint8_t form = qr_cursor_u8(in);
    if (in->failed || form > FORM_WIDE)
        return false;
    if (form == FORM_NOTHING)
        return true;
    int exponent = 0;
    if (form == FORM_INTEGERS)
        exponent = qr_cursor_u8(in) + QR_VALUE_EXPONENT_MIN;
    uint32_t n_present;
    if (exponent > QR_VALUE_EXPONENT_MAX || !take_counts(codec, in, step_s, points, n, &n_present))
        return false;
    return form == FORM_WIDE ? take_wide(in, points, n)
                             : take_integers(codec, in, exponent, points, n, n_present);
}

int qr_tier_chunk_decode(struct qr_tier_codec *codec, struct qr_slice bytes, int64_t window_start_s,
                         uint32_t window_s, uint32_t step_s, struct qr_points *points)
{
    struct qr_cursor in = qr_cursor_of(bytes);
    int64_t first_s = qr_point_end(window_start_s, step_s);
    int64_t last_s = qr_point_end(window_start_s + window_s - 1, step_s);
    uint32_t n_max = (uint32_t)((last_s - first_s) / step_s + 1);
    uint32_t row = (uint32_t)qr_cursor_varint_max(&in, n_max - 1);
    uint32_t n_rows = (uint32_t)qr_cursor_varint_max(&in, n_max - row);
    uint32_t n_dims = (uint32_t)qr_cursor_varint_max(&in, QR_DIMS_PER_CHART_MAX);
    if (in.failed || n_rows == 0 || n_dims == 0 || n_dims > qr_cursor_left(&in))
        return QR_E_MALFORMED;
    int err = qr_points_reset(points, first_s + (int64_t)row * step_s, step_s, n_rows, n_dims);
    if (err == 0)
        err = reserve(codec, n_rows);
    for (uint32_t d = 0; d < n_dims && err == 0; d++)
        if (!take_series(codec, &in, step_s, qr_points_at(points, 0, d), n_rows))
            err = QR_E_MALFORMED;
    if (err == 0 && !qr_cursor_done(&in))
        err = QR_E_MALFORMED;
    return err;
}
