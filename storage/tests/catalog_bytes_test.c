#include "storage/catalog_bytes.h"

#include "storage/tests/catalog_model.h"

struct member {
    struct qr_epoch epoch;
    struct qr_catalog catalog;
};

static struct member *member_new(void)
{
    struct member *member = calloc(1, sizeof *member);
    qr_epoch_init(&member->epoch);
    assert_int_equal(qr_catalog_init(&member->catalog, &member->epoch), 0);
    return member;
}

static void member_free(struct member *member)
{
    qr_epoch_release(&member->epoch);
    qr_catalog_release(&member->catalog);
    free(member);
}

static struct qr_buf bytes_of(const struct member *member)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_catalog_encode(&member->catalog, &out), 0);
    assert_false(out.failed);
    return out;
}

static struct member *restored(const struct qr_buf *bytes)
{
    struct member *member = member_new();
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(bytes));
    assert_int_equal(qr_catalog_decode(&member->catalog, &in, 0), 0);
    assert_true(qr_cursor_done(&in));
    return member;
}

/* Members that were restored at different times, one never, and all that follows is the same. */
static void members_stay_equal_after_removals(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct qr_rng choices;
        struct member *first = member_new(), *second = member_new();
        qr_rng_seed(&choices, seed);
        for (int round = 0; round < 40; round++) {
            uint64_t history = qr_rng_next(&choices);
            struct qr_rng rng;
            qr_rng_seed(&rng, history);
            for (int step = 0; step < 60; step++)
                change_catalog(&first->catalog, &rng, 5);
            qr_rng_seed(&rng, history);
            for (int step = 0; step < 60; step++)
                change_catalog(&second->catalog, &rng, 5);
            struct qr_buf a = bytes_of(first), b = bytes_of(second);
            assert_true(qr_slice_equal(qr_buf_slice(&a), qr_buf_slice(&b)));
            if (qr_rng_below(&choices, 3) == 0) {
                member_free(second);
                second = restored(&a);
                struct qr_buf again = bytes_of(second);
                assert_true(qr_slice_equal(qr_buf_slice(&a), qr_buf_slice(&again)));
                qr_buf_release(&again);
            }
            qr_buf_release(&a);
            qr_buf_release(&b);
        }
        assert_true(first->catalog.last_chart > qr_catalog_n_charts(&first->catalog) + 100);
        member_free(first);
        member_free(second);
    }
}

/* The same charts on many hosts cost little more than their watermarks. */
static void shared_definitions_are_written_once(void **state)
{
    (void)state;
    struct member *member = member_new();
    struct qr_host *host;
    struct qr_chart *chart;
    for (unsigned h = 0; h < 50; h++) {
        assert_int_equal(qr_catalog_put_host(&member->catalog, host_def(h), &host), 0);
        for (unsigned c = 0; c < 20; c++) {
            char id[16];
            snprintf(id, sizeof id, "chart%u", c);
            assert_int_equal(
                qr_catalog_put_chart(&member->catalog, host, chart_def(id, id, 1, 0, 8), &chart),
                0);
        }
    }
    struct qr_buf bytes = bytes_of(member);
    assert_true(bytes.len < 50 * 60 + 20 * 150 + 1000 * 10);
    struct member *again = restored(&bytes);
    struct qr_catalog_stats stats;
    qr_catalog_get_stats(&again->catalog, &stats);
    assert_int_equal(stats.pool.n_defs, 20);
    qr_buf_release(&bytes);
    member_free(again);
    member_free(member);
}

/* A definition in full that was there before, or a number that nothing has, is not our writing. */
static void one_state_has_one_form(void **state)
{
    (void)state;
    struct member *member = member_new();
    struct qr_host *host;
    assert_int_equal(qr_catalog_put_host(&member->catalog, host_def(1), &host), 0);
    assert_int_equal(qr_catalog_put_host(&member->catalog, host_def(2), &host), 0);
    struct qr_buf bytes = {0}, empty = bytes_of(member);
    for (unsigned repeat = 0; repeat < 3; repeat++) {
        qr_buf_clear(&bytes);
        qr_buf_add(&bytes, empty.base, empty.len - 2); /* Its charts are two zeros. */
        qr_buf_add_varint(&bytes, 2);
        qr_buf_add_varint(&bytes, 2);
        for (unsigned i = 0; i < 2; i++) {
            struct qr_chart_def *def = chart_def("x", "x", 1, 0, 1);
            bool full = i == 0 || repeat == 1;
            qr_buf_add_varint(&bytes, 1);
            qr_buf_add_varint(&bytes, i + 1);
            qr_buf_add_varint(&bytes, full ? 0 : repeat == 2 ? 2 : 1);
            if (full)
                assert_int_equal(qr_chart_def_encode(&bytes, def), 0);
            qr_buf_add(&bytes, "\0\0\0\0\0", 5);
            free(def);
        }
        struct member *other = member_new();
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
        int err = qr_catalog_decode(&other->catalog, &in, 0);
        assert_int_equal(err, repeat == 0 ? 0 : QR_E_MALFORMED);
        member_free(other);
    }
    qr_buf_release(&bytes);
    qr_buf_release(&empty);
    member_free(member);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_stay_equal_after_removals),
        cmocka_unit_test(shared_definitions_are_written_once),
        cmocka_unit_test(one_state_has_one_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
