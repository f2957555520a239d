#include "storage/postings.h"

#include <stdbool.h>
#include <string.h>

#include "base/rng.h"
#include "testing/cmocka.h"

#define N 6000

static void check(const struct qr_postings *postings, const bool *has, uint32_t from)
{
    struct qr_postings_at at;
    qr_postings_seek(postings, &at, from);
    for (uint32_t id = from; id < N; id++)
        if (has[id])
            assert_int_equal(qr_postings_next(&at), id);
    assert_int_equal(qr_postings_next(&at), 0);
}

static uint32_t count(const bool *has)
{
    uint32_t n = 0;
    for (uint32_t id = 1; id < N; id++)
        n += has[id];
    return n;
}

/* Ascending, as the log gives ids, then at random; removals leave crumbs. */
static void agrees_with_a_model(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_postings postings = {0};
    struct qr_rng rng;
    static bool has[N];
    qr_epoch_init(&epoch);
    qr_rng_seed(&rng, 3);
    check(&postings, has, 1);
    for (uint32_t id = 1; id < N; id += 1 + (uint32_t)qr_rng_below(&rng, 3)) {
        assert_int_equal(qr_postings_add(&postings, &epoch, id), 0);
        has[id] = true;
    }
    check(&postings, has, 1);
    for (int step = 0; step < 60000; step++) {
        uint32_t id = 1 + (uint32_t)qr_rng_below(&rng, N - 1);
        bool add = qr_rng_below(&rng, 10) < (step / 10000 % 2 == 0 ? 2u : 8u);
        assert_int_equal(add ? qr_postings_add(&postings, &epoch, id)
                             : qr_postings_remove(&postings, &epoch, id),
                         0);
        has[id] = add;
        if (step % 2000 == 0) {
            check(&postings, has, 1);
            check(&postings, has, id);
            assert_int_equal(qr_postings_count(&postings), count(has));
            qr_epoch_collect(&epoch);
        }
    }
    for (uint32_t id = 1; id < N; id++)
        assert_int_equal(qr_postings_remove(&postings, &epoch, id), 0);
    assert_null(atomic_load(&postings.body)); /* Nothing is left behind. */
    assert_int_equal(qr_postings_count(&postings), 0);
    assert_int_equal(qr_postings_add(&postings, &epoch, 7), 0);
    qr_epoch_release(&epoch);
    qr_postings_release(&postings);
}

/* What a reader holds stays as it was, or shows what came, but never skips or repeats. */
static void a_walk_goes_on_through_changes(void **state)
{
    (void)state;
    struct qr_epoch epoch;
    struct qr_postings postings = {0};
    struct qr_rng rng;
    qr_epoch_init(&epoch);
    qr_rng_seed(&rng, 9);
    for (uint32_t id = 2; id < 4000; id += 2) /* The even ones stay. */
        assert_int_equal(qr_postings_add(&postings, &epoch, id), 0);
    for (int round = 0; round < 20; round++) {
        int slot = qr_epoch_enter(&epoch);
        struct qr_postings_at at;
        uint32_t id, next = 2, last = 0;
        qr_postings_seek(&postings, &at, 1);
        while ((id = qr_postings_next(&at)) != 0) {
            assert_true(id > last);
            last = id;
            if (id % 2 == 0) {
                assert_int_equal(id, next);
                next += 2;
            }
            uint32_t odd = 1 + 2 * (uint32_t)qr_rng_below(&rng, 2000);
            assert_int_equal(round % 2 == 0 ? qr_postings_add(&postings, &epoch, odd)
                                            : qr_postings_remove(&postings, &epoch, odd),
                             0);
        }
        assert_int_equal(next, 4000);
        qr_epoch_leave(&epoch, slot);
        qr_epoch_collect(&epoch);
    }
    qr_epoch_release(&epoch);
    qr_postings_release(&postings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(a_walk_goes_on_through_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
