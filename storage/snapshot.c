#include "storage/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/plant.h"
#include "storage/catalog_bytes.h"
#include "storage/chunk.h"
#include "storage/confirm.h"
#include "storage/tiler.h"

#define MAGIC   "QRSTATE"
#define VERSION 3

#define BLOCK_BYTES_MIN 15u /* Bytes of a block file. */

/* ---- encoding ---- */

static void put_gaps(const struct qr_state *state, struct qr_buf *out)
{
    const struct qr_gap_list *list = atomic_load(&state->gaps);
    uint32_t n = list != NULL ? atomic_load(&list->n) : 0;
    qr_buf_add_varint(out, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct qr_gap *gap = &list->gaps[i];
        qr_buf_add_varint(out, gap->chart);
        qr_buf_add_varint(out, (uint64_t)gap->after_s);
        qr_buf_add_varint(out, (uint64_t)(gap->before_s - gap->after_s));
        qr_buf_add_u8(out, gap->reason);
    }
}

static void put_votes(const struct qr_state *state, const struct qr_block_id *id,
                      struct qr_buf *out)
{
    static const struct qr_ballot none;
    const struct qr_ballot *ballot = qr_confirm_votes(state, id);
    qr_ballot_encode(ballot != NULL ? ballot : &none, out);
}

static void put_manifest(const struct qr_state *state, const struct qr_ledger *ledger,
                         struct qr_buf *out)
{
    qr_buf_add_varint(out, ledger->n);
    for (uint32_t i = 0; i < ledger->n; i++) {
        const struct qr_ledger_file *file = &ledger->at[i];
        qr_block_id_encode(out, &file->id);
        qr_buf_add_varint(out, file->bytes);
        qr_buf_add_u64(out, file->hash);
        qr_buf_add_u8(out, file->confirmed);
        if (!file->confirmed)
            put_votes(state, &file->id, out);
    }
    qr_buf_add_u8(out, ledger->has_pending);
    if (!ledger->has_pending)
        return;
    qr_block_id_encode(out, &ledger->pending);
    qr_id_runs_encode(&ledger->forgotten, out);
    put_votes(state, &ledger->pending, out);
}

/* Working memory for the tail. */
struct tail {
    struct qr_codec codec;
    struct qr_grid grid;
    struct qr_buf chunk, chunks;
    struct qr_tiler tiler; /* Reading. */
};

static void tail_release(struct tail *tail)
{
    qr_codec_release(&tail->codec);
    qr_grid_release(&tail->grid);
    qr_buf_release(&tail->chunk);
    qr_buf_release(&tail->chunks);
}

/* Rows up to the last tile that has any: right after a seal they are a few of the window's. */
static uint32_t rows_of(const struct qr_head_slab *slab)
{
    for (uint32_t tile = qr_head_n_tiles(slab); tile > 0; tile--) {
        uint32_t first;
        uint32_t n = qr_head_tile_rows(slab, tile - 1, &first);
        if (atomic_load_explicit(&slab->tiles[tile - 1], memory_order_acquire) != 0)
            return first + n;
    }
    return 0;
}

/* The slabs of a window that is still open, in order of chart ids.  *n_charts hold something. */
static int put_window(struct tail *tail, const struct qr_head_window *window, uint32_t *n_charts)
{
    struct qr_head_slab **slabs = qr_head_sorted(window);
    if (slabs == NULL)
        return UV_ENOMEM;
    uint32_t last = 0;
    int err = 0;
    *n_charts = 0;
    qr_buf_clear(&tail->chunks);
    for (uint32_t i = 0; i < window->n && err == 0; i++) {
        uint64_t n_samples = 0;
        qr_buf_clear(&tail->chunk);
        uint32_t n_rows = rows_of(slabs[i]);
        if (n_rows == 0)
            continue;
        err = qr_head_copy(slabs[i], 0, n_rows, &tail->grid);
        if (err == 0)
            err = qr_chunk_encode(&tail->codec, &tail->chunk, window->start_s, &tail->grid,
                                  &n_samples);
        if (err != 0 || n_samples == 0)
            continue;
        qr_buf_add_varint(&tail->chunks, slabs[i]->chart->id - last);
        err = qr_buf_add_bytes(&tail->chunks, qr_buf_slice(&tail->chunk));
        last = slabs[i]->chart->id;
        ++*n_charts;
    }
    free(slabs);
    return err;
}

