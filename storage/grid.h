/* storage/grid.h — rows of values on a grid of time: what decoding gives and queries hand out.
 *
 *   row i ends at first_s + i * step_s; cells row-major, QR_VALUE_EMPTY where there is nothing
 *
 * The cells belong to the grid and its memory is kept for the next use.  Thread: the owner's. */
#ifndef QR_STORAGE_GRID_H
#define QR_STORAGE_GRID_H

#include <stddef.h>
#include <stdint.h>

struct qr_grid {
    int64_t first_s;
    uint32_t step_s;
    uint32_t n_rows;
    uint32_t n_dims;
    uint32_t *cells;
    size_t capacity; /* Cells. */
};

static inline int64_t qr_grid_last_s(const struct qr_grid *grid)
{
    return grid->first_s + (int64_t)(grid->n_rows - 1) * grid->step_s;
}

void qr_grid_release(struct qr_grid *grid);

/* Sets its shape and makes all cells EMPTY.  0 or UV_ENOMEM. */
int qr_grid_reset(struct qr_grid *grid, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                  uint32_t n_dims);

/* Adds the cells of `later` where `grid` has none; the result may have a finer step and more rows
 * and dimensions.  `spare` is memory for it, and is swapped with grid's.  0 or UV_ENOMEM. */
int qr_grid_overlay(struct qr_grid *grid, const struct qr_grid *later, struct qr_grid *spare);

#endif
