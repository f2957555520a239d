#include "proto/arithmetic.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/rng.h"
#include "proto/tests/arithmetic_model.h"
#include "proto/words.h"
#include "testing/cmocka.h"

static void take_row(void *data, int64_t end_s, const double *values, const uint8_t *flags)
{
    struct rows *rows = data;
    assert_true(rows->n < ROWS_MAX);
    rows->at[rows->n].end_s = end_s;
    memcpy(rows->at[rows->n].values, values, rows->n_dims * sizeof *values);
    memcpy(rows->at[rows->n].flags, flags, rows->n_dims * sizeof *flags);
    rows->n++;
}

static void end(struct qr_arith_chart *chart, struct qr_arith_dim *dims, uint32_t n_dims,
                int64_t now_us, struct rows *rows)
{
    double values[DIMS_MAX];
    uint8_t flags[DIMS_MAX];
    assert_true(n_dims <= DIMS_MAX);
    rows->n_dims = n_dims;
    qr_arith_end(chart, dims, n_dims, now_us, values, flags, take_row, rows);
}

static void assert_near(double got, double want)
{
    if (fabs(got - want) > fmax(1e-9, 1e-9 * fabs(want)))
        fail_msg("%.17g is not %.17g", got, want);
}

/* A chart with one dimension whose clock stands at `at_us`, as after a replay. */
struct one {
    struct qr_arith_chart chart;
    struct qr_arith_dim dim;
    struct rows rows;
};

static void one_start(struct one *one, enum qr_algorithm algorithm, int64_t at_us, int64_t raw)
{
    memset(one, 0, sizeof *one);
    qr_arith_chart_init(&one->chart, 1, false);
    qr_arith_dim_init(&one->dim, algorithm, 1, 1, false);
    qr_arith_replay_point(&one->chart, at_us / US);
    qr_arith_replay_value(&one->dim);
    qr_arith_set(&one->dim, raw); /* For `max`. */
    one->dim.updated = false;
    qr_arith_replay_dim_state(&one->dim, at_us, raw,
                              algorithm == QR_ALGORITHM_ABSOLUTE ? (double)raw : 0);
    qr_arith_replay_chart_state(&one->chart, at_us, at_us / US * US);
    qr_arith_replay_end(&one->chart, 1, true);
}

static void one_collect(struct one *one, uint64_t usec, int64_t raw)
{
    qr_arith_begin(&one->chart, usec, 0);
    qr_arith_set(&one->dim, raw);
    end(&one->chart, &one->dim, 1, 0, &one->rows);
}

/* ---- the algorithms, as a table ---- */

#define C32 INT64_C(0xFFFFFFFF)

/* From `last` to `raw` in exactly one interval, on the grid. */
static const struct {
    enum qr_algorithm algorithm;
    int64_t multiplier, divisor, last, raw;
    bool noreset;
    double value;
    uint8_t flags;
} steps[] = {
    {QR_ALGORITHM_ABSOLUTE, 1, 1, 7, 42, false, 42, 0},
    {QR_ALGORITHM_ABSOLUTE, -8, 1000, 7, 42, false, -0.336, 0},
    {QR_ALGORITHM_ABSOLUTE, 1, 1, 7, INT64_MIN, false, -0x1p63, 0},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, 1000, 1500, false, 500, 0},
    {QR_ALGORITHM_INCREMENTAL, 8, 1000, 1000, 1500, false, 4, 0},
    /* Negative numbers are large unsigned ones. */
    {QR_ALGORITHM_INCREMENTAL, 1, 1, -20, -5, false, 15, 0},
    /* 32 bit overflow: one less than the distance, and marked. */
    {QR_ALGORITHM_INCREMENTAL, 1, 1, C32 - 9, 10, false, 19, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, C32 - 9, 10, true, 19, 0},
    /* Up to 10 % of the range is an overflow, more a reset. */
    {QR_ALGORITHM_INCREMENTAL, 1, 1, C32, 429496719, false, 429496719, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, C32, 429496720, false, 0, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, 1000, 10, false, 0, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, 1000, 10, true, 0, 0},
    /* 64 bit: a counter that was beyond 32 bits. */
    {QR_ALGORITHM_INCREMENTAL, 1, 1, -C32 - 10, 10, false, (double)C32 + 19, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, -10, 10, false, 0, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, C32 + 10, 10, false, 0, QR_STREAM_RESET},
    {QR_ALGORITHM_INCREMENTAL, 1, 1, INT64_MAX, INT64_MIN, false, 1, 0},
    {QR_ALGORITHM_PCENT_ROW, 5, 3, 7, 42, false, 100, 0},
    {QR_ALGORITHM_PCENT_ROW, 1, 1, 7, 0, false, 0, 0},
    {QR_ALGORITHM_PCENT_DELTA, 5, 3, 7, 42, false, 100, 0},
    {QR_ALGORITHM_PCENT_DELTA, 1, 1, 42, 42, false, 0, 0},
    {QR_ALGORITHM_PCENT_DELTA, 1, 1, 42, 7, false, 0, QR_STREAM_RESET},
    {QR_ALGORITHM_PCENT_DELTA, 1, 1, 42, 7, true, 0, 0},
};

