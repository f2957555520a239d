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
                    fail_msg("chart %u row %u (%lld) dim %u: sent %.17g, arrived %d times %.17g", k,
                             i, (long long)pair_end_of(c, i), d, has ? sent->value : (double)NAN,
                             arrived->n, arrived->value);
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

/* ---- parents without replication ---- */

#define CAPS_V5 (QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLABELS)

/* Such a parent stamps the first rows itself; from the fourth on they are where they belong,
 * however late they are, and after a pause again. */
static void the_clock_of_an_old_parent_is_led_to_ours(void **state)
{
    static const int64_t lags_us[] = {20000, 480000, 520000, 999000, 1300000};
    for (size_t k = 0; k < 2 * QR_COUNT(lags_us); k++) {
        struct pair pair;
        pair_open(&pair, CAPS_V5);
        pair.exact_times = false;
        pair.lag_us = lags_us[k / 2];
        struct pair_chart *c = pair_add_chart(&pair, "a.b", k % 2 ? 5 : 1, 2);
        uint32_t every = c->def.update_every, n = 300;
        for (uint32_t i = 0; i < n; i++) {
            pair_row(c, i);
            bool pause = (i >= 100 && i < 110) ||
                         (i >= 150 && i < 150 + 2 * QR_SENDER_ROWS_SILENCE_POINTS_MAX);
            if (!pause)
                pair_set(c, i, 0, (double)i + 0.25, 0);
            if (!pause && i % 3 > 0)
                pair_set(c, i, 1, -(double)i * 1e6, 0);
        }
        pair_connect(&pair);
        for (int64_t t = PAIR_START_S + 1; t < c->first_s + n * every; t++)
            pair_second(&pair, t, true);
        uint32_t resumed = 150 + 2 * QR_SENDER_ROWS_SILENCE_POINTS_MAX;
        for (uint32_t i = 4; i < n; i++)
            for (uint32_t d = 0; d < 2; d++) {
                const struct pair_cell *sent = &c->rows[i * PAIR_DIMS_MAX + d];
                const struct pair_cell *arrived = &c->arrived[i * PAIR_DIMS_MAX + d];
                if ((i >= resumed && i < resumed + 3) || i < 4)
                    continue;
                assert_int_equal(arrived->n, sent->flags & QR_STREAM_EMPTY ? 0 : 1);
                if (arrived->n > 0)
                    assert_true(is_same(sent->value, arrived->value));
            }
        pair_disconnect(&pair);
        pair_close(&pair);
    }
}

/* Replication is known, but switched off at the parent: "0 0" gets what came since the definition,
 * and the clock is led as above, because the parent's may be ahead of ours. */
static void an_empty_request_loses_nothing_to_a_v2_parent(void **state)
{
    struct pair pair;
    pair_open(&pair, CAPS_V2);
    struct pair_chart *c = pair_add_chart(&pair, "a.b", 1, 1);
    for (uint32_t i = 0; i < 20; i++)
        pair_set(c, i, 0, i, 0);
    pair_connect(&pair);
    c->n_visible = 10;
    pair_define(&pair, c);
    qr_sender_flush(pair.sender);
    c->n_visible = 13; /* While the request was on its way. */
    assert_int_equal(
        qr_sender_feed(pair.sender, qr_slice_str("REPLAY_CHART \"a.b\" \"true\" 0 0\n")), 0);
    assert_true(c->asked);
    assert_int_equal(c->replay.after_s, pair_end_of(c, 9));
    assert_true(c->replay.start_streaming);
    pair_answer(&pair, c);
    qr_sender_flush(pair.sender);
    pair_feed_parent(&pair);
    assert_true(qr_sender_is_live(c->handle));
    for (uint32_t i = 10; i < 13; i++)
        assert_int_equal(c->arrived[i * PAIR_DIMS_MAX].n, 1);
    pair_disconnect(&pair);
    pair_close(&pair);
}

/* ---- lines ---- */

static void expect_said(struct pair *pair, const char *text)
{
    qr_sender_flush(pair->sender);
    qr_buf_add_u8(&pair->to_parent, 0);
    assert_string_equal(pair->to_parent.base, text);
    qr_buf_clear(&pair->to_parent);
}

static void forget_said(struct pair *pair)
{
    qr_sender_flush(pair->sender);
    qr_buf_clear(&pair->to_parent);
}

