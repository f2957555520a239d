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

/* The encoded tiles, in memory of just their size, which is the caller's. */
static void *take_pack(struct qr_tile_writer *writer, size_t *bytes)
{
    void *pack = malloc(writer->out.len);
    if (pack != NULL)
        memcpy(pack, writer->out.base, writer->out.len);
    *bytes = writer->out.len;
    return pack;
}

static void done(struct qr_job *job)
{
    struct qr_tiler *tiler = QR_CONTAINER_OF(job, struct qr_tiler, job);
    struct qr_tiler_batch *batch = tiler->batch;
    size_t bytes = 0;
    void *pack = tiler->status == 0 ? take_pack(&tiler->writer, &bytes) : NULL;
    if (pack == NULL ||
        qr_head_exchange(tiler->head, tiler->window, batch->items, batch->n, pack, bytes) != 0) {
        free(pack);
        free(batch);
    } else {
        qr_epoch_retire(tiler->epoch, batch, free_raw);
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
    batch->n = qr_head_take(head, batch->items, QR_TILER_BATCH, &tiler->window);
    if (batch->n == 0)
        return;
    tiler->busy = true;
    tiler->head = head;
    tiler->slot = qr_epoch_enter(tiler->epoch);
    tiler->job = (struct qr_job){.run = run, .done = done};
    qr_jobs_add(&tiler->jobs, &tiler->job);
}
