/* TCP handles: libuv's streams over the sockets of testing/sim/net.  Who reads, writes, stops and
 * closes in a callback finds what he would find in libuv: the order of steps is its own. */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim/uv_core.h"

#define READS_A_TURN  32
#define WRITES_A_TURN 32
#define READ_BYTES    (64u * 1024)

/* A request's reserved[] while it is queued. */
struct queued {
    struct qr_list node;
};

_Static_assert(sizeof(struct queued) <= sizeof(((uv_req_t *)0)->reserved), "it fits");

static struct qr_list *node_of(uv_write_t *req)
{
    return &((struct queued *)(void *)req->reserved)->node;
}

static uv_write_t *write_at(struct qr_list *node)
{
    return (uv_write_t *)(void *)((char *)node - offsetof(uv_write_t, reserved));
}

static uv_stream_t *stream_of(struct qr_uv_handle *handle)
{
    return (uv_stream_t *)handle->uv;
}

static void begin_request(struct qr_uv_handle *handle, void *request, uv_req_type type)
{
    ((uv_req_t *)request)->type = type;
    handle->loop->n_requests++;
}

static void end_request(struct qr_uv_handle *handle)
{
    assert(handle->loop->n_requests > 0);
    handle->loop->n_requests--;
}

/* ---- handles ---- */

static void on_stream(struct qr_uv_handle *handle, unsigned events);

static unsigned stream_events(const struct qr_uv_handle *handle)
{
    const struct qr_net_socket *socket = handle->stream.socket;
    return socket != NULL ? qr_net_events(socket) : 0;
}

static void on_changed(void *data)
{
    qr_uv_io_check(data);
}

static void adopt(struct qr_uv_handle *handle, struct qr_net_socket *socket)
{
    handle->stream.socket = socket;
    qr_net_watch(socket, on_changed, handle);
}

int uv_tcp_init_ex(uv_loop_t *loop, uv_tcp_t *uv, unsigned flags)
{
    unsigned domain = flags & 0xffu;
    if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNSPEC)
        return UV_EINVAL;
    if (domain == AF_INET6)
        return UV_EAFNOSUPPORT;
    struct qr_uv_handle *handle = qr_uv_handle_init(loop, uv, UV_TCP);
    uv->write_queue_size = 0;
    uv->connect_req = NULL;
    uv->shutdown_req = NULL;
    uv->connection_cb = NULL;
    uv->alloc_cb = NULL;
    uv->read_cb = NULL;
    handle->events = stream_events;
    handle->on_ready = on_stream;
    qr_list_init(&handle->stream.writes);
    qr_list_init(&handle->stream.written);
    if (domain != AF_UNSPEC)
        adopt(handle, qr_net_open());
    return 0;
}

int uv_tcp_init(uv_loop_t *loop, uv_tcp_t *uv)
{
    return uv_tcp_init_ex(loop, uv, AF_UNSPEC);
}

static void need_socket(struct qr_uv_handle *handle)
{
    if (handle->stream.socket == NULL)
        adopt(handle, qr_net_open());
}

int uv_tcp_bind(uv_tcp_t *uv, const struct sockaddr *address, unsigned flags)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (uv_is_closing((uv_handle_t *)uv) || (flags & UV_TCP_IPV6ONLY))
        return UV_EINVAL;
    if (address->sa_family != AF_INET)
        return address->sa_family == AF_INET6 ? UV_EAFNOSUPPORT : UV_EINVAL;
    need_socket(handle);
    int err = qr_net_bind(handle->stream.socket, address);
    if (err != 0 && err != UV_EADDRINUSE)
        return err;
    handle->stream.delayed_error = err;
    return 0;
}

static int get_name(const uv_tcp_t *uv, bool peer, struct sockaddr *name, int *bytes)
{
    const struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->stream.delayed_error != 0)
        return handle->stream.delayed_error;
    if (handle->stream.socket == NULL)
        return UV_EBADF;
    return qr_net_name(handle->stream.socket, peer, name, bytes);
}

