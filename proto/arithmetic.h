/* proto/arithmetic.h — what a v1 child's raw integers become: BEGIN, SET, END to stored points.
 *
 * A sender without INTERPOLATED (Netdata up to 1.38) sends what its collectors read.  The parent
 * turns it into points on the chart's grid (ends are multiples of update_every) by the rules of a
 * Netdata 1.37.1 parent, which are those the child stores by itself:
 *
 *   BEGIN usec    duration since the last collection.  It is trusted when it is not 0 and the clock
 *                 is known and need not be synchronised; else the parent's arrival clock rules.
 *   SET dim raw   the value of this collection.
 *   END           last_collected += duration; each algorithm gives a value `calc` for the time
 *                 since the last collection; then every grid point up to last_collected is written.
 *                   absolute      calc = raw * multiplier / divisor
 *                   incremental   calc = difference * multiplier / divisor, shared out over the
 *                                 points by time; what lies behind the last point is kept.  A
 *                                 smaller raw is an overflow of 32 or 64 bits if the distance is
 *                                 below 10 % of the range, else a reset (no difference).
 *                   percentages   of the row's sum, of values or of differences (no factors)
 *                 If several points are due (a pause), only the last two get values, interpolated;
 *                 the ones before are missing.  The first sample of a dimension gives none.
 *   R* lines      put the chart's clock and the dimensions where the child's own are, so that the
 *                 first live point follows the last replayed one.
 *
 * Rows without any value are not emitted: to the store they are what no row is.  So one END emits
 * three rows at most (two, with a clock on the grid), whatever the child claims to have paused for.
 *
 * A chart whose last_collected runs more than QR_ARITH_SILENCE_POINTS_MAX points ahead of its last
 * point (the rule of Netdata's dbengine) is reset: nothing is written, the dimensions are new, and
 * the next END starts the clock again, aligned as a new chart's.  Netdata takes the arrival clock
 * there; we go on from the chart's own, which is the child's.  Only a time behind
 * QR_ARITH_TIME_MAX_US makes us take the arrival clock.
 *
 * The structs are embedded by the owner; nothing is allocated.  Thread: any, one at a time. */
#ifndef QR_PROTO_ARITHMETIC_H
#define QR_PROTO_ARITHMETIC_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/stream.h"

/* dbengine's page: 1024 points.  A longer silence resets the chart. */
#define QR_ARITH_SILENCE_POINTS_MAX 1024
/* No clock goes beyond the year 2255: sums of two times and a duration stay in 64 bits. */
#define QR_ARITH_TIME_MAX_US (INT64_C(1) << 53)

struct qr_arith_chart {
    uint32_t update_every;     /* s, 1 .. QR_UPDATE_EVERY_MAX. */
    bool store_first;          /* The chart's option: its first sample is stored. */
    bool sync;                 /* The next BEGIN takes the arrival clock. */
    bool done;                 /* Collected or replayed since the start or a reset. */
    bool realign;              /* The next END starts the clock again. */
    int64_t last_collected_us; /* 0: not known yet. */
    int64_t last_updated_us;   /* End of the last point, whole seconds; 0: none. */
    int64_t duration_us;       /* From BEGIN to END. */
};

/* One cache line: END walks an array of them. */
struct qr_arith_dim {
    double multiplier;
    double divisor;
    int64_t raw;       /* Of this collection, if updated. */
    int64_t last;      /* Of the one before. */
    uint64_t max;      /* Largest |raw| so far: 32 or 64 bit counter. */
    double calc;       /* Within END only. */
    double lastcalc;   /* incremental: not yet stored; else the last calc. */
    uint32_t n;        /* Values so far, replayed ones too. */
    uint8_t algorithm; /* enum qr_algorithm */
    bool noreset;      /* The dimension's option: no QR_STREAM_RESET on its account. */
    bool updated;      /* SET since the last END. */
};

/* A new chart: its clock is not known, the next BEGIN synchronises. */
void qr_arith_chart_init(struct qr_arith_chart *chart, uint32_t update_every, bool store_first);

/* CHART was sent again. */
void qr_arith_chart_redefine(struct qr_arith_chart *chart, uint32_t update_every, bool store_first);

/* A new dimension.  `divisor` is not 0. */
void qr_arith_dim_init(struct qr_arith_dim *dim, enum qr_algorithm algorithm, int64_t multiplier,
                       int64_t divisor, bool noreset);

/* DIMENSION was sent again: the definition changes, the state stays. */
void qr_arith_dim_redefine(struct qr_arith_dim *dim, enum qr_algorithm algorithm,
                           int64_t multiplier, int64_t divisor, bool noreset);

/* BEGIN.  `now_us` is the arrival time by the parent's wall clock. */
void qr_arith_begin(struct qr_arith_chart *chart, uint64_t usec, int64_t now_us);

/* SET.  One with an empty value must not come here. */
static inline void qr_arith_set(struct qr_arith_dim *dim, int64_t raw)
{
    uint64_t magnitude = raw < 0 ? UINT64_C(0) - (uint64_t)raw : (uint64_t)raw;
    if (magnitude > dim->max)
        dim->max = magnitude;
    dim->raw = raw;
    dim->updated = true;
    dim->n++;
}

/* A row of END: `values` and `flags` are the caller's arrays.  A value is finite or NAN with
 * QR_STREAM_EMPTY; QR_STREAM_RESET marks every value of the row, as 1.37 does. */
typedef void (*qr_arith_emit_cb)(void *data, int64_t end_s, const double *values,
                                 const uint8_t *flags);

/* END.  `values` and `flags` are scratch of n_dims cells.  `emit` is called for each row that has a
 * value, in ascending order; at most three times. */
void qr_arith_end(struct qr_arith_chart *chart, struct qr_arith_dim *dims, uint32_t n_dims,
                  int64_t now_us, double *values, uint8_t *flags, qr_arith_emit_cb emit,
                  void *data);

/* ---- replayed points; not for answers to healing requests (qr_replication_sets_clock) ---- */

/* RBEGIN with times: the chart's clock is `end_s` now. */
void qr_arith_replay_point(struct qr_arith_chart *chart, int64_t end_s);

/* RSET, empty ones too. */
static inline void qr_arith_replay_value(struct qr_arith_dim *dim)
{
    dim->n++;
}

/* RDSTATE's first three numbers.  A dimension that the child has collected is not new to us, even
 * if the answer had no points: so its next sample is stored, as it is by the child. */
void qr_arith_replay_dim_state(struct qr_arith_dim *dim, int64_t last_collected_us,
                               int64_t last_raw, double last_calculated);

/* RSSTATE: a time is taken if it is newer than ours. */
void qr_arith_replay_chart_state(struct qr_arith_chart *chart, int64_t last_collected_us,
                                 int64_t last_updated_us);

/* REND.  With `streaming` ("true") the interval is the child's and the clock is in step. */
void qr_arith_replay_end(struct qr_arith_chart *chart, uint32_t update_every, bool streaming);

#endif
