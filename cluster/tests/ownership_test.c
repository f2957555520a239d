#include "cluster/ownership.h"

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static void a_new_owner_fences_the_old_one(void **state)
{
    (void)state;
    struct qr_ownership o;
    qr_ownership_init(&o);
    struct qr_owner owner;

    assert_int_equal(qr_ownership_check(&o, 7, 1, 0, 1), QR_E_FENCED); /* nobody's */
    assert_int_equal(qr_ownership_take(&o, 7, 1, &owner), 0);
    assert_int_equal(owner.epoch, 1);
    assert_int_equal(qr_ownership_check(&o, 7, 1, 1, 1), 0);
    qr_ownership_advance(&o, 7, 1);
    assert_int_equal(qr_ownership_check(&o, 7, 1, 1, 1), QR_E_STALE);
    assert_int_equal(qr_ownership_check(&o, 7, 1, 1, 3), QR_E_GAP);
    assert_int_equal(qr_ownership_check(&o, 7, 2, 1, 2), QR_E_FENCED);

    assert_int_equal(qr_ownership_take(&o, 7, 2, &owner), 0);
    assert_int_equal(owner.epoch, 2);
    assert_int_equal(owner.block_seq, 0);
    assert_int_equal(qr_ownership_check(&o, 7, 1, 1, 2), QR_E_FENCED);
    assert_int_equal(qr_ownership_check(&o, 7, 2, 2, 1), 0);

    /* The same member again: also a new epoch, its old connection is fenced. */
    assert_int_equal(qr_ownership_take(&o, 7, 2, &owner), 0);
    assert_int_equal(qr_ownership_check(&o, 7, 2, 2, 1), QR_E_FENCED);
    assert_int_equal(qr_ownership_check(&o, 7, 2, 3, 1), 0);
    qr_ownership_release(&o);
}

static void refuses_ids_out_of_range(void **state)
{
    (void)state;
    struct qr_ownership o;
    qr_ownership_init(&o);
    struct qr_owner owner;
    assert_int_equal(qr_ownership_take(&o, 0, 1, &owner), QR_E_LIMIT);
    assert_int_equal(qr_ownership_take(&o, QR_HOSTS_MAX + 1, 1, &owner), QR_E_LIMIT);
    assert_int_equal(qr_ownership_get(&o, 12345).member, 0);
    qr_ownership_release(&o);
}

static void a_host_that_is_gone_has_no_owner(void **state)
{
    (void)state;
    struct qr_ownership o;
    qr_ownership_init(&o);
    struct qr_owner owner;
    struct qr_buf bytes = {0};
    qr_ownership_drop(&o, 5);
    assert_int_equal(qr_ownership_take(&o, 7, 1, &owner), 0);
    qr_ownership_drop(&o, 7);
    assert_int_equal(qr_ownership_check(&o, 7, 1, 1, 1), QR_E_FENCED);
    assert_int_equal(qr_ownership_get(&o, 7).member, 0);
    assert_int_equal(qr_ownership_encode(&o, &bytes), 0);
    assert_int_equal(bytes.len, 1);
    qr_buf_release(&bytes);
    qr_ownership_release(&o);
}

static void fill(struct qr_ownership *o)
{
    struct qr_owner owner;
    qr_ownership_init(o);
    for (uint32_t host = 1; host < 300; host += 3)
        assert_int_equal(qr_ownership_take(o, host, 1 + host % 5, &owner), 0);
    qr_ownership_take(o, 4, 9, &owner);
    qr_ownership_advance(o, 4, 1);
    qr_ownership_advance(o, 4, 2);
}

static void comes_back_from_a_snapshot(void **state)
{
    (void)state;
    struct qr_ownership o, back;
    fill(&o);
    qr_ownership_init(&back);
    struct qr_buf bytes = {0}, again = {0};
    assert_int_equal(qr_ownership_encode(&o, &bytes), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_ownership_decode(&back, &in), 0);
    assert_true(qr_cursor_done(&in));
    for (uint32_t host = 0; host < 310; host++) {
        struct qr_owner a = qr_ownership_get(&o, host), b = qr_ownership_get(&back, host);
        assert_memory_equal(&a, &b, sizeof a);
    }
    assert_int_equal(qr_ownership_encode(&back, &again), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&bytes), qr_buf_slice(&again)));
    qr_ownership_release(&o);
    qr_ownership_release(&back);
    qr_buf_release(&bytes);
    qr_buf_release(&again);
}

static void every_cut_is_malformed_and_changes_nothing(void **state)
{
    (void)state;
    struct qr_ownership o, back;
    fill(&o);
    qr_ownership_init(&back);
    struct qr_owner owner;
    qr_ownership_take(&back, 3, 3, &owner);
    struct qr_buf bytes = {0};
    qr_ownership_encode(&o, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes.base, len));
        assert_int_equal(qr_ownership_decode(&back, &in), QR_E_MALFORMED);
        assert_int_equal(qr_ownership_get(&back, 3).member, 3);
    }
    qr_ownership_release(&o);
    qr_ownership_release(&back);
    qr_buf_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_owner_fences_the_old_one),
        cmocka_unit_test(refuses_ids_out_of_range),
        cmocka_unit_test(a_host_that_is_gone_has_no_owner),
        cmocka_unit_test(comes_back_from_a_snapshot),
        cmocka_unit_test(every_cut_is_malformed_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
