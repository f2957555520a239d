/* The relations between limits are static_asserts in the header: that this compiles is the test of
 * them.  What is left are promises to others' formats. */
#include "base/limits.h"

#include "testing/cmocka.h"

static void frames_hold_what_children_send(void **state)
{
    assert_int_equal(QR_FRAME_BYTES_MAX, (1u << 14) - 1); /* the width of a frame's length */
    assert_true(QR_LINE_BYTES_MAX > 15487);               /* where 1.44+ children cut a line */
    assert_true(QR_LINE_WORDS_MAX >= 30);                 /* what 2.x parents take */
    assert_true(QR_LINK_FRAME_BYTES_MAX > QR_SNAPSHOT_BYTES_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(frames_hold_what_children_send)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