static void feed(struct pair *pair, const char *text)
{
    assert_int_equal(qr_sender_feed(pair->sender, qr_slice_str(text)), 0);
}

/* A chart of two dimensions, three rows of which exist; the connection asks for them. */
static struct pair_chart *example(struct pair *pair, uint32_t caps)
{
    pair_open(pair, caps);
    struct pair_chart *c = pair_add_chart(pair, "a.b", 1, 2);
    for (uint32_t i = 0; i < 8; i++) {
        pair_set(c, i, 0, i == 2 ? 0.5 : i, i == 1 ? QR_STREAM_RESET : 0);
        if (i != 1)
            pair_set(c, i, 1, -7, QR_STREAM_ANOMALOUS);
    }
    c->n_visible = 3;
    pair_connect(pair);
    pair_define(pair, c);
    forget_said(pair);
    return c;
}

static void send_row(struct pair *pair, struct pair_chart *c, uint32_t i, bool is_taken)
{
    double values[PAIR_DIMS_MAX];
    uint8_t flags[PAIR_DIMS_MAX];
    struct qr_stream_row row;
    c->n_visible = i + 1;
    pair_fill_row(c, i, &row, values, flags);
    assert_int_equal(qr_sender_row(pair->sender, c->handle, &row), is_taken);
}

