/* key against real sockets: a server in a thread that gives one answer a connection, for as many
 * connections as the command opens.  Tests also: ask. */
#include "node/ctl/key.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cluster/keys.h"
#include "node/ctl/tests/one_answer.h"

#define STATUS                                                                                     \
    "HTTP/1.1 200 OK\r\n\r\n{\"cluster\":{\"name\":\"q\",\"id\":"                                  \
    "\"00112233-4455-6677-8899-aabbccddeeff\"},\"members\":[{\"id\":1,\"address\":"                \
    "\"10.0.0.1:19998\"},{\"id\":2,\"address\":\"10.0.0.2:19998\"}]}                       "

static struct qr_buf out, err;
static const char *answers[2]; /* NULL: no second connection. */
static char requests[2][4096];

static void *serve_all(void *data)
{
    for (int i = 0; i < 2 && answers[i] != NULL; i++) {
        answer = answers[i];
        serve(data);
        snprintf(requests[i], sizeof requests[i], "%s", request);
    }
    return NULL;
}

static int run(int n, const char *const *words)
{
    char url[64], *argv[16] = {"quoratectl", "key", "--url", url};
    struct qr_ctl_command commands[2] = {qr_ctl_key};
    pthread_t thread;
    snprintf(url, sizeof url, "http://127.0.0.1:%u/", port);
    for (int i = 0; i < n; i++)
        argv[4 + i] = (char *)(uintptr_t)words[i];
    qr_buf_release(&out);
    qr_buf_release(&err);
    if (answers[0] != NULL)
        assert_int_equal(pthread_create(&thread, NULL, serve_all, NULL), 0);
    int code = qr_ctl_run(commands, 4 + n, argv, &out, &err);
    if (answers[0] != NULL)
        pthread_join(thread, NULL);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

#define RUN(...)                                                                                   \
    run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)),                             \
        (const char *[]){__VA_ARGS__})

static void assert_asked(int i, const char *query)
{
    char line[512];
    snprintf(line, sizeof line, "POST /api/quorate/v1/keys?%s", query);
    if (strncmp(requests[i], line, strlen(line)) != 0)
        fail_msg("asked %.200s", requests[i]);
}

