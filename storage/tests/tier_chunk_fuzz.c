#include "storage/tier_chunk.h"

#include <assert.h>

#define START_S  1200
#define WINDOW_S 3600u

/* What decodes has one canonical form, which decodes to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_tier_codec codec = {0};
    uint32_t n_dims;
    struct qr_points points = {0};
    if (qr_tier_chunk_decode(&codec, qr_slice_of(data, size), START_S, WINDOW_S, 60, &points) ==
        0) {
        struct qr_buf once = {0}, twice = {0};
        uint64_t n = 0, n_again = 0;
        int64_t end_s = START_S + WINDOW_S;
        assert(qr_tier_chunk_encode(&codec, &once, START_S, &points, 0, end_s, &n_dims, &n) == 0);
        if (n != 0) {
            assert(qr_tier_chunk_decode(&codec, qr_buf_slice(&once), START_S, WINDOW_S, 60,
                                        &points) == 0);
            assert(qr_tier_chunk_encode(&codec, &twice, START_S, &points, 0, end_s, &n_dims,
                                        &n_again) == 0);
            assert(n == n_again);
            assert(qr_slice_equal(qr_buf_slice(&once), qr_buf_slice(&twice)));
        }
        qr_buf_release(&once);
        qr_buf_release(&twice);
    }
    qr_points_release(&points);
    qr_tier_codec_release(&codec);
    return 0;
}
