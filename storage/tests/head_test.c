#include "storage/head.h"

#include <stdlib.h>

#include "storage/store.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E QR_VALUE_EMPTY

struct fixture {
    struct qr_epoch epoch;
    struct qr_head head;
    struct qr_host hosts[2];
    struct qr_chart charts[3]; /* The last one is the other host's. */
    struct qr_chart_head heads[3];
};

static int make(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    qr_epoch_init(&fixture->epoch);
    qr_head_init(&fixture->head, &fixture->epoch, 600);
    for (uint32_t i = 0; i < 3; i++) {
        fixture->charts[i].id = i + 1;
        fixture->charts[i].head = &fixture->heads[i];
        fixture->charts[i].host = &fixture->hosts[i / 2];
    }
    fixture->hosts[1].shard = 1;
    *state = fixture;
    return 0;
}

static int drop(void **state)
{
    struct fixture *fixture = *state;
    qr_epoch_release(&fixture->epoch);
    qr_head_release(&fixture->head);
    free(fixture);
    return 0;
}

static uint32_t put(struct fixture *fixture, uint32_t chart, uint32_t step_s, int64_t end_s,
                    uint32_t n, const uint32_t *values, uint32_t *n_old)
{
    uint32_t n_new;
    assert_int_equal(qr_head_put(&fixture->head, &fixture->charts[chart], step_s, n, end_s, values,
                                 n, &n_new, n_old),
                     0);
    return n_new;
}

static uint32_t value_at(const struct qr_head_slab *slab, uint32_t row, uint32_t dim)
{
    struct qr_grid grid = {0};
    assert_int_equal(qr_head_copy(slab, row, 1, &grid), 0);
    uint32_t value = qr_grid_at(&grid, 0, dim);
    qr_grid_release(&grid);
    return value;
}

static void a_slab_takes_the_form_it_needs(void **state)
{
    struct fixture *fixture = *state;
    uint32_t old;
    assert_int_equal(put(fixture, 0, 10, 605, 1, (uint32_t[]){1}, &old), 1);
    const struct qr_head_slab *slab = qr_head_first(&fixture->heads[0]);
    assert_int_equal(slab->first_s, 605);
    assert_int_equal(slab->step_s, 10);
    assert_int_equal(slab->n_rows, 60);
    assert_int_equal(put(fixture, 0, 10, 1195, 1, (uint32_t[]){2}, &old), 1);
    assert_ptr_equal(qr_head_first(&fixture->heads[0]), slab);
    assert_int_equal(value_at(slab, 0, 0), 1);
    assert_int_equal(value_at(slab, 1, 0), E);
    assert_int_equal(value_at(slab, 59, 0), 2);
    /* Off the grid: 605 and 600 have a divisor of 5. */
    assert_int_equal(put(fixture, 0, 10, 600, 2, (uint32_t[]){3, 4}, &old), 2);
    slab = qr_head_first(&fixture->heads[0]);
    assert_int_equal(slab->first_s, 600);
    assert_int_equal(slab->step_s, 5);
    assert_int_equal(slab->n_cols, 2);
    assert_null(qr_head_next(slab));
    assert_int_equal(value_at(slab, 0, 0), 3);
    assert_int_equal(value_at(slab, 0, 1), 4);
    assert_int_equal(value_at(slab, 1, 0), 1);
    assert_int_equal(value_at(slab, 1, 1), E);
    assert_int_equal(value_at(slab, 119, 0), 2);
    /* A step longer than the window: one row. */
    assert_int_equal(put(fixture, 1, 3600, 3600, 1, (uint32_t[]){1}, &old), 1);
    assert_int_equal(qr_head_first(&fixture->heads[1])->n_rows, 1);
    assert_int_equal(fixture->head.n_windows, 2);
}

static void cells_are_counted_as_new_or_old(void **state)
{
    struct fixture *fixture = *state;
    uint32_t old;
    assert_int_equal(put(fixture, 0, 1, 700, 3, (uint32_t[]){E, E, E}, &old), 0);
    assert_null(qr_head_first(&fixture->heads[0])); /* Nothing is kept of nothing. */
    assert_int_equal(fixture->head.bytes, 0);
    assert_int_equal(put(fixture, 0, 1, 700, 3, (uint32_t[]){1, E, 3}, &old), 2);
    assert_int_equal(old, 0);
    assert_int_equal(put(fixture, 0, 1, 700, 3, (uint32_t[]){9, 2, E}, &old), 1);
    assert_int_equal(old, 1);
}