static void calculates_one_step(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct one one;
        one_start(&one, steps[i].algorithm, 1000 * US, steps[i].last);
        qr_arith_dim_redefine(&one.dim, steps[i].algorithm, steps[i].multiplier, steps[i].divisor,
                              steps[i].noreset);
        one_collect(&one, US, steps[i].raw);
        if (one.rows.n != 1 || one.rows.at[0].flags[0] != steps[i].flags)
            fail_msg("step %zu: %u rows, flags %u", i, one.rows.n, one.rows.at[0].flags[0]);
        assert_int_equal(one.rows.at[0].end_s, 1001);
        assert_near(one.rows.at[0].values[0], steps[i].value);
    }
}

static void shares_percentages_among_the_updated(void **state)
{
    (void)state;
    struct qr_arith_chart chart;
    struct qr_arith_dim dims[4];
    struct rows rows = {0};
    qr_arith_chart_init(&chart, 1, false);
    qr_arith_replay_point(&chart, 1000);
    for (int i = 0; i < 4; i++) {
        qr_arith_dim_init(&dims[i], i < 2 ? QR_ALGORITHM_PCENT_ROW : QR_ALGORITHM_PCENT_DELTA, 1, 1,
                          false);
        qr_arith_replay_value(&dims[i]);
        qr_arith_replay_dim_state(&dims[i], 0, 10, 0);
    }
    qr_arith_replay_end(&chart, 1, true);

    /* Netdata has one total for the row, whatever the algorithms. */
    qr_arith_begin(&chart, US, 0);
    qr_arith_set(&dims[0], 30);
    qr_arith_set(&dims[2], 20);
    qr_arith_set(&dims[3], 50);
    end(&chart, dims, 4, 0, &rows);
    assert_int_equal(rows.n, 1);
    assert_near(rows.at[0].values[0], 30.0);
    assert_true(isnan(rows.at[0].values[1]));
    assert_int_equal(rows.at[0].flags[1], QR_STREAM_EMPTY);
    assert_near(rows.at[0].values[2], 100.0 * 10 / 70);
    assert_near(rows.at[0].values[3], 100.0 * 40 / 70);
}

/* ---- time ---- */

static void interpolates_counters_over_the_grid(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_INCREMENTAL, 1000 * US + 250000, 100);
    one_collect(&one, US, 200); /* .75 of it lies before 1001, and .25 s of the past gave nothing */
    one_collect(&one, US, 400); /* .25 of 100, .75 of 200 */
    assert_int_equal(one.rows.n, 2);
    assert_near(one.rows.at[0].values[0], 75);
    assert_near(one.rows.at[1].values[0], 25 + 150);
}

static void keeps_what_falls_into_one_interval(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_INCREMENTAL, 1000 * US, 0);
    one_collect(&one, 300000, 3);
    one_collect(&one, 300000, 6);
    assert_int_equal(one.rows.n, 0);
    one_collect(&one, 400000, 10);
    assert_int_equal(one.rows.n, 1);
    assert_near(one.rows.at[0].values[0], 10);
}

