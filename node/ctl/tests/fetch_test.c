/* fetch, and `status` around it, against real sockets: a server in a thread that gives one answer
 * a connection. */
#include "node/ctl/fetch.h"

#include <stdio.h>

#include "base/error.h"
#include "node/ctl/status.h"
#include "node/ctl/tests/one_answer.h"

static int fetch(const char *what, struct qr_buf *body, char *reason)
{
    char url[128];
    pthread_t thread;
    answer = what;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/api/quorate/v1/status", port);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    int err = qr_ctl_fetch(url, false, body, reason);
    pthread_join(thread, NULL);
    assert_memory_equal(request, "GET /api/quorate/v1/status HTTP/1.1\r\n", 37);
    return err;
}

static void gets_a_body(void **state)
{
    (void)state;
    struct qr_buf body;
    char reason[QR_CTL_FETCH_REASON];
    qr_buf_init(&body, 0);
    assert_int_equal(fetch("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", &body, reason), 0);
    assert_slice(qr_buf_slice(&body), "hi");
    assert_int_equal(fetch("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nhi", &body, reason),
                     QR_E_DENIED);
    assert_string_equal(reason, "HTTP status 503");
    assert_int_equal(fetch("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhi", &body, reason),
                     QR_E_UNREACHABLE);
    assert_int_equal(qr_ctl_fetch("file:///etc/passwd", false, &body, reason), QR_E_UNREACHABLE);
    qr_buf_release(&body);
}

/* The first place is dead (nobody listens on port 1), the second answers. */
static void status_tries_one_after_the_other(void **state)
{
    (void)state;
    char member[64], *argv[] = {"quoratectl", "status", "--url", "http://127.0.0.1:1/",
                                "--url",      member,   "--json"};
    struct qr_ctl_command commands[2] = {qr_ctl_status};
    struct qr_buf out, err;
    pthread_t thread;
    qr_buf_init(&out, 0);
    qr_buf_init(&err, 0);
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{\"verdict\":{\"level\":1}}";
    snprintf(member, sizeof member, "127.0.0.1:%u", port);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    assert_int_equal(qr_ctl_run(commands, 7, argv, &out, &err), 1);
    pthread_join(thread, NULL);
    assert_memory_equal(request, "GET /api/quorate/v1/status HTTP/1.1\r\n", 37);
    assert_slice(qr_buf_slice(&out), "{\"verdict\":{\"level\":1}}\n");
    assert_int_equal(err.len, 0);

    qr_buf_clear(&out);
    assert_int_equal(qr_ctl_run(commands, 4, argv, &out, &err), 2);
    assert_int_equal(out.len, 0);
    qr_buf_add_u8(&err, 0);
    assert_non_null(strstr(err.base, "UNREACHABLE because no member gave its status; do: "));
    assert_non_null(strstr(err.base, "http://127.0.0.1:1/api/quorate/v1/status: "));
    qr_buf_release(&out);
    qr_buf_release(&err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_a_body),
        cmocka_unit_test(status_tries_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, listen_somewhere, NULL);
}
