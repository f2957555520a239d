#include "storage/codec.h"

#include <assert.h>
#include <stdlib.h>

/* What decodes can be encoded, and then takes no more bytes and decodes to the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct qr_codec codec;
    static uint32_t values[300], again[300];
    if (size < 1)
        return 0;
    uint32_t n = data[0] + 1u;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(data + 1, size - 1));
    if (qr_codec_decode(&codec, &in, values, n, 1) != 0)
        return 0;
    struct qr_buf out = {0};
    assert(qr_codec_encode(&codec, &out, values, n, 1) == 0);
    in = qr_cursor_of(qr_buf_slice(&out));
    assert(qr_codec_decode(&codec, &in, again, n, 1) == 0);
    assert(qr_cursor_done(&in));
    assert(memcmp(values, again, n * sizeof *values) == 0);
    qr_buf_release(&out);
    return 0;
}
