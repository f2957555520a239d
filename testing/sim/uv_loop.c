/* The loop: libuv's order of a turn, on the fiber that calls uv_run(). */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim/uv_core.h"

#define SLACK_NS     (50 * QR_SIM_US) /* A sleep ends that much later, at most: the kernel's. */
#define WAKE_NS      (20 * QR_SIM_US) /* What it takes to wake a thread .. */
#define LATE_ONE_IN  512u             /* .. but now and then it is this: */
#define LATE_NS      (2 * QR_SIM_MS)
#define BUSY_TURNS   16u              /* So many turns without waiting take no time .. */
#define TURNS_NS     (5 * QR_SIM_US)  /* .. and then so long, at least. */
#define SPIN_READS   100u             /* So many looks at the clock .. */
#define SPIN_NS      (20 * QR_SIM_US) /* .. take so long. */
#define FOREVER_MS   UINT64_MAX
#define MS_OF_NS(ns) ((ns) / QR_SIM_MS)

struct qr_uv_stats qr_uv_counts;

const struct qr_uv_stats *qr_uv_stats(void)
{
    return &qr_uv_counts;
}

static void on_host_down(struct qr_sim_host *host)
{
    qr_uv_work_forget(host);
    qr_uv_handles_forget(host);
}

void qr_uv_init(void)
{
    qr_net_init();
    qr_sim_on_down(on_host_down);
}

/* ---- a loop ---- */

int uv_loop_init(uv_loop_t *uv)
{
    struct qr_uv_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return UV_ENOMEM;
    void *data = uv->data;
    memset(uv, 0, sizeof *uv);
    uv->data = data;
    uv->internal_fields = loop;
    loop->uv = uv;
    loop->host = qr_sim_host();
    struct qr_list *const lists[] = {&loop->handles, &loop->prepares, &loop->checks, &loop->idles,
                                     &loop->pending, &loop->ready,    &loop->done};
    for (size_t i = 0; i < QR_COUNT(lists); i++)
        qr_list_init(lists[i]);
    uv_update_time(uv);
    return 0;
}

int uv_loop_close(uv_loop_t *uv)
{
    struct qr_uv_loop *loop = qr_uv_loop(uv);
    if (loop->n_requests > 0 || !qr_list_empty(&loop->handles))
        return UV_EBUSY;
    free(loop->timers);
    free(loop);
    uv->internal_fields = NULL;
    return 0;
}

int uv_loop_configure(uv_loop_t *uv, uv_loop_option option, ...)
{
    if (option != UV_METRICS_IDLE_TIME)
        return option == UV_LOOP_BLOCK_SIGNAL ? 0 : UV_ENOSYS;
    qr_uv_loop(uv)->metrics = true;
    return 0;
}

uint64_t uv_metrics_idle_time(uv_loop_t *uv)
{
    return qr_uv_loop(uv)->idle_ns;
}

int uv_loop_alive(const uv_loop_t *uv)
{
    const struct qr_uv_loop *loop = qr_uv_loop(uv);
    return loop->n_active > 0 || loop->n_requests > 0 || loop->closing != NULL;
}

void uv_stop(uv_loop_t *uv)
{
    uv->stop_flag = 1;
}

void uv_update_time(uv_loop_t *uv)
{
    qr_uv_loop(uv)->time_ms = MS_OF_NS(qr_sim_mono_ns());
}

uint64_t uv_now(const uv_loop_t *uv)
{
    return qr_uv_loop(uv)->time_ms;
}

/* Code takes no time, but who reads the clock again and again waits for it to go on. */
uint64_t uv_hrtime(void)
{
    static uint64_t last_ns;
    static unsigned n_reads;
    uint64_t now_ns = qr_sim_mono_ns();
    n_reads = now_ns == last_ns ? n_reads + 1 : 0;
    if (n_reads >= SPIN_READS) {
        n_reads = 0;
        qr_sim_sleep(SPIN_NS);
    }
    last_ns = qr_sim_mono_ns();
    return last_ns;
}

void uv_walk(uv_loop_t *uv, uv_walk_cb cb, void *arg)
{
    QR_LIST_FOREACH (node, &qr_uv_loop(uv)->handles) {
        cb(QR_CONTAINER_OF(node, struct qr_uv_handle, all)->uv, arg);
    }
}

/* ---- handles ---- */

struct qr_uv_handle *qr_uv_handle_init(uv_loop_t *loop, void *door, uv_handle_type type)
{
    uv_handle_t *uv = door;
    struct qr_uv_handle *handle = calloc(1, sizeof *handle);
    assert(handle != NULL);
    uv->loop = loop;
    uv->type = type;
    uv->close_cb = NULL;
    uv->u.reserved[0] = handle;
    handle->uv = uv;
    handle->loop = qr_uv_loop(loop);
    handle->flags = QR_UV_REF;
    qr_list_init(&handle->node);
    qr_list_init(&handle->ready);
    qr_list_init(&handle->pending);
    qr_list_init(&handle->all);
    qr_list_add_tail(&handle->loop->handles, &handle->all);
    return handle;
}

