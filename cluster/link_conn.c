#include "cluster/link_conn.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"
#include "base/error.h"
#include "base/limits.h"

/* Ciphertext made ahead of the kernel. */
#define OUT_BYTES (256u * 1024)
/* Sent in one turn of the loop before others have theirs. */
#define TURN_BYTES (2u * 1024 * 1024)
/* Above this an empty receive buffer is given back. */
#define IN_KEEP_BYTES    (1024u * 1024)
#define KEEPALIVE_S      5u
#define FRAME_WHOLE_MAX  (QR_LINK_HEADER_BYTES + QR_LINK_FRAME_BYTES_MAX)
#define HELLO_WHOLE_MAX  (QR_LINK_HEADER_BYTES + QR_LINK_HELLO_BYTES_MAX)
#define SILENCE_TIMEOUTS 2u /* election timeouts */

static uint64_t now_ms(const struct qr_link_conn *conn)
{
    return qr_clock_mono_ms(conn->shared->clock);
}

/* ---- closing ---- */

int qr_link_conn_refuse(struct qr_link_conn *conn, int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(conn->reason, sizeof conn->reason, format, args);
    va_end(args);
    return status;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct qr_link_conn *conn = handle->data;
    if (--conn->handles_open > 0)
        return;
    qr_link_queue_settle(&conn->queue, UINT64_MAX, conn->status);
    qr_link_queue_release(&conn->queue);
    qr_buf_release(&conn->in);
    qr_buf_release(&conn->out);
    qr_tls_free(conn->tls);
    conn->shared->closed(conn); /* The owner frees; nothing below touches conn. */
}

/* An alert tells the peer why it was cut, if the kernel takes it at once. */
static void say_goodbye(struct qr_link_conn *conn)
{
    if (conn->tls == NULL)
        return;
    qr_tls_shutdown(conn->tls);
    if (conn->writing || qr_tls_drain(conn->tls, &conn->out) != 0 || conn->out.len == 0)
        return;
    uv_buf_t bytes = uv_buf_init(conn->out.base, (unsigned)conn->out.len);
    (void)uv_try_write((uv_stream_t *)&conn->tcp, &bytes, 1);
}

void qr_link_conn_cut(struct qr_link_conn *conn, int status)
{
    if (conn->closing)
        return; /* Any path may ask; the first one wins. */
    conn->closing = true;
    conn->status = status;
    if (conn->reason[0] == '\0')
        qr_link_conn_refuse(conn, status, "%s", qr_strerror(status));
    say_goodbye(conn);
    conn->shared->cut(conn, status);
    uv_close((uv_handle_t *)&conn->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&conn->handshake, on_handle_closed);
    uv_close((uv_handle_t *)&conn->flush, on_handle_closed);
}

/* ---- sending ---- */

/* Fills `out` from what TLS has to say and from the queue. */
static int encrypt(struct qr_link_conn *conn)
{
    int err = qr_tls_drain(conn->tls, &conn->out);
    if (!conn->secured)
        return err;
    while (err == 0 && conn->out.len < OUT_BYTES && qr_link_queue_bytes(&conn->queue) > 0) {
        struct qr_slice next = qr_link_queue_peek(&conn->queue);
        if (next.len > OUT_BYTES - conn->out.len)
            next.len = OUT_BYTES - conn->out.len;
        err = qr_tls_write(conn->tls, next);
        if (err == QR_E_TLS)
            return qr_link_conn_refuse(conn, err, "%s", qr_tls_error(conn->tls));
        qr_link_queue_take(&conn->queue, next.len);
        err = qr_tls_drain(conn->tls, &conn->out);
    }
    conn->out_covers = conn->queue.taken;
    return err;
}

static void on_flush(uv_idle_t *flush);

static void wake_flush(struct qr_link_conn *conn)
{
    if (!conn->closing)
        uv_idle_start(&conn->flush, on_flush);
}

