#include "proto/compression.h"

#include <assert.h>
#include <brotli/decode.h>
#include <brotli/encode.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <zlib.h>
#include <zstd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"

static const char *const names[QR_COMPRESSIONS] = {
    [QR_COMPRESSION_NONE] = "none",     [QR_COMPRESSION_LZ4] = "lz4",
    [QR_COMPRESSION_ZSTD] = "zstd",     [QR_COMPRESSION_GZIP] = "gzip",
    [QR_COMPRESSION_BROTLI] = "brotli",
};

const char *qr_compression_name(enum qr_compression compression)
{
    return names[compression];
}

enum qr_compression qr_compression_of_name(struct qr_slice name)
{
    for (enum qr_compression c = QR_COMPRESSION_LZ4; c < QR_COMPRESSIONS; c++)
        if (qr_slice_equal(name, qr_slice_str(names[c])))
            return c;
    return QR_COMPRESSION_NONE;
}

/* zstd's window up to level 19; beyond that our own compressor is held to it. */
#define ZSTD_WINDOW_LOG_MAX      23
#define ZSTD_LEVEL_OF_WINDOW_LOG 19
#define GZIP_WINDOW_BITS         (15 + 16)

const struct qr_compression_levels qr_compression_levels_default = {
    .zstd = 3, .brotli = 3, .gzip = 3, .lz4_acceleration = 1};

/* ---- LZ4 ---- */

/* LZ4 says "negative" to both a broken block and one that is too big for the room.  A big one fills
 * the room when the rest of it may be dropped. */
static int name_failure(struct qr_slice block, char *out, size_t n_past)
{
    int n = LZ4_decompress_safe_partial_usingDict(
        block.base, out, (int)block.len, QR_FRAME_PLAIN_BYTES_MAX, QR_FRAME_PLAIN_BYTES_MAX,
        out - n_past, (int)n_past);
    return n == (int)QR_FRAME_PLAIN_BYTES_MAX ? QR_E_LIMIT : QR_E_CORRUPT;
}

static int unpack_lz4(struct qr_history *history, struct qr_slice block, struct qr_slice *text)
{
    char *out;
    size_t n_past;
    int err = qr_history_open(history, &out, &n_past);
    if (err != 0)
        return err;
    if (n_past > QR_LZ4_WINDOW_BYTES)
        n_past = QR_LZ4_WINDOW_BYTES;
    int n = LZ4_decompress_safe_usingDict(block.base, out, (int)block.len, QR_FRAME_PLAIN_BYTES_MAX,
                                          out - n_past, (int)n_past);
    if (n < 0)
        return name_failure(block, out, n_past);
    qr_history_add(history, (size_t)n);
    *text = qr_slice_of(out, (size_t)n);
    return 0;
}

/* ---- the others: streams whose library keeps the history ---- */

/* One byte of room more than allowed: text that reaches it is too much. */
#define PLAIN_ROOM (QR_FRAME_PLAIN_BYTES_MAX + 1)

struct qr_decompressor {
    enum qr_compression compression;
    union {
        struct qr_history *lz4;
        ZSTD_DCtx *zstd;
        z_stream *gzip;
        BrotliDecoderState *brotli;
    } u;
    char text[]; /* PLAIN_ROOM of those whose window is not the text. */
};

static int unpack_zstd(struct qr_decompressor *d, struct qr_slice payload, size_t *n)
{
    ZSTD_inBuffer in = {payload.base, payload.len, 0};
    ZSTD_outBuffer out = {d->text, PLAIN_ROOM, 0};
    size_t before;
    do {
        before = in.pos + out.pos;
        size_t hint = ZSTD_decompressStream(d->u.zstd, &out, &in);
        if (ZSTD_isError(hint))
            return QR_E_CORRUPT;
        if (hint == 0) /* The frame of the connection has ended, but the connection has not. */
            return QR_E_CORRUPT;
    } while (in.pos + out.pos > before && out.pos < out.size);
    *n = out.pos;
    return in.pos == in.size || out.pos == out.size ? 0 : QR_E_CORRUPT;
}

