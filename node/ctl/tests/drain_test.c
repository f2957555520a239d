/* drain and undrain against real sockets: a server in a thread that gives one answer. */
#include "node/ctl/drain.h"

#include <stdio.h>
#include <string.h>

#include "node/ctl/tests/one_answer.h"

static struct qr_buf out, err;

static int run_with(const char *what, const char *name, const char *option)
{
    pthread_t thread;
    char url[64],
        *argv[] = {"quoratectl", (char *)(uintptr_t)name, "--url", url, (char *)(uintptr_t)option};
    struct qr_ctl_command commands[3] = {qr_ctl_drain, qr_ctl_undrain};
    answer = what;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    qr_buf_release(&out);
    qr_buf_release(&err);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    int code = qr_ctl_run(commands, option != NULL ? 5 : 4, argv, &out, &err);
    pthread_join(thread, NULL);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

static void asks_the_member(void **state)
{
    const char *done = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"draining\":true}";
    const char *begin = "POST /api/quorate/v1/drain?do=begin HTTP/1.1\r\n";
    const char *end = "POST /api/quorate/v1/drain?do=end HTTP/1.1\r\n";
    assert_int_equal(run_with(done, "drain", "--no-wait"), QR_CTL_DONE);
    assert_memory_equal(request, begin, strlen(begin));
    assert_int_equal(run_with(done, "undrain", NULL), QR_CTL_DONE);
    assert_memory_equal(request, end, strlen(end));
    assert_non_null(strstr(out.base, "takes children again"));
}

static void says_why_it_was_refused(void **state)
{
    const char *refused = "HTTP/1.1 403 No\r\nContent-Length: 20\r\n\r\n{\"error\":\"Not you.\"}";
    assert_int_equal(run_with(refused, "drain", NULL), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl drain: Not you.\n");
}

static void counts_the_children_of_the_member_itself(void **state)
{
    static const struct {
        const char *status;
        long n;
    } rows[] = {
        {"{\"member\":2,\"members\":[{\"id\":1,\"children\":7},{\"id\":2,\"children\":5}]}", 5},
        {"{\"member\":3,\"members\":[{\"id\":1,\"children\":7}]}", -1},
        {"nothing of the kind", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(qr_ctl_drain_children(qr_slice_str(rows[i].status)), rows[i].n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_the_member),
        cmocka_unit_test(says_why_it_was_refused),
        cmocka_unit_test(counts_the_children_of_the_member_itself),
    };
    int failed = cmocka_run_group_tests(tests, listen_somewhere, NULL);
    qr_buf_release(&out);
    qr_buf_release(&err);
    return failed;
}