static void on_written(uv_write_t *write, int status)
{
    struct qr_link_conn *conn = write->data;
    conn->writing = false;
    if (conn->closing)
        return;
    if (status != 0) {
        qr_link_conn_cut(conn, status);
        return;
    }
    qr_buf_clear(&conn->out);
    conn->sent_ms = now_ms(conn);
    wake_flush(conn);
    qr_link_queue_settle(&conn->queue, conn->out_covers, 0);
}

/* Gives `out` to the kernel; what it does not take at once is left to libuv. */
static int write_out(struct qr_link_conn *conn)
{
    uv_buf_t bytes = uv_buf_init(conn->out.base, (unsigned)conn->out.len);
    int n = uv_try_write((uv_stream_t *)&conn->tcp, &bytes, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0)
        return n;
    conn->shared->stats.bytes_sent += conn->out.len;
    conn->sent_ms = now_ms(conn);
    if ((size_t)n == conn->out.len) {
        qr_buf_clear(&conn->out);
        return 0;
    }
    bytes = uv_buf_init(conn->out.base + n, (unsigned)(conn->out.len - (size_t)n));
    conn->write_left = bytes.len;
    conn->moved_ms = conn->sent_ms;
    conn->write.data = conn;
    int err = uv_write(&conn->write, (uv_stream_t *)&conn->tcp, &bytes, 1, on_written);
    conn->writing = err == 0;
    return err;
}

/* Sends until nothing is left, the kernel is full, or the turn is over. */
static void send_some(struct qr_link_conn *conn)
{
    size_t sent = 0;
    while (!conn->closing && !conn->writing) {
        int err = encrypt(conn);
        if (err == 0 && conn->out.len > 0) {
            sent += conn->out.len;
            err = write_out(conn);
        } else if (err == 0) {
            uv_idle_stop(&conn->flush);
            return;
        }
        if (err != 0) {
            qr_link_conn_cut(conn, err);
            return;
        }
        if (!conn->writing)
            qr_link_queue_settle(&conn->queue, conn->out_covers, 0);
        if (sent >= TURN_BYTES)
            return; /* the idle handle goes on */
    }
    if (!conn->closing)
        uv_idle_stop(&conn->flush); /* on_written goes on */
}

static void on_flush(uv_idle_t *flush)
{
    send_some(flush->data);
}

int qr_link_conn_send(struct qr_link_conn *conn, enum qr_link_type type, uint32_t group,
                      const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent,
                      void *data)
{
    assert(conn->secured);
    assert(!conn->closing);
    int err = qr_link_queue_add(&conn->queue, type, group, parts, n_parts, sent, data);
    if (err != 0)
        return err;
    conn->shared->stats.frames_sent++;
    if (!conn->writing)
        wake_flush(conn);
    return 0;
}

size_t qr_link_conn_backlog(const struct qr_link_conn *conn)
{
    return qr_link_queue_bytes(&conn->queue) + conn->out.len;
}

/* ---- receiving ---- */

static int refuse_frame(struct qr_link_conn *conn, int err)
{
    conn->shared->stats.bad_frames++;
    return qr_link_conn_refuse(conn, err, "bad frame: %s", qr_strerror(err));
}

/* Hands out the whole frames of `in`, in place. */
static int take_frames(struct qr_link_conn *conn)
{
    size_t at = 0;
    int err = 0;
    conn->in_want = 0;
    while (err == 0 && !conn->closing && at < conn->in.len) {
        struct qr_link_frame frame;
        size_t used;
        err =
            qr_link_frame_decode(&frame, &used, qr_slice_of(conn->in.base + at, conn->in.len - at));
        if (!conn->trusted && used > HELLO_WHOLE_MAX)
            err = QR_E_LIMIT;
        if (err == QR_E_PARTIAL) {
            conn->in_want = used;
            err = 0;
            break;
        }
        if (err != 0) {
            err = refuse_frame(conn, err);
            break;
        }
        at += used;
        conn->shared->stats.frames_received++;
        err = conn->shared->frame(conn, &frame);
    }
    qr_buf_consume(&conn->in, at);
    if (conn->in.len == 0 && conn->in.capacity > IN_KEEP_BYTES)
        qr_buf_release(&conn->in);
    return err;
}

