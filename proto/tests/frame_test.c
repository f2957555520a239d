#include "proto/frame.h"

#include <stdio.h>
#include <stdlib.h>

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
static void decode_all(struct qr_slice in, struct qr_buf *out)
{
    struct qr_frame_decoder *decoder;
    assert_int_equal(qr_frame_decoder_new(&decoder), 0);
    while (in.len > 0) {
        struct qr_slice text;
        ssize_t used = qr_frame_decode(decoder, in, &text);
        assert_true(used > 0);
        for (size_t part = 0; part < 8; part++)
            assert_int_equal(qr_frame_decode(decoder, qr_slice_of(in.base, part % 4), &text),
                             QR_E_PARTIAL);
        qr_buf_add(out, text.base, text.len);
        in = qr_slice_of(in.base + used, in.len - (size_t)used);
    }
    qr_frame_decoder_free(decoder);
}

static void reads_back_what_it_writes(void **state)
{
    struct qr_buf text, frames = {0}, back = {0};
    write_text(&text, 1000000);
    struct qr_frame_encoder *encoder;
    assert_int_equal(qr_frame_encoder_new(&encoder), 0);
    for (size_t at = 0, len = 1; at < text.len; at += len, len = len * 3 % 40009 + 1) {
        if (len > text.len - at)
            len = text.len - at;
        assert_int_equal(qr_frame_encode(encoder, qr_slice_of(text.base + at, len), &frames), 0);
    }
    assert_true(frames.len < text.len / 2);
    decode_all(qr_buf_slice(&frames), &back);
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.base, text.base, text.len);
    qr_frame_encoder_free(encoder);
    qr_buf_release(&text);
    qr_buf_release(&frames);
    qr_buf_release(&back);
}

static void takes_what_does_not_compress(void **state)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 3);
    struct qr_buf text = {0}, frames = {0}, back = {0};
    while (text.len < 200000)
        qr_buf_add_u64(&text, qr_rng_next(&rng));
    struct qr_frame_encoder *encoder;
    assert_int_equal(qr_frame_encoder_new(&encoder), 0);
    assert_int_equal(qr_frame_encode(encoder, qr_buf_slice(&text), &frames), 0);
    decode_all(qr_buf_slice(&frames), &back);
    assert_int_equal(back.len, text.len);
    assert_memory_equal(back.base, text.base, text.len);
    qr_frame_encoder_free(encoder);
    qr_buf_release(&text);
    qr_buf_release(&frames);
    qr_buf_release(&back);
}

static ssize_t decode_once(const void *bytes, size_t len)
{
    struct qr_frame_decoder *decoder;
    struct qr_slice text = qr_slice_str("untouched");
    assert_int_equal(qr_frame_decoder_new(&decoder), 0);
    ssize_t used = qr_frame_decode(decoder, qr_slice_of(bytes, len), &text);
    if (used < 0)
        assert_slice(text, "untouched");
    qr_frame_decoder_free(decoder);
    return used;
}

static void names_what_is_wrong(void **state)
{
    assert_int_equal(decode_once("", 0), QR_E_PARTIAL);
    assert_int_equal(decode_once("SET x", 5), QR_E_MALFORMED);
    assert_int_equal(decode_once("\xFA\x05", 2), QR_E_MALFORMED);
    assert_int_equal(decode_once("\xFA\x81\x80X", 4), QR_E_MALFORMED);
    assert_int_equal(decode_once("\xFA\x80\x80\n", 4), QR_E_MALFORMED); /* length 0 */
    assert_int_equal(decode_once("\xFA\x82\x80\n\x10", 5), QR_E_PARTIAL);
    /* A match that reaches before the first byte of the connection. */
    assert_int_equal(decode_once("\xFA\x88\x80\n\x10"
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
    assert_int_equal(decode_once(block, n), QR_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_it_writes),
        cmocka_unit_test(takes_what_does_not_compress),
        cmocka_unit_test(names_what_is_wrong),
        cmocka_unit_test(refuses_a_frame_that_unpacks_to_too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