static void fills_two_points_after_a_pause(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US + 50000, 10);
    one_collect(&one, 6 * US, 70);
    assert_int_equal(one.rows.n, 2); /* 1001 .. 1004 are missing */
    assert_int_equal(one.rows.at[0].end_s, 1005);
    assert_near(one.rows.at[0].values[0], 10 + 60 * (1.0 / 2.05));
    assert_int_equal(one.rows.at[1].end_s, 1006);
    assert_near(one.rows.at[1].values[0], 70);
}

static void shares_out_a_counter_after_a_pause(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_INCREMENTAL, 1000 * US + 500000, 0);
    one_collect(&one, 1000 * US, 100000); /* 100 a second */
    assert_int_equal(one.rows.n, 2);
    assert_int_equal(one.rows.at[0].end_s, 1999);
    assert_near(one.rows.at[0].values[0], 100);
    assert_int_equal(one.rows.at[1].end_s, 2000);
    assert_near(one.rows.at[1].values[0], 100);
    assert_near(one.dim.lastcalc, 50);
}

static void marks_a_reset_at_the_first_point_only(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_INCREMENTAL, 1000 * US + 500000, 1000);
    one_collect(&one, 2 * US, 0);
    assert_int_equal(one.rows.n, 2);
    assert_int_equal(one.rows.at[0].flags[0], QR_STREAM_RESET);
    assert_int_equal(one.rows.at[1].flags[0], 0);

    one_start(&one, QR_ALGORITHM_INCREMENTAL, 1000 * US + 500000, 1000);
    one_collect(&one, 3 * US, 0); /* Its first point is a missing one. */
    assert_int_equal(one.rows.n, 2);
    assert_int_equal(one.rows.at[0].flags[0], 0);
}

static void forgets_a_chart_after_a_long_silence(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US + 50000, 10);
    one_collect(&one, 1023 * US, 20);
    assert_int_equal(one.rows.n, 2);

    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US + 50000, 10);
    one_collect(&one, UINT64_C(36000) * US, 20); /* Ten hours: only the clock goes on. */
    one_collect(&one, US, 30);
    assert_int_equal(one.rows.n, 0);
    one_collect(&one, US, 40);
    assert_int_equal(one.rows.n, 1);
    assert_int_equal(one.rows.at[0].end_s, 37002);
    assert_near(one.rows.at[0].values[0], 40);
    assert_int_equal(one.chart.last_collected_us, INT64_C(37002) * US + 500000);
}

static void takes_every_duration(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US, 10);
    for (int i = 0; i < 100; i++) {
        one.rows.n = 0;
        one_collect(&one, UINT64_MAX - (uint64_t)i, i);
        assert_in_range(one.chart.last_collected_us, 0, QR_ARITH_TIME_MAX_US);
    }
    qr_arith_replay_chart_state(&one.chart, INT64_MAX, INT64_MAX);
    one_collect(&one, UINT64_MAX, INT64_MIN);
    qr_arith_replay_chart_state(&one.chart, INT64_MIN, INT64_MIN);
    qr_arith_replay_point(&one.chart, INT64_MAX);
    one_collect(&one, 1, INT64_MAX);
    qr_arith_replay_point(&one.chart, INT64_MIN);
    one_collect(&one, 1, INT64_MIN);
}

static void needs_two_samples_for_the_first_point(void **state)
{
    (void)state;
    for (int store_first = 0; store_first < 2; store_first++) {
        struct qr_arith_chart chart;
        struct qr_arith_dim dim;
        struct rows rows = {0};
        qr_arith_chart_init(&chart, 5, store_first);
        qr_arith_dim_init(&dim, QR_ALGORITHM_INCREMENTAL, 1, 1, false);
        /* Without replication the arrival clock rules until a usec comes. */
        int64_t now = INT64_C(1003) * US + 123456;
        for (int i = 0; i < 3; i++) {
            qr_arith_begin(&chart, 0, now + i * 5 * US);
            qr_arith_set(&dim, 50 * i);
            end(&chart, &dim, 1, now + i * 5 * US, &rows);
        }
        assert_int_equal(rows.n, 2);
        assert_int_equal(rows.at[0].end_s, 1005);
        assert_int_equal(rows.at[1].end_s, 1010);
        /* The clock: 1000.5 (or 1000) by alignment, then by arrival 1008.12 and 1013.12. */
        double first = store_first ? 5 / 8.123456 : 4.5 / 7.623456;
        assert_near(rows.at[0].values[0], 50 * first / 5);
        assert_near(rows.at[1].values[0], (50 * (1 - first) + 50 * (5 - 3.123456) / 5) / 5);
    }
}

