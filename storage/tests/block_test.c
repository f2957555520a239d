#include "storage/block.h"

#include "storage/tests/block_file.h"

static struct qr_memory_disk disk;

static int make(void **state)
{
    (void)state;
    qr_memory_disk_init(&disk);
    return 0;
}

static int drop(void **state)
{
    (void)state;
    qr_memory_disk_release(&disk);
    return 0;
}

static struct content sealed = {
    {{.start_s = 1200, .window_s = 800, .generation = 2, .shard = 7}, 800}, 3, 40, 0};
static struct content merged = {
    {{.start_s = 7200, .window_s = 7200, .generation = 0, .tier = 0}, 1200}, 2, 40, 3};
static struct content small = {{{.start_s = 1200, .window_s = 60}, 60}, 2, 3, 0};

static void charts_are_found_in_their_pages(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_block_written written = write_content(d, &sealed);
    assert_int_equal(qr_block_check(d, PATH, written.bytes, written.hash), 0);
    assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), 0);
    assert_int_equal(qr_block_check(d, PATH, written.bytes, written.hash + 1), QR_E_CORRUPT);
    assert_int_equal(qr_block_check(d, PATH, written.bytes + 1, written.hash), QR_E_CORRUPT);
    assert_int_equal(qr_block_check(d, "/d/other", written.bytes, written.hash), UV_ENOENT);
    assert_int_equal(read_content(d, &sealed, &written), 3 * 40);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, d, PATH, written.bytes, written.hash), 0);
    assert_true(qr_block_id_is(&index->head.id, &sealed.head.id));
    assert_int_equal(index->n_hosts, 3);
    assert_int_equal(index->n_charts, 3 * 40);
    assert_int_equal(index->n_dims, 3 * 10 * (1 + 2 + 3 + 4));
    assert_int_equal(index->n_samples, 3 * 10 * (1 + 2 + 3 + 4) * 200);
    assert_true(index->n_pages > 1);
    free(index);
}

/* Of a file that was sealed, a chart is one read; chunks of a page that was read are none. */
static void a_chart_of_a_window_is_one_read(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    sealed.copy_of = 3;
    struct qr_block_written written = write_content(d, &sealed);
    assert_int_equal(read_content(d, &sealed, &written), 3 * 40);
    sealed.copy_of = 0;
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, d, PATH, written.bytes, written.hash), 0);
    struct qr_grid grid = {0};
    for (uint32_t row = 0; row < index->n_chunks; row++) {
        struct qr_block_reader reader = {0};
        unsigned before = disk.n_calls;
        assert_int_equal(qr_block_read(&reader, index, d, PATH, row, &grid), 0);
        assert_int_equal(disk.n_calls - before, 1);
        assert_int_equal(reader.n_reads, 1);
        assert_int_equal(qr_block_read(&reader, index, d, PATH, row, &grid), 0);
        assert_int_equal(reader.n_reads, 1);
        qr_block_reader_release(&reader);
    }
    qr_grid_release(&grid);
    free(index);
}

