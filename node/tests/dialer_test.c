#include "node/dialer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pki.h"
#include "testing/cmocka.h"

/* A parent that echoes, on the same loop; with TLS if it has a context. */
struct parent {
    uv_tcp_t listener, conn;
    uv_write_t write;
    struct qr_tls_context *context;
    struct qr_tls *tls;
    struct qr_buf out;
    char bytes[65536];
    char port[8];
    bool accepted, mute;
};

/* What the dialer told. */
struct heard {
    struct qr_dialer *dialer;
    bool connected, closed, failed;
    enum qr_dial_step step;
    char why[200];
    struct qr_buf bytes;
    unsigned n_drained;
};

static uv_loop_t loop;
static struct parent parent;
static struct heard heard;

/* ---- the parent ---- */

static void say(struct qr_slice bytes)
{
    if (bytes.len == 0)
        return;
    uv_buf_t part = uv_buf_init((char *)(uintptr_t)bytes.base, (unsigned)bytes.len);
    assert_int_equal(uv_try_write((uv_stream_t *)&parent.conn, &part, 1), (int)bytes.len);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle, (void)suggested;
    *buf = uv_buf_init(parent.bytes, sizeof parent.bytes);
}

static void echo_tls(struct qr_slice bytes)
{
    char plain[QR_TLS_RECORD_BYTES];
    size_t n;
    qr_tls_feed(parent.tls, bytes);
    while (qr_tls_read(parent.tls, plain, sizeof plain, &n) == 0)
        qr_tls_write(parent.tls, qr_slice_of(plain, n));
    qr_tls_drain(parent.tls, &parent.out);
    say(qr_buf_slice(&parent.out));
    qr_buf_clear(&parent.out);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n <= 0)
        uv_read_stop(stream);
    else if (parent.tls != NULL)
        echo_tls(qr_slice_of(buf->base, (size_t)n));
    else
        say(qr_slice_of(buf->base, (size_t)n));
}

static void on_connection(uv_stream_t *listener, int status)
{
    assert_int_equal(status, 0);
    uv_tcp_init(&loop, &parent.conn);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&parent.conn), 0);
    parent.accepted = true;
    if (parent.context != NULL)
        assert_int_equal(qr_tls_new(&parent.tls, parent.context, QR_TLS_SERVER), 0);
    if (!parent.mute)
        uv_read_start((uv_stream_t *)&parent.conn, on_alloc, on_read);
}

