#include "base/guid.h"

#include "base/compiler.h"
#include "base/error.h"
#include "testing/cmocka.h"

static void text_and_back(void **state)
{
    static const uint8_t bytes[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
                                      0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
    struct qr_guid guid;
    char text[QR_GUID_TEXT_LEN + 1];
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str("00112233-4455-6677-8899-aAbBcCdDeEfF")), 0);
    assert_memory_equal(guid.bytes, bytes, sizeof bytes);
    qr_guid_format(&guid, text);
    assert_string_equal(text, "00112233-4455-6677-8899-aabbccddeeff");

    struct qr_guid other = guid;
    assert_true(qr_guid_equal(&guid, &other));
    other.bytes[15] ^= 1;
    assert_false(qr_guid_equal(&guid, &other));
}

static void refuses_everything_else(void **state)
{
    static const char *const cases[] = {
        "",
        "00112233-4455-6677-8899-aabbccddeef",   /* short */
        "00112233-4455-6677-8899-aabbccddeefff", /* long */
        "0011223344556677-8899-aabbccddeeff-0a", /* dashes elsewhere */
        "00112233-4455-6677-8899_aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeefg",
        "{0112233-4455-6677-8899-aabbccddeef}",
        " 0112233-4455-6677-8899-aabbccddeeff",
        "00112233445566778899aabbccddeeff0000",
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct qr_guid guid, untouched;
        memset(&guid, 0x5a, sizeof guid);
        untouched = guid;
        assert_int_equal(qr_guid_parse(&guid, qr_slice_str(cases[i])), QR_E_MALFORMED);
        assert_true(qr_guid_equal(&guid, &untouched));
    }
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_of("00112233-4455-6677-8899-aabbccddee\0f", 36)),
                     QR_E_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(refuses_everything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