/* Decrypts all that was fed.  0, also when more is needed, or an error. */
static int decrypt(struct qr_link_conn *conn)
{
    for (;;) {
        size_t room = QR_TLS_RECORD_BYTES, n;
        if (conn->in_want > conn->in.len + room)
            room = conn->in_want - conn->in.len;
        int err = qr_buf_reserve(&conn->in, room);
        if (err != 0)
            return err;
        err = qr_tls_read(conn->tls, conn->in.base + conn->in.len, conn->in.capacity - conn->in.len,
                          &n);
        if (err == 0) {
            conn->in.len += n;
            continue;
        }
        if (err == QR_E_TLS)
            qr_link_conn_refuse(conn, err, "%s", qr_tls_error(conn->tls));
        else if (err == QR_E_CLOSED)
            qr_link_conn_refuse(conn, err, "the peer has closed the connection");
        return err == QR_E_PARTIAL ? 0 : err;
    }
}

static int shake_hands(struct qr_link_conn *conn)
{
    int err = qr_tls_handshake(conn->tls);
    if (err == QR_E_TLS)
        return qr_link_conn_refuse(conn, err, "%s", qr_tls_error(conn->tls));
    if (err == 0) {
        conn->secured = true;
        err = conn->shared->secured(conn);
    }
    return err;
}

