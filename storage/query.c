#include "storage/query.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "storage/grid.h"
#include "storage/internal.h"

#define PEER_TRIES 3

/* Where some of a window's rows are.  Lower ranks win: files by generation, then the head. */
struct part {
    int64_t start_s, end_s;
    uint32_t rank;
    const struct qr_head_slab *slab; /* Or: */
    struct qr_block *block;
};

struct qr_query {
    struct qr_store *store;
    const struct qr_chart *chart;
    int64_t first_s, last_s;
    struct part *parts; /* By start, then rank. */
    size_t n_parts, capacity, at;
    int64_t at_s, unit_first_s, unit_last_s; /* What is read at once (read_unit). */
    size_t summed_at;                        /* Where qr_query_sum began, .. */
    int64_t summed_at_s;
    const struct qr_dims *dims; /* NULL: all. */
    uint32_t n_bad;
    struct qr_grid rows, part, chunk, spare;
    struct qr_block_reader reader;
    struct qr_aggregate *sums;
    size_t sums_capacity;
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
        int64_t end_s = slab->window_start_s + qr_state_of(query->chart)->head.window_s;
        struct part part = {slab->window_start_s, end_s, rank, slab, NULL};
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
        if (qr_block_id_end_s(&block->id) <= query->first_s ||
            block->id.shard != query->chart->host->shard)
            continue;
        struct part part = {block->id.start_s, qr_block_id_end_s(&block->id), block->id.generation,
                            NULL, block};
        int err = add_part(query, &part);
        if (err != 0)
            return err;
    }
    return 0;
}

static int compare_parts(const void *a, const void *b)
{
    const struct part *pa = a, *pb = b;
    if (pa->start_s != pb->start_s)
        return pa->start_s < pb->start_s ? -1 : 1;
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
    /* A merged file may begin before the edge. */
    int64_t edge_s = qr_state_edge(qr_state_of(chart), 0);
    q->first_s = first_s > edge_s ? first_s : edge_s;
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

void qr_query_select(struct qr_query *query, const struct qr_dims *dims)
{
    query->dims = dims;
}

void qr_query_close(struct qr_query *query)
{
    qr_grid_release(&query->rows);
    qr_grid_release(&query->part);
    qr_grid_release(&query->chunk);
    qr_grid_release(&query->spare);
    qr_block_reader_release(&query->reader);
    free(query->sums);
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
    int err = qr_head_copy(slab, first, n, query->dims != NULL ? &query->chunk : grid);
    if (err == 0 && query->dims != NULL)
        err = qr_grid_select(grid, &query->chunk, query->dims->at, query->dims->n);
    return err != 0 ? err : 1;
}

/* A place that a file is read from. */
struct source {
    const struct qr_block_index *index;
    struct qr_disk *disk;
    const char *path;
};

static int open_chunk(struct qr_query *query, const struct source *source, uint32_t row,
                      struct qr_chunk *chunk)
{
    const struct qr_block_head *head = &source->index->head;
    struct qr_slice bytes;
    int err =
        qr_block_chunk(&query->reader, source->index, source->disk, source->path, row, &bytes);
    if (err == 0 &&
        qr_chunk_open(chunk, bytes,
                      qr_block_sub_start_s(head, qr_block_row_at(source->index, row).sub),
                      head->sub_s) != 0)
        err = QR_E_CORRUPT;
    return err;
}

/* What does something with a file: 1, 0: the chart has nothing there, or an error. */
typedef int qr_reader(struct qr_query *query, const struct source *source, void *data);

/* A qr_reader: rows to a grid. */
static int read_rows(struct qr_query *query, const struct source *source, void *data)
{
    struct qr_grid *grid = data;
    struct qr_chunk chunk;
    uint32_t row, n = qr_block_find(source->index, query->chart->host->id, query->chart->id,
                                    query->unit_first_s, query->unit_last_s, &row);
    bool have_rows = false;
    for (uint32_t i = 0; i < n; i++) {
        int err = open_chunk(query, source, row + i, &chunk);
        if (err == 0)
            err = qr_chunk_read(&chunk, query->dims, query->first_s, query->last_s,
                                have_rows ? &query->chunk : grid);
        if (err == 1 && have_rows)
            err = qr_grid_overlay(grid, &query->chunk, &query->spare);
        if (err < 0)
            return err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
        have_rows = have_rows || err == 1;
    }
    return have_rows;
}

static int read_block_from(struct qr_query *query, struct qr_block *block, struct qr_disk *disk,
                           qr_reader *reader, void *data)
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
    err = reader(query, &(struct source){cached->index, disk, path}, data);
    qr_index_cache_put(indexes, cached);
    return err;
}

