#include "storage/grid.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "storage/value.h"

void qr_grid_release(struct qr_grid *grid)
{
    free(grid->values);
    *grid = (struct qr_grid){0};
}

int qr_grid_reset(struct qr_grid *grid, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                  uint32_t n_dims)
{
    size_t n = (size_t)n_rows * n_dims;
    if (n > grid->capacity) {
        uint32_t *values = malloc(n * sizeof *values);
        if (values == NULL)
            return UV_ENOMEM;
        free(grid->values);
        grid->values = values;
        grid->capacity = n;
    }
    grid->first_s = first_s;
    grid->step_s = step_s;
    grid->n_rows = n_rows;
    grid->n_dims = n_dims;
    for (size_t i = 0; i < n; i++)
        grid->values[i] = QR_VALUE_EMPTY;
    return 0;
}

int qr_grid_select(struct qr_grid *grid, const struct qr_grid *from, const uint32_t *dims,
                   uint32_t n_dims)
{
    int err = qr_grid_reset(grid, from->first_s, from->step_s, from->n_rows, n_dims);
    for (uint32_t i = 0; i < n_dims && err == 0; i++)
        if (dims[i] < from->n_dims)
            memcpy(qr_grid_column(grid, i), qr_grid_column(from, dims[i]),
                   from->n_rows * sizeof *grid->values);
    return err;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void add_values(struct qr_grid *to, const struct qr_grid *from)
{
    size_t first = (size_t)((from->first_s - to->first_s) / to->step_s);
    size_t stride = from->step_s / to->step_s;
    for (uint32_t d = 0; d < from->n_dims; d++) {
        const uint32_t *in = qr_grid_column(from, d);
        uint32_t *out = qr_grid_column(to, d) + first;
        for (uint32_t row = 0; row < from->n_rows; row++, out += stride)
            if (qr_value_is_empty(*out))
                *out = in[row];
    }
}

int qr_grid_overlay(struct qr_grid *grid, const struct qr_grid *later, struct qr_grid *spare)
{
    int64_t first = grid->first_s < later->first_s ? grid->first_s : later->first_s;
    int64_t last =
        qr_grid_last_s(grid) > qr_grid_last_s(later) ? qr_grid_last_s(grid) : qr_grid_last_s(later);
    uint64_t step =
        gcd(gcd(grid->step_s, later->step_s), (uint64_t)llabs(grid->first_s - later->first_s));
    uint64_t n_rows = (uint64_t)(last - first) / step + 1;
    uint32_t n_dims = grid->n_dims > later->n_dims ? grid->n_dims : later->n_dims;
    int err = qr_grid_reset(spare, first, (uint32_t)step, (uint32_t)n_rows, n_dims);
    if (err != 0)
        return err;
    add_values(spare, grid);
    add_values(spare, later);
    struct qr_grid merged = *spare;
    *spare = *grid;
    *grid = merged;
    return 0;
}
