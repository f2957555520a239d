#include "storage/codec.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/tests/series.h"
#include "testing/cmocka.h"

#define N_MAX 1500
#define E     QR_VALUE_EMPTY

static void every_kind_of_series_comes_back(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 21);
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    static uint32_t in[N_MAX * 3], back[N_MAX * 2];
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
        assert_int_equal(qr_codec_decode(&codec, &cursor, back, n, 2), 0);
        assert_true(qr_cursor_done(&cursor));
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(back[i * 2], in[i * 3]);
    }
    assert_int_equal(modes_seen, 0x3f); /* Each way of writing was chosen. */
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
        {{1u << 26 | 5, 2}, 2, {5, 6, 4, 10, 0xf0}, 5}, /* 0.5, 2: tenths 5, 5 + 15 */
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
        {SERIES_COUNTER, 480}, {SERIES_DECIMALS, 1300}, {SERIES_SPIKES, 520},
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
            assert_int_equal(qr_codec_decode(&codec, &cursor, back, 300, 1), QR_E_MALFORMED);
            free(exact);
        }
        for (unsigned i = 0; i < 500; i++) {
            size_t at = qr_rng_below(&rng, out.len);
            char was = out.base[at];
            out.base[at] = (char)qr_rng_next(&rng);
            struct qr_cursor cursor = qr_cursor_of(qr_buf_slice(&out));
            int err = qr_codec_decode(&codec, &cursor, back, 300, 1);
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
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(small_series_are_small),
        cmocka_unit_test(damaged_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
