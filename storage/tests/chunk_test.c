#include "storage/chunk.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/rng.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_form_of_the_grid_does_not_show),
        cmocka_unit_test(nothing_takes_no_bytes),
        cmocka_unit_test(rows_outside_the_window_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
