#include "storage/id_runs.h"

#include "base/rng.h"
#include "testing/cmocka.h"

#define IDS 2000u

static int thing;

static void it_is_what_is_not_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct qr_rng rng;
        struct qr_epoch epoch;
        struct qr_ids ids;
        struct qr_id_runs runs = {0}, copy = {0}, read = {0};
        struct qr_buf out = {0};
        qr_rng_seed(&rng, seed);
        qr_epoch_init(&epoch);
        qr_ids_init(&ids, &epoch);
        for (uint32_t id = 1; id <= IDS; id++)
            if (qr_rng_below(&rng, 60) < seed)
                assert_int_equal(qr_ids_set(&ids, id, &thing), 0);
        uint32_t last = IDS - (uint32_t)qr_rng_below(&rng, 100);
        assert_int_equal(qr_id_runs_missing(&runs, &ids, last), 0);
        assert_int_equal(qr_id_runs_copy(&copy, &runs), 0);
        qr_id_runs_encode(&runs, &out);
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
        assert_int_equal(qr_id_runs_decode(&read, &in, last), 0);
        assert_true(qr_cursor_done(&in));
        for (uint32_t id = 1; id <= IDS; id++) {
            bool missing = id <= last && qr_ids_get(&ids, id) == NULL;
            assert_int_equal(qr_id_runs_have(&runs, id), missing);
            assert_int_equal(qr_id_runs_have(&copy, id), missing);
            assert_int_equal(qr_id_runs_have(&read, id), missing);
        }
        assert_false(qr_id_runs_have(&runs, 0));
        qr_buf_release(&out);
        qr_id_runs_release(&runs);
        qr_id_runs_release(&copy);
        qr_id_runs_release(&read);
        qr_epoch_release(&epoch);
        qr_ids_release(&ids);
    }
}

static int decode(const char *bytes, size_t len, uint32_t last)
{
    struct qr_id_runs runs = {0};
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, len));
    int err = qr_id_runs_decode(&runs, &in, last);
    qr_id_runs_release(&runs);
    return err;
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    assert_int_equal(decode("\x02\x00\x01\x01\x00", 5, 4), 0); /* 1 .. 2, and 4 */
    assert_true(decode("\x02\x00\x01\x01\x00", 5, 3) != 0);    /* There is no 4. */
    assert_true(decode("\x02\x00\x01\x00\x00", 5, 9) != 0);    /* Neighbours are one run. */
    assert_true(decode("\x02\x00\x01\x01", 4, 9) != 0);        /* Cut. */
    assert_true(decode("\x7f\x00\x01", 3, 9) != 0);            /* More than can be. */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_what_is_not_there),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
