#include "storage/merge_dims.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"

/* Dimensions of a definition and those known before, each at its place. */
struct merge {
    struct qr_dim_def *dims;
    uint32_t n;
    bool in_place; /* The new definition's array is already the result. */
};

static int merge_dims(struct merge *merge, const struct qr_chart_def *old,
                      const struct qr_chart_def *def, struct qr_map *places)
{
    uint32_t n_old = old != NULL ? old->n_dims : 0;
    for (uint32_t i = 0; i < n_old; i++) {
        merge->dims[i] = old->dims[i];
        merge->dims[i].flags |= 1; /* Obsolete, unless it is defined again below. */
        if (qr_map_set(places, qr_slice_str(old->dims[i].id), &merge->dims[i]) != 0)
            return UV_ENOMEM;
    }
    merge->n = n_old;
    merge->in_place = true;
    for (uint32_t i = 0; i < def->n_dims; i++) {
        struct qr_slice id = qr_slice_str(def->dims[i].id);
        struct qr_dim_def *place = qr_map_get(places, id);
        if (place == NULL) {
            if (merge->n == QR_DIMS_PER_CHART_MAX)
                return QR_E_LIMIT;
            place = &merge->dims[merge->n++];
            if (qr_map_set(places, id, place) != 0)
                return UV_ENOMEM;
        }
        if (place != &merge->dims[i])
            merge->in_place = false;
        *place = def->dims[i];
    }
    if (merge->n != def->n_dims)
        merge->in_place = false;
    return 0;
}

/* A definition with the merged dimensions, in memory of its own. */
static int rebuild(struct qr_chart_def **def, const struct merge *merge)
{
    struct qr_chart_def view = **def;
    view.dims = merge->dims;
    view.n_dims = merge->n;
    struct qr_buf bytes = {0};
    int err = qr_chart_def_encode(&bytes, &view);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    struct qr_chart_def *rebuilt;
    if (err == 0)
        err = qr_chart_def_decode(&rebuilt, &in);
    if (err == 0) {
        free(*def);
        *def = rebuilt;
    }
    qr_buf_release(&bytes);
    return err;
}

/* A new chart, as most are told: nothing to merge if no two of its few dimensions are one. */
static bool is_merged(const struct qr_chart_def *def, const struct qr_chart_def *old)
{
    if (old != NULL || def->n_dims > 16)
        return false;
    for (uint32_t i = 1; i < def->n_dims; i++)
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(def->dims[i].id, def->dims[j].id) == 0)
                return false;
    return true;
}

int qr_merge_dims(struct qr_chart_def **def, const struct qr_chart_def *old)
{
    if (is_merged(*def, old))
        return 0;
    size_t max = (size_t)(*def)->n_dims + (old != NULL ? old->n_dims : 0);
    if ((*def)->n_dims > QR_DIMS_PER_CHART_MAX)
        return QR_E_LIMIT;
    struct merge merge = {.dims = malloc((max + 1) * sizeof *merge.dims)};
    if (merge.dims == NULL)
        return UV_ENOMEM;
    struct qr_map places;
    qr_map_init(&places);
    int err = merge_dims(&merge, old, *def, &places);
    if (err == 0 && !merge.in_place)
        err = rebuild(def, &merge);
    qr_map_release(&places);
    free(merge.dims);
    return err;
}
