/* TCP as our code uses it, run by the real libuv (sim.uv_tcp_real) and the false one (sim.uv_tcp);
 * see uv_test.c. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/compiler.h"
#include "testing/cmocka.h"
#include "testing/sim/tests/uv_run.h"

#define MANY (4u * 1024 * 1024) /* More than the kernel holds for a connection. */

static uv_loop_t loop;
static uv_tcp_t listener, client, server;
static uv_connect_t dial;
static char trail[256];
static size_t trail_len;

static void step(char what)
{
    if (trail_len < sizeof trail - 1) {
        trail[trail_len++] = what;
        trail[trail_len] = '\0';
    }
}

static int begin(void **state)
{
    (void)state;
    trail_len = 0;
    trail[0] = '\0';
    return uv_loop_init(&loop);
}

static int end(void **state)
{
    (void)state;
    return uv_loop_close(&loop);
}

static void run(void)
{
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
}

static void close_it(void *handle)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 2654435761u >> 13);
}

/* ---- a listener on a port that is free, and one connection to it ---- */

static struct sockaddr_in here(unsigned port)
{
    struct sockaddr_in address;
    uv_ip4_addr("127.0.0.1", (int)port, &address);
    return address;
}

static unsigned port_of(const uv_tcp_t *tcp, bool peer)
{
    struct sockaddr_in name;
    int bytes = sizeof name;
    int err = peer ? uv_tcp_getpeername(tcp, (struct sockaddr *)&name, &bytes)
                   : uv_tcp_getsockname(tcp, (struct sockaddr *)&name, &bytes);
    assert_int_equal(err, 0);
    assert_int_equal(name.sin_family, AF_INET);
    return ntohs(name.sin_port);
}

static unsigned listen_on(uv_tcp_t *tcp, uv_connection_cb cb)
{
    struct sockaddr_in any = here(0);
    assert_int_equal(uv_tcp_init(&loop, tcp), 0);
    assert_int_equal(uv_tcp_bind(tcp, (const struct sockaddr *)&any, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)tcp, 16, cb), 0);
    return port_of(tcp, false);
}

static void dial_to(unsigned port, uv_connect_cb cb)
{
    struct sockaddr_in address = here(port);
    assert_int_equal(uv_tcp_init(&loop, &client), 0);
    assert_int_equal(uv_tcp_connect(&dial, &client, (const struct sockaddr *)&address, cb), 0);
    assert_int_equal(uv_tcp_connect(&dial, &client, (const struct sockaddr *)&address, cb),
                     UV_EALREADY);
}

static void take(uv_stream_t *from)
{
    assert_int_equal(uv_tcp_init(&loop, &server), 0);
    assert_int_equal(uv_accept(from, (uv_stream_t *)&server), 0);
    close_it(from);
}

static uint8_t buffer[64 * 1024];

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    assert_in_range(suggested, 1, sizeof buffer);
    *buf = uv_buf_init((char *)buffer, sizeof buffer);
}

/* ---- an echo of many bytes, and half a close ---- */

static struct {
    uint8_t *bytes;
    size_t n_read, n_echoed;
    unsigned n_writes;
    uv_shutdown_t over, server_over;
    uv_write_t write;
} echo;

struct copy {
    uv_write_t write;
    uint8_t bytes[];
};

static void on_copy_written(uv_write_t *write, int status)
{
    assert_int_equal(status, 0);
    free(write);
}

static void on_server_over(uv_shutdown_t *req, int status)
{
    (void)req;
    step('h');
    assert_int_equal(status, 0);
    uv_buf_t more = uv_buf_init((char *)buffer, 1);
    assert_int_equal(uv_try_write((uv_stream_t *)&server, &more, 1), UV_EPIPE);
    assert_false(uv_is_writable((uv_stream_t *)&server));
    close_it(&server);
}

static void on_server_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n == 0)
        return;
    if (n == UV_EOF) { /* The client sends no more, but hears us still. */
        step('e');
        assert_false(uv_is_active((uv_handle_t *)stream));
        assert_int_equal(uv_shutdown(&echo.server_over, stream, on_server_over), 0);
        return;
    }
    assert_true(n > 0);
    struct copy *copy = malloc(sizeof *copy + (size_t)n);
    assert_non_null(copy);
    memcpy(copy->bytes, buf->base, (size_t)n);
    uv_buf_t back = uv_buf_init((char *)copy->bytes, (unsigned)n);
    assert_int_equal(uv_write(&copy->write, stream, &back, 1, on_copy_written), 0);
    echo.n_echoed += (size_t)n;
}