static void follows_the_arrival_clock_while_it_must(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US + 500000, 10);
    qr_arith_chart_redefine(&one.chart, 1, false);
    qr_arith_begin(&one.chart, US, INT64_C(1003) * US); /* Discarded: the chart is defined anew. */
    assert_int_equal(one.chart.duration_us, 2500000);
    assert_false(one.chart.sync);
    qr_arith_begin(&one.chart, US, INT64_C(1009) * US); /* Trusted. */
    assert_int_equal(one.chart.duration_us, US);
    qr_arith_begin(&one.chart, 0, INT64_C(1000) * US + 200000); /* .3 s ahead: stand still. */
    assert_int_equal(one.chart.duration_us, 0);
    qr_arith_begin(&one.chart, 0, INT64_C(900) * US); /* Far ahead: go back. */
    assert_int_equal(one.chart.duration_us, US);
    assert_int_equal(one.chart.last_collected_us, INT64_C(899) * US + 500000);
    assert_int_equal(one.chart.last_updated_us, INT64_C(899) * US);
}

static void omits_rows_without_values(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, QR_ALGORITHM_ABSOLUTE, 1000 * US, 10);
    qr_arith_begin(&one.chart, US, 0);
    end(&one.chart, &one.dim, 1, 0, &one.rows); /* No SET. */
    assert_int_equal(one.rows.n, 0);
    assert_int_equal(one.chart.last_updated_us, INT64_C(1001) * US);
    end(&one.chart, NULL, 0, 0, &one.rows); /* No dimension. */
    assert_int_equal(one.rows.n, 0);
}

static void continues_after_a_replay(void **state)
{
    (void)state;
    struct qr_arith_chart chart;
    struct qr_arith_dim dim;
    struct rows rows = {0};
    qr_arith_chart_init(&chart, 1, false);
    qr_arith_dim_init(&dim, QR_ALGORITHM_INCREMENTAL, 1, 1, false);
    qr_arith_replay_point(&chart, 1000);
    qr_arith_replay_dim_state(&dim, INT64_C(1000) * US + 50000, 500, 5);
    qr_arith_replay_chart_state(&chart, INT64_C(1000) * US + 50000, INT64_C(1000) * US);
    qr_arith_replay_chart_state(&chart, INT64_C(990) * US,
                                INT64_C(990) * US); /* Older: not taken. */
    qr_arith_replay_end(&chart, 1, true);
    qr_arith_begin(&chart, US, INT64_C(5000) * US);
    qr_arith_set(&dim, 600);
    end(&chart, &dim, 1, INT64_C(5000) * US, &rows);
    assert_int_equal(rows.n, 1);
    assert_int_equal(rows.at[0].end_s, 1001);
    assert_near(rows.at[0].values[0], 5 + 95);
}

/* ---- against a slow model that goes point by point (arithmetic_model.h) ---- */

static int64_t random_between(struct qr_rng *rng, int64_t low, int64_t high)
{
    return low + (int64_t)qr_rng_below(rng, (uint64_t)(high - low) + 1);
}