static int put_tail(const struct qr_state *state, struct qr_buf *out)
{
    struct tail tail = {0};
    int err = 0;
    for (uint32_t i = 0; i < state->head.n_windows && err == 0; i++) {
        if (QR_PLANT(snapshot_lacks_head))
            continue;
        const struct qr_head_window *window = state->head.windows[i];
        uint32_t n_charts;
        err = put_window(&tail, window, &n_charts);
        if (err != 0 || n_charts == 0)
            continue;
        qr_buf_add_varint(out, n_charts);
        qr_buf_add_varint(out, (uint64_t)(window->start_s / state->head.window_s));
        err = qr_buf_add(out, tail.chunks.base, tail.chunks.len);
    }
    tail_release(&tail);
    return err != 0 ? err : qr_buf_add_varint(out, 0); /* No more windows. */
}

int qr_snapshot_encode(const struct qr_state *state, const struct qr_ledger *ledger,
                       struct qr_buf *out)
{
    assert(qr_list_empty(&state->seals));
    size_t start = out->len;
    qr_buf_add(out, MAGIC, sizeof MAGIC);
    qr_buf_add_u8(out, VERSION);
    qr_buf_add_varint(out, state->head.window_s);
    for (unsigned tier = 0; tier < QR_TIERS; tier++)
        qr_buf_add_varint(out, (uint64_t)state->retain_s[tier]);
    qr_buf_add_varint(out, (uint64_t)state->catalog.edge_s);
    qr_buf_add_varint(out, atomic_load(&state->n_rows));
    qr_buf_add_varint(out, atomic_load(&state->n_samples));
    qr_buf_add_varint(out, atomic_load(&state->n_duplicates));
    qr_buf_add_varint(out, state->shards.current);
    qr_buf_add_varint(out, state->shards.n_metrics);
    int err = qr_catalog_encode(&state->catalog, out);
    put_gaps(state, out);
    put_manifest(state, ledger, out);
    if (err == 0)
        err = put_tail(state, out);
    if (err == 0 && !out->failed)
        err = qr_buf_add_u32(out, qr_crc32c(0, out->base + start, out->len - start));
    if (err == 0 && out->failed)
        err = UV_ENOMEM;
    if (err != 0)
        out->len = start;
    return err;
}

/* ---- decoding ---- */

/* A time of the log: what is larger was never stored. */
static int64_t take_time(struct qr_cursor *in)
{
    return (int64_t)qr_cursor_varint_max(in, QR_TIME_S_MAX);
}

/* The start of a window, from its number. */
static int64_t take_window(const struct qr_state *state, struct qr_cursor *in)
{
    uint32_t window_s = state->head.window_s;
    return (int64_t)qr_cursor_varint_max(in, (uint64_t)QR_TIME_S_MAX / window_s) * window_s;
}

static bool take_bool(struct qr_cursor *in)
{
    uint8_t v = qr_cursor_u8(in);
    if (v > 1)
        in->failed = true;
    return v != 0;
}

