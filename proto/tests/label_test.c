#include "proto/label.h"

#include <stdio.h>

#include "base/limits.h"
#include "testing/cmocka.h"

static void keeps_the_last_value_of_a_name(void **state)
{
    struct qr_label_set set = {0};
    qr_label_set_add(&set, qr_slice_str("a"), qr_slice_str("1"), 1);
    qr_label_set_add(&set, qr_slice_str("b"), qr_slice_str(""), 0x20000001);
    qr_label_set_add(&set, qr_slice_str("a"), qr_slice_str("two words"), 0x80000009u);
    assert_int_equal(set.n, 2);
    assert_slice(set.labels[0].name, "a");
    assert_slice(set.labels[0].value, "two words");
    assert_int_equal(set.labels[0].source, 9);
    assert_slice(set.labels[1].name, "b");
    assert_slice(set.labels[1].value, "");
    assert_int_equal(set.labels[1].source, 1);
    qr_label_set_release(&set);
}

static void moves_as_a_whole(void **state)
{
    struct qr_label_set old = {0}, fresh = {0};
    qr_label_set_add(&old, qr_slice_str("gone"), qr_slice_str("1"), 1);
    qr_label_set_add(&fresh, qr_slice_str("here"), qr_slice_str("2"), 1);
    qr_label_set_move(&old, &fresh);
    assert_int_equal(fresh.n, 0);
    assert_int_equal(old.n, 1);
    assert_slice(old.labels[0].name, "here");
    qr_label_set_move(&old, &fresh);
    assert_int_equal(old.n, 0);
}

static void drops_and_counts_what_is_too_much(void **state)
{
    struct qr_label_set set = {0};
    char name[QR_NAME_BYTES_MAX * 2];
    for (unsigned i = 0; i < QR_LABELS_MAX + 3; i++) {
        snprintf(name, sizeof name, "label_%u", i);
        assert_int_equal(qr_label_set_add(&set, qr_slice_str(name), qr_slice_str("v"), 1), 0);
    }
    assert_int_equal(set.n, QR_LABELS_MAX);
    assert_int_equal(set.n_dropped, 3);
    qr_label_set_release(&set);
    assert_int_equal(set.n_dropped, 3);

    memset(name, 'x', sizeof name);
    qr_label_set_add(&set, qr_slice_of(name, sizeof name), qr_slice_of(name, sizeof name), 1);
    assert_int_equal(set.labels[0].name.len, QR_NAME_BYTES_MAX);
    assert_int_equal(set.labels[0].value.len, QR_NAME_BYTES_MAX);
    qr_label_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_last_value_of_a_name),
        cmocka_unit_test(moves_as_a_whole),
        cmocka_unit_test(drops_and_counts_what_is_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
