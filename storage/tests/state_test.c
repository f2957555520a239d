#include "storage/state.h"

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

static uint32_t n_gaps(const struct qr_state *state)
{
    const struct qr_gap_list *list = atomic_load(&state->gaps);
    return list != NULL ? atomic_load(&list->n) : 0;
}

static void gaps_are_added_and_expire(void **test)
{
    (void)test;
    struct qr_epoch epoch;
    struct qr_state *state;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_state_new(&state, NULL, &epoch, 600), 0);
    assert_int_equal(qr_state_expire_gaps(state, 100), 0);
    for (uint32_t i = 0; i < QR_GAPS_MAX; i++)
        assert_int_equal(qr_state_add_gap(state, &(struct qr_gap){i, i, i + 1, 0}), 0);
    assert_int_equal(qr_state_add_gap(state, &(struct qr_gap){1, 1, 2, 0}), QR_E_LIMIT);
    assert_int_equal(n_gaps(state), QR_GAPS_MAX);
    assert_int_equal(qr_state_expire_gaps(state, 1000), 0);
    assert_int_equal(n_gaps(state), QR_GAPS_MAX - 1000);
    assert_int_equal(atomic_load(&state->gaps)->gaps[0].chart, 1000);
    assert_int_equal(qr_state_add_gap(state, &(struct qr_gap){7, 1, 2000, 0}), 0);
    assert_int_equal(qr_state_expire_gaps(state, QR_GAPS_MAX), 0);
    assert_int_equal(n_gaps(state), 0);
    assert_int_equal(qr_state_add_gap(state, &(struct qr_gap){7, 1, 2, 0}), 0);
    assert_int_equal(n_gaps(state), 1);
    qr_epoch_release(&epoch);
    qr_state_release(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaps_are_added_and_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
