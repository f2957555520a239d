#include "storage/tiler.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

struct qr_tiler_batch {
    uint32_t n;
    struct qr_head_item items[QR_TILER_BATCH];
};

/* The raw tiles that were exchanged, which no reader sees any more. */
static void free_raw(void *memory)
{
    struct qr_tiler_batch *batch = memory;
    for (uint32_t i = 0; i < batch->n; i++)
        free(batch->items[i].raw);
    free(batch);
}

void qr_tiler_init(struct qr_tiler *tiler, struct qr_epoch *epoch, uv_loop_t *loop)
{
    *tiler = (struct qr_tiler){.epoch = epoch};
    qr_jobs_init(&tiler->jobs, loop);
}

void qr_tiler_release(struct qr_tiler *tiler)
{
    assert(!tiler->busy);
    free(tiler->batch);
    qr_tile_writer_release(&tiler->writer);
}

static void run(struct qr_job *job)
{
    struct qr_tiler *tiler = QR_CONTAINER_OF(job, struct qr_tiler, job);
    struct qr_tiler_batch *batch = tiler->batch;
    tiler->status = 0;
    for (uint32_t i = 0; i < batch->n && tiler->status == 0; i++) {
        struct qr_head_item *item = &batch->items[i];
        uint32_t first, n_rows = qr_head_tile_rows(item->slab, item->tile, &first);
        tiler->status =
            qr_tile_encode(&tiler->writer, item->raw, n_rows, item->slab->n_cols, &item->at);
    }
}

/* Tiles `first` .. `end` - 1, all of a window, to a pack of just their size. */
static int exchange(struct qr_tiler *tiler, uint32_t first, uint32_t end)
{
    struct qr_tiler_batch *batch = tiler->batch;
    const struct qr_buf *out = &tiler->writer.out;
    size_t from = batch->items[first].at;
    size_t bytes = (end < batch->n ? batch->items[end].at : out->len) - from;
    void *pack = malloc(bytes);
    if (pack == NULL)
        return UV_ENOMEM;
    memcpy(pack, out->base + from, bytes);
    for (uint32_t i = first; i < end; i++)
        batch->items[i].at -= from;
    int err = qr_head_exchange(tiler->head, &batch->items[first], end - first, pack, bytes);
    if (err != 0)
        free(pack);
    return err;
}

static void exchange_all(struct qr_tiler *tiler)
{
    struct qr_head_item *items = tiler->batch->items;
    uint32_t n = tiler->batch->n, first = 0;
    for (uint32_t i = 1; i <= n; i++) {
        if (i < n && items[i].slab->window == items[first].slab->window)
            continue;
        if (exchange(tiler, first, i) != 0)
            while (first < i)
                items[first++].raw = NULL; /* They stay as they are. */
        first = i;
    }
}

static void done(struct qr_job *job)
{
    struct qr_tiler *tiler = QR_CONTAINER_OF(job, struct qr_tiler, job);
    if (tiler->status == 0) {
        exchange_all(tiler);
        qr_epoch_retire(tiler->epoch, tiler->batch, free_raw);
    } else {
        free(tiler->batch);
    }
    tiler->batch = NULL;
    tiler->busy = false;
    qr_buf_clear(&tiler->writer.out);
    qr_epoch_leave(tiler->epoch, tiler->slot);
    qr_epoch_collect(tiler->epoch);
}

void qr_tiler_step(struct qr_tiler *tiler, struct qr_head *head)
{
    if (tiler->busy)
        return;
    struct qr_tiler_batch *batch = tiler->batch;
    if (batch == NULL)
        batch = tiler->batch = malloc(sizeof *batch);
    if (batch == NULL)
        return;
    batch->n = qr_head_take(head, batch->items, QR_TILER_BATCH);
    tiler->more = batch->n == QR_TILER_BATCH;
    if (batch->n == 0)
        return;
    tiler->busy = true;
    tiler->head = head;
    tiler->slot = qr_epoch_enter(tiler->epoch);
    tiler->job = (struct qr_job){.run = run, .done = done};
    qr_jobs_add(&tiler->jobs, &tiler->job);
}
