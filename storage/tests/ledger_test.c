#include "storage/ledger.h"

#include <uv.h>

#include "storage/tests/tiers.h"

static unsigned count(struct qr_store *store, unsigned tier, bool *all_confirmed)
{
    struct qr_ledger ledger = {0};
    unsigned n = 0;
    *all_confirmed = true;
    assert_int_equal(qr_ledger_read(&ledger, qr_store_state(store)), 0);
    for (uint32_t i = 0; i < ledger.n; i++) {
        assert_true(i == 0 || qr_block_id_compare(&ledger.at[i - 1].id, &ledger.at[i].id) < 0);
        n += ledger.at[i].id.tier == tier;
        *all_confirmed = *all_confirmed && ledger.at[i].confirmed;
    }
    qr_ledger_release(&ledger);
    return n;
}

/* The log says what there is, whatever a member has done of it: here the disk fails, so nothing is
 * written. */
static void it_does_not_wait_for_the_disk(void **state)
{
    (void)state;
    struct member member;
    bool all_confirmed;
    start(&member);
    member.disk.fail_at = 2;
    member.disk.fail_with = UV_EIO;
    member.disk.stay_failed = true;
    sealed_rows(&member);
    assert_int_equal(n_blocks(member.store), 0);
    assert_int_equal(count(member.store, 0, &all_confirmed), 3);
    assert_false(all_confirmed);
    for (int64_t w = 0; w < 3; w++) { /* Others have written them. */
        const struct qr_block_id id = {.start_s = w * HISTORY_WINDOW_S,
                                       .window_s = HISTORY_WINDOW_S};
        const struct qr_file_vote vote = {2, 100, 1};
        assert_int_equal(qr_store_apply_vote(member.store, &id, &vote, 1), 0);
    }
    assert_int_equal(count(member.store, 0, &all_confirmed), 3);
    assert_true(all_confirmed);
    /* And have merged them. */
    assert_int_equal(qr_store_apply_merge(member.store, 0, 0, 0), 0);
    assert_int_equal(count(member.store, 0, &all_confirmed), 3);
    const struct qr_block_id merged = {.window_s = (uint32_t)SPAN_S, .generation = 1};
    const struct qr_file_vote vote = {2, 300, 2};
    assert_int_equal(qr_store_apply_vote(member.store, &merged, &vote, 1), 0);
    assert_int_equal(count(member.store, 0, &all_confirmed), 1);
    assert_rows(&member); /* From memory still. */
    stop(&member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_does_not_wait_for_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
