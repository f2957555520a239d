#include "storage/grid.h"

#include "base/compiler.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E QR_VALUE_EMPTY

static void fill(struct qr_grid *grid, int64_t first_s, uint32_t step_s, uint32_t n_rows,
                 uint32_t n_dims, const uint32_t *values)
{
    assert_int_equal(qr_grid_reset(grid, first_s, step_s, n_rows, n_dims), 0);
    memcpy(grid->values, values, (size_t)n_rows * n_dims * sizeof *values);
}

static void a_reset_grid_is_empty(void **state)
{
    (void)state;
    struct qr_grid grid = {0};
    for (uint32_t n = 1; n < 5; n++) {
        assert_int_equal(qr_grid_reset(&grid, 100, 5, n, 2), 0);
        assert_int_equal(qr_grid_last_s(&grid), 100 + 5 * (n - 1));
        for (uint32_t i = 0; i < 2 * n; i++) {
            assert_int_equal(grid.values[i], E);
            grid.values[i] = 1;
        }
    }
    qr_grid_release(&grid);
    assert_null(grid.values);
}

/* The earlier one wins, holes are filled, the grid grows as it must. */
static void overlay_adds_what_is_not_there(void **state)
{
    (void)state;
    static const struct {
        int64_t first_s;
        uint32_t step_s, n_rows, n_dims, values[8];
    } cases[][3] = {
        /* earlier, later, result */
        {{10, 1, 2, 1, {1, E}}, {10, 1, 2, 1, {7, 8}}, {10, 1, 2, 1, {1, 8}}},
        {{10, 1, 1, 1, {1}}, {12, 1, 1, 1, {2}}, {10, 1, 3, 1, {1, E, 2}}},
        {{12, 1, 1, 1, {1}}, {10, 1, 1, 1, {2}}, {10, 1, 3, 1, {2, E, 1}}},
        {{10, 4, 2, 1, {1, 2}}, {12, 4, 1, 1, {3}}, {10, 2, 3, 1, {1, 3, 2}}},
        {{10, 2, 2, 1, {1, 2}}, {10, 3, 1, 2, {9, 4}}, {10, 1, 3, 2, {1, E, 2, 4, E, E}}},
    };
    struct qr_grid grid = {0}, later = {0}, spare = {0};
    for (size_t c = 0; c < QR_COUNT(cases); c++) {
        fill(&grid, cases[c][0].first_s, cases[c][0].step_s, cases[c][0].n_rows, cases[c][0].n_dims,
             cases[c][0].values);
        fill(&later, cases[c][1].first_s, cases[c][1].step_s, cases[c][1].n_rows,
             cases[c][1].n_dims, cases[c][1].values);
        assert_int_equal(qr_grid_overlay(&grid, &later, &spare), 0);
        assert_int_equal(grid.first_s, cases[c][2].first_s);
        assert_int_equal(grid.step_s, cases[c][2].step_s);
        assert_int_equal(grid.n_rows, cases[c][2].n_rows);
        assert_int_equal(grid.n_dims, cases[c][2].n_dims);
        assert_memory_equal(grid.values, cases[c][2].values,
                            (size_t)grid.n_rows * grid.n_dims * sizeof(uint32_t));
    }
    qr_grid_release(&grid);
    qr_grid_release(&later);
    qr_grid_release(&spare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reset_grid_is_empty),
        cmocka_unit_test(overlay_adds_what_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
