#include "proto/outgoing.h"

#include <lz4.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "proto/number.h"
#include "proto/words.h"
#include "testing/cmocka.h"

struct wire {
    struct qr_buf bytes;
    size_t n_sent;
};

static void on_send(void *data, struct qr_slice bytes)
{
    struct wire *wire = data;
    assert_true(bytes.len > 0);
    assert_int_equal(qr_buf_add(&wire->bytes, bytes.base, bytes.len), 0);
    wire->n_sent++;
}

static void open_wire(struct wire *wire, struct qr_outgoing *out, uint32_t caps)
{
    *wire = (struct wire){.n_sent = 0};
    qr_buf_init(&wire->bytes, 0);
    assert_int_equal(qr_outgoing_init(out, caps, NULL, on_send, wire), 0);
}

static void close_wire(struct wire *wire, struct qr_outgoing *out)
{
    qr_outgoing_release(out);
    qr_buf_release(&wire->bytes);
}

/* ---- numbers ---- */

static const int64_t integers[] = {0,         1,         -1,        63,        64,
                                   -64,       4095,      4096,      999999999, 1795405901,
                                   INT64_MIN, INT64_MAX, INT32_MIN, INT32_MAX, 1LL << 53};

static void integers_are_read_back(void **state)
{
    for (size_t i = 0; i < QR_COUNT(integers); i++) {
        char text[3][QR_OUTGOING_NUMBER_BYTES_MAX];
        const char *end[3] = {qr_put_decimal(text[0], integers[i]),
                              qr_put_hex(text[1], integers[i]),
                              qr_put_signed_b64(text[2], integers[i])};
        for (size_t k = 0; k < 3; k++) {
            int64_t value;
            assert_int_equal(
                qr_number_int(qr_slice_of(text[k], (size_t)(end[k] - text[k])), &value), 0);
            assert_int_equal(value, integers[i]);
        }
    }
}

static void numbers_look_like_netdatas(void **state)
{
    char text[QR_OUTGOING_NUMBER_BYTES_MAX];
    *qr_put_signed_b64(text, 1795405901) = '\0';
    assert_string_equal(text, "#BrA7hN");
    *qr_put_signed_b64(text, 0) = '\0';
    assert_string_equal(text, "#A");
    *qr_put_hex(text, 0x6B03B8CC) = '\0';
    assert_string_equal(text, "0x6B03B8CC");
    *qr_put_ieee(text, 0.0) = '\0';
    assert_string_equal(text, "@A");
    *qr_put_ieee(text, 30.000000000000004) = '\0';
    assert_string_equal(text, "@EA+AAAAAAAB");
}

static const struct {
    double value;
    const char *text;
} fixed[] = {
    {0, "0"},
    {-0.0, "0"},
    {30, "30"},
    {-29629.61, "-29629.61"},
    {1000.6477921, "1000.6477921"},
    {1e-7, "0.0000001"},
    {4e-8, "0"},
    {-4e-8, "0"},
    {0.99999999, "1"},
    {1e15, "1000000000000000"},
    {1.6777215e21, "1677721499999999885312"},
    {-400000000.25, "-400000000.25"},
    {0.1234567, "0.1234567"},
};

static void doubles_have_seven_decimals(void **state)
{
    for (size_t i = 0; i < QR_COUNT(fixed); i++) {
        char text[QR_OUTGOING_NUMBER_BYTES_MAX];
        *qr_put_fixed(text, fixed[i].value) = '\0';
        assert_string_equal(text, fixed[i].text);
    }
}

/* ---- words ---- */

static void words_are_read_back(void **state)
{
    static const char *const words[] = {"",       "a",       "a b=c",   "it's",      "say \"x\"",
                                        "a\\\"b", "a\\'b\"", "\\\\",    "tab\there", "x\\\\",
                                        "'",      "\"",      "\\'\\\"", "=",         "\xc3\xa9"};
    for (size_t i = 0; i < QR_COUNT(words); i++)
        for (int k = 0; k < 2; k++) {
            char text[64];
            size_t len = (size_t)(qr_put_word(text, qr_slice_str(words[i]), k ? '"' : '\'') - text);
            assert_int_equal(len, strlen(words[i]) + 2);
            memcpy(text + len, " Z", 3);
            struct qr_words split;
            assert_int_equal(qr_words_split(&split, qr_slice_of(text, len + 2)), 0);
            assert_int_equal(split.n, 2);
            assert_true(qr_slice_is(split.at[0], words[i]));
            assert_true(qr_slice_is(split.at[1], "Z"));
        }
}

