#include "storage/block.h"

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/rng.h"
#include "storage/value.h"
#include "testing/cmocka.h"
#include "testing/memory_disk.h"

#define PATH     "/d/file"
#define N_CHARTS 120

static const struct qr_block_id id = {.start_s = 1200, .window_s = 600, .generation = 2};

static uint32_t value_of(uint32_t chart, uint32_t row, uint32_t dim)
{
    uint32_t noise = (chart * 2654435761u + row * 40503u + dim * 9176u) * 2246822519u;
    return chart % 3 == 0 ? chart : noise >> 12;
}

/* Charts 5, 10, 15 .. with 1 to 4 dimensions, 200 rows each: some pages. */
static void write_charts(struct qr_block_writer *writer, uint64_t *hash)
{
    struct qr_grid grid = {0};
    qr_block_writer_init(writer, &id);
    for (uint32_t c = 1; c <= N_CHARTS; c++) {
        uint32_t n_dims = 1 + c % 4;
        assert_int_equal(qr_grid_reset(&grid, 1250, 2, 200, n_dims), 0);
        for (uint32_t row = 0; row < 200; row++)
            for (uint32_t d = 0; d < n_dims; d++)
                qr_grid_column(&grid, d)[row] = value_of(c * 5, row, d);
        assert_int_equal(qr_block_writer_add(writer, c * 5, &grid), 0);
    }
    assert_int_equal(qr_grid_reset(&grid, 1200, 1, 5, 1), 0);
    assert_int_equal(qr_block_writer_add(writer, 1000, &grid), 0); /* Empty: not in the file. */
    assert_int_equal(qr_block_writer_end(writer, hash), 0);
    qr_grid_release(&grid);
}

/* All charts are right, or the file is said to be corrupt: how many were read. */
static unsigned read_charts(struct qr_disk *disk, uint64_t bytes, uint64_t hash)
{
    struct qr_block_index *index;
    int err = qr_block_index_read(&index, disk, PATH, bytes, hash);
    if (err != 0) {
        assert_int_equal(err, QR_E_CORRUPT);
        return 0;
    }
    struct qr_block_reader reader = {0};
    struct qr_grid grid = {0};
    unsigned n_read = 0;
    for (uint32_t chart = 0; chart <= 5 * N_CHARTS + 6; chart++) {
        int found = qr_block_read(&reader, index, disk, PATH, chart, &grid);
        bool exists = chart != 0 && chart % 5 == 0 && chart <= 5 * N_CHARTS;
        if (found == QR_E_CORRUPT)
            continue;
        assert_int_equal(found, exists);
        if (!exists)
            continue;
        n_read++;
        assert_int_equal(grid.first_s, 1250);
        assert_int_equal(grid.step_s, 2);
        assert_int_equal(grid.n_rows, 200);
        assert_int_equal(grid.n_dims, 1 + chart / 5 % 4);
        for (uint32_t i = 0; i < grid.n_rows * grid.n_dims; i++)
            assert_int_equal(grid.values[i], value_of(chart, i % grid.n_rows, i / grid.n_rows));
    }
    qr_grid_release(&grid);
    qr_block_reader_release(&reader);
    free(index);
    return n_read;
}

static void charts_are_found_in_their_pages(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    struct qr_block_writer writer;
    uint64_t hash;
    qr_memory_disk_init(&disk);
    write_charts(&writer, &hash);
    assert_true(writer.n_pages > 2);
    assert_int_equal(writer.n_charts, N_CHARTS);
    struct qr_disk *d = &disk.disk;
    assert_int_equal(qr_disk_write_file(d, PATH, writer.file.base, writer.file.len), 0);
    uint64_t len = writer.file.len;
    assert_int_equal(qr_block_check(d, PATH, len, hash), 0);
    assert_int_equal(qr_block_verify(d, PATH, len, hash), 0);
    assert_int_equal(qr_block_check(d, PATH, len, hash + 1), QR_E_CORRUPT);
    assert_int_equal(qr_block_check(d, PATH, len + 1, hash), QR_E_CORRUPT);
    assert_int_equal(qr_block_check(d, "/d/other", len, hash), UV_ENOENT);
    assert_int_equal(read_charts(d, len, hash), N_CHARTS);
    qr_block_writer_release(&writer);
    qr_memory_disk_release(&disk);
}

static void damage_is_found_and_costs_a_page(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    struct qr_block_writer writer;
    struct qr_rng rng;
    uint64_t hash;
    qr_memory_disk_init(&disk);
    qr_rng_seed(&rng, 51);
    write_charts(&writer, &hash);
    struct qr_disk *d = &disk.disk;
    uint64_t len = writer.file.len;
    assert_int_equal(qr_disk_write_file(d, PATH, writer.file.base, len), 0);
    char *bytes = qr_memory_disk_get(&disk, PATH)->bytes;
    for (unsigned i = 0; i < 300; i++) {
        size_t at = i < 200 ? len - 1 - i : qr_rng_below(&rng, len);
        char was = bytes[at];
        bytes[at] = (char)(was ^ (1 << qr_rng_below(&rng, 8)));
        assert_int_equal(qr_block_verify(d, PATH, len, hash), QR_E_CORRUPT);
        unsigned n = read_charts(d, len, hash);
        bool is_page = at >= 64 && at < len - 68 - writer.n_pages * 12;
        if (is_page)
            assert_true(n > 0 && n < N_CHARTS);
        else
            assert_int_equal(n, at < 64 ? N_CHARTS : 0);
        bytes[at] = was;
    }
    /* Cut short anywhere. */
    struct qr_memory_file *file = qr_memory_disk_get(&disk, PATH);
    for (file->len = 0; file->len < len; file->len += 97)
        assert_int_equal(qr_block_check(d, PATH, len, hash), QR_E_CORRUPT);
    qr_block_writer_release(&writer);
    qr_memory_disk_release(&disk);
}

static void an_empty_file_is_a_file(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    struct qr_block_writer writer;
    struct qr_block_index *index;
    uint64_t hash;
    qr_memory_disk_init(&disk);
    qr_block_writer_init(&writer, &id);
    assert_int_equal(qr_block_writer_end(&writer, &hash), 0);
    assert_int_equal(writer.file.len, 132);
    struct qr_disk *d = &disk.disk;
    assert_int_equal(qr_disk_write_file(d, PATH, writer.file.base, 132), 0);
    assert_int_equal(qr_block_index_read(&index, d, PATH, 132, hash), 0);
    assert_int_equal(index->n_pages, 0);
    assert_int_equal(index->id.generation, 2);
    free(index);
    qr_block_writer_release(&writer);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(charts_are_found_in_their_pages),
        cmocka_unit_test(damage_is_found_and_costs_a_page),
        cmocka_unit_test(an_empty_file_is_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
