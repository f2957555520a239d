/* The first byte names the compression.  The input as received bytes: every text lies within its
 * limit.  And as text: what is encoded decodes to itself. */
#include "proto/frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(enum qr_compression c, struct qr_slice in, struct qr_buf *out)
{
    struct qr_decompressor *decompressor;
    if (qr_decompressor_new(&decompressor, c, NULL) != 0)
        abort();
    for (;;) {
        struct qr_slice text;
        ssize_t used = qr_frame_decode(decompressor, in, &text);
        if (used < 0)
            break;
        if (used == 0 || (size_t)used > in.len || text.len > QR_FRAME_PLAIN_BYTES_MAX)
            abort();
        qr_buf_add(out, text.base, text.len);
        in = qr_slice_of(in.base + used, in.len - (size_t)used);
    }
    qr_decompressor_free(decompressor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_buf plain = {0}, frames = {0};
    if (size == 0)
        return 0;
    enum qr_compression c = QR_COMPRESSION_LZ4 + data[0] % (QR_COMPRESSIONS - 1);
    struct qr_slice in = qr_slice_of(data + 1, size - 1);
    decode(c, in, &plain);
    qr_buf_clear(&plain);

    struct qr_compressor *compressor;
    if (qr_compressor_new(&compressor, c, NULL) != 0 ||
        qr_frame_encode(compressor, in, &frames) != 0)
        abort();
    qr_compressor_free(compressor);
    decode(c, qr_buf_slice(&frames), &plain);
    if (!qr_slice_equal(qr_buf_slice(&plain), in))
        abort();
    qr_buf_release(&plain);
    qr_buf_release(&frames);
    return 0;
}
