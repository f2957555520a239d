/* libquorate_slow_disk.so: a program that writes and syncs takes as much longer as it is told. */
#include <stdio.h>

#include "testing/cmocka.h"
#include "testing/process.h"

#define DELAY_MS 300

static char dir[QR_TEMP_DIR_BYTES];

static int set_up(void **state)
{
    (void)state;
    qr_temp_dir(dir, "slow-disk");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    qr_remove_dir(dir);
    return 0;
}

static void set_delays(const char *path, uint32_t sync_us, uint32_t write_us)
{
    uint32_t delays[2] = {sync_us, write_us};
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fwrite(delays, sizeof delays, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* How long a program takes to write three blocks and sync them. */
static uint64_t write_ms(uint32_t sync_us, uint32_t write_us)
{
    char preload[512], delays[QR_TEMP_DIR_BYTES + 32], out[QR_TEMP_DIR_BYTES + 32], path[512];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s/testing/libquorate_slow_disk.so",
             QR_BUILD_DIR);
    snprintf(path, sizeof path, "%s/delays", dir);
    snprintf(delays, sizeof delays, "QR_SLOW_DISK=%s/delays", dir);
    snprintf(out, sizeof out, "of=%s/out", dir);
    set_delays(path, sync_us, write_us);
    const char *argv[] = {
        "env",     preload,          delays,        "dd", "if=/dev/zero", out, "bs=4096",
        "count=3", "conv=fdatasync", "status=none", NULL};
    uint64_t from_ms = qr_mono_ms();
    assert_int_equal(qr_process_run(argv), 0);
    return qr_mono_ms() - from_ms;
}

static void syncs_take_longer(void **state)
{
    (void)state;
    assert_in_range(write_ms(DELAY_MS * 1000, 0), DELAY_MS, DELAY_MS + 60000);
}

static void writes_take_longer(void **state)
{
    (void)state;
    assert_in_range(write_ms(0, DELAY_MS * 1000), 3 * DELAY_MS, 3 * DELAY_MS + 60000);
}

/* The mapping is read each time: what is 0 costs nothing, whatever it was before. */
static void nothing_takes_longer_that_is_not_told_to(void **state)
{
    (void)state;
    uint64_t slow_ms = write_ms(3000000, 0);
    assert_true(write_ms(0, 0) < slow_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(syncs_take_longer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(writes_take_longer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_takes_longer_that_is_not_told_to, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
