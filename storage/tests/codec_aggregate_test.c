#include "storage/codec_aggregate.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "base/error.h"
#include "storage/codec.h"
#include "storage/tests/series.h"
#include "testing/cmocka.h"

#define N_MAX 1500

/* The same as adding the values one by one, for any buckets. */
static void sums_are_those_of_the_values(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 25);
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    static uint32_t in[N_MAX], bounds[N_MAX + 1];
    static struct qr_aggregate buckets[N_MAX], expected[N_MAX];
    for (unsigned round = 0; round < 6000; round++) {
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, N_MAX), n_buckets = 0;
        uint64_t width = qr_rng_below(&rng, 2) ? 2 * N_MAX : 1 + qr_rng_below(&rng, 200);
        series_fill(&rng, round % SERIES_KINDS, (unsigned)qr_rng_below(&rng, 16), in, n, 1);
        for (uint32_t i = 0; i < n && round % SERIES_KINDS == SERIES_BITS; i++)
            in[i] &= ~QR_VALUE_FLAGS; /* Those of what is no value are not counted. */
        qr_buf_clear(&out);
        assert_int_equal(qr_codec_encode(&codec, &out, in, n, 1), 0);
        bounds[0] = (uint32_t)qr_rng_below(&rng, n);
        do { /* Buckets without a row, too. */
            uint32_t step = (uint32_t)qr_rng_below(&rng, width);
            bounds[n_buckets + 1] = step < n - bounds[n_buckets] ? bounds[n_buckets] + step : n;
            n_buckets++;
        } while (bounds[n_buckets] < n && n_buckets < N_MAX && qr_rng_below(&rng, 30) != 0);
        memset(buckets, 0, sizeof buckets);
        memset(expected, 0, sizeof expected);
        for (uint32_t b = 0; b < n_buckets; b++)
            for (uint32_t i = bounds[b]; i < bounds[b + 1]; i++)
                qr_aggregate_add(&expected[b], in[i]);
        struct qr_cursor cursor = qr_cursor_of(qr_buf_slice(&out));
        assert_int_equal(qr_codec_aggregate(&cursor, n, bounds, n_buckets, buckets), 0);
        assert_true(qr_cursor_done(&cursor));
        assert_memory_equal(buckets, expected, sizeof buckets);
    }
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

/* Bytes that are not as written are refused or add something up; none is read behind them. */
static void damaged_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 26);
    struct qr_codec codec = {0};
    static uint32_t in[300];
    const uint32_t bounds[] = {10, 11, 200, 300};
    for (unsigned round = 0; round < 60; round++) {
        struct qr_buf out = {0};
        series_fill(&rng, round % SERIES_KINDS, round / SERIES_KINDS + 1, in, 300, 1);
        assert_int_equal(qr_codec_encode(&codec, &out, in, 300, 1), 0);
        for (size_t len = 0; len < out.len; len++) {
            char *exact = malloc(len + (len == 0)); /* So that a sanitizer sees a read behind it. */
            if (len != 0)
                memcpy(exact, out.base, len);
            struct qr_aggregate sums[3] = {0};
            struct qr_cursor cursor = qr_cursor_of(qr_slice_of(exact, len));
            assert_int_equal(qr_codec_aggregate(&cursor, 300, bounds, 3, sums), QR_E_MALFORMED);
            free(exact);
        }
        for (unsigned i = 0; i < 500; i++) {
            size_t at = qr_rng_below(&rng, out.len);
            char was = out.base[at];
            out.base[at] = (char)qr_rng_next(&rng);
            struct qr_aggregate sums[3] = {0};
            struct qr_cursor cursor = qr_cursor_of(qr_buf_slice(&out));
            int err = qr_codec_aggregate(&cursor, 300, bounds, 3, sums);
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
        cmocka_unit_test(sums_are_those_of_the_values),
        cmocka_unit_test(damaged_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
