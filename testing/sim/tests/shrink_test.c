#include "testing/sim/shrink.h"

#include <stdlib.h>

#include "base/error.h"
#include "testing/cmocka.h"

/* In the place of the simulator: it fails if member 2 is killed for 700 ms or more, and a child
 * after that; a flip fails in another way. */
int qr_sim_run(const struct qr_sim_options *options, struct qr_sim_result *result)
{
    bool killed = false, both = false, flipped = false;
    for (uint32_t i = 0; i < options->schedule->n; i++) {
        const struct qr_sim_fault *fault = &options->schedule->at[i];
        killed |= fault->kind == QR_SIM_FAULT_KILL && fault->target == 2 && fault->for_ms >= 700;
        if (killed && fault->kind == QR_SIM_FAULT_CHILD_KILL) {
            both = true;
            result->violation_ms = fault->at_ms;
        }
        flipped |= fault->kind == QR_SIM_FAULT_FLIP;
    }
    result->steps = 1000;
    result->n_violations = both || flipped;
    if (both)
        snprintf(result->sentence, sizeof result->sentence, "a sample is lost: second %u",
                 options->schedule->n);
    else if (flipped)
        snprintf(result->sentence, sizeof result->sentence, "a sample is damaged");
    return result->n_violations != 0;
}

void qr_sim_options_init(struct qr_sim_options *options)
{
    *options = (struct qr_sim_options){.seed = 1};
}

static struct qr_sim_arguments faults_each(bool with_child, uint64_t ms)
{
    struct qr_sim_arguments arguments = {.plant = -1};
    for (uint32_t i = 0; i < 60; i++) {
        struct qr_sim_fault fault = {.at_ms = i * ms,
                                     .for_ms = 5000,
                                     .kind = i % 7 == 0 ? QR_SIM_FAULT_KILL : QR_SIM_FAULT_RESET,
                                     .target = i % 3 + 1};
        if (i == 41 && with_child)
            fault.kind = QR_SIM_FAULT_CHILD_KILL;
        if (i == 50)
            fault.kind = QR_SIM_FAULT_FLIP;
        assert_int_equal(qr_sim_schedule_add(&arguments.schedule, &fault), 0);
    }
    return arguments;
}

static struct qr_sim_arguments many_faults(bool with_child)
{
    return faults_each(with_child, 1000);
}

static void what_is_not_needed_is_gone(void **state)
{
    (void)state;
    struct qr_sim_arguments arguments = many_faults(true);
    struct qr_sim_shrunk shrunk;
    FILE *out = tmpfile();
    arguments.options.schedule = &arguments.schedule;
    assert_int_equal(qr_sim_shrink(&arguments, 1000, &shrunk, out), 0);
    assert_int_equal(shrunk.n_before, 60);
    assert_int_equal(shrunk.schedule.n, 2);
    assert_int_equal(shrunk.schedule.at[0].kind, QR_SIM_FAULT_KILL);
    assert_int_equal(shrunk.schedule.at[0].target, 2);
    assert_int_equal(shrunk.schedule.at[0].for_ms, 700);
    assert_int_equal(shrunk.schedule.at[1].kind, QR_SIM_FAULT_CHILD_KILL);
    assert_int_equal(shrunk.schedule.at[1].for_ms, 0);
    assert_string_equal(shrunk.result.sentence, "a sample is lost: second 2");
    fclose(out);
    qr_sim_schedule_release(&shrunk.schedule);
    qr_sim_arguments_release(&arguments);
}

/* Rounds of 200 s: member 2 is killed in second 280, the child in second 410. */
static void what_the_last_rounds_show_needs_no_others(void **state)
{
    (void)state;
    struct qr_sim_arguments arguments = faults_each(true, 10000);
    struct qr_sim_shrunk shrunk;
    FILE *out = tmpfile();
    arguments.options = (struct qr_sim_options){.seed = 7,
                                                .busy_s = 150,
                                                .quiet_s = 50,
                                                .duration_s = 800,
                                                .schedule = &arguments.schedule};
    assert_int_equal(qr_sim_shrink(&arguments, 1000, &shrunk, out), 0);
    assert_int_equal(shrunk.options.seed, 7);
    assert_int_equal(shrunk.options.duration_s, 400);
    assert_int_equal(shrunk.schedule.n, 2);
    assert_int_equal(shrunk.schedule.at[0].at_ms, 80000);
    assert_int_equal(shrunk.schedule.at[1].at_ms, 210000);
    fclose(out);
    qr_sim_schedule_release(&shrunk.schedule);
    qr_sim_arguments_release(&arguments);
}

static void another_failure_is_not_the_same(void **state)
{
    (void)state;
    struct qr_sim_arguments arguments = many_faults(false);
    struct qr_sim_shrunk shrunk;
    FILE *out = tmpfile();
    arguments.options.schedule = &arguments.schedule;
    assert_int_equal(qr_sim_shrink(&arguments, 1000, &shrunk, out), 0);
    assert_int_equal(shrunk.schedule.n, 1);
    assert_int_equal(shrunk.schedule.at[0].kind, QR_SIM_FAULT_FLIP);
    fclose(out);
    qr_sim_schedule_release(&shrunk.schedule);
    qr_sim_arguments_release(&arguments);
}

static void what_does_not_fail_is_not_shrunk(void **state)
{
    (void)state;
    struct qr_sim_arguments arguments = {.plant = -1};
    struct qr_sim_shrunk shrunk;
    arguments.options.schedule = &arguments.schedule;
    assert_int_equal(qr_sim_shrink(&arguments, 1000, &shrunk, stdout), QR_E_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_needed_is_gone),
        cmocka_unit_test(what_the_last_rounds_show_needs_no_others),
        cmocka_unit_test(another_failure_is_not_the_same),
        cmocka_unit_test(what_does_not_fail_is_not_shrunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
