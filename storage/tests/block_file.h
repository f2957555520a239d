/* storage/tests/block_file.h — block files on a disk in memory, and what they should hold. */
#ifndef QR_STORAGE_TESTS_BLOCK_FILE_H
#define QR_STORAGE_TESTS_BLOCK_FILE_H

#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/rng.h"
#include "storage/block_writer.h"
#include "storage/value.h"
#include "testing/cmocka.h"
#include "testing/memory_disk.h"

#define PATH "/d/file"

/* Charts 5, 10, .. of hosts 3, 6, ..; in each sub-window but that where (chart + sub) % 7 is 0. */
struct content {
    struct qr_block_head head;
    uint32_t n_hosts, n_charts;
    uint32_t copy_of; /* Every so many charts one repeats the first of its host; 0: none. */
};

static inline bool has_chunk(const struct content *content, uint32_t chart, uint32_t sub)
{
    return content->head.sub_s == content->head.id.window_s || (chart / 5 + sub) % 7 != 0;
}

static inline uint32_t n_dims_of(uint32_t chart)
{
    return 1 + chart / 5 % 4;
}

static inline uint32_t value_of(const struct content *content, uint32_t host, uint32_t chart,
                                uint32_t dim, int64_t end_s)
{
    if (content->copy_of != 0 && chart / 5 % content->copy_of == 0)
        chart = 5;
    uint32_t noise =
        (chart * 2654435761u + (uint32_t)end_s * 40503u + dim * 9176u + host * 977u) * 2246822519u;
    return chart % 15 == 0 ? chart : noise >> 12;
}

/* The rows of a sub-window: every second one of its first half. */
static inline void fill_grid(const struct content *content, uint32_t host, uint32_t chart,
                             uint32_t sub, struct qr_grid *grid)
{
    int64_t first_s = qr_block_sub_start_s(&content->head, sub) + 2;
    uint32_t n_rows = content->head.sub_s / 4;
    assert_int_equal(qr_grid_reset(grid, first_s, 2, n_rows, n_dims_of(chart)), 0);
    for (uint32_t d = 0; d < grid->n_dims; d++)
        for (uint32_t row = 0; row < n_rows; row++)
            qr_grid_column(grid, d)[row] =
                value_of(content, host, chart, d, first_s + 2 * (int64_t)row);
}

static inline int fill_content(struct qr_block_writer *writer, void *data)
{
    const struct content *content = data;
    struct qr_grid grid = {0};
    int err = 0;
    uint32_t n_subs = content->head.id.window_s / content->head.sub_s;
    for (uint32_t h = 1; h <= content->n_hosts; h++)
        for (uint32_t c = 1; c <= content->n_charts; c++)
            for (uint32_t sub = 0; sub < n_subs && err == 0; sub++) {
                if (!has_chunk(content, c * 5, sub))
                    continue;
                fill_grid(content, h * 3, c * 5, sub, &grid);
                err = qr_block_writer_add_grid(writer, h * 3, c * 5, &grid);
            }
    qr_grid_release(&grid);
    return err;
}

static inline struct qr_block_written write_content(struct qr_disk *disk, struct content *content)
{
    struct qr_block_written written;
    assert_int_equal(qr_block_write(disk, PATH, &content->head, fill_content, content, &written),
                     0);
    return written;
}

/* Compares all chunks there should be, and asks for some that should not: how many are there.  What
 * is said to be damaged is left out; anything else that is wrong fails. */
static inline unsigned read_content(struct qr_disk *disk, struct content *content,
                                    const struct qr_block_written *written)
{
    struct qr_block_index *index;
    int err = qr_block_index_read(&index, disk, PATH, written->bytes, written->hash);
    if (err != 0) {
        assert_int_equal(err, QR_E_CORRUPT);
        return 0;
    }
    struct qr_block_reader reader = {0};
    struct qr_grid grid = {0}, expected = {0};
    unsigned n_read = 0;
    uint32_t n_subs = content->head.id.window_s / content->head.sub_s, row;
    for (uint32_t host = 0; host <= content->n_hosts * 3 + 1; host++)
        for (uint32_t chart = 0; chart <= content->n_charts * 5 + 6; chart++)
            for (uint32_t sub = 0; sub < n_subs; sub++) {
                int64_t start_s = qr_block_sub_start_s(&content->head, sub);
                bool exists = host != 0 && host % 3 == 0 && host <= content->n_hosts * 3 &&
                              chart != 0 && chart % 5 == 0 && chart <= content->n_charts * 5 &&
                              has_chunk(content, chart, sub);
                assert_int_equal(qr_block_find(index, host, chart, start_s,
                                               start_s + content->head.sub_s - 1, &row),
                                 exists);
                if (!exists)
                    continue;
                err = qr_block_read(&reader, index, disk, PATH, row, &grid);
                if (err == QR_E_CORRUPT)
                    continue;
                assert_int_equal(err, 0);
                n_read++;
                fill_grid(content, host, chart, sub, &expected);
                assert_int_equal(grid.first_s, expected.first_s);
                assert_int_equal(grid.step_s, expected.step_s);
                assert_int_equal(grid.n_rows, expected.n_rows);
                assert_int_equal(grid.n_dims, expected.n_dims);
                assert_memory_equal(grid.values, expected.values,
                                    sizeof *grid.values * grid.n_rows * grid.n_dims);
            }
    qr_grid_release(&grid);
    qr_grid_release(&expected);
    qr_block_reader_release(&reader);
    free(index);
    return n_read;
}

#endif
