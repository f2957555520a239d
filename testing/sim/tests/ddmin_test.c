#include "testing/sim/ddmin.h"

#include "base/compiler.h"
#include "base/rng.h"
#include "testing/cmocka.h"

#define THINGS_MAX 400u

/* Fails if all that are needed are there. */
struct failure {
    bool needed[THINGS_MAX];
    uint32_t n_things, n_needed, n_asked;
    uint64_t number; /* Of which on it fails. */
};

static bool fails(void *data, const uint32_t *kept, uint32_t n)
{
    struct failure *failure = data;
    uint32_t n_there = 0;
    failure->n_asked++;
    for (uint32_t i = 0; i < n; i++) {
        assert_true(kept[i] < failure->n_things);
        assert_true(i == 0 || kept[i - 1] < kept[i]);
        n_there += failure->needed[kept[i]];
    }
    return n_there == failure->n_needed;
}

static struct failure failure_of(uint32_t n_things, uint32_t n_needed, uint64_t seed)
{
    struct failure failure = {.n_things = n_things};
    struct qr_rng rng;
    qr_rng_seed(&rng, seed);
    while (failure.n_needed < n_needed) {
        uint32_t at = (uint32_t)qr_rng_below(&rng, n_things);
        failure.n_needed += !failure.needed[at];
        failure.needed[at] = true;
    }
    return failure;
}

static void keeps_what_is_needed_and_nothing_else(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 7, 64, 100, THINGS_MAX};
    for (size_t s = 0; s < QR_COUNT(sizes); s++) {
        for (uint32_t n_needed = 0; n_needed <= 6 && n_needed <= sizes[s]; n_needed++) {
            struct failure failure = failure_of(sizes[s], n_needed, s * 10 + n_needed);
            struct qr_ddmin ddmin = {fails, &failure, 100000, 0};
            uint32_t kept[THINGS_MAX];
            uint32_t n = qr_ddmin(&ddmin, kept, sizes[s]);
            assert_int_equal(n, n_needed);
            assert_true(fails(&failure, kept, n));
            assert_int_equal(ddmin.n_tries + 1, failure.n_asked);
        }
    }
}

/* Three of four hundred: far fewer questions than things. */
static void asks_few_questions(void **state)
{
    (void)state;
    struct failure failure = failure_of(THINGS_MAX, 3, 1);
    struct qr_ddmin ddmin = {fails, &failure, 100000, 0};
    uint32_t kept[THINGS_MAX];
    assert_int_equal(qr_ddmin(&ddmin, kept, THINGS_MAX), 3);
    assert_true(failure.n_asked < 80);
}

static void without_failures_to_find_all_stay(void **state)
{
    (void)state;
    struct failure failure = {.n_things = 20, .n_needed = 21};
    struct qr_ddmin ddmin = {fails, &failure, 100000, 0};
    uint32_t kept[20];
    assert_int_equal(qr_ddmin(&ddmin, kept, 20), 20);
    for (uint32_t i = 0; i < 20; i++)
        assert_int_equal(kept[i], i);
    assert_int_equal(qr_ddmin(&ddmin, kept, 0), 0);
}

static void stops_when_it_may_not_ask_any_more(void **state)
{
    (void)state;
    struct failure failure = failure_of(THINGS_MAX, 5, 2);
    for (uint32_t tries = 0; tries < 60; tries += 7) {
        struct qr_ddmin ddmin = {fails, &failure, tries, 0};
        uint32_t kept[THINGS_MAX];
        failure.n_asked = 0;
        uint32_t n = qr_ddmin(&ddmin, kept, THINGS_MAX);
        assert_int_equal(failure.n_asked, tries);
        assert_true(fails(&failure, kept, n)); /* What is left still fails. */
    }
}

static bool fails_from(void *data, uint64_t number)
{
    struct failure *failure = data;
    failure->n_asked++;
    return number >= failure->number;
}

static void numbers_become_as_small_as_they_may(void **state)
{
    (void)state;
    struct failure failure = {0};
    struct qr_ddmin ddmin = {NULL, &failure, 100000, 0};
    for (failure.number = 0; failure.number <= 1000; failure.number += 37) {
        uint64_t least = 100, most = 1000;
        uint64_t expected = failure.number > least ? failure.number : least;
        assert_int_equal(qr_ddmin_number(&ddmin, fails_from, least, most), expected);
    }
    assert_true(failure.n_asked < 28 * 11);
    assert_int_equal(qr_ddmin_number(&ddmin, fails_from, 5, 5), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_is_needed_and_nothing_else),
        cmocka_unit_test(asks_few_questions),
        cmocka_unit_test(without_failures_to_find_all_stay),
        cmocka_unit_test(stops_when_it_may_not_ask_any_more),
        cmocka_unit_test(numbers_become_as_small_as_they_may),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
