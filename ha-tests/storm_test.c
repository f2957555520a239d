/* Faults in quick succession, drawn from a seed that is printed (QR_SEED sets it): members are
 * killed and started, paused, all connections of the children are broken; there is not always a
 * quorum, and no wait for calm in between.  Once it is over, nothing may be missing. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/rng.h"
#include "ha-tests/harness.h"

#define STORM_S   30
#define RETURN_MS 60000

static struct stage stage;
static struct qr_rng rng;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static void calm_ms(uint64_t ms)
{
    struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL); /* The pace of the storm, not a wait for anything. */
}

static void wake(unsigned id)
{
    if (stage.cluster.members[id].paused)
        qr_cluster_resume(&stage.cluster, id);
    if (!qr_cluster_running(&stage.cluster, id))
        expect(&stage, qr_cluster_start(&stage.cluster, id) == 0);
}

static void strike(void)
{
    unsigned id = 1 + (unsigned)qr_rng_below(&rng, stage.cluster.n);
    switch (qr_rng_below(&rng, 6)) {
    case 0:
    case 1:
        qr_cluster_kill(&stage.cluster, id);
        break;
    case 2:
        qr_cluster_pause(&stage.cluster, id);
        break;
    case 3:
        qr_process_signal(&stage.load, SIGUSR1);
        break;
    default:
        wake(id);
    }
}

static void storm(const struct stage_options *options)
{
    const char *text = getenv("QR_SEED");
    uint64_t seed = (uint64_t)getpid();
    if (text != NULL)
        seed = (uint64_t)strtoull(text, NULL, 10);
    qr_rng_seed(&rng, seed);
    print_message("ha %s: QR_SEED=%llu\n", options->name, (unsigned long long)seed);
    stage_up(&stage, options);
    stage_fault(&stage);
    uint64_t until_ms = qr_mono_ms() + STORM_S * 1000;
    unsigned n = 0;
    for (; qr_mono_ms() < until_ms; n++) {
        strike();
        calm_ms(100 + qr_rng_below(&rng, 1500));
    }
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        wake(id);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    print_message("ha %s: %u strikes\n", options->name, n);
    stage_wait_live(&stage, RETURN_MS);
    stage_check(&stage);
}

static void old_children_lose_nothing(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "storm-1.37",
        .netdata = true,
        .cluster = {.snapshot_threshold = 64, .snapshot_trailing = 32, .window_s = 60},
        .loadgen = {"--late-every", "4", "--reconnect-delay", "1000"}};
    storm(&options);
}

static void new_children_lose_nothing(void **state)
{
    (void)state;
    struct stage_options options = {.name = "storm-2.9",
                                    .loadgen = {"--v2", "--rules", "2.9", "--compression", "zstd",
                                                "--reconnect-delay", "1000"}};
    storm(&options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(old_children_lose_nothing, tear_down),
        cmocka_unit_test_teardown(new_children_lose_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