static void wrong_words_ask_nobody(void **state)
{
    (void)state;
    answers[0] = NULL;
    assert_int_equal(RUN("lend"), QR_CTL_FAILED);
    assert_int_equal(RUN("add", "web"), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl key add: web is too much\n");
    assert_int_equal(RUN("rotate", "web"), QR_CTL_FAILED);
    assert_non_null(strstr(err.base, "--overlap 1d"));
    assert_int_equal(RUN("rotate", "web", "--overlap", "soon"), QR_CTL_FAILED);
    assert_int_equal(RUN("rotate", "web", "--overlap", "9999d"), QR_CTL_FAILED);
    assert_int_equal(RUN("rotate", "--overlap", "1d"), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl key rotate: the key is missing\n");
    assert_int_equal(RUN("revoke", "web", "--name", "x"), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl key revoke: --name does not belong to it\n");
    assert_int_equal(RUN("bind", "aaaaaaaa-0000-4000-8000-000000000001"), QR_CTL_FAILED);
    assert_int_equal(RUN("list", "--overlap", "1d"), QR_CTL_FAILED);
}

/* The key is printed, and what goes to the member is the hash of that very key. */
static void a_key_is_made_here_and_only_its_hash_leaves(void **state)
{
    (void)state;
    answers[0] = STATUS;
    answers[1] = "HTTP/1.1 200 OK\r\n\r\n{\"done\":true,\"id\":7,\"name\":"
                 "\"web\"}  ";
    assert_int_equal(
        RUN("add", "--name", "web", "--allow-from", "10.* !*", "--set", "enable replication=no"),
        QR_CTL_DONE);
    assert_non_null(strstr(out.base, "Key 7 is in the log"));
    assert_non_null(strstr(out.base, "[stream]\n    enabled = yes\n    destination = 10.0.0.1:"));
    char *line = strstr(out.base, "    api key = ");
    assert_non_null(line);
    struct qr_guid key, cluster;
    assert_int_equal(qr_guid_parse(&key, qr_slice_of(line + 14, QR_GUID_TEXT_LEN)), 0);
    qr_guid_parse(&cluster, qr_slice_str("00112233-4455-6677-8899-aabbccddeeff"));
    uint8_t hash[QR_KEY_HASH_BYTES];
    char expected[512];
    qr_key_hash(&cluster, &key, hash);
    int at = snprintf(expected, sizeof expected,
                      "do=add&name=web&policy=allow%%20from%%20%%3D%%2010.%%2A%%20%%21%%2A%%0A"
                      "enable%%20replication%%3Dno%%0A&hash=");
    for (unsigned i = 0; i < sizeof hash; i++)
        at += snprintf(expected + at, 3, "%02x", hash[i]);
    assert_asked(1, expected);
    char text[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&key, text);
    for (int i = 0; i < 2; i++)
        assert_null(strstr(requests[i], text));
    /* And another one the next time; for programs, as JSON. */
    assert_int_equal(RUN("add", "--json"), QR_CTL_DONE);
    assert_non_null(strstr(out.base, "\"key\":\""));
    assert_null(strstr(out.base, text));
}

static void a_key_that_the_log_did_not_take_is_not_shown(void **state)
{
    (void)state;
    answers[0] = STATUS;
    answers[1] = "HTTP/1.1 409 No\r\n\r\n{\"error\":\"There are too many.\"} ";
    assert_int_equal(RUN("add"), QR_CTL_FAILED);
    assert_string_equal(err.base, "quoratectl key add: There are too many.\n");
    assert_int_equal(out.len, 1);
    answers[0] = "HTTP/1.1 200 OK\r\n\r\n{}";
    answers[1] = NULL;
    assert_int_equal(RUN("add"), QR_CTL_FAILED);
    assert_non_null(strstr(err.base, "no status of a member"));
}

static void asks_for_the_rest(void **state)
{
    (void)state;
    answers[0] = STATUS;
    answers[1] = "HTTP/1.1 200 OK\r\n\r\n{\"done\":true,\"id\":8,\"replaces\":7"
                 "}    ";
    assert_int_equal(RUN("rotate", "web", "--overlap", "12h"), QR_CTL_DONE);
    assert_asked(1, "do=rotate&key=web&overlap=43200&hash=");
    assert_non_null(strstr(out.base, "key 7, which it replaced, works for another 12h"));
    answers[0] = "HTTP/1.1 200 OK\r\n\r\n{\"done\":true}";
    answers[1] = NULL;
    assert_int_equal(RUN("revoke", "7"), QR_CTL_DONE);
    assert_asked(0, "do=revoke&key=7 ");
    assert_int_equal(
        RUN("bind", "aaaaaaaa-0000-4000-8000-000000000001", "--key", "7", "--certificate", "00:11"),
        QR_CTL_DONE);
    assert_asked(0, "do=bind&machine_guid=aaaaaaaa-0000-4000-8000-000000000001&key=7&certificate="
                    "00%3A11 ");
    assert_int_equal(RUN("unbind", "aaaaaaaa-0000-4000-8000-000000000001", "--json"), QR_CTL_DONE);
    assert_string_equal(out.base, "{\"done\":true}\n");
}

static void shows_keys_and_bindings(void **state)
{
    (void)state;
    const char *list =
        "{\"time\":1700000000,\"keys\":[{\"id\":1,\"line\":1,\"name\":\"web\",\"state\":"
        "\"overlapping\",\"created\":1700000000,\"ends\":1700086400,\"last_used\":null,\"policy\":"
        "\"allow from = 10.*\\nupdate every = 2\\n\"},{\"id\":2,\"line\":1,\"name\":\"\",\"state\":"
        "\"active\",\"created\":1700000000,\"ends\":null,\"last_used\":1700003600,\"policy\":\"\"}]"
        ","
        "\"bindings\":[{\"machine_guid\":\"aaaaaaaa-0000-4000-8000-000000000001\",\"line\":1,"
        "\"certificate\":null},{\"machine_guid\":\"aaaaaaaa-0000-4000-8000-000000000002\",\"line\":"
        "null,\"certificate\":\"0011\"}]}";
    qr_buf_release(&out);
    assert_int_equal(qr_ctl_key_render(qr_slice_str(list), &out, &err), QR_CTL_DONE);
    qr_buf_add_u8(&out, 0);
    assert_non_null(strstr(out.base, "overlapping  2023-11-14 22:13  2023-11-15 22:13  never"));
    assert_non_null(strstr(out.base, "allow from = 10.*;update every = 2\n"));
    assert_non_null(strstr(out.base, "2023-11-14 23:13"));
    assert_non_null(strstr(out.base, "000000000001  keys of line 1\n"));
    assert_non_null(strstr(out.base, "000000000002  certificate 0011\n"));
    qr_buf_release(&out);
    assert_int_equal(qr_ctl_key_render(qr_slice_str("{\"keys\":[]}"), &out, &err), QR_CTL_DONE);
    assert_int_equal(qr_ctl_key_render(qr_slice_str("[]"), &out, &err), QR_CTL_FAILED);
}

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t seconds;
        int result;
    } cases[] = {
        {"0", 0, 0},
        {"90", 90, 0},
        {"90s", 90, 0},
        {"15m", 900, 0},
        {"12h", 43200, 0},
        {"7d", 604800, 0},
        {"", 0, QR_E_MALFORMED},
        {"-1d", 0, QR_E_MALFORMED},
        {"1w", 0, QR_E_MALFORMED},
        {"d", 0, QR_E_MALFORMED},
        {"99999999999999999999", 0, QR_E_MALFORMED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t seconds = 0;
        assert_int_equal(qr_ctl_key_seconds(cases[i].text, &seconds), cases[i].result);
        assert_int_equal(seconds, cases[i].seconds);
    }
}

static void children_are_pointed_at_all_members(void **state)
{
    (void)state;
    static const struct {
        const char *members, *url, *expected, *other;
    } cases[] = {
        {"\"a:1\"},{\"address\":\"b:1\"", "http://a:20000/", "a:20000 b:20000"},
        {"\"a:1\"},{\"address\":\"b:1\"", NULL, "a:19999 b:19999"},
        /* On one machine each has a port of its own, which nobody knows. */
        {"\"a:1\"},{\"address\":\"a:2\"", "https://a:20001", "a:20001"},
        {"\"a:1\"},{\"address\":\"a:2\"", "https://a:20001", "a:20001 a:20002", "a:20002"},
        {"\"a:1\"},{\"address\":\"b:1\"", "c:1", "c:1 d:2", "http://d:2/"},
        {"\"[::1]:1\"},{\"address\":\"[::2]:1\"", "http://[::1]:5", "[::1]:5 [::2]:5"},
        {"7", "http://a:5", "a:5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char status[256];
        struct qr_buf got = {0};
        snprintf(status, sizeof status, "{\"members\":[{\"address\":%s}]}", cases[i].members);
        const char *const urls[] = {cases[i].url, cases[i].other};
        unsigned n_urls = cases[i].other != NULL ? 2 : cases[i].url != NULL;
        qr_ctl_key_destination(qr_slice_str(status), urls, n_urls, &got);
        assert_slice(qr_buf_slice(&got), cases[i].expected);
        qr_buf_release(&got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_words_ask_nobody),
        cmocka_unit_test(a_key_is_made_here_and_only_its_hash_leaves),
        cmocka_unit_test(a_key_that_the_log_did_not_take_is_not_shown),
        cmocka_unit_test(asks_for_the_rest),
        cmocka_unit_test(shows_keys_and_bindings),
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(children_are_pointed_at_all_members),
    };
    return cmocka_run_group_tests(tests, listen_somewhere, NULL);
}