static void on_echo_connection(uv_stream_t *from, int status)
{
    assert_int_equal(status, 0);
    take(from);
    assert_int_equal(port_of(&server, true), port_of(&client, false));
    assert_int_equal(uv_read_start((uv_stream_t *)&server, on_alloc, on_server_read), 0);
    assert_int_equal(uv_read_start((uv_stream_t *)&server, on_alloc, on_server_read), UV_EALREADY);
}

static void on_client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n == UV_EOF) {
        step('E');
        close_it(stream);
        return;
    }
    assert_true(n >= 0);
    for (size_t i = 0; i < (size_t)n; i++)
        if ((uint8_t)buf->base[i] != pattern(echo.n_read + i))
            fail_msg("byte %zu is wrong", echo.n_read + i);
    echo.n_read += (size_t)n;
}

static void on_client_over(uv_shutdown_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    step('s');
}

static void on_all_written(uv_write_t *write, int status)
{
    (void)write;
    assert_int_equal(status, 0);
    assert_int_equal(client.write_queue_size, 0);
    step('w');
}

static void on_echo_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    step('c');
    uv_buf_t parts[6]; /* More than libuv keeps in the request itself. */
    for (size_t i = 0; i < QR_COUNT(parts); i++) {
        size_t from = MANY * i / 6, to = MANY * (i + 1) / 6;
        parts[i] = uv_buf_init((char *)echo.bytes + from, (unsigned)(to - from));
    }
    uv_stream_t *stream = (uv_stream_t *)&client;
    assert_int_equal(uv_write(&echo.write, stream, parts, 6, on_all_written), 0);
    assert_int_equal(uv_read_start(stream, on_alloc, on_client_read), 0);
    assert_int_equal(uv_shutdown(&echo.over, stream, on_client_over), 0);
    uv_buf_t more = uv_buf_init((char *)buffer, 1);
    uv_write_t never;
    assert_int_equal(uv_write(&never, stream, &more, 1, NULL), UV_EPIPE);
}

static void echoes_many_bytes_and_closes_by_halves(void **state)
{
    (void)state;
    memset(&echo, 0, sizeof echo);
    echo.bytes = malloc(MANY);
    assert_non_null(echo.bytes);
    for (size_t i = 0; i < MANY; i++)
        echo.bytes[i] = pattern(i);
    unsigned port = listen_on(&listener, on_echo_connection);
    dial_to(port, on_echo_connect);
    run();
    assert_string_equal(trail, "cwsehE");
    assert_int_equal(echo.n_echoed, MANY);
    assert_int_equal(echo.n_read, MANY);
    free(echo.bytes);
}

/* ---- back-pressure ---- */

static struct {
    uint8_t *bytes;
    uv_write_t writes[8];
    unsigned n_written;
    size_t n_tried, n_read;
    uv_timer_t later;
} press;

static void on_pressed(uv_write_t *write, int status)
{
    assert_int_equal(status, 0);
    assert_ptr_equal(write, &press.writes[press.n_written]); /* In order. */
    if (++press.n_written == QR_COUNT(press.writes))
        close_it(&client);
}

static void on_press_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    if (n < 0) {
        assert_int_equal(n, UV_EOF);
        close_it(stream);
        return;
    }
    press.n_read += (size_t)n;
    if (n > 0 && press.n_read % 3 == 0) { /* Stopping and starting loses nothing. */
        assert_int_equal(uv_read_stop(stream), 0);
        assert_int_equal(uv_read_stop(stream), 0);
        assert_int_equal(uv_read_start(stream, on_alloc, on_press_read), 0);
    }
}

static void on_read_at_last(uv_timer_t *timer)
{
    assert_in_range(press.n_written, 0, QR_COUNT(press.writes) - 1);
    assert_int_not_equal(uv_stream_get_write_queue_size((uv_stream_t *)&client), 0);
    close_it(timer);
    uv_read_start((uv_stream_t *)&server, on_alloc, on_press_read);
}

