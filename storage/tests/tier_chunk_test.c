#include "storage/tier_chunk.h"

#include "base/error.h"
#include "base/rng.h"
#include "testing/cmocka.h"

#define START_S INT64_C(1795392000)
#define SPAN_S  3600u

/* Series of all kinds: constant, counters, noise, far apart, hostile. */
static uint32_t value_of(struct qr_rng *rng, unsigned kind, int64_t t)
{
    uint32_t flags = qr_rng_below(rng, 50) == 0 ? QR_VALUE_ANOMALOUS : 0;
    double noise = (double)qr_rng_below(rng, 100000) / 1000;
    switch (kind) {
    case 0:
        return qr_value_pack(42, flags);
    case 1:
        return qr_value_pack((double)(t % 1000), flags);
    case 2:
        return t % 600 < 200 ? QR_VALUE_EMPTY : qr_value_pack(noise - 50, flags);
    case 3:
        return qr_value_pack(qr_rng_below(rng, 2) ? 1e-7 : 1e20, flags);
    case 4:
        return qr_rng_below(rng, 300) == 0 ? qr_value_pack(noise, flags) : QR_VALUE_EMPTY;
    default:
        return QR_VALUE_EMPTY;
    }
}

#define KINDS 6

static void fill(struct qr_points *points, struct qr_rng *rng, uint32_t point_s, uint32_t every_s)
{
    assert_int_equal(qr_points_span(points, point_s, START_S, START_S + SPAN_S - 1, KINDS), 0);
    for (int64_t t = START_S; t < START_S + SPAN_S; t += every_s)
        for (unsigned d = 0; d < KINDS; d++) {
            uint32_t row = (uint32_t)((qr_point_end(t, point_s) - points->first_s) / point_s);
            qr_point_add_value(qr_points_at(points, row, d), value_of(rng, d, t));
        }
}

static void assert_same(const struct qr_points *a, const struct qr_points *b)
{
    for (uint32_t d = 0; d < a->n_dims; d++)
        for (uint32_t row = 0; row < a->n_rows; row++) {
            const struct qr_point *p = qr_points_at(a, row, d);
            int64_t at = (a->first_s + (int64_t)row * a->step_s - b->first_s) / b->step_s;
            bool there = d < b->n_dims && at >= 0 && at < b->n_rows;
            const struct qr_point *q = there ? qr_points_at(b, (uint32_t)at, d) : NULL;
            assert_int_equal(q != NULL ? q->count : 0, p->count);
            if (p->count == 0)
                continue;
            assert_true(p->sum == q->sum);
            assert_int_equal(p->min, q->min);
            assert_int_equal(p->max, q->max);
            assert_int_equal(p->anomalies, q->anomalies);
        }
}

static void points_come_back_exactly(void **state)
{
    (void)state;
    static const uint32_t every[] = {1, 2, 5, 10, 60, 3600};
    struct qr_rng rng;
    qr_rng_seed(&rng, 11);
    struct qr_tier_codec codec = {0};
    uint32_t n_dims;
    struct qr_points in = {0}, out = {0};
    struct qr_buf bytes = {0};
    for (unsigned i = 0; i < 2 * QR_COUNT(every); i++) {
        uint64_t n = 0;
        uint32_t point_s = i % 2 != 0 ? 60 : 3600;
        fill(&in, &rng, point_s, every[i / 2]);
        qr_buf_clear(&bytes);
        assert_int_equal(qr_tier_chunk_encode(&codec, &bytes, START_S, &in, START_S - 1,
                                              START_S + SPAN_S, &n_dims, &n),
                         0);
        assert_true(n != 0);
        assert_int_equal(
            qr_tier_chunk_decode(&codec, qr_buf_slice(&bytes), START_S, SPAN_S, point_s, &out), 0);
        assert_same(&in, &out);
        /* Nothing shorter is the same, nothing longer is taken. */
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_equal(qr_tier_chunk_decode(&codec, qr_slice_of(bytes.base, len), START_S,
                                                  SPAN_S, point_s, &out),
                             QR_E_MALFORMED);
        qr_buf_add_u8(&bytes, 0);
        assert_int_equal(
            qr_tier_chunk_decode(&codec, qr_buf_slice(&bytes), START_S, SPAN_S, point_s, &out),
            QR_E_MALFORMED);
    }
    qr_buf_release(&bytes);
    qr_points_release(&in);
    qr_points_release(&out);
    qr_tier_codec_release(&codec);
}