static void start_pair(struct qr_rng *rng, struct model *m, struct qr_arith_chart *chart,
                       struct qr_arith_dim *dims)
{
    static const int64_t intervals[] = {1, 1, 1, 2, 5, 10};
    *m = (struct model){.ue = intervals[qr_rng_below(rng, 6)],
                        .store_first = qr_rng_below(rng, 2) == 0,
                        .n_dims = (uint32_t)random_between(rng, 0, 6)};
    qr_arith_chart_init(chart, (uint32_t)m->ue, m->store_first);
    for (uint32_t i = 0; i < m->n_dims; i++) {
        struct model_dim *d = &m->dims[i];
        d->algorithm = (enum qr_algorithm)qr_rng_below(rng, 4);
        d->multiplier = random_between(rng, -10, 10);
        d->divisor = random_between(rng, 1, 1000);
        d->noreset = qr_rng_below(rng, 4) == 0;
        qr_arith_dim_init(&dims[i], d->algorithm, d->multiplier, d->divisor, d->noreset);
    }
    if (qr_rng_below(rng, 2) == 0) { /* Replayed: also clocks off the grid. */
        int64_t lu = random_between(rng, 1000, 2000) * US;
        int64_t lc = lu + random_between(rng, 0, 2 * m->ue * US);
        qr_arith_replay_chart_state(chart, lc, lu);
        qr_arith_replay_end(chart, (uint32_t)m->ue, true);
        *m = (struct model){m->ue, lc, lu, true, m->store_first, m->n_dims, {{0}}};
        for (uint32_t i = 0; i < m->n_dims; i++) {
            struct model_dim *d = &m->dims[i];
            qr_arith_dim_init(&dims[i], QR_ALGORITHM_INCREMENTAL, 3, 7, false);
            qr_arith_replay_dim_state(&dims[i], lc, 77, 1.5);
            *d = (struct model_dim){
                QR_ALGORITHM_INCREMENTAL, 3, 7, 0, 77, 0, 1, 0, 1.5, false, false};
        }
    }
}

static int64_t random_raw(struct qr_rng *rng, int64_t last)
{
    switch (qr_rng_below(rng, 8)) {
    case 0:
        return random_between(rng, -1000, 1000);
    case 1:
        return random_between(rng, C32 - 1000, C32);
    case 2:
        return random_between(rng, INT64_C(1) << 50, INT64_C(1) << 51);
    default:
        return last + random_between(rng, 0, 100000);
    }
}

static void compare_rows(uint64_t seed, const struct rows *got, const struct rows *want)
{
    if (got->n != want->n)
        fail_msg("seed %" PRIu64 ": %u rows, not %u", seed, got->n, want->n);
    for (uint32_t r = 0; r < got->n; r++) {
        assert_int_equal(got->at[r].end_s, want->at[r].end_s);
        for (uint32_t i = 0; i < got->n_dims; i++) {
            if (got->at[r].flags[i] != want->at[r].flags[i])
                fail_msg("seed %" PRIu64 ": flags %u, not %u", seed, got->at[r].flags[i],
                         want->at[r].flags[i]);
            if (!(want->at[r].flags[i] & QR_STREAM_EMPTY))
                assert_near(got->at[r].values[i], want->at[r].values[i]);
        }
    }
}

static void equals_a_slow_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct qr_rng rng;
        struct model m;
        struct qr_arith_chart chart;
        struct qr_arith_dim dims[DIMS_MAX];
        qr_rng_seed(&rng, seed);
        start_pair(&rng, &m, &chart, dims);
        int64_t now = random_between(&rng, 5000, 6000) * US + random_between(&rng, 0, US);
        for (int i = 0; i < 30; i++) {
            struct rows got = {0}, want = {0};
            bool pause = qr_rng_below(&rng, 10) == 0;
            int64_t usec = pause ? random_between(&rng, 1, 900 * m.ue * US)
                                 : random_between(&rng, m.ue * US - 300000, m.ue * US + 300000);
            if (qr_rng_below(&rng, 8) == 0)
                usec = m.ue * US; /* Now and then exactly on the grid. */
            chart.sync = false;   /* Durations are trusted: the clock has tests of its own. */
            qr_arith_begin(&chart, (uint64_t)usec, now);
            for (uint32_t d = 0; d < m.n_dims; d++) {
                if (qr_rng_below(&rng, 10) == 0)
                    continue;
                int64_t raw = random_raw(&rng, m.dims[d].last);
                uint64_t magnitude = (uint64_t)(raw < 0 ? -raw : raw);
                qr_arith_set(&dims[d], raw);
                m.dims[d].raw = raw;
                m.dims[d].n++;
                m.dims[d].updated = true;
                m.dims[d].max = magnitude > m.dims[d].max ? magnitude : m.dims[d].max;
            }
            end(&chart, dims, m.n_dims, now, &got);
            static struct rows all;
            all = (struct rows){0};
            model_end(&m, usec, now, &all);
            want = all;
            compare_rows(seed, &got, &want);
            assert_int_equal(chart.last_updated_us, m.lu);
            now += usec;
        }
    }
}

/* ---- against what real children stored ---- */