static void on_press_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    uv_buf_t buf = uv_buf_init((char *)press.bytes, MANY);
    int n;
    while ((n = uv_try_write((uv_stream_t *)&client, &buf, 1)) > 0)
        press.n_tried += (size_t)n;
    assert_int_equal(n, UV_EAGAIN);
    for (size_t i = 0; i < QR_COUNT(press.writes); i++)
        assert_int_equal(uv_write(&press.writes[i], (uv_stream_t *)&client, &buf, 1, on_pressed),
                         0);
    assert_int_equal(uv_try_write((uv_stream_t *)&client, &buf, 1), UV_EAGAIN);
    assert_int_equal(client.write_queue_size, QR_COUNT(press.writes) * MANY);
    uv_timer_init(&loop, &press.later);
    uv_timer_start(&press.later, on_read_at_last, 200, 0);
}

static void on_press_connection(uv_stream_t *from, int status)
{
    assert_int_equal(status, 0);
    take(from);
}

static void who_does_not_read_stops_the_writer(void **state)
{
    (void)state;
    memset(&press, 0, sizeof press);
    press.bytes = calloc(1, MANY);
    dial_to(listen_on(&listener, on_press_connection), on_press_connect);
    run();
    assert_int_equal(press.n_written, QR_COUNT(press.writes));
    assert_int_equal(press.n_read, press.n_tried + QR_COUNT(press.writes) * (size_t)MANY);
    free(press.bytes);
}

/* ---- closing in the middle ---- */

static void on_cancelled(uv_write_t *write, int status)
{
    assert_int_equal(status, UV_ECANCELED);
    step((char)('0' + (write - press.writes)));
}

static void on_client_closed(uv_handle_t *handle)
{
    (void)handle;
    step('x');
    close_it(&server);
}

static void on_close_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    uv_buf_t buf = uv_buf_init((char *)press.bytes, MANY);
    while (uv_try_write((uv_stream_t *)&client, &buf, 1) > 0)
        ;
    for (size_t i = 0; i < 3; i++)
        uv_write(&press.writes[i], (uv_stream_t *)&client, &buf, 1, on_cancelled);
    uv_close((uv_handle_t *)&client, on_client_closed);
    assert_int_equal(uv_write(&press.writes[3], (uv_stream_t *)&client, &buf, 1, NULL), UV_EBADF);
    assert_int_equal(uv_read_start((uv_stream_t *)&client, on_alloc, on_client_read), UV_EINVAL);
    step('c');
}

static void writes_are_cancelled_in_order_before_the_close_ends(void **state)
{
    (void)state;
    memset(&press, 0, sizeof press);
    press.bytes = calloc(1, MANY);
    dial_to(listen_on(&listener, on_press_connection), on_close_connect);
    run();
    assert_string_equal(trail, "c012x");
    close_it(&server); /* If it was accepted after that. */
    run();
    free(press.bytes);
}

static void on_cancelled_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, UV_ECANCELED);
    step('c');
}

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
    step('x');
}

static void connecting_is_cancelled_by_closing(void **state)
{
    (void)state;
    unsigned port = listen_on(&listener, on_press_connection);
    dial_to(port, on_cancelled_connect);
    uv_close((uv_handle_t *)&client, on_closed);
    close_it(&listener);
    run();
    assert_string_equal(trail, "cx");
}

/* ---- connecting ---- */

static void on_refused(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, UV_ECONNREFUSED);
    step('r');
    close_it(&client);
}

static void nobody_listens(void **state)
{
    (void)state;
    unsigned port = listen_on(&listener, on_press_connection);
    close_it(&listener);
    run();
    dial_to(port, on_refused);
    run();
    assert_string_equal(trail, "r");
}

static void on_early_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    if (n == UV_EOF) {
        close_it(stream);
        return;
    }
    for (ssize_t i = 0; i < n; i++)
        step(buf->base[i]);
}

static void on_early_connection(uv_stream_t *from, int status)
{
    assert_int_equal(status, 0);
    take(from);
    uv_read_start((uv_stream_t *)&server, on_alloc, on_early_read);
}

