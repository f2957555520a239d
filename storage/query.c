#include "storage/query.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "storage/grid.h"
#include "storage/internal.h"

/* Where some of a window's rows are.  Lower ranks win: files by generation, then the head. */
struct part {
    int64_t window_start_s;
    uint32_t rank;
    const struct qr_head_slab *slab; /* Or: */
    struct qr_block *block;
};

struct qr_query {
    struct qr_store *store;
    const struct qr_chart *chart;
    int64_t first_s, last_s;
    struct part *parts; /* By window, then rank. */
    size_t n_parts, capacity, at;
    uint32_t n_bad;
    struct qr_grid rows, part, chunk, spare;
    struct qr_block_reader reader;
};

/* ---- what there is ---- */

static int add_part(struct qr_query *query, const struct part *part)
{
    if (query->n_parts == query->capacity) {
        size_t capacity = query->capacity != 0 ? query->capacity * 2 : 16;
        struct part *grown = realloc(query->parts, capacity * sizeof *grown);
        if (grown == NULL)
            return UV_ENOMEM;
        query->parts = grown;
        query->capacity = capacity;
    }
    query->parts[query->n_parts++] = *part;
    return 0;
}

static int add_slabs(struct qr_query *query)
{
    uint32_t rank = UINT32_MAX;
    for (const struct qr_head_slab *slab = qr_head_first(query->chart->head); slab != NULL;
         slab = qr_head_next(slab), rank--) {
        int64_t last = slab->first_s + (int64_t)(slab->n_rows - 1) * slab->step_s;
        if (slab->first_s > query->last_s || last < query->first_s)
            continue;
        struct part part = {slab->window_start_s, rank, slab, NULL};
        int err = add_part(query, &part);
        if (err != 0)
            return err;
    }
    return 0;
}

static int add_blocks(struct qr_query *query)
{
    const struct qr_block_set *set = atomic_load(&qr_state_of(query->chart)->manifest.set);
    uint32_t at = qr_block_set_from(set, 0, query->first_s);
    for (; set != NULL && at < set->n; at++) {
        struct qr_block *block = set->at[at];
        if (block->id.tier != 0 || block->id.start_s > query->last_s)
            break;
        if (qr_block_id_end_s(&block->id) <= query->first_s)
            continue;
        struct part part = {block->id.start_s, block->id.generation, NULL, block};
        int err = add_part(query, &part);
        if (err != 0)
            return err;
    }
    return 0;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *pa = a, *pb = b;
    if (pa->window_start_s != pb->window_start_s)
        return pa->window_start_s < pb->window_start_s ? -1 : 1;
    return (pa->rank > pb->rank) - (pa->rank < pb->rank);
}

int qr_query_open(struct qr_query **query, struct qr_store *store, const struct qr_chart *chart,
                  int64_t first_s, int64_t last_s)
{
    struct qr_query *q = calloc(1, sizeof *q);
    if (q == NULL)
        return UV_ENOMEM;
    q->store = store;
    q->chart = chart;
    q->first_s = first_s;
    q->last_s = last_s;
    /* Slabs first: a window that is sealed meanwhile is then seen twice, not never. */
    int err = add_slabs(q);
    if (err == 0)
        err = add_blocks(q);
    if (err != 0) {
        qr_query_close(q);
        return err;
    }
    if (q->n_parts != 0)
        qsort(q->parts, q->n_parts, sizeof *q->parts, compare_parts);
    *query = q;
    return 0;
}

void qr_query_close(struct qr_query *query)
{
    qr_grid_release(&query->rows);
    qr_grid_release(&query->part);
    qr_grid_release(&query->chunk);
    qr_grid_release(&query->spare);
    qr_block_reader_release(&query->reader);
    free(query->parts);
    free(query);
}

/* ---- reading ---- */

/* Rows first .. first + n - 1 of a grid that lie in the query's span; false: none does. */
static bool clip(const struct qr_query *query, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                 uint32_t *first, uint32_t *n)
{
    int64_t last_s = first_s + (int64_t)(n_rows - 1) * step_s;
    if (n_rows == 0 || last_s < query->first_s || first_s > query->last_s)
        return false;
    int64_t low = 0, high = n_rows - 1;
    if (query->first_s > first_s)
        low = (query->first_s - first_s + step_s - 1) / step_s;
    if (query->last_s < last_s)
        high = (query->last_s - first_s) / step_s;
    if (low > high)
        return false;
    *first = (uint32_t)low;
    *n = (uint32_t)(high - low + 1);
    return true;
}

