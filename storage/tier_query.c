#include "storage/tier_query.h"

#include <uv.h>

#include "base/error.h"
#include "base/plant.h"
#include "storage/internal.h"
#include "storage/query.h"

void qr_tier_reader_release(struct qr_tier_reader *reader)
{
    qr_block_reader_release(&reader->blocks);
    qr_tier_codec_release(&reader->codec);
    qr_points_release(&reader->fine);
}

/* What there is for a span, and for its shard: files by tier, the newest of each. */
struct found {
    struct qr_block *merged, *points;
    bool has_windows; /* Files that are not merged. */
};

static struct found find_files(const struct qr_state *state, const struct qr_block_id *span)
{
    struct found found = {0};
    const struct qr_block_set *set = atomic_load(&state->manifest.set);
    for (uint8_t tier = 0; tier <= span->tier; tier++)
        for (uint32_t i = qr_block_set_from(set, tier, span->start_s); set != NULL && i < set->n;
             i++) {
            struct qr_block *block = set->at[i];
            const struct qr_block_id *id = &block->id;
            if (id->tier != tier || id->start_s >= qr_block_id_end_s(span))
                break;
            if (id->shard != span->shard || id->start_s < span->start_s ||
                qr_block_id_end_s(id) > qr_block_id_end_s(span))
                continue;
            if (tier != 0 && tier == span->tier)
                found.points = block;
            else if (tier == 0 && id->window_s == state->head.window_s)
                found.has_windows = true;
            else if (tier == 0 && id->window_s == span->window_s)
                found.merged = block;
        }
    return found;
}

static bool is_in_head(const struct qr_chart *chart, const struct qr_block_id *span)
{
    for (const struct qr_head_slab *slab = qr_head_first(chart->head); slab != NULL;
         slab = qr_head_next(slab))
        if (slab->window_start_s >= span->start_s && slab->window_start_s < qr_block_id_end_s(span))
            return true;
    return false;
}

/* The span's points of tier 1 as they are in a file; NULL: the samples are here, and say more. */
static struct qr_block *file_of_span(const struct qr_tier_reader *reader,
                                     const struct qr_block_id *span)
{
    const struct qr_state *state = qr_state_of(reader->chart);
    struct found found = find_files(state, span);
    if (found.points == NULL || span->start_s < qr_state_edge(state, 0))
        return found.points;
    bool is_current = found.merged != NULL && !found.has_windows &&
                      found.merged->id.generation == found.points->id.generation &&
                      !is_in_head(reader->chart, span);
    return is_current || QR_PLANT(stale_points) ? found.points : NULL;
}

static struct qr_block_id span_at(const struct qr_tier_reader *reader, uint8_t tier,
                                  int64_t start_s)
{
    const struct qr_state *state = qr_state_of(reader->chart);
    return (struct qr_block_id){.start_s = start_s,
                                .window_s = qr_merge_span(state->head.window_s, tier),
                                .shard = reader->chart->host->shard,
                                .tier = tier};
}

/* Without a current file of points: is there one that is not, or are there samples that came when
 * the day's file was made already? */
static bool has_more(const struct qr_tier_reader *reader, const struct qr_block_id *span)
{
    struct found found = find_files(qr_state_of(reader->chart), span);
    return found.points != NULL || found.merged != NULL || found.has_windows ||
           is_in_head(reader->chart, span);
}

/* The same for tier 2: it is current if it is of what all its spans' files are. */
static struct qr_block *file_of_day(const struct qr_tier_reader *reader,
                                    const struct qr_block_id *day)
{
    const struct qr_state *state = qr_state_of(reader->chart);
    struct qr_block *points = find_files(state, day).points;
    if (points == NULL || day->start_s < qr_state_edge(state, 1))
        return points;
    uint64_t generations = 0;
    for (unsigned i = 0; i < QR_MERGE_SPANS; i++) {
        struct qr_block_id span = span_at(reader, 1, day->start_s);
        span.start_s += (int64_t)i * span.window_s;
        const struct qr_block *file = file_of_span(reader, &span);
        if (file != NULL)
            generations += (uint64_t)file->id.generation + 1;
        else if (has_more(reader, &span))
            return NULL;
    }
    return generations == (uint64_t)points->id.generation + 1 ? points : NULL;
}

/* ---- reading ---- */

static int add_chunks(struct qr_tier_reader *reader, const struct qr_block_index *index,
                      struct qr_disk *disk, const char *path, int64_t from_s, int64_t to_s,
                      struct qr_points *points)
{
    uint32_t step_s = qr_tier_step(index->head.id.tier), row;
    /* The point that ends where a sub-window begins is in the one before. */
    uint32_t n = qr_block_find(index, reader->chart->host->id, reader->chart->id, from_s - step_s,
                               to_s, &row);
    int err = 0;
    for (uint32_t i = 0; i < n && err == 0; i++) {
        struct qr_slice bytes;
        uint32_t sub = qr_block_row_at(index, row + i).sub;
        err = qr_block_chunk(&reader->blocks, index, disk, path, row + i, &bytes);
        if (err == 0)
            err =
                qr_tier_chunk_decode(&reader->codec, bytes, qr_block_sub_start_s(&index->head, sub),
                                     index->head.sub_s, step_s, &reader->fine);
        if (err == 0)
            qr_points_add_points(points, &reader->fine);
    }
    return err == QR_E_MALFORMED ? QR_E_CORRUPT : err;
}