static void listen_somewhere(void)
{
    struct sockaddr_in any;
    struct sockaddr_storage name;
    int len = sizeof name;
    uv_ip4_addr("127.0.0.1", 0, &any);
    uv_tcp_init(&loop, &parent.listener);
    assert_int_equal(uv_tcp_bind(&parent.listener, (struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&parent.listener, 8, on_connection), 0);
    uv_tcp_getsockname(&parent.listener, (struct sockaddr *)&name, &len);
    snprintf(parent.port, sizeof parent.port, "%u",
             ntohs(((struct sockaddr_in *)(void *)&name)->sin_port));
}

static void close_parent(void)
{
    if (!uv_is_closing((uv_handle_t *)&parent.listener))
        uv_close((uv_handle_t *)&parent.listener, NULL);
    if (parent.accepted && !uv_is_closing((uv_handle_t *)&parent.conn))
        uv_close((uv_handle_t *)&parent.conn, NULL);
}

/* ---- the dialer's owner ---- */

static void on_connected(void *data)
{
    (void)data;
    heard.connected = true;
    qr_dialer_write(heard.dialer, qr_slice_str("STREAM"));
}

static void on_received(void *data, struct qr_slice bytes)
{
    (void)data;
    qr_buf_add(&heard.bytes, bytes.base, bytes.len);
}

static void on_drained(void *data)
{
    (void)data;
    heard.n_drained++;
}

static void on_failed(void *data, enum qr_dial_step step, const char *why)
{
    (void)data;
    assert_false(heard.failed);
    heard.failed = true;
    heard.step = step;
    snprintf(heard.why, sizeof heard.why, "%s", why);
}

static void on_closed(void *data)
{
    (void)data;
    assert_false(heard.closed);
    heard.closed = true;
}

static const struct qr_dialer_handler handler = {on_connected, on_received, on_drained, on_failed,
                                                 on_closed};

static void dial(const char *host, bool tls, struct qr_tls_context *context, uint64_t timeout_ms)
{
    struct qr_destination destination;
    char text[64];
    const char *why;
    snprintf(text, sizeof text, "%s:%s%s", host, parent.port, tls ? ":SSL" : "");
    assert_int_equal(qr_destination_parse(&destination, qr_slice_str(text), "1", &why), 0);
    const struct qr_dialer_config config = {.loop = &loop,
                                            .destination = &destination,
                                            .tls = context,
                                            .timeout_ms = timeout_ms,
                                            .handler = &handler};
    assert_int_equal(qr_dialer_open(&heard.dialer, &config), 0);
}

static void run_until(const bool *flag)
{
    while (!*flag)
        assert_true(uv_run(&loop, UV_RUN_ONCE) != 0 || *flag);
}

static void run_until_bytes(size_t n)
{
    while (heard.bytes.len < n)
        assert_true(uv_run(&loop, UV_RUN_ONCE) != 0 || heard.bytes.len >= n);
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    listen_somewhere();
    dial("127.0.0.1", false, NULL, 5000);
    run_until_bytes(6);
    assert_memory_equal(heard.bytes.base, "STREAM", 6);
    assert_int_equal(qr_dialer_waiting(heard.dialer), 0);
    assert_true(heard.n_drained > 0);
    close_parent(); /* the far side ends it */
    run_until(&heard.closed);
    assert_true(heard.failed);
    assert_int_equal(heard.step, QR_DIAL_OPEN);
}

static void a_name_is_resolved_and_each_address_tried(void **state)
{
    (void)state;
    listen_somewhere(); /* of "localhost" perhaps only the second address listens */
    dial("localhost", false, NULL, 5000);
    run_until_bytes(6);
    qr_dialer_close(heard.dialer);
    run_until(&heard.closed);
    assert_false(heard.failed);
}

static void says_at_which_step_it_failed(void **state)
{
    (void)state;
    listen_somewhere();
    close_parent();
    uv_run(&loop, UV_RUN_DEFAULT);
    dial("127.0.0.1", false, NULL, 5000);
    run_until(&heard.closed);
    assert_int_equal(heard.step, QR_DIAL_CONNECT);
    assert_string_equal(heard.why, qr_strerror(UV_ECONNREFUSED));
    memset(&heard, 0, sizeof heard);
    dial("no-such-host.invalid", false, NULL, 20000);
    run_until(&heard.closed);
    assert_int_equal(heard.step, QR_DIAL_RESOLVE);
}

static void a_side_that_takes_nothing_is_given_up(void **state)
{
    (void)state;
    static char flood[16 << 20];
    parent.mute = true;
    listen_somewhere();
    dial("127.0.0.1", false, NULL, 300);
    run_until(&heard.connected);
    qr_dialer_write(heard.dialer, qr_slice_of(flood, sizeof flood));
    assert_true(qr_dialer_waiting(heard.dialer) > 0);
    run_until(&heard.closed);
    assert_true(heard.failed);
    assert_string_equal(heard.why, "it takes nothing any more");
}

static void tls_with_and_without_trust(void **state)
{
    (void)state;
    char dir[] = "/tmp/quorate-dialer-XXXXXX", path[6][64], reason[QR_PKI_REASON_BYTES];
    static const char *const names[] = {"ca.crt", "ca.key", "p.crt", "p.key", "o.crt", "o.key"};
    struct qr_tls_context *trusting, *wary, *careless;
    assert_non_null(mkdtemp(dir));
    for (int i = 0; i < 6; i++)
        snprintf(path[i], sizeof path[i], "%s/%s", dir, names[i]);
    assert_int_equal(qr_pki_make_ca(path[0], path[1], "ca", reason), 0);
    assert_int_equal(qr_pki_make_ca(path[4], path[5], "other", reason), 0);
    const struct qr_pki_request request = {.cert_file = path[2],
                                           .key_file = path[3],
                                           .ca_cert_file = path[0],
                                           .ca_key_file = path[1],
                                           .common_name = "parent"};
    assert_int_equal(qr_pki_make_cert(&request, reason), 0);
    assert_int_equal(
        qr_tls_context_server(&parent.context,
                              &(struct qr_tls_server){.cert_file = path[2], .key_file = path[3]},
                              reason),
        0);
    assert_int_equal(qr_tls_context_upstream(&trusting, path[0], NULL, reason), 0);
    assert_int_equal(qr_tls_context_upstream(&wary, path[4], NULL, reason), 0);
    assert_int_equal(qr_tls_context_client(&careless, NULL, reason), 0);
    assert_int_equal(
        qr_tls_context_upstream(&(struct qr_tls_context *){NULL}, "/nowhere", NULL, reason),
        QR_E_TLS);
    struct qr_tls_context *const contexts[] = {trusting, careless, wary};
    for (int i = 0; i < 3; i++) {
        memset(&heard, 0, sizeof heard);
        listen_somewhere();
        dial("127.0.0.1", true, contexts[i], 5000);
        if (i < 2) {
            run_until_bytes(6);
            assert_memory_equal(heard.bytes.base, "STREAM", 6);
            qr_dialer_close(heard.dialer);
        }
        run_until(&heard.closed);
        assert_int_equal(heard.failed, i == 2);
        if (i == 2)
            assert_int_equal(heard.step, QR_DIAL_TLS);
        close_parent();
        uv_run(&loop, UV_RUN_DEFAULT);
        qr_tls_free(parent.tls);
        parent.tls = NULL;
        parent.accepted = false;
        qr_buf_release(&heard.bytes);
        qr_tls_context_free(contexts[i]);
    }
    for (int i = 0; i < 6; i++)
        unlink(path[i]);
    rmdir(dir);
}

static int setup(void **state)
{
    (void)state;
    memset(&parent, 0, sizeof parent);
    memset(&heard, 0, sizeof heard);
    return uv_loop_init(&loop);
}

static int teardown(void **state)
{
    (void)state;
    close_parent();
    uv_run(&loop, UV_RUN_DEFAULT);
    qr_tls_free(parent.tls);
    qr_tls_context_free(parent.context);
    qr_buf_release(&parent.out);
    qr_buf_release(&heard.bytes);
    return uv_loop_close(&loop);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bytes_go_both_ways),           TEST(a_name_is_resolved_and_each_address_tried),
        TEST(says_at_which_step_it_failed), TEST(a_side_that_takes_nothing_is_given_up),
        TEST(tls_with_and_without_trust),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
