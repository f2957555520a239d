#include "proto/arithmetic.h"

#include <assert.h>
#include <math.h>

#include "base/limits.h"

#define SECOND INT64_C(1000000)

/* Netdata's "gap when lost iterations above" is 1; points with as many or more still to come get no
 * value. */
#define POINTS_WITH_VALUES 3

/* What is known between the start of END and its last point. */
struct round {
    int64_t interval_us; /* update_every */
    int64_t collect_us;  /* Begin of the time that `calc` is of. */
    int64_t stored_us;   /* End of the last point. */
    int64_t next_us;     /* End of the next point. */
    int64_t now_us;      /* End of the time that `calc` is of. */
    bool store;          /* The chart's first sample only starts its clock. */
    bool first;          /* There was no time before this collection. */
    bool reset;
};

static int64_t interval_us(const struct qr_arith_chart *chart)
{
    return (int64_t)chart->update_every * SECOND;
}

static int64_t to_seconds(int64_t us)
{
    return us - us % SECOND;
}

static int64_t to_grid(const struct qr_arith_chart *chart, int64_t us)
{
    return us - us % interval_us(chart);
}

/* Where in its interval a new chart's clock starts: far from the edges. */
static int64_t align(const struct qr_arith_chart *chart, int64_t us)
{
    return to_grid(chart, us) + (chart->store_first ? 0 : SECOND / 2);
}

static int64_t clamp_time(int64_t us)
{
    if (us < 0)
        return 0;
    return us < QR_ARITH_TIME_MAX_US ? us : QR_ARITH_TIME_MAX_US;
}

static void check_interval(uint32_t update_every)
{
    assert(update_every >= 1);
    assert(update_every <= QR_UPDATE_EVERY_MAX);
}

void qr_arith_chart_init(struct qr_arith_chart *chart, uint32_t update_every, bool store_first)
{
    check_interval(update_every);
    *chart = (struct qr_arith_chart){
        .update_every = update_every, .store_first = store_first, .sync = true};
}

void qr_arith_chart_redefine(struct qr_arith_chart *chart, uint32_t update_every, bool store_first)
{
    check_interval(update_every);
    chart->update_every = update_every;
    chart->store_first = store_first;
    chart->sync = true;
}

void qr_arith_dim_init(struct qr_arith_dim *dim, enum qr_algorithm algorithm, int64_t multiplier,
                       int64_t divisor, bool noreset)
{
    *dim = (struct qr_arith_dim){0};
    qr_arith_dim_redefine(dim, algorithm, multiplier, divisor, noreset);
}

void qr_arith_dim_redefine(struct qr_arith_dim *dim, enum qr_algorithm algorithm,
                           int64_t multiplier, int64_t divisor, bool noreset)
{
    assert(divisor != 0);
    dim->algorithm = (uint8_t)algorithm;
    dim->multiplier = (double)multiplier;
    dim->divisor = (double)divisor;
    dim->noreset = noreset;
}

/* The clock of a chart whose time is the parent's. */
static int64_t duration_by_arrival(struct qr_arith_chart *chart, int64_t now_us)
{
    int64_t interval = interval_us(chart);
    if (chart->last_collected_us == 0)
        return interval;
    int64_t late = now_us - chart->last_collected_us;
    if (late >= 0)
        return late;
    if (late > -interval)
        return 0; /* Ahead, as an aligned clock is at first: let the time catch up. */
    chart->last_collected_us = align(chart, clamp_time(now_us - interval));
    chart->last_updated_us = to_grid(chart, clamp_time(now_us - interval));
    return interval;
}

void qr_arith_begin(struct qr_arith_chart *chart, uint64_t usec, int64_t now_us)
{
    if (!chart->done) {
        chart->duration_us = 0; /* END starts the clock. */
        return;
    }
    if (usec != 0 && chart->last_collected_us != 0 && !chart->sync) {
        chart->duration_us =
            usec < (uint64_t)QR_ARITH_TIME_MAX_US ? (int64_t)usec : QR_ARITH_TIME_MAX_US;
        return;
    }
    chart->sync = false;
    chart->duration_us = duration_by_arrival(chart, clamp_time(now_us));
}