static int unpack_gzip(struct qr_decompressor *d, struct qr_slice payload, size_t *n)
{
    z_stream *z = d->u.gzip;
    z->next_in = (Bytef *)(uintptr_t)payload.base; /* zlib's const came late: it only reads. */
    z->avail_in = (uInt)payload.len;
    z->next_out = (Bytef *)d->text;
    z->avail_out = PLAIN_ROOM;
    int rv = inflate(z, Z_SYNC_FLUSH);
    *n = PLAIN_ROOM - z->avail_out;
    /* Z_BUF_ERROR: nothing to do, as when a payload held back all of its text. */
    if (rv != Z_OK && rv != Z_BUF_ERROR)
        return QR_E_CORRUPT;
    return z->avail_in == 0 || z->avail_out == 0 ? 0 : QR_E_CORRUPT;
}

static int unpack_brotli(struct qr_decompressor *d, struct qr_slice payload, size_t *n)
{
    size_t n_in = payload.len, n_out = PLAIN_ROOM;
    const uint8_t *in = (const uint8_t *)payload.base;
    uint8_t *out = (uint8_t *)d->text;
    BrotliDecoderResult rv =
        BrotliDecoderDecompressStream(d->u.brotli, &n_in, &in, &n_out, &out, NULL);
    *n = PLAIN_ROOM - n_out;
    if (rv == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT)
        return QR_E_LIMIT;
    return rv == BROTLI_DECODER_RESULT_NEEDS_MORE_INPUT && n_in == 0 ? 0 : QR_E_CORRUPT;
}

int qr_decompress(struct qr_decompressor *d, struct qr_slice payload, struct qr_slice *text)
{
    size_t n = 0;
    int err;
    switch (d->compression) {
    case QR_COMPRESSION_LZ4:
        return unpack_lz4(d->u.lz4, payload, text);
    case QR_COMPRESSION_ZSTD:
        err = unpack_zstd(d, payload, &n);
        break;
    case QR_COMPRESSION_GZIP:
        err = unpack_gzip(d, payload, &n);
        break;
    default:
        err = unpack_brotli(d, payload, &n);
        break;
    }
    if (err == 0 && n > QR_FRAME_PLAIN_BYTES_MAX)
        err = QR_E_LIMIT;
    if (err == 0)
        *text = qr_slice_of(d->text, n);
    return err;
}

static bool begin_unpacking(struct qr_decompressor *d, struct qr_history_pool *pool)
{
    switch (d->compression) {
    case QR_COMPRESSION_LZ4:
        return qr_history_new(&d->u.lz4, pool) == 0;
    case QR_COMPRESSION_ZSTD:
        d->u.zstd = ZSTD_createDCtx();
        return d->u.zstd != NULL && !ZSTD_isError(ZSTD_DCtx_setParameter(
                                        d->u.zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX));
    case QR_COMPRESSION_GZIP:
        d->u.gzip = calloc(1, sizeof *d->u.gzip);
        return d->u.gzip != NULL && inflateInit2(d->u.gzip, GZIP_WINDOW_BITS) == Z_OK;
    case QR_COMPRESSION_BROTLI:
        d->u.brotli = BrotliDecoderCreateInstance(NULL, NULL, NULL);
        return d->u.brotli != NULL;
    default:
        assert(false);
        return false;
    }
}

int qr_decompressor_new(struct qr_decompressor **decompressor, enum qr_compression compression,
                        struct qr_history_pool *pool)
{
    size_t room = compression == QR_COMPRESSION_LZ4 ? 0 : PLAIN_ROOM;
    struct qr_decompressor *d = calloc(1, sizeof *d + room);
    if (d == NULL)
        return UV_ENOMEM;
    d->compression = compression;
    if (!begin_unpacking(d, pool)) {
        qr_decompressor_free(d);
        return UV_ENOMEM;
    }
    *decompressor = d;
    return 0;
}

