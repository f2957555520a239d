#include "node/incarnation.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "testing/cmocka.h"

static void grows_with_each_start(void **state)
{
    (void)state;
    char dir[] = "/tmp/quorate-incarnation-XXXXXX";
    char file[64];
    uint64_t first;
    uint64_t second;
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/incarnation", dir);
    assert_int_equal(qr_incarnation_next(dir, &first), 0);
    assert_true(first + 60000000 > (uint64_t)qr_clock_real_us(&qr_clock_system));
    assert_int_equal(qr_incarnation_next(dir, &second), 0);
    assert_true(second == first + 1); /* Whatever the clock says. */

    /* The clock was set back a long way: it grows all the same. */
    FILE *far = fopen(file, "w");
    fprintf(far, "9000000000000000000\n");
    fclose(far);
    assert_int_equal(qr_incarnation_next(dir, &second), 0);
    assert_true(second == 9000000000000000001u);

    /* The disk was lost, and the clock is behind what the others know. */
    assert_int_equal(unlink(file), 0);
    assert_int_equal(qr_incarnation_next(dir, &first), 0);
    assert_true(first < 9000000000000000001u);
    assert_int_equal(qr_incarnation_raise(dir, 9000000000000000001u, &first), 0);
    assert_true(first > 9000000000000000001u);
    assert_int_equal(qr_incarnation_next(dir, &second), 0);
    assert_true(second == first + 1);
    assert_int_equal(qr_incarnation_raise(dir, UINT64_MAX - 5, &first), QR_E_LIMIT);
    assert_true(first + 1 == second); /* untouched */

    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(dir), 0);
    assert_true(qr_incarnation_next(dir, &second) < 0); /* the folder is gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(grows_with_each_start)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