/* ---- END: the clock ---- */

static void reset_dims(struct qr_arith_dim *dims, uint32_t n_dims)
{
    for (uint32_t i = 0; i < n_dims; i++)
        dims[i].n = 0;
}

/* After a silence that is too long: the next END starts the clock, at the chart's own time. */
static void reset_chart(struct qr_arith_chart *chart, struct qr_arith_dim *dims, uint32_t n_dims)
{
    reset_dims(dims, n_dims);
    chart->last_updated_us = to_grid(chart, chart->last_collected_us);
    chart->realign = true;
}

static void start_clock(struct qr_arith_chart *chart, struct round *round, int64_t at_us)
{
    chart->last_collected_us = align(chart, at_us);
    chart->last_updated_us = 0;
    round->collect_us = chart->last_collected_us - round->interval_us;
    round->store = false;
    round->first = true;
}

static void advance_clock(struct qr_arith_chart *chart, struct round *round, int64_t now_us)
{
    int64_t then_us = chart->last_collected_us;
    int64_t at_us = then_us + chart->duration_us;
    if (then_us != 0 && at_us > QR_ARITH_TIME_MAX_US)
        then_us = 0; /* Not a time of this world. */
    if (then_us == 0) {
        start_clock(chart, round, clamp_time(now_us));
    } else if (chart->realign) {
        start_clock(chart, round, at_us);
    } else {
        round->collect_us = then_us;
        chart->last_collected_us = at_us;
    }
    chart->realign = false;
    chart->duration_us = 0;
}

static int64_t first_updated_us(const struct qr_arith_chart *chart)
{
    int64_t at_us = to_grid(chart, chart->last_collected_us);
    return chart->store_first ? clamp_time(at_us - interval_us(chart)) : at_us;
}

/* False if the silence was too long: nothing more is to be done. */
static bool start_round(struct qr_arith_chart *chart, struct round *round, int64_t now_us)
{
    *round = (struct round){.interval_us = interval_us(chart), .store = true};
    advance_clock(chart, round, now_us);
    if (chart->last_updated_us == 0) {
        chart->last_updated_us = first_updated_us(chart);
        round->store = false;
        round->first = true;
    }
    if (chart->last_collected_us - chart->last_updated_us >
        QR_ARITH_SILENCE_POINTS_MAX * round->interval_us)
        return false;
    if (!chart->done) {
        chart->last_updated_us = first_updated_us(chart);
        round->store = chart->store_first;
        if (chart->store_first)
            round->collect_us = chart->last_updated_us;
    }
    chart->done = true;
    round->now_us = chart->last_collected_us;
    round->stored_us = chart->last_updated_us;
    round->next_us = to_seconds(round->stored_us) + round->interval_us;
    return true;
}

/* ---- END: the algorithms ---- */

struct totals {
    int64_t now, last;
};

