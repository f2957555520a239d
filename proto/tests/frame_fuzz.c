/* The input as received bytes: every text lies within its limit.  And as text: what is encoded
 * decodes to itself. */
#include "proto/frame.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(struct qr_slice in, struct qr_buf *out)
{
    struct qr_frame_decoder *decoder;
    if (qr_frame_decoder_new(&decoder) != 0)
        abort();
    for (;;) {
        struct qr_slice text;
        ssize_t used = qr_frame_decode(decoder, in, &text);
        if (used < 0)
            break;
        if (used == 0 || (size_t)used > in.len || text.len > QR_FRAME_PLAIN_BYTES_MAX)
            abort();
        qr_buf_add(out, text.base, text.len);
        in = qr_slice_of(in.base + used, in.len - (size_t)used);
    }
    qr_frame_decoder_free(decoder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_buf plain = {0}, frames = {0};
    struct qr_slice in = qr_slice_of(data, size);
    decode(in, &plain);
    qr_buf_clear(&plain);

    struct qr_frame_encoder *encoder;
    if (qr_frame_encoder_new(&encoder) != 0 || qr_frame_encode(encoder, in, &frames) != 0)
        abort();
    qr_frame_encoder_free(encoder);
    decode(qr_buf_slice(&frames), &plain);
    if (!qr_slice_equal(qr_buf_slice(&plain), in))
        abort();
    qr_buf_release(&plain);
    qr_buf_release(&frames);
    return 0;
}
