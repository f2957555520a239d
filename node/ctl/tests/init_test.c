#include "node/ctl/init.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/tls.h"
#include "testing/cmocka.h"

static const struct qr_ctl_command *commands;
static char dir[64];
static struct qr_buf out, err;

static int make_dir(void **state)
{
    (void)state;
    static struct qr_ctl_command list[2];
    list[0] = qr_ctl_init;
    commands = list;
    snprintf(dir, sizeof dir, "/tmp/qr-init-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", dir);
    qr_buf_release(&out);
    qr_buf_release(&err);
    return system(command);
}

static int init(const char *folder, const char *members, bool json)
{
    char path[128], *argv[] = {"quoratectl",    "init",   "--dir", path,    "--members",
                               (char *)members, "--name", "test",  "--json"};
    snprintf(path, sizeof path, "%s/%s", dir, folder);
    qr_buf_release(&out);
    qr_buf_release(&err);
    int code = qr_ctl_run(commands, json ? 9 : 8, argv, &out, &err);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

static bool is_there(const char *folder, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s%s%s", dir, folder, name[0] != '\0' ? "/" : "", name);
    return access(path, F_OK) == 0;
}

/* The files of two members make a link: contexts load, and the identities are as they should be. */
static void what_it_makes_works_together(void **state)
{
    (void)state;
    char files[6][128], reason[QR_TLS_REASON_BYTES], uri[128], expected[128];
    struct qr_tls_context *contexts[2];
    struct qr_tls *ends[2];
    assert_int_equal(init("a", "1=127.0.0.1:1,2=[::1]:2", true), QR_CTL_DONE);
    json_t *json = json_loads(out.base, 0, NULL);
    assert_non_null(json);
    for (int i = 0; i < 2; i++) {
        snprintf(files[0], 128, "%s/a/member-%d/ca.crt", dir, i + 1);
        snprintf(files[1], 128, "%s/a/member-%d/member.crt", dir, i + 1);
        snprintf(files[2], 128, "%s/a/member-%d/member.key", dir, i + 1);
        assert_int_equal(qr_tls_context_mutual(&contexts[i], files[0], files[1], files[2], reason),
                         0);
        assert_int_equal(qr_tls_new(&ends[i], contexts[i], i == 0 ? QR_TLS_SERVER : QR_TLS_CLIENT),
                         0);
    }
    for (int turn = 0; turn < 10; turn++) {
        struct qr_buf wire = {0};
        struct qr_tls *from = ends[(turn + 1) % 2];
        (void)qr_tls_handshake(from);
        qr_tls_drain(from, &wire);
        qr_tls_feed(ends[turn % 2], qr_buf_slice(&wire));
        qr_buf_release(&wire);
    }
    for (int i = 0; i < 2; i++) {
        assert_true(qr_tls_established(ends[i]));
        assert_int_equal(qr_tls_peer_uri(ends[i], uri, sizeof uri), 0);
        snprintf(expected, sizeof expected, "quorate://%s/%d",
                 json_string_value(json_object_get(json, "id")), 2 - i);
        assert_string_equal(uri, expected);
    }
    for (int i = 0; i < 2; i++) {
        qr_tls_free(ends[i]);
        qr_tls_context_free(contexts[i]);
    }
    assert_int_equal(json_array_size(json_object_get(json, "members")), 2);
    json_decref(json);
    assert_true(is_there("a", "cluster.id"));
    assert_true(is_there("a", "cluster.conf"));
}

static void never_overwrites(void **state)
{
    (void)state;
    assert_int_equal(init("b", "1=h:1", false), QR_CTL_DONE);
    assert_non_null(strstr(out.base, "1 members"));
    assert_int_equal(init("b", "1=h:1", false), QR_CTL_FAILED);
    assert_non_null(strstr(err.base, "holds a cluster already"));
    assert_true(is_there("b", "ca.key"));
}

/* A file in the way of the last steps: what was made before is taken back, the file stays. */
static void takes_back_what_it_began(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/c", dir);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/c/cluster.conf", dir);
    FILE *file = fopen(path, "w");
    fputs("mine", file);
    fclose(file);
    assert_int_equal(init("c", "1=h:1,2=h:2", false), QR_CTL_FAILED);
    assert_non_null(strstr(err.base, "cluster.conf"));
    assert_true(is_there("c", "cluster.conf"));
    assert_false(is_there("c", "ca.key"));
    assert_false(is_there("c", "ca.crt"));
    assert_false(is_there("c", "member-1"));
    assert_false(is_there("c", "cluster.id"));
    assert_int_equal(out.len, 1); /* nothing but our NUL */
}

static void refuses_bad_members(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "1",
        "=h:1",
        "0=h:1",
        "65536=h:1",
        "x=h:1",
        "1=h",
        "1=:19",
        "1=h:1,",
        "1=h:1,,2=h:2",
        "1=h:1,1=h:2",
        "1=h:70000",
        "-1=h:1",
        "1=0123456789012345678901234567890123456789012345678901234567890123:1",
    };
    for (size_t i = 0; i < QR_COUNT(bad); i++) {
        assert_int_equal(init("d", bad[i], false), QR_CTL_FAILED);
        assert_true(err.len > 20);
        assert_false(is_there("d", ""));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_makes_works_together),
        cmocka_unit_test(never_overwrites),
        cmocka_unit_test(takes_back_what_it_began),
        cmocka_unit_test(refuses_bad_members),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
