#include "node/cleaner.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "node/bodies.h"
#include "storage/jobs.h"

struct qr_cleaner {
    struct qr_cleaner_log log;
    struct qr_store *store;
    const struct qr_clock *clock;
    struct qr_jobs jobs;
    struct qr_job walk;
    bool walking, proposed;
    int64_t walked_s; /* When the last walk began. */
    uint32_t ephemeral_after_s;
    struct qr_forgotten *found;
    uint32_t n_found, at;
};

int qr_cleaner_new(struct qr_cleaner **cleaner, struct uv_loop_s *loop,
                   const struct qr_cleaner_log *log, struct qr_store *store,
                   const struct qr_clock *clock, uint32_t ephemeral_after_s)
{
    struct qr_cleaner *c = calloc(1, sizeof *c);
    if (c == NULL)
        return UV_ENOMEM;
    c->log = *log;
    c->store = store;
    c->clock = clock;
    c->ephemeral_after_s = ephemeral_after_s;
    qr_jobs_init(&c->jobs, loop);
    *cleaner = c;
    return 0;
}

void qr_cleaner_free(struct qr_cleaner *cleaner)
{
    free(cleaner->found);
    free(cleaner);
}

/* ---- walking: on a worker ---- */

static void run_walk(struct qr_job *job)
{
    struct qr_cleaner *cleaner = QR_CONTAINER_OF(job, struct qr_cleaner, walk);
    uint32_t after = 0;
    while (after != UINT32_MAX && cleaner->n_found < QR_CLEANER_FOUND_MAX) {
        int slot = qr_store_enter(cleaner->store);
        cleaner->n_found +=
            qr_store_expired(cleaner->store, &after, cleaner->found + cleaner->n_found,
                             QR_CLEANER_FOUND_MAX - cleaner->n_found);
        qr_store_leave(cleaner->store, slot);
    }
}

static void on_walked(struct qr_job *job)
{
    struct qr_cleaner *cleaner = QR_CONTAINER_OF(job, struct qr_cleaner, walk);
    cleaner->walking = false;
    if (cleaner->n_found != 0)
        qr_info("charts and hosts of which nothing is kept any more are removed n=%u",
                cleaner->n_found);
}

static void start_walk(struct qr_cleaner *cleaner)
{
    if (cleaner->found == NULL)
        cleaner->found = malloc(QR_CLEANER_FOUND_MAX * sizeof *cleaner->found);
    if (cleaner->found == NULL)
        return; /* the next tick tries again */
    cleaner->walked_s = qr_clock_real_s(cleaner->clock);
    cleaner->n_found = cleaner->at = 0;
    cleaner->walking = true;
    cleaner->walk = (struct qr_job){.run = run_walk, .done = on_walked};
    qr_jobs_add(&cleaner->jobs, &cleaner->walk);
}

/* ---- proposing ---- */

static void on_done(void *data, int status, uint64_t index)
{
    (void)index;
    struct qr_cleaner *cleaner = data;
    cleaner->proposed = false;
    if (status != 0 && status != UV_ECANCELED)
        qr_warn("log refused a removal error=\"%s\"", qr_strerror(status));
}

static bool propose(struct qr_cleaner *cleaner, const struct qr_forget_body *body)
{
    struct qr_buf bytes = {0};
    cleaner->proposed = true; /* the answer may come inside the call */
    bool taken =
        qr_forget_encode(&bytes, body) == 0 &&
        cleaner->log.propose(cleaner->log.data, qr_buf_slice(&bytes), on_done, cleaner) == 0;
    if (!taken)
        cleaner->proposed = false; /* the next tick tries again */
    qr_buf_release(&bytes);
    return taken;
}

static void propose_expired(struct qr_cleaner *cleaner, struct qr_forget_body *body)
{
    uint32_t n = cleaner->n_found - cleaner->at;
    body->only_expired = true;
    body->n = n < QR_FORGET_MAX ? n : QR_FORGET_MAX;
    memcpy(body->what, cleaner->found + cleaner->at, body->n * sizeof body->what[0]);
    if (propose(cleaner, body))
        cleaner->at += body->n;
}

static void propose_ephemeral(struct qr_cleaner *cleaner, struct qr_forget_body *body)
{
    body->away_before_s = qr_clock_real_s(cleaner->clock) - (int64_t)cleaner->ephemeral_after_s;
    if (cleaner->ephemeral_after_s == 0 || body->away_before_s <= 0 ||
        cleaner->log.is_time_doubtful(cleaner->log.data))
        return;
    int slot = qr_store_enter(cleaner->store);
    body->n =
        qr_store_ephemeral_away(cleaner->store, body->away_before_s, body->what, QR_FORGET_MAX);
    qr_store_leave(cleaner->store, slot);
    if (body->n != 0 && propose(cleaner, body))
        qr_info("ephemeral hosts that are away are forgotten n=%u after_s=%u", body->n,
                cleaner->ephemeral_after_s);
}

static void propose_some(struct qr_cleaner *cleaner)
{
    struct qr_forget_body *body = calloc(1, sizeof *body);
    if (body == NULL)
        return; /* the next tick tries again */
    if (cleaner->at < cleaner->n_found)
        propose_expired(cleaner, body);
    else
        propose_ephemeral(cleaner, body);
    free(body);
}

void qr_cleaner_tick(struct qr_cleaner *cleaner)
{
    if (cleaner->walking || cleaner->proposed)
        return;
    if (!cleaner->log.leads(cleaner->log.data))
        cleaner->n_found = cleaner->at = 0;
    else if (cleaner->at >= cleaner->n_found &&
             qr_clock_real_s(cleaner->clock) - cleaner->walked_s >= QR_CLEANER_EVERY_S)
        start_walk(cleaner);
    else
        propose_some(cleaner);
}