void qr_uv_handle_start(struct qr_uv_handle *handle)
{
    if (handle->flags & QR_UV_ACTIVE)
        return;
    handle->flags |= QR_UV_ACTIVE;
    if (handle->flags & QR_UV_REF)
        handle->loop->n_active++;
}

void qr_uv_handle_stop(struct qr_uv_handle *handle)
{
    if (!(handle->flags & QR_UV_ACTIVE))
        return;
    handle->flags &= ~(unsigned)QR_UV_ACTIVE;
    if (handle->flags & QR_UV_REF)
        handle->loop->n_active--;
}

void uv_ref(uv_handle_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->flags & QR_UV_REF)
        return;
    handle->flags |= QR_UV_REF;
    if ((handle->flags & QR_UV_ACTIVE) && !(handle->flags & QR_UV_CLOSING))
        handle->loop->n_active++;
}

void uv_unref(uv_handle_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (!(handle->flags & QR_UV_REF))
        return;
    handle->flags &= ~(unsigned)QR_UV_REF;
    if ((handle->flags & QR_UV_ACTIVE) && !(handle->flags & QR_UV_CLOSING))
        handle->loop->n_active--;
}

int uv_has_ref(const uv_handle_t *uv)
{
    return (qr_uv_handle(uv)->flags & QR_UV_REF) != 0;
}

int uv_is_active(const uv_handle_t *uv)
{
    return (qr_uv_handle(uv)->flags & QR_UV_ACTIVE) != 0;
}

int uv_is_closing(const uv_handle_t *uv)
{
    return (qr_uv_handle(uv)->flags & (QR_UV_CLOSING | QR_UV_CLOSED)) != 0;
}

void uv_close(uv_handle_t *uv, uv_close_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    assert(!uv_is_closing(uv));
    handle->flags |= QR_UV_CLOSING;
    uv->close_cb = cb;
    switch (uv->type) {
    case UV_TIMER:
        qr_uv_timer_close(handle);
        break;
    case UV_TCP:
        qr_uv_stream_close(handle);
        break;
    default: /* A watcher, a signal, a poll, an async. */
        qr_list_remove(&handle->node);
    }
    qr_uv_io_stop(handle, handle->interest);
    qr_list_remove(&handle->ready);
    qr_list_remove(&handle->pending);
    qr_uv_handle_stop(handle);
    handle->next_closing = handle->loop->closing;
    handle->loop->closing = uv;
}

/* It is asked about after its end by those who may: the struct is theirs again. */
static struct qr_uv_handle closed = {.flags = QR_UV_CLOSED};

static void finish_close(struct qr_uv_handle *handle)
{
    uv_handle_t *uv = handle->uv;
    handle->flags |= QR_UV_CLOSED;
    if (uv->type == UV_TCP)
        qr_uv_stream_destroy(handle);
    qr_list_remove(&handle->pending); /* Fed while it was destroyed. */
    qr_list_remove(&handle->all);
    uv->u.reserved[0] = &closed;
    free(handle);
    if (uv->close_cb != NULL)
        uv->close_cb(uv);
}

static void run_closing(struct qr_uv_loop *loop)
{
    uv_handle_t *uv = loop->closing;
    loop->closing = NULL;
    while (uv != NULL) {
        uv_handle_t *next = qr_uv_handle(uv)->next_closing;
        finish_close(qr_uv_handle(uv));
        uv = next;
    }
}

/* ---- what is ready ---- */

uint64_t qr_uv_wake_ns(void)
{
    return qr_sim_below(qr_sim_chance(LATE_ONE_IN) ? LATE_NS : WAKE_NS);
}

void qr_uv_loop_wake(struct qr_uv_loop *loop)
{
    if (loop->waiting != NULL)
        qr_sim_wake_in(loop->waiting, qr_uv_wake_ns());
}

/* As epoll: errors and hang-ups are told to everyone who wants anything. */
static unsigned found(const struct qr_uv_handle *handle)
{
    if (handle->interest == 0)
        return 0;
    return handle->events(handle) & (handle->interest | QR_NET_ERR | QR_NET_HUP);
}

void qr_uv_io_check(struct qr_uv_handle *handle)
{
    bool is_ready = found(handle) != 0;
    if (is_ready && qr_list_empty(&handle->ready)) {
        qr_list_add_tail(&handle->loop->ready, &handle->ready);
        qr_uv_loop_wake(handle->loop);
    } else if (!is_ready) {
        qr_list_remove(&handle->ready);
    }
}

void qr_uv_io_want(struct qr_uv_handle *handle, unsigned more)
{
    handle->interest |= more;
    qr_uv_io_check(handle);
}

void qr_uv_io_stop(struct qr_uv_handle *handle, unsigned less)
{
    handle->interest &= ~less;
    if (handle->events != NULL)
        qr_uv_io_check(handle);
}

void qr_uv_io_feed(struct qr_uv_handle *handle)
{
    if (qr_list_empty(&handle->pending))
        qr_list_add_tail(&handle->loop->pending, &handle->pending);
}

