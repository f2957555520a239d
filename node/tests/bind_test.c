#include "node/bind.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

static char sentence[512];

static int read_text(struct qr_binds *binds, const char *text)
{
    sentence[0] = '\0';
    return qr_binds_read(binds, text, "0.0.0.0:1234", sentence, sizeof sentence);
}

static void each_entry_says_where_and_what_for(void **state)
{
    (void)state;
    static const struct {
        const char *text, *address;
        unsigned roles;
        bool force;
    } cases[] = {
        {"*", "*:19999", QR_ROLE_ALL, false},
        {"any:20000", "*:20000", QR_ROLE_ALL, false},
        {"tcp:10.0.0.1", "10.0.0.1:19999", QR_ROLE_ALL, false},
        {"localhost:1", "127.0.0.1:1", QR_ROLE_ALL, false},
        {"[::1]", "[::1]:19999", QR_ROLE_ALL, false},
        {"[fd00::1]:20000=streaming", "[fd00::1]:20000", QR_ROLE_STREAMING, false},
        {"*:1=dashboard|badges|registry", "*:1",
         QR_ROLE_DASHBOARD | QR_ROLE_BADGES | QR_ROLE_REGISTRY, false},
        {"*:1=management|netdata.conf^SSL=optional", "*:1",
         QR_ROLE_MANAGEMENT | QR_ROLE_NETDATA_CONF, false},
        {"*:1=streaming^SSL=force", "*:1", QR_ROLE_STREAMING, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_binds binds;
        if (read_text(&binds, cases[i].text) != 0)
            fail_msg("case %zu: %s", i, sentence);
        assert_int_equal(binds.n, 1);
        assert_string_equal(binds.at[0].address, cases[i].address);
        assert_int_equal(binds.at[0].roles, cases[i].roles);
        assert_int_equal(binds.at[0].force_tls, cases[i].force);
    }
}

static void there_may_be_several_or_none(void **state)
{
    (void)state;
    struct qr_binds binds;
    assert_int_equal(read_text(&binds, "  *:1=streaming^SSL=force\t127.0.0.1:2 "), 0);
    assert_int_equal(binds.n, 2);
    assert_string_equal(binds.at[1].address, "127.0.0.1:2");
    assert_int_equal(read_text(&binds, " "), 0);
    assert_int_equal(binds.n, 1);
    assert_string_equal(binds.at[0].address, "0.0.0.0:1234");
    assert_int_equal(binds.at[0].roles, QR_ROLE_ALL);
}

static void what_is_not_served_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "udp:*:1",
        "unix:/run/q.sock",
        "parent1:1",
        "10.0.0.1:http",
        "*:70000",
        "[::1",
        "10.0.0.1%eth0:1",
        "=streaming",
        "*:1=",
        "*:1=cooking",
        "*:1=streaming^SSL",
        "*:1=streaming^SSL=maybe",
        "*:1=^SSL=force",
        "*:1 *:2 ftp:3",
        "*:1 *:2 *:3 *:4 *:5 *:6 *:7 *:8 *:9 *:10 *:11 *:12 *:13 *:14 *:15 *:16 *:17",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct qr_binds binds = {.n = 77};
        assert_int_equal(read_text(&binds, bad[i]), QR_E_CONFIG);
        assert_int_equal(binds.n, 77);
        assert_memory_equal(sentence, "[web] bind to: ", 15);
    }
}

static void requests_need_a_role(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool manages;
        unsigned roles;
    } cases[] = {
        {"/", false, QR_ROLE_DASHBOARD},
        {"/api/v1/data", false, QR_ROLE_DASHBOARD},
        {"/host/a/api/v1/badge.svg", false, QR_ROLE_BADGES},
        {"/api/v1/registry", false, QR_ROLE_REGISTRY},
        {"/netdata.conf", false, QR_ROLE_NETDATA_CONF},
        {"/api/v3/stream_info", false, QR_ROLE_DASHBOARD | QR_ROLE_STREAMING},
        {"/api/quorate/v1/status", false, QR_ROLE_DASHBOARD | QR_ROLE_MANAGEMENT},
        {"/api/quorate/v1/members", true, QR_ROLE_MANAGEMENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(qr_roles_for(qr_slice_str(cases[i].path), cases[i].manages),
                         cases[i].roles);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_entry_says_where_and_what_for),
        cmocka_unit_test(there_may_be_several_or_none),
        cmocka_unit_test(what_is_not_served_is_refused_by_name),
        cmocka_unit_test(requests_need_a_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
