/* members against real sockets: a server in a thread that gives one answer a connection. */
#include "node/ctl/members.h"

#include <stdio.h>
#include <string.h>

#include "node/ctl/tests/one_answer.h"

static struct qr_buf out, err;

static int run(const char *a, const char *b, const char *c, const char *d)
{
    char url[64], *argv[8] = {"quoratectl", "members", "--url", url};
    int argc = 4;
    struct qr_ctl_command commands[2] = {qr_ctl_members};
    const char *more[] = {a, b, c, d};
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    for (int i = 0; i < 4; i++)
        if (more[i] != NULL)
            argv[argc++] = (char *)(uintptr_t)more[i];
    qr_buf_release(&out);
    qr_buf_release(&err);
    int code = qr_ctl_run(commands, argc, argv, &out, &err);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

static int run_with(const char *what, const char *a, const char *b, const char *c, const char *d)
{
    pthread_t thread;
    answer = what;
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    int code = run(a, b, c, d);
    pthread_join(thread, NULL);
    return code;
}

static void assert_asked(const char *query)
{
    char line[256];
    snprintf(line, sizeof line, "POST /api/quorate/v1/members?%s HTTP/1.1\r\n", query);
    assert_memory_equal(request, line, strlen(line));
}

static void wrong_words_ask_nobody(void **state)
{
    (void)state;
    static const char *const words[][3] = {
        {"grow", NULL, NULL},      {"add", "4", NULL},
        {"add", "x=h:1", NULL},    {"add", "0=h:1", NULL},
        {"remove", "4=h:1", NULL}, {"remove", NULL, NULL},
        {"cancel", "4", NULL},     {"list", "4", NULL},
        {"remove", "70000", NULL}, {"add", "4=h:1&do=remove", NULL},
        {"remove", "4", "--with"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const char *value = words[i][2] != NULL ? "5=h:1" : NULL;
        assert_int_equal(run(words[i][0], words[i][1], words[i][2], value), QR_CTL_FAILED);
        assert_true(err.len > 1);
    }
}

static void asks_for_a_change(void **state)
{
    (void)state;
    const char *yes =
        "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{\"asked\":true,\"change\":77}\n";
    assert_int_equal(run_with(yes, "add", "4=10.0.0.4:19998", "--no-wait", NULL), QR_CTL_DONE);
    assert_asked("do=add&with=4&address=10.0.0.4:19998");
    assert_int_equal(run_with(yes, "remove", "4", "--no-wait", NULL), QR_CTL_DONE);
    assert_asked("do=remove&member=4");
    assert_int_equal(run_with(yes, "replace", "2", "--no-wait", "--json"), QR_CTL_DONE);
    assert_asked("do=replace&member=2");
    assert_non_null(strstr(out.base, "\"change\":77"));
    assert_int_equal(run_with(yes, "cancel", NULL, NULL, NULL), QR_CTL_DONE);
    assert_asked("do=cancel");
}

static void says_why_not(void **state)
{
    (void)state;
    const char *no =
        "HTTP/1.1 409 No\r\nContent-Length: 28\r\n\r\n{\"error\":\"Another one runs\"}";
    assert_int_equal(run_with(no, "remove", "4", NULL, NULL), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl members remove: Another one runs\n");
    assert_int_equal(
        run_with("HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx", "remove", "4", NULL, NULL),
        QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl members remove: HTTP status 500\n");
}

static void shows_members_and_changes(void **state)
{
    (void)state;
    const char *status =
        "{\"members\":[{\"id\":1,\"name\":\"a\",\"address\":\"h:1\",\"kind\":\"voter\",\"role\":"
        "\"leader\",\"state\":\"self\",\"applied\":9,\"disk\":\"0000000a\"},{\"id\":4,\"name\":"
        "\"\",\"address\":\"h:4\",\"kind\":\"learner\",\"role\":\"follower\",\"state\":\"up\","
        "\"applied\":3,\"disk\":\"0000000b\"}],\"change\":{\"kind\":\"add\",\"member\":0,\"with\":"
        "4,\"text\":\"copies\",\"permille\":333,\"eta_s\":12},\"last_change\":{\"kind\":"
        "\"replace\",\"member\":2,\"with\":3,\"result\":\"done\"}}";
    qr_buf_release(&out);
    assert_int_equal(qr_ctl_members_render(qr_slice_str(status), &out, &err), QR_CTL_DONE);
    qr_buf_add_u8(&out, 0);
    assert_non_null(strstr(out.base, "learner"));
    assert_non_null(strstr(out.base, "running: add member 4: copies, 33.3 %, about 12 s\n"));
    assert_non_null(strstr(out.base, "last change: replace member 2 with member 3: done\n"));
    assert_int_equal(qr_ctl_members_render(qr_slice_str("[]"), &out, &err), QR_CTL_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_ask_nobody),
        cmocka_unit_test(asks_for_a_change),
        cmocka_unit_test(says_why_not),
        cmocka_unit_test(shows_members_and_changes),
    };
    return cmocka_run_group_tests(tests, listen_somewhere, NULL);
}
