#include "base/plant.h"

#include <assert.h>

#include "testing/cmocka.h"

/* Of the product, where they are known when it is compiled. */
#define IS_OFF(name) static_assert(!QR_PLANT(name), #name);
QR_PLANTS_MAP(IS_OFF)

static void nothing_is_planted_in_the_product(void **state)
{
    (void)state;
    if (QR_PLANT(dedupe_off) || QR_PLANT(seal_twice))
        fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_planted_in_the_product),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
