#include "storage/chunk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S 600

/* What decodes has one canonical form, which decodes to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_codec codec = {0};
    struct qr_grid grid = {0};
    if (qr_chunk_decode(qr_slice_of(data, size), 1200, WINDOW_S, &grid) == 0) {
        struct qr_buf once = {0}, twice = {0};
        uint64_t n = 0, n_again = 0;
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
