#include "storage/rollup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

uint32_t qr_tier_step(unsigned tier)
{
    return tier == 1 ? QR_TIER1_STEP_S : tier == 2 ? QR_TIER2_STEP_S : 0;
}

/* ---- one point ---- */

#define POWER_MAX (QR_VALUE_EXPONENT_MAX - QR_VALUE_EXPONENT_MIN)

static qr_i128 scale(int64_t m, int exponent)
{
    static const int64_t powers[] = {1,       10,       100,       1000,       10000,      100000,
                                     1000000, 10000000, 100000000, 1000000000, 10000000000};
    int power = exponent - QR_VALUE_EXPONENT_MIN;
    assert(power >= 0 && power <= POWER_MAX);
    /* In two steps: 10^21 is wider than 64 bits. */
    int first = power < 10 ? power : 10, rest = power - first;
    int64_t low = m * powers[first]; /* 2^24 * 10^10 < 2^63 */
    qr_i128 v = low;
    for (; rest > 0; rest -= 10)
        v *= powers[rest < 10 ? rest : 10];
    return v;
}

qr_i128 qr_value_scaled(uint32_t value)
{
    return scale(qr_value_mantissa(value), qr_value_exponent(value));
}

/* The one form of the number, without flags; EMPTY: it is none. */
static uint32_t number_of(uint32_t value)
{
    value &= ~QR_VALUE_FLAGS;
    if (qr_value_is_canonical(value))
        return value;
    int exponent = qr_value_exponent(value);
    return exponent <= QR_VALUE_EXPONENT_MAX
               ? qr_value_of_decimal(qr_value_mantissa(value), exponent)
               : QR_VALUE_EMPTY;
}

static void widen(struct qr_point *point, uint32_t min, qr_i128 scaled_min, uint32_t max,
                  qr_i128 scaled_max)
{
    if (point->count == 0 || scaled_min < qr_value_scaled(point->min))
        point->min = min;
    if (point->count == 0 || scaled_max > qr_value_scaled(point->max))
        point->max = max;
}

void qr_point_add_value(struct qr_point *point, uint32_t value)
{
    uint32_t number = number_of(value);
    if (qr_value_is_empty(value) || qr_value_is_empty(number))
        return;
    qr_i128 scaled = qr_value_scaled(number);
    if (point->count == 0 || (number != point->min && number != point->max))
        widen(point, number, scaled, number, scaled);
    point->sum += scaled;
    point->count++;
    point->anomalies += (value & QR_VALUE_ANOMALOUS) != 0;
}

void qr_point_add(struct qr_point *point, const struct qr_point *other)
{
    if (other->count == 0)
        return;
    widen(point, other->min, qr_value_scaled(other->min), other->max, qr_value_scaled(other->max));
    point->sum += other->sum;
    point->count += other->count;
    point->anomalies += other->anomalies;
}

double qr_point_sum(const struct qr_point *point)
{
    /* Apart, so that the fraction of a large sum is not lost before the division. */
    qr_i128 whole = point->sum / 10000000, rest = point->sum % 10000000;
    return (double)whole + (double)rest / 1e7;
}

/* ---- many ---- */

void qr_points_release(struct qr_points *points)
{
    free(points->at);
    *points = (struct qr_points){0};
}

int qr_points_reset(struct qr_points *points, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                    uint32_t n_dims)
{
    size_t n = (size_t)n_rows * n_dims;
    if (n > points->capacity) {
        struct qr_point *at = malloc(n * sizeof *at);
        if (at == NULL)
            return UV_ENOMEM;
        free(points->at);
        points->at = at;
        points->capacity = n;
    }
    if (n != 0)
        memset(points->at, 0, n * sizeof *points->at);
    points->first_s = first_s;
    points->step_s = step_s;
    points->n_rows = n_rows;
    points->n_dims = n_dims;
    return 0;
}

int qr_points_span(struct qr_points *points, uint32_t step_s, int64_t from_s, int64_t to_s,
                   uint32_t n_dims)
{
    int64_t first = qr_point_end(from_s, step_s), last = qr_point_end(to_s, step_s);
    return qr_points_reset(points, first, step_s, (uint32_t)((last - first) / step_s + 1), n_dims);
}

/* Which of the values end in (end_s - step_s, end_s]: [*low, *high). */
static void values_of_point(int64_t end_s, uint32_t step_s, const struct qr_columns *values,
                            uint32_t *low, uint32_t *high)
{
    int64_t before = end_s - step_s - values->first_s, until = end_s - values->first_s;
    int64_t from = before < 0 ? 0 : before / values->step_s + 1;
    int64_t to = until < 0 ? 0 : until / values->step_s + 1;
    *low = (uint32_t)(from < values->n_rows ? from : values->n_rows);
    *high = (uint32_t)(to < values->n_rows ? to : values->n_rows);
}

void qr_points_add_values(struct qr_points *points, const struct qr_columns *values)
{
    for (uint32_t row = 0; row < points->n_rows; row++) {
        uint32_t low, high;
        int64_t end_s = points->first_s + (int64_t)row * points->step_s;
        values_of_point(end_s, points->step_s, values, &low, &high);
        for (uint32_t d = 0; d < values->n_dims && d < points->n_dims && low < high; d++) {
            struct qr_point *point = qr_points_at(points, row, d);
            const uint32_t *column = values->at + (size_t)d * values->stride;
            for (uint32_t i = low; i < high; i++)
                qr_point_add_value(point, column[i]);
        }
    }
}

void qr_points_add_grid(struct qr_points *points, const struct qr_grid *grid)
{
    const struct qr_columns values = {grid->first_s, grid->step_s, grid->n_rows,
                                      grid->n_dims,  grid->n_rows, grid->values};
    assert(grid->n_dims <= points->n_dims);
    qr_points_add_values(points, &values);
}

void qr_points_add_points(struct qr_points *points, const struct qr_points *finer)
{
    assert(points->step_s % finer->step_s == 0);
    for (uint32_t i = 0; i < finer->n_rows; i++) {
        int64_t end_s = finer->first_s + (int64_t)i * finer->step_s;
        int64_t ahead_s = qr_point_end(end_s, points->step_s) - points->first_s;
        if (ahead_s < 0 || ahead_s / points->step_s >= points->n_rows)
            continue;
        for (uint32_t d = 0; d < finer->n_dims && d < points->n_dims; d++)
            qr_point_add(qr_points_at(points, (uint32_t)(ahead_s / points->step_s), d),
                         qr_points_at(finer, i, d));
    }
}
