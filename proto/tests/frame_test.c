/* Tests also: compression. */
#include "proto/frame.h"

#include <brotli/encode.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/rng.h"
#include "testing/cmocka.h"

/* Text like a child's: numbers in quoted lines, so that blocks refer far back. */
static void write_text(struct qr_buf *text, size_t len)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 7);
    qr_buf_init(text, 0);
    while (text->len < len)
        qr_buf_printf(text, "SET \"dimension_%d\" = %d\n", (int)qr_rng_below(&rng, 300),
                      (int)qr_rng_below(&rng, 1000000));
    text->len = len;
}

/* Decodes all of `in` in pieces that end anywhere; the result is appended to `out`. */
static void decode_all(enum qr_compression compression, struct qr_slice in, struct qr_buf *out)
{
    struct qr_decompressor *decompressor;
    assert_int_equal(qr_decompressor_new(&decompressor, compression, NULL), 0);
    while (in.len > 0) {
        struct qr_slice text;
        ssize_t used = qr_frame_decode(decompressor, in, &text);
        assert_true(used > 0);
        for (size_t part = 0; part < 8; part++)
            assert_int_equal(qr_frame_decode(decompressor, qr_slice_of(in.base, part % 4), &text),
                             QR_E_PARTIAL);
        qr_buf_add(out, text.base, text.len);
        in = qr_slice_of(in.base + used, in.len - (size_t)used);
    }
    qr_decompressor_free(decompressor);
}

static void read_back(enum qr_compression c)
{
    struct qr_buf text, frames = {0}, back = {0};
    write_text(&text, 1000000);
    struct qr_compressor *compressor;
    assert_int_equal(qr_compressor_new(&compressor, c, NULL), 0);
    for (size_t at = 0, len = 1; at < text.len; at += len, len = len * 3 % 40009 + 1) {
        if (len > text.len - at)
            len = text.len - at;
        assert_int_equal(qr_frame_encode(compressor, qr_slice_of(text.base + at, len), &frames), 0);
    }
    assert_true(frames.len < text.len / 2);
    decode_all(c, qr_buf_slice(&frames), &back);
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.base, text.base, text.len);
    qr_compressor_free(compressor);
    qr_buf_release(&text);
    qr_buf_release(&frames);
    qr_buf_release(&back);
}

static void take_noise(enum qr_compression c)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 3);
    struct qr_buf text = {0}, frames = {0}, back = {0};
    while (text.len < 200000)
        qr_buf_add_u64(&text, qr_rng_next(&rng));
    struct qr_compressor *compressor;
    assert_int_equal(qr_compressor_new(&compressor, c, NULL), 0);
    assert_int_equal(qr_frame_encode(compressor, qr_buf_slice(&text), &frames), 0);
    decode_all(c, qr_buf_slice(&frames), &back);
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.base, text.base, text.len);
    qr_compressor_free(compressor);
    qr_buf_release(&text);
    qr_buf_release(&frames);
    qr_buf_release(&back);
}

#define FOR_EACH_COMPRESSION(c)                                                                    \
    for (enum qr_compression c = QR_COMPRESSION_LZ4; c < QR_COMPRESSIONS; c++)

static void reads_back_what_it_writes(void **state)
{
    FOR_EACH_COMPRESSION(c)
    read_back(c);
}

static void takes_what_does_not_compress(void **state)
{
    FOR_EACH_COMPRESSION(c)
    take_noise(c);
}

/* What a level makes of the same text, which the other side reads back. */
static size_t packed_at(enum qr_compression c, const struct qr_compression_levels *levels)
{
    struct qr_buf text, frames = {0}, back = {0};
    struct qr_compressor *compressor;
    write_text(&text, 300000);
    assert_int_equal(qr_compressor_new(&compressor, c, levels), 0);
    assert_int_equal(qr_frame_encode(compressor, qr_buf_slice(&text), &frames), 0);
    decode_all(c, qr_buf_slice(&frames), &back);
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.base, text.base, text.len);
    size_t len = frames.len;
    qr_compressor_free(compressor);
    qr_buf_release(&text);
    qr_buf_release(&frames);
    qr_buf_release(&back);
    return len;
}

static void a_higher_level_packs_more(void **state)
{
    (void)state;
    const struct qr_compression_levels low = {.zstd = 1,
                                              .brotli = 0,
                                              .gzip = 1,
                                              QR_LZ4_ACCELERATION_MAX},
                                       high = {QR_ZSTD_LEVEL_MAX, QR_BROTLI_LEVEL_MAX,
                                               QR_GZIP_LEVEL_MAX, 1};
    FOR_EACH_COMPRESSION(c)
    {
        assert_true(packed_at(c, &high) < packed_at(c, &low));
        assert_int_equal(packed_at(c, NULL), packed_at(c, &qr_compression_levels_default));
    }
}

static ssize_t decode_once(enum qr_compression compression, const void *bytes, size_t len)
{
    struct qr_decompressor *decompressor;
    struct qr_slice text = qr_slice_str("untouched");
    assert_int_equal(qr_decompressor_new(&decompressor, compression, NULL), 0);
    ssize_t used = qr_frame_decode(decompressor, qr_slice_of(bytes, len), &text);
    if (used < 0)
        assert_slice(text, "untouched");
    qr_decompressor_free(decompressor);
    return used;
}