#define POINTS_MAX 512

struct capture_chart {
    char id[64];
    struct qr_arith_chart chart;
    struct qr_arith_dim dims[DIMS_MAX];
    char names[DIMS_MAX][32];
    uint32_t n_dims;
    bool live;
    int64_t first_s; /* Of points[0]; 0: none yet. */
    double points[POINTS_MAX][DIMS_MAX];
};

struct capture {
    struct capture_chart charts[16];
    uint32_t n_charts;
    struct capture_chart *current, *replayed;
    int64_t point_s; /* Of the last RBEGIN, 0: it had no times. */
    int64_t now_us;
};

/* As the child's tier 0 keeps it: 24 bits and a power of ten. */
static double stored(double v)
{
    double n = fabs(v);
    int m = 0;
    if (n == 0)
        return 0;
    for (; m < 7 && n > 0xffffff; m++)
        n /= 10;
    if (m > 0)
        return copysign(nearbyint(n) * pow(10, m), v);
    for (; m < 7 && n < 0x19999e; m++)
        n *= 10;
    return copysign(nearbyint(n) / pow(10, m), v);
}

static void put_point(struct capture_chart *chart, int64_t end_s, uint32_t i_dim, double value)
{
    if (chart->first_s == 0) {
        chart->first_s = end_s;
        for (size_t i = 0; i < POINTS_MAX * DIMS_MAX; i++)
            chart->points[i / DIMS_MAX][i % DIMS_MAX] = NAN;
    }
    assert_in_range(end_s - chart->first_s, 0, POINTS_MAX - 1);
    chart->points[end_s - chart->first_s][i_dim] = value;
}

static bool is(struct qr_slice word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.base, text, word.len) == 0;
}

static const char *text_of(struct qr_slice word)
{
    static char text[8][128];
    static unsigned at;
    char *copy = text[at++ % 8];
    snprintf(copy, 128, "%.*s", (int)word.len, word.base);
    return copy;
}

static int64_t int_of(struct qr_slice word)
{
    return strtoll(text_of(word), NULL, 10);
}

static struct capture_chart *find_chart(struct capture *capture, struct qr_slice id)
{
    for (uint32_t i = 0; i < capture->n_charts; i++)
        if (is(id, capture->charts[i].id))
            return &capture->charts[i];
    return NULL;
}

static uint32_t find_dim(const struct capture_chart *chart, struct qr_slice id)
{
    uint32_t i = 0;
    while (i < chart->n_dims && !is(id, chart->names[i]))
        i++;
    return i;
}

static void see_chart(struct capture *capture, const struct qr_words *w)
{
    uint32_t update_every = (uint32_t)int_of(w->at[9]);
    bool store_first = strstr(text_of(w->at[10]), "store_first") != NULL;
    struct capture_chart *chart = find_chart(capture, w->at[1]);
    if (chart == NULL) {
        assert_true(capture->n_charts < 16);
        chart = &capture->charts[capture->n_charts++];
        snprintf(chart->id, sizeof chart->id, "%s", text_of(w->at[1]));
        qr_arith_chart_init(&chart->chart, update_every, store_first);
    } else if (chart->n_dims == 0) {
        qr_arith_chart_init(&chart->chart, update_every, store_first); /* A new connection. */
        chart->live = false;
    } else {
        qr_arith_chart_redefine(&chart->chart, update_every, store_first);
    }
    capture->current = chart;
}

static enum qr_algorithm algorithm_of(struct qr_slice word)
{
    if (is(word, "incremental"))
        return QR_ALGORITHM_INCREMENTAL;
    if (is(word, "percentage-of-absolute-row"))
        return QR_ALGORITHM_PCENT_ROW;
    return is(word, "absolute") ? QR_ALGORITHM_ABSOLUTE : QR_ALGORITHM_PCENT_DELTA;
}

static void see_dimension(struct capture_chart *chart, const struct qr_words *w)
{
    uint32_t i = find_dim(chart, w->at[1]);
    if (i < chart->n_dims)
        return;
    assert_true(i < DIMS_MAX);
    snprintf(chart->names[i], sizeof chart->names[i], "%s", text_of(w->at[1]));
    qr_arith_dim_init(&chart->dims[i], algorithm_of(w->at[3]), int_of(w->at[4]), int_of(w->at[5]),
                      strstr(text_of(qr_words_get(w, 6)), "noreset") != NULL);
    chart->n_dims++;
}

