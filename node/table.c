#include "node/table.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "node/options.h"
#include "storage/lanes.h"
#include "storage/query.h"
#include "storage/tier_query.h"

#define POINTS_AT_ONCE 1500

void qr_table_init(struct qr_table *table)
{
    *table = (struct qr_table){0};
}

void qr_table_release(struct qr_table *table)
{
    free(table->columns);
    free(table->values);
    free(table->anomalies);
    free(table->resets);
    *table = (struct qr_table){0};
}

int qr_table_add(struct qr_table *table, const struct qr_table_column *column)
{
    if (table->n_columns == table->capacity) {
        uint32_t capacity = table->capacity != 0 ? 2 * table->capacity : 16;
        struct qr_table_column *grown = realloc(table->columns, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        table->columns = grown;
        table->capacity = capacity;
    }
    table->columns[table->n_columns++] = *column;
    return 0;
}

/* ---- reading ---- */

/* What a column keeps between points. */
struct lane {
    struct qr_grouping grouping;
    double last; /* Value of the point before. */
    double anomalies;
    uint32_t n_points; /* Of the row, that have a value. */
    bool reset;
};

/* Reads the columns of one chart. */
struct reader {
    struct qr_table *table;
    const struct qr_table_read *how;
    struct qr_table_column *columns;
    uint32_t first_column, n;
    struct lane *lanes;
    struct qr_dims dims; /* Of the columns. */
    uint32_t row;        /* The next to be finished. */
    int64_t last_end_s;  /* Of the point before. */
    double *numbers;     /* Of the slab's columns, one after the other. */
    size_t capacity;
};

static int64_t row_time(const struct reader *r)
{
    return qr_table_time(r->table, r->row);
}

static bool finished(const struct reader *r)
{
    return r->row == r->table->window.n_rows;
}

static void finish_row(struct reader *r)
{
    struct qr_table *table = r->table;
    uint64_t at = (uint64_t)r->row * table->n_columns + r->first_column;
    for (uint32_t i = 0; i < r->n; i++, at++) {
        struct lane *lane = &r->lanes[i];
        table->values[at] = qr_grouping_take(&lane->grouping);
        table->resets[at] = lane->reset;
        if (table->anomalies != NULL)
            table->anomalies[at] = lane->n_points > 0 ? lane->anomalies / lane->n_points : 0;
        lane->anomalies = 0;
        lane->n_points = 0;
        lane->reset = false;
    }
    r->row++;
}

/* What a point says of one dimension; NAN: nothing. */
struct reading {
    double value;
    double anomaly_rate; /* In percent. */
    bool reset;
};

static int add_value(struct lane *lane, struct qr_table_column *column,
                     const struct reading *reading, double v)
{
    if (isnan(v))
        return 0;
    lane->n_points++;
    column->has_value = true;
    if (v != 0)
        column->has_nonzero = true;
    lane->anomalies += reading->anomaly_rate;
    lane->reset = lane->reset || reading->reset;
    return qr_grouping_add(&lane->grouping, v);
}

/* One point of the chart: all its dimensions from start_s (excluded) to end_s. */
struct point {
    int64_t start_s, end_s;
    const struct qr_slab *slab;     /* Samples, or: */
    const struct qr_points *points; /* points of a tier. */
    uint32_t row;                   /* Of either. */
};

/* Slabs have the columns' dimensions only. */
static struct reading read_sample(const struct reader *r, const struct point *point, uint32_t i)
{
    struct reading reading = {.value = NAN};
    uint32_t cell = qr_slab_at(point->slab, point->row, i);
    if (qr_value_is_empty(cell))
        return reading;
    reading.anomaly_rate = cell & QR_VALUE_ANOMALOUS ? 100 : 0;
    reading.reset = (cell & QR_VALUE_RESET) != 0;
    reading.value = r->how->anomaly_bit ? reading.anomaly_rate
                                        : r->numbers[(size_t)i * point->slab->n_rows + point->row];
    return reading;
}

/* Of many samples at once: as Netdata takes them from its higher tiers. */
static double value_of_point(const struct reader *r, const struct qr_point *point)
{
    switch (r->how->grouping->kind) {
    case QR_GROUP_MIN:
        return qr_value_unpack(point->min);
    case QR_GROUP_MAX:
        return qr_value_unpack(point->max);
    case QR_GROUP_SUM:
        return qr_point_sum(point);
    default:
        return qr_point_sum(point) / point->count;
    }
}

static struct reading read_point(const struct reader *r, const struct point *point, uint32_t i)
{
    uint32_t dim = r->columns[i].dim;
    struct reading reading = {.value = NAN};
    if (point->points == NULL)
        return read_sample(r, point, i);
    if (dim >= point->points->n_dims)
        return reading;
    const struct qr_point *at = qr_points_at(point->points, point->row, dim);
    if (at->count == 0)
        return reading;
    reading.anomaly_rate = 100.0 * at->anomalies / at->count;
    reading.value = r->how->anomaly_bit ? reading.anomaly_rate : value_of_point(r, at);
    return reading;
}

/* The point's values, as of `at_s` within it. */
static int add_point_at(struct reader *r, const struct point *point, int64_t at_s)
{
    bool wide = point->end_s - point->start_s > 1 && r->last_end_s == point->start_s;
    double part = 1;
    if (wide)
        part -= (double)(point->end_s - at_s) / (double)(point->end_s - point->start_s);
    for (uint32_t i = 0; i < r->n; i++) {
        struct lane *lane = &r->lanes[i];
        struct reading reading = read_point(r, point, i);
        double v = reading.value;
        if (wide && part < 1 && !isnan(lane->last))
            v = lane->last + (v - lane->last) * part; /* NAN stays NAN. */
        int err = add_value(lane, &r->columns[i], &reading, v);
        if (err != 0)
            return err;
    }
    return 0;
}

static void remember(struct reader *r, const struct point *point)
{
    r->last_end_s = point->end_s;
    for (uint32_t i = 0; i < r->n; i++)
        r->lanes[i].last = read_point(r, point, i).value;
}

/* Does the point end within the row that is being made?  The first row takes one more than the
 * others if points are wider than the granularity: the one that ends where it starts.  (Netdata's
 * first read gives it, and its rows count what they read.) */
static bool is_inside(const struct reader *r, const struct point *point)
{
    if (finished(r))
        return false;
    int64_t start_s = row_time(r) - r->table->window.step_s;
    bool wide = point->end_s - point->start_s > r->table->window.granularity_s;
    return point->end_s > start_s || (r->row == 0 && wide && point->end_s == start_s);
}

static int add_point(struct reader *r, const struct point *point)
{
    int err = 0;
    bool used = false;
    while (!finished(r) && row_time(r) <= point->start_s)
        finish_row(r); /* Nothing covers the end of that row. */
    while (err == 0 && !finished(r) && row_time(r) <= point->end_s) {
        err = add_point_at(r, point, row_time(r));
        finish_row(r);
        used = true;
    }
    if (err == 0 && !used && is_inside(r, point))
        err = add_point_at(r, point, point->end_s);
    remember(r, point);
    return err;
}

/* ---- rows that are added up ---- */

/* A row that has fewer values is not worth it. */
#define SUMMED_MIN 8

/* Points as wide as the granularity, which are never interpolated, in rows of many of them. */
static bool takes_sums(const struct reader *r)
{
    return qr_grouping_takes_sums(r->how->grouping) && !r->how->anomaly_bit &&
           r->columns[0].def->update_every <= 1 && r->table->window.step_s >= SUMMED_MIN;
}

static void add_sum(struct lane *lane, struct qr_table_column *column,
                    const struct qr_aggregate *sum)
{
    lane->n_points += (uint32_t)sum->count;
    lane->anomalies += 100 * (double)sum->n_anomalous;
    lane->reset = lane->reset || sum->n_resets != 0;
    column->has_value = column->has_value || sum->count != 0;
    column->has_nonzero = column->has_nonzero || sum->min != 0 || sum->max != 0;
}

/* Can the groups take all of them?  Where values of both signs meet, some cannot. */
static bool groups_take(const struct reader *r, const struct qr_query_sums *sums)
{
    for (uint32_t i = 0; i < r->n * sums->n; i++) {
        struct qr_grouping group = r->lanes[0].grouping;
        if (!qr_grouping_add_sum(&group, &sums->at[i]))
            return false;
    }
    return true;
}

static void add_sums(struct reader *r, const struct qr_query_sums *sums)
{
    for (uint32_t bucket = 0; bucket < sums->n; bucket++) {
        while (r->row < sums->first_bucket + bucket)
            finish_row(r);
        for (uint32_t i = 0; i < r->n; i++) {
            const struct qr_aggregate *sum = &sums->at[(size_t)i * sums->n + bucket];
            bool added = qr_grouping_add_sum(&r->lanes[i].grouping, sum);
            assert(added);
            (void)added;
            add_sum(&r->lanes[i], &r->columns[i], sum);
        }
    }
    int64_t before_s = r->table->window.before_s;
    int64_t last_s = sums->last_s < before_s ? sums->last_s : before_s;
    r->table->n_points[0] += (uint64_t)(last_s - sums->first_s + 1) * r->n;
    if (row_time(r) == last_s)
        finish_row(r);
    r->last_end_s = last_s;
}

/* 1, 0: rows have to be read, or an error. */
static int try_sums(struct reader *r, struct qr_query *query)
{
    const struct qr_window *window = &r->table->window;
    const struct qr_buckets buckets = {window->first_row_s, window->step_s, window->n_rows};
    struct qr_query_sums sums;
    int err = qr_query_sum(query, &buckets, &sums);
    if (err != 1)
        return err;
    if (sums.step_s == 1 && groups_take(r, &sums)) {
        add_sums(r, &sums);
        return 1;
    }
    qr_query_back(query);
    return 0;
}

/* ---- all rows ---- */

static int unpack_slab(struct reader *r, const struct qr_slab *slab)
{
    size_t n = (size_t)slab->n_rows * r->n;
    if (n > r->capacity) {
        double *numbers = malloc(n * sizeof *numbers);
        if (numbers == NULL)
            return UV_ENOMEM;
        free(r->numbers);
        r->numbers = numbers;
        r->capacity = n;
    }
    for (uint32_t i = 0; i < r->n; i++)
        qr_lanes_here()->unpack_values(qr_slab_column(slab, i), slab->n_rows,
                                       r->numbers + (size_t)i * slab->n_rows);
    return 0;
}

/* A point covers the time that the chart collects in, not what lies between those of a slab: where
 * few were collected a chunk's step is greater, and it is 1 where there is one.  Points of before
 * update_every became greater are as narrow as they were. */
static int64_t width_of(const struct reader *r, const struct qr_slab *slab)
{
    uint32_t update_every = r->columns[0].def->update_every;
    /* Where rows are added up (takes_sums) nothing is wide, so nobody asks for their last values.
     */
    return slab->n_rows > 1 && slab->step_s < update_every ? slab->step_s : update_every;
}

static int add_slab(struct reader *r, const struct qr_slab *slab)
{
    int unpacked = unpack_slab(r, slab);
    if (unpacked != 0)
        return unpacked;
    int64_t width_s = width_of(r, slab);
    for (uint32_t i = 0; i < slab->n_rows && !finished(r); i++) {
        int64_t end_s = slab->first_s + (int64_t)i * slab->step_s;
        struct point point = {end_s - width_s, end_s, slab, NULL, i};
        r->table->n_points[0] += r->n;
        int err = add_point(r, &point);
        if (err != 0)
            return err;
    }
    return 0;
}

static int read_slabs(struct reader *r, struct qr_query *query)
{
    bool can_sum = takes_sums(r);
    struct qr_slab slab;
    int err = 0;
    while (err == 0 && !finished(r)) {
        int more = can_sum ? try_sums(r, query) : 0;
        if (more == 1)
            continue;
        if (more == 0)
            more = qr_query_next(query, &slab);
        if (more <= 0)
            return more;
        err = add_slab(r, &slab);
    }
    return err;
}

/* ---- what is older than the samples ---- */

static bool is_empty_row(const struct qr_points *points, uint32_t row)
{
    for (uint32_t d = 0; d < points->n_dims; d++)
        if (qr_points_at(points, row, d)->count != 0)
            return false;
    return true;
}

static int add_points(struct reader *r, unsigned tier, const struct qr_points *points)
{
    for (uint32_t i = 0; i < points->n_rows && !finished(r); i++) {
        if (is_empty_row(points, i))
            continue;
        int64_t end_s = points->first_s + (int64_t)i * points->step_s;
        struct point point = {end_s - points->step_s, end_s, NULL, points, i};
        r->table->n_points[tier] += r->n;
        int err = add_point(r, &point);
        if (err != 0)
            return err;
    }
    return 0;
}

/* The points of a tier that end in [first_s, last_s], some at a time. */
static int read_tier(struct reader *r, unsigned tier, int64_t first_s, int64_t last_s)
{
    int64_t batch_s = (int64_t)POINTS_AT_ONCE * qr_tier_step(tier);
    struct qr_tier_reader reader = {r->how->store, r->columns[0].chart};
    struct qr_points points = {0};
    int err = 0;
    for (; first_s <= last_s && err == 0 && !finished(r); first_s += batch_s) {
        int64_t end_s = first_s + batch_s - 1 < last_s ? first_s + batch_s - 1 : last_s;
        err = qr_tier_read(&reader, tier, first_s, end_s, &points);
        if (err == 0)
            err = add_points(r, tier, &points);
    }
    qr_points_release(&points);
    qr_tier_reader_release(&reader);
    return err;
}

/* Where samples are gone points of a minute are read, and where these are gone, points of an hour;
 * each up to the first border of theirs at which the finer ones begin.  Samples are to be read from
 * *from_s on then. */
static int read_tiers(struct reader *r, int64_t *from_s)
{
    const struct qr_table_read *how = r->how;
    int64_t samples_s = qr_store_edge(how->store, 0), minutes_s = qr_store_edge(how->store, 1);
    int64_t first_s = qr_chart_first_s(r->columns[0].chart);
    if (samples_s == 0 || *from_s > samples_s || first_s >= samples_s)
        return 0;
    int64_t to_1 = qr_point_end(samples_s, qr_tier_step(1));
    int64_t to_2 = qr_point_end(minutes_s < samples_s ? minutes_s : samples_s, qr_tier_step(2));
    int64_t from = *from_s > first_s ? *from_s : first_s;
    int err = 0;
    if (from <= to_2 && minutes_s != 0) {
        err = read_tier(r, 2, from - qr_tier_step(2), to_2);
        from = to_2 + 1;
    }
    if (err == 0 && from <= to_1)
        err = read_tier(r, 1, from - (from == to_2 + 1 ? 0 : qr_tier_step(1)), to_1);
    *from_s = (to_1 > to_2 ? to_1 : to_2) + 1;
    return err;
}

/* Samples from from_s on, or from where the tiers ended. */
static int read_samples(struct reader *r, int64_t from_s, int64_t to_s)
{
    struct qr_query *query;
    int err = r->how->one_tier ? 0 : read_tiers(r, &from_s);
    if (err == 0)
        err = qr_query_open(&query, r->how->store, r->columns[0].chart, from_s, to_s);
    if (err != 0)
        return err;
    qr_query_select(query, &r->dims);
    err = read_slabs(r, query);
    qr_query_close(query);
    return err;
}

/* The points of one tier that are over. */
static int read_points(struct reader *r, unsigned tier, int64_t from_s, int64_t to_s)
{
    const struct qr_chart *chart = r->columns[0].chart;
    int64_t first_s = qr_chart_first_s(chart), last_s = chart->watermark_s;
    if (first_s == 0)
        return 0;
    return read_tier(r, tier, from_s > first_s ? from_s : first_s, to_s < last_s ? to_s : last_s);
}

static int read_chart(struct reader *r)
{
    const struct qr_window *window = &r->table->window;
    unsigned tier = r->how->one_tier ? r->how->tier : 0;
    int64_t point_s = tier != 0 ? qr_tier_step(tier) : r->columns[0].def->update_every;
    int64_t from_s = window->first_row_s - window->step_s + 1 - 2 * point_s;
    int64_t to_s = window->before_s + 2 * point_s;
    int err = tier != 0 ? read_points(r, tier, from_s, to_s) : read_samples(r, from_s, to_s);
    while (err == 0 && !finished(r))
        finish_row(r);
    return err;
}

/* The dimensions of n columns from the first on, to be freed; NULL: no memory. */
static uint32_t *select_dims(const struct qr_table *table, uint32_t first, uint32_t n)
{
    uint32_t *dims = malloc(n * sizeof *dims);
    for (uint32_t i = 0; i < n && dims != NULL; i++)
        dims[i] = table->columns[first + i].dim;
    return dims;
}

static int read_columns(struct qr_table *table, const struct qr_table_read *how, uint32_t first,
                        uint32_t n)
{
    struct reader r = {.table = table,
                       .how = how,
                       .columns = table->columns + first,
                       .first_column = first,
                       .n = n,
                       .last_end_s = INT64_MIN};
    uint32_t *dims = select_dims(table, first, n);
    r.lanes = calloc(n, sizeof *r.lanes);
    if (r.lanes == NULL || dims == NULL) {
        free(r.lanes);
        free(dims);
        return UV_ENOMEM;
    }
    r.dims = (struct qr_dims){dims, n};
    for (uint32_t i = 0; i < n; i++) {
        qr_grouping_init(&r.lanes[i].grouping, how->grouping, &table->window);
        r.lanes[i].last = NAN;
    }
    int err = read_chart(&r);
    for (uint32_t i = 0; i < n; i++)
        qr_grouping_release(&r.lanes[i].grouping);
    free(r.numbers);
    free(r.lanes);
    free(dims);
    return err;
}

/* Columns from `first` on that are of one chart. */
static uint32_t columns_of_chart(const struct qr_table *table, uint32_t first)
{
    uint32_t n = 1;
    while (first + n < table->n_columns &&
           table->columns[first + n].chart == table->columns[first].chart)
        n++;
    return n;
}

int qr_table_read(struct qr_table *table, const struct qr_table_read *read)
{
    uint64_t n_cells = (uint64_t)table->window.n_rows * table->n_columns;
    if (n_cells > QR_QUERY_CELLS_MAX)
        return QR_E_LIMIT;
    size_t n = n_cells > 0 ? (size_t)n_cells : 1;
    assert(table->values == NULL);
    table->values = malloc(n * sizeof *table->values);
    table->resets = malloc(n);
    if (read->anomaly_rates)
        table->anomalies = malloc(n * sizeof *table->anomalies);
    if (table->values == NULL || table->resets == NULL ||
        (read->anomaly_rates && table->anomalies == NULL))
        return UV_ENOMEM;
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < table->n_columns;) {
        uint32_t n_of_chart = columns_of_chart(table, i);
        err = read_columns(table, read, i, n_of_chart);
        i += n_of_chart;
    }
    return err;
}

