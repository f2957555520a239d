#include "storage/jobs.h"

#include <assert.h>

void qr_jobs_init(struct qr_jobs *jobs, uv_loop_t *loop)
{
    *jobs = (struct qr_jobs){.loop = loop};
    qr_list_init(&jobs->queue);
}

static void start_next(struct qr_jobs *jobs);

static void on_work(uv_work_t *work)
{
    struct qr_job *job = work->data;
    job->run(job);
}

static void on_done(uv_work_t *work, int status)
{
    struct qr_job *job = work->data;
    struct qr_jobs *jobs = job->jobs;
    jobs->running = NULL;
    jobs->n--;
    start_next(jobs);
    job->done(job);
}

static void start_next(struct qr_jobs *jobs)
{
    if (jobs->running != NULL || qr_list_empty(&jobs->queue))
        return;
    struct qr_job *job = QR_CONTAINER_OF(jobs->queue.next, struct qr_job, node);
    qr_list_remove(&job->node);
    jobs->running = job;
    job->work.data = job;
    int err = uv_queue_work(jobs->loop, &job->work, on_work, on_done);
    assert(err == 0); /* It fails without a callback only. */
}

void qr_jobs_add(struct qr_jobs *jobs, struct qr_job *job)
{
    if (jobs->loop == NULL) {
        job->run(job);
        job->done(job);
        return;
    }
    job->jobs = jobs;
    jobs->n++;
    qr_list_add_tail(&jobs->queue, &job->node);
    start_next(jobs);
}

bool qr_jobs_cancel(struct qr_jobs *jobs, struct qr_job *job)
{
    if (jobs->running == job)
        return false;
    qr_list_remove(&job->node);
    jobs->n--;
    return true;
}