static struct qr_head_window *freeze(struct fixture *fixture, int64_t start_s, uint32_t shard)
{
    struct qr_head_window *window = qr_head_window_from(&fixture->head, start_s, shard);
    assert_non_null(window);
    assert_int_equal(window->start_s, start_s);
    assert_int_equal(window->shard, shard);
    qr_head_freeze(&fixture->head, window);
    return window;
}

static void a_frozen_window_takes_no_more_rows(void **state)
{
    struct fixture *fixture = *state;
    uint32_t old;
    put(fixture, 1, 1, 700, 1, (uint32_t[]){1}, &old);
    put(fixture, 0, 1, 800, 1, (uint32_t[]){2}, &old);
    put(fixture, 0, 1, 1300, 1, (uint32_t[]){3}, &old);
    struct qr_head_window *frozen = freeze(fixture, 600, 0);
    assert_int_equal(qr_head_window_from(&fixture->head, 0, 0)->start_s, 1200);
    struct qr_head_slab **sorted = qr_head_sorted(frozen);
    assert_int_equal(frozen->n, 2);
    assert_int_equal(sorted[0]->chart->id, 1); /* In order of ids. */
    assert_int_equal(sorted[1]->chart->id, 2);
    const struct qr_head_slab *standing = sorted[0];
    free(sorted);
    assert_int_equal(put(fixture, 0, 1, 800, 1, (uint32_t[]){9}, &old), 1);
    const struct qr_head_slab *late = qr_head_first(&fixture->heads[0]);
    assert_int_equal(late->window_start_s, 600);
    assert_int_equal(value_at(late, 200, 0), 9);
    assert_int_equal(value_at(standing, 200, 0), 2);

    /* A reader that stands on a slab finds its way on while it is dropped. */
    int slot = qr_epoch_enter(&fixture->epoch);
    uint64_t before = fixture->head.bytes;
    qr_head_drop(&fixture->head, frozen);
    qr_epoch_collect(&fixture->epoch);
    assert_true(fixture->head.bytes < before);
    assert_int_equal(value_at(standing, 200, 0), 2);
    assert_null(qr_head_next(standing));
    qr_epoch_leave(&fixture->epoch, slot);
    qr_epoch_collect(&fixture->epoch);
    assert_null(qr_head_first(&fixture->heads[1]));
    unsigned n = 0;
    for (standing = qr_head_first(&fixture->heads[0]); standing; standing = qr_head_next(standing))
        n++;
    assert_int_equal(n, 2);
    qr_head_drop(&fixture->head, freeze(fixture, 600, 0));
    qr_head_drop(&fixture->head, freeze(fixture, 1200, 0));
    assert_int_equal(fixture->head.bytes, 0);
    /* The chart's place went with its slab. */
    assert_int_equal(put(fixture, 0, 1, 1300, 1, (uint32_t[]){4}, &old), 1);
}

/* A row that goes where the last one went finds its place without looking: not in a slab that was
 * frozen in between. */
static void a_frozen_slab_is_left_at_once(void **state)
{
    struct fixture *fixture = *state;
    uint32_t old;
    put(fixture, 0, 1, 700, 1, (uint32_t[]){1}, &old);
    struct qr_head_window *frozen = freeze(fixture, 600, 0);
    assert_int_equal(put(fixture, 0, 1, 700, 1, (uint32_t[]){2}, &old), 1);
    assert_int_equal(value_at(frozen->slabs[0], 100, 0), 1);
    assert_int_equal(value_at(qr_head_first(&fixture->heads[0]), 100, 0), 2);
}

static void shards_have_windows_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    uint32_t old;
    put(fixture, 2, 1, 700, 1, (uint32_t[]){1}, &old);
    put(fixture, 0, 1, 700, 1, (uint32_t[]){2}, &old);
    assert_int_equal(fixture->head.n_windows, 2);
    struct qr_head_window *frozen = freeze(fixture, 600, 1);
    assert_int_equal(frozen->n, 1);
    assert_int_equal(frozen->slabs[0]->chart->id, 3);
    assert_int_equal(put(fixture, 0, 1, 700, 1, (uint32_t[]){3}, &old), 0); /* Not frozen. */
    assert_null(qr_head_window_from(&fixture->head, 600, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_slab_takes_the_form_it_needs, make, drop),
        cmocka_unit_test_setup_teardown(cells_are_counted_as_new_or_old, make, drop),
        cmocka_unit_test_setup_teardown(a_frozen_window_takes_no_more_rows, make, drop),
        cmocka_unit_test_setup_teardown(a_frozen_slab_is_left_at_once, make, drop),
        cmocka_unit_test_setup_teardown(shards_have_windows_of_their_own, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