static int read_latest(const struct qr_table *table, struct qr_store *store, uint32_t first,
                       uint32_t n, double *latest)
{
    const struct qr_chart *chart = table->columns[first].chart;
    int64_t last_s = chart->watermark_s;
    struct qr_query *query;
    int err = qr_query_open(&query, store, chart, last_s, last_s);
    if (err != 0)
        return err;
    struct qr_slab slab;
    int more;
    while ((more = qr_query_next(query, &slab)) > 0) {
        for (uint32_t i = 0; i < n; i++)
            latest[first + i] =
                qr_value_unpack(qr_slab_at(&slab, slab.n_rows - 1, table->columns[first + i].dim));
    }
    qr_query_close(query);
    return more;
}

int qr_table_latest(const struct qr_table *table, struct qr_store *store, double *latest)
{
    int err = 0;
    for (uint32_t i = 0; err == 0 && i < table->n_columns;) {
        uint32_t n = columns_of_chart(table, i);
        for (uint32_t c = 0; c < n; c++)
            latest[i + c] = NAN;
        err = read_latest(table, store, i, n, latest);
        i += n;
    }
    return err;
}

/* ---- the view ---- */

/* Option nonzero, unless it would leave nothing. */
static void drop_zeros(struct qr_table *table)
{
    bool any = false;
    for (uint32_t c = 0; c < table->n_columns; c++) {
        const struct qr_table_column *column = &table->columns[c];
        any = any || (column->shown && (column->has_nonzero || column->chosen));
    }
    for (uint32_t c = 0; any && c < table->n_columns; c++) {
        struct qr_table_column *column = &table->columns[c];
        column->shown = column->shown && (column->has_nonzero || column->chosen);
    }
}

