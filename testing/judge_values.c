#include "testing/judge_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct cell {
    double value;
    uint64_t index; /* It was there when this was applied; UINT64_MAX: not known. */
    bool is_known;
};

/* All dimensions of a chart, second by second. */
struct qr_judge_row {
    int64_t n_s;
    struct cell cells[];
};

int qr_judge_values_init(struct qr_judge_values *values, const struct qr_model *model,
                         int64_t first_s)
{
    values->model = *model;
    values->first_s = first_s;
    values->rows = calloc((size_t)model->n_hosts * model->n_charts, sizeof(struct qr_judge_row *));
    return values->rows != NULL ? 0 : UV_ENOMEM;
}

void qr_judge_values_release(struct qr_judge_values *values)
{
    size_t n = (size_t)values->model.n_hosts * values->model.n_charts;
    for (size_t i = 0; values->rows != NULL && i < n; i++)
        free(values->rows[i]);
    free((void *)values->rows);
    values->rows = NULL;
}

static struct qr_judge_row **row_of(struct qr_judge_values *values,
                                    const struct qr_judge_place *place)
{
    return &values->rows[(size_t)place->host * values->model.n_charts + place->chart];
}

/* The chart's cells, at least up to to_s; NULL: no memory. */
static struct qr_judge_row *reserve(struct qr_judge_values *values,
                                    const struct qr_judge_place *place)
{
    struct qr_judge_row **row = row_of(values, place);
    int64_t had_s = *row != NULL ? (*row)->n_s : 0, n_s = place->to_s - values->first_s + 1;
    if (n_s <= had_s)
        return *row;
    n_s += 60;
    size_t n_dims = values->model.n_dims;
    struct qr_judge_row *grown =
        realloc(*row, sizeof *grown + (size_t)n_s * n_dims * sizeof(struct cell));
    if (grown == NULL)
        return NULL;
    for (size_t i = (size_t)had_s * n_dims; i < (size_t)n_s * n_dims; i++)
        grown->cells[i] = (struct cell){0};
    grown->n_s = n_s;
    *row = grown;
    return grown;
}

/* NULL: before the load's first second, or no memory. */
static struct cell *cell_at(struct qr_judge_values *values, const struct qr_judge_place *place,
                            uint32_t dim, int64_t t)
{
    struct qr_judge_row *row = reserve(values, place);
    if (row == NULL || t < values->first_s)
        return NULL;
    return &row->cells[(size_t)(t - values->first_s) * values->model.n_dims + dim];
}

typedef void (*visit)(void *data, uint32_t dim, int64_t t, double value);

/* Each value of the answer that was asked for. */
static void walk(const struct qr_judge_values *values, const struct qr_judge_place *place,
                 const json_t *answer, visit cb, void *data)
{
    const json_t *labels = json_object_get(answer, "labels");
    const json_t *rows = json_object_get(answer, "data");
    for (size_t r = 0; r < json_array_size(rows); r++) {
        const json_t *row = json_array_get(rows, r);
        int64_t t = json_integer_value(json_array_get(row, 0));
        if (t < place->from_s || t > place->to_s)
            continue;
        for (size_t c = 1; c < json_array_size(row); c++) {
            const char *label = json_string_value(json_array_get(labels, c));
            const json_t *value = json_array_get(row, c);
            unsigned dim;
            if (label != NULL && sscanf(label, "dim_%u", &dim) == 1 && dim < values->model.n_dims &&
                json_is_number(value))
                cb(data, dim, t, json_number_value(value));
        }
    }
}

struct taking {
    struct qr_judge_values *values;
    const struct qr_judge_place *place;
    bool *has; /* seconds x dimensions */
    qr_judge_values_cb cb;
    void *data;
};

static void take(void *data, uint32_t dim, int64_t t, double value)
{
    struct taking *taking = data;
    struct cell *cell = cell_at(taking->values, taking->place, dim, t);
    size_t at = (size_t)(t - taking->place->from_s) * taking->values->model.n_dims + dim;
    taking->has[at] = true;
    if (cell == NULL)
        return;
    if (!cell->is_known)
        *cell = (struct cell){value, UINT64_MAX, true};
    else if (cell->value < value || cell->value > value)
        taking->cb(taking->data, "changed", dim, t, cell->value, &value);
}

static void miss(const struct taking *taking, uint64_t applied)
{
    uint32_t n_dims = taking->values->model.n_dims;
    const struct qr_judge_place *place = taking->place;
    for (int64_t t = place->from_s; t <= place->to_s; t++)
        for (uint32_t dim = 0; dim < n_dims; dim++) {
            const struct cell *cell = cell_at(taking->values, place, dim, t);
            if (cell != NULL && cell->is_known && cell->index <= applied &&
                !taking->has[(size_t)(t - place->from_s) * n_dims + dim])
                taking->cb(taking->data, "lost", dim, t, cell->value, NULL);
        }
}

void qr_judge_values_take(struct qr_judge_values *values, const struct qr_judge_place *place,
                          const json_t *answer, uint64_t applied, bool may_lack,
                          qr_judge_values_cb cb, void *data)
{
    size_t n = (size_t)(place->to_s - place->from_s + 1) * values->model.n_dims;
    struct taking taking = {values, place, calloc(n, sizeof(bool)), cb, data};
    if (taking.has == NULL)
        return;
    walk(values, place, answer, take, &taking);
    if (!may_lack)
        miss(&taking, applied);
    free(taking.has);
}

struct bounding {
    struct qr_judge_values *values;
    const struct qr_judge_place *place;
    uint64_t applied;
};

static void bound(void *data, uint32_t dim, int64_t t, double value)
{
    struct bounding *bounding = data;
    struct cell *cell = cell_at(bounding->values, bounding->place, dim, t);
    (void)value;
    if (cell != NULL && cell->is_known && cell->index > bounding->applied)
        cell->index = bounding->applied;
}

void qr_judge_values_bound(struct qr_judge_values *values, const struct qr_judge_place *place,
                           const json_t *answer, uint64_t applied)
{
    struct bounding bounding = {values, place, applied};
    walk(values, place, answer, bound, &bounding);
}
