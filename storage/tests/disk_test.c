#include "storage/disk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "testing/cmocka.h"

static char dir[] = "/tmp/qr-disk-test-XXXXXX";
static char a[64], b[64];

static int make_dir(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(a, sizeof a, "%s/a", dir);
    snprintf(b, sizeof b, "%s/b", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void note(void *data, const char *name)
{
    unsigned *seen = data;
    *seen += strcmp(name, "a") == 0 ? 1 : strcmp(name, "b") == 0 ? 16 : 1000;
}

static void files_live_from_write_to_unlink(void **state)
{
    (void)state;
    struct qr_disk *disk = &qr_disk_files;
    uint64_t size;
    char bytes[8] = {0};
    assert_int_equal(qr_disk_write_file(disk, a, "hello", 5), 0);
    assert_int_equal(qr_disk_write_file(disk, a, "other", 5), UV_EEXIST);
    assert_int_equal(disk->size(disk, a, &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(disk->read(disk, a, 1, bytes, 3), 3);
    assert_memory_equal(bytes, "ell", 3);
    assert_int_equal(disk->read(disk, a, 3, bytes, 8), 2);
    assert_int_equal(disk->read(disk, a, 5, bytes, 8), 0);
    assert_int_equal(disk->sync(disk, a), 0);
    assert_int_equal(qr_disk_write_file(disk, b, "", 0), 0);
    unsigned seen = 0;
    assert_int_equal(disk->list(disk, dir, note, &seen), 0);
    assert_int_equal(seen, 17);
    assert_int_equal(disk->rename(disk, a, b), 0);
    assert_int_equal(disk->size(disk, b, &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(disk->rename(disk, b, b), 0);
    assert_int_equal(disk->unlink(disk, b), 0);
}

static void files_grow_until_they_are_committed(void **state)
{
    (void)state;
    struct qr_disk *disk = &qr_disk_files;
    struct qr_disk_file *file;
    uint64_t size;
    char bytes[8] = {0};
    assert_int_equal(disk->create(disk, a, &file), 0);
    assert_int_equal(disk->append(disk, file, "ab", 2), 0);
    assert_int_equal(disk->append(disk, file, "cde", 3), 0);
    assert_int_equal(disk->read(disk, a, 1, bytes, 8), 4);
    assert_memory_equal(bytes, "bcde", 4);
    assert_int_equal(disk->commit(disk, file), 0);
    assert_int_equal(disk->create(disk, a, &file), UV_EEXIST);
    assert_int_equal(disk->unlink(disk, a), 0);
    assert_int_equal(disk->create(disk, a, &file), 0);
    disk->abandon(disk, file);
    assert_int_equal(disk->size(disk, a, &size), UV_ENOENT);
    assert_int_equal(disk->create(disk, "/nonexistent/a", &file), UV_ENOENT);
}

static void what_is_not_there_is_an_error(void **state)
{
    (void)state;
    struct qr_disk *disk = &qr_disk_files;
    uint64_t size;
    char byte;
    assert_int_equal(disk->size(disk, a, &size), UV_ENOENT);
    assert_int_equal(disk->read(disk, a, 0, &byte, 1), UV_ENOENT);
    assert_int_equal(disk->sync(disk, a), UV_ENOENT);
    assert_int_equal(disk->rename(disk, a, b), UV_ENOENT);
    assert_int_equal(disk->unlink(disk, a), UV_ENOENT);
    assert_int_equal(disk->list(disk, a, note, NULL), UV_ENOENT);
    assert_int_equal(qr_disk_write_file(disk, "/nonexistent/a", "x", 1), UV_ENOENT);
}

/* A file may grow to 4 KiB only: the write fails half way, and nothing stays. */
static void a_failed_write_leaves_nothing(void **state)
{
    (void)state;
    static char bytes[64 * 1024];
    struct rlimit limit, small;
    uint64_t size;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){4096, limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int err = qr_disk_write_file(&qr_disk_files, a, bytes, sizeof bytes);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(err, UV_EFBIG);
    assert_int_equal(qr_disk_files.size(&qr_disk_files, a, &size), UV_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_live_from_write_to_unlink),
        cmocka_unit_test(files_grow_until_they_are_committed),
        cmocka_unit_test(what_is_not_there_is_an_error),
        cmocka_unit_test(a_failed_write_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