void qr_decompressor_free(struct qr_decompressor *d)
{
    if (d == NULL)
        return;
    switch (d->compression) {
    case QR_COMPRESSION_LZ4:
        qr_history_free(d->u.lz4);
        break;
    case QR_COMPRESSION_ZSTD:
        ZSTD_freeDCtx(d->u.zstd);
        break;
    case QR_COMPRESSION_GZIP:
        if (d->u.gzip != NULL)
            inflateEnd(d->u.gzip);
        free(d->u.gzip);
        break;
    default:
        if (d->u.brotli != NULL)
            BrotliDecoderDestroyInstance(d->u.brotli);
        break;
    }
    free(d);
}

void qr_decompressor_rest(struct qr_decompressor *d)
{
    if (d->compression == QR_COMPRESSION_LZ4)
        qr_history_rest(d->u.lz4);
}

void qr_decompressor_fold(struct qr_decompressor *d)
{
    if (d->compression == QR_COMPRESSION_LZ4)
        qr_history_fold(d->u.lz4);
}

/* ---- the sending side ---- */

static_assert(LZ4_COMPRESSBOUND(QR_COMPRESSION_TEXT_BYTES_MAX) <= QR_FRAME_BYTES_MAX,
              "any text fits a frame");

/* Text packed between two moves of the window to the front. */
#define ROOM_BYTES (8u * QR_FRAME_PLAIN_BYTES_MAX)

/* The last text, contiguous, end at `end`: LZ4 refers to it. */
struct lz4_packer {
    LZ4_stream_t stream;
    int acceleration;
    size_t end;
    char text[QR_LZ4_WINDOW_BYTES + ROOM_BYTES];
};

struct qr_compressor {
    enum qr_compression compression;
    union {
        struct lz4_packer *lz4;
        ZSTD_CCtx *zstd;
        z_stream *gzip;
        BrotliEncoderState *brotli;
    } u;
};

static size_t pack_lz4(struct lz4_packer *p, struct qr_slice text, char *out)
{
    if (sizeof p->text - p->end < text.len) {
        /* LZ4 copies the history itself and refers to the copy from now on. */
        int kept = LZ4_saveDict(&p->stream, p->text, QR_LZ4_WINDOW_BYTES);
        assert(kept >= 0);
        p->end = (size_t)kept;
    }
    memcpy(p->text + p->end, text.base, text.len);
    int n = LZ4_compress_fast_continue(&p->stream, p->text + p->end, out, (int)text.len,
                                       QR_FRAME_BYTES_MAX, p->acceleration);
    assert(n > 0);
    p->end += text.len;
    return (size_t)n;
}

static size_t pack_zstd(ZSTD_CCtx *zstd, struct qr_slice text, char *out)
{
    ZSTD_inBuffer in = {text.base, text.len, 0};
    ZSTD_outBuffer to = {out, QR_FRAME_BYTES_MAX, 0};
    size_t left = ZSTD_compressStream2(zstd, &to, &in, ZSTD_e_flush);
    assert(left == 0 && in.pos == in.size);
    (void)left;
    return to.pos;
}

static size_t pack_gzip(z_stream *z, struct qr_slice text, char *out)
{
    z->next_in = (Bytef *)(uintptr_t)text.base;
    z->avail_in = (uInt)text.len;
    z->next_out = (Bytef *)out;
    z->avail_out = QR_FRAME_BYTES_MAX;
    int rv = deflate(z, Z_SYNC_FLUSH);
    assert(rv == Z_OK && z->avail_in == 0 && z->avail_out > 0);
    (void)rv;
    return QR_FRAME_BYTES_MAX - z->avail_out;
}

