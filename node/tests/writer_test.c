/* Against a real pair of sockets. */
#include "node/writer.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define BYTES (4u * 1024 * 1024) /* More than the kernel takes at once. */

static uv_loop_t loop;
static uv_pipe_t pipe_end;
static int other;
static struct qr_writer writer;
static unsigned n_left;
static int last_status;

static void on_left(void *data, int status)
{
    assert_ptr_equal(data, &n_left);
    n_left++;
    last_status = status;
}

static int setup(void **state)
{
    (void)state;
    int fds[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_socketpair(SOCK_STREAM, 0, fds, UV_NONBLOCK_PIPE, 0), 0);
    assert_int_equal(uv_pipe_init(&loop, &pipe_end, 0), 0);
    assert_int_equal(uv_pipe_open(&pipe_end, fds[0]), 0);
    other = fds[1];
    n_left = 0;
    last_status = 77;
    qr_writer_init(&writer, (uv_stream_t *)&pipe_end, on_left, &n_left);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!uv_is_closing((uv_handle_t *)&pipe_end))
        uv_close((uv_handle_t *)&pipe_end, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    qr_writer_release(&writer);
    close(other);
    return uv_loop_close(&loop);
}

static void add(char c, size_t n)
{
    assert_int_equal(qr_buf_reserve(&writer.out, n), 0);
    memset(writer.out.base + writer.out.len, c, n);
    writer.out.len += n;
    assert_int_equal(qr_writer_go(&writer), 0);
}

static void what_comes_during_a_write_is_the_next_one(void **state)
{
    (void)state;
    static char heard[65536];
    size_t n_a = 0, n_b = 0;
    assert_int_equal(qr_writer_go(&writer), 0); /* Nothing waits: nothing happens. */
    add('a', BYTES);
    assert_true(writer.busy);
    add('b', 1000);
    assert_int_equal(qr_writer_waiting(&writer), BYTES + 1000);
    while (n_a + n_b < BYTES + 1000) {
        uv_run(&loop, UV_RUN_NOWAIT);
        ssize_t n = read(other, heard, sizeof heard);
        assert_true(n > 0);
        for (ssize_t i = 0; i < n; i++) {
            n_b += heard[i] == 'b';
            n_a += heard[i] == 'a';
            assert_true(heard[i] == 'b' || n_b == 0);
        }
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_a, BYTES);
    assert_int_equal(n_left, 1); /* Not between the two. */
    assert_int_equal(last_status, 0);
    assert_int_equal(qr_writer_waiting(&writer), 0);
    assert_null(writer.out.base); /* It holds nothing while it is idle. */
    assert_null(writer.writing.base);
    add('c', 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_left, 2);
}

static void a_failure_is_told_once(void **state)
{
    (void)state;
    add('a', BYTES);
    close(other);
    other = -1;
    add('b', 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_left, 1);
    assert_true(last_status < 0);
}

static void a_closing_stream_tells_nothing(void **state)
{
    (void)state;
    add('a', BYTES);
    add('b', 1);
    uv_close((uv_handle_t *)&pipe_end, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_left, 0);
}

static void no_more_than_the_limit_waits(void **state)
{
    (void)state;
    static const char bytes[100];
    qr_writer_limit(&writer, 150);
    assert_int_equal(qr_buf_add(&writer.out, bytes, sizeof bytes), 0);
    assert_int_equal(qr_buf_add(&writer.out, bytes, sizeof bytes), QR_E_LIMIT);
    qr_buf_release(&writer.out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_comes_during_a_write_is_the_next_one),
        TEST(a_failure_is_told_once),
        TEST(a_closing_stream_tells_nothing),
        TEST(no_more_than_the_limit_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
