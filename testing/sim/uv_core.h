/* testing/sim/uv_core.h — what the files of the false libuv share.
 *
 * libuv's own structs are only the doors: handle->u.reserved[0] leads to a qr_uv_handle,
 * loop->internal_fields to a qr_uv_loop, a request's reserved[] holds a qr_uv_job.  Order and
 * details are those of libuv 1.44 on Linux, where the epoll set is a list of handles that are
 * ready.  Not for threads. */
#ifndef QR_TESTING_SIM_UV_CORE_H
#define QR_TESTING_SIM_UV_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/list.h"
#include "testing/sim/net.h"
#include "testing/sim/sched.h"
#include "testing/sim/uv_sim.h"

enum {
    QR_UV_ACTIVE = 1,
    QR_UV_REF = 2,
    QR_UV_CLOSING = 4,
    QR_UV_CLOSED = 8,
    QR_UV_READABLE = 16,
    QR_UV_WRITABLE = 32,
    QR_UV_READING = 64,
    QR_UV_SHUTTING = 128,
    QR_UV_SHUT = 256,
    QR_UV_LISTENING = 512,
};

struct qr_uv_loop;

struct qr_uv_handle {
    uv_handle_t *uv;
    struct qr_uv_loop *loop;
    unsigned flags;
    struct qr_list all;  /* Of the loop's handles. */
    struct qr_list node; /* Of what the type has: running watchers, signals, timers that are due. */
    uv_handle_t *next_closing;

    /* What a poll can find.  `interest` and `ready` are QR_NET_*. */
    void (*on_ready)(struct qr_uv_handle *handle, unsigned events);
    unsigned (*events)(const struct qr_uv_handle *handle);
    unsigned interest;
    struct qr_list ready;   /* Of the loop's. */
    struct qr_list pending; /* .. fed by the loop itself. */

    union {
        struct {
            uv_timer_cb cb;
            uint64_t due_ms, repeat_ms, order;
            size_t place; /* In the loop's heap, from 1; 0: in none. */
        } timer;
        struct {
            void (*cb)(uv_handle_t *handle); /* Of the type. */
        } watcher;
        struct {
            bool sent;
        } async;
        struct {
            int number;
            unsigned n_caught;
            bool once;
        } signal;
        struct {
            int fd;
        } poll;
        struct {
            struct qr_net_socket *socket;
            struct qr_net_socket *accepted; /* Waits for uv_accept. */
            struct qr_list writes, written; /* uv_write_t, by reserved[]. */
            int delayed_error;
        } stream;
    };
};

struct qr_uv_loop {
    uv_loop_t *uv;
    struct qr_sim_host *host;
    struct qr_sim_fiber *waiting; /* Its fiber, while it waits in the poll. */
    uint64_t time_ms, idle_ns;
    bool metrics;
    unsigned n_active, n_requests; /* That keep it alive; n_active without unref'd ones. */
    unsigned busy_turns;           /* Since it last let time pass. */
    struct qr_list handles, prepares, checks, idles, pending, ready;
    struct qr_list done; /* qr_uv_job */
    uv_handle_t *closing;
    struct qr_uv_handle **timers; /* A heap, from 1. */
    size_t n_timers, timers_capacity;
    uint64_t n_timer_orders;
};

extern struct qr_uv_stats qr_uv_counts;

static inline struct qr_uv_handle *qr_uv_handle(const void *uv)
{
    return ((const uv_handle_t *)uv)->u.reserved[0];
}

static inline struct qr_uv_loop *qr_uv_loop(const uv_loop_t *uv)
{
    return uv->internal_fields;
}

struct qr_uv_handle *qr_uv_handle_init(uv_loop_t *loop, void *uv, uv_handle_type type);
void qr_uv_handle_start(struct qr_uv_handle *handle);
void qr_uv_handle_stop(struct qr_uv_handle *handle);

/* Its interest or its events changed: it becomes ready, or is not any more. */
void qr_uv_io_check(struct qr_uv_handle *handle);
void qr_uv_io_want(struct qr_uv_handle *handle, unsigned more);
void qr_uv_io_stop(struct qr_uv_handle *handle, unsigned less);
/* Runs on_ready(OUT) at the next turn. */
void qr_uv_io_feed(struct qr_uv_handle *handle);
/* How long it takes a thread that is woken to run. */
uint64_t qr_uv_wake_ns(void);
/* The loop has something to do. */
void qr_uv_loop_wake(struct qr_uv_loop *loop);

/* What each type does at uv_close() and before its close callback. */
void qr_uv_timer_close(struct qr_uv_handle *handle);
void qr_uv_timers_run(struct qr_uv_loop *loop);
void qr_uv_watchers_run(struct qr_list *watchers);
void qr_uv_stream_close(struct qr_uv_handle *handle);
void qr_uv_stream_destroy(struct qr_uv_handle *handle);

/* ---- jobs of the host's pool: in a request's reserved[] ---- */

struct qr_uv_job {
    struct qr_list node;
    struct qr_uv_loop *loop;
    void (*run)(uv_req_t *request);
    void (*done)(uv_req_t *request, int status);
    enum { QR_UV_JOB_QUEUED = 1, QR_UV_JOB_RUNS, QR_UV_JOB_CANCELLED, QR_UV_JOB_DONE } state;
};

static inline struct qr_uv_job *qr_uv_job(void *request)
{
    return (struct qr_uv_job *)(void *)((uv_req_t *)request)->reserved;
}

void qr_uv_job_post(uv_loop_t *loop, void *request, void (*run)(uv_req_t *request),
                    void (*done)(uv_req_t *request, int status));
void qr_uv_jobs_done(struct qr_uv_loop *loop);
void qr_uv_work_forget(struct qr_sim_host *host);
void qr_uv_handles_forget(struct qr_sim_host *host);

#endif