static void make_absolute(struct qr_table *table)
{
    uint64_t n = (uint64_t)table->window.n_rows * table->n_columns;
    for (uint64_t i = 0; i < n; i++)
        table->values[i] = fabs(table->values[i]);
}

static void make_percentages(struct qr_table *table)
{
    for (uint32_t row = 0; row < table->window.n_rows; row++) {
        double *values = table->values + (uint64_t)row * table->n_columns;
        double total = 0;
        for (uint32_t c = 0; c < table->n_columns; c++)
            if (!isnan(values[c]))
                total += values[c];
        if (total == 0)
            total = 1;
        for (uint32_t c = 0; c < table->n_columns; c++)
            values[c] = values[c] * 100 / total;
    }
}

/* A null counts as 0 in them, as in Netdata. */
static void find_bounds(struct qr_table *table, bool shown_only)
{
    bool any = false;
    for (uint32_t row = 0; row < table->window.n_rows; row++)
        for (uint32_t c = 0; c < table->n_columns; c++) {
            double v = qr_table_at(table, row, c);
            if (shown_only && !table->columns[c].shown)
                continue;
            if (isnan(v))
                v = 0;
            if (!any || v < table->min)
                table->min = v;
            if (!any || v > table->max)
                table->max = v;
            any = true;
        }
}

void qr_table_view(struct qr_table *table, uint32_t options)
{
    if (options & QR_OPTION_NONZERO)
        drop_zeros(table);
    if (!(options & QR_OPTION_PERCENTAGE))
        find_bounds(table, false);
    if (options & QR_OPTION_ABS)
        make_absolute(table);
    if (options & QR_OPTION_PERCENTAGE) {
        make_percentages(table);
        find_bounds(table, true);
    }
}
