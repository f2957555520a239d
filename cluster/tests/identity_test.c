#include "cluster/identity.h"

#include "base/compiler.h"
#include "base/error.h"
#include "testing/cmocka.h"

#define ID "0a0b0c0d-0000-1111-2222-333344445555"

static void round_trips(void **state)
{
    (void)state;
    static const char *const good[] = {"quorate://" ID "/1", "quorate://" ID "/4294967295"};
    for (size_t i = 0; i < QR_COUNT(good); i++) {
        struct qr_identity identity;
        char again[QR_IDENTITY_BYTES];
        assert_int_equal(qr_identity_parse(&identity, qr_slice_str(good[i])), 0);
        qr_identity_format(&identity, again);
        assert_string_equal(again, good[i]);
    }
}

static void has_one_text_an_identity(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "quorate://" ID,
        "quorate://" ID "/",
        "quorate://" ID "/0",
        "quorate://" ID "/01",
        "quorate://" ID "/4294967296",
        "quorate://" ID "/99999999999",
        "quorate://" ID "/1 ",
        "quorate://" ID "/-1",
        "quorate://" ID ":1",
        "QUORATE://" ID "/1",
        "quorate://0A0B0C0D-0000-1111-2222-333344445555/1",
        "https:///x" ID "/1",
    };
    for (size_t i = 0; i < QR_COUNT(bad); i++) {
        struct qr_identity identity = {.member = 77};
        assert_int_equal(qr_identity_parse(&identity, qr_slice_str(bad[i])), QR_E_MALFORMED);
        assert_int_equal(identity.member, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips),
        cmocka_unit_test(has_one_text_an_identity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
