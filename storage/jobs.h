/* storage/jobs.h — blocking work in the order it was asked for: one at a time, in libuv's pool.
 *
 *   qr_jobs_add(job)  -> job->run(job)   on a worker
 *                     -> job->done(job)  on the loop; the job is its owner's again
 *
 * Without a loop both are called at once, inside qr_jobs_add.  Thread: the loop's. */
#ifndef QR_STORAGE_JOBS_H
#define QR_STORAGE_JOBS_H

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"

struct qr_jobs;

struct qr_job {
    void (*run)(struct qr_job *job);
    void (*done)(struct qr_job *job);
    struct qr_list node;  /* In the queue while it waits. */
    struct qr_jobs *jobs; /* While it waits or runs. */
    uv_work_t work;
};

struct qr_jobs {
    uv_loop_t *loop;
    struct qr_list queue;
    struct qr_job *running;
    unsigned n; /* Waiting and running. */
};

void qr_jobs_init(struct qr_jobs *jobs, uv_loop_t *loop);
void qr_jobs_add(struct qr_jobs *jobs, struct qr_job *job);
/* Takes a job back that waits; false: it runs. */
bool qr_jobs_cancel(struct qr_jobs *jobs, struct qr_job *job);

#endif