/* What no quoting can say does not break the line. */
static void hostile_words_stay_words(void **state)
{
    unsigned seed = 7;
    for (int round = 0; round < 20000; round++) {
        static const char alphabet[] = {'\'', '"', '\\', ' ', '=', '\n', '\0', 'a', '\t', '\r'};
        char word[8], text[16];
        size_t n = (size_t)round % sizeof word;
        for (size_t i = 0; i < n; i++) {
            seed = seed * 1103515245u + 12345u;
            word[i] = alphabet[(seed >> 16) % sizeof alphabet];
        }
        size_t len =
            (size_t)(qr_put_word(text, qr_slice_of(word, n), round & 8 ? '"' : '\'') - text);
        memcpy(text + len, " Z", 2);
        struct qr_words split;
        assert_int_equal(qr_words_split(&split, qr_slice_of(text, len + 2)), 0);
        assert_int_equal(split.n, 2);
        assert_int_equal(split.at[0].len, n);
        assert_true(qr_slice_is(split.at[1], "Z"));
        assert_null(memchr(text, '\n', len));
    }
}

/* ---- the buffer, packing and frames ---- */

static void say_lines(struct qr_outgoing *out, struct qr_buf *plain, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char line[3000];
        int len = snprintf(line, sizeof line, "SET2 'dimension %u' #B %u A\n", i, i * 2654435761u);
        size_t width = i % 97 == 0 ? sizeof line : (size_t)len;
        if (width > (size_t)len)
            memset(line + len - 1, 'x', width - (size_t)len);
        line[width - 1] = '\n';
        qr_outgoing_bytes(out, qr_slice_of(line, width));
        qr_buf_add(plain, line, width);
    }
}

static void unpack(struct qr_slice wire, enum qr_compression compression, bool whole_lines,
                   struct qr_buf *text)
{
    struct qr_decompressor *d;
    assert_int_equal(qr_decompressor_new(&d, compression, NULL), 0);
    while (wire.len > 0) {
        struct qr_slice piece;
        ssize_t n = qr_frame_decode(d, wire, &piece);
        assert_true(n > 0);
        assert_true(piece.len > 0);
        if (whole_lines)
            assert_int_equal(piece.base[piece.len - 1], '\n');
        qr_buf_add(text, piece.base, piece.len);
        wire = qr_slice_of(wire.base + n, wire.len - (size_t)n);
    }
    qr_decompressor_free(d);
}

static void what_is_said_arrives(void **state)
{
    static const uint32_t compressions[] = {0, QR_CAP_LZ4, QR_CAP_ZSTD, QR_CAP_GZIP, QR_CAP_BROTLI};
    for (size_t i = 0; i < 2 * QR_COUNT(compressions); i++) {
        bool whole_lines = i >= QR_COUNT(compressions);
        uint32_t packed = compressions[i % QR_COUNT(compressions)];
        struct wire wire;
        struct qr_outgoing out;
        struct qr_buf plain, text;
        open_wire(&wire, &out, packed | (whole_lines ? 0 : QR_CAP_BINARY));
        qr_buf_init(&plain, 0);
        qr_buf_init(&text, 0);
        for (unsigned n = 0; n < 3000; n += 1 + n / 2) {
            say_lines(&out, &plain, n);
            qr_outgoing_flush(&out);
        }
        assert_int_equal(out.bytes_wire, wire.bytes.len);
        assert_int_equal(out.bytes_text, plain.len);
        if (packed != 0) {
            unpack(qr_buf_slice(&wire.bytes), qr_caps_compression(packed), whole_lines, &text);
            assert_true(wire.bytes.len < plain.len / 2);
        } else {
            qr_buf_add(&text, wire.bytes.base, wire.bytes.len);
        }
        assert_true(qr_slice_equal(qr_buf_slice(&text), qr_buf_slice(&plain)));
        qr_buf_release(&plain);
        qr_buf_release(&text);
        close_wire(&wire, &out);
    }
}