static void names_what_is_wrong(void **state)
{
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "", 0), QR_E_PARTIAL);
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "SET x", 5), QR_E_MALFORMED);
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "\xFA\x05", 2), QR_E_MALFORMED);
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "\xFA\x81\x80X", 4), QR_E_MALFORMED);
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "\xFA\x80\x80\n", 4),
                     QR_E_MALFORMED); /* length 0 */
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, "\xFA\x82\x80\n\x10", 5), QR_E_PARTIAL);
    /* A match that reaches before the first byte of the connection. */
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4,
                                 "\xFA\x88\x80\n\x10"
                                 "a\xFF\x7F\x50wxyz",
                                 12),
                     QR_E_CORRUPT);
}

/* One literal and a match of distance 1: 255 bytes of text for each 0xFF. */
static void refuses_a_frame_that_unpacks_to_too_much(void **state)
{
    char block[4 + 4 + 100 + 7] = "\xFA\x80\x80\n\x1F"
                                  "a\x01";
    size_t n = 8;
    block[7] = 0; /* the distance's high byte */
    while (n < 8 + 100)
        block[n++] = '\xFF';
    block[n++] = 0;
    memcpy(block + n,
           "\x50"
           "bcdef",
           6);
    n += 6;
    block[1] = (char)(0x80 | ((n - 4) & 0x7F));
    block[2] = (char)(0x80 | ((n - 4) >> 7));
    assert_int_equal(decode_once(QR_COMPRESSION_LZ4, block, n), QR_E_LIMIT);
}

/* Zeros of the sender's whole buffer in one payload, as only a hostile sender packs them. */
static struct qr_buf bomb(enum qr_compression c, size_t len)
{
    static char zeros[1024 * 1024];
    struct qr_buf out = {0};
    assert_int_equal(qr_buf_reserve(&out, 4 + 65536), 0);
    size_t n = 0;
    char *payload = out.base + 4;
    if (c == QR_COMPRESSION_ZSTD) {
        n = ZSTD_compress(payload, 65536, zeros, len, 3);
        assert_false(ZSTD_isError(n));
    } else if (c == QR_COMPRESSION_GZIP) {
        z_stream z = {.next_in = (Bytef *)zeros, .avail_in = (uInt)len};
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_out = (Bytef *)payload;
        z.avail_out = 65536;
        assert_int_equal(deflate(&z, Z_SYNC_FLUSH), Z_OK);
        n = 65536 - z.avail_out;
        deflateEnd(&z);
    } else {
        n = 65536;
        assert_true(BrotliEncoderCompress(3, 18, BROTLI_MODE_TEXT, len, (const uint8_t *)zeros, &n,
                                          (uint8_t *)payload));
    }
    assert_true(n > 0 && n < 16384);
    out.base[0] = '\xFA';
    out.base[1] = (char)(0x80 | (n & 0x7F));
    out.base[2] = (char)(0x80 | (n >> 7));
    out.base[3] = '\n';
    out.len = 4 + n;
    return out;
}

static void refuses_bombs(void **state)
{
    FOR_EACH_COMPRESSION(c)
    {
        if (c == QR_COMPRESSION_LZ4)
            continue; /* Above. */
        struct qr_buf frame = bomb(c, 1024 * 1024);
        assert_int_equal(decode_once(c, frame.base, frame.len), QR_E_LIMIT);
        qr_buf_release(&frame);
    }
}

/* A connection's stream does not end before the connection; what is broken is named so. */
static void refuses_what_is_broken(void **state)
{
    FOR_EACH_COMPRESSION(c)
    {
        if (c == QR_COMPRESSION_LZ4)
            continue;
        assert_int_equal(decode_once(c, "\xFA\x84\x80\n\xff\xff\xff\xff", 8), QR_E_CORRUPT);
        if (c == QR_COMPRESSION_GZIP)
            continue; /* bomb() leaves its stream open */
        struct qr_buf whole = bomb(c, 100);
        assert_int_equal(decode_once(c, whole.base, whole.len), QR_E_CORRUPT);
        qr_buf_release(&whole);
    }
}

/* zstd keeps text back until it has enough of it: nothing comes, and later all. */
static void takes_payloads_without_text(void **state)
{
    struct qr_compressor *compressor;
    struct qr_decompressor *decompressor;
    assert_int_equal(qr_compressor_new(&compressor, QR_COMPRESSION_ZSTD, NULL), 0);
    assert_int_equal(qr_decompressor_new(&decompressor, QR_COMPRESSION_ZSTD, NULL), 0);
    char packed[16384];
    struct qr_slice text;
    uint32_t n = qr_compress(compressor, qr_slice_str("BEGIN x\n"), packed);
    assert_true(n > 8);
    assert_int_equal(qr_decompress(decompressor, qr_slice_of(packed, 5), &text), 0);
    assert_int_equal(text.len, 0);
    assert_int_equal(qr_decompress(decompressor, qr_slice_of(packed + 5, n - 5), &text), 0);
    assert_slice(text, "BEGIN x\n");
    qr_compressor_free(compressor);
    qr_decompressor_free(decompressor);
}

static void names_are_those_of_stream_conf(void **state)
{
    FOR_EACH_COMPRESSION(c)
    assert_int_equal(qr_compression_of_name(qr_slice_str(qr_compression_name(c))), c);
    assert_int_equal(qr_compression_of_name(qr_slice_str("none")), QR_COMPRESSION_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_writes),
        cmocka_unit_test(takes_what_does_not_compress),
        cmocka_unit_test(a_higher_level_packs_more),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(refuses_a_frame_that_unpacks_to_too_much),
        cmocka_unit_test(refuses_bombs),
        cmocka_unit_test(refuses_what_is_broken),
        cmocka_unit_test(takes_payloads_without_text),
        cmocka_unit_test(names_are_those_of_stream_conf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