static void says_what_a_1_37_child_says(void **state)
{
    struct pair pair;
    struct pair_chart *c = example(&pair, CAPS_V1);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000041 1700000043\n");
    send_row(&pair, c, 2, false); /* It waits for the answer. */
    pair_answer(&pair, c);
    expect_said(&pair, "RBEGIN \"a.b\"\n"
                       "RBEGIN '' 1700000041 1700000042 1700000042\n"
                       "RSET \"abs\" 1 \"R\"\nRSET \"b c\" NAN \"E\"\n"
                       "RBEGIN '' 1700000042 1700000043 1700000043\n"
                       "RSET \"abs\" 0.5 \"\"\nRSET \"b c\" -7 \"\"\n"
                       "RDSTATE \"abs\" 1700000043500000 5000000 0.5 0.5\n"
                       "RDSTATE \"b c\" 1700000043500000 -70000000 -7 -7\n"
                       "RSSTATE 1700000043500000 1700000043000000\n"
                       "REND 1 1700000040 1700000043 true 1700000041 1700000043 1700000043\n");
    send_row(&pair, c, 2, true); /* Was in the answer. */
    send_row(&pair, c, 3, true);
    send_row(&pair, c, 5, true);
    expect_said(&pair, "BEGIN \"a.b\" 1000000\nSET \"abs\" = 30000000\nSET \"b c\" = "
                       "-70000000\nEND\n"
                       "BEGIN \"a.b\" 1000000\nEND\n"
                       "BEGIN \"a.b\" 1000000\nSET \"abs\" = 50000000\nSET \"b c\" = "
                       "-70000000\nEND\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

static void says_what_a_2_9_child_says(void **state)
{
    struct pair pair;
    struct pair_chart *c = example(&pair, CAPS_V2);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000041 1700000043\n");
    pair_answer(&pair, c);
    expect_said(&pair, "RBEGIN SLOT:#B 'a.b'\n"
                       "RBEGIN '' #BlU/Ep #BlU/Eq #BlU/Eq\nRSET SLOT:#B 'abs' @D/wAAAAAAAA AR\n"
                       "RBEGIN '' #BlU/Eq #BlU/Er #BlU/Er\nRSET SLOT:#B 'abs' @D/gAAAAAAAA A\n"
                       "RSET SLOT:#C 'b c' @MAcAAAAAAAA ''\n"
                       "RDSTATE SLOT:#B 'abs' #GCiQatgHg #B @D/gAAAAAAAA @D/gAAAAAAAA\n"
                       "RDSTATE SLOT:#C 'b c' #GCiQatgHg -#H @MAcAAAAAAAA @MAcAAAAAAAA\n"
                       "RSSTATE #GCiQatgHg #GCiQarmDA\n"
                       "REND #B #BlU/Eo #BlU/Er true #BlU/Ep #BlU/Er #BlU/Er\n");
    send_row(&pair, c, 3, true);
    expect_said(&pair, "BEGIN2 SLOT:#B 'a.b' #B #BlU/Es #\nSET2 SLOT:#B 'abs' #D # A\n"
                       "SET2 SLOT:#C 'b c' -#H # ''\nEND2\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

/* A 1.37 parent loses the first value of a dimension that it has never seen, so the newest row is
 * said again when there is no newer one. */
static void an_answer_that_starts_a_1_37_parent_has_a_row(void **state)
{
    struct pair pair;
    struct pair_chart *c = example(&pair, CAPS_V1);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000043 1700000043\n");
    pair_answer(&pair, c);
    expect_said(&pair, "RBEGIN \"a.b\"\n"
                       "RBEGIN '' 1700000042 1700000043 1700000043\n"
                       "RSET \"abs\" 0.5 \"\"\nRSET \"b c\" -7 \"\"\n"
                       "RDSTATE \"abs\" 1700000043500000 5000000 0.5 0.5\n"
                       "RDSTATE \"b c\" 1700000043500000 -70000000 -7 -7\n"
                       "RSSTATE 1700000043500000 1700000043000000\n"
                       "REND 1 1700000040 1700000043 true 1700000043 1700000043 1700000043\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

/* Healing requests of a chart that streams leave it alone. */
static void a_part_of_the_past_does_not_stop_the_stream(void **state)
{
    struct pair pair;
    struct pair_chart *c = example(&pair, CAPS_V1);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000041 1700000043\n");
    pair_answer(&pair, c);
    forget_said(&pair);
    feed(&pair, "REPLAY_CHART \"a.b\" \"false\" 1700000041 1700000042\n");
    pair_answer(&pair, c);
    expect_said(&pair, "RBEGIN \"a.b\"\n"
                       "RBEGIN '' 1700000041 1700000042 1700000042\n"
                       "RSET \"abs\" 1 \"R\"\nRSET \"b c\" NAN \"E\"\n"
                       "REND 1 1700000040 1700000043 false 1700000041 1700000042 1700000043\n");
    send_row(&pair, c, 3, true);
    expect_said(&pair, "BEGIN \"a.b\" 1000000\nSET \"abs\" = 30000000\nSET \"b c\" = "
                       "-70000000\nEND\n");
    pair_disconnect(&pair);
    pair_close(&pair);
}

static void what_v1_cannot_say_is_defined_anew(void **state)
{
    struct pair pair;
    struct pair_chart *c = example(&pair, CAPS_V1);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000041 1700000043\n");
    pair_answer(&pair, c);
    forget_said(&pair);
    pair_set(c, 3, 0, 3e12, 0);
    send_row(&pair, c, 3, false);
    assert_false(qr_sender_is_live(c->handle));
    qr_sender_flush(pair.sender);
    qr_buf_add_u8(&pair.to_parent, 0);
    assert_non_null(
        strstr(pair.to_parent.base, "DIMENSION \"abs\" \"abs\" \"absolute\" 1 1000000 "));
    qr_buf_clear(&pair.to_parent);
    feed(&pair, "REPLAY_CHART \"a.b\" \"true\" 1700000043 1700000044\n");
    pair_answer(&pair, c);
    forget_said(&pair);
    pair_set(c, 4, 0, 0.25, 0);
    send_row(&pair, c, 4, true); /* Six decimals will do for this one. */
    expect_said(&pair, "BEGIN \"a.b\" 1000000\nSET \"abs\" = 250000\nSET \"b c\" = "
                       "-70000000\nEND\n");
    struct qr_sender_stats stats;
    qr_sender_get_stats(pair.sender, &stats);
    assert_int_equal(stats.redefinitions, 1);
    assert_int_equal(stats.charts_live, 1);
    pair_disconnect(&pair);
    pair_close(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_arrives_is_what_was_sent),
        cmocka_unit_test(the_clock_of_an_old_parent_is_led_to_ours),
        cmocka_unit_test(an_empty_request_loses_nothing_to_a_v2_parent),
        cmocka_unit_test(says_what_a_1_37_child_says),
        cmocka_unit_test(says_what_a_2_9_child_says),
        cmocka_unit_test(an_answer_that_starts_a_1_37_parent_has_a_row),
        cmocka_unit_test(a_part_of_the_past_does_not_stop_the_stream),
        cmocka_unit_test(what_v1_cannot_say_is_defined_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
