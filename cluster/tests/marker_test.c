/* Tests also: folder. */
#include "cluster/marker.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "testing/cmocka.h"

static char dir[] = "/tmp/qr-marker-XXXXXX";

static void remembers_the_last_one_written(void **state)
{
    (void)state;
    uint64_t index = 5;
    assert_int_equal(qr_marker_read(dir, &index), 0);
    assert_int_equal(index, 0); /* no file */
    for (uint64_t i = 1; i < 1ull << 60; i *= 7) {
        assert_int_equal(qr_marker_write(dir, i), 0);
        assert_int_equal(qr_marker_read(dir, &index), 0);
        assert_int_equal(index, i);
    }
}

static void damage_is_found(void **state)
{
    (void)state;
    char path[64], bytes[32];
    uint64_t index = 5;
    snprintf(path, sizeof path, "%s/marker", dir);
    assert_int_equal(qr_marker_write(dir, 4711), 0);
    int fd = open(path, O_RDWR);
    ssize_t n = read(fd, bytes, sizeof bytes);
    assert_int_equal(n, 20);
    for (ssize_t i = 0; i < n; i++) {
        char flipped = (char)(bytes[i] ^ 1);
        assert_int_equal(pwrite(fd, &flipped, 1, i), 1);
        assert_int_equal(qr_marker_read(dir, &index), QR_E_CORRUPT);
        assert_int_equal(pwrite(fd, &bytes[i], 1, i), 1);
    }
    assert_int_equal(ftruncate(fd, 19), 0);
    assert_int_equal(qr_marker_read(dir, &index), QR_E_CORRUPT);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(qr_marker_read(dir, &index), QR_E_CORRUPT);
    assert_int_equal(index, 5);
    close(fd);
}

static void says_when_it_cannot_write(void **state)
{
    (void)state;
    uint64_t index;
    assert_int_equal(qr_marker_write("/nonexistent/qr", 1), UV_ENOENT);
    assert_int_equal(qr_marker_read("/nonexistent/qr", &index), 0);
}

static unsigned n_written;

static void on_written(void *data)
{
    const struct qr_marker *marker = data;
    assert_false(marker->busy);
    n_written++;
}

static uint64_t on_disk(void)
{
    uint64_t index = 0;
    assert_int_equal(qr_marker_read(dir, &index), 0);
    return index;
}

/* The pool may have written by then or not: what it did comes with the loop's turn. */
static void the_end_of_the_log_goes_behind_what_is_on_its_way(void **state)
{
    (void)state;
    struct qr_marker marker;
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(qr_marker_write(dir, 1), 0);
    qr_marker_init(&marker, &loop, dir, on_written, &marker);
    qr_marker_update(&marker, 5);
    qr_marker_update(&marker, 6); /* Not while 5 is on its way. */
    assert_true(marker.busy);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(on_disk(), 5);
    qr_marker_update(&marker, 5);
    assert_false(marker.busy);

    qr_marker_update(&marker, 7);
    qr_marker_close(&marker, 9);
    assert_true(marker.busy);
    assert_in_range(on_disk(), 5, 7);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(on_disk(), 9);
    assert_int_equal(n_written, 2);
    qr_marker_update(&marker, 11);
    assert_false(marker.busy);

    qr_marker_init(&marker, &loop, dir, on_written, &marker);
    qr_marker_close(&marker, 12);
    assert_int_equal(on_disk(), 12); /* At once. */
    assert_int_equal(uv_loop_close(&loop), 0);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "%s/marker", dir);
    unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(remembers_the_last_one_written),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(says_when_it_cannot_write),
        cmocka_unit_test(the_end_of_the_log_goes_behind_what_is_on_its_way),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