/* From this member's file or, if that cannot be had, a peer's; QR_E_CORRUPT: from none. */
static int read_block(struct qr_query *query, struct qr_block *block, qr_reader *reader, void *data)
{
    const struct qr_store_config *config = &query->store->config;
    int err = UV_ENOENT;
    if (atomic_load(&block->health) != QR_BLOCK_MISSING) {
        err = read_block_from(query, block, config->disk, reader, data);
        if (err != UV_ENOENT && err != QR_E_CORRUPT)
            return err;
        qr_store_note_damage(query->store, block, err);
    }
    /* A peer's copy may be damaged as well, and the next read is another peer's. */
    for (unsigned i = 0; config->peers != NULL && i < PEER_TRIES; i++) {
        err = read_block_from(query, block, config->peers, reader, data);
        if (err != QR_E_CORRUPT)
            break;
    }
    return err >= 0 ? err : QR_E_CORRUPT;
}

/* Goes to the next stretch of time that is read at once: a window, or a sub-window of a merged file
 * with what came late for it.  False: there is none. */
static bool next_of_any(struct qr_query *query)
{
    while (query->at < query->n_parts && query->parts[query->at].end_s <= query->at_s)
        query->at++;
    if (query->at == query->n_parts)
        return false;
    const struct part *part = &query->parts[query->at];
    if (query->at_s < part->start_s)
        query->at_s = part->start_s;
    /* Files are cut at multiples of their length, so no other part reaches over the unit's ends. */
    int64_t window_s = qr_state_of(query->chart)->head.window_s, unit_s = window_s;
    if (part->end_s - part->start_s > window_s)
        unit_s *= QR_MERGE_WINDOWS / QR_MERGE_PARTS;
    query->unit_first_s = query->at_s;
    query->at_s += unit_s - query->at_s % unit_s;
    query->unit_last_s = query->at_s - 1;
    return true;
}

/* The next that the query's span reaches into. */
static bool next_unit(struct qr_query *query)
{
    while (next_of_any(query))
        if (query->unit_last_s >= query->first_s)
            return query->unit_first_s <= query->last_s;
    return false;
}

/* All parts of the next unit, as one grid.  1, 0: nothing in it, or an error.  If one of its files
 * is bad the unit is left out: what is in the others may be what that one overrules. */
