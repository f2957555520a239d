#include "testing/memory_disk.h"

#include <stdio.h>
#include <uv.h>

#include "testing/cmocka.h"

static int make(void **state)
{
    static struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    *state = &disk;
    return 0;
}

static int drop(void **state)
{
    qr_memory_disk_release(*state);
    return 0;
}

static void note(void *data, const char *name)
{
    char *text = data;
    size_t len = strlen(text);
    snprintf(text + len, 32 - len, "%s ", name);
}

static void it_behaves_as_a_disk(void **state)
{
    struct qr_memory_disk *memory = *state;
    struct qr_disk *disk = &memory->disk;
    uint64_t size;
    char bytes[8];
    assert_int_equal(qr_disk_write_file(disk, "/d/a", "hello", 5), 0);
    assert_int_equal(qr_disk_write_file(disk, "/d/a", "x", 1), UV_EEXIST);
    assert_int_equal(disk->size(disk, "/d/a", &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(disk->read(disk, "/d/a", 3, bytes, 8), 2);
    assert_int_equal(disk->read(disk, "/d/a", 9, bytes, 8), 0);
    assert_int_equal(qr_disk_write_file(disk, "/e/b", "x", 1), 0);
    char names[32] = "";
    assert_int_equal(disk->list(disk, "/d", note, names), 0);
    assert_string_equal(names, "a ");
    assert_int_equal(disk->rename(disk, "/d/a", "/e/b"), 0);
    assert_int_equal(disk->size(disk, "/e/b", &size), 0);
    assert_int_equal(size, 5);
    assert_int_equal(disk->unlink(disk, "/e/b"), 0);
    assert_int_equal(disk->unlink(disk, "/e/b"), UV_ENOENT);
    assert_int_equal(disk->read(disk, "/e/b", 0, bytes, 8), UV_ENOENT);
}

static void the_named_call_fails(void **state)
{
    struct qr_memory_disk *memory = *state;
    struct qr_disk *disk = &memory->disk;
    memory->fail_at = 5; /* The bytes of the second file. */
    memory->fail_with = UV_ENOSPC;
    assert_int_equal(qr_disk_write_file(disk, "/d/a", "1", 1), 0);
    assert_int_equal(qr_disk_write_file(disk, "/d/b", "2", 1), UV_ENOSPC);
    assert_null(qr_memory_disk_get(memory, "/d/b"));
    assert_int_equal(qr_disk_write_file(disk, "/d/b", "2", 1), 0);
    memory->fail_at = memory->n_calls + 2;
    memory->stay_failed = true;
    memory->tear = true;
    assert_int_equal(qr_disk_write_file(disk, "/d/c", "1234", 4), UV_ENOSPC);
    assert_int_equal(qr_memory_disk_get(memory, "/d/c")->len, 2);
    assert_int_equal(disk->unlink(disk, "/d/c"), UV_ENOSPC);
    qr_memory_disk_crash(memory);
    assert_int_equal(qr_memory_disk_n_files(memory), 1); /* Torn, and its name was written. */
    assert_int_equal(qr_memory_disk_get(memory, "/d/c")->len, 1);
}

/* A file in parts, and what a crash leaves of one that was not committed. */
static void files_grow(void **state)
{
    struct qr_memory_disk *memory = *state;
    struct qr_disk *disk = &memory->disk;
    struct qr_disk_file *file;
    assert_int_equal(disk->create(disk, "/d/a", &file), 0);
    assert_int_equal(disk->append(disk, file, "ab", 2), 0);
    assert_int_equal(disk->append(disk, file, "cde", 3), 0);
    assert_memory_equal(qr_memory_disk_get(memory, "/d/a")->bytes, "abcde", 5);
    assert_int_equal(disk->rename(disk, "/d/a", "/d/a"), 0);
    assert_int_equal(memory->durable->len, 0);
    assert_int_equal(disk->commit(disk, file), 0);
    assert_int_equal(disk->rename(disk, "/d/a", "/d/a"), 0);
    assert_int_equal(memory->durable->len, 5);
    assert_int_equal(disk->create(disk, "/d/a", &file), UV_EEXIST);
    assert_int_equal(disk->create(disk, "/d/b", &file), 0);
    disk->abandon(disk, file);
    assert_null(qr_memory_disk_get(memory, "/d/b"));
    assert_int_equal(disk->create(disk, "/d/b", &file), 0);
    memory->fail_at = memory->n_calls + 1;
    assert_int_equal(disk->commit(disk, file), UV_EIO);
    assert_null(qr_memory_disk_get(memory, "/d/b"));
}

/* Names last when the folder was synced, as a rename does. */
static void a_crash_goes_back_to_what_is_durable(void **state)
{
    struct qr_memory_disk *memory = *state;
    struct qr_disk *disk = &memory->disk;
    assert_int_equal(qr_disk_write_file(disk, "/d/a.tmp", "1", 1), 0);
    assert_int_equal(disk->rename(disk, "/d/a.tmp", "/d/a"), 0);
    assert_int_equal(qr_disk_write_file(disk, "/d/b.tmp", "2", 1), 0);
    memory->fail_at = memory->n_calls + 2; /* The sync of the folder. */
    assert_int_equal(disk->rename(disk, "/d/b.tmp", "/d/b"), UV_EIO);
    assert_non_null(qr_memory_disk_get(memory, "/d/b"));
    qr_memory_disk_crash(memory);
    assert_non_null(qr_memory_disk_get(memory, "/d/a"));
    assert_null(qr_memory_disk_get(memory, "/d/b"));
    assert_int_equal(qr_memory_disk_n_files(memory), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_behaves_as_a_disk, make, drop),
        cmocka_unit_test_setup_teardown(the_named_call_fails, make, drop),
        cmocka_unit_test_setup_teardown(files_grow, make, drop),
        cmocka_unit_test_setup_teardown(a_crash_goes_back_to_what_is_durable, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