/* Of a merged file a sub-window of a chart is at most two; all its chunks lie together. */
static void an_hour_of_a_merged_file_is_two_reads_at_most(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_block_written written = write_content(d, &merged);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, d, PATH, written.bytes, written.hash), 0);
    assert_true(index->n_pages > 4);
    struct qr_grid grid = {0};
    unsigned n_two = 0;
    for (uint32_t row = 0; row < index->n_chunks; row++) {
        struct qr_block_reader reader = {0};
        assert_int_equal(qr_block_read(&reader, index, d, PATH, row, &grid), 0);
        assert_in_range(reader.n_reads, 1, 2);
        n_two += reader.n_reads == 2;
        qr_block_reader_release(&reader);
    }
    assert_true(n_two > 0);
    assert_int_equal(read_content(d, &merged, &written), index->n_chunks);

    /* Chart 10 of host 3 has sub-windows 0 to 4 of 6, chart 35 all but the first. */
    static const struct {
        uint32_t chart;
        int64_t first_s, last_s;
        unsigned n, first_sub;
    } rows[] = {
        {10, 0, 99999, 5, 0},     {10, 0, 7199, 0, 0},      {10, 14400, 99999, 0, 0},
        {10, 0, 7200, 1, 0},      {10, 8399, 8400, 2, 0},   {10, 8400, 8400, 1, 1},
        {10, 12000, 14399, 1, 4}, {10, 13200, 14399, 0, 0}, {35, 0, 99999, 5, 1},
        {35, 7200, 8399, 0, 0},   {11, 0, 99999, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t row;
        uint32_t n = qr_block_find(index, 3, rows[i].chart, rows[i].first_s, rows[i].last_s, &row);
        assert_int_equal(n, rows[i].n);
        if (n != 0)
            assert_int_equal(qr_block_row_at(index, row).sub, rows[i].first_sub);
    }
    qr_grid_release(&grid);
    free(index);
}

static void damage_is_found_and_costs_a_page(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_rng rng;
    qr_rng_seed(&rng, 51);
    struct qr_block_written written = write_content(d, &sealed);
    struct qr_block_index *index;
    assert_int_equal(qr_block_index_read(&index, d, PATH, written.bytes, written.hash), 0);
    char *bytes = qr_memory_disk_get(&disk, PATH)->bytes;
    for (unsigned i = 0; i < 100; i++) {
        size_t at = qr_rng_below(&rng, index->pages_end);
        char was = bytes[at];
        bytes[at] = (char)(was ^ (1 << qr_rng_below(&rng, 8)));
        assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), QR_E_CORRUPT);
        unsigned n = read_content(d, &sealed, &written);
        if (at >= QR_BLOCK_HEADER_BYTES)
            assert_true(n > 0 && n < 3 * 40);
        bytes[at] = was;
    }
    free(index);
}

/* Every byte of a small file, and every length of it. */
static void every_byte_counts(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct qr_block_written written = write_content(d, &small);
    assert_int_equal(read_content(d, &small, &written), 6);
    struct qr_memory_file *file = qr_memory_disk_get(&disk, PATH);
    for (size_t i = 0; i < written.bytes * 8; i++) {
        file->bytes[i / 8] = (char)(file->bytes[i / 8] ^ (1 << i % 8));
        assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), QR_E_CORRUPT);
        read_content(d, &small, &written); /* Fails if a wrong value is given out. */
        file->bytes[i / 8] = (char)(file->bytes[i / 8] ^ (1 << i % 8));
    }
    for (file->len = 0; file->len < written.bytes; file->len++) {
        assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), QR_E_CORRUPT);
        assert_int_equal(qr_block_verify(d, PATH, file->len, written.hash), QR_E_CORRUPT);
        assert_int_equal(read_content(d, &small, &written), 0);
    }
    assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), 0);
}

static void an_empty_file_is_a_file(void **state)
{
    (void)state;
    struct qr_disk *d = &disk.disk;
    struct content none = {small.head, 0, 0, 0};
    struct qr_block_written written = write_content(d, &none);
    assert_int_equal(written.bytes, QR_BLOCK_HEADER_BYTES + QR_BLOCK_FOOTER_BYTES);
    assert_int_equal(qr_block_verify(d, PATH, written.bytes, written.hash), 0);
    assert_int_equal(read_content(d, &none, &written), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(charts_are_found_in_their_pages, make, drop),
        cmocka_unit_test_setup_teardown(a_chart_of_a_window_is_one_read, make, drop),
        cmocka_unit_test_setup_teardown(an_hour_of_a_merged_file_is_two_reads_at_most, make, drop),
        cmocka_unit_test_setup_teardown(damage_is_found_and_costs_a_page, make, drop),
        cmocka_unit_test_setup_teardown(every_byte_counts, make, drop),
        cmocka_unit_test_setup_teardown(an_empty_file_is_a_file, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
