/* Hundreds of short histories with faults, from seeds.
 *
 * QR_SIM_SEEDS=first:n and QR_SIM_STEPS change what is run, for long runs; QR_SIM_VERBOSE prints a
 * line each.  A failure names its seed. */
#include "cluster/tests/sim.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "testing/cmocka.h"

static unsigned long long first_seed = 1, n_seeds = 600;
static unsigned n_steps = 12000;

static void histories_with_faults_end_well(void **state)
{
    (void)state;
    for (unsigned long long seed = first_seed; seed < first_seed + n_seeds; seed++) {
        unsigned n = seed % 3 == 0 ? 5 : 3;
        const char *wrong = sim_history(seed, n, n_steps, 0, NULL);
        if (wrong != NULL)
            fail_msg("seed %llu, %u members, %u steps: %s", seed, n, n_steps, wrong);
    }
    printf("%llu histories of %u steps from seed %llu\n", n_seeds, n_steps, first_seed);
}

static void the_same_seed_is_the_same_history(void **state)
{
    (void)state;
    uint64_t a = 0, b = 0, c = 0;
    sim_history(4711, 3, 5000, 0, &a);
    sim_history(4711, 3, 5000, 0, &b);
    sim_history(4712, 3, 5000, 0, &c);
    assert_int_equal(a, b);
    assert_int_not_equal(a, c);
}

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    const char *seeds = getenv("QR_SIM_SEEDS"), *steps = getenv("QR_SIM_STEPS");
    if (seeds != NULL && sscanf(seeds, "%llu:%llu", &first_seed, &n_seeds) != 2)
        return 2;
    if (steps != NULL)
        n_steps = (unsigned)strtoul(steps, NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_is_the_same_history),
        cmocka_unit_test(histories_with_faults_end_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
