#include "node/access.h"

#include <stdio.h>

#include "testing/cmocka.h"

static struct qr_access access_of(const char *connections, const char *streaming,
                                  const char *dashboard, const char *management, const char *by_dns)
{
    const char *from[] = {connections, streaming, dashboard, management};
    struct qr_access access = {0};
    for (int i = 0; i < QR_ACCESS_NR; i++) {
        snprintf(access.lists[i].from, sizeof access.lists[i].from, "%s", from[i]);
        snprintf(access.lists[i].by_dns, sizeof access.lists[i].by_dns, "%s", by_dns);
    }
    return access;
}

static void an_own_address_is_localhost_too(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *ip;
        bool yes;
    } cases[] = {
        {"localhost", "127.0.0.1", true},  {"localhost", "::1", true},
        {"localhost", "10.0.0.1", false},  {"127.0.0.1", "127.0.0.1", true},
        {"!localhost *", "::1", false},    {"!127.0.0.1 *", "127.0.0.1", false},
        {"10.* !*", "10.1.2.3", true},     {"10.* !*", "11.1.2.3", false},
        {"localhost *", "10.0.0.1", true}, {"", "127.0.0.1", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (qr_access_matches(cases[i].pattern, cases[i].ip) != cases[i].yes)
            fail_msg("case %zu", i);
}

static void roles_are_what_the_lists_leave(void **state)
{
    (void)state;
    static const struct {
        const char *streaming, *dashboard, *management;
        unsigned roles;
    } cases[] = {
        {"*", "localhost *", "localhost", QR_ROLE_ALL & ~QR_ROLE_MANAGEMENT},
        {"*", "localhost *", "10.*", QR_ROLE_ALL},
        {"!10.* *", "*", "*", QR_ROLE_ALL & ~QR_ROLE_STREAMING},
        {"*", "localhost", "localhost", QR_ROLE_STREAMING},
        {"localhost", "localhost", "10.0.0.1", QR_ROLE_MANAGEMENT},
        {"", "", "", QR_ROLE_ALL & ~QR_ROLE_MANAGEMENT}, /* empty: but nobody manages */
        {"x", "x", "x", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_access access =
            access_of("*", cases[i].streaming, cases[i].dashboard, cases[i].management, "no");
        if (qr_access_roles(&access, QR_ROLE_ALL, "10.0.0.1", NULL) != cases[i].roles)
            fail_msg("case %zu", i);
        assert_int_equal(qr_access_roles(&access, 0, "10.0.0.1", NULL), 0);
    }
}

static void names_count_where_a_list_has_some(void **state)
{
    (void)state;
    static const struct {
        const char *from, *by_dns;
        bool wants, yes; /* yes: web-1.example.com at 10.0.0.1 */
    } cases[] = {
        {"*.example.com", "heuristic", true, true},
        {"*.example.com", "yes", true, true},
        {"*.example.com", "no", false, false},
        {"!web-1.* *.example.com", "heuristic", true, false},
        {"!web-1* 10.*", "heuristic", false, true}, /* the address goes first */
        {"fd00* 192.168.* 2001:db8:* localhost", "heuristic", false, false},
        {"fd00*", "yes", true, false},
        {"*", "yes", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_access access = access_of("*", "*", cases[i].from, "*", "no");
        snprintf(access.lists[QR_ACCESS_DASHBOARD].by_dns, 16, "%s", cases[i].by_dns);
        if (qr_access_wants_name(&access, "10.0.0.1") != cases[i].wants ||
            qr_access_allows(&access, QR_ACCESS_DASHBOARD, "10.0.0.1", "web-1.example.com") !=
                cases[i].yes)
            fail_msg("case %zu", i);
        if (cases[i].wants)
            assert_false(qr_access_allows(&access, QR_ACCESS_DASHBOARD, "10.0.0.1", ""));
    }
    assert_true(qr_access_by_dns_is_valid("heuristic"));
    assert_false(qr_access_by_dns_is_valid("perhaps"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_own_address_is_localhost_too),
        cmocka_unit_test(roles_are_what_the_lists_leave),
        cmocka_unit_test(names_count_where_a_list_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
