#include "proto/sender_rows.h"

#include "base/compiler.h"
#include "proto/tests/sending_pair.h"

#define CAPS_V1                                                                                    \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_REPLICATION | QR_CAP_BINARY)
#define CAPS_V2 (CAPS_V1 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS)

/* Decimals of 24 bits, as our store holds them. */
static double random_value(struct qr_rng *rng)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e12, 1e14};
    uint64_t kind = qr_rng_below(rng, 100);
    double m = (double)qr_rng_below(rng, qr_rng_below(rng, 2) ? 1000 : 16777216);
    if (kind < 5)
        return 0;
    if (kind < 70)
        m /= tens[qr_rng_below(rng, 8)];
    else if (kind < 98)
        m *= tens[qr_rng_below(rng, 5)];
    else
        m *= tens[qr_rng_below(rng, QR_COUNT(tens))];
    return qr_rng_below(rng, 3) == 0 ? -m : m;
}

/* Values with gaps of one dimension, of a row, and of the whole chart for some time. */
static void random_rows(struct qr_rng *rng, struct pair_chart *c, int64_t seconds)
{
    uint32_t n = (uint32_t)(seconds / c->def.update_every);
    uint64_t silent = 0;
    for (uint32_t i = 0; i < n; i++) {
        pair_row(c, i);
        if (silent > 0) {
            silent--;
            continue;
        }
        if (qr_rng_below(rng, 40) == 0)
            silent = qr_rng_below(rng, 8) == 0 ? 50 + qr_rng_below(rng, 40) : qr_rng_below(rng, 4);
        for (uint32_t d = 0; d < c->def.n_dims; d++) {
            uint8_t flags = (uint8_t)((qr_rng_below(rng, 20) == 0 ? QR_STREAM_RESET : 0) |
                                      (qr_rng_below(rng, 10) == 0 ? QR_STREAM_ANOMALOUS : 0));
            if (qr_rng_below(rng, 10) > 0)
                pair_set(c, i, d, random_value(rng), flags);
        }
    }
}

static uint8_t flags_expected(const struct pair *pair, const struct pair_cell *sent,
                              const struct pair_cell *arrived)
{
    uint8_t carried = 0;
    if (pair->caps & QR_CAP_INTERPOLATED)
        carried = QR_STREAM_RESET | QR_STREAM_ANOMALOUS;
    else if (arrived->replayed)
        carried = QR_STREAM_RESET;
    return sent->flags & carried;
}

static bool is_same(double a, double b)
{
    return a == b || fabs(a - b) <= 1e-15 * fabs(a);
}

/* All that existed has arrived, and nothing else. */
static void expect_all(const struct pair *pair, uint64_t *n_values)
{
    for (uint32_t k = 0; k < pair->n_charts; k++) {
        const struct pair_chart *c = &pair->charts[k];
        for (uint32_t i = 0; i < c->n_visible; i++)
            for (uint32_t d = 0; d < c->def.n_dims; d++) {
                const struct pair_cell *sent = &c->rows[i * PAIR_DIMS_MAX + d];
                const struct pair_cell *arrived = &c->arrived[i * PAIR_DIMS_MAX + d];
                bool has = !(sent->flags & QR_STREAM_EMPTY);
                if (has != (arrived->n > 0) || (has && !is_same(sent->value, arrived->value)))
                    fail_msg("chart %u row %u (%lld) dim %u: sent %.17g, arrived %d times %.17g "
                             "(before %.17g %d, replayed %d, every %u)",
                             k, i, (long long)pair_end_of(c, i), d, has ? sent->value : (double)NAN,
                             arrived->n, arrived->value, i > 0 ? sent[-PAIR_DIMS_MAX].value : 0,
                             i > 0 ? sent[-PAIR_DIMS_MAX].flags : 0, arrived->replayed,
                             c->def.update_every);
                if (!has)
                    continue;
                assert_int_equal(arrived->flags, flags_expected(pair, sent, arrived));
                ++*n_values;
            }
    }
}

static const uint32_t masks[] = {
    CAPS_V1,
    CAPS_V1 | QR_CAP_LZ4,
    (CAPS_V1 | QR_CAP_LZ4) & ~QR_CAP_BINARY,
    CAPS_V1 | QR_CAP_IEEE754 | QR_CAP_SLOTS,
    CAPS_V2,
    CAPS_V2 & ~QR_CAP_IEEE754,
    CAPS_V2 & ~QR_CAP_SLOTS,
    CAPS_V2 & ~(QR_CAP_SLOTS | QR_CAP_IEEE754),
    CAPS_V2 | QR_CAP_ZSTD,
    CAPS_V2 | QR_CAP_BROTLI,
    CAPS_V2 | QR_CAP_GZIP,
    CAPS_V2 & ~QR_CAP_CLABELS,
};

/* Random charts, one connection after the other with outages between, answers cut short. */
static void run_history(uint64_t seed, uint32_t caps, uint64_t *n_values)
{
    struct qr_rng rng;
    struct pair pair;
    qr_rng_seed(&rng, seed);
    pair_open(&pair, caps);
    int64_t seconds = 900;
    uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, 6);
    for (uint32_t k = 0; k < n; k++) {
        char id[32];
        snprintf(id, sizeof id, "type%u.chart %u", k % 2, k);
        struct pair_chart *c =
            pair_add_chart(&pair, id, 1 + (uint32_t)qr_rng_below(&rng, k % 2 ? 10 : 2),
                           1 + (uint32_t)qr_rng_below(&rng, PAIR_DIMS_MAX));
        random_rows(&rng, c, seconds);
    }
    if (qr_rng_below(&rng, 2))
        pair.answer_rows_max = 1 + (uint32_t)qr_rng_below(&rng, 100);
    bool connected = false;
    int64_t until = 0;
    for (int64_t t = PAIR_START_S + 1; t <= PAIR_START_S + seconds; t++) {
        if (t >= until) {
            if (connected)
                pair_disconnect(&pair);
            connected = !connected;
            until = t + (connected ? 30 + (int64_t)qr_rng_below(&rng, 400)
                                   : (int64_t)qr_rng_below(&rng, 60));
            if (connected)
                pair_connect(&pair);
        }
        pair.lag_us = 100000 + (int64_t)qr_rng_below(&rng, 300000);
        pair_second(&pair, t, connected);
    }
    if (!connected)
        pair_connect(&pair);
    for (uint32_t k = 0; k < pair.n_charts; k++)
        if (pair.charts[k].handle == NULL && pair_newest_s(&pair.charts[k]) > 0)
            pair_define(&pair, &pair.charts[k]);
    pair_pump(&pair);
    expect_all(&pair, n_values);
    pair_disconnect(&pair);
    pair_close(&pair);
}

static void what_arrives_is_what_was_sent(void **state)
{
    uint64_t n_values = 0;
    for (uint64_t seed = 1; seed <= 10 * QR_COUNT(masks); seed++)
        run_history(seed, masks[seed % QR_COUNT(masks)], &n_values);
    assert_true(n_values > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrives_is_what_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