/* 1, or 0 if no row is in the span. */
static int read_slab(struct qr_query *query, const struct qr_head_slab *slab, struct qr_grid *grid)
{
    uint32_t first, n;
    if (!clip(query, slab->first_s, slab->step_s, slab->n_rows, &first, &n))
        return 0;
    int err = qr_head_copy(slab, first, n, grid);
    return err != 0 ? err : 1;
}

/* What the chart has in the sub-windows of the query's span: 1, or 0: nothing. */
static int read_chunks(struct qr_query *query, const struct qr_block_index *index,
                       struct qr_disk *disk, const char *path, struct qr_grid *grid)
{
    uint32_t row, n = qr_block_find(index, query->chart->host->id, query->chart->id, query->first_s,
                                    query->last_s, &row);
    int err = 0;
    for (uint32_t i = 0; i < n && err == 0; i++) {
        struct qr_grid *part = i == 0 ? grid : &query->chunk;
        err = qr_block_read(&query->reader, index, disk, path, row + i, part);
        if (err == 0 && i != 0)
            err = qr_grid_overlay(grid, part, &query->spare);
    }
    return err != 0 ? err : n != 0;
}

/* The same from one place: 1, 0: nothing, or an error. */
static int read_block_from(struct qr_query *query, struct qr_block *block, struct qr_disk *disk,
                           struct qr_grid *grid)
{
    struct qr_index_cache *indexes = &query->store->indexes;
    char path[QR_PATH_BYTES_MAX];
    struct qr_cached_index *cached;
    int err = qr_store_path(query->store, &block->id, path);
    if (err == 0)
        err = qr_index_cache_get(indexes, &block->index, disk, path, block->bytes, block->hash,
                                 &cached);
    if (err != 0)
        return err;
    err = read_chunks(query, cached->index, disk, path, grid);
    qr_index_cache_put(indexes, cached);
    return err;
}

/* The same from this member's file or, if that cannot be had, a peer's; QR_E_CORRUPT: from none. */
static int read_block(struct qr_query *query, struct qr_block *block, struct qr_grid *grid)
{
    const struct qr_store_config *config = &query->store->config;
    int err = UV_ENOENT;
    if (atomic_load(&block->health) != QR_BLOCK_MISSING) {
        err = read_block_from(query, block, config->disk, grid);
        if (err != UV_ENOENT && err != QR_E_CORRUPT)
            return err;
        qr_store_note_damage(query->store, block, err);
    }
    if (config->peers != NULL)
        err = read_block_from(query, block, config->peers, grid);
    return err >= 0 ? err : QR_E_CORRUPT;
}

/* All parts of the next window, as one grid.  1, 0: nothing in it, or an error.  If one of its
 * files is bad the window is left out: what is in the others may be what that one overrules. */
static int read_window(struct qr_query *query)
{
    int64_t window = query->parts[query->at].window_start_s;
    bool have_rows = false;
    int err = 0;
    for (; query->at < query->n_parts; query->at++) {
        const struct part *part = &query->parts[query->at];
        if (part->window_start_s != window)
            break;
        if (err < 0)
            continue;
        struct qr_grid *grid = have_rows ? &query->part : &query->rows;
        err = part->slab != NULL ? read_slab(query, part->slab, grid)
                                 : read_block(query, part->block, grid);
        if (err == 1 && have_rows)
            err = qr_grid_overlay(&query->rows, grid, &query->spare);
        else if (err == 1)
            have_rows = true;
    }
    if (err == QR_E_CORRUPT) {
        query->n_bad++;
        return 0;
    }
    return err < 0 ? err : have_rows;
}

int qr_query_next(struct qr_query *query, struct qr_slab *slab)
{
    while (query->at < query->n_parts) {
        int err = read_window(query);
        if (err < 0)
            return err;
        uint32_t first, n;
        const struct qr_grid *rows = &query->rows;
        if (err == 0 || !clip(query, rows->first_s, rows->step_s, rows->n_rows, &first, &n))
            continue;
        *slab = (struct qr_slab){
            .first_s = rows->first_s + (int64_t)first * rows->step_s,
            .step_s = rows->step_s,
            .n_rows = n,
            .n_dims = rows->n_dims,
            .stride = rows->n_rows,
            .values = rows->values + first,
        };
        return 1;
    }
    return 0;
}

uint32_t qr_query_n_bad(const struct qr_query *query)
{
    return query->n_bad;
}
