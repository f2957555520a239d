/* storage/grid.h — rows of values on a grid of time: what decoding gives and queries hand out.
 *
 *   row i ends at first_s + i * step_s; a dimension's rows stand together, as they do in files;
 *   QR_VALUE_EMPTY where there is nothing
 *
 * The values belong to the grid and its memory is kept for the next use.  Thread: the owner's. */
#ifndef QR_STORAGE_GRID_H
#define QR_STORAGE_GRID_H

#include <stddef.h>
#include <stdint.h>

struct qr_grid {
    int64_t first_s;
    uint32_t step_s;
    uint32_t n_rows;
    uint32_t n_dims;
    uint32_t *values; /* n_dims columns of n_rows. */
    size_t capacity;
};

static inline int64_t qr_grid_last_s(const struct qr_grid *grid)
{
    return grid->first_s + (int64_t)(grid->n_rows - 1) * grid->step_s;
}

static inline uint32_t *qr_grid_column(const struct qr_grid *grid, uint32_t dim)
{
    return grid->values + (size_t)dim * grid->n_rows;
}

static inline uint32_t qr_grid_at(const struct qr_grid *grid, uint32_t row, uint32_t dim)
{
    return qr_grid_column(grid, dim)[row];
}

void qr_grid_release(struct qr_grid *grid);

/* Sets its shape and makes all of it EMPTY.  0 or UV_ENOMEM. */
int qr_grid_reset(struct qr_grid *grid, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                  uint32_t n_dims);

/* Some columns of another, EMPTY where that has none.  0 or UV_ENOMEM. */
int qr_grid_select(struct qr_grid *grid, const struct qr_grid *from, const uint32_t *dims,
                   uint32_t n_dims);

/* Adds the values of `later` where `grid` has none; the result may have a finer step and more rows
 * and dimensions.  `spare` is memory for it, and is swapped with grid's.  0 or UV_ENOMEM. */
int qr_grid_overlay(struct qr_grid *grid, const struct qr_grid *later, struct qr_grid *spare);

#endif