static size_t pack_brotli(BrotliEncoderState *brotli, struct qr_slice text, char *out)
{
    size_t n_in = text.len, n_out = QR_FRAME_BYTES_MAX;
    const uint8_t *in = (const uint8_t *)text.base;
    uint8_t *to = (uint8_t *)out;
    BROTLI_BOOL ok =
        BrotliEncoderCompressStream(brotli, BROTLI_OPERATION_FLUSH, &n_in, &in, &n_out, &to, NULL);
    assert(ok && n_in == 0 && !BrotliEncoderHasMoreOutput(brotli));
    (void)ok;
    return QR_FRAME_BYTES_MAX - n_out;
}

uint32_t qr_compress(struct qr_compressor *c, struct qr_slice text, char *out)
{
    assert(text.len > 0 && text.len <= QR_COMPRESSION_TEXT_BYTES_MAX);
    switch (c->compression) {
    case QR_COMPRESSION_LZ4:
        return (uint32_t)pack_lz4(c->u.lz4, text, out);
    case QR_COMPRESSION_ZSTD:
        return (uint32_t)pack_zstd(c->u.zstd, text, out);
    case QR_COMPRESSION_GZIP:
        return (uint32_t)pack_gzip(c->u.gzip, text, out);
    default:
        return (uint32_t)pack_brotli(c->u.brotli, text, out);
    }
}

static bool begin_zstd(ZSTD_CCtx *zstd, int level)
{
    bool ok =
        zstd != NULL && !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level));
    if (ok && level > ZSTD_LEVEL_OF_WINDOW_LOG)
        ok = !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_windowLog, ZSTD_WINDOW_LOG_MAX));
    return ok;
}

static bool begin_packing(struct qr_compressor *c, const struct qr_compression_levels *levels)
{
    switch (c->compression) {
    case QR_COMPRESSION_LZ4:
        c->u.lz4 = malloc(sizeof *c->u.lz4);
        if (c->u.lz4 == NULL)
            return false;
        LZ4_initStream(&c->u.lz4->stream, sizeof c->u.lz4->stream);
        c->u.lz4->acceleration = (int)levels->lz4_acceleration;
        c->u.lz4->end = 0;
        return true;
    case QR_COMPRESSION_ZSTD:
        c->u.zstd = ZSTD_createCCtx();
        return begin_zstd(c->u.zstd, (int)levels->zstd);
    case QR_COMPRESSION_GZIP:
        c->u.gzip = calloc(1, sizeof *c->u.gzip);
        return c->u.gzip != NULL && deflateInit2(c->u.gzip, (int)levels->gzip, Z_DEFLATED,
                                                 GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    case QR_COMPRESSION_BROTLI:
        c->u.brotli = BrotliEncoderCreateInstance(NULL, NULL, NULL);
        return c->u.brotli != NULL &&
               BrotliEncoderSetParameter(c->u.brotli, BROTLI_PARAM_QUALITY, levels->brotli);
    default:
        assert(false);
        return false;
    }
}

int qr_compressor_new(struct qr_compressor **compressor, enum qr_compression compression,
                      const struct qr_compression_levels *levels)
{
    struct qr_compressor *c = calloc(1, sizeof *c);
    if (c == NULL)
        return UV_ENOMEM;
    c->compression = compression;
    if (!begin_packing(c, levels != NULL ? levels : &qr_compression_levels_default)) {
        qr_compressor_free(c);
        return UV_ENOMEM;
    }
    *compressor = c;
    return 0;
}

void qr_compressor_free(struct qr_compressor *c)
{
    if (c == NULL)
        return;
    switch (c->compression) {
    case QR_COMPRESSION_LZ4:
        free(c->u.lz4);
        break;
    case QR_COMPRESSION_ZSTD:
        ZSTD_freeCCtx(c->u.zstd);
        break;
    case QR_COMPRESSION_GZIP:
        if (c->u.gzip != NULL)
            deflateEnd(c->u.gzip);
        free(c->u.gzip);
        break;
    default:
        if (c->u.brotli != NULL)
            BrotliEncoderDestroyInstance(c->u.brotli);
        break;
    }
    free(c);
}
