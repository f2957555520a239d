#include "storage/chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S 600

/* What decodes has one canonical form, which decodes to the same. */
static void read_parts(struct qr_slice bytes, const struct qr_grid *grid)
{
    static const uint32_t dim = 1;
    const struct qr_dims second = {&dim, 1};
    struct qr_grid part = {0};
    struct qr_chunk chunk;
    struct qr_aggregate sums[4] = {0};
    assert(qr_chunk_open(&chunk, bytes, 1200, WINDOW_S) == 0);
    int64_t first_s = 1200 + (int64_t)(bytes.len * 7 % WINDOW_S), last_s = first_s + 50;
    int got = qr_chunk_read(&chunk, &second, first_s, last_s, &part);
    assert(got >= 0);
    for (uint32_t row = 0; row < part.n_rows && got == 1 && grid->n_dims > 1; row++) {
        int64_t off = part.first_s + (int64_t)row * part.step_s - grid->first_s;
        assert(qr_grid_at(&part, row, 0) == qr_grid_at(grid, (uint32_t)(off / grid->step_s), 1));
    }
    (void)qr_chunk_aggregate(&chunk, &second, &(struct qr_buckets){first_s, 20, 4}, sums);
    qr_grid_release(&part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_codec codec = {0};
    struct qr_grid grid = {0};
    if (qr_chunk_decode(qr_slice_of(data, size), 1200, WINDOW_S, &grid) == 0) {
        struct qr_buf once = {0}, twice = {0};
        uint64_t n = 0, n_again = 0;
        read_parts(qr_slice_of(data, size), &grid);
        assert(qr_chunk_encode(&codec, &once, 1200, &grid, &n) == 0);
        if (n != 0) {
            assert(qr_chunk_decode(qr_buf_slice(&once), 1200, WINDOW_S, &grid) == 0);
            assert(qr_chunk_encode(&codec, &twice, 1200, &grid, &n_again) == 0);
            assert(n == n_again);
            assert(qr_slice_equal(qr_buf_slice(&once), qr_buf_slice(&twice)));
        }
        qr_buf_release(&once);
        qr_buf_release(&twice);
    }
    qr_grid_release(&grid);
    qr_codec_release(&codec);
    return 0;
}
