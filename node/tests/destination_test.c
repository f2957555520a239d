#include "node/destination.h"

#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

static void reads_what_netdata_reads(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted; /* NULL: refused */
    } cases[] = {
        {"parent", "parent:19999"},
        {"parent:20000", "parent:20000"},
        {"tcp:10.0.0.1:20000:SSL", "10.0.0.1:20000:SSL"},
        {"10.0.0.1:SSL", "10.0.0.1:19999:SSL"},
        {"[fe80::1%eth0]", "[fe80::1%eth0]:19999"},
        {"[fe80::1]%eth0:7:SSL", "[fe80::1]%eth0:7:SSL"},
        {"[::1]", "[::1]:19999"},
        {"host%eth0", "host%eth0:19999"},
        {"host%", NULL},
        {"host%aninterfacewithalongname", NULL},
        {"host:0", NULL},
        {"host:65536", NULL},
        {"host:", NULL},
        {":19999", NULL},
        {"[::1", NULL},
        {"[::1]x", NULL},
        {"unix:/run/parent.sock", NULL},
        {"/run/parent.sock", NULL},
        {"udp:parent", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qr_destination destination;
        const char *why = NULL;
        char text[300];
        int err = qr_destination_parse(&destination, qr_slice_str(cases[i].text), "19999", &why);
        if ((err == 0) != (cases[i].formatted != NULL))
            fail_msg("%s: %d", cases[i].text, err);
        if (err != 0) {
            assert_non_null(why);
            continue;
        }
        qr_destination_format(&destination, text, sizeof text);
        assert_string_equal(text, cases[i].formatted);
    }
}

static void reads_a_list(void **state)
{
    (void)state;
    struct qr_destination list[QR_DESTINATIONS_MAX];
    const char *why = NULL;
    assert_int_equal(qr_destinations_parse(list, qr_slice_str(" a:1, b:2:SSL\tc "), "3", &why), 3);
    assert_string_equal(list[0].address.host, "a");
    assert_true(list[1].tls && !list[0].tls && !list[2].tls);
    assert_string_equal(list[2].address.port, "3");
    assert_int_equal(qr_destinations_parse(list, qr_slice_str(" , "), "3", &why), 0);
    assert_int_equal(qr_destinations_parse(list, qr_slice_str("a b: c"), "3", &why), QR_E_CONFIG);
    char many[2 * QR_DESTINATIONS_MAX + 2] = "";
    for (unsigned i = 0; i < QR_DESTINATIONS_MAX; i++)
        memcpy(many + 2 * i, "h ", 2);
    assert_int_equal(qr_destinations_parse(list, qr_slice_str(many), "3", &why),
                     QR_DESTINATIONS_MAX);
    many[sizeof many - 2] = 'h';
    assert_int_equal(qr_destinations_parse(list, qr_slice_str(many), "3", &why), QR_E_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_netdata_reads),
        cmocka_unit_test(reads_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