static void see_replay(struct capture *capture, const struct qr_words *w)
{
    struct qr_slice keyword = w->at[0];
    if (is(keyword, "RBEGIN")) {
        if (w->at[1].len > 0)
            capture->replayed = find_chart(capture, w->at[1]);
        capture->point_s = w->n > 3 ? int_of(w->at[3]) : 0;
        if (capture->point_s != 0 && !capture->replayed->live)
            qr_arith_replay_point(&capture->replayed->chart, capture->point_s);
        return;
    }
    struct capture_chart *chart = capture->replayed;
    if (is(keyword, "RSET")) {
        uint32_t i = find_dim(chart, w->at[1]);
        bool empty = strchr(text_of(qr_words_get(w, 3)), 'E') != NULL;
        put_point(chart, capture->point_s, i, empty ? NAN : strtod(text_of(w->at[2]), NULL));
        if (!chart->live)
            qr_arith_replay_value(&chart->dims[i]);
    } else if (chart->live) {
        return;
    } else if (is(keyword, "RDSTATE")) {
        qr_arith_replay_dim_state(&chart->dims[find_dim(chart, w->at[1])], int_of(w->at[2]),
                                  int_of(w->at[3]), strtod(text_of(w->at[4]), NULL));
    } else if (is(keyword, "RSSTATE")) {
        qr_arith_replay_chart_state(&chart->chart, int_of(w->at[1]), int_of(w->at[2]));
    } else if (is(keyword, "REND")) {
        chart->live = is(w->at[4], "true");
        qr_arith_replay_end(&chart->chart, (uint32_t)int_of(w->at[1]), chart->live);
    }
}

static void take_live_row(void *data, int64_t end_s, const double *values, const uint8_t *flags)
{
    struct capture_chart *chart = data;
    for (uint32_t i = 0; i < chart->n_dims; i++) {
        assert_int_equal((flags[i] & QR_STREAM_EMPTY) != 0, isnan(values[i]));
        put_point(chart, end_s, i, stored(values[i]));
    }
}

static void see_line(struct capture *capture, struct qr_slice line)
{
    struct qr_words w;
    double values[DIMS_MAX];
    uint8_t flags[DIMS_MAX];
    assert_int_equal(qr_words_split(&w, line), 0);
    if (w.n == 0)
        return;
    if (is(w.at[0], "CHART")) {
        see_chart(capture, &w);
    } else if (is(w.at[0], "DIMENSION")) {
        see_dimension(capture->current, &w);
    } else if (is(w.at[0], "BEGIN")) {
        capture->current = find_chart(capture, w.at[1]);
        qr_arith_begin(&capture->current->chart, (uint64_t)int_of(w.at[2]), capture->now_us);
    } else if (is(w.at[0], "SET")) {
        qr_arith_set(&capture->current->dims[find_dim(capture->current, w.at[1])], int_of(w.at[2]));
    } else if (is(w.at[0], "END")) {
        qr_arith_end(&capture->current->chart, capture->current->dims, capture->current->n_dims,
                     capture->now_us, values, flags, take_live_row, capture->current);
    } else if (w.at[0].base[0] == 'R') {
        see_replay(capture, &w);
    }
}

/* "<unix time> <mark> <text>": our concern is what the child says, and new connections. */
static void see_record(struct capture *capture, char *record)
{
    char *mark = strchr(record, ' ');
    char *text = mark != NULL ? strchr(mark + 1, ' ') : NULL;
    if (text == NULL)
        return;
    if (strncmp(text, " accepted", 9) == 0)
        for (uint32_t i = 0; i < capture->n_charts; i++)
            capture->charts[i].n_dims = 0;
    if (mark[1] != '<' || mark[2] != ' ')
        return;
    capture->now_us = (int64_t)(strtod(record, NULL) * US);
    see_line(capture, qr_slice_of(text + 1, strlen(text + 1)));
}

