#include "node/conn.h"

#include <assert.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "node/child.h"
#include "node/ingest.h"
#include "node/web.h"

#define TLS_FIRST_BYTE_MAX 0x17 /* a TLS record begins with its content type */
#define HANDSHAKE_MS       30000
#define OUT_BYTES_MAX      (256u * 1024 * 1024)

/* ---- closing ---- */

static void on_handle_closed(uv_handle_t *handle)
{
    struct qr_conn *conn = handle->data;
    if (--conn->handles_open != 0)
        return;
    qr_list_remove(&conn->node);
    if (conn->handler != NULL)
        conn->handler->closed(conn);
    qr_tls_free(conn->tls);
    qr_buf_release(&conn->in);
    qr_writer_release(&conn->writer);
    qr_ingest_conn_gone(conn->ingest);
    free(conn->peer_name);
    free(conn);
}

void qr_conn_close(struct qr_conn *conn)
{
    if (conn->closing)
        return;
    conn->closing = true;
    if (conn->finding != NULL)
        qr_peer_name_give_up(conn->finding);
    uv_close((uv_handle_t *)&conn->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&conn->idle, on_handle_closed);
}

static void on_idle(uv_timer_t *timer)
{
    struct qr_conn *conn = timer->data;
    size_t left = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    bool moves = left != conn->idle_left; /* a slow reader of a long answer */
    conn->idle_left = left;
    if (moves && !conn->hurries)
        return;
    qr_debug("connection closed: nothing arrived in time peer=%s", conn->peer);
    qr_conn_close(conn);
}

void qr_conn_idle_limit(struct qr_conn *conn, uint64_t ms)
{
    if (conn->closing)
        return;
    conn->hurries = false;
    if (ms == 0)
        uv_timer_stop(&conn->idle);
    else
        uv_timer_start(&conn->idle, on_idle, ms, ms);
}

void qr_conn_out_limit(struct qr_conn *conn, size_t bytes)
{
    qr_writer_limit(&conn->writer, bytes);
}

void qr_conn_hurry(struct qr_conn *conn, bool hurries)
{
    conn->hurries = hurries;
}

/* ---- writing ---- */

static void on_left(void *data, int status)
{
    struct qr_conn *conn = data;
    if (status != 0 || conn->close_when_drained)
        qr_conn_close(conn);
}

static void start_write(struct qr_conn *conn)
{
    if (!conn->closing && qr_writer_go(&conn->writer) != 0)
        qr_conn_close(conn);
}

static int send_ciphertext(struct qr_conn *conn)
{
    int err = qr_tls_drain(conn->tls, &conn->writer.out);
    if (err != 0)
        qr_conn_close(conn);
    else
        start_write(conn);
    return err;
}

int qr_conn_write(struct qr_conn *conn, struct qr_slice bytes)
{
    if (conn->closing)
        return QR_E_CLOSED;
    if (conn->tls != NULL) {
        int err = qr_tls_write(conn->tls, bytes);
        return send_ciphertext(conn) != 0 ? QR_E_TLS : err;
    }
    int err = qr_buf_add(&conn->writer.out, bytes.base, bytes.len);
    if (err != 0) {
        qr_conn_close(conn);
        return err;
    }
    start_write(conn);
    return 0;
}

void qr_conn_finish(struct qr_conn *conn)
{
    if (conn->tls != NULL && !conn->closing) {
        qr_tls_shutdown(conn->tls);
        send_ciphertext(conn);
    }
    conn->close_when_drained = true;
    if (!conn->writer.busy)
        qr_conn_close(conn);
}

/* ---- reading ---- */

static void choose_handler(struct qr_conn *conn)
{
    static const char stream[] = "STREAM ";
    size_t n = conn->in.len < sizeof stream - 1 ? conn->in.len : sizeof stream - 1;
    if (memcmp(conn->in.base, stream, n) != 0)
        qr_web_take(conn);
    else if (n == sizeof stream - 1)
        qr_child_take(conn);
}

/* The peer has ended its side and the handler has had all of it. */
static void finish_ended(struct qr_conn *conn)
{
    if (conn->ended && !conn->paused && !conn->closing && !conn->close_when_drained)
        qr_conn_finish(conn);
}

