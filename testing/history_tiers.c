#include "testing/history_tiers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/merge.h"
#include "storage/tier_query.h"
#include "storage/value.h"

/* Points that are read at once: none is farther from the next than so many steps. */
#define GAP_MAX 20
#define RUN_MAX 500

struct check {
    const struct qr_history_table *table;
    struct qr_store *store;
    const struct qr_chart *chart;
    const struct qr_history_row **rows; /* Of the chart, by time. */
    uint32_t n;
    unsigned tier;
    bool knows_gone; /* Points of spans whose samples are gone. */
    int64_t step_s, span_s, day_s;
    int64_t edges[QR_TIERS];
    uint64_t n_points;
    char *sentence;
};

/* ---- a point, made again ---- */

struct made {
    qr_i128 sum, min, max;
    uint32_t count, anomalies;
};

/* In units of 10^-7. */
static qr_i128 scaled(uint32_t value)
{
    qr_i128 v = qr_value_mantissa(value);
    for (int e = qr_value_exponent(value); e > QR_VALUE_EXPONENT_MIN; e--)
        v *= 10;
    return v;
}

static void add(struct made *made, uint32_t value)
{
    if (qr_value_is_empty(value) || qr_value_exponent(value) > QR_VALUE_EXPONENT_MAX)
        return; /* Hostile bits that are no value. */
    qr_i128 v = scaled(value);
    made->min = made->count == 0 || v < made->min ? v : made->min;
    made->max = made->count == 0 || v > made->max ? v : made->max;
    made->sum += v;
    made->count++;
    made->anomalies += (value & QR_VALUE_ANOMALOUS) != 0;
}

static bool is_same(const struct made *made, const struct qr_point *point)
{
    if (made->count != point->count || made->count == 0)
        return made->count == point->count;
    return made->anomalies == point->anomalies && made->sum == point->sum &&
           made->min == scaled(point->min) && made->max == scaled(point->max);
}

static int64_t point_end(const struct check *check, const struct qr_history_row *row)
{
    int64_t rest = row->end_s % check->step_s;
    return rest == 0 ? row->end_s : row->end_s + check->step_s - rest;
}

/* ---- which points are known ---- */

static int64_t floor_to(int64_t t, int64_t step_s)
{
    return t - t % step_s;
}

/* All samples of (first_s, end_s] are there, or were when their points were made. */
static bool is_known(const struct check *check, int64_t end_s)
{
    int64_t first_s = end_s - check->step_s + 1;
    if (first_s < 0)
        first_s = 0;
    /* What comes late for a day that has lost points of minutes is not in its hours any more. */
    if (check->tier == 2 && floor_to(first_s, check->day_s) < check->edges[1])
        return false;
    if (floor_to(first_s, check->span_s) >= check->edges[0])
        return true;
    return check->knows_gone && floor_to(end_s, check->span_s) + check->span_s <= check->edges[0] &&
           first_s >= check->edges[check->tier];
}

/* ---- comparing ---- */

static bool compare_point(struct check *check, const struct qr_points *points, int64_t end_s,
                          uint32_t from, uint32_t to)
{
    uint32_t row = (uint32_t)((end_s - points->first_s) / check->step_s);
    for (uint32_t d = 0; d < points->n_dims; d++) {
        const struct qr_point *point = qr_points_at(points, row, d);
        struct made made = {0};
        for (uint32_t i = from; i < to; i++)
            if (d < check->rows[i]->n)
                add(&made, check->rows[i]->cells[d]);
        if (!is_same(&made, point)) {
            snprintf(check->sentence, QR_HISTORY_SENTENCE_BYTES,
                     "chart %u dimension %u: the point of tier %u that ends at %lld is of %u "
                     "values, not %u",
                     check->chart->id, d, check->tier, (long long)end_s, point->count, made.count);
            return false;
        }
    }
    check->n_points++;
    return true;
}

/* Rows from..to-1; in between are no rows, so no points. */
static bool compare_run(struct check *check, const struct qr_points *points, uint32_t from,
                        uint32_t to)
{
    for (uint32_t i = 0; i < points->n_rows; i++) {
        int64_t end_s = points->first_s + (int64_t)i * check->step_s;
        uint32_t next = from;
        while (next < to && point_end(check, check->rows[next]) == end_s)
            next++;
        if (is_known(check, end_s) && !compare_point(check, points, end_s, from, next))
            return false;
        from = next;
    }
    return true;
}

/* The rows whose points are read with those of row `from`. */
static uint32_t run_end(const struct check *check, uint32_t from)
{
    int64_t first_s = point_end(check, check->rows[from]), last_s = first_s;
    uint32_t to = from;
    for (; to < check->n; to++) {
        int64_t end_s = point_end(check, check->rows[to]);
        if (end_s - last_s > GAP_MAX * check->step_s || end_s - first_s > RUN_MAX * check->step_s)
            break;
        last_s = end_s;
    }
    return to;
}

static bool compare_tier(struct check *check)
{
    struct qr_tier_reader reader = {.store = check->store, .chart = check->chart};
    struct qr_points points = {0};
    bool same = true;
    for (uint32_t from = 0, to; from < check->n && same; from = to) {
        to = run_end(check, from);
        int err = qr_tier_read(&reader, check->tier, point_end(check, check->rows[from]),
                               point_end(check, check->rows[to - 1]), &points);
        if (err != 0 || reader.n_bad != 0)
            snprintf(check->sentence, QR_HISTORY_SENTENCE_BYTES,
                     "chart %u: tier %u cannot be read: %s, %u bad files", check->chart->id,
                     check->tier, qr_strerror(err), reader.n_bad);
        same = err == 0 && reader.n_bad == 0 && compare_run(check, &points, from, to);
    }
    qr_points_release(&points);
    qr_tier_reader_release(&reader);
    return same;
}

/* ---- the rows ---- */

static int by_time(const void *a, const void *b)
{
    const struct qr_history_row *const *x = a, *const *y = b;
    return ((*x)->end_s > (*y)->end_s) - ((*x)->end_s < (*y)->end_s);
}

static void collect_rows(struct check *check)
{
    const struct qr_history_table *table = check->table;
    check->rows = calloc(table->n + 1, sizeof *check->rows);
    assert(check->rows != NULL);
    for (uint32_t i = 0; i < table->capacity; i++)
        if (table->rows[i].chart == check->chart->id && table->rows[i].n != 0)
            check->rows[check->n++] = &table->rows[i];
    qsort(check->rows, check->n, sizeof *check->rows, by_time);
}

bool qr_history_tiers_check(const struct qr_history_table *table, struct qr_store *store,
                            const struct qr_chart *chart, bool settled, uint32_t window_s,
                            uint64_t *n_points, char sentence[QR_HISTORY_SENTENCE_BYTES])
{
    struct check check = {.table = table,
                          .store = store,
                          .chart = chart,
                          .knows_gone = settled && table->waits_for_merges,
                          .span_s = qr_merge_span(window_s, 1),
                          .day_s = qr_merge_span(window_s, 2),
                          .sentence = sentence};
    bool same = true;
    for (unsigned tier = 0; tier < QR_TIERS; tier++)
        check.edges[tier] = qr_store_edge(store, tier);
    collect_rows(&check);
    for (check.tier = 1; check.tier < QR_TIERS && same; check.tier++) {
        check.step_s = qr_tier_step(check.tier);
        same = compare_tier(&check);
    }
    *n_points += check.n_points;
    free((void *)check.rows);
    return same;
}