static int read_unit(struct qr_query *query)
{
    bool have_rows = false;
    int err = 0;
    for (size_t i = query->at; i < query->n_parts && err >= 0; i++) {
        const struct part *part = &query->parts[i];
        if (part->start_s > query->unit_last_s)
            break;
        if (part->end_s <= query->unit_first_s)
            continue;
        struct qr_grid *grid = have_rows ? &query->part : &query->rows;
        err = part->slab != NULL ? read_slab(query, part->slab, grid)
                                 : read_block(query, part->block, read_rows, grid);
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
    while (next_unit(query)) {
        int err = read_unit(query);
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

/* ---- sums ---- */

/* A qr_reader: is there something? */
static int has_rows(struct qr_query *query, const struct source *source, void *data)
{
    (void)data;
    uint32_t row;
    return qr_block_find(source->index, query->chart->host->id, query->chart->id,
                         query->unit_first_s, query->unit_last_s, &row) != 0;
}

/* Is what the chart has in the unit in one file, and nothing elsewhere?  1, 0, or an error. */
static int find_lone_block(struct qr_query *query, struct qr_block **lone)
{
    *lone = NULL;
    for (size_t i = query->at; i < query->n_parts; i++) {
        const struct part *part = &query->parts[i];
        if (part->start_s > query->unit_last_s)
            break;
        if (part->end_s <= query->unit_first_s)
            continue;
        if (part->slab != NULL)
            return 0;
        int found = read_block(query, part->block, has_rows, NULL);
        if (found < 0 || (found == 1 && *lone != NULL))
            return found < 0 ? found : 0;
        if (found == 1)
            *lone = part->block;
    }
    return *lone != NULL;
}

/* Room for the sums of n buckets in each dimension, zeroed. */
static int reserve_sums(struct qr_query *query, uint32_t n_dims, uint32_t n)
{
    size_t n_sums = (size_t)n_dims * n;
    if (n_sums > query->sums_capacity) {
        free(query->sums);
        query->sums = malloc(n_sums * sizeof *query->sums);
        query->sums_capacity = query->sums != NULL ? n_sums : 0;
        if (query->sums == NULL)
            return UV_ENOMEM;
    }
    if (n_sums != 0)
        memset(query->sums, 0, n_sums * sizeof *query->sums);
    return 0;
}

struct summing {
    const struct qr_buckets *buckets;
    struct qr_query_sums *sums;
};

/* A qr_reader: sums of a file that has one chunk in the span; of others, 0. */
static int read_sums(struct qr_query *query, const struct source *source, void *data)
{
    struct summing *summing = data;
    struct qr_query_sums *sums = summing->sums;
    struct qr_chunk chunk;
    uint32_t row, first, n;
    if (qr_block_find(source->index, query->chart->host->id, query->chart->id, query->unit_first_s,
                      query->unit_last_s, &row) != 1)
        return 0;
    int err = open_chunk(query, source, row, &chunk);
    if (err != 0)
        return err;
    if (!clip(query, chunk.first_s, chunk.step_s, chunk.n_rows, &first, &n))
        return 0;
    sums->first_s = chunk.first_s + (int64_t)first * chunk.step_s;
    sums->last_s = sums->first_s + (int64_t)(n - 1) * chunk.step_s;
    sums->step_s = chunk.step_s;
    sums->n_dims = query->dims != NULL ? query->dims->n : chunk.n_dims;
    sums->n = qr_buckets_find(summing->buckets, sums->first_s, sums->last_s, &sums->first_bucket);
    struct qr_buckets part = *summing->buckets;
    part.first_s += (int64_t)sums->first_bucket * part.step_s;
    part.n = sums->n;
    /* All of what is in the buckets is in the span: else rows have to be looked at. */
    if (sums->n == 0 || part.first_s - part.step_s + 1 < query->first_s ||
        part.first_s + (int64_t)(part.n - 1) * part.step_s > query->last_s)
        return 0;
    err = reserve_sums(query, sums->n_dims, sums->n);
    if (err == 0)
        err = qr_chunk_aggregate(&chunk, query->dims, &part, query->sums);
    sums->at = query->sums;
    return err == 0 ? 1 : err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
}

int qr_query_sum(struct qr_query *query, const struct qr_buckets *buckets,
                 struct qr_query_sums *sums)
{
    struct qr_block *block;
    struct summing summing = {buckets, sums};
    query->summed_at = query->at;
    query->summed_at_s = query->at_s;
    int err = next_unit(query) ? find_lone_block(query, &block) : 0;
    if (err == 1)
        err = read_block(query, block, read_sums, &summing);
    if (err == QR_E_CORRUPT)
        err = 0; /* qr_query_next will say so. */
    if (err == 0)
        qr_query_back(query);
    return err;
}

void qr_query_back(struct qr_query *query)
{
    query->at = query->summed_at;
    query->at_s = query->summed_at_s;
}

static void add_rows(const struct qr_slab *slab, const struct qr_buckets *buckets, uint32_t n_dims,
                     struct qr_aggregate *sums)
{
    for (uint32_t row = 0; row < slab->n_rows; row++) {
        int64_t end_s = slab->first_s + (int64_t)row * slab->step_s;
        uint32_t i;
        if (qr_buckets_find(buckets, end_s, end_s, &i) == 1)
            for (uint32_t d = 0; d < n_dims; d++)
                qr_aggregate_add(&sums[(size_t)d * buckets->n + i], qr_slab_at(slab, row, d));
    }
}

int qr_query_aggregate(struct qr_query *query, const struct qr_buckets *buckets, uint32_t n_dims,
                       struct qr_aggregate *sums)
{
    struct qr_query_sums part;
    struct qr_slab slab;
    int more;
    do {
        more = qr_query_sum(query, buckets, &part);
        for (uint32_t d = 0; more == 1 && d < n_dims && d < part.n_dims; d++)
            for (uint32_t i = 0; i < part.n; i++)
                qr_aggregate_merge(&sums[(size_t)d * buckets->n + part.first_bucket + i],
                                   &part.at[(size_t)d * part.n + i]);
        if (more == 0) {
            more = qr_query_next(query, &slab);
            if (more == 1)
                add_rows(&slab, buckets, n_dims, sums);
        }
    } while (more == 1);
    return more;
}

uint32_t qr_query_n_bad(const struct qr_query *query)
{
    return query->n_bad;
}
