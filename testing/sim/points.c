#include "testing/sim/points.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/rollup.h"
#include "storage/tier_query.h"
#include "testing/verify.h"

void qr_sim_points_init(struct qr_sim_points *points, int64_t from_s, int64_t to_s, uint32_t n_dims)
{
    *points = (struct qr_sim_points){.n_dims = n_dims};
    for (unsigned tier = 1; tier < QR_TIERS; tier++) {
        int64_t step_s = qr_tier_step(tier);
        int64_t first_s = qr_point_end(from_s - 1, (uint32_t)step_s) + step_s;
        int64_t last_s = qr_point_end(to_s, (uint32_t)step_s);
        points->first_s[tier] = first_s;
        points->n_rows[tier] = last_s >= first_s ? (uint32_t)((last_s - first_s) / step_s + 1) : 0;
        points->at[tier] =
            calloc((size_t)points->n_rows[tier] * n_dims + 1, sizeof *points->at[tier]);
        assert(points->at[tier] != NULL);
    }
}

void qr_sim_points_release(struct qr_sim_points *points)
{
    for (unsigned tier = 1; tier < QR_TIERS; tier++)
        free(points->at[tier]);
    *points = (struct qr_sim_points){0};
}

/* ---- adding up ---- */

/* The points of second t, of all dimensions: many are told of one second. */
static void find_points(struct qr_sim_points *points, int64_t t)
{
    for (unsigned tier = 1; tier < QR_TIERS; tier++) {
        int64_t step_s = qr_tier_step(tier);
        int64_t ahead_s = qr_point_end(t, (uint32_t)step_s) - points->first_s[tier];
        points->told[tier] = ahead_s >= 0 && ahead_s / step_s < points->n_rows[tier]
                                 ? &points->at[tier][(size_t)(ahead_s / step_s) * points->n_dims]
                                 : NULL;
    }
    points->told_s = t;
}

/* NULL: it is none of these. */
static struct qr_sim_point *point_at(struct qr_sim_points *points, unsigned tier, int64_t t,
                                     uint32_t dim)
{
    if (points->told_s != t)
        find_points(points, t);
    return points->told[tier] != NULL ? points->told[tier] + dim : NULL;
}

void qr_sim_points_must(struct qr_sim_points *points, int64_t t, uint32_t dim, double value)
{
    for (unsigned tier = 1; tier < QR_TIERS; tier++) {
        struct qr_sim_point *point = point_at(points, tier, t, dim);
        if (point == NULL)
            continue;
        point->min = point->n == 0 || value < point->min ? value : point->min;
        point->max = point->n == 0 || value > point->max ? value : point->max;
        point->sum += value;
        point->size += fabs(value);
        point->n++;
    }
}

void qr_sim_points_may(struct qr_sim_points *points, int64_t t, uint32_t dim, double value)
{
    for (unsigned tier = 1; tier < QR_TIERS; tier++) {
        struct qr_sim_point *point = point_at(points, tier, t, dim);
        if (point == NULL)
            continue;
        point->may_min = point->n_may == 0 ? value : fmin(point->may_min, value);
        point->may_max = point->n_may == 0 ? value : fmax(point->may_max, value);
        point->low += fmin(value, 0);
        point->high += fmax(value, 0);
        point->size += fabs(value);
        point->n_may++;
    }
}

void qr_sim_points_unknown(struct qr_sim_points *points, int64_t t)
{
    for (unsigned tier = 1; tier < QR_TIERS; tier++)
        for (uint32_t dim = 0; dim < points->n_dims; dim++) {
            struct qr_sim_point *point = point_at(points, tier, t, dim);
            if (point != NULL)
                point->is_unknown = true;
        }
}

/* ---- comparing ---- */

static bool is_within(double v, double low, double high)
{
    return (v >= low && v <= high) || qr_verify_equal(v, low) || qr_verify_equal(v, high);
}

