#include "cluster/term_note.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "cluster/tests/folder_kit.h"
#include "testing/cmocka.h"

#define TERM 77u
#define VOTE UINT64_C(0x1234567800000003)

static void put(const char *name, const char *bytes, size_t len)
{
    int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(close(fd), 0);
}

static size_t get(const char *name, char bytes[64])
{
    int fd = open(in_dir(name), O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, bytes, 64) : 0;
    if (fd >= 0)
        close(fd);
    assert_true(n >= 0);
    return (size_t)n;
}

/* As the library writes them. */
static void library_writes(uint64_t version, uint64_t term, uint64_t vote)
{
    struct qr_buf bytes = {0};
    qr_buf_add_u64(&bytes, 1);
    qr_buf_add_u64(&bytes, version);
    qr_buf_add_u64(&bytes, term);
    qr_buf_add_u64(&bytes, vote);
    put(version % 2 == 1 ? "metadata1" : "metadata2", bytes.base, bytes.len);
    qr_buf_release(&bytes);
}

/* As the library reads them. */
static void assert_library_reads(uint64_t term, uint64_t vote)
{
    uint64_t newest = 0, found[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
        char bytes[64];
        if (get(i == 0 ? "metadata1" : "metadata2", bytes) != 32)
            continue;
        struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, 32));
        assert_int_equal(qr_cursor_u64(&in), 1);
        uint64_t version = qr_cursor_u64(&in);
        assert_int_equal(version % 2, (i + 1) % 2);
        if (version < newest)
            continue;
        newest = version;
        found[0] = qr_cursor_u64(&in);
        found[1] = qr_cursor_u64(&in);
    }
    assert_int_equal(found[0], term);
    assert_int_equal(found[1], vote);
}

static void well(void)
{
    library_writes(6, TERM, 0);
    library_writes(7, TERM, VOTE);
    assert_int_equal(qr_term_note_write(dir, TERM, VOTE), 0);
}

static void what_is_sound_is_left_alone(void **state)
{
    (void)state;
    char before[64], after[64];
    well();
    assert_int_equal(get("metadata2", before), 32);
    assert_int_equal(qr_term_note_mend(dir), 0);
    assert_int_equal(get("metadata2", after), 32);
    assert_memory_equal(before, after, 32);
    assert_library_reads(TERM, VOTE);
}

static void any_flipped_bit_is_put_right(void **state)
{
    (void)state;
    static const char *const files[] = {"metadata1", "metadata2", "term"};
    for (unsigned file = 0; file < 3; file++) {
        for (unsigned bit = 0; bit < 256; bit++) {
            char bytes[64];
            well();
            size_t n = get(files[file], bytes);
            bytes[bit / 8] ^= (char)(1 << bit % 8);
            put(files[file], bytes, n);
            assert_int_equal(qr_term_note_mend(dir), 0);
            assert_library_reads(TERM, VOTE);
            library_writes(6, TERM, 0); /* The note, too, is whole again. */
            library_writes(7, TERM + 4, VOTE);
            assert_int_equal(qr_term_note_mend(dir), 0);
            assert_library_reads(TERM, VOTE);
        }
    }
}

/* The note is written first. */
static void a_death_in_between_counts_as_written(void **state)
{
    (void)state;
    well();
    assert_int_equal(qr_term_note_write(dir, TERM + 1, 0), 0);
    assert_int_equal(qr_term_note_mend(dir), 0);
    assert_library_reads(TERM + 1, 0);
    put("metadata2", "torn", 4);
    assert_int_equal(qr_term_note_mend(dir), 0);
    assert_library_reads(TERM + 1, 0);
}

static void a_folder_without_a_note_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(qr_term_note_mend(dir), 0);
    library_writes(1, 1, 0);
    assert_int_equal(qr_term_note_mend(dir), 0);
    assert_library_reads(1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sound_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_flipped_bit_is_put_right, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_death_in_between_counts_as_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_without_a_note_is_left_alone, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
