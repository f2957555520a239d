#include "cluster/membership.h"

#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

static struct qr_membership m;
static struct qr_buf body;

static int start(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    qr_buf_release(&body);
    return 0;
}

static int apply(uint64_t index)
{
    int err = qr_membership_apply(&m, qr_buf_slice(&body), index);
    qr_buf_clear(&body);
    return err;
}

static int record(uint64_t configuration, unsigned n)
{
    struct qr_membership r = {.configuration = configuration, .n = n};
    for (unsigned i = 0; i < n; i++) {
        r.members[i] = (struct qr_recorded_member){.member = i + 1, .disk = 100 + i};
        r.members[i].role = i + 1 < n ? QR_MEMBER_VOTER : QR_MEMBER_LEARNER;
        memcpy(r.members[i].address, "h:1", 4);
    }
    qr_membership_record(&body, &r);
    return apply(configuration + 1);
}

static int ask(enum qr_change_kind kind, uint32_t member, uint32_t disk, uint32_t with,
               uint64_t index)
{
    struct qr_change change = {.kind = kind, .member = member, .disk = disk, .with = with};
    if (with != 0)
        memcpy(change.address, "new:1", 6);
    qr_membership_ask(&body, &change);
    return apply(index);
}

static int end(uint64_t index, enum qr_change_result result)
{
    qr_membership_end(&body, index, result);
    return apply(index + 1);
}

static void a_configuration_is_recorded_once(void **state)
{
    (void)state;
    assert_int_equal(record(5, 3), 0);
    assert_int_equal(m.n, 3);
    assert_int_equal(qr_membership_voters(&m), 2);
    assert_int_equal(m.members[2].disk, 102);
    assert_string_equal(m.members[2].address, "h:1");
    assert_int_equal(record(5, 2), QR_E_UNKNOWN);
    assert_int_equal(record(4, 2), QR_E_UNKNOWN);
    assert_int_equal(m.n, 3);
    assert_int_equal(record(6, 2), 0);
    assert_int_equal(m.n, 2);
}

static void one_change_at_a_time(void **state)
{
    (void)state;
    assert_int_equal(ask(QR_CHANGE_ADD, 0, 0, 4, 9), QR_E_BUSY); /* nothing is recorded */
    assert_int_equal(record(1, 3), 0);
    assert_int_equal(ask(QR_CHANGE_ADD, 0, 0, 4, 10), 0);
    assert_int_equal(m.change.index, 10);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 1, 100, 0, 11), QR_E_BUSY);
    assert_int_equal(end(11, QR_CHANGE_DONE), QR_E_UNKNOWN);
    assert_int_equal(end(10, QR_CHANGE_NO_QUORUM), 0);
    assert_int_equal(m.change.kind, QR_CHANGE_NONE);
    assert_int_equal(m.last.with, 4);
    assert_int_equal(m.last_result, QR_CHANGE_NO_QUORUM);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 1, 100, 0, 12), 0);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    assert_int_equal(record(1, 3), 0);
    assert_int_equal(ask(QR_CHANGE_ADD, 0, 0, 3, 10), QR_E_EXISTS);
    assert_int_equal(ask(QR_CHANGE_REPLACE, 1, 100, 3, 10), QR_E_EXISTS);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 4, 100, 0, 10), QR_E_UNKNOWN);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 1, 101, 0, 10), QR_E_UNKNOWN); /* another disk */
    assert_int_equal(m.change.kind, QR_CHANGE_NONE);
    static const char *const bodies[] = {"", "\1", "\5", "\1\1", "\3\1\2\3\4\5\6\7\10\100"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_int_equal(qr_membership_apply(&m, qr_slice_str(bodies[i]), 20), QR_E_MALFORMED);
    struct qr_change odd = {.kind = QR_CHANGE_ADD, .with = 9, .address = "h:1"};
    qr_membership_ask(&body, &odd);
    qr_buf_add_u8(&body, 0);
    assert_int_equal(apply(21), QR_E_MALFORMED); /* a byte too many */
}

