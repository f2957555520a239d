#include "base/address.h"

#include "base/compiler.h"
#include "base/error.h"
#include "testing/cmocka.h"

static const struct {
    const char *text, *host, *port, *literal; /* literal NULL: a name */
} good[] = {
    {"10.0.0.1:19998", "10.0.0.1", "19998", "10.0.0.1:19998"},
    {"[::1]:0", "::1", "0", "[::1]:0"},
    {":19998", "", "19998", "[::]:19998"},
    {"*:1", "", "1", "[::]:1"},
    {"0.0.0.0:65535", "0.0.0.0", "65535", "0.0.0.0:65535"},
    {"member-1.example:07", "member-1.example", "7", NULL},
};

static const char *const bad[] = {"",      "host",     "host:", "host:x", "host:65536",
                                  "h:-1",  "h:000001", "::1:5", "[::1]",  "[::1:5",
                                  "a b:1", "a/b:1",    "[a]b:1"};

static void reads_what_people_write(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(good); i++) {
        struct qr_address address;
        struct sockaddr_storage sockaddr;
        char text[64];
        assert_int_equal(qr_address_parse(&address, qr_slice_str(good[i].text)), 0);
        assert_string_equal(address.host, good[i].host);
        assert_string_equal(address.port, good[i].port);
        int err = qr_address_literal(&address, &sockaddr);
        assert_int_equal(err, good[i].literal != NULL ? 0 : QR_E_UNKNOWN);
        if (err != 0)
            continue;
        qr_address_format((struct sockaddr *)&sockaddr, text, sizeof text);
        assert_string_equal(text, good[i].literal);
    }
}

static void refuses_the_rest(void **state)
{
    (void)state;
    struct qr_address address;
    for (size_t i = 0; i < QR_COUNT(bad); i++)
        assert_int_equal(qr_address_parse(&address, qr_slice_str(bad[i])), QR_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_people_write),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
