/* forget against real sockets: a server in a thread that gives one answer a connection. */
#include "node/ctl/forget.h"

#include <stdio.h>
#include <string.h>

#include "node/ctl/tests/one_answer.h"

static struct qr_buf out, err;

static int run(const char *host, const char *chart, const char *yes, const char *json)
{
    char url[64], *argv[8] = {"quoratectl", "forget", "--url", url, (char *)(uintptr_t)host};
    int argc = 5;
    struct qr_ctl_command commands[2] = {qr_ctl_forget};
    const char *more[] = {chart, yes, json};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    for (int i = 0; i < 3; i++)
        if (more[i] != NULL)
            argv[argc++] = (char *)(uintptr_t)more[i];
    qr_buf_release(&out);
    qr_buf_release(&err);
    int code = qr_ctl_run(commands, argc, argv, &out, &err);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

static int run_with(const char *what, const char *host, const char *chart, const char *json)
{
    pthread_t thread;
    answer = what;
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    int code = run(host, chart, "--yes", json);
    pthread_join(thread, NULL);
    return code;
}

static void says_what_it_would_do_first(void **state)
{
    (void)state;
    assert_int_equal(run("web 1", NULL, NULL, NULL), QR_CTL_FAILED); /* Nobody is asked. */
    assert_non_null(strstr(err.base, "removes host web 1 and all its data"));
    assert_non_null(strstr(err.base, "--yes"));
    assert_int_equal(run("web 1", "a.b", NULL, NULL), QR_CTL_FAILED);
    assert_non_null(strstr(err.base, "removes a.b of web 1 and all its data"));
}

static void asks_a_member(void **state)
{
    (void)state;
    const char *done = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"forgotten\":true}";
    assert_int_equal(run_with(done, "web 1&x", "disk/a", NULL), QR_CTL_DONE);
    const char *line = "POST /api/quorate/v1/forget?host=web%201%26x&chart=disk%2Fa HTTP/1.1\r\n";
    assert_memory_equal(request, line, strlen(line));
    assert_string_equal(out.base, "Chart disk/a of host web 1&x is forgotten.\n");
    assert_int_equal(run_with(done, "h", NULL, "--json"), QR_CTL_DONE);
    assert_string_equal(out.base, "{\"forgotten\":true}\n");
    const char *refused = "HTTP/1.1 404 No\r\nContent-Length: 38\r\n\r\n"
                          "{\"error\":\"No such host.\",\"what\":\"abc\"}";
    assert_int_equal(run_with(refused, "abc", NULL, NULL), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl forget: No such host. (abc)\n");
    assert_int_equal(run_with("HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx", "abc", NULL, NULL),
                     QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl forget: HTTP status 500\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_it_would_do_first),
        cmocka_unit_test(asks_a_member),
    };
    return cmocka_run_group_tests(tests, listen_somewhere, NULL);
}
