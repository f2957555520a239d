/* node/tests/false_parent.h — a parent on a test's loop: reads a STREAM request, replies as told,
 * then takes what comes.  Included once by each test. */
#ifndef QR_NODE_TESTS_FALSE_PARENT_H
#define QR_NODE_TESTS_FALSE_PARENT_H

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/buf.h"
#include "proto/handshake.h"
#include "testing/cmocka.h"

struct false_parent {
    uv_loop_t *loop;
    uv_tcp_t listener, conn;
    uv_write_t write;
    char address[32], bytes[65536];
    const char *reply; /* NULL: hangs up. */
    struct qr_buf in;  /* Since its reply. */
    struct qr_buf request;
    char hostname[64];
    uint32_t hops;
    unsigned n_requests;
    bool open, streaming;
};

static inline void false_parent_hang_up(struct false_parent *parent)
{
    if (parent->open)
        uv_close((uv_handle_t *)&parent->conn, NULL);
    parent->open = parent->streaming = false;
}

static inline void false_parent_answer(struct false_parent *parent)
{
    struct qr_handshake handshake;
    const char *reason;
    if (qr_handshake_parse(&handshake, qr_buf_slice(&parent->request), &reason) <= 0)
        return;
    parent->n_requests++;
    parent->hops = handshake.hops;
    snprintf(parent->hostname, sizeof parent->hostname, "%.*s", (int)handshake.hostname.len,
             handshake.hostname.base);
    qr_handshake_release(&handshake);
    qr_buf_clear(&parent->request);
    if (parent->reply == NULL) {
        false_parent_hang_up(parent);
        return;
    }
    uv_buf_t part = uv_buf_init((char *)(uintptr_t)parent->reply, (unsigned)strlen(parent->reply));
    assert_int_equal(uv_try_write((uv_stream_t *)&parent->conn, &part, 1), (int)part.len);
    parent->streaming = true;
}

static inline void false_parent_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct false_parent *parent = handle->data;
    (void)suggested;
    *buf = uv_buf_init(parent->bytes, sizeof parent->bytes);
}

static inline void false_parent_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct false_parent *parent = stream->data;
    if (n < 0) {
        false_parent_hang_up(parent);
    } else if (parent->streaming) {
        qr_buf_add(&parent->in, buf->base, (size_t)n);
    } else {
        qr_buf_add(&parent->request, buf->base, (size_t)n);
        false_parent_answer(parent);
    }
}

static inline void false_parent_on_connection(uv_stream_t *listener, int status)
{
    struct false_parent *parent = listener->data;
    assert_int_equal(status, 0);
    assert_false(parent->open); /* one at a time, or the owner did not let go */
    uv_tcp_init(parent->loop, &parent->conn);
    parent->conn.data = parent;
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&parent->conn), 0);
    parent->open = true;
    qr_buf_clear(&parent->request);
    uv_read_start((uv_stream_t *)&parent->conn, false_parent_on_alloc, false_parent_on_read);
}

static inline void false_parent_open(struct false_parent *parent, uv_loop_t *loop,
                                     const char *reply)
{
    struct sockaddr_in any;
    struct sockaddr_storage name;
    int len = sizeof name;
    *parent = (struct false_parent){.loop = loop, .reply = reply};
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_tcp_init(loop, &parent->listener);
    parent->listener.data = parent;
    assert_int_equal(uv_tcp_bind(&parent->listener, (struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&parent->listener, 8, false_parent_on_connection), 0);
    uv_tcp_getsockname(&parent->listener, (struct sockaddr *)&name, &len);
    snprintf(parent->address, sizeof parent->address, "127.0.0.1:%u",
             ntohs(((struct sockaddr_in *)(void *)&name)->sin_port));
}

static inline void false_parent_close(struct false_parent *parent)
{
    false_parent_hang_up(parent);
    if (!uv_is_closing((uv_handle_t *)&parent->listener))
        uv_close((uv_handle_t *)&parent->listener, NULL);
    qr_buf_release(&parent->in);
    qr_buf_release(&parent->request);
}

#endif