int uv_tcp_getsockname(const uv_tcp_t *uv, struct sockaddr *name, int *bytes)
{
    return get_name(uv, false, name, bytes);
}

int uv_tcp_getpeername(const uv_tcp_t *uv, struct sockaddr *name, int *bytes)
{
    return get_name(uv, true, name, bytes);
}

static int set_option(uv_tcp_t *uv, int level, int name, int value)
{
    const struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->stream.socket == NULL)
        return 0;
    int err = setsockopt(qr_net_fd(handle->stream.socket), level, name, &value, sizeof value);
    return err == 0 ? 0 : UV_EBADF;
}

int uv_tcp_nodelay(uv_tcp_t *uv, int on)
{
    return set_option(uv, IPPROTO_TCP, TCP_NODELAY, on);
}

int uv_tcp_keepalive(uv_tcp_t *uv, int on, unsigned delay_s)
{
    int err = set_option(uv, SOL_SOCKET, SO_KEEPALIVE, on);
    if (err == 0 && on)
        err = set_option(uv, IPPROTO_TCP, TCP_KEEPIDLE, (int)delay_s);
    return err;
}

int uv_tcp_simultaneous_accepts(uv_tcp_t *uv, int enable)
{
    (void)uv;
    (void)enable;
    return 0;
}

/* ---- listening ---- */

/* One after the other, until nobody waits or the owner takes none. */
static void on_connection(struct qr_uv_handle *handle)
{
    uv_stream_t *uv = stream_of(handle);
    while (!(handle->flags & QR_UV_CLOSING) && handle->stream.accepted == NULL) {
        handle->stream.accepted = qr_net_accept(handle->stream.socket);
        if (handle->stream.accepted == NULL)
            return;
        uv->connection_cb(uv, 0);
    }
    if (!(handle->flags & QR_UV_CLOSING))
        qr_uv_io_stop(handle, QR_NET_IN);
}

int uv_listen(uv_stream_t *uv, int backlog, uv_connection_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (uv_is_closing((uv_handle_t *)uv))
        return UV_EINVAL;
    if (handle->stream.delayed_error != 0)
        return handle->stream.delayed_error;
    need_socket(handle);
    int err = qr_net_listen(handle->stream.socket, backlog);
    if (err != 0)
        return err;
    uv->connection_cb = cb;
    handle->flags |= QR_UV_LISTENING;
    qr_uv_handle_start(handle);
    qr_uv_io_want(handle, QR_NET_IN);
    return 0;
}

int uv_accept(uv_stream_t *server, uv_stream_t *client)
{
    struct qr_uv_handle *from = qr_uv_handle(server), *to = qr_uv_handle(client);
    if (from->stream.accepted == NULL)
        return UV_EAGAIN;
    if (to->stream.socket != NULL)
        return UV_EBUSY;
    adopt(to, from->stream.accepted);
    to->flags |= QR_UV_READABLE | QR_UV_WRITABLE;
    from->stream.accepted = NULL;
    qr_uv_io_want(from, QR_NET_IN);
    return 0;
}

/* ---- connecting ---- */

int uv_tcp_connect(uv_connect_t *req, uv_tcp_t *uv, const struct sockaddr *address,
                   uv_connect_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (uv_is_closing((uv_handle_t *)uv))
        return UV_EINVAL;
    if (uv->connect_req != NULL)
        return UV_EALREADY;
    if (address->sa_family == AF_INET6)
        return UV_EAFNOSUPPORT;
    need_socket(handle);
    if (handle->stream.delayed_error == 0) {
        int err = qr_net_connect(handle->stream.socket, address);
        if (err != 0)
            return err;
    }
    begin_request(handle, req, UV_CONNECT);
    req->cb = cb;
    req->handle = (uv_stream_t *)uv;
    uv->connect_req = req;
    handle->flags |= QR_UV_READABLE | QR_UV_WRITABLE;
    qr_uv_io_want(handle, QR_NET_OUT);
    if (handle->stream.delayed_error != 0)
        qr_uv_io_feed(handle);
    return 0;
}