/* All of `from`, so that what comes meanwhile waits for the next turn. */
static void take_all(struct qr_list *from, struct qr_list *into)
{
    qr_list_init(into);
    if (qr_list_empty(from))
        return;
    *into = *from;
    into->next->prev = into->prev->next = into;
    qr_list_init(from);
}

void qr_uv_watchers_run(struct qr_list *watchers)
{
    struct qr_list now;
    take_all(watchers, &now);
    while (!qr_list_empty(&now)) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(now.next, struct qr_uv_handle, node);
        qr_list_remove(&handle->node);
        qr_list_add_tail(watchers, &handle->node);
        handle->watcher.cb(handle->uv);
    }
}

static bool run_pending(struct qr_uv_loop *loop)
{
    struct qr_list now;
    bool any = !qr_list_empty(&loop->pending);
    take_all(&loop->pending, &now);
    while (!qr_list_empty(&now)) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(now.next, struct qr_uv_handle, pending);
        qr_list_remove(&handle->pending);
        handle->on_ready(handle, QR_NET_OUT);
    }
    return any;
}

/* A handle that is closed by its callback stays until the turn's end. */
static void run_ready(struct qr_uv_loop *loop)
{
    struct qr_list now;
    take_all(&loop->ready, &now);
    while (!qr_list_empty(&now)) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(now.next, struct qr_uv_handle, ready);
        qr_list_remove(&handle->ready);
        unsigned events = found(handle);
        if (events == QR_NET_ERR || events == QR_NET_HUP)
            events |= handle->interest;
        if (events != 0)
            handle->on_ready(handle, events);
        if (!(handle->flags & QR_UV_CLOSING))
            qr_uv_io_check(handle);
    }
}

/* ---- a turn ---- */

static uint64_t timeout_ms(const struct qr_uv_loop *loop)
{
    if (loop->uv->stop_flag != 0 || (loop->n_active == 0 && loop->n_requests == 0) ||
        !qr_list_empty(&loop->idles) || !qr_list_empty(&loop->pending) || loop->closing != NULL)
        return 0;
    if (loop->n_timers == 0)
        return FOREVER_MS;
    uint64_t due_ms = loop->timers[1]->timer.due_ms;
    return due_ms > loop->time_ms ? due_ms - loop->time_ms : 0;
}

int uv_backend_timeout(const uv_loop_t *uv)
{
    uint64_t ms = timeout_ms(qr_uv_loop(uv));
    return ms == FOREVER_MS ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static bool has_found(const struct qr_uv_loop *loop)
{
    return !qr_list_empty(&loop->ready) || !qr_list_empty(&loop->done);
}

/* epoll counts whole milliseconds from the moment of the call. */
static void wait(struct qr_uv_loop *loop, uint64_t ms)
{
    uint64_t began = qr_sim_now_ns();
    uint64_t until =
        ms == FOREVER_MS ? QR_SIM_FOREVER : began + ms * QR_SIM_MS + qr_sim_below(SLACK_NS);
    qr_uv_counts.n_parks++;
    loop->waiting = qr_sim_fiber();
    while (!has_found(loop) && qr_sim_now_ns() < until)
        qr_sim_park(until == QR_SIM_FOREVER ? QR_SIM_FOREVER : until - qr_sim_now_ns());
    loop->waiting = NULL;
    loop->busy_turns = 0;
    if (loop->metrics)
        loop->idle_ns += qr_sim_now_ns() - began;
}

static void poll(struct qr_uv_loop *loop, uint64_t ms)
{
    if (ms > 0 && !has_found(loop)) {
        wait(loop, ms);
    } else if (++loop->busy_turns > BUSY_TURNS) {
        loop->busy_turns = 0;
        qr_sim_sleep(TURNS_NS + qr_sim_below(TURNS_NS)); /* Who spins lets time pass. */
    }
    uv_update_time(loop->uv);
    if (!qr_list_empty(&loop->done))
        qr_uv_jobs_done(loop);
    run_ready(loop);
}

static void turn(struct qr_uv_loop *loop, uv_run_mode mode)
{
    qr_uv_counts.n_turns++;
    uv_update_time(loop->uv);
    qr_uv_timers_run(loop);
    bool ran_pending = run_pending(loop);
    qr_uv_watchers_run(&loop->idles);
    qr_uv_watchers_run(&loop->prepares);
    bool may_wait = mode == UV_RUN_DEFAULT || (mode == UV_RUN_ONCE && !ran_pending);
    poll(loop, may_wait ? timeout_ms(loop) : 0);
    qr_uv_watchers_run(&loop->checks);
    run_closing(loop);
    if (mode == UV_RUN_ONCE) {
        uv_update_time(loop->uv);
        qr_uv_timers_run(loop);
    }
}

int uv_run(uv_loop_t *uv, uv_run_mode mode)
{
    struct qr_uv_loop *loop = qr_uv_loop(uv);
    int alive = uv_loop_alive(uv);
    if (!alive)
        uv_update_time(uv);
    while (alive && uv->stop_flag == 0) {
        turn(loop, mode);
        alive = uv_loop_alive(uv);
        if (mode != UV_RUN_DEFAULT)
            break;
    }
    uv->stop_flag = 0;
    return alive;
}
