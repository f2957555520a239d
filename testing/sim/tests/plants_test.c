#define QR_PLANTS
#include "testing/sim/plants.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "cluster/ownership.h"
#include "node/incarnation.h"
#include "testing/cmocka.h"

static void each_is_known_by_its_name(void **state)
{
    (void)state;
#define IS_KNOWN(name) assert_int_equal(qr_plant_find(#name), QR_PLANT_##name);
    QR_PLANTS_MAP(IS_KNOWN)
    assert_int_equal(qr_plant_find("nothing"), -1);
    for (int i = 0; i < QR_PLANTS_N; i++)
        assert_true(strlen(qr_plants[i].breaks) > 0);
}

/* A file with a plant that PLANTED does not name would be linked without it. */
static void each_is_linked(void **state)
{
    (void)state;
    for (int i = 0; i < QR_PLANTS_N; i++) {
        const struct qr_plant_site *site = qr_plant_place((enum qr_plant)i);
        if (site == NULL)
            fail_msg("%s is nowhere: is its module PLANTED?", qr_plants[i].name);
        printf("%-24s %s:%d\n", qr_plants[i].name, site->file, site->line);
    }
}

static int verdict_on_an_old_owner(void)
{
    struct qr_ownership ownership;
    struct qr_owner owner;
    qr_ownership_init(&ownership);
    assert_int_equal(qr_ownership_take(&ownership, 1, 1, &owner), 0);
    assert_int_equal(qr_ownership_take(&ownership, 1, 2, &owner), 0);
    int verdict = qr_ownership_check(&ownership, 1, 1, 1, 1);
    qr_ownership_release(&ownership);
    return verdict;
}

static void one_is_off_until_it_is_switched_on(void **state)
{
    (void)state;
    assert_int_equal(verdict_on_an_old_owner(), QR_E_FENCED);
    assert_int_equal(qr_plant_n_asked(QR_PLANT_fence_skipped), 0);
    qr_plant_set(QR_PLANT_fence_skipped, true);
    assert_int_equal(verdict_on_an_old_owner(), 0);
    assert_int_equal(qr_plant_n_asked(QR_PLANT_fence_skipped), 1);
    qr_plant_set(QR_PLANT_fence_skipped, false);
    assert_int_equal(verdict_on_an_old_owner(), QR_E_FENCED);
}

static void switches_are_one_each(void **state)
{
    (void)state;
    char dir[] = "/tmp/quorate-plants-XXXXXX", path[64];
    uint64_t first, second;
    assert_non_null(mkdtemp(dir));
    qr_plant_set(QR_PLANT_fence_skipped, true);
    assert_int_equal(qr_incarnation_next(dir, &first), 0);
    assert_int_equal(qr_incarnation_next(dir, &second), 0);
    assert_true(second > first);
    qr_plant_set(QR_PLANT_fence_skipped, false);
    qr_plant_set(QR_PLANT_incarnation_reused, true);
    assert_int_equal(qr_incarnation_next(dir, &first), 0);
    assert_int_equal(first, second);
    qr_plant_set(QR_PLANT_incarnation_reused, false);
    snprintf(path, sizeof path, "%s/incarnation", dir);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_known_by_its_name),
        cmocka_unit_test(each_is_linked),
        cmocka_unit_test(one_is_off_until_it_is_switched_on),
        cmocka_unit_test(switches_are_one_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