static void flush_writes(struct qr_uv_handle *handle, int err)
{
    while (!qr_list_empty(&handle->stream.writes)) {
        struct qr_list *node = handle->stream.writes.next;
        qr_list_remove(node);
        write_at(node)->error = err;
        qr_list_add_tail(&handle->stream.written, node);
    }
}

static void run_written(struct qr_uv_handle *handle);

static void on_connected(struct qr_uv_handle *handle)
{
    uv_stream_t *uv = stream_of(handle);
    uv_connect_t *req = uv->connect_req;
    int err = handle->stream.delayed_error;
    handle->stream.delayed_error = 0;
    if (err == 0)
        err = qr_net_error(handle->stream.socket);
    uv->connect_req = NULL;
    end_request(handle);
    if (err < 0 || qr_list_empty(&handle->stream.writes))
        qr_uv_io_stop(handle, QR_NET_OUT);
    if (req->cb != NULL)
        req->cb(req, err);
    if ((handle->flags & QR_UV_CLOSING) || err >= 0)
        return;
    flush_writes(handle, UV_ECANCELED);
    run_written(handle);
}

/* ---- reading ---- */

int uv_read_start(uv_stream_t *uv, uv_alloc_cb alloc_cb, uv_read_cb read_cb)
{
    if (uv == NULL || alloc_cb == NULL || read_cb == NULL)
        return UV_EINVAL;
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (handle->flags & QR_UV_CLOSING)
        return UV_EINVAL;
    if (handle->flags & QR_UV_READING)
        return UV_EALREADY;
    if (!(handle->flags & QR_UV_READABLE))
        return UV_ENOTCONN;
    handle->flags |= QR_UV_READING;
    uv->alloc_cb = alloc_cb;
    uv->read_cb = read_cb;
    qr_uv_handle_start(handle);
    qr_uv_io_want(handle, QR_NET_IN);
    return 0;
}

int uv_read_stop(uv_stream_t *uv)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (!(handle->flags & QR_UV_READING))
        return 0;
    handle->flags &= ~(unsigned)QR_UV_READING;
    qr_uv_io_stop(handle, QR_NET_IN);
    qr_uv_handle_stop(handle);
    return 0;
}

static void end_reading(struct qr_uv_handle *handle, const uv_buf_t *buf, ssize_t why)
{
    uv_stream_t *uv = stream_of(handle);
    if (why != UV_EOF)
        handle->flags &= ~(unsigned)(QR_UV_READABLE | QR_UV_WRITABLE);
    uv_read_stop(uv);
    uv->read_cb(uv, why, buf);
}

static void read_some(struct qr_uv_handle *handle)
{
    uv_stream_t *uv = stream_of(handle);
    for (int n_reads = 0; n_reads < READS_A_TURN && (handle->flags & QR_UV_READING); n_reads++) {
        uv_buf_t buf = {NULL, 0};
        uv->alloc_cb((uv_handle_t *)uv, READ_BYTES, &buf);
        if (buf.base == NULL || buf.len == 0) {
            uv->read_cb(uv, UV_ENOBUFS, &buf);
            return;
        }
        ssize_t n = qr_net_recv(handle->stream.socket, buf.base, buf.len);
        if (n <= 0 && n != UV_EAGAIN) {
            end_reading(handle, &buf, n == 0 ? UV_EOF : n);
            return;
        }
        uv->read_cb(uv, n == UV_EAGAIN ? 0 : n, &buf);
        if (n == UV_EAGAIN || (size_t)n < buf.len)
            return;
    }
}

/* ---- writing ---- */

static size_t left_of(const uv_write_t *req)
{
    size_t bytes = 0;
    for (unsigned i = req->write_index; i < req->nbufs; i++)
        bytes += req->bufs[i].len;
    return bytes;
}

