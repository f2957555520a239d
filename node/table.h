/* node/table.h — the rows and columns that a query of /api/v1/data answers with.
 *
 * A column is a dimension of a chart; columns of one chart stand together, in the chart's order.
 * Reading fills the grid that node/window resolved from the store's points:
 *
 *   row T groups the points that end in (T - step, T); at T itself counts the point that covers T,
 *   interpolated between it and the one before if it is wider than a second and they touch
 *
 * No point covers T and none ends within: the cell is NAN.  A tier that was asked for by number has
 * the points that are over; the one that still grows is not read.  Then a view of it is made: which
 * columns show, absolute values, percentages, and the bounds of all.
 *
 * Thread: any worker, between qr_store_enter and qr_store_leave. */
#ifndef QR_NODE_TABLE_H
#define QR_NODE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "node/grouping.h"
#include "node/window.h"
#include "storage/store.h"

struct qr_table_column {
    const struct qr_chart *chart;
    const struct qr_chart_def *def;
    uint32_t dim;     /* Its place in the chart. */
    bool shown;       /* Otherwise read only for the total of percentages. */
    bool chosen;      /* The client named it: option nonzero keeps it. */
    bool has_value;   /* Reading found one, .. */
    bool has_nonzero; /* .. and one that is not 0. */
};

struct qr_table {
    struct qr_window window;
    uint32_t n_columns, capacity;
    struct qr_table_column *columns;
    double *values;              /* Row-major, the oldest row first; NAN is null. */
    double *anomalies;           /* The same in percent, if asked for; otherwise NULL. */
    uint8_t *resets;             /* 1: a counter was reset in that cell. */
    uint64_t n_points[QR_TIERS]; /* Stored values that were read. */
    double min, max;             /* Of the view; 0 if there is no value. */
};

void qr_table_init(struct qr_table *table);
void qr_table_release(struct qr_table *table);

/* Appends a column.  0 or UV_ENOMEM. */
int qr_table_add(struct qr_table *table, const struct qr_table_column *column);

struct qr_table_read {
    struct qr_store *store;
    const struct qr_grouping_spec *grouping;
    bool one_tier;      /* Points of `tier` and no other; otherwise the finest that there are. */
    unsigned tier;      /* 0: samples. */
    bool anomaly_bit;   /* Values are anomaly rates. */
    bool anomaly_rates; /* Fill `anomalies`. */
};

/* Fills the table for its window.  0, UV_ENOMEM, QR_E_LIMIT (more than QR_QUERY_CELLS_MAX cells),
 * or an error of qr_query_next. */
int qr_table_read(struct qr_table *table, const struct qr_table_read *read);

/* The last stored value of each column, NAN for none.  0, UV_ENOMEM or an I/O error. */
int qr_table_latest(const struct qr_table *table, struct qr_store *store, double *latest);

/* Applies options (QR_OPTION_*): nonzero, abs, percentage; then finds min and max. */
void qr_table_view(struct qr_table *table, uint32_t options);

static inline double qr_table_at(const struct qr_table *table, uint32_t row, uint32_t column)
{
    return table->values[(uint64_t)row * table->n_columns + column];
}

static inline int64_t qr_table_time(const struct qr_table *table, uint32_t row)
{
    return table->window.first_row_s + (int64_t)row * table->window.step_s;
}

#endif
