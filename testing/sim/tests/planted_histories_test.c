/* Planted bugs of machine and store: random logs (testing/history) show them. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/log.h"
#include "testing/cmocka.h"
#include "testing/history.h"
#include "testing/sim/plants.h"

/* Histories until it is seen: each has some 400 entries. */
static const struct {
    enum qr_plant plant;
    uint64_t histories_max;
} planted[] = {
    {QR_PLANT_dedupe_off, 3},          {QR_PLANT_fence_skipped, 3},
    {QR_PLANT_epoch_not_raised, 3},    {QR_PLANT_snapshot_lacks_head, 3},
    {QR_PLANT_wrong_base, 3},          {QR_PLANT_duplicate_overwrites, 3},
    {QR_PLANT_late_sample_dropped, 3}, {QR_PLANT_seal_twice, 3},
    {QR_PLANT_merge_forgets_late, 3},  {QR_PLANT_stale_points, 40},
    {QR_PLANT_border_of_points, 40},
};

/* In a process of its own: an assertion sees some of them.  False: nothing was wrong. */
static bool is_wrong(uint64_t seed, int plant)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct qr_history_result result;
        if (plant >= 0)
            qr_plant_set((enum qr_plant)plant, true);
        bool sound = qr_history_run(seed, QR_HISTORY_PACKED, &result);
        if (!sound)
            printf("    %s\n", result.failure);
        fflush(stdout);
        _exit(sound ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        printf("    an assertion\n");
    return status != 0;
}

static void random_logs_show_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(planted); i++) {
        const char *name = qr_plants[planted[i].plant].name;
        uint64_t seed = 1;
        printf("%s\n", name);
        while (seed <= planted[i].histories_max && !is_wrong(seed, (int)planted[i].plant))
            seed++;
        if (seed > planted[i].histories_max)
            fail_msg("%s was not seen in %llu histories", name,
                     (unsigned long long)planted[i].histories_max);
        assert_false(is_wrong(seed, -1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_logs_show_each),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