static void finish_write(struct qr_uv_handle *handle, uv_write_t *req)
{
    qr_list_remove(node_of(req));
    if (req->error == 0) {
        if (req->bufs != req->bufsml)
            free(req->bufs);
        req->bufs = NULL;
    }
    qr_list_add_tail(&handle->stream.written, node_of(req));
    qr_uv_io_feed(handle);
}

/* true: all of it was sent. */
static bool advance(struct qr_uv_handle *handle, uv_write_t *req, size_t n)
{
    stream_of(handle)->write_queue_size -= n;
    while (req->write_index < req->nbufs) {
        uv_buf_t *buf = &req->bufs[req->write_index];
        size_t part = n < buf->len ? n : buf->len;
        buf->base += part;
        buf->len -= part;
        n -= part;
        if (buf->len > 0)
            return false;
        req->write_index++;
    }
    return true;
}

static void write_some(struct qr_uv_handle *handle)
{
    for (int i = 0; i < WRITES_A_TURN && !qr_list_empty(&handle->stream.writes); i++) {
        uv_write_t *req = write_at(handle->stream.writes.next);
        ssize_t n = qr_net_send(handle->stream.socket,
                                (const struct iovec *)(const void *)(req->bufs + req->write_index),
                                req->nbufs - req->write_index);
        if (n >= 0) {
            if (advance(handle, req, (size_t)n))
                finish_write(handle, req);
            continue;
        }
        if (n == UV_EAGAIN)
            break;
        req->error = (int)n;
        finish_write(handle, req);
        qr_uv_io_stop(handle, QR_NET_OUT);
        return;
    }
    if (!qr_list_empty(&handle->stream.writes))
        qr_uv_io_want(handle, QR_NET_OUT);
}

static void run_written(struct qr_uv_handle *handle)
{
    struct qr_list now;
    if (qr_list_empty(&handle->stream.written))
        return;
    now = handle->stream.written;
    now.next->prev = now.prev->next = &now;
    qr_list_init(&handle->stream.written);
    while (!qr_list_empty(&now)) {
        uv_write_t *req = write_at(now.next);
        qr_list_remove(node_of(req));
        end_request(handle);
        if (req->bufs != NULL) {
            stream_of(handle)->write_queue_size -= left_of(req);
            if (req->bufs != req->bufsml)
                free(req->bufs);
            req->bufs = NULL;
        }
        if (req->cb != NULL)
            req->cb(req, req->error);
    }
}

int uv_write(uv_write_t *req, uv_stream_t *uv, const uv_buf_t bufs[], unsigned n, uv_write_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    assert(n > 0);
    if (handle->stream.socket == NULL || (handle->flags & QR_UV_CLOSING))
        return UV_EBADF;
    if (!(handle->flags & QR_UV_WRITABLE))
        return UV_EPIPE;
    bool was_empty = uv->write_queue_size == 0;
    req->bufs = n <= QR_COUNT(req->bufsml) ? req->bufsml : calloc(n, sizeof *bufs);
    if (req->bufs == NULL)
        return UV_ENOMEM;
    begin_request(handle, req, UV_WRITE);
    memcpy(req->bufs, bufs, n * sizeof *bufs);
    req->cb = cb;
    req->handle = uv;
    req->send_handle = NULL;
    req->error = 0;
    req->nbufs = n;
    req->write_index = 0;
    uv->write_queue_size += left_of(req);
    qr_list_init(node_of(req));
    qr_list_add_tail(&handle->stream.writes, node_of(req));
    if (uv->connect_req != NULL)
        return 0;
    if (was_empty)
        write_some(handle);
    else
        qr_uv_io_want(handle, QR_NET_OUT);
    return 0;
}

int uv_try_write(uv_stream_t *uv, const uv_buf_t bufs[], unsigned n)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (uv->connect_req != NULL || uv->write_queue_size != 0)
        return UV_EAGAIN;
    if (handle->stream.socket == NULL || (handle->flags & QR_UV_CLOSING))
        return UV_EBADF;
    if (!(handle->flags & QR_UV_WRITABLE))
        return UV_EPIPE;
    return (int)qr_net_send(handle->stream.socket, (const struct iovec *)(const void *)bufs, n);
}

