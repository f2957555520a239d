#include "node/alone.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

static char dir[] = "/tmp/quorate-alone-XXXXXX";
static char path[64];

static void an_id_is_drawn_once(void **state)
{
    (void)state;
    struct qr_guid first, again, other;
    assert_int_equal(qr_alone_id(dir, &first), 0);
    assert_int_equal(qr_alone_id(dir, &again), 0);
    assert_true(qr_guid_equal(&first, &again));
    unlink(path);
    assert_int_equal(qr_alone_id(dir, &other), 0);
    assert_false(qr_guid_equal(&first, &other));
}

/* Another id would be another cluster: the log in the same folder would not be its own. */
static void a_damaged_id_is_not_replaced(void **state)
{
    (void)state;
    struct qr_guid id;
    FILE *file = fopen(path, "w");
    fputs("something else\n", file);
    fclose(file);
    assert_int_equal(qr_alone_id(dir, &id), QR_E_CORRUPT);
    assert_true(qr_alone_id("/nowhere", &id) < 0);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/cluster-id", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_drawn_once),
        cmocka_unit_test(a_damaged_id_is_not_replaced),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
