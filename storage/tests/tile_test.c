#include "storage/tile.h"

#include <stdlib.h>

#include "base/rng.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define N_COLS 3u

/* Gaps, flags, constants and noise. */
static void fill(struct qr_tile_raw *raw, uint32_t n_rows, struct qr_rng *rng)
{
    for (uint32_t row = 0; row < n_rows; row++) {
        _Atomic uint32_t *cells = raw->cells + (size_t)row * N_COLS;
        cells[0] = 7;
        if (qr_rng_below(rng, 3) != 0)
            cells[1] = qr_value_pack((double)qr_rng_below(rng, 1000000) / 8,
                                     qr_rng_below(rng, 5) == 0 ? QR_VALUE_ANOMALOUS : 0);
        if (qr_rng_below(rng, 20) == 0)
            cells[2] = (uint32_t)qr_rng_below(rng, 100);
    }
}

static void load_and_compare(uintptr_t tile, const struct qr_tile_raw *raw, uint32_t n_rows,
                             uint32_t first, uint32_t n)
{
    uint32_t values[N_COLS * (QR_TILE_ROWS + 1)];
    size_t stride = n + 1; /* Not a byte beside what was asked for. */
    for (size_t i = 0; i < N_COLS * stride; i++)
        values[i] = QR_VALUE_EMPTY;
    qr_tile_load(tile, n_rows, N_COLS, first, n, values, stride);
    for (uint32_t c = 0; c < N_COLS; c++) {
        for (uint32_t i = 0; i < n; i++)
            assert_int_equal(values[c * stride + i], raw->cells[(first + i) * N_COLS + c]);
        assert_int_equal(values[c * stride + n], QR_VALUE_EMPTY);
    }
}

static void loads_any_part_of_what_was_encoded(void **state)
{
    (void)state;
    struct qr_rng rng;
    qr_rng_seed(&rng, 7);
    struct qr_tile_writer writer = {0};
    for (uint32_t n_rows = 1; n_rows <= QR_TILE_ROWS; n_rows++) {
        struct qr_tile_raw *raw = qr_tile_raw_new(n_rows, N_COLS);
        size_t at = SIZE_MAX;
        assert_non_null(raw);
        fill(raw, n_rows, &rng);
        assert_int_equal(qr_tile_encode(&writer, raw, n_rows, N_COLS, &at), 0);
        assert_int_equal(at % 2, 0);
        assert_true(at < writer.out.len);
        uintptr_t tile = (uintptr_t)(writer.out.base + at) + 1;
        assert_true(qr_tile_is_encoded(tile));
        uint32_t first = (uint32_t)qr_rng_below(&rng, n_rows);
        uint32_t n = 1 + (uint32_t)qr_rng_below(&rng, n_rows - first);
        load_and_compare(tile, raw, n_rows, 0, n_rows);
        load_and_compare(tile, raw, n_rows, first, n);
        load_and_compare((uintptr_t)raw, raw, n_rows, first, n);
        struct qr_tile_raw *back = qr_tile_decode(tile, n_rows, N_COLS);
        assert_non_null(back);
        for (uint32_t i = 0; i < n_rows * N_COLS; i++)
            assert_int_equal(back->cells[i], raw->cells[i]);
        free(back);
        free(raw);
    }
    qr_tile_writer_release(&writer);
}

static void what_was_never_written_is_empty(void **state)
{
    (void)state;
    uint32_t values[2] = {1, 2}; /* The caller's. */
    qr_tile_load(0, 2, 1, 0, 2, values, 2);
    assert_int_equal(values[1], 2);
    struct qr_tile_raw *raw = qr_tile_raw_new(2, 1);
    qr_tile_load((uintptr_t)raw, 2, 1, 0, 2, values, 2);
    assert_int_equal(values[0], QR_VALUE_EMPTY);
    free(raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loads_any_part_of_what_was_encoded),
        cmocka_unit_test(what_was_never_written_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
