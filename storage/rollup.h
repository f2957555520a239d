/* storage/rollup.h — points: what is kept of a series when its single values are no longer needed.
 *
 *   point that ends at t = the values whose end time is in (t - step_s, t], t a multiple of step_s:
 *   min, max, sum, how many, how many of them anomalous
 *
 * Sums are integers in units of 10^-7, the finest step a value has, in 128 bits: the largest value
 * is below 2^94 of them, so no sum of a tier can overflow, none is rounded, and the order in which
 * values come does not matter.  So points that lie on both sides of a file's border are kept in
 * parts, one in each file, and added when they are read.
 *
 * Thread: the owner's. */
#ifndef QR_STORAGE_ROLLUP_H
#define QR_STORAGE_ROLLUP_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "storage/grid.h"
#include "storage/value.h"

#define QR_TIER1_STEP_S 60u
#define QR_TIER2_STEP_S 3600u

struct qr_point {
    qr_i128 sum;
    uint32_t min, max; /* Values without flags; meaningless if there are none. */
    uint32_t count;    /* 0: no point. */
    uint32_t anomalies;
};

/* Points on a grid of time: row i ends at first_s + i * step_s, a dimension's rows together. */
struct qr_points {
    int64_t first_s;
    uint32_t step_s;
    uint32_t n_rows;
    uint32_t n_dims;
    struct qr_point *at;
    size_t capacity;
};

static inline struct qr_point *qr_points_at(const struct qr_points *points, uint32_t row,
                                            uint32_t dim)
{
    return points->at + (size_t)dim * points->n_rows + row;
}

/* The step of a tier's points; 0: tier 0 has none. */
uint32_t qr_tier_step(unsigned tier);

/* The end of the point that a value belongs to. */
static inline int64_t qr_point_end(int64_t end_s, uint32_t step_s)
{
    return (end_s + step_s - 1) / step_s * step_s;
}

/* A value as an integer in units of 10^-7; it is not EMPTY. */
qr_i128 qr_value_scaled(uint32_t value);

/* What is no value of Netdata's set counts for nothing. */
void qr_point_add_value(struct qr_point *point, uint32_t value);
void qr_point_add(struct qr_point *point, const struct qr_point *other);

double qr_point_sum(const struct qr_point *point);

void qr_points_release(struct qr_points *points);
/* Sets its shape and empties all points.  0 or UV_ENOMEM. */
int qr_points_reset(struct qr_points *points, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                    uint32_t n_dims);
/* An empty set for all values, or points, that end in [from_s, to_s].  0 or UV_ENOMEM. */
int qr_points_span(struct qr_points *points, uint32_t step_s, int64_t from_s, int64_t to_s,
                   uint32_t n_dims);

/* Values of some dimensions on a grid of time, a column each, `stride` apart. */
struct qr_columns {
    int64_t first_s;
    uint32_t step_s, n_rows, n_dims, stride;
    const uint32_t *at;
};

/* Adds what lies in the rows and dimensions of `points`; the rest is left out. */
void qr_points_add_values(struct qr_points *points, const struct qr_columns *values);
void qr_points_add_grid(struct qr_points *points, const struct qr_grid *grid);
/* The same for finer points (or as fine ones: parts of the same). */
void qr_points_add_points(struct qr_points *points, const struct qr_points *finer);

#endif
