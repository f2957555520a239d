/* Tests also: series. */
#include "storage/codec.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/tests/series.h"
#include "testing/cmocka.h"

#define N_MAX 1500
#define E     QR_VALUE_EMPTY

static int decode_all(struct qr_cursor *in, uint32_t n, uint32_t *values)
{
    return qr_codec_decode(in, &(struct qr_codec_rows){n, 0, n}, values);
}

static void every_kind_of_series_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 21);
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    static uint32_t in[N_MAX * 3], back[N_MAX];
    static const uint32_t lengths[] = {1, 2, 7, 127, 128, 129, 256, 600, N_MAX};
    unsigned modes_seen = 0;
    for (unsigned round = 0; round < 3000; round++) {
        enum series_kind kind = round % SERIES_KINDS;
        unsigned with = (unsigned)qr_rng_below(&rng, 16);
        uint32_t n = lengths[qr_rng_below(&rng, QR_COUNT(lengths))];
        series_fill(&rng, kind, with, in, n, 3);
        qr_buf_clear(&out);
        qr_buf_add_u8(&out, 77); /* It appends. */
        assert_int_equal(qr_codec_encode(&codec, &out, in, n, 3), 0);
        modes_seen |= 1u << (out.base[1] & 7);
        struct qr_cursor cursor = qr_cursor_of(qr_slice_of(out.base + 1, out.len - 1));
        assert_int_equal(decode_all(&cursor, n, back), 0);
        assert_true(qr_cursor_done(&cursor));
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(back[i], in[i * 3]);
        cursor = qr_cursor_of(qr_slice_of(out.base + 1, out.len - 1));
        assert_int_equal(qr_codec_skip(&cursor, n), 0);
        assert_true(qr_cursor_done(&cursor));
    }
    assert_int_equal(modes_seen, 0x3f); /* Each way of writing was chosen. */
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

static void any_range_of_rows_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 24);
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    static uint32_t in[N_MAX], back[N_MAX + 1];
    for (unsigned round = 0; round < 6000; round++) {
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, N_MAX);
        series_fill(&rng, round % SERIES_KINDS, (unsigned)qr_rng_below(&rng, 16), in, n, 1);
        qr_buf_clear(&out);
        assert_int_equal(qr_codec_encode(&codec, &out, in, n, 1), 0);
        struct qr_codec_rows rows = {n, (uint32_t)qr_rng_below(&rng, n), 0};
        rows.end = rows.first + 1 + (uint32_t)qr_rng_below(&rng, n - rows.first);
        back[rows.end - rows.first] = 12345; /* Not touched. */
        struct qr_cursor cursor = qr_cursor_of(qr_buf_slice(&out));
        assert_int_equal(qr_codec_decode(&cursor, &rows, back), 0);
        assert_true(qr_cursor_done(&cursor));
        assert_memory_equal(back, in + rows.first, (rows.end - rows.first) * sizeof *in);
        assert_int_equal(back[rows.end - rows.first], 12345);
    }
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

static void bytes_are_as_documented(void **state)
{
    (void)state;
    static const struct {
        uint32_t values[6];
        uint32_t n;
        uint8_t bytes[24];
        uint32_t n_bytes;
    } cases[] = {
        {{E, E, E}, 3, {0}, 1},
        {{5, 5, 5}, 3, {2, 7, 10}, 3},
        {{5, E, 5}, 3, {2 | 8, 1, 2, 7, 10}, 5},
        {{1, 1, 1, 1, 1, 9}, 6, {3, 7, 2, 4, 16, 0}, 6},
        {{1, 2, 9, 1, 2, 9}, 6, {4, 7, 1, 2, 0, 6, 0x24, 0x09}, 8},
        {{1u << 26 | 5, 2}, 2, {3, 6, 10, 0, 30, 0}, 6}, /* 0.5, 2: tenths 5, 5 + 15 */
        {{0, 1, 3, 7, 2, 6}, 6, {5, 7, 0, 0, 3, 0xc8, 0x2e, 0x03}, 8}, /* Offsets of 3 bits. */
        {{7, 7 | QR_VALUE_RESET}, 2, {2 | 16, 1, 2, 7, 14}, 5},
        {{1u << 31}, 1, {1, 0, 0, 0, 0x80}, 5}, /* -0 is no canonical value. */
    };
    struct qr_codec codec = {0};
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        struct qr_buf out = {0};
        assert_int_equal(qr_codec_encode(&codec, &out, cases[c].values, cases[c].n, 1), 0);
        assert_int_equal(out.len, cases[c].n_bytes);
        assert_memory_equal(out.base, cases[c].bytes, out.len);
        qr_buf_release(&out);
    }
    qr_codec_release(&codec);
}

static void small_series_are_small(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 22);
    static const struct {
        enum series_kind kind;
        size_t bytes_max;
    } cases[] = {
        {SERIES_CONSTANT, 8},  {SERIES_SPARSE, 110},    {SERIES_FEW_VALUES, 420},
        {SERIES_COUNTER, 480}, {SERIES_DECIMALS, 1310}, {SERIES_SPIKES, 520},
        {SERIES_NOISE, 2700},
    };
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    uint32_t in[600];
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        series_fill(&rng, cases[c].kind, 0, in, 600, 1);
        qr_buf_clear(&out);
        assert_int_equal(qr_codec_encode(&codec, &out, in, 600, 1), 0);
        if (out.len > cases[c].bytes_max)
            fail_msg("kind %u takes %zu bytes", cases[c].kind, out.len);
    }
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 23);
    struct qr_codec codec = {0};
    static uint32_t in[300], back[300];
    for (unsigned round = 0; round < 60; round++) {
        struct qr_buf out = {0};
        series_fill(&rng, round % SERIES_KINDS, round / SERIES_KINDS + 1, in, 300, 1);
        assert_int_equal(qr_codec_encode(&codec, &out, in, 300, 1), 0);
        for (size_t len = 0; len < out.len; len++) {
            char *exact = malloc(len + (len == 0)); /* So that a sanitizer sees a read behind it. */
            if (len != 0)
                memcpy(exact, out.base, len);
            struct qr_cursor cursor = qr_cursor_of(qr_slice_of(exact, len));
            assert_int_equal(decode_all(&cursor, 300, back), QR_E_MALFORMED);
            free(exact);
        }
        for (unsigned i = 0; i < 500; i++) {
            size_t at = qr_rng_below(&rng, out.len);
            char was = out.base[at];
            out.base[at] = (char)qr_rng_next(&rng);
            struct qr_cursor cursor = qr_cursor_of(qr_buf_slice(&out));
            int err = decode_all(&cursor, 300, back);
            assert_true(err == 0 || err == QR_E_MALFORMED);
            out.base[at] = was;
        }
        qr_buf_release(&out);
    }
    qr_codec_release(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_series_comes_back),
        cmocka_unit_test(any_range_of_rows_comes_back),
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(small_series_are_small),
        cmocka_unit_test(damaged_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