static void replay_capture(struct capture *capture, const char *run)
{
    char path[256], record[8192];
    snprintf(path, sizeof path, "proto/tests/captures/%s.transcript", run);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    memset(capture, 0, sizeof *capture);
    while (fgets(record, sizeof record, file) != NULL)
        see_record(capture, record);
    fclose(file);
}

/* Columns of the child's table are names; one differs from its id. */
static uint32_t find_column(const struct capture_chart *chart, const char *name)
{
    const char *id = strcmp(name, "name md") == 0 ? "absmd" : name;
    uint32_t i = find_dim(chart, qr_slice_of(id, strlen(id)));
    assert_true(i < chart->n_dims);
    return i;
}

static int compare_cell(const struct capture_chart *chart, int64_t end_s, uint32_t i_dim,
                        const char *cell)
{
    if (end_s < chart->first_s)
        return 0; /* Before this parent was asked. */
    double got =
        end_s - chart->first_s < POINTS_MAX ? chart->points[end_s - chart->first_s][i_dim] : NAN;
    bool missing = strncmp(cell, "null", 4) == 0;
    double want = missing ? NAN : strtod(cell, NULL);
    if (isnan(got) != missing || fabs(got - want) > fmax(1e-6, 1e-6 * fabs(want)))
        fail_msg("%s.%s at %" PRId64 ": %.9g is not %.9g", chart->id, chart->names[i_dim], end_s,
                 got, want);
    return 1;
}

/* The next non-empty cell of a row of JSON. */
static char *next_cell(char **rest)
{
    char *cell;
    do
        cell = strsep(rest, "[]\",: \n");
    while (cell != NULL && *cell == '\0');
    return cell;
}

/* The number of points that are equal; all others fail the test. */
static int compare_chart(const struct capture_chart *chart, const char *run)
{
    char path[256], line[1024];
    uint32_t columns[DIMS_MAX], n_columns = 0;
    int n_equal = 0;
    snprintf(path, sizeof path, "proto/tests/captures/db/%s.%s.json", run, chart->id);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0; /* The child's own charts have no copy. */
    while (fgets(line, sizeof line, file) != NULL) {
        char *rest = line;
        char *cell = next_cell(&rest);
        if (cell != NULL && strcmp(cell, "labels") == 0) {
            next_cell(&rest); /* time */
            while ((cell = strsep(&rest, "\",]\n")) != NULL)
                if (*cell != '\0')
                    columns[n_columns++] = find_column(chart, cell);
        } else if (cell != NULL && strtoll(cell, NULL, 10) > 0) {
            int64_t end_s = strtoll(cell, NULL, 10);
            for (uint32_t i = 0; i < n_columns; i++)
                n_equal += compare_cell(chart, end_s, columns[i], next_cell(&rest));
        }
    }
    fclose(file);
    return n_equal;
}

static void equals_the_database_of_a_real_child(void **state)
{
    static const struct {
        const char *run;
        int n_points;
    } runs[] = {{"137-plain", 1273}, {"137-outage-heal", 1807}};
    static struct capture capture;
    (void)state;
    for (size_t r = 0; r < sizeof runs / sizeof *runs; r++) {
        int n_equal = 0;
        replay_capture(&capture, runs[r].run);
        for (uint32_t i = 0; i < capture.n_charts; i++)
            n_equal += compare_chart(&capture.charts[i], runs[r].run);
        assert_int_equal(n_equal, runs[r].n_points);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calculates_one_step),
        cmocka_unit_test(shares_percentages_among_the_updated),
        cmocka_unit_test(interpolates_counters_over_the_grid),
        cmocka_unit_test(keeps_what_falls_into_one_interval),
        cmocka_unit_test(fills_two_points_after_a_pause),
        cmocka_unit_test(shares_out_a_counter_after_a_pause),
        cmocka_unit_test(marks_a_reset_at_the_first_point_only),
        cmocka_unit_test(forgets_a_chart_after_a_long_silence),
        cmocka_unit_test(takes_every_duration),
        cmocka_unit_test(needs_two_samples_for_the_first_point),
        cmocka_unit_test(follows_the_arrival_clock_while_it_must),
        cmocka_unit_test(omits_rows_without_values),
        cmocka_unit_test(continues_after_a_replay),
        cmocka_unit_test(equals_a_slow_model),
        cmocka_unit_test(equals_the_database_of_a_real_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
