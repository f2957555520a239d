/* The codec alone: series by series, windows of 600 s. */
#include <stdbool.h>
#include <string.h>

#include "bench/fleet.h"
#include "bench/storage.h"
#include "storage/codec.h"
#include "storage/lanes.h"
#include "storage/value.h"

#define WINDOW_S 600u

/* Changes often, and has more than three decimals. */
static bool is_noisy(const struct qr_corpus *corpus, uint32_t series)
{
    const uint32_t *column = qr_corpus_column(corpus, series);
    uint32_t n_changes = 0, n_fine = 0;
    for (uint32_t i = 1; i < corpus->n_rows; i++) {
        n_changes += column[i] != column[i - 1];
        n_fine += !qr_value_is_empty(column[i]) && qr_value_exponent(column[i]) < -3;
    }
    return n_changes > corpus->n_rows / 20 && n_fine > corpus->n_rows / 20;
}

static uint64_t encode(const struct qr_corpus *corpus, struct qr_codec *codec, struct qr_buf *out,
                       bool noisy_only)
{
    uint64_t n = 0;
    for (uint32_t s = 0; s < corpus->n_series; s++) {
        if (noisy_only && !is_noisy(corpus, s))
            continue;
        for (uint32_t row = 0; row + WINDOW_S <= corpus->n_rows; row += WINDOW_S) {
            qr_bench_must_be_0(
                qr_codec_encode(codec, out, qr_corpus_column(corpus, s) + row, WINDOW_S, 1),
                "encode");
            n += WINDOW_S;
        }
    }
    return n;
}

/* To values and on to doubles, as a reader of them would.  Returns something of them, so that it is
 * done. */
static double decode(const struct qr_buf *bytes)
{
    const struct qr_codec_rows all = {WINDOW_S, 0, WINDOW_S};
    uint32_t values[WINDOW_S];
    static double doubles[WINDOW_S];
    double sum = 0;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(bytes));
    while (qr_cursor_left(&in) > 0) {
        qr_bench_must_be_0(qr_codec_decode(&in, &all, values), "decode");
        qr_lanes_here()->unpack_values(values, WINDOW_S, doubles);
        sum += doubles[WINDOW_S - 1];
    }
    return sum;
}

static void measure(const struct qr_bench *bench, bool noisy_only, enum qr_figure_id decode_id)
{
    struct qr_codec codec = {0};
    struct qr_buf bytes = {0};
    volatile double sum = 0;
    for (unsigned pass = 0; pass < bench->passes; pass++) {
        qr_buf_clear(&bytes);
        double start = qr_bench_cpu_ns();
        uint64_t n = encode(bench->corpus, &codec, &bytes, noisy_only);
        double encoded = qr_bench_cpu_ns();
        sum = sum + decode(&bytes);
        qr_figure_set(decode_id, (qr_bench_cpu_ns() - encoded) / (double)n);
        if (!noisy_only)
            qr_figure_set(QR_FIGURE_ENCODE, (encoded - start) / (double)n);
    }
    qr_codec_release(&codec);
    qr_buf_release(&bytes);
}

void qr_bench_codec(const struct qr_bench *bench)
{
    measure(bench, false, QR_FIGURE_DECODE);
    measure(bench, true, QR_FIGURE_DECODE_NOISY);
}