/* The chunks of parts of a window hold each point once. */
static void parts_of_a_window_share_nothing(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 12);
    struct qr_tier_codec codec = {0};
    uint32_t n_dims;
    struct qr_points in = {0}, part = {0}, sum = {0};
    struct qr_buf bytes = {0};
    uint64_t n_all = 0, n;
    fill(&in, &rng, 60, 1);
    assert_int_equal(qr_points_span(&sum, 60, START_S, START_S + SPAN_S - 1, KINDS), 0);
    for (int64_t after = START_S - 1; after < START_S + SPAN_S; after += 600) {
        qr_buf_clear(&bytes);
        assert_int_equal(
            qr_tier_chunk_encode(&codec, &bytes, START_S, &in, after, after + 600, &n_dims, &n), 0);
        n_all += n;
        if (n == 0)
            continue;
        assert_int_equal(
            qr_tier_chunk_decode(&codec, qr_buf_slice(&bytes), START_S, SPAN_S, 60, &part), 0);
        qr_points_add_points(&sum, &part);
    }
    assert_same(&in, &sum);
    qr_buf_clear(&bytes);
    assert_int_equal(qr_tier_chunk_encode(&codec, &bytes, START_S, &in, START_S - 1,
                                          START_S + SPAN_S, &n_dims, &n),
                     0);
    assert_int_equal(n, n_all);
    qr_buf_release(&bytes);
    qr_points_release(&in);
    qr_points_release(&part);
    qr_points_release(&sum);
    qr_tier_codec_release(&codec);
}

/* More points than a frame has. */
static void long_windows_come_back(void **state)
{
    (void)state;
    const uint32_t window_s = 6 * 3600;
    struct qr_rng rng;
    qr_rng_seed(&rng, 13);
    struct qr_tier_codec codec = {0};
    struct qr_points in = {0}, out = {0};
    struct qr_buf bytes = {0};
    uint32_t n_dims;
    uint64_t n;
    assert_int_equal(qr_points_span(&in, 60, START_S, START_S + window_s - 1, KINDS), 0);
    for (uint32_t row = 0; row < in.n_rows; row++)
        for (unsigned d = 0; d < KINDS; d++)
            for (int64_t t = 0; t < 20; t++)
                qr_point_add_value(qr_points_at(&in, row, d),
                                   value_of(&rng, d, (int64_t)row * 60 + t));
    assert_int_equal(
        qr_tier_chunk_encode(&codec, &bytes, START_S, &in, START_S - 1, INT64_MAX, &n_dims, &n), 0);
    assert_true(n > 361 * 2);
    assert_int_equal(
        qr_tier_chunk_decode(&codec, qr_buf_slice(&bytes), START_S, window_s, 60, &out), 0);
    assert_same(&in, &out);
    qr_buf_release(&bytes);
    qr_points_release(&in);
    qr_points_release(&out);
    qr_tier_codec_release(&codec);
}

static void a_constant_costs_next_to_nothing(void **state)
{
    (void)state;
    struct qr_tier_codec codec = {0};
    uint32_t n_dims;
    struct qr_points in = {0};
    struct qr_buf bytes = {0};
    uint64_t n;
    assert_int_equal(qr_points_span(&in, 60, START_S, START_S + SPAN_S - 1, 1), 0);
    for (int64_t t = START_S + 1; t < START_S + SPAN_S; t++)
        qr_point_add_value(
            qr_points_at(&in, (uint32_t)((qr_point_end(t, 60) - in.first_s) / 60), 0), 7);
    assert_int_equal(qr_tier_chunk_encode(&codec, &bytes, START_S, &in, START_S - 1,
                                          START_S + SPAN_S, &n_dims, &n),
                     0);
    assert_int_equal(n, 60);
    assert_in_range(bytes.len, 1, 22);
    qr_buf_release(&bytes);
    qr_points_release(&in);
    qr_tier_codec_release(&codec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_come_back_exactly),
        cmocka_unit_test(parts_of_a_window_share_nothing),
        cmocka_unit_test(long_windows_come_back),
        cmocka_unit_test(a_constant_costs_next_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