static int add_file_from(struct qr_tier_reader *reader, struct qr_block *block,
                         struct qr_disk *disk, int64_t from_s, int64_t to_s,
                         struct qr_points *points)
{
    struct qr_store *store = reader->store;
    char path[QR_PATH_BYTES_MAX];
    struct qr_cached_index *cached;
    int err = qr_store_path(store, &block->id, path);
    if (err == 0)
        err = qr_index_cache_get(&store->indexes, &block->index, disk, path, block->bytes,
                                 block->hash, &cached);
    if (err != 0)
        return err;
    err = add_chunks(reader, cached->index, disk, path, from_s, to_s, points);
    qr_index_cache_put(&store->indexes, cached);
    return err;
}

/* What a file has of the span; from a peer if it is not sound here. */
static int add_file(struct qr_tier_reader *reader, struct qr_block *block, int64_t from_s,
                    int64_t to_s, struct qr_points *points)
{
    const struct qr_store_config *config = &reader->store->config;
    struct qr_points sum = {0}; /* A file that fails half way leaves nothing. */
    int err =
        qr_points_reset(&sum, points->first_s, points->step_s, points->n_rows, points->n_dims);
    if (err == 0 && atomic_load(&block->health) == QR_BLOCK_MISSING)
        err = UV_ENOENT;
    else if (err == 0) {
        err = add_file_from(reader, block, config->disk, from_s, to_s, &sum);
        if (err == UV_ENOENT || err == QR_E_CORRUPT)
            qr_store_note_damage(reader->store, block, err);
    }
    if ((err == UV_ENOENT || err == QR_E_CORRUPT) && config->peers != NULL) {
        qr_points_reset(&sum, points->first_s, points->step_s, points->n_rows, points->n_dims);
        err = add_file_from(reader, block, config->peers, from_s, to_s, &sum);
        if (err != 0)
            err = QR_E_CORRUPT;
    }
    if (err == 0)
        qr_points_add_points(points, &sum);
    qr_points_release(&sum);
    if (err != UV_ENOENT && err != QR_E_CORRUPT)
        return err;
    reader->n_bad++;
    return 0;
}

static int add_samples(struct qr_tier_reader *reader, int64_t from_s, int64_t to_s,
                       struct qr_points *points)
{
    struct qr_query *query;
    int err = qr_query_open(&query, reader->store, reader->chart, from_s, to_s);
    if (err != 0)
        return err;
    struct qr_slab slab;
    while ((err = qr_query_next(query, &slab)) == 1) {
        const struct qr_columns values = {slab.first_s, slab.step_s, slab.n_rows,
                                          slab.n_dims,  slab.stride, slab.values};
        qr_points_add_values(points, &values);
    }
    reader->n_bad += qr_query_n_bad(query);
    qr_query_close(query);
    return err;
}

/* Adds what is known of the samples that end in [from_s, to_s], which lie in one span of tier 1. */
static int add_span(struct qr_tier_reader *reader, int64_t from_s, int64_t to_s,
                    struct qr_points *points)
{
    struct qr_block_id span = span_at(reader, 1, from_s);
    span.start_s -= span.start_s % span.window_s;
    struct qr_block *file = file_of_span(reader, &span);
    return file != NULL ? add_file(reader, file, from_s, to_s, points)
                        : add_samples(reader, from_s, to_s, points);
}

/* Calls for each span of a tier that the samples lie in. */
static int add_spans(struct qr_tier_reader *reader, uint8_t tier, int64_t from_s, int64_t to_s,
                     struct qr_points *points);

static int add_day(struct qr_tier_reader *reader, int64_t from_s, int64_t to_s,
                   struct qr_points *points)
{
    struct qr_block_id day = span_at(reader, 2, from_s);
    day.start_s -= day.start_s % day.window_s;
    struct qr_block *file = file_of_day(reader, &day);
    return file != NULL ? add_file(reader, file, from_s, to_s, points)
                        : add_spans(reader, 1, from_s, to_s, points);
}

static int add_spans(struct qr_tier_reader *reader, uint8_t tier, int64_t from_s, int64_t to_s,
                     struct qr_points *points)
{
    int64_t window_s = span_at(reader, tier, 0).window_s;
    int err = 0;
    while (from_s <= to_s && err == 0) {
        int64_t last_s = from_s - from_s % window_s + window_s - 1;
        last_s = last_s < to_s ? last_s : to_s;
        err = tier == 2 ? add_day(reader, from_s, last_s, points)
                        : add_span(reader, from_s, last_s, points);
        from_s = last_s + 1;
    }
    return err;
}

int qr_tier_read(struct qr_tier_reader *reader, unsigned tier, int64_t first_s, int64_t last_s,
                 struct qr_points *points)
{
    uint32_t step_s = qr_tier_step(tier);
    int64_t first = qr_point_end(first_s > 0 ? first_s : 0, step_s);
    int64_t last = last_s - last_s % step_s;
    uint32_t n_rows = last_s >= 0 && first <= last ? (uint32_t)((last - first) / step_s + 1) : 0;
    const struct qr_chart_def *def = atomic_load(&reader->chart->def);
    int err = qr_points_reset(points, first, step_s, n_rows, def->n_dims);
    int64_t from_s = first - step_s + 1;
    if (err == 0 && n_rows != 0)
        err = add_spans(reader, (uint8_t)tier, from_s > 0 ? from_s : 0, last, points);
    return err;
}
