#include "base/rng.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

/* The published first values of splitmix64: a replay years from now meets the same numbers. */
static void a_seed_gives_its_known_sequence(void **state)
{
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u,
                                        16408922859458223821u};
    struct qr_rng rng;
    qr_rng_seed(&rng, 1234567);
    for (size_t i = 0; i < QR_COUNT(expected); i++)
        assert_int_equal(qr_rng_next(&rng), expected[i]);
}

static void below_stays_below_and_is_even(void **state)
{
    struct qr_rng rng;
    unsigned counts[7] = {0};
    qr_rng_seed(&rng, 1);
    for (int i = 0; i < 70000; i++) {
        uint64_t v = qr_rng_below(&rng, 7);
        assert_in_range(v, 0, 6);
        counts[v]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(counts[i], 9500, 10500); /* five standard deviations */
    assert_int_equal(qr_rng_below(&rng, 1), 0);
    qr_rng_below(&rng, UINT64_MAX);
}

static void entropy_differs(void **state)
{
    assert_int_not_equal(qr_rng_entropy(), qr_rng_entropy());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seed_gives_its_known_sequence),
        cmocka_unit_test(below_stays_below_and_is_even),
        cmocka_unit_test(entropy_differs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
