/* Timers, asyncs, prepare, check and idle, polls of others' descriptors, signals. */
#include <assert.h>
#include <stdlib.h>

#include "testing/sim/uv_core.h"

/* ---- timers: a heap by (time, order of starting) ---- */

int uv_timer_init(uv_loop_t *loop, uv_timer_t *uv)
{
    qr_uv_handle_init(loop, uv, UV_TIMER);
    return 0;
}

static bool sooner(const struct qr_uv_handle *a, const struct qr_uv_handle *b)
{
    return a->timer.due_ms != b->timer.due_ms ? a->timer.due_ms < b->timer.due_ms
                                              : a->timer.order < b->timer.order;
}

static void put(struct qr_uv_loop *loop, size_t place, struct qr_uv_handle *handle)
{
    loop->timers[place] = handle;
    handle->timer.place = place;
}

static void rise(struct qr_uv_loop *loop, size_t place)
{
    struct qr_uv_handle *handle = loop->timers[place];
    for (; place > 1 && sooner(handle, loop->timers[place / 2]); place /= 2)
        put(loop, place, loop->timers[place / 2]);
    put(loop, place, handle);
}

static void sink(struct qr_uv_loop *loop, size_t place)
{
    struct qr_uv_handle *handle = loop->timers[place];
    for (size_t child; (child = 2 * place) <= loop->n_timers; place = child) {
        if (child < loop->n_timers && sooner(loop->timers[child + 1], loop->timers[child]))
            child++;
        if (!sooner(loop->timers[child], handle))
            break;
        put(loop, place, loop->timers[child]);
    }
    put(loop, place, handle);
}

static void heap_add(struct qr_uv_loop *loop, struct qr_uv_handle *handle)
{
    if (loop->n_timers + 1 >= loop->timers_capacity) {
        loop->timers_capacity = loop->timers_capacity == 0 ? 16 : 2 * loop->timers_capacity;
        loop->timers = realloc(loop->timers, loop->timers_capacity * sizeof(struct qr_uv_handle *));
        assert(loop->timers != NULL);
    }
    put(loop, ++loop->n_timers, handle);
    rise(loop, loop->n_timers);
}

static void heap_remove(struct qr_uv_loop *loop, struct qr_uv_handle *handle)
{
    size_t place = handle->timer.place;
    struct qr_uv_handle *last = loop->timers[loop->n_timers--];
    handle->timer.place = 0;
    if (last == handle)
        return;
    put(loop, place, last);
    rise(loop, place);
    sink(loop, last->timer.place);
}

static void stop(struct qr_uv_handle *handle)
{
    if (handle->timer.place != 0)
        heap_remove(handle->loop, handle);
    qr_list_remove(&handle->node); /* Due in this turn. */
    qr_uv_handle_stop(handle);
}

int uv_timer_start(uv_timer_t *uv, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    struct qr_uv_loop *loop = handle->loop;
    if ((handle->flags & QR_UV_CLOSING) || cb == NULL)
        return UV_EINVAL;
    stop(handle);
    handle->timer.cb = cb;
    handle->timer.repeat_ms = repeat;
    handle->timer.due_ms =
        timeout > UINT64_MAX - loop->time_ms ? UINT64_MAX : loop->time_ms + timeout;
    handle->timer.order = loop->n_timer_orders++;
    heap_add(loop, handle);
    qr_uv_handle_start(handle);
    return 0;
}

int uv_timer_stop(uv_timer_t *uv)
{
    stop(qr_uv_handle(uv));
    return 0;
}

int uv_timer_again(uv_timer_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->timer.cb == NULL)
        return UV_EINVAL;
    if (handle->timer.repeat_ms == 0)
        return 0;
    return uv_timer_start(uv, handle->timer.cb, handle->timer.repeat_ms, handle->timer.repeat_ms);
}

void uv_timer_set_repeat(uv_timer_t *uv, uint64_t repeat)
{
    qr_uv_handle(uv)->timer.repeat_ms = repeat;
}

uint64_t uv_timer_get_repeat(const uv_timer_t *uv)
{
    return qr_uv_handle(uv)->timer.repeat_ms;
}