static int take_gaps(struct qr_state *state, struct qr_cursor *in)
{
    uint64_t n = qr_cursor_varint_max(in, QR_GAPS_MAX);
    for (uint64_t i = 0; i < n; i++) {
        struct qr_gap gap;
        gap.chart = (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
        gap.after_s = take_time(in);
        gap.before_s = gap.after_s + take_time(in);
        gap.reason = qr_cursor_u8(in);
        if (in->failed || qr_catalog_chart(&state->catalog, gap.chart) == NULL ||
            gap.before_s == gap.after_s || gap.before_s > QR_TIME_S_MAX)
            return QR_E_MALFORMED;
        int err = qr_state_add_gap(state, &gap);
        if (err != 0)
            return err;
    }
    return in->failed ? QR_E_MALFORMED : 0;
}

static int resume(struct qr_state *state, const struct qr_block_id *id,
                  struct qr_id_runs *forgotten)
{
    if (id->window_s != qr_merge_span(state->head.window_s, id->tier) ||
        id->start_s % id->window_s != 0 || qr_manifest_find(&state->manifest, id) != NULL)
        return QR_E_MALFORMED;
    return qr_merge_resume(state, id, forgotten);
}

/* The merge that is not named yet. */
static int take_pending(struct qr_state *state, struct qr_cursor *in)
{
    struct qr_block_id id;
    struct qr_ballot ballot;
    struct qr_id_runs forgotten = {0};
    qr_block_id_decode(&id, in);
    int err = qr_id_runs_decode(&forgotten, in, state->catalog.last_chart);
    qr_ballot_decode(&ballot, in);
    if (err == 0)
        err = in->failed ? QR_E_MALFORMED : resume(state, &id, &forgotten);
    qr_id_runs_release(&forgotten);
    return err == 0 && ballot.n != 0 ? qr_confirm_put(state, &id, &ballot) : err;
}

static int take_manifest(struct qr_state *state, struct qr_cursor *in)
{
    uint64_t n = qr_cursor_varint_max(in, qr_cursor_left(in) / BLOCK_BYTES_MIN);
    if (in->failed)
        return QR_E_MALFORMED;
    struct qr_block_set *set = qr_manifest_begin(&state->manifest, (uint32_t)n);
    if (set == NULL)
        return UV_ENOMEM;
    for (uint64_t i = 0; i < n; i++) {
        struct qr_block_id id;
        qr_block_id_decode(&id, in);
        uint64_t bytes = qr_cursor_varint(in);
        uint64_t hash = qr_cursor_u64(in);
        bool confirmed = take_bool(in);
        struct qr_ballot ballot = {0};
        if (!confirmed)
            qr_ballot_decode(&ballot, in);
        if (in->failed || (i != 0 && qr_block_id_compare(&set->at[i - 1]->id, &id) >= 0))
            return QR_E_MALFORMED;
        struct qr_block *block = qr_block_new(&id, bytes, hash, QR_BLOCK_UNCHECKED);
        if (block == NULL)
            return UV_ENOMEM;
        block->confirmed = confirmed;
        qr_manifest_append(&state->manifest, block);
        if (ballot.n != 0 && qr_confirm_put(state, &id, &ballot) != 0)
            return UV_ENOMEM;
    }
    return take_bool(in) ? take_pending(state, in) : in->failed ? QR_E_MALFORMED : 0;
}

static int put_rows(struct qr_state *state, struct qr_chart *chart, const struct qr_grid *grid)
{
    const struct qr_chart_def *def = atomic_load(&chart->def);
    if (grid->n_dims > def->n_dims || grid->first_s < 1)
        return QR_E_MALFORMED;
    uint32_t step = def->update_every != 0 ? def->update_every : 1, n_new, n_old;
    uint32_t *cells = malloc(grid->n_dims * sizeof *cells);
    int err = cells != NULL ? 0 : UV_ENOMEM;
    for (uint32_t row = 0; row < grid->n_rows && err == 0; row++) {
        for (uint32_t d = 0; d < grid->n_dims; d++)
            cells[d] = qr_grid_at(grid, row, d);
        err = qr_head_put(&state->head, chart, step, def->n_dims,
                          grid->first_s + (int64_t)row * grid->step_s, cells, grid->n_dims, &n_new,
                          &n_old);
    }
    free(cells);
    return err;
}

static int take_window_rows(struct qr_state *state, struct qr_cursor *in, struct tail *tail,
                            uint64_t n_charts, int64_t start_s)
{
    uint64_t id = 0;
    for (uint64_t i = 0; i < n_charts; i++) {
        uint64_t step = qr_cursor_varint_max(in, UINT32_MAX);
        struct qr_slice chunk = qr_cursor_bytes(in, qr_cursor_left(in));
        id += step;
        struct qr_chart *chart =
            id <= UINT32_MAX ? qr_catalog_chart(&state->catalog, (uint32_t)id) : NULL;
        if (in->failed || step == 0 || chart == NULL)
            return QR_E_MALFORMED;
        int err = qr_chunk_decode(chunk, start_s, state->head.window_s, &tail->grid);
        if (err == 0)
            err = put_rows(state, chart, &tail->grid);
        if (err != 0)
            return err;
        qr_tiler_note(&tail->tiler, &state->head);
    }
    return 0;
}

static int take_tail(struct qr_state *state, struct qr_cursor *in)
{
    struct tail tail = {0};
    int64_t last = -1;
    int err = 0;
    uint64_t n_charts;
    /* Encoded on the way: raw, half a window of a million metrics is a gigabyte. */
    qr_tiler_init(&tail.tiler, state->epoch, NULL);
    state->head.loading = true;
    while (err == 0 && (n_charts = qr_cursor_varint_max(in, UINT32_MAX)) != 0) {
        int64_t start_s = take_window(state, in);
        if (in->failed || start_s < last)
            err = QR_E_MALFORMED;
        else
            err = take_window_rows(state, in, &tail, n_charts, start_s);
        last = start_s;
    }
    qr_tiler_step(&tail.tiler, &state->head);
    qr_tiler_release(&tail.tiler);
    state->head.loading = false;
    tail_release(&tail);
    return err != 0 ? err : in->failed ? QR_E_MALFORMED : 0;
}

/* The envelope: magic, version, checksum.  Leaves a cursor on what is between. */
static int open_envelope(struct qr_slice bytes, struct qr_cursor *in)
{
    *in = qr_cursor_of(bytes);
    struct qr_slice magic = qr_cursor_take(in, sizeof MAGIC);
    uint8_t version = qr_cursor_u8(in);
    if (in->failed || memcmp(magic.base, MAGIC, sizeof MAGIC) != 0)
        return QR_E_MALFORMED;
    if (version != VERSION)
        return QR_E_VERSION;
    if (qr_cursor_left(in) < 4)
        return QR_E_MALFORMED;
    in->end -= 4;
    struct qr_cursor tail = qr_cursor_of(qr_slice_of(in->end, 4));
    return qr_cursor_u32(&tail) == qr_crc32c(0, bytes.base, bytes.len - 4) ? 0 : QR_E_CORRUPT;
}

int qr_snapshot_decode(struct qr_state *state, struct qr_slice bytes)
{
    struct qr_cursor in;
    int err = open_envelope(bytes, &in);
    if (err != 0)
        return err;
    uint64_t window_s = qr_cursor_varint_max(&in, QR_WINDOW_S_MAX);
    if (in.failed || window_s == 0)
        return QR_E_MALFORMED;
    state->head.window_s = (uint32_t)window_s;
    for (unsigned tier = 0; tier < QR_TIERS; tier++)
        state->retain_s[tier] = take_time(&in);
    state->catalog.edge_s = take_time(&in);
    atomic_store(&state->n_rows, qr_cursor_varint(&in));
    atomic_store(&state->n_samples, qr_cursor_varint(&in));
    atomic_store(&state->n_duplicates, qr_cursor_varint(&in));
    state->shards.current = (uint32_t)qr_cursor_varint_max(&in, QR_SHARD_MAX);
    state->shards.n_metrics = qr_cursor_varint(&in);
    err = qr_catalog_decode(&state->catalog, &in, state->shards.current);
    if (err == 0)
        err = take_gaps(state, &in);
    if (err == 0)
        err = take_manifest(state, &in);
    if (err == 0)
        err = take_tail(state, &in);
    return err != 0 ? err : qr_cursor_done(&in) ? 0 : QR_E_MALFORMED;
}
