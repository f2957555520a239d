#include "storage/codec_aggregate.h"

#include <assert.h>
#include <stddef.h>

#include "base/error.h"
#include "storage/lanes.h"
#include "storage/series.h"

/* Buckets that are filled one after the other, and where they end among what is present. */
struct adder {
    const struct qr_series *series;
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

static void adder_init(struct adder *adder, const struct qr_series *series, const uint32_t *bounds,
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
    *first = *first > adder->first ? *first : adder->first;
    *part_end = end < adder->end ? end : adder->end;
    return *first < *part_end ? &adder->buckets[adder->i] : NULL;
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
    struct qr_run run = {0};
    uint32_t value;
    while (qr_run_next(in, adder->series->n_present, &run)) {
        if (!qr_series_value(adder->series, run.x, &value))
            return false;
        add_run(adder, run.x, run.first, run.end);
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
    struct qr_dictionary dictionary;
    int64_t x[QR_FRAME_N];
    uint32_t indexes[QR_FRAME_N], values[QR_DICTIONARY_MAX], n_present = adder->series->n_present;
    if (!qr_dictionary_take(in, &dictionary) ||
        !qr_series_values(adder->series, &dictionary, values))
        return false;
    for (uint32_t at = 0; at < n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = qr_frame_size(n_present, at);
        if (is_unwanted(adder, at, n)) {
            qr_dictionary_skip(in, &dictionary, n);
            continue;
        }
        if (!qr_dictionary_indexes(in, &dictionary, n, indexes))
            return false;
        for (uint32_t i = 0; i < n; i++)
            x[i] = dictionary.entries[indexes[i]];
        add_wide(adder, x, at, n);
    }
    return !in->failed;
}

static bool add_frames(struct adder *adder, struct qr_cursor *in)
{
    struct qr_frame frame;
    struct qr_frame_integers x;
    for (uint32_t at = 0; at < adder->series->n_present && !in->failed; at += QR_FRAME_N) {
        uint32_t n = qr_frame_size(adder->series->n_present, at);
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
    case QR_SERIES_RAW:
        return add_raw(adder, in);
    case QR_INTEGERS_CONSTANT:
        x = qr_cursor_zigzag(in);
        if (!qr_series_value(adder->series, x, &value))
            return false;
        add_run(adder, x, 0, adder->series->n_present);
        return !in->failed;
    case QR_INTEGERS_RUNS:
        return add_runs(adder, in);
    case QR_INTEGERS_DICTIONARY:
        return add_dictionary(adder, in);
    case QR_INTEGERS_FRAMES:
        return add_frames(adder, in);
    case QR_SERIES_EMPTY:
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
    struct qr_series series;
    struct adder adder;
    if (!qr_series_take(in, n, &series))
        return QR_E_MALFORMED;
    if (series.mode == QR_SERIES_EMPTY)
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
