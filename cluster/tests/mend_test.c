#include "cluster/mend.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "cluster/tests/folder_kit.h"
#include "testing/cmocka.h"

static void put(const char *name, const char *bytes, size_t len, off_t size)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(close(fd), 0);
}

static void closed(unsigned first, unsigned end)
{
    char name[64];
    snprintf(name, sizeof name, "%016u-%016u", first, end);
    put(name, "x", 1, 1);
}

static bool is_there(unsigned first, unsigned end)
{
    char name[64];
    snprintf(name, sizeof name, "%016u-%016u", first, end);
    return access(in_dir(name), F_OK) == 0;
}

static bool is_noted(void)
{
    return access(in_dir("cut"), F_OK) == 0;
}

static void put_log(void)
{
    closed(1, 10);
    closed(11, 20);
    closed(21, 30);
    closed(31, 40);
}

static void leaves_a_log_alone_that_was_not_being_cut(void **state)
{
    (void)state;
    put_log();
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(1, 10) && is_there(11, 20) && is_there(21, 30) && is_there(31, 40));
}

static void leaves_a_gap_alone_that_nobody_noted(void **state)
{
    (void)state;
    put_log();
    closed(11, 14);
    assert_int_equal(unlink(in_dir("0000000000000021-0000000000000030")), 0);
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(11, 14) && is_there(11, 20) && is_there(31, 40));
}

static void a_cut_that_was_not_begun_is_none_in_its_segment(void **state)
{
    (void)state;
    put_log();
    assert_int_equal(qr_mend_note_cut(dir, 35), 0);
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(31, 40));
    assert_false(is_noted());
}

static void finishes_a_cut(void **state)
{
    (void)state;
    put_log();
    assert_int_equal(qr_mend_note_cut(dir, 15), 0);
    closed(11, 14); /* The part that stays. */
    assert_int_equal(unlink(in_dir("0000000000000021-0000000000000030")), 0);
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(1, 10) && is_there(11, 14));
    assert_false(is_there(11, 20) || is_there(31, 40));
    assert_false(is_noted());
}

static void finishes_two_cuts_by_the_lower_one(void **state)
{
    (void)state;
    put_log();
    assert_int_equal(qr_mend_note_cut(dir, 35), 0);
    assert_int_equal(qr_mend_note_cut(dir, 33), 0);
    assert_int_equal(qr_mend_note_cut(dir, 38), 0);
    closed(31, 34); /* The first was begun with. */
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(21, 30) && is_there(31, 34));
    assert_false(is_there(31, 40));
}

static void forgets_a_cut(void **state)
{
    (void)state;
    put_log();
    assert_int_equal(qr_mend_note_cut(dir, 21), 0);
    assert_int_equal(qr_mend_forget_cut(dir), 0);
    assert_int_equal(qr_mend_log(dir), 0);
    assert_true(is_there(21, 30) && is_there(31, 40));
}

static void refuses_a_note_that_is_none(void **state)
{
    (void)state;
    assert_int_equal(qr_mend_note_cut(dir, 21), 0);
    put("cut", "QRCUT1\n\0\x15\0\0\0\0\0\0\1\0\0\0\0", 20, 20);
    assert_int_equal(qr_mend_log(dir), QR_E_CORRUPT);
    put("cut", "QR", 2, 2);
    assert_int_equal(qr_mend_log(dir), QR_E_CORRUPT);
}

static off_t size_of(const char *name)
{
    struct stat status;
    return stat(in_dir(name), &status) == 0 ? status.st_size : -1;
}

static void removes_open_segments_without_their_first_sector(void **state)
{
    (void)state;
    char bytes[70000] = {0};
    put("open-1", bytes, sizeof bytes, 100000); /* Never written. */
    bytes[69999] = 1;
    put("open-2", bytes, sizeof bytes, 100000);
    bytes[511] = 1;
    put("open-3", bytes, sizeof bytes, 100000);
    put("open-4", "", 0, 0);
    assert_int_equal(qr_mend_log(dir), 0);
    assert_int_equal(size_of("open-1"), 100512);
    assert_int_equal(size_of("open-2"), -1);
    assert_int_equal(size_of("open-3"), 100512); /* With room for the reader. */
    assert_int_equal(size_of("open-4"), 0);
}

static void a_folder_that_is_not_there_is_for_others_to_report(void **state)
{
    (void)state;
    assert_int_equal(qr_mend_log("/nowhere/at/all"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(leaves_a_log_alone_that_was_not_being_cut),
        TEST(leaves_a_gap_alone_that_nobody_noted),
        TEST(a_cut_that_was_not_begun_is_none_in_its_segment),
        TEST(finishes_a_cut),
        TEST(finishes_two_cuts_by_the_lower_one),
        TEST(forgets_a_cut),
        TEST(refuses_a_note_that_is_none),
        TEST(removes_open_segments_without_their_first_sector),
        TEST(a_folder_that_is_not_there_is_for_others_to_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
