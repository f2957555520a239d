#include "node/dialer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "node/writer.h"

/* What parents say to children is little. */
#define READ_BYTES 16384u

struct qr_dialer {
    struct qr_dialer_config config;
    struct qr_destination destination;
    enum qr_dial_step step;
    uv_getaddrinfo_t resolve;
    struct addrinfo *addresses, *next_address;
    uv_tcp_t tcp;
    uv_timer_t timer;
    uv_connect_t connect;
    struct qr_tls *tls;
    struct qr_writer writer;
    size_t left; /* Bytes that waited when the timer looked last. */
    unsigned handles_open;
    bool resolving, tcp_open, closing, failed;
    char why[160];
};

/* Used up before the next read of this thread's loop. */
static _Thread_local char read_buffer[READ_BYTES];

/* ---- closing ---- */

static void finish(struct qr_dialer *dialer)
{
    if (dialer->handles_open != 0 || dialer->resolving)
        return;
    const struct qr_dialer_config config = dialer->config;
    if (dialer->addresses != NULL)
        uv_freeaddrinfo(dialer->addresses);
    qr_tls_free(dialer->tls);
    qr_writer_release(&dialer->writer);
    free(dialer);
    config.handler->closed(config.data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct qr_dialer *dialer = handle->data;
    dialer->handles_open--;
    finish(dialer);
}

void qr_dialer_close(struct qr_dialer *dialer)
{
    if (dialer->closing)
        return;
    dialer->closing = true;
    if (dialer->resolving)
        uv_cancel((uv_req_t *)&dialer->resolve);
    if (dialer->tcp_open && !uv_is_closing((uv_handle_t *)&dialer->tcp))
        uv_close((uv_handle_t *)&dialer->tcp, on_handle_closed);
    uv_close((uv_handle_t *)&dialer->timer, on_handle_closed);
}

static void fail(struct qr_dialer *dialer, const char *why)
{
    if (dialer->closing || dialer->failed)
        return;
    dialer->failed = true;
    dialer->config.handler->failed(dialer->config.data, dialer->step, why);
    qr_dialer_close(dialer);
}

/* ---- writing ---- */

static void on_left(void *data, int status)
{
    struct qr_dialer *dialer = data;
    if (status != 0)
        fail(dialer, qr_strerror(status));
    else if (dialer->step == QR_DIAL_OPEN)
        dialer->config.handler->drained(dialer->config.data);
}

static void start_write(struct qr_dialer *dialer)
{
    if (!dialer->closing && qr_writer_go(&dialer->writer) != 0)
        qr_dialer_close(dialer);
}

static int send_ciphertext(struct qr_dialer *dialer)
{
    int err = qr_tls_drain(dialer->tls, &dialer->writer.out);
    if (err == 0)
        start_write(dialer);
    return err;
}

void qr_dialer_write(struct qr_dialer *dialer, struct qr_slice bytes)
{
    assert(dialer->step == QR_DIAL_OPEN);
    if (dialer->closing || bytes.len == 0)
        return;
    int err = dialer->tls != NULL ? qr_tls_write(dialer->tls, bytes)
                                  : qr_buf_add(&dialer->writer.out, bytes.base, bytes.len);
    if (dialer->tls != NULL && err == 0)
        err = send_ciphertext(dialer);
    if (err != 0)
        qr_dialer_close(dialer); /* No memory: the caller hears that it is closed. */
    else
        start_write(dialer);
}

size_t qr_dialer_waiting(const struct qr_dialer *dialer)
{
    size_t tls = dialer->tls != NULL ? qr_tls_pending(dialer->tls) : 0;
    return qr_writer_waiting(&dialer->writer) + tls;
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer)
{
    struct qr_dialer *dialer = timer->data;
    size_t left =
        dialer->tcp_open ? uv_stream_get_write_queue_size((uv_stream_t *)&dialer->tcp) : 0;
    bool moves = dialer->step == QR_DIAL_OPEN && (left == 0 || left != dialer->left);
    dialer->left = left;
    if (!moves)
        fail(dialer, dialer->step == QR_DIAL_OPEN ? "it takes nothing any more" : "no answer");
}

/* ---- reading ---- */

static void become_open(struct qr_dialer *dialer)
{
    dialer->step = QR_DIAL_OPEN;
    dialer->config.handler->connected(dialer->config.data);
}

static void decrypt(struct qr_dialer *dialer, struct qr_slice ciphertext)
{
    char plain[QR_TLS_RECORD_BYTES];
    int err = qr_tls_feed(dialer->tls, ciphertext);
    if (err == 0 && dialer->step == QR_DIAL_TLS) {
        err = qr_tls_handshake(dialer->tls);
        if (send_ciphertext(dialer) != 0)
            err = UV_ENOMEM;
        if (err == 0)
            become_open(dialer);
    }
    while (err == 0 && !dialer->closing) {
        size_t n = 0;
        err = qr_tls_read(dialer->tls, plain, sizeof plain, &n);
        if (err == 0)
            dialer->config.handler->received(dialer->config.data, qr_slice_of(plain, n));
    }
    if (dialer->closing)
        return;
    send_ciphertext(dialer);
    if (err == QR_E_CLOSED)
        fail(dialer, "it has closed the connection");
    else if (err != QR_E_PARTIAL)
        fail(dialer, err == QR_E_TLS ? qr_tls_error(dialer->tls) : qr_strerror(err));
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof read_buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct qr_dialer *dialer = stream->data;
    if (n == 0 || dialer->closing)
        return;
    if (n < 0)
        fail(dialer, n == UV_EOF ? "it has closed the connection" : qr_strerror((int)n));
    else if (dialer->tls != NULL)
        decrypt(dialer, qr_slice_of(buf->base, (size_t)n));
    else
        dialer->config.handler->received(dialer->config.data, qr_slice_of(buf->base, (size_t)n));
}

/* ---- connecting ---- */

static void try_next_address(struct qr_dialer *dialer);

static void start_tls(struct qr_dialer *dialer)
{
    dialer->step = QR_DIAL_TLS;
    if (dialer->config.tls == NULL) {
        fail(dialer, "TLS is not set up here");
        return;
    }
    int err = qr_tls_new(&dialer->tls, dialer->config.tls, QR_TLS_CLIENT);
    if (err == 0)
        err = qr_tls_handshake(dialer->tls);
    if (err == 0 || err == QR_E_PARTIAL)
        err = send_ciphertext(dialer);
    if (err != 0)
        fail(dialer, qr_strerror(err));
}

static void on_connect(uv_connect_t *connect, int status)
{
    struct qr_dialer *dialer = connect->data;
    if (dialer->closing)
        return;
    if (status != 0) {
        snprintf(dialer->why, sizeof dialer->why, "%s", qr_strerror(status));
        try_next_address(dialer);
        return;
    }
    uv_tcp_nodelay(&dialer->tcp, 1);
    uv_tcp_keepalive(&dialer->tcp, 1, 30);
    int err = uv_read_start((uv_stream_t *)&dialer->tcp, on_alloc, on_read);
    if (err != 0)
        fail(dialer, qr_strerror(err));
    else if (dialer->destination.tls)
        start_tls(dialer);
    else
        become_open(dialer);
}

static void connect_to(struct qr_dialer *dialer, const struct addrinfo *to)
{
    uv_tcp_init(dialer->config.loop, &dialer->tcp);
    dialer->tcp.data = dialer;
    dialer->tcp_open = true;
    dialer->handles_open++;
    dialer->connect.data = dialer;
    int err = uv_tcp_connect(&dialer->connect, &dialer->tcp, to->ai_addr, on_connect);
    if (err == 0)
        return;
    snprintf(dialer->why, sizeof dialer->why, "%s", qr_strerror(err));
    try_next_address(dialer);
}

/* The socket of a failed attempt is closed: the next address gets a new one. */
static void on_attempt_closed(uv_handle_t *handle)
{
    struct qr_dialer *dialer = handle->data;
    dialer->handles_open--;
    dialer->tcp_open = false;
    if (dialer->closing) {
        finish(dialer);
        return;
    }
    const struct addrinfo *to = dialer->next_address;
    dialer->next_address = to->ai_next;
    connect_to(dialer, to);
}

static void try_next_address(struct qr_dialer *dialer)
{
    dialer->step = QR_DIAL_CONNECT;
    const struct addrinfo *to = dialer->next_address;
    if (to == NULL) {
        fail(dialer, dialer->why);
    } else if (dialer->tcp_open) {
        uv_close((uv_handle_t *)&dialer->tcp, on_attempt_closed);
    } else {
        dialer->next_address = to->ai_next;
        connect_to(dialer, to);
    }
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *addresses)
{
    struct qr_dialer *dialer = resolve->data;
    dialer->resolving = false;
    dialer->addresses = dialer->next_address = addresses;
    if (dialer->closing)
        finish(dialer);
    else if (status != 0)
        fail(dialer, qr_strerror(status));
    else
        try_next_address(dialer);
}

static int start_resolve(struct qr_dialer *dialer)
{
    const struct qr_destination *to = &dialer->destination;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    const struct addrinfo literal = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST};
    struct sockaddr_storage unused;
    char host[sizeof to->address.host + sizeof to->interface + 1];
    /* An interface is the zone of a link-local address; it means nothing to the others. */
    bool zone = to->interface[0] != '\0' && strchr(to->address.host, ':') != NULL;
    bool is_literal = zone || qr_address_literal(&to->address, &unused) == 0;
    snprintf(host, sizeof host, "%s%s%s", to->address.host, zone ? "%" : "",
             zone ? to->interface : "");
    dialer->resolve.data = dialer;
    return uv_getaddrinfo(dialer->config.loop, &dialer->resolve, on_resolved, host,
                          to->address.port, is_literal ? &literal : &hints);
}

int qr_dialer_open(struct qr_dialer **dialer, const struct qr_dialer_config *config)
{
    struct qr_dialer *made = calloc(1, sizeof *made);
    if (made == NULL)
        return UV_ENOMEM;
    made->config = *config;
    made->destination = *config->destination;
    made->config.destination = &made->destination;
    qr_writer_init(&made->writer, (uv_stream_t *)&made->tcp, on_left, made);
    int err = start_resolve(made);
    if (err != 0) {
        free(made);
        return err;
    }
    made->resolving = true;
    uv_timer_init(config->loop, &made->timer);
    made->timer.data = made;
    made->handles_open = 1;
    uv_timer_start(&made->timer, on_timer, config->timeout_ms, config->timeout_ms);
    *dialer = made;
    return 0;
}