static void dispatch(struct qr_conn *conn)
{
    if (conn->parsing)
        return; /* a handler wrote and the write failed, or resumed itself: the loop below goes on
                 */
    conn->parsing = true;
    while (!conn->closing && !conn->paused && conn->in.len > 0) {
        if (conn->handler == NULL) {
            choose_handler(conn);
            if (conn->handler == NULL)
                break;
        }
        const struct qr_conn_handler *handler = conn->handler;
        ssize_t n = handler->received(conn, qr_buf_slice(&conn->in));
        if (n < 0) {
            qr_conn_close(conn);
            break;
        }
        if (conn->closing)
            break;
        qr_buf_consume(&conn->in, (size_t)n);
        if (n == 0 && handler == conn->handler)
            break;
    }
    conn->parsing = false;
    if (conn->in.len == 0)
        qr_buf_release(&conn->in); /* thousands are idle at any time */
    finish_ended(conn);
    if (!conn->closing && conn->in.len >= QR_CHILD_INBUF_BYTES && !conn->paused) {
        qr_debug("connection closed: its handler cannot use so much input peer=%s", conn->peer);
        qr_conn_close(conn);
    }
}

static int decrypt(struct qr_conn *conn, struct qr_slice ciphertext)
{
    int err = qr_tls_feed(conn->tls, ciphertext);
    while (err == 0) {
        size_t n = 0;
        err = qr_buf_reserve(&conn->in, QR_TLS_RECORD_BYTES);
        if (err == 0)
            err = qr_tls_read(conn->tls, conn->in.base + conn->in.len,
                              conn->in.capacity - conn->in.len, &n);
        if (err == 0)
            conn->in.len += n;
    }
    send_ciphertext(conn);
    return err == QR_E_PARTIAL ? 0 : err;
}

static int start_tls(struct qr_conn *conn)
{
    struct qr_tls_context *context = qr_ingest_admission(conn->ingest)->tls;
    if (context == NULL) {
        qr_ingest_complain(conn->ingest, "TLS refused: no [web] certificate is configured peer=%s",
                           conn->peer);
        return QR_E_UNSUPPORTED;
    }
    return qr_tls_new(&conn->tls, context, QR_TLS_SERVER);
}

static int take_bytes(struct qr_conn *conn, struct qr_slice bytes)
{
    if (!conn->first_seen) {
        conn->first_seen = true;
        if ((unsigned char)bytes.base[0] <= TLS_FIRST_BYTE_MAX) {
            int err = start_tls(conn);
            if (err != 0)
                return err;
        }
    }
    return conn->tls != NULL ? decrypt(conn, bytes) : qr_buf_add(&conn->in, bytes.base, bytes.len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct qr_conn *conn = handle->data;
    *buf = qr_ingest_read_buffer(conn->ingest);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct qr_conn *conn = stream->data;
    if (n == 0 || conn->closing)
        return;
    if (n == UV_EOF) {
        uv_read_stop(stream);
        conn->ended = true;
        finish_ended(conn);
        return;
    }
    if (n < 0) {
        qr_conn_close(conn);
        return;
    }
    conn->read_at_us = (uint64_t)qr_ingest_now_us(conn->ingest);
    if (!conn->hurries && uv_is_active((uv_handle_t *)&conn->idle))
        uv_timer_again(&conn->idle);
    int err = take_bytes(conn, qr_slice_of(buf->base, (size_t)n));
    if (err == QR_E_CLOSED) {
        uv_read_stop(stream);
        conn->ended = true;
    }
    dispatch(conn); /* also after an error: what came before it counts */
    if (err != 0 && err != QR_E_CLOSED && !conn->closing) {
        qr_ingest_complain(conn->ingest, "connection closed peer=%s error=\"%s\"", conn->peer,
                           conn->tls != NULL ? qr_tls_error(conn->tls) : qr_strerror(err));
        qr_conn_finish(conn);
    }
}

void qr_conn_pause(struct qr_conn *conn)
{
    if (conn->paused || conn->closing)
        return;
    conn->paused = true;
    uv_read_stop((uv_stream_t *)&conn->tcp);
}

void qr_conn_resume(struct qr_conn *conn)
{
    if (!conn->paused || conn->closing)
        return;
    conn->paused = false;
    if (!conn->ended && uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        qr_conn_close(conn);
        return;
    }
    dispatch(conn);
}

/* ---- accept ---- */

static void name_peer(struct qr_conn *conn, struct sockaddr_storage *address)
{
    int len = sizeof *address;
    int port = 0;
    snprintf(conn->peer_ip, sizeof conn->peer_ip, "unknown");
    address->ss_family = AF_UNSPEC;
    if (uv_tcp_getpeername(&conn->tcp, (struct sockaddr *)address, &len) == 0) {
        if (address->ss_family == AF_INET6) {
            const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
            uv_ip6_name(in6, conn->peer_ip, sizeof conn->peer_ip);
            port = ntohs(in6->sin6_port);
        } else {
            const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
            uv_ip4_name(in4, conn->peer_ip, sizeof conn->peer_ip);
            port = ntohs(in4->sin_port);
        }
    }
    if (strncmp(conn->peer_ip, "::ffff:", 7) == 0)
        memmove(conn->peer_ip, conn->peer_ip + 7, strlen(conn->peer_ip) - 6);
    snprintf(conn->peer, sizeof conn->peer, "%s:%d", conn->peer_ip, port);
}

/* Keepalive asks only who has all that was sent to it; the other limit is for who has not, and for
 * how long to ask. */
static void notice_vanished(struct qr_conn *conn)
{
    unsigned vanished_s = qr_ingest_config(conn->ingest)->vanished_s;
    unsigned limit_ms = vanished_s * 1000;
    uv_os_fd_t fd;
    assert(vanished_s >= 2);
    uv_tcp_keepalive(&conn->tcp, 1, vanished_s / 2);
    if (uv_fileno((const uv_handle_t *)&conn->tcp, &fd) == 0)
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit_ms, sizeof limit_ms);
}

