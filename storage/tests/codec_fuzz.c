#include "storage/codec.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "storage/codec_aggregate.h"

/* What decodes can be encoded, and then decodes to the same; parts of it, and sums, are those of
 * the whole. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct qr_codec codec;
    static uint32_t values[300], again[300];
    if (size < 3)
        return 0;
    uint32_t n = data[0] + 1u, first = data[1] % n, end = first + 1 + data[2] % (n - first);
    struct qr_slice bytes = qr_slice_of(data + 3, size - 3);
    struct qr_cursor in = qr_cursor_of(bytes), part = in, sums = in;
    struct qr_aggregate sum = {0}, expected = {0};
    int err = qr_codec_decode(&in, &(struct qr_codec_rows){n, 0, n}, values);
    int part_err = qr_codec_decode(&part, &(struct qr_codec_rows){n, first, end}, again);
    int sum_err = qr_codec_aggregate(&sums, n, (uint32_t[]){first, end}, 1, &sum);
    if (err != 0)
        return 0;
    assert(part_err == 0 && part.p == in.p);
    assert(memcmp(values + first, again, (end - first) * sizeof *values) == 0);
    bool only_values = true;
    for (uint32_t i = first; i < end; i++) {
        qr_aggregate_add(&expected, values[i]);
        uint32_t bare = values[i] & ~QR_VALUE_FLAGS; /* No value is both empty and marked. */
        only_values = only_values && (qr_value_is_empty(values[i]) ||
                                      (!qr_value_is_empty(bare) && qr_value_is_canonical(bare)));
    }
    if (sum_err == 0 && only_values)
        assert(sum.count == expected.count && sum.n_anomalous == expected.n_anomalous &&
               sum.n_resets == expected.n_resets && sum.sum == expected.sum &&
               sum.min == expected.min && sum.max == expected.max);
    struct qr_buf out = {0};
    assert(qr_codec_encode(&codec, &out, values, n, 1) == 0);
    in = qr_cursor_of(qr_buf_slice(&out));
    assert(qr_codec_decode(&in, &(struct qr_codec_rows){n, 0, n}, again) == 0);
    assert(qr_cursor_done(&in));
    assert(memcmp(values, again, n * sizeof *values) == 0);
    qr_buf_release(&out);
    return 0;
}