/* Goes on with what has come, as far as it reaches. */
static int advance(struct qr_link_conn *conn)
{
    int err = conn->secured ? 0 : shake_hands(conn);
    if (err == 0) {
        int ended = decrypt(conn);
        err = take_frames(conn); /* also what came before an end */
        if (err == 0)
            err = ended;
    }
    if (!conn->closing && !conn->writing && qr_tls_pending(conn->tls) > 0)
        wake_flush(conn);
    return err == QR_E_PARTIAL ? 0 : err;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    const struct qr_link_conn *conn = handle->data;
    *buf = uv_buf_init(conn->shared->read_buffer, (unsigned)conn->shared->read_buffer_bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct qr_link_conn *conn = stream->data;
    if (conn->closing || n == 0)
        return;
    int err = n == UV_EOF ? QR_E_CLOSED : n < 0 ? (int)n : 0;
    if (err == QR_E_CLOSED)
        qr_link_conn_refuse(conn, err,
                            conn->trusted ? "the peer has closed the connection"
                                          : "the peer has closed the connection during the hello");
    if (err == 0) {
        conn->heard_ms = now_ms(conn);
        conn->shared->stats.bytes_received += (uint64_t)n;
        err = qr_tls_feed(conn->tls, qr_slice_of(buf->base, (size_t)n));
    }
    if (err == 0)
        err = advance(conn);
    if (err != 0)
        qr_link_conn_cut(conn, err);
}

/* ---- opening ---- */

static void on_handshake_late(uv_timer_t *timer)
{
    struct qr_link_conn *conn = timer->data;
    qr_link_conn_refuse(conn, 0, "no %s within %u ms", conn->secured ? "hello" : "TLS handshake",
                        (unsigned)conn->shared->handshake_timeout_ms);
    qr_link_conn_cut(conn, QR_E_TIMEOUT);
}

int qr_link_conn_init(struct qr_link_conn *conn, struct qr_link_conn_shared *shared, void *owner)
{
    *conn = (struct qr_link_conn){.shared = shared, .owner = owner};
    int err = uv_tcp_init(shared->loop, &conn->tcp);
    if (err != 0)
        return err;
    uv_timer_init(shared->loop, &conn->handshake);
    uv_idle_init(shared->loop, &conn->flush);
    conn->tcp.data = conn->handshake.data = conn->flush.data = conn->connect.data = conn;
    conn->handles_open = 3;
    qr_list_init(&conn->node);
    qr_link_queue_init(&conn->queue);
    /* Behind the largest frame there may be as much as one read brings. */
    qr_buf_init(&conn->in, FRAME_WHOLE_MAX + shared->read_buffer_bytes + 2 * QR_TLS_RECORD_BYTES);
    qr_buf_init(&conn->out, 0);
    snprintf(conn->peer, sizeof conn->peer, "?");
    conn->heard_ms = conn->sent_ms = now_ms(conn);
    uv_timer_start(&conn->handshake, on_handshake_late, shared->handshake_timeout_ms, 0);
    return 0;
}

/* TCP is there: its options, the TLS session, and reading from now on. */
static int begin(struct qr_link_conn *conn, enum qr_tls_role role)
{
    struct sockaddr_storage peer;
    int len = (int)sizeof peer;
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)&peer, &len) == 0)
        qr_address_format((struct sockaddr *)&peer, conn->peer, sizeof conn->peer);
    uv_tcp_nodelay(&conn->tcp, 1);
    uv_tcp_keepalive(&conn->tcp, 1, KEEPALIVE_S);
    uv_os_fd_t fd;
    unsigned ms = SILENCE_TIMEOUTS * conn->shared->election_timeout_ms;
    if (uv_fileno((uv_handle_t *)&conn->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
    int err = qr_tls_new(&conn->tls, conn->shared->tls, role);
    if (err == 0)
        err = uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
    conn->heard_ms = now_ms(conn);
    return err;
}

void qr_link_conn_accept(struct qr_link_conn *conn, uv_stream_t *listener)
{
    int err = uv_accept(listener, (uv_stream_t *)&conn->tcp);
    if (err == 0)
        err = begin(conn, QR_TLS_SERVER);
    if (err != 0)
        qr_link_conn_cut(conn, err);
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct qr_link_conn *conn = connect->data;
    if (conn->closing)
        return;
    if (status == 0)
        status = begin(conn, QR_TLS_CLIENT);
    if (status == 0)
        status = advance(conn); /* the client speaks first */
    if (status != 0)
        qr_link_conn_cut(conn, status);
}

void qr_link_conn_dial(struct qr_link_conn *conn, const struct sockaddr *address)
{
    conn->dialled = true;
    qr_address_format(address, conn->peer, sizeof conn->peer);
    int err = uv_tcp_connect(&conn->connect, &conn->tcp, address, on_connected);
    if (err != 0)
        qr_link_conn_cut(conn, err);
}

void qr_link_conn_trust(struct qr_link_conn *conn)
{
    conn->trusted = true;
    uv_timer_stop(&conn->handshake);
}

/* ---- watching ---- */

static bool is_hung(struct qr_link_conn *conn, uint64_t now, uint64_t limit_ms)
{
    if (!conn->writing)
        return false;
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (left != conn->write_left) {
        conn->write_left = left;
        conn->moved_ms = now;
    }
    return now - conn->moved_ms > limit_ms;
}

static void cut_dead(struct qr_link_conn *conn, const char *what, uint64_t ms)
{
    conn->shared->stats.dead_peers++;
    qr_link_conn_refuse(conn, 0, "the peer %s for %llu ms", what, (unsigned long long)ms);
    qr_link_conn_cut(conn, QR_E_TIMEOUT);
}

void qr_link_conn_tick(struct qr_link_conn *conn, uint64_t now, uint64_t stalled_ms)
{
    if (conn->closing || !conn->trusted)
        return;
    conn->heard_ms += stalled_ms;
    conn->moved_ms += stalled_ms;
    if (conn->heard_ms > now)
        conn->heard_ms = now;
    if (conn->moved_ms > now)
        conn->moved_ms = now;
    /* One tick early, so that the cut comes within the limit and not a tick after it. */
    uint64_t limit_ms =
        (uint64_t)SILENCE_TIMEOUTS * conn->shared->election_timeout_ms - conn->shared->heartbeat_ms;
    if (now - conn->heard_ms > limit_ms) {
        cut_dead(conn, "was silent", now - conn->heard_ms);
        return;
    }
    if (is_hung(conn, now, limit_ms)) {
        cut_dead(conn, "took nothing", now - conn->moved_ms);
        return;
    }
    if (!conn->writing && now - conn->sent_ms >= conn->shared->heartbeat_ms)
        (void)qr_link_conn_send(conn, QR_LINK_PING, 0, NULL, 0, NULL, NULL);
}