static void on_early_written(uv_write_t *write, int status)
{
    (void)write;
    assert_int_equal(status, 0);
    close_it(&client);
}

static void what_is_written_while_connecting_goes_afterwards(void **state)
{
    (void)state;
    dial_to(listen_on(&listener, on_early_connection), NULL);
    uv_write_t writes[2];
    uv_buf_t ab = uv_buf_init((char *)(uintptr_t) "ab", 2),
             cd = uv_buf_init((char *)(uintptr_t) "cd", 2);
    assert_int_equal(uv_try_write((uv_stream_t *)&client, &ab, 1), UV_EAGAIN);
    assert_int_equal(uv_write(&writes[0], (uv_stream_t *)&client, &ab, 1, NULL), 0);
    assert_int_equal(uv_write(&writes[1], (uv_stream_t *)&client, &cd, 1, on_early_written), 0);
    run();
    assert_string_equal(trail, "abcd");
}

/* ---- an end that nobody wanted ---- */

static void on_reset_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    if (n >= 0)
        return;
    assert_int_equal(n, UV_ECONNRESET);
    step('R');
    uv_buf_t more = uv_buf_init((char *)buffer, 1);
    assert_int_equal(uv_try_write(stream, &more, 1), UV_EPIPE);
    close_it(stream);
}

static void on_drop(uv_timer_t *timer)
{
    close_it(timer);
    close_it(&server); /* With bytes that nobody read. */
}

static uv_timer_t dropper;

static void on_reset_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t) "unread", 6);
    assert_int_equal(uv_try_write((uv_stream_t *)&client, &buf, 1), 6);
    uv_read_start((uv_stream_t *)&client, on_alloc, on_reset_read);
    uv_timer_init(&loop, &dropper);
    uv_timer_start(&dropper, on_drop, 50, 0);
}

static void closing_over_unread_bytes_resets(void **state)
{
    (void)state;
    dial_to(listen_on(&listener, on_press_connection), on_reset_connect);
    run();
    assert_string_equal(trail, "R");
}

static void on_late_write(uv_write_t *write, int status)
{
    (void)write;
    assert_true(status == 0 || status == UV_ECONNRESET || status == UV_EPIPE);
    step(status == 0 ? '0' : '-');
    close_it(&client);
}

static uv_write_t late_write;

static void on_write_to_the_dead(uv_timer_t *timer)
{
    uv_buf_t buf = uv_buf_init((char *)buffer, 6);
    if (uv_is_closing((uv_handle_t *)&server)) { /* The second time: it was answered with RST. */
        step('2');
        assert_int_equal(uv_write(&late_write, (uv_stream_t *)&client, &buf, 1, on_late_write), 0);
        close_it(timer);
        return;
    }
    step('1');
    close_it(&server);
}

static uv_write_t first_write;

static void on_between(uv_timer_t *timer)
{
    uv_buf_t buf = uv_buf_init((char *)buffer, 6);
    step('w');
    assert_int_equal(uv_write(&first_write, (uv_stream_t *)&client, &buf, 1, NULL), 0);
    close_it(timer);
}

static uv_timer_t between;

static void on_dead_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_int_equal(status, 0);
    uv_timer_init(&loop, &dropper);
    uv_timer_init(&loop, &between);
    uv_timer_start(&dropper, on_write_to_the_dead, 40, 80);
    uv_timer_start(&between, on_between, 80, 0);
}

static void who_writes_to_a_closed_end_hears_it_at_the_next_write(void **state)
{
    (void)state;
    dial_to(listen_on(&listener, on_press_connection), on_dead_connect);
    run();
    assert_string_equal(trail, "1w2-");
}

/* ---- addresses ---- */

static void a_port_that_is_taken_is_told_when_listening(void **state)
{
    (void)state;
    unsigned port = listen_on(&listener, on_press_connection);
    struct sockaddr_in same = here(port);
    uv_tcp_init(&loop, &client);
    assert_int_equal(uv_tcp_bind(&client, (const struct sockaddr *)&same, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&client, 1, on_press_connection), UV_EADDRINUSE);
    close_it(&client);
    close_it(&listener);
    run();
    uv_tcp_init(&loop, &client); /* Free again. */
    assert_int_equal(uv_tcp_bind(&client, (const struct sockaddr *)&same, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&client, 1, on_press_connection), 0);
    close_it(&client);
    run();
}

