#include "base/error.h"

#include <uv.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

static const struct {
    int code;
    const char *text;
} ours[] = {
#define ROW(name, code, text) {QR_E_##name, text},
    QR_ERROR_MAP(ROW)
#undef ROW
};

static void every_code_of_ours_has_its_own_text(void **state)
{
    for (size_t i = 0; i < QR_COUNT(ours); i++) {
        assert_int_equal(ours[i].code, QR_E_FIRST - (int)i); /* no gaps, none used twice */
        assert_string_equal(qr_strerror(ours[i].code), ours[i].text);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ours[i].text, ours[j].text);
    }
}

static void libuvs_codes_pass_through(void **state)
{
    assert_string_equal(qr_strerror(UV_ENOMEM), uv_strerror(UV_ENOMEM));
    assert_string_equal(qr_strerror(UV_EOF), uv_strerror(UV_EOF));
    assert_true(UV_ERRNO_MAX > QR_E_FIRST); /* the two ranges do not meet */
}

static void no_code_is_without_a_text(void **state)
{
    static const int codes[] = {0, 1, -9999, -10000, -19999, 2147483647, -2147483647 - 1};
    for (size_t i = 0; i < QR_COUNT(codes); i++) {
        assert_non_null(qr_strerror(codes[i]));
        assert_true(strlen(qr_strerror(codes[i])) > 0);
    }
    assert_string_equal(qr_strerror(0), "no error");
    assert_string_equal(qr_strerror(12), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_of_ours_has_its_own_text),
        cmocka_unit_test(libuvs_codes_pass_through),
        cmocka_unit_test(no_code_is_without_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