static int64_t add_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t subtract_wrapping(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static struct totals sum_row(struct qr_arith_dim *dims, uint32_t n_dims, bool *reset)
{
    struct totals totals = {0, 0};
    for (uint32_t i = 0; i < n_dims; i++) {
        struct qr_arith_dim *dim = &dims[i];
        if (!dim->updated)
            continue;
        if (dim->algorithm == QR_ALGORITHM_PCENT_DELTA && dim->last > dim->raw) {
            *reset |= !dim->noreset;
            dim->last = dim->raw;
        }
        totals.last = add_wrapping(totals.last, dim->last);
        totals.now = add_wrapping(totals.now, dim->raw);
    }
    return totals;
}

/* How far a counter went.  A smaller value is an overflow if that makes the way short, else the
 * counter was reset.  The way through an overflow is one less than it should be: so is Netdata's.
 */
static double counter_difference(const struct qr_arith_dim *dim, bool *reset)
{
    uint64_t last = (uint64_t)dim->last;
    uint64_t raw = (uint64_t)dim->raw;
    if (last <= raw)
        return (double)subtract_wrapping(dim->raw, dim->last);
    *reset |= !dim->noreset;
    uint64_t cap = dim->max > UINT32_MAX ? UINT64_MAX : UINT32_MAX;
    uint64_t difference = cap - last + raw;
    return difference < cap / 100 * 10 ? (double)difference : 0.0;
}

static double percent_of_delta(const struct qr_arith_dim *dim, struct totals totals)
{
    if (dim->n <= 1 || totals.now == totals.last)
        return 0.0;
    return 100.0 * (double)subtract_wrapping(dim->raw, dim->last) /
           (double)subtract_wrapping(totals.now, totals.last);
}

static void calculate(struct qr_arith_dim *dim, struct totals totals, bool *reset)
{
    dim->calc = 0.0;
    if (!dim->updated)
        return;
    switch ((enum qr_algorithm)dim->algorithm) {
    case QR_ALGORITHM_ABSOLUTE:
        dim->calc = (double)dim->raw * dim->multiplier / dim->divisor;
        break;
    case QR_ALGORITHM_INCREMENTAL:
        if (dim->n > 1)
            dim->calc = counter_difference(dim, reset) * dim->multiplier / dim->divisor;
        break;
    case QR_ALGORITHM_PCENT_ROW:
        if (totals.now != 0)
            dim->calc = 100.0 * (double)dim->raw / (double)totals.now;
        break;
    case QR_ALGORITHM_PCENT_DELTA:
        dim->calc = percent_of_delta(dim, totals);
        break;
    }
}

/* ---- END: the points ---- */

/* Takes what a counter did until the point's end.  Netdata multiplies before it divides; so do we,
 * to round as it does. */
static double incremental_value(const struct round *round, struct qr_arith_dim *dim)
{
    int64_t whole_us = round->now_us - round->collect_us;
    double value = dim->calc;
    if (whole_us != 0)
        value = dim->calc * (double)(round->next_us - round->collect_us) / (double)whole_us;
    dim->calc -= value;
    value += dim->lastcalc;
    dim->lastcalc = 0.0;
    const int64_t interval_s = round->interval_us / SECOND;
    value /= (double)interval_s;
    int64_t width_us = round->next_us - round->stored_us;
    if (width_us < round->interval_us)
        value = value * (double)round->interval_us / (double)width_us;
    return value;
}

static double other_value(const struct round *round, const struct qr_arith_dim *dim,
                          int64_t n_points)
{
    int64_t whole_us = round->now_us - round->collect_us;
    if (n_points == 1 || whole_us == 0)
        return dim->calc;
    return (dim->calc - dim->lastcalc) * (double)(round->next_us - round->collect_us) /
               (double)whole_us +
           dim->lastcalc;
}

/* Points without values up to `end_us`: of what happened until then nothing is kept. */
static void skip_points(struct round *round, struct qr_arith_dim *dims, uint32_t n_dims,
                        int64_t end_us)
{
    int64_t whole_us = round->now_us - round->collect_us;
    double rest = whole_us != 0 ? (double)(round->now_us - end_us) / (double)whole_us : 0.0;
    for (uint32_t i = 0; i < n_dims; i++) {
        if (dims[i].algorithm != QR_ALGORITHM_INCREMENTAL)
            continue;
        dims[i].calc *= rest;
        dims[i].lastcalc = 0.0;
    }
    round->reset = false;
    round->stored_us = end_us;
    round->collect_us = end_us;
    round->next_us = end_us + round->interval_us;
}

/* Fills the row of the next point; false if it has no value. */
static bool fill_row(const struct round *round, struct qr_arith_dim *dims, uint32_t n_dims,
                     int64_t n_points, double *values, uint8_t *flags)
{
    bool any = false;
    uint8_t flag = round->reset ? QR_STREAM_RESET : 0;
    for (uint32_t i = 0; i < n_dims; i++) {
        struct qr_arith_dim *dim = &dims[i];
        double value = dim->algorithm == QR_ALGORITHM_INCREMENTAL
                           ? incremental_value(round, dim)
                           : other_value(round, dim, n_points);
        if (dim->updated && dim->n > 1 && isfinite(value)) {
            values[i] = value;
            flags[i] = flag;
            any = true;
        } else {
            values[i] = NAN;
            flags[i] = QR_STREAM_EMPTY;
        }
    }
    return any;
}

static void store_points(struct round *round, struct qr_arith_dim *dims, uint32_t n_dims,
                         double *values, uint8_t *flags, qr_arith_emit_cb emit, void *data)
{
    if (round->next_us > round->now_us)
        return;
    /* Netdata's count of the points to come, which is one too high if a point ends now. */
    int64_t n_points = (round->now_us - round->stored_us) / round->interval_us +
                       (round->now_us % round->interval_us == 0 ? 1 : 0);
    int64_t n_due = (round->now_us - round->next_us) / round->interval_us + 1;
    int64_t n_skipped = round->store ? n_points - POINTS_WITH_VALUES + 1 : n_due;
    if (n_skipped > n_due)
        n_skipped = n_due;
    if (n_skipped > 0) {
        skip_points(round, dims, n_dims, round->next_us + (n_skipped - 1) * round->interval_us);
        n_points -= n_skipped;
    }
    for (; round->next_us <= round->now_us; n_points--) {
        if (fill_row(round, dims, n_dims, n_points, values, flags))
            emit(data, round->next_us / SECOND, values, flags);
        round->reset = false;
        round->stored_us = round->next_us;
        round->collect_us = round->next_us;
        round->next_us += round->interval_us;
    }
}

static void finish_dim(const struct round *round, struct qr_arith_dim *dim)
{
    if (!dim->updated)
        return;
    dim->last = dim->raw;
    if (dim->algorithm != QR_ALGORITHM_INCREMENTAL)
        dim->lastcalc = dim->calc;
    else if (!round->first)
        dim->lastcalc += dim->calc;
    dim->updated = false;
}

void qr_arith_end(struct qr_arith_chart *chart, struct qr_arith_dim *dims, uint32_t n_dims,
                  int64_t now_us, double *values, uint8_t *flags, qr_arith_emit_cb emit, void *data)
{
    struct round round;
    bool in_time = start_round(chart, &round, now_us);
    if (!in_time)
        reset_chart(chart, dims, n_dims);

    struct totals totals = sum_row(dims, n_dims, &round.reset);
    for (uint32_t i = 0; i < n_dims; i++)
        calculate(&dims[i], totals, &round.reset);
    if (in_time) {
        store_points(&round, dims, n_dims, values, flags, emit, data);
        chart->last_updated_us = round.stored_us;
    }
    for (uint32_t i = 0; i < n_dims; i++)
        finish_dim(&round, &dims[i]);
}

/* ---- replayed points ---- */

void qr_arith_replay_point(struct qr_arith_chart *chart, int64_t end_s)
{
    int64_t end_us =
        end_s < QR_ARITH_TIME_MAX_US / SECOND ? clamp_time(end_s) * SECOND : QR_ARITH_TIME_MAX_US;
    chart->last_collected_us = end_us;
    chart->last_updated_us = end_us;
    chart->done = true;
    chart->realign = false;
}

void qr_arith_replay_dim_state(struct qr_arith_dim *dim, int64_t last_collected_us,
                               int64_t last_raw, double last_calculated)
{
    if (last_collected_us > 0 && dim->n == 0)
        dim->n = 1;
    dim->last = last_raw;
    dim->lastcalc = isfinite(last_calculated) ? last_calculated : 0.0;
}

void qr_arith_replay_chart_state(struct qr_arith_chart *chart, int64_t last_collected_us,
                                 int64_t last_updated_us)
{
    last_collected_us = clamp_time(last_collected_us);
    last_updated_us = clamp_time(last_updated_us);
    if (last_collected_us > chart->last_collected_us)
        chart->last_collected_us = last_collected_us;
    if (last_updated_us > chart->last_updated_us)
        chart->last_updated_us = last_updated_us;
    chart->done = true;
    chart->realign = false;
}

void qr_arith_replay_end(struct qr_arith_chart *chart, uint32_t update_every, bool streaming)
{
    chart->done = true;
    if (!streaming)
        return;
    check_interval(update_every);
    chart->update_every = update_every;
    chart->sync = false;
}
