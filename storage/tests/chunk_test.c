#include "storage/chunk.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
#include "storage/tests/series.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E        QR_VALUE_EMPTY
#define WINDOW_S 600

static struct qr_buf encode(const struct qr_grid *grid, uint64_t *n_samples)
{
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    assert_int_equal(qr_chunk_encode(&codec, &out, 1200, grid, n_samples), 0);
    qr_codec_release(&codec);
    return out;
}

/* The same cells on a finer grid, with empty rows and columns around, give the same bytes. */
static void the_form_of_the_grid_does_not_show(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 31);
    for (int round = 0; round < 200; round++) {
        struct qr_grid narrow = {0}, wide = {0}, back = {0};
        uint32_t step = 1 + (uint32_t)qr_rng_below(&rng, 5),
                 n = 1 + (uint32_t)qr_rng_below(&rng, 60);
        int64_t first = 1200 + (int64_t)qr_rng_below(&rng, 100);
        assert_int_equal(qr_grid_reset(&narrow, first, step, n, 2), 0);
        assert_int_equal(qr_grid_reset(&wide, 1200, 1, WINDOW_S, 5), 0);
        for (uint32_t row = 0; row < n; row++)
            for (uint32_t d = 0; d < 2; d++)
                if (qr_rng_below(&rng, 3) != 0)
                    qr_grid_column(&narrow, d)[row] =
                        qr_grid_column(&wide, d)[first - 1200 + row * step] =
                            (uint32_t)qr_rng_below(&rng, 1000);
        uint64_t n_narrow, n_wide;
        struct qr_buf a = encode(&narrow, &n_narrow), b = encode(&wide, &n_wide);
        assert_int_equal(n_narrow, n_wide);
        assert_true(qr_slice_equal(qr_buf_slice(&a), qr_buf_slice(&b)));
        if (n_narrow != 0) {
            struct qr_codec codec = {0};
            assert_int_equal(qr_chunk_decode(qr_buf_slice(&a), 1200, WINDOW_S, &back), 0);
            for (uint32_t row = 0; row < back.n_rows; row++)
                for (uint32_t d = 0; d < back.n_dims; d++)
                    assert_int_equal(
                        qr_grid_at(&back, row, d),
                        qr_grid_at(&wide, (uint32_t)(back.first_s - 1200) + row * back.step_s, d));
            qr_codec_release(&codec);
        }
        qr_buf_release(&a);
        qr_buf_release(&b);
        qr_grid_release(&narrow);
        qr_grid_release(&wide);
        qr_grid_release(&back);
    }
}

static void nothing_takes_no_bytes(void **state)
{
    (void)state;
    struct qr_grid grid = {0};
    assert_int_equal(qr_grid_reset(&grid, 1200, 1, 10, 3), 0);
    uint64_t n = 9;
    struct qr_buf out = encode(&grid, &n);
    assert_int_equal(n, 0);
    assert_int_equal(out.len, 0);
    qr_grid_release(&grid);
}

static void rows_outside_the_window_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t n;
        int err;
    } cases[] = {
        {{5, 1, 3, 1, 2, 7, 10}, 7, 0},
        {{5, 1, 3, 1, 2, 7, 10, 0}, 8, QR_E_MALFORMED},          /* a byte too many */
        {{5, 0, 3, 1, 2, 7, 10}, 7, QR_E_MALFORMED},             /* no step */
        {{5, 1, 0, 1, 2, 7, 10}, 7, QR_E_MALFORMED},             /* no rows */
        {{5, 1, 3, 0}, 4, QR_E_MALFORMED},                       /* no dimensions */
        {{5, 1, 3, 2, 2, 7, 10}, 7, QR_E_MALFORMED},             /* one dimension is missing */
        {{0xd7, 4, 1, 1, 1, 2, 7, 10}, 8, 0},                    /* 599 */
        {{0xd8, 4, 1, 1, 1, 2, 7, 10}, 8, QR_E_MALFORMED},       /* 600 */
        {{0xd6, 4, 1, 3, 1, 2, 7, 10}, 8, QR_E_MALFORMED},       /* 598 .. 600 */
        {{5, 0xac, 2, 3, 1, 2, 7, 10}, 8, QR_E_MALFORMED},       /* 5, 305, 605 */
        {{5, 1, 3, 0xff, 0xff, 3, 2, 7, 10}, 9, QR_E_MALFORMED}, /* more than there are bytes */
    };
    struct qr_codec codec = {0};
    struct qr_grid grid = {0};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        int err = qr_chunk_decode(qr_slice_of(cases[c].bytes, cases[c].n), 1200, WINDOW_S, &grid);
        if (err != cases[c].err)
            fail_msg("case %zu: %d, expected %d", c, err, cases[c].err);
    }
    qr_codec_release(&codec);
    qr_grid_release(&grid);
}

