#include "cluster/disk_id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "testing/cmocka.h"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/qr-disk-id-XXXXXX");
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static void path_of(char path[128], const char *name)
{
    snprintf(path, 128, "%s/%s", dir, name);
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"disk", "disk.new", "metadata1", "metadata2", "open-1"};
    char path[128];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        path_of(path, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

static void put(const char *name, const void *bytes, size_t len)
{
    char path[128];
    path_of(path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

static bool exists(const char *name)
{
    char path[128];
    path_of(path, name);
    return access(path, F_OK) == 0;
}

/* The library's file of a term and a vote. */
static void put_metadata(const char *name, uint64_t term, uint64_t vote)
{
    char bytes[32];
    qr_le_put(bytes, 1, 8);
    qr_le_put(bytes + 8, 1, 8);
    qr_le_put(bytes + 16, term, 8);
    qr_le_put(bytes + 24, vote, 8);
    put(name, bytes, sizeof bytes);
}

static void a_folder_has_one_disk_for_ever(void **state)
{
    (void)state;
    struct qr_disk_id first, again;
    assert_int_equal(qr_disk_id_open(dir, &first), 0);
    assert_true(first.disk != 0 && first.empty);
    assert_int_equal(qr_disk_id_open(dir, &again), 0);
    assert_int_equal(again.disk, first.disk);
    assert_true(again.empty);
    put("open-1", "log", 3);
    assert_int_equal(qr_disk_id_open(dir, &again), 0);
    assert_int_equal(again.disk, first.disk);
    assert_false(again.empty);
}

static void another_folder_is_another_disk(void **state)
{
    (void)state;
    struct qr_disk_id first, second;
    assert_int_equal(qr_disk_id_open(dir, &first), 0);
    char path[128];
    path_of(path, "disk");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(qr_disk_id_open(dir, &second), 0);
    assert_int_not_equal(first.disk, second.disk);
}

static void a_log_without_its_disk_is_refused(void **state)
{
    (void)state;
    struct qr_disk_id id;
    put("open-1", "log", 3);
    assert_int_equal(qr_disk_id_open(dir, &id), QR_E_CORRUPT);
    assert_false(exists("disk"));
}

static void each_flipped_bit_is_found(void **state)
{
    (void)state;
    struct qr_disk_id id;
    char bytes[32], path[128];
    assert_int_equal(qr_disk_id_open(dir, &id), 0);
    put("open-1", "log", 3);
    path_of(path, "disk");
    FILE *file = fopen(path, "r");
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_int_equal(n, 16);
    for (size_t i = 0; i < n * 8; i++) {
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
        put("disk", bytes, n);
        assert_int_equal(qr_disk_id_open(dir, &id), QR_E_CORRUPT);
        bytes[i / 8] = (char)(bytes[i / 8] ^ 1 << i % 8);
    }
    put("disk", bytes, n - 1);
    assert_int_equal(qr_disk_id_open(dir, &id), QR_E_CORRUPT);
    put("disk", bytes, n);
    assert_int_equal(qr_disk_id_open(dir, &id), 0);
}

/* Its term was written, and no entry: nobody votes in that term. */
static void an_interrupted_founding_is_cleared(void **state)
{
    (void)state;
    struct qr_disk_id id;
    assert_int_equal(qr_disk_id_open(dir, &id), 0);
    put_metadata("metadata1", 1, 0);
    put("metadata2", "torn", 4);
    assert_int_equal(qr_disk_id_open(dir, &id), 0);
    assert_true(id.empty);
    assert_false(exists("metadata1"));
    assert_false(exists("metadata2"));
}

static void a_vote_is_not_forgotten(void **state)
{
    (void)state;
    static const uint64_t terms_and_votes[][2] = {{2, 0}, {1, 3}, {7, 3}};
    struct qr_disk_id id;
    assert_int_equal(qr_disk_id_open(dir, &id), 0);
    for (size_t i = 0; i < 3; i++) {
        put_metadata("metadata2", terms_and_votes[i][0], terms_and_votes[i][1]);
        assert_int_equal(qr_disk_id_open(dir, &id), 0);
        assert_false(id.empty);
        assert_true(exists("metadata2"));
    }
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct qr_disk_id id = {0};
    assert_int_equal(qr_disk_id_open("/nonexistent/log", &id), UV_ENOENT);
    assert_int_equal(id.disk, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_has_one_disk_for_ever, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(another_folder_is_another_disk, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_log_without_its_disk_is_refused, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(each_flipped_bit_is_found, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(an_interrupted_founding_is_cleared, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(a_vote_is_not_forgotten, make_dir, remove_dir),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
