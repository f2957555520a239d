/* Against this machine's own resolver: what it says of its own addresses. */
#include "node/peer_name.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "testing/cmocka.h"

static char got[1024];
static unsigned n_got;

static void on_found(void *data, const char *name)
{
    (void)data;
    n_got++;
    snprintf(got, sizeof got, "%s", name);
}

/* By other calls than those under test. */
static void expect_of(const struct sockaddr *address, socklen_t len, char *name, size_t bytes)
{
    struct addrinfo hints = {.ai_family = address->sa_family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char text[64], other[64];
    bool confirmed = false;
    getnameinfo(address, len, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    if (getnameinfo(address, len, name, (socklen_t)bytes, NULL, 0, NI_NAMEREQD) == 0 &&
        getaddrinfo(name, NULL, &hints, &list) == 0)
        for (struct addrinfo *at = list; at != NULL; at = at->ai_next)
            if (getnameinfo(at->ai_addr, at->ai_addrlen, other, sizeof other, NULL, 0,
                            NI_NUMERICHOST) == 0)
                confirmed = confirmed || strcmp(text, other) == 0;
    if (list != NULL)
        freeaddrinfo(list);
    if (!confirmed)
        name[0] = '\0';
}

static void finds(const struct sockaddr *asked, const char *expected)
{
    uv_loop_t loop;
    struct qr_peer_name *finding;
    n_got = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(qr_peer_name_find(&finding, &loop, asked, on_found, NULL), 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_got, 1);
    assert_string_equal(got, expected);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* A mapped one is that of IPv4. */
static void a_name_counts_if_it_leads_back(void **state)
{
    (void)state;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6, mapped;
    char expected[1024] = "";
    assert_int_equal(uv_ip4_addr("127.0.0.1", 4711, &in4), 0);
    assert_int_equal(uv_ip6_addr("::1", 0, &in6), 0);
    assert_int_equal(uv_ip6_addr("::ffff:127.0.0.1", 0, &mapped), 0);
    expect_of((const struct sockaddr *)&in4, sizeof in4, expected, sizeof expected);
    assert_string_not_equal(expected, ""); /* /etc/hosts has it. */
    finds((const struct sockaddr *)&in4, expected);
    finds((const struct sockaddr *)&mapped, expected);
    expect_of((const struct sockaddr *)&in6, sizeof in6, expected, sizeof expected);
    finds((const struct sockaddr *)&in6, expected);
}

static void who_gave_up_hears_nothing(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct qr_peer_name *finding;
    struct sockaddr_in address;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    n_got = 0;
    assert_int_equal(
        qr_peer_name_find(&finding, &loop, (const struct sockaddr *)&address, on_found, NULL), 0);
    qr_peer_name_give_up(finding);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_got, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_counts_if_it_leads_back),
        cmocka_unit_test(who_gave_up_hears_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