/* A grid of random shape, and its bytes. */
static struct qr_buf random_chunk(struct qr_rng *rng, struct qr_grid *grid)
{
    uint64_t n_samples = 0;
    struct qr_buf bytes = {0};
    while (n_samples == 0) {
        uint32_t step = 1 + (uint32_t)qr_rng_below(rng, 4),
                 n_dims = 1 + (uint32_t)qr_rng_below(rng, 5);
        uint32_t n = 1 + (uint32_t)qr_rng_below(rng, 590 / step);
        assert_int_equal(qr_grid_reset(grid,
                                       1200 + (int64_t)qr_rng_below(rng, 600 - (n - 1) * step),
                                       step, n, n_dims),
                         0);
        for (uint32_t d = 0; d < n_dims; d++)
            series_fill(rng, (enum series_kind)qr_rng_below(rng, SERIES_BITS),
                        (unsigned)qr_rng_below(rng, 16), qr_grid_column(grid, d), n, 1);
        qr_buf_release(&bytes);
        bytes = encode(grid, &n_samples);
    }
    return bytes;
}

static uint32_t value_in(const struct qr_grid *grid, int64_t end_s, uint32_t dim)
{
    int64_t off = end_s - grid->first_s;
    return off < 0 || off % grid->step_s != 0 || off / grid->step_s >= grid->n_rows ||
                   dim >= grid->n_dims
               ? E
               : qr_grid_at(grid, (uint32_t)(off / grid->step_s), dim);
}

/* Some of the dimensions, and of one that may not be there. */
static struct qr_dims random_dims(struct qr_rng *rng, uint32_t at[8])
{
    struct qr_dims dims = {at, 0};
    for (uint32_t d = 0; d < 7; d++)
        if (qr_rng_below(rng, 2))
            at[dims.n++] = d;
    return dims;
}

static void any_part_of_it_can_be_read(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 32);
    struct qr_grid grid = {0}, part = {0};
    for (int round = 0; round < 1500; round++) {
        uint32_t at[8];
        struct qr_buf bytes = random_chunk(&rng, &grid);
        struct qr_dims dims = random_dims(&rng, at);
        struct qr_chunk chunk;
        assert_int_equal(qr_chunk_open(&chunk, qr_buf_slice(&bytes), 1200, WINDOW_S), 0);
        int64_t first_s = 1150 + (int64_t)qr_rng_below(&rng, 700);
        int64_t last_s = first_s + (int64_t)qr_rng_below(&rng, round % 2 ? 40 : 700);
        int got = qr_chunk_read(&chunk, round % 3 ? &dims : NULL, first_s, last_s, &part);
        assert_in_range(got, 0, 1);
        for (int64_t t = 1200; t < 1800; t++) {
            bool inside = got == 1 && t >= part.first_s && t <= qr_grid_last_s(&part);
            for (uint32_t i = 0; i < (round % 3 ? dims.n : 5); i++) {
                uint32_t dim = round % 3 ? at[i] : i;
                uint32_t expected = t < first_s || t > last_s ? E : value_in(&grid, t, dim);
                assert_int_equal(inside ? value_in(&part, t, i) : E, expected);
            }
        }
        qr_buf_release(&bytes);
    }
    qr_grid_release(&grid);
    qr_grid_release(&part);
}

static void its_sums_are_those_of_its_values(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 33);
    struct qr_grid grid = {0};
    static struct qr_aggregate sums[7 * 800], expected[7 * 800];
    for (int round = 0; round < 500; round++) {
        uint32_t at[8];
        struct qr_buf bytes = random_chunk(&rng, &grid);
        struct qr_dims dims = random_dims(&rng, at);
        struct qr_chunk chunk;
        struct qr_buckets buckets = {.first_s = 1100 + (int64_t)qr_rng_below(&rng, 800),
                                     .step_s = 1 + (int64_t)qr_rng_below(&rng, round % 2 ? 3 : 900),
                                     .n = 1 + (uint32_t)qr_rng_below(&rng, 800)};
        assert_int_equal(qr_chunk_open(&chunk, qr_buf_slice(&bytes), 1200, WINDOW_S), 0);
        memset(sums, 0, sizeof sums);
        memset(expected, 0, sizeof expected);
        assert_int_equal(qr_chunk_aggregate(&chunk, &dims, &buckets, sums), 0);
        for (uint32_t i = 0; i < dims.n; i++)
            for (int64_t t = 1200; t < 1800; t++) {
                int64_t past_s = t - (buckets.first_s - buckets.step_s);
                if (past_s > 0 && (past_s - 1) / buckets.step_s < buckets.n)
                    qr_aggregate_add(&expected[i * buckets.n + (past_s - 1) / buckets.step_s],
                                     value_in(&grid, t, at[i]));
            }
        assert_memory_equal(sums, expected, sizeof sums);
        qr_buf_release(&bytes);
    }
    qr_grid_release(&grid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_of_the_grid_does_not_show),
        cmocka_unit_test(nothing_takes_no_bytes),
        cmocka_unit_test(rows_outside_the_window_are_refused),
        cmocka_unit_test(any_part_of_it_can_be_read),
        cmocka_unit_test(its_sums_are_those_of_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