/* NULL: it is right. */
static const char *lack_of(const struct qr_sim_point *ought, const struct qr_point *is)
{
    double min = ought->min, max = ought->max;
    if (is->count < ought->n || is->count > ought->n + ought->n_may)
        return "count";
    if (is->anomalies != 0)
        return "anomalies"; /* No child says that there are any. */
    if (is->count == 0)
        return NULL;
    if (ought->n_may != 0) {
        min = ought->n == 0 ? ought->may_min : fmin(min, ought->may_min);
        max = ought->n == 0 ? ought->may_max : fmax(max, ought->may_max);
    }
    double near = 1e-6 * ought->size + 2e-7 * is->count, sum = qr_point_sum(is);
    if (sum < ought->sum + ought->low - near || sum > ought->sum + ought->high + near)
        return "sum";
    if (!is_within(qr_value_unpack(is->min), min, ought->n == 0 ? max : ought->min))
        return "smallest";
    return is_within(qr_value_unpack(is->max), ought->n == 0 ? min : ought->max, max) ? NULL
                                                                                      : "largest";
}

static bool compare_row(const struct qr_sim_points *points, unsigned tier, uint32_t row,
                        const struct qr_points *found, uint64_t *n, char *sentence, size_t bytes)
{
    long long end_s = found->first_s + (int64_t)row * found->step_s;
    for (uint32_t dim = 0; dim < points->n_dims; dim++) {
        const struct qr_sim_point *ought = &points->at[tier][(size_t)row * points->n_dims + dim];
        const struct qr_point *is = qr_points_at(found, row, dim);
        const char *lack = ought->is_unknown ? NULL : lack_of(ought, is);
        *n += !ought->is_unknown;
        if (lack == NULL)
            continue;
        snprintf(
            sentence, bytes,
            "dim %u: the point of tier %u that ends at %lld has another %s: it is of %u values "
            "of sum %.9g, [%.9g, %.9g], ought to be of %u (and %u that may be there) of sum "
            "%.9g, [%.9g, %.9g]",
            dim, tier, end_s, lack, is->count, qr_point_sum(is), qr_value_unpack(is->min),
            qr_value_unpack(is->max), ought->n, ought->n_may, ought->sum, ought->min, ought->max);
        return false;
    }
    return true;
}

static bool compare_tier(const struct qr_sim_points *points, unsigned tier,
                         struct qr_tier_reader *reader, struct qr_points *found, uint64_t *n,
                         char *sentence, size_t bytes)
{
    int64_t step_s = qr_tier_step(tier), first_s = points->first_s[tier];
    uint32_t n_rows = points->n_rows[tier];
    if (n_rows == 0)
        return true;
    int err = qr_tier_read(reader, tier, first_s, first_s + ((int64_t)n_rows - 1) * step_s, found);
    if (err == 0 && reader->n_bad != 0)
        return true; /* Found just now, and not served. */
    if (err != 0) {
        snprintf(sentence, bytes, "tier %u cannot be read: %s", tier, qr_strerror(err));
        return false;
    }
    assert(found->first_s == first_s && found->n_rows == n_rows);
    if (found->n_dims < points->n_dims) {
        snprintf(sentence, bytes, "points of tier %u are of %u dimensions", tier, found->n_dims);
        return false;
    }
    int64_t edge_s = qr_store_edge(reader->store, tier);
    for (uint32_t row = 0; row < n_rows; row++)
        if (first_s + ((int64_t)row - 1) * step_s >= edge_s &&
            !compare_row(points, tier, row, found, n, sentence, bytes))
            return false;
    return true;
}

bool qr_sim_points_compare(const struct qr_sim_points *points, struct qr_store *store,
                           const struct qr_chart *chart, uint64_t *n, char *sentence, size_t bytes)
{
    struct qr_tier_reader reader = {.store = store, .chart = chart};
    struct qr_points found = {0};
    bool right = true;
    for (unsigned tier = 1; tier < QR_TIERS && right; tier++)
        right = compare_tier(points, tier, &reader, &found, n, sentence, bytes);
    qr_points_release(&found);
    qr_tier_reader_release(&reader);
    return right;
}