static void bind_shared(uv_tcp_t *tcp, unsigned port)
{
    uv_os_fd_t fd;
    int on = 1;
    struct sockaddr_in address = here(port);
    assert_int_equal(uv_tcp_init_ex(&loop, tcp, AF_INET), 0);
    assert_int_equal(uv_fileno((uv_handle_t *)tcp, &fd), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), 0);
    socklen_t bytes = sizeof on;
    on = 0;
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, &bytes), 0);
    assert_int_equal(on, 1);
    assert_int_equal(uv_tcp_bind(tcp, (const struct sockaddr *)&address, 0), 0);
}

static uv_tcp_t shares[2], dialers[32], accepted[32];
static unsigned n_of[2], n_accepted;

static void on_shared_connection(uv_stream_t *from, int status)
{
    assert_int_equal(status, 0);
    n_of[from == (uv_stream_t *)&shares[1]]++;
    uv_tcp_init(&loop, &accepted[n_accepted]);
    assert_int_equal(uv_accept(from, (uv_stream_t *)&accepted[n_accepted]), 0);
    if (++n_accepted < QR_COUNT(dialers))
        return;
    for (size_t i = 0; i < QR_COUNT(dialers); i++) {
        close_it(&dialers[i]);
        close_it(&accepted[i]);
    }
    close_it(&shares[0]);
    close_it(&shares[1]);
}

static void on_shared_connect(uv_connect_t *req, int status)
{
    (void)req;
    assert_true(status == 0 || status == UV_ECANCELED);
}

static void two_loops_may_share_a_port(void **state)
{
    (void)state;
    uv_connect_t dials[QR_COUNT(dialers)];
    n_of[0] = n_of[1] = n_accepted = 0;
    bind_shared(&shares[0], 0);
    assert_int_equal(uv_listen((uv_stream_t *)&shares[0], 64, on_shared_connection), 0);
    struct sockaddr_in address = here(port_of(&shares[0], false));
    bind_shared(&shares[1], ntohs(address.sin_port));
    assert_int_equal(uv_listen((uv_stream_t *)&shares[1], 64, on_shared_connection), 0);
    for (size_t i = 0; i < QR_COUNT(dialers); i++) {
        uv_tcp_init(&loop, &dialers[i]);
        uv_tcp_connect(&dials[i], &dialers[i], (const struct sockaddr *)&address,
                       on_shared_connect);
    }
    run();
    assert_int_equal(n_of[0] + n_of[1], QR_COUNT(dialers));
    assert_true(n_of[0] > 0);
    assert_true(n_of[1] > 0);
}

static void on_named(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    (void)req;
    assert_int_equal(status, 0);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)found->ai_addr;
    assert_int_equal(ntohl(in->sin_addr.s_addr), 0x7f000001);
    assert_int_equal(ntohs(in->sin_port), 19998);
    uv_freeaddrinfo(found);
    step('n');
}

static void addresses_in_figures_are_found(void **state)
{
    (void)state;
    uv_getaddrinfo_t req;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    assert_int_equal(uv_getaddrinfo(&loop, &req, on_named, "127.0.0.1", "19998", &hints), 0);
    run();
    assert_string_equal(trail, "n");
    assert_int_equal(uv_getaddrinfo(&loop, &req, NULL, "127.0.0.1", "19998", &hints), 0);
    uv_freeaddrinfo(req.addrinfo);
}

static int group(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(echoes_many_bytes_and_closes_by_halves),
        TEST(who_does_not_read_stops_the_writer),
        TEST(writes_are_cancelled_in_order_before_the_close_ends),
        TEST(connecting_is_cancelled_by_closing),
        TEST(nobody_listens),
        TEST(what_is_written_while_connecting_goes_afterwards),
        TEST(closing_over_unread_bytes_resets),
        TEST(who_writes_to_a_closed_end_hears_it_at_the_next_write),
        TEST(a_port_that_is_taken_is_told_when_listening),
        TEST(two_loops_may_share_a_port),
        TEST(addresses_in_figures_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* The real one raises it. */
    return uv_run_main(argc, argv, group);
}
