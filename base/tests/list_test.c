#include "base/list.h"

#include "testing/cmocka.h"

struct item {
    int value;
    struct qr_list link;
};

static int as_number(struct qr_list *list)
{
    int number = 0;
    QR_LIST_FOREACH (node, list)
        number = number * 10 + QR_CONTAINER_OF(node, struct item, link)->value;
    return number;
}

static void keeps_the_order_of_adding(void **state)
{
    struct qr_list list;
    struct item items[] = {{.value = 1}, {.value = 2}, {.value = 3}};
    qr_list_init(&list);
    assert_true(qr_list_empty(&list));
    for (size_t i = 0; i < 3; i++)
        qr_list_add_tail(&list, &items[i].link);
    assert_false(qr_list_empty(&list));
    assert_int_equal(as_number(&list), 123);

    qr_list_remove(&items[1].link);
    assert_int_equal(as_number(&list), 13);
    qr_list_add_tail(&list, &items[1].link);
    assert_int_equal(as_number(&list), 132);
}

static void removing_twice_is_harmless(void **state)
{
    struct qr_list list;
    struct item item = {.value = 1}, other = {.value = 2};
    qr_list_init(&list);
    qr_list_add_tail(&list, &item.link);
    qr_list_add_tail(&list, &other.link);
    qr_list_remove(&item.link);
    qr_list_remove(&item.link);
    assert_int_equal(as_number(&list), 2);
}

static void the_body_may_remove_its_own_node(void **state)
{
    struct qr_list list;
    struct item items[4];
    int seen = 0;
    qr_list_init(&list);
    for (int i = 0; i < 4; i++) {
        items[i].value = i + 1;
        qr_list_add_tail(&list, &items[i].link);
    }
    QR_LIST_FOREACH (node, &list) {
        seen++;
        if (QR_CONTAINER_OF(node, struct item, link)->value % 2 == 0)
            qr_list_remove(node);
    }
    assert_int_equal(seen, 4);
    assert_int_equal(as_number(&list), 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_adding),
        cmocka_unit_test(removing_twice_is_harmless),
        cmocka_unit_test(the_body_may_remove_its_own_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