uint64_t uv_timer_get_due_in(const uv_timer_t *uv)
{
    const struct qr_uv_handle *handle = qr_uv_handle(uv);
    uint64_t now_ms = handle->loop->time_ms, due_ms = handle->timer.due_ms;
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

void qr_uv_timer_close(struct qr_uv_handle *handle)
{
    stop(handle);
}

/* Those that are due, first all of them: one that is started again with 0 waits for a turn. */
void qr_uv_timers_run(struct qr_uv_loop *loop)
{
    struct qr_list due;
    qr_list_init(&due);
    while (loop->n_timers > 0 && loop->timers[1]->timer.due_ms <= loop->time_ms) {
        struct qr_uv_handle *handle = loop->timers[1];
        heap_remove(loop, handle);
        qr_list_add_tail(&due, &handle->node);
    }
    while (!qr_list_empty(&due)) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(due.next, struct qr_uv_handle, node);
        stop(handle);
        uv_timer_again((uv_timer_t *)handle->uv);
        handle->timer.cb((uv_timer_t *)handle->uv);
    }
}

/* ---- prepare, check, idle ---- */

static int watch(struct qr_uv_handle *handle, struct qr_list *of_loop, void (*cb)(uv_handle_t *))
{
    if (handle->flags & QR_UV_ACTIVE)
        return 0;
    if (cb == NULL)
        return UV_EINVAL;
    handle->watcher.cb = cb;
    qr_list_add_tail(of_loop->next, &handle->node); /* In front: so does libuv. */
    qr_uv_handle_start(handle);
    return 0;
}

static int unwatch(struct qr_uv_handle *handle)
{
    qr_list_remove(&handle->node);
    qr_uv_handle_stop(handle);
    return 0;
}

#define WATCHER(name, TYPE)                                                                        \
    int uv_##name##_init(uv_loop_t *loop, uv_##name##_t *uv)                                       \
    {                                                                                              \
        qr_uv_handle_init(loop, uv, TYPE);                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    int uv_##name##_start(uv_##name##_t *uv, uv_##name##_cb cb)                                    \
    {                                                                                              \
        struct qr_uv_handle *handle = qr_uv_handle(uv);                                            \
        return watch(handle, &handle->loop->name##s, (void (*)(uv_handle_t *))(void (*)(void))cb); \
    }                                                                                              \
    int uv_##name##_stop(uv_##name##_t *uv)                                                        \
    {                                                                                              \
        return unwatch(qr_uv_handle(uv));                                                          \
    }

WATCHER(prepare, UV_PREPARE)
WATCHER(check, UV_CHECK)
WATCHER(idle, UV_IDLE)

/* ---- asyncs ---- */

static unsigned async_events(const struct qr_uv_handle *handle)
{
    return handle->async.sent ? QR_NET_IN : 0;
}

static void on_sent(struct qr_uv_handle *handle, unsigned events)
{
    (void)events;
    uv_async_t *uv = (uv_async_t *)handle->uv;
    handle->async.sent = false;
    if (uv->async_cb != NULL)
        uv->async_cb(uv);
}

int uv_async_init(uv_loop_t *loop, uv_async_t *uv, uv_async_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle_init(loop, uv, UV_ASYNC);
    uv->async_cb = cb;
    handle->events = async_events;
    handle->on_ready = on_sent;
    handle->interest = QR_NET_IN;
    qr_uv_handle_start(handle);
    return 0;
}

int uv_async_send(uv_async_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->async.sent || (handle->flags & (QR_UV_CLOSING | QR_UV_CLOSED)))
        return 0;
    qr_uv_counts.n_asyncs++;
    handle->async.sent = true;
    qr_uv_io_check(handle);
    return 0;
}

/* ---- polls of what testing/sim/fs keeps ---- */

static int (*poll_source)(int fd);
static struct qr_list polls = {&polls, &polls}; /* A few in all: one a member. */

void qr_uv_poll_source(int (*events)(int fd))
{
    poll_source = events;
}

void qr_uv_poll_changed(int fd)
{
    QR_LIST_FOREACH (node, &polls) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(node, struct qr_uv_handle, node);
        if (handle->poll.fd == fd)
            qr_uv_io_check(handle);
    }
}

static unsigned poll_events(const struct qr_uv_handle *handle)
{
    int found = poll_source(handle->poll.fd);
    return (found & UV_READABLE ? (unsigned)QR_NET_IN : 0) |
           (found & UV_WRITABLE ? (unsigned)QR_NET_OUT : 0);
}

static void on_polled(struct qr_uv_handle *handle, unsigned events)
{
    uv_poll_t *uv = (uv_poll_t *)handle->uv;
    uv->poll_cb(uv, 0,
                (events & QR_NET_IN ? UV_READABLE : 0) | (events & QR_NET_OUT ? UV_WRITABLE : 0));
}

