#include "storage/block_examine.h"

#include "storage/tests/block_file.h"

static struct content small = {{{.start_s = 1200, .window_s = 60}, 60}, 2, 3, 0};
static struct content merged = {{{.start_s = 7200, .window_s = 7200}, 1200}, 2, 40, 3};

static struct {
    unsigned n, n_progress;
    uint64_t from, to, done;
    char sentence[256];
} seen;

static void note(void *data, uint64_t from, uint64_t to, const char *sentence)
{
    (void)data;
    if (seen.n++ == 0) {
        seen.from = from;
        seen.to = to;
        snprintf(seen.sentence, sizeof seen.sentence, "%s", sentence);
    }
}

static void note_progress(void *data, uint64_t done, uint64_t bytes)
{
    (void)data;
    assert_true(done >= seen.done && done <= bytes);
    seen.done = done;
    seen.n_progress++;
}

static int examine(struct qr_disk *disk)
{
    static const struct qr_block_exam exam = {note, note_progress, NULL};
    memset(&seen, 0, sizeof seen);
    int err = qr_block_examine(disk, PATH, &exam);
    assert_int_equal(err != 0 && err != UV_ENOENT, seen.n != 0);
    return err;
}

static void sound_files_are_sound(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    write_content(&disk.disk, &small);
    assert_int_equal(examine(&disk.disk), 0);
    assert_int_equal(seen.n_progress, 1);
    write_content(&disk.disk, &merged);
    assert_int_equal(examine(&disk.disk), 0);
    assert_true(seen.n_progress > 1);
    disk.disk.unlink(&disk.disk, PATH);
    assert_int_equal(examine(&disk.disk), UV_ENOENT);
    qr_memory_disk_release(&disk);
}

static void every_flipped_bit_has_its_sentence(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    struct qr_block_written written = write_content(&disk.disk, &small);
    char *bytes = qr_memory_disk_get(&disk, PATH)->bytes;
    for (size_t i = 0; i < written.bytes * 8; i++) {
        size_t at = i / 8;
        bytes[at] = (char)(bytes[at] ^ (1 << i % 8));
        int err = examine(&disk.disk);
        assert_int_equal(err, at >= 8 && at < 12 ? QR_E_VERSION : QR_E_CORRUPT);
        assert_true(strlen(seen.sentence) > 20);
        /* The bytes named are near those that are wrong. */
        assert_true(seen.from <= at && at < seen.to);
        bytes[at] = (char)(bytes[at] ^ (1 << i % 8));
    }
    struct qr_memory_file *file = qr_memory_disk_get(&disk, PATH);
    for (file->len = 0; file->len < written.bytes; file->len++)
        assert_int_equal(examine(&disk.disk), QR_E_CORRUPT);
    qr_memory_disk_release(&disk);
}

static void a_bad_page_costs_its_charts(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    struct qr_block_written written = write_content(&disk.disk, &merged);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, &disk.disk, PATH, written.bytes, written.hash), 0);
    struct qr_block_page page = qr_block_page_at(index, 1);
    qr_memory_disk_get(&disk, PATH)->bytes[page.offset + 7] ^= 1;
    assert_int_equal(examine(&disk.disk), QR_E_CORRUPT);
    assert_int_equal(seen.from, page.offset);
    assert_int_equal(seen.to, page.offset + page.bytes);
    assert_non_null(strstr(seen.sentence, "page 2 of "));
    assert_non_null(strstr(seen.sentence, "cannot be read"));
    free(index);
    qr_memory_disk_release(&disk);
}

/* Whose checksums are right: what a wrong writer would make. */
static int fill_nonsense(struct qr_block_writer *writer, void *data)
{
    (void)data;
    const struct qr_block_chunk chunk = {1, 7, 0, 1, 1, qr_slice_str("nonsense"), NULL, 0};
    return qr_block_writer_add(writer, &chunk);
}

static int fill_wrong_counts(struct qr_block_writer *writer, void *data)
{
    writer->n_samples += 3;
    return fill_content(writer, data);
}

static void what_a_wrong_writer_makes_is_found(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    struct qr_block_written written;
    qr_memory_disk_init(&disk);
    assert_int_equal(qr_block_write(&disk.disk, PATH, &small.head, fill_nonsense, NULL, &written),
                     0);
    assert_int_equal(examine(&disk.disk), QR_E_CORRUPT);
    assert_string_equal(seen.sentence, "what chart 7 has of sub-window 0 cannot be decoded");
    assert_int_equal(seen.from, 64);
    assert_int_equal(seen.to, 64 + 9);
    assert_int_equal(
        qr_block_write(&disk.disk, PATH, &small.head, fill_wrong_counts, &small, &written), 0);
    assert_int_equal(examine(&disk.disk), QR_E_CORRUPT);
    assert_non_null(strstr(seen.sentence, "the footer counts 6 charts"));
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_files_are_sound),
        cmocka_unit_test(every_flipped_bit_has_its_sentence),
        cmocka_unit_test(a_bad_page_costs_its_charts),
        cmocka_unit_test(what_a_wrong_writer_makes_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