/* As a stock parent does: a ring of the window and two blocks, used from its begin again when the
 * longest block might not fit.  (With less, LZ4 1.9 copies between places that overlap.) */
static void lz4_blocks_unpack_in_a_ring(void **state)
{
    enum { BLOCK_MAX = 16384, RING = 65536 + 2 * BLOCK_MAX };
    static char ring[RING];
    struct wire wire;
    struct qr_outgoing out;
    struct qr_buf plain, text;
    open_wire(&wire, &out, QR_CAP_LZ4 | QR_CAP_BINARY);
    qr_buf_init(&plain, 0);
    qr_buf_init(&text, 0);
    for (unsigned i = 0; i < 300; i++) {
        say_lines(&out, &plain, 7 + i * i % 700);
        if (i % 3 > 0)
            qr_outgoing_flush(&out);
    }
    qr_outgoing_flush(&out);
    assert_true(plain.len > 40 * RING);
    LZ4_streamDecode_t *stream = LZ4_createStreamDecode();
    assert_non_null(stream);
    int at = 0;
    for (size_t i = 0; i < wire.bytes.len;) {
        const uint8_t *head = (const uint8_t *)wire.bytes.base + i;
        int len = (head[1] & 0x7F) | (head[2] & 0x7F) << 7;
        if (at + BLOCK_MAX > RING)
            at = 0;
        int n =
            LZ4_decompress_safe_continue(stream, (const char *)head + 4, ring + at, len, BLOCK_MAX);
        assert_true(n > 0);
        qr_buf_add(&text, ring + at, (size_t)n);
        at += n;
        i += 4 + (size_t)len;
    }
    LZ4_freeStreamDecode(stream);
    assert_true(qr_slice_equal(qr_buf_slice(&text), qr_buf_slice(&plain)));
    qr_buf_release(&plain);
    qr_buf_release(&text);
    close_wire(&wire, &out);
}

static void nothing_goes_before_it_must(void **state)
{
    struct wire wire;
    struct qr_outgoing out;
    open_wire(&wire, &out, QR_CAP_BINARY);
    for (size_t i = 0; i < QR_OUTGOING_BYTES; i++)
        qr_outgoing_str(&out, "x");
    assert_int_equal(wire.n_sent, 0);
    qr_outgoing_str(&out, "y");
    assert_int_equal(wire.n_sent, 1);
    qr_outgoing_flush(&out);
    assert_int_equal(wire.n_sent, 2);
    qr_outgoing_flush(&out);
    assert_int_equal(wire.n_sent, 2);
    assert_int_equal(wire.bytes.len, QR_OUTGOING_BYTES + 1);
    close_wire(&wire, &out);
}

/* A peer that wants whole lines gets a longer one all the same. */
static void a_line_without_end_is_cut(void **state)
{
    struct wire wire;
    struct qr_outgoing out;
    struct qr_buf text;
    open_wire(&wire, &out, QR_CAP_LZ4);
    qr_buf_init(&text, 0);
    for (size_t i = 0; i < 3 * QR_OUTGOING_BYTES; i++)
        qr_outgoing_str(&out, "x");
    qr_outgoing_str(&out, "\n");
    qr_outgoing_flush(&out);
    unpack(qr_buf_slice(&wire.bytes), QR_COMPRESSION_LZ4, false, &text);
    assert_int_equal(text.len, 3 * QR_OUTGOING_BYTES + 1);
    qr_buf_release(&text);
    close_wire(&wire, &out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_back),
        cmocka_unit_test(numbers_look_like_netdatas),
        cmocka_unit_test(doubles_have_seven_decimals),
        cmocka_unit_test(words_are_read_back),
        cmocka_unit_test(hostile_words_stay_words),
        cmocka_unit_test(what_is_said_arrives),
        cmocka_unit_test(lz4_blocks_unpack_in_a_ring),
        cmocka_unit_test(nothing_goes_before_it_must),
        cmocka_unit_test(a_line_without_end_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
