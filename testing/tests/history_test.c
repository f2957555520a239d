/* Tests also: history_admin, history_log, history_lz4, history_table, history_tiers. */
#include "testing/history.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "storage/lanes.h"
#include "testing/cmocka.h"

/* Sanitizers take ten times as long. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HISTORIES 30
#else
#define HISTORIES 250
#endif

/* QR_HISTORY_SEED=N runs that history alone; QR_HISTORIES=N so many. */
static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 0) : otherwise;
}

static void run(uint64_t seed, struct qr_history_result *result)
{
    if (!qr_history_run(seed, QR_HISTORY_PACKED, result))
        fail_msg("QR_HISTORY_SEED=%llu: %s", (unsigned long long)seed, result->failure);
}

static void members_of_one_log_are_one(void **state)
{
    (void)state;
    struct qr_history_result result, all = {0};
    uint64_t first = number("QR_HISTORY_SEED", 1);
    uint64_t n = number("QR_HISTORIES", getenv("QR_HISTORY_SEED") != NULL ? 1 : HISTORIES);
    for (uint64_t seed = first; seed < first + n; seed++) {
        run(seed, &result);
        all.n_entries += result.n_entries;
        all.n_samples += result.n_samples;
        all.n_files += result.n_files;
        all.n_restarts += result.n_restarts;
        all.n_refused += result.n_refused;
        all.n_points += result.n_points;
    }
    printf("%llu histories: %llu entries (%llu refused), %llu samples, %llu files, %llu restarts, "
           "%llu points compared\n",
           (unsigned long long)n, (unsigned long long)all.n_entries,
           (unsigned long long)all.n_refused, (unsigned long long)all.n_samples,
           (unsigned long long)all.n_files, (unsigned long long)all.n_restarts,
           (unsigned long long)all.n_points);
    /* What never happens in them is not tested by them. */
    assert_true(all.n_samples > n * 1000);
    assert_true(all.n_files > n);
    assert_true(all.n_restarts > n);
    assert_true(all.n_refused > 0);
    assert_true(all.n_points > n * 100);
}

/* Any compiler, any processor and any liblz4 makes these bytes.  Who changes what is in files or
 * snapshots on purpose, with their version, puts here what the failing test prints. */
#define BYTES_HASH UINT64_C(0x3f002655f70d71a9)

static void assert_bytes(enum qr_history_packing packing)
{
    struct qr_history_result result;
    uint64_t hash = 0;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        if (!qr_history_run(seed, packing, &result))
            fail_msg("seed %llu: %s", (unsigned long long)seed, result.failure);
        hash = hash * 0x9e3779b97f4a7c15u + result.hash;
    }
    if (hash != BYTES_HASH)
        fail_msg("BYTES_HASH is 0x%016llx now", (unsigned long long)hash);
}

static void bytes_are_those_of_every_build(void **state)
{
    (void)state;
    assert_bytes(QR_HISTORY_PACKED);
}

static void bytes_are_those_of_every_processor(void **state)
{
    (void)state;
    qr_lanes_use(&qr_lanes_plain);
    assert_bytes(QR_HISTORY_PACKED);
}

static int with_the_fastest_lanes(void **state)
{
    (void)state;
    qr_lanes_use(NULL);
    return 0;
}

/* Entries are as long as the proposer's liblz4 makes them; what is in them is the same. */
static void bytes_are_those_of_every_liblz4(void **state)
{
    (void)state;
    assert_bytes(QR_HISTORY_PACKED_OTHERWISE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_of_one_log_are_one),
        cmocka_unit_test(bytes_are_those_of_every_build),
        cmocka_unit_test_teardown(bytes_are_those_of_every_processor, with_the_fastest_lanes),
        cmocka_unit_test(bytes_are_those_of_every_liblz4),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
