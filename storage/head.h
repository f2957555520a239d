/* storage/head.h — the samples that are not in block files yet.
 *
 * A chart has one slab a window: a row-major array of values on a grid of its own step,
 *
 *   row i = (end_s - first_s) / step_s,  cell = rows[i][dimension],  EMPTY: nothing there
 *
 * so that a row of a tick is one contiguous write, an old or a repeated row finds its place, and
 * two rows of one second meet in one cell: the first stays.  Rows are allotted 64 at a time, when
 * one of them comes.  A row off the grid, or wider than it, makes the slab anew with a finer step
 * (the greatest common divisor) or more columns.  What a slab looks like inside so depends on the
 * order of arrival; its cells do not, and nothing else is read from it.
 *
 * Sealing freezes a window: its slabs take no more rows; later ones start a new slab.
 *
 * One writer; readers walk a chart's list of slabs and read cells while it writes (all of it
 * atomic), between enter and leave of the epoch. */
#ifndef QR_STORAGE_HEAD_H
#define QR_STORAGE_HEAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "storage/grid.h"

#define QR_SLAB_CHUNK_ROWS 64u

struct qr_chart;

struct qr_head_slab {
    _Atomic(struct qr_head_slab *) next; /* Of this chart; later ones of a window come first. */
    struct qr_chart *chart;
    int64_t window_start_s;
    int64_t first_s; /* End time of row 0. */
    uint32_t step_s;
    uint32_t n_rows; /* All that the window can hold. */
    uint32_t n_cols;
    uint32_t at;  /* In its window's array; the writer's. */
    bool frozen;  /* The writer's. */
    size_t bytes; /* The writer's. */
    _Atomic(_Atomic uint32_t *) chunks[];
};

struct qr_chart_head {
    _Atomic(struct qr_head_slab *) slabs;
    struct qr_head_slab *last; /* Written last; the writer's. */
};

/* All slabs of one window that are not frozen, or the set that was frozen together. */
struct qr_head_window {
    int64_t start_s;
    uint32_t n;
    uint32_t capacity;
    struct qr_head_slab **slabs; /* Frozen: in order of chart ids. */
};

struct qr_head {
    struct qr_epoch *epoch;
    uint32_t window_s;
    uint32_t n_windows;
    uint32_t capacity;
    struct qr_head_window *windows; /* Not frozen, oldest first. */
    _Atomic uint64_t bytes;
};

void qr_head_init(struct qr_head *head, struct qr_epoch *epoch, uint32_t window_s);
void qr_head_release(struct qr_head *head); /* The slabs are the charts'. */
void qr_chart_head_release(struct qr_chart_head *chart);

int64_t qr_head_window_of(const struct qr_head *head, int64_t end_s);

/* Puts a row where it belongs.  `step_s` is the chart's, `n_cols` the number of its dimensions;
 * n <= n_cols.  0 or UV_ENOMEM; *n_new cells were EMPTY and are not, *n_old had a value already
 * when another came. */
int qr_head_put(struct qr_head *head, struct qr_chart *chart, uint32_t step_s, uint32_t n_cols,
                int64_t end_s, const uint32_t *values, uint32_t n, uint32_t *n_new,
                uint32_t *n_old);

/* Freezes the window that starts there and hands it over; false: it has no data. */
bool qr_head_freeze(struct qr_head *head, int64_t start_s, struct qr_head_window *frozen);
/* Takes the frozen slabs from their charts, to be freed when no reader sees them, and frees the
 * window's array. */
void qr_head_drop(struct qr_head *head, struct qr_head_window *frozen);
void qr_head_window_release(struct qr_head_window *window);
/* A copy of a window's slabs in order of chart ids, to be freed; NULL: no memory. */
struct qr_head_slab **qr_head_sorted(const struct qr_head_window *window);

/* ---- reading: any thread ---- */

/* Newest first; of one window, later generations first. */
struct qr_head_slab *qr_head_first(const struct qr_chart_head *chart);
struct qr_head_slab *qr_head_next(const struct qr_head_slab *slab);

/* The cells of a row, EMPTY included; NULL: the row was never written to. */
const _Atomic uint32_t *qr_head_row(const struct qr_head_slab *slab, uint32_t row);

/* Rows first .. first + n - 1 as they are now.  0 or UV_ENOMEM. */
int qr_head_copy(const struct qr_head_slab *slab, uint32_t first, uint32_t n, struct qr_grid *grid);

#endif
