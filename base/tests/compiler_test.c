#include "base/compiler.h"

#include "testing/cmocka.h"

struct inner {
    int x;
};

struct outer {
    char before[3];
    struct inner inner;
};

static void finds_the_struct_around_a_field(void **state)
{
    struct outer outer;
    struct inner *inner = &outer.inner;
    assert_ptr_equal(QR_CONTAINER_OF(inner, struct outer, inner), &outer);
}

static void counts_the_elements_of_an_array(void **state)
{
    uint32_t words[7];
    assert_int_equal(QR_COUNT(words), 7);
    assert_int_equal(QR_COUNT("ab"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_struct_around_a_field),
        cmocka_unit_test(counts_the_elements_of_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
