#include "base/slice.h"

#include "testing/cmocka.h"

static void compares_bytes_and_lengths(void **state)
{
    assert_true(qr_slice_equal(qr_slice_str("abc"), qr_slice_of("abcd", 3)));
    assert_false(qr_slice_equal(qr_slice_str("abc"), qr_slice_str("abd")));
    assert_false(qr_slice_equal(qr_slice_str("abc"), qr_slice_str("abcd")));
    assert_false(qr_slice_equal(qr_slice_of("a\0b", 3), qr_slice_of("a\0c", 3)));
    assert_true(qr_slice_is(qr_slice_of("BEGIN 1", 5), "BEGIN"));
    assert_false(qr_slice_is(qr_slice_of("BEGIN 1", 6), "BEGIN"));
}

static void nothing_equals_nothing(void **state)
{
    assert_true(qr_slice_equal(qr_slice_of(NULL, 0), qr_slice_str("")));
    assert_true(qr_slice_is((struct qr_slice){0}, ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_bytes_and_lengths),
        cmocka_unit_test(nothing_equals_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
