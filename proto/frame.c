#include "proto/frame.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"

#define HEADER_BYTES 4u
#define MARK_FIRST   0xFAu
#define MARK_BIT     0x80u
#define MARK_LAST    0x0Au

static bool header_may_be(struct qr_slice in)
{
    static const uint8_t masks[HEADER_BYTES] = {0xFF, MARK_BIT, MARK_BIT, 0xFF};
    static const uint8_t marks[HEADER_BYTES] = {MARK_FIRST, MARK_BIT, MARK_BIT, MARK_LAST};
    for (size_t i = 0; i < HEADER_BYTES && i < in.len; i++)
        if (((uint8_t)in.base[i] & masks[i]) != marks[i])
            return false;
    return true;
}

ssize_t qr_frame_decode(struct qr_decompressor *decompressor, struct qr_slice in,
                        struct qr_slice *text)
{
    if (!header_may_be(in))
        return QR_E_MALFORMED;
    if (in.len < HEADER_BYTES)
        return QR_E_PARTIAL;
    size_t len = ((uint8_t)in.base[1] & 0x7Fu) | ((uint8_t)in.base[2] & 0x7Fu) << 7;
    if (len == 0)
        return QR_E_MALFORMED;
    if (in.len - HEADER_BYTES < len)
        return QR_E_PARTIAL;
    int err = qr_decompress(decompressor, qr_slice_of(in.base + HEADER_BYTES, len), text);
    return err != 0 ? err : (ssize_t)(HEADER_BYTES + len);
}

static int encode_one(struct qr_compressor *compressor, struct qr_slice text, struct qr_buf *out)
{
    int err = qr_buf_reserve(out, HEADER_BYTES + QR_FRAME_BYTES_MAX);
    if (err != 0)
        return err;
    char *head = out->base + out->len;
    uint32_t n = qr_compress(compressor, text, head + HEADER_BYTES);
    const uint8_t header[HEADER_BYTES] = {MARK_FIRST, (uint8_t)(MARK_BIT | (n & 0x7F)),
                                          (uint8_t)(MARK_BIT | (n >> 7 & 0x7F)), MARK_LAST};
    memcpy(head, header, sizeof header);
    out->len += HEADER_BYTES + n;
    return 0;
}

int qr_frame_encode(struct qr_compressor *compressor, struct qr_slice text, struct qr_buf *out)
{
    while (text.len > 0) {
        size_t len =
            text.len < QR_COMPRESSION_TEXT_BYTES_MAX ? text.len : QR_COMPRESSION_TEXT_BYTES_MAX;
        int err = encode_one(compressor, qr_slice_of(text.base, len), out);
        if (err != 0)
            return err;
        text = qr_slice_of(text.base + len, text.len - len);
    }
    return 0;
}