int uv_is_readable(const uv_stream_t *uv)
{
    return (qr_uv_handle(uv)->flags & QR_UV_READABLE) != 0;
}

int uv_is_writable(const uv_stream_t *uv)
{
    return (qr_uv_handle(uv)->flags & QR_UV_WRITABLE) != 0;
}

/* ---- the end ---- */

int uv_shutdown(uv_shutdown_t *req, uv_stream_t *uv, uv_shutdown_cb cb)
{
    struct qr_uv_handle *handle = qr_uv_handle(uv);
    if (!(handle->flags & QR_UV_WRITABLE) ||
        (handle->flags & (QR_UV_SHUT | QR_UV_SHUTTING | QR_UV_CLOSING)))
        return UV_ENOTCONN;
    begin_request(handle, req, UV_SHUTDOWN);
    req->handle = uv;
    req->cb = cb;
    uv->shutdown_req = req;
    handle->flags |= QR_UV_SHUTTING;
    handle->flags &= ~(unsigned)QR_UV_WRITABLE;
    if (qr_list_empty(&handle->stream.writes))
        qr_uv_io_feed(handle);
    return 0;
}

/* All writes are done: if it was asked for, this is the end of them. */
static void drained(struct qr_uv_handle *handle)
{
    uv_stream_t *uv = stream_of(handle);
    uv_shutdown_t *req = uv->shutdown_req;
    qr_uv_io_stop(handle, QR_NET_OUT);
    if (!(handle->flags & QR_UV_SHUTTING) || req == NULL)
        return;
    uv->shutdown_req = NULL;
    handle->flags &= ~(unsigned)QR_UV_SHUTTING;
    end_request(handle);
    int err = UV_ECANCELED;
    if (!(handle->flags & QR_UV_CLOSING))
        err = qr_net_shutdown(handle->stream.socket);
    if (err == 0)
        handle->flags |= QR_UV_SHUT;
    if (req->cb != NULL)
        req->cb(req, err);
}

static void on_stream(struct qr_uv_handle *handle, unsigned events)
{
    if (handle->flags & QR_UV_LISTENING) {
        if (events & QR_NET_IN)
            on_connection(handle);
        return;
    }
    if (stream_of(handle)->connect_req != NULL) {
        on_connected(handle);
        return;
    }
    if (events & (QR_NET_IN | QR_NET_ERR | QR_NET_HUP))
        read_some(handle);
    if (handle->flags & QR_UV_CLOSING)
        return;
    if (events & (QR_NET_OUT | QR_NET_ERR | QR_NET_HUP)) {
        write_some(handle);
        run_written(handle);
        if (qr_list_empty(&handle->stream.writes) && !(handle->flags & QR_UV_CLOSING))
            drained(handle);
    }
}

void qr_uv_stream_close(struct qr_uv_handle *handle)
{
    uv_read_stop(stream_of(handle));
    qr_uv_io_stop(handle, handle->interest);
    handle->flags &= ~(unsigned)(QR_UV_READABLE | QR_UV_WRITABLE);
    if (handle->stream.accepted != NULL)
        qr_net_close(handle->stream.accepted);
    if (handle->stream.socket != NULL)
        qr_net_close(handle->stream.socket);
    handle->stream.socket = handle->stream.accepted = NULL;
}

void qr_uv_stream_destroy(struct qr_uv_handle *handle)
{
    uv_stream_t *uv = stream_of(handle);
    if (uv->connect_req != NULL) {
        uv_connect_t *req = uv->connect_req;
        uv->connect_req = NULL;
        end_request(handle);
        req->cb(req, UV_ECANCELED); /* libuv does not look whether there is one, either. */
    }
    flush_writes(handle, UV_ECANCELED);
    run_written(handle);
    drained(handle);
}