static const struct qr_access *access_of(const struct qr_conn *conn)
{
    return &qr_ingest_admission(conn->ingest)->access;
}

unsigned qr_conn_roles(const struct qr_conn *conn)
{
    return qr_access_roles(access_of(conn), conn->bind->roles, conn->peer_ip, conn->peer_name);
}

bool qr_conn_is_allowed(const struct qr_conn *conn)
{
    return qr_access_allows(access_of(conn), QR_ACCESS_CONNECTIONS, conn->peer_ip, conn->peer_name);
}

static void start_reading(struct qr_conn *conn)
{
    if (!qr_conn_is_allowed(conn)) {
        qr_ingest_complain(conn->ingest,
                           "connection closed: `allow connections from` does not match its address "
                           "peer=%s",
                           conn->peer);
        qr_conn_close(conn);
    } else if (uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read) != 0) {
        qr_conn_close(conn);
    }
}

static void on_name(void *data, const char *name)
{
    struct qr_conn *conn = data;
    conn->finding = NULL;
    if (name[0] != '\0')
        conn->peer_name = strdup(name);
    start_reading(conn);
}

/* Its name is asked for only where it could change what it may do. */
static void admit(struct qr_conn *conn, const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_UNSPEC || !qr_access_wants_name(access_of(conn), conn->peer_ip) ||
        qr_peer_name_find(&conn->finding, qr_ingest_loop(conn->ingest),
                          (const struct sockaddr *)address, on_name, conn) != 0)
        start_reading(conn);
}

void qr_conn_accept(struct qr_ingest *ingest, const struct qr_bind *bind, uv_stream_t *listener)
{
    struct sockaddr_storage address;
    struct qr_conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        abort(); /* libuv calls for no other connection until this one is accepted */
    conn->ingest = ingest;
    conn->bind = bind;
    qr_buf_init(&conn->in, 2 * QR_CHILD_INBUF_BYTES);
    qr_writer_init(&conn->writer, (uv_stream_t *)&conn->tcp, on_left, conn);
    qr_conn_out_limit(conn, OUT_BYTES_MAX);
    uv_tcp_init(listener->loop, &conn->tcp);
    uv_timer_init(listener->loop, &conn->idle);
    conn->tcp.data = conn;
    conn->idle.data = conn;
    conn->handles_open = 2;
    qr_ingest_conn_came(ingest, conn);
    if (uv_accept(listener, (uv_stream_t *)&conn->tcp) != 0) {
        qr_conn_close(conn);
        return;
    }
    name_peer(conn, &address);
    if (qr_ingest_is_full(ingest)) {
        qr_ingest_complain(ingest, "connection closed: too many peer=%s", conn->peer);
        qr_conn_close(conn);
        return;
    }
    uv_tcp_nodelay(&conn->tcp, 1);
    notice_vanished(conn);
    qr_conn_idle_limit(conn, HANDSHAKE_MS);
    qr_conn_hurry(conn, true); /* A handshake of a byte a second is none. */
    admit(conn, &address);
}