int uv_poll_init(uv_loop_t *loop, uv_poll_t *uv, int fd)
{
    assert(poll_source != NULL);
    struct qr_uv_handle *handle = qr_uv_handle_init(loop, uv, UV_POLL);
    handle->events = poll_events;
    handle->on_ready = on_polled;
    handle->poll.fd = fd;
    return 0;
}

int uv_poll_stop(uv_poll_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    qr_uv_io_stop(handle, handle->interest);
    qr_list_remove(&handle->node);
    qr_uv_handle_stop(handle);
    return 0;
}

int uv_poll_start(uv_poll_t *uv, int events, uv_poll_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    uv_poll_stop(uv);
    if (events == 0)
        return 0;
    uv->poll_cb = cb;
    qr_list_add_tail(&polls, &handle->node);
    qr_uv_handle_start(handle);
    qr_uv_io_want(handle, (events & UV_READABLE ? (unsigned)QR_NET_IN : 0) |
                              (events & UV_WRITABLE ? (unsigned)QR_NET_OUT : 0));
    return 0;
}

/* ---- signals ---- */

static struct qr_list signals = {&signals, &signals};

static unsigned signal_events(const struct qr_uv_handle *handle)
{
    return handle->signal.n_caught > 0 ? QR_NET_IN : 0;
}

static void on_caught(struct qr_uv_handle *handle, unsigned events)
{
    (void)events;
    uv_signal_t *uv = (uv_signal_t *)handle->uv;
    handle->signal.n_caught--;
    if (handle->signal.once)
        uv_signal_stop(uv);
    uv->signal_cb(uv, uv->signum);
}

int uv_signal_init(uv_loop_t *loop, uv_signal_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle_init(loop, uv, UV_SIGNAL);
    handle->events = signal_events;
    handle->on_ready = on_caught;
    uv->signum = 0;
    return 0;
}

static int signal_start(uv_signal_t *uv, uv_signal_cb cb, int number, bool once)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (number == 0 || (handle->flags & QR_UV_CLOSING))
        return UV_EINVAL;
    uv_signal_stop(uv);
    uv->signal_cb = cb;
    uv->signum = number;
    handle->signal.number = number;
    handle->signal.once = once;
    handle->interest = QR_NET_IN;
    qr_list_add_tail(&signals, &handle->node);
    qr_uv_handle_start(handle);
    return 0;
}

int uv_signal_start(uv_signal_t *uv, uv_signal_cb cb, int number)
{
    return signal_start(uv, cb, number, false);
}

int uv_signal_start_oneshot(uv_signal_t *uv, uv_signal_cb cb, int number)
{
    return signal_start(uv, cb, number, true);
}

int uv_signal_stop(uv_signal_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    handle->signal.n_caught = 0;
    qr_uv_io_stop(handle, handle->interest);
    qr_list_remove(&handle->node);
    qr_uv_handle_stop(handle);
    uv->signum = 0;
    return 0;
}

bool qr_uv_signal(struct qr_sim_host *host, int number)
{
    bool heard = false;
    QR_LIST_FOREACH (node, &signals) {
        struct qr_uv_handle *handle = QR_CONTAINER_OF(node, struct qr_uv_handle, node);
        if (handle->loop->host != host || handle->signal.number != number)
            continue;
        heard = true;
        handle->signal.n_caught++;
        qr_uv_io_check(handle);
    }
    return heard;
}

static void forget(struct qr_list *handles, const struct qr_sim_host *host)
{
    QR_LIST_FOREACH (node, handles) {
        if (QR_CONTAINER_OF(node, struct qr_uv_handle, node)->loop->host == host)
            qr_list_remove(node);
    }
}

void qr_uv_handles_forget(struct qr_sim_host *host)
{
    forget(&signals, host);
    forget(&polls, host);
}

/* ---- descriptors ---- */

int uv_fileno(const uv_handle_t *uv, uv_os_fd_t *fd)
{
    const struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (uv->type != UV_TCP && uv->type != UV_POLL)
        return UV_EINVAL;
    if (uv_is_closing(uv) || (uv->type == UV_TCP && handle->stream.socket == NULL))
        return UV_EBADF;
    *fd = uv->type == UV_POLL ? handle->poll.fd : qr_net_fd(handle->stream.socket);
    return 0;
}
