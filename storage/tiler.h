/* storage/tiler.h — encodes tiles of the head that have rested, by a worker.
 *
 *   qr_tiler_step:  takes up to QR_TILER_BATCH rested tiles, then a job
 *   worker:         copies their cells and encodes them
 *   loop:           exchanges those that nobody has written to since, the encoded ones of a window
 * being one piece of memory, a pack; the raw ones are retired
 *
 * One job at a time, in a queue of its own: a window that is being sealed holds nothing up. Nothing
 * that is replicated changes.  The job stays in the epoch, so that what it reads does not go away.
 * Thread: the writer's, but for the job. */
#ifndef QR_STORAGE_TILER_H
#define QR_STORAGE_TILER_H

#include "storage/head.h"
#include "storage/jobs.h"

#define QR_TILER_BATCH 4096u

struct qr_tiler {
    struct qr_job job;
    struct qr_jobs jobs;
    struct qr_epoch *epoch;
    /* Of the job, while it waits or runs: */
    bool busy;
    bool more; /* The last job took all it could. */
    int slot;
    struct qr_head *head;
    struct qr_tiler_batch *batch;
    struct qr_tile_writer writer;
    int status;
};

void qr_tiler_init(struct qr_tiler *tiler, struct qr_epoch *epoch, uv_loop_t *loop);
/* No job runs. */
void qr_tiler_release(struct qr_tiler *tiler);

/* Starts a job if there is none and tiles have rested.  What cannot be done for want of memory
 * stays raw. */
void qr_tiler_step(struct qr_tiler *tiler, struct qr_head *head);

/* The owner calls it after each row: now and then it is a step. */
static inline void qr_tiler_note(struct qr_tiler *tiler, struct qr_head *head)
{
    if (tiler->busy || (!tiler->more && head->n_left < QR_TILER_BATCH / 4))
        return;
    head->n_left = 0;
    qr_tiler_step(tiler, head);
}

#endif
