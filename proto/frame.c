#include "proto/frame.h"

#include <assert.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"

#define HEADER_BYTES 4u
#define MARK_FIRST   0xFAu
#define MARK_BIT     0x80u
#define MARK_LAST    0x0Au

/* Text unpacked between two moves of the window to the front. */
#define ROOM_BYTES (8u * QR_FRAME_PLAIN_BYTES_MAX)

/* The last QR_LZ4_WINDOW_BYTES of text, contiguous, end at `end`; new text goes behind it, so that
 * LZ4 finds its history right in front of where it writes. */
struct qr_frame_decoder {
    size_t end;
    char text[QR_LZ4_WINDOW_BYTES + ROOM_BYTES];
};

int qr_frame_decoder_new(struct qr_frame_decoder **decoder)
{
    struct qr_frame_decoder *d = malloc(sizeof *d);
    if (d == NULL)
        return UV_ENOMEM;
    d->end = 0;
    *decoder = d;
    return 0;
}

void qr_frame_decoder_free(struct qr_frame_decoder *decoder)
{
    free(decoder);
}

static size_t history_bytes(const struct qr_frame_decoder *d)
{
    return d->end < QR_LZ4_WINDOW_BYTES ? d->end : QR_LZ4_WINDOW_BYTES;
}

static void make_room(struct qr_frame_decoder *d)
{
    if (sizeof d->text - d->end >= QR_FRAME_PLAIN_BYTES_MAX)
        return;
    assert(d->end >= 2 * QR_LZ4_WINDOW_BYTES);
    memcpy(d->text, d->text + d->end - QR_LZ4_WINDOW_BYTES, QR_LZ4_WINDOW_BYTES);
    d->end = QR_LZ4_WINDOW_BYTES;
}

/* LZ4 says "negative" to both a broken block and one that is too big for the room.  A big one fills
 * the room when the rest of it may be dropped. */
static int name_failure(struct qr_frame_decoder *d, const char *block, int len)
{
    char *out = d->text + d->end;
    size_t history = history_bytes(d);
    int n = LZ4_decompress_safe_partial_usingDict(block, out, len, QR_FRAME_PLAIN_BYTES_MAX,
                                                  QR_FRAME_PLAIN_BYTES_MAX, out - history,
                                                  (int)history);
    return n == (int)QR_FRAME_PLAIN_BYTES_MAX ? QR_E_LIMIT : QR_E_CORRUPT;
}

static bool header_may_be(struct qr_slice in)
{
    static const uint8_t masks[HEADER_BYTES] = {0xFF, MARK_BIT, MARK_BIT, 0xFF};
    static const uint8_t marks[HEADER_BYTES] = {MARK_FIRST, MARK_BIT, MARK_BIT, MARK_LAST};
    for (size_t i = 0; i < HEADER_BYTES && i < in.len; i++)
        if (((uint8_t)in.base[i] & masks[i]) != marks[i])
            return false;
    return true;
}

ssize_t qr_frame_decode(struct qr_frame_decoder *decoder, struct qr_slice in, struct qr_slice *text)
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

    make_room(decoder);
    char *out = decoder->text + decoder->end;
    size_t history = history_bytes(decoder);
    int n = LZ4_decompress_safe_usingDict(in.base + HEADER_BYTES, out, (int)len,
                                          QR_FRAME_PLAIN_BYTES_MAX, out - history, (int)history);
    if (n < 0)
        return name_failure(decoder, in.base + HEADER_BYTES, (int)len);
    assert((size_t)n <= QR_FRAME_PLAIN_BYTES_MAX);
    decoder->end += (size_t)n;
    *text = qr_slice_of(out, (size_t)n);
    return (ssize_t)(HEADER_BYTES + len);
}

/* A block of this many bytes stays below QR_FRAME_BYTES_MAX even where LZ4 makes it longer. */
#define BLOCK_PLAIN_BYTES (QR_FRAME_PLAIN_BYTES_MAX - 128 - 1)
static_assert(LZ4_COMPRESSBOUND(BLOCK_PLAIN_BYTES) <= QR_FRAME_BYTES_MAX, "any block fits a frame");

struct qr_frame_encoder {
    LZ4_stream_t lz4;
    size_t end;
    char text[QR_LZ4_WINDOW_BYTES + ROOM_BYTES]; /* As in the decoder. */
};

int qr_frame_encoder_new(struct qr_frame_encoder **encoder)
{
    struct qr_frame_encoder *e = malloc(sizeof *e);
    if (e == NULL)
        return UV_ENOMEM;
    LZ4_initStream(&e->lz4, sizeof e->lz4);
    e->end = 0;
    *encoder = e;
    return 0;
}

void qr_frame_encoder_free(struct qr_frame_encoder *encoder)
{
    free(encoder);
}

static int encode_block(struct qr_frame_encoder *e, struct qr_slice text, struct qr_buf *out)
{
    int err = qr_buf_reserve(out, HEADER_BYTES + QR_FRAME_BYTES_MAX);
    if (err != 0)
        return err;
    if (sizeof e->text - e->end < text.len) {
        /* LZ4 copies the history itself and refers to the copy from now on. */
        int kept = LZ4_saveDict(&e->lz4, e->text, QR_LZ4_WINDOW_BYTES);
        assert(kept >= 0);
        e->end = (size_t)kept;
    }
    memcpy(e->text + e->end, text.base, text.len);
    char *block = out->base + out->len + HEADER_BYTES;
    int n = LZ4_compress_fast_continue(&e->lz4, e->text + e->end, block, (int)text.len,
                                       QR_FRAME_BYTES_MAX, 1);
    assert(n > 0);
    e->end += text.len;

    uint8_t header[HEADER_BYTES] = {MARK_FIRST, (uint8_t)(MARK_BIT | (n & 0x7F)),
                                    (uint8_t)(MARK_BIT | (n >> 7 & 0x7F)), MARK_LAST};
    memcpy(out->base + out->len, header, sizeof header);
    out->len += HEADER_BYTES + (size_t)n;
    return 0;
}

int qr_frame_encode(struct qr_frame_encoder *encoder, struct qr_slice text, struct qr_buf *out)
{
    while (text.len > 0) {
        size_t len = text.len < BLOCK_PLAIN_BYTES ? text.len : BLOCK_PLAIN_BYTES;
        int err = encode_block(encoder, qr_slice_of(text.base, len), out);
        if (err != 0)
            return err;
        text = qr_slice_of(text.base + len, text.len - len);
    }
    return 0;
}