static void who_was_removed_is_remembered_until_it_comes_back(void **state)
{
    (void)state;
    assert_int_equal(record(1, 3), 0);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 2, 101, 0, 10), 0);
    assert_int_equal(end(10, QR_CHANGE_DONE), 0);
    assert_true(qr_membership_is_removed(&m, 2));
    assert_int_equal(record(11, 1), 0);
    assert_int_equal(ask(QR_CHANGE_ADD, 0, 0, 2, 12), 0);
    assert_true(qr_membership_is_removed(&m, 2)); /* not before it is done */
    assert_int_equal(end(12, QR_CHANGE_DONE), 0);
    assert_false(qr_membership_is_removed(&m, 2));
    /* Nor is one that came, and the other could not go. */
    assert_int_equal(ask(QR_CHANGE_REMOVE, 2, 101, 0, 13), QR_E_UNKNOWN);
    assert_int_equal(record(14, 3), 0);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 2, 101, 0, 15), 0);
    assert_int_equal(end(15, QR_CHANGE_DONE), 0);
    assert_int_equal(record(16, 1), 0);
    assert_int_equal(ask(QR_CHANGE_REPLACE, 1, 100, 2, 17), 0);
    assert_int_equal(record(18, 2), 0);
    assert_true(qr_membership_is_removed(&m, 2)); /* A learner may yet go. */
    assert_int_equal(record(19, 3), 0);
    assert_int_equal(end(17, QR_CHANGE_NO_QUORUM), 0);
    assert_false(qr_membership_is_removed(&m, 2));
    /* One that is rebuilt was not removed. */
    assert_int_equal(ask(QR_CHANGE_REPLACE, 1, 100, 1, 20), 0);
    assert_int_equal(end(20, QR_CHANGE_DONE), 0);
    assert_int_equal(m.n_removed, 0);
}

static void a_change_can_be_taken_back(void **state)
{
    (void)state;
    assert_int_equal(record(1, 3), 0);
    qr_membership_cancel(&body, 7);
    assert_int_equal(apply(8), QR_E_UNKNOWN);
    assert_int_equal(ask(QR_CHANGE_ADD, 0, 0, 4, 10), 0);
    qr_membership_cancel(&body, 10);
    assert_int_equal(apply(11), 0);
    assert_true(m.change.canceled);
}

static void snapshots_hold_all_of_it(void **state)
{
    (void)state;
    struct qr_membership got;
    assert_int_equal(record(1, 3), 0);
    assert_int_equal(ask(QR_CHANGE_REMOVE, 2, 101, 0, 10), 0);
    assert_int_equal(end(10, QR_CHANGE_DONE), 0);
    assert_int_equal(ask(QR_CHANGE_REPLACE, 1, 100, 9, 12), 0);
    qr_membership_cancel(&body, 12);
    assert_int_equal(apply(13), 0);
    qr_membership_encode(&m, &body);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    qr_membership_decode(&got, &in);
    assert_true(qr_cursor_done(&in));
    struct qr_buf again = {0};
    qr_membership_encode(&got, &again);
    assert_int_equal(again.len, body.len);
    assert_memory_equal(again.base, body.base, body.len);
    assert_int_equal(got.change.with, 9);
    assert_true(got.change.canceled);
    assert_true(qr_membership_is_removed(&got, 2));
    for (size_t n = 0; n < body.len; n++) {
        in = qr_cursor_of(qr_slice_of(body.base, n));
        qr_membership_decode(&got, &in);
        assert_false(qr_cursor_done(&in));
    }
    qr_buf_release(&again);
}

static void each_result_has_a_sentence(void **state)
{
    (void)state;
    for (int i = 0; i <= QR_CHANGE_RESULT_MAX; i++)
        assert_true(strlen(qr_change_result_text((enum qr_change_result)i)) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_configuration_is_recorded_once, start, stop),
        cmocka_unit_test_setup_teardown(one_change_at_a_time, start, stop),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(who_was_removed_is_remembered_until_it_comes_back, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_change_can_be_taken_back, start, stop),
        cmocka_unit_test_setup_teardown(snapshots_hold_all_of_it, start, stop),
        cmocka_unit_test(each_result_has_a_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
