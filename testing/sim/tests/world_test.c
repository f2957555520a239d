/* Short histories of a whole cluster, each in a process of its own.
 *
 * Tests also: checks, hosts, inject, keys, operator, points. */
#include "testing/sim/world.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "testing/cmocka.h"
#include "testing/sim/plants.h"

static struct qr_sim_options options_of(uint64_t seed, uint64_t seconds)
{
    struct qr_sim_options options;
    qr_sim_options_init(&options);
    options.seed = seed;
    options.duration_s = seconds;
    return options;
}

/* Returns what qr_sim_run did; plant -1: none. */
static int live(const struct qr_sim_options *options, int plant, struct qr_sim_result *result)
{
    int fds[2], status;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (plant >= 0)
            qr_plant_set((enum qr_plant)plant, true);
        int failed = qr_sim_run(options, result);
        ssize_t n = write(fds[1], result, sizeof *result);
        _exit(n == (ssize_t)sizeof *result ? failed : 3);
    }
    close(fds[1]);
    memset(result, 0, sizeof *result);
    size_t got = 0;
    for (ssize_t n; got < sizeof *result &&
                    (n = read(fds[0], (char *)result + got, sizeof *result - got)) > 0;)
        got += (size_t)n;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void a_quiet_cluster_stores_all_that_is_collected(void **state)
{
    (void)state;
    static struct qr_sim_result result;
    struct qr_sim_options options = options_of(4, 120);
    options.busy_s = 60;
    options.quiet_s = 60;
    options.faults = 0;
    assert_int_equal(live(&options, -1, &result), 0);
    assert_string_equal(result.sentence, "");
    assert_int_equal(result.n_elections, 1);
    assert_int_equal(result.n_boots, 3);
    assert_true(result.n_seals >= 2);
    assert_true(result.n_files >= 4);
    assert_int_equal(result.n_applied, 3 * result.n_entries);
    /* 3 members, 6 children of 2 x 2, most of them each second. */
    assert_true(result.n_samples > 3 * 6 * 4 * 60);
}

static void the_same_seed_is_the_same_history(void **state)
{
    (void)state;
    static struct qr_sim_result one, again, other;
    struct qr_sim_options options = options_of(2, 300);
    assert_int_equal(live(&options, -1, &one), 0);
    assert_int_equal(live(&options, -1, &again), 0);
    assert_memory_equal(&one, &again, sizeof one);
    assert_true(one.n_boots > 3);
    options.seed = 3;
    assert_int_equal(live(&options, -1, &other), 0);
    assert_true(other.digest != one.digest);
}

static void a_run_ends_at_the_step_it_is_told(void **state)
{
    (void)state;
    static struct qr_sim_result result;
    struct qr_sim_options options = options_of(2, 300);
    options.steps_max = 20000;
    assert_int_equal(live(&options, -1, &result), 0);
    assert_int_equal(result.steps, 20000);
}

/* More of them: ha-tests/campaign.  A checker that sees nothing is a defect. */
static void a_member_that_decodes_wrongly_is_seen(void **state)
{
    (void)state;
    static struct qr_sim_result result;
    struct qr_sim_options options = options_of(2, 300);
    options.out = tmpfile();
    assert_non_null(options.out);
    assert_int_equal(live(&options, QR_PLANT_wrong_base, &result), 1);
    assert_true(result.n_violations > 0);
    assert_true(result.violation_step > 0);
    assert_non_null(strstr(result.sentence, "a sample is wrong"));
    fclose(options.out);
}

/* At the end of the round all members vote and have everything: that is what is checked here. */
static void members_are_rebuilt_removed_and_added(void **state)
{
    (void)state;
    static struct qr_sim_result result;
    struct qr_sim_options options = options_of(5, 180);
    struct qr_sim_schedule schedule = {0};
    static const struct qr_sim_fault faults[] = {
        {.at_ms = 20000, .for_ms = 2000, .kind = QR_SIM_FAULT_WIPE, .target = 2},
        {.at_ms = 40000, .for_ms = 8000, .kind = QR_SIM_FAULT_MEMBERSHIP, .target = 1},
        {.at_ms = 60000, .for_ms = 8000, .kind = QR_SIM_FAULT_MEMBERSHIP, .target = 3, .number = 1},
    };
    for (unsigned i = 0; i < QR_COUNT(faults); i++)
        assert_int_equal(qr_sim_schedule_add(&schedule, &faults[i]), 0);
    options.busy_s = 90;
    options.quiet_s = 90;
    options.schedule = &schedule;
    assert_int_equal(live(&options, -1, &result), 0);
    assert_string_equal(result.sentence, "");
    assert_int_equal(result.n_faults[QR_SIM_FAULT_WIPE], 1);
    assert_int_equal(result.n_faults[QR_SIM_FAULT_MEMBERSHIP], 2);
    assert_int_equal(result.n_boots, 5);
    assert_true(result.n_fetches > 0);
    qr_sim_schedule_release(&schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quiet_cluster_stores_all_that_is_collected),
        cmocka_unit_test(the_same_seed_is_the_same_history),
        cmocka_unit_test(a_run_ends_at_the_step_it_is_told),
        cmocka_unit_test(a_member_that_decodes_wrongly_is_seen),
        cmocka_unit_test(members_are_rebuilt_removed_and_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
