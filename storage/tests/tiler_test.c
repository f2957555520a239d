/* The head with tiles that workers encode at whatever moment: it holds what a plain array does. */
#include "storage/tiler.h"

#include <stdlib.h>

#include "base/rng.h"
#include "storage/store.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define E        QR_VALUE_EMPTY
#define N_CHARTS 4u
#define N_DIMS   5u
#define WINDOW_S 300u
#define SPAN_S   1500

/* A chart's cells as they must be, in the open window and in one that is frozen. */
typedef uint32_t model[N_CHARTS][SPAN_S][N_DIMS];

struct fixture {
    uv_loop_t loop;
    struct qr_epoch epoch;
    struct qr_head head;
    struct qr_tiler tiler;
    struct qr_host hosts[2]; /* Of a shard each. */
    struct qr_chart charts[N_CHARTS];
    struct qr_chart_head heads[N_CHARTS];
    struct qr_grid grid;
    struct qr_rng rng;
    model open, frozen;
    struct qr_head_window *frozen_window; /* Of one shard. */
    uint32_t n_dims[N_CHARTS];
};

static void clear(model cells, uint32_t shard, int64_t first_s, int64_t end_s)
{
    for (uint32_t c = shard; c < N_CHARTS; c += 2)
        for (int64_t t = first_s; t < end_s; t++)
            for (uint32_t d = 0; d < N_DIMS; d++)
                cells[c][t][d] = E;
}

static int make(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    qr_epoch_init(&f->epoch);
    qr_head_init(&f->head, &f->epoch, WINDOW_S);
    qr_tiler_init(&f->tiler, &f->epoch, &f->loop);
    for (uint32_t c = 0; c < N_CHARTS; c++) {
        f->charts[c].id = c + 1;
        f->charts[c].host = &f->hosts[c % 2];
        f->charts[c].head = &f->heads[c];
        f->n_dims[c] = 1 + c % 3;
    }
    f->hosts[1].shard = 1;
    for (uint32_t shard = 0; shard < 2; shard++) {
        clear(f->open, shard, 0, SPAN_S);
        clear(f->frozen, shard, 0, SPAN_S);
    }
    *state = f;
    return 0;
}

static void wait_for_worker(struct fixture *f)
{
    while (f->tiler.busy)
        uv_run(&f->loop, UV_RUN_ONCE);
}

static int drop(void **state)
{
    struct fixture *f = *state;
    wait_for_worker(f);
    qr_tiler_release(&f->tiler);
    qr_epoch_release(&f->epoch);
    qr_head_release(&f->head);
    qr_grid_release(&f->grid);
    uv_loop_close(&f->loop);
    free(f);
    return 0;
}

static uint64_t pick(struct fixture *f, uint64_t n)
{
    return qr_rng_below(&f->rng, n);
}

static uint32_t put(struct fixture *f, uint32_t c, uint32_t step_s, int64_t end_s,
                    const uint32_t *values, uint32_t n)
{
    uint32_t n_new, n_old;
    assert_int_equal(qr_head_put(&f->head, &f->charts[c], step_s, f->n_dims[c], end_s, values, n,
                                 &n_new, &n_old),
                     0);
    return n_new;
}

static uint32_t put_one(struct fixture *f, uint32_t c, int64_t end_s, uint32_t value)
{
    return put(f, c, 1, end_s, &value, 1);
}

static void put_random(struct fixture *f, uint32_t c, uint32_t step_s, int64_t end_s)
{
    uint32_t values[N_DIMS], n = 1 + (uint32_t)pick(f, f->n_dims[c]), expected = 0;
    for (uint32_t d = 0; d < n; d++) {
        values[d] = pick(f, 6) == 0 ? E : (uint32_t)pick(f, d == 0 ? 3 : 100000);
        uint32_t *cell = &f->open[c][end_s][d];
        if (values[d] == E || *cell != E)
            continue;
        *cell = values[d];
        expected++;
    }
    assert_int_equal(put(f, c, step_s, end_s, values, n), expected);
}

/* All slabs of the chart in windows of that kind: each cell is the model's, and none is missing. */
static void check_chart(struct fixture *f, uint32_t c, bool frozen, uint32_t cells[][N_DIMS],
                        int64_t first_s, int64_t end_s)
{
    uint64_t n_model = 0, n_there = 0;
    for (int64_t t = first_s; t < end_s; t++)
        for (uint32_t d = 0; d < N_DIMS; d++)
            n_model += cells[t][d] != E;
    for (struct qr_head_slab *slab = qr_head_first(&f->heads[c]); slab; slab = qr_head_next(slab)) {
        if (slab->window->frozen != frozen)
            continue;
        uint32_t first = (uint32_t)pick(f, slab->n_rows), n = slab->n_rows - first;
        if (pick(f, 3) == 0)
            n = 1 + (uint32_t)pick(f, n);
        bool whole = pick(f, 2) == 0;
        first = whole ? 0 : first;
        n = whole ? slab->n_rows : n;
        assert_int_equal(qr_head_copy(slab, first, n, &f->grid), 0);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t d = 0; d < f->grid.n_dims; d++) {
                int64_t t = f->grid.first_s + (int64_t)i * f->grid.step_s;
                assert_int_equal(qr_grid_at(&f->grid, i, d), cells[t][d]);
            }
        assert_int_equal(qr_head_copy(slab, 0, slab->n_rows, &f->grid), 0);
        for (size_t i = 0; i < (size_t)f->grid.n_rows * f->grid.n_dims; i++)
            n_there += f->grid.values[i] != E;
    }
    assert_int_equal(n_there, n_model);
}

static void check(struct fixture *f)
{
    for (uint32_t c = 0; c < N_CHARTS; c++)
        check_chart(f, c, false, f->open[c], 0, SPAN_S);
    if (f->frozen_window != NULL)
        for (uint32_t c = f->frozen_window->shard; c < N_CHARTS; c += 2)
            check_chart(f, c, true, f->frozen[c], f->frozen_window->start_s,
                        f->frozen_window->start_s + WINDOW_S);
}

static void freeze_or_drop(struct fixture *f)
{
    if (f->frozen_window != NULL) {
        qr_head_drop(&f->head, f->frozen_window);
        f->frozen_window = NULL;
        return;
    }
    struct qr_head_window *window = qr_head_window_from(&f->head, 0, 0);
    if (window == NULL)
        return;
    qr_head_freeze(&f->head, window);
    f->frozen_window = window;
    int64_t end_s = window->start_s + WINDOW_S;
    memcpy(f->frozen, f->open, sizeof f->open);
    clear(f->open, window->shard, window->start_s, end_s);
}

static void count_tiles(struct fixture *f, uint32_t *n_raw, uint32_t *n_encoded)
{
    *n_raw = *n_encoded = 0;
    for (uint32_t c = 0; c < N_CHARTS; c++)
        for (struct qr_head_slab *slab = qr_head_first(&f->heads[c]); slab != NULL;
             slab = qr_head_next(slab))
            for (uint32_t i = 0; i < qr_head_n_tiles(slab); i++) {
                uintptr_t tile = slab->tiles[i];
                *n_encoded += tile != 0 && qr_tile_is_encoded(tile);
                *n_raw += tile != 0 && !qr_tile_is_encoded(tile);
            }
}

/* Rows in and out of order, repeated, off the grid, of more dimensions, while tiles are encoded,
 * exchanged and decoded again, and windows are frozen and dropped. */
static void play(struct fixture *f, uint64_t seed, uint32_t *n_encoded)
{
    uint32_t n_raw, n_now;
    qr_rng_seed(&f->rng, seed);
    *n_encoded = 0;
    for (int64_t now = 1; now < SPAN_S; now++) {
        f->head.now_s = now;
        for (uint32_t c = 0; c < N_CHARTS; c++) {
            uint32_t step = c == 3 ? 7 : 1;
            if (now % step == 0)
                put_random(f, c, step, now);
            if (pick(f, 20) == 0) /* Late: behind tiles that are encoded. */
                put_random(f, c, step, now - (int64_t)pick(f, now < 400 ? (uint64_t)now : 400));
        }
        uint32_t c = (uint32_t)pick(f, N_CHARTS);
        if (pick(f, 200) == 0 && f->n_dims[c] < N_DIMS)
            f->n_dims[c]++;
        if (pick(f, 3) == 0)
            qr_tiler_step(&f->tiler, &f->head);
        if (pick(f, 3) == 0)
            wait_for_worker(f);
        if (pick(f, 150) == 0)
            freeze_or_drop(f);
        if (pick(f, 20) == 0) {
            check(f);
            count_tiles(f, &n_raw, &n_now);
            *n_encoded += n_now;
        }
        qr_epoch_collect(&f->epoch);
    }
    check(f);
}

static void holds_what_the_model_holds(void **unused)
{
    (void)unused;
    for (uint64_t seed = 0; seed < 30; seed++) {
        void *state;
        uint32_t n_encoded;
        make(&state);
        play(state, seed, &n_encoded);
        assert_true(n_encoded > 100);
        drop(&state);
    }
}

/* Seconds 600 .. 799 of the first chart: three tiles and more. */
static void put_tiles(struct fixture *f)
{
    for (int64_t t = 600; t < 800; t++) {
        f->head.now_s = t;
        assert_int_equal(put_one(f, 0, t, (uint32_t)t), 1);
    }
}

static void tiles_rest_before_they_are_encoded(void **state)
{
    struct fixture *f = *state;
    uint32_t n_raw, n_encoded;
    put_tiles(f);
    f->head.now_s = 600;
    qr_tiler_step(&f->tiler, &f->head);
    assert_false(f->tiler.busy);
    f->head.now_s = 800 + QR_TILE_GRACE_S;
    qr_tiler_step(&f->tiler, &f->head);
    assert_true(f->tiler.busy);
    wait_for_worker(f);
    count_tiles(f, &n_raw, &n_encoded);
    assert_int_equal(n_raw, 1); /* The one that is written to. */
    assert_true(n_encoded >= 3);
    /* A late row meets its cell, taken or not. */
    assert_int_equal(put_one(f, 0, 700, 5), 0);
    assert_int_equal(put_one(f, 0, 810, 5), 1);
    f->head.now_s += 2 * QR_TILE_GRACE_S;
    qr_tiler_step(&f->tiler, &f->head);
    wait_for_worker(f);
    count_tiles(f, &n_raw, &n_encoded);
    assert_int_equal(n_raw, 1);
}

static uint32_t value_at(struct fixture *f, const struct qr_head_slab *slab, uint32_t row)
{
    assert_int_equal(qr_head_copy(slab, row, 1, &f->grid), 0);
    return qr_grid_at(&f->grid, 0, 0);
}

/* The worker may have read the tile before the row came: its work is thrown away. */
static void a_row_that_comes_meanwhile_stays(void **state)
{
    struct fixture *f = *state;
    uint32_t n_raw, n_encoded;
    for (int64_t t = 600; t < 800; t += 2)
        put_one(f, 0, t, 1);
    f->head.now_s = 900;
    qr_tiler_step(&f->tiler, &f->head);
    assert_true(f->tiler.busy);
    assert_int_equal(put_one(f, 0, 601, 2), 1);
    assert_int_equal(put_one(f, 0, 801, 2), 1);
    wait_for_worker(f);
    const struct qr_head_slab *slab = qr_head_first(&f->heads[0]);
    assert_int_equal(value_at(f, slab, 1), 2);
    count_tiles(f, &n_raw, &n_encoded);
    assert_int_equal(n_raw, 2);
    f->head.now_s = 1000;
    qr_tiler_step(&f->tiler, &f->head);
    wait_for_worker(f);
    assert_int_equal(value_at(f, slab, 1), 2);
    count_tiles(f, &n_raw, &n_encoded);
    assert_int_equal(n_raw, 1);
}

static void a_window_frozen_meanwhile_does_not_change(void **state)
{
    struct fixture *f = *state;
    uint32_t n_raw, n_encoded;
    put_tiles(f);
    f->head.now_s = 900;
    qr_tiler_step(&f->tiler, &f->head);
    assert_true(f->tiler.busy);
    struct qr_head_window *window = qr_head_window_from(&f->head, 600, 0);
    qr_head_freeze(&f->head, window);
    wait_for_worker(f);
    count_tiles(f, &n_raw, &n_encoded);
    assert_int_equal(n_encoded, 0);
    qr_head_drop(&f->head, window);
    assert_int_equal(f->head.bytes, 0);
}

/* Tiles are seen by readers as long as these are inside, raw or encoded; and the memory of both is
 * accounted for. */
static void memory_shrinks_and_goes(void **state)
{
    struct fixture *f = *state;
    put_tiles(f);
    uint64_t raw_bytes = f->head.bytes;
    f->head.now_s = 900;
    int slot = qr_epoch_enter(&f->epoch);
    qr_tiler_step(&f->tiler, &f->head);
    wait_for_worker(f);
    assert_true(f->head.bytes < raw_bytes - 2 * QR_TILE_ROWS * sizeof(uint32_t));
    struct qr_head_window *window = qr_head_window_from(&f->head, 600, 0);
    const struct qr_head_slab *slab = window->slabs[0];
    qr_head_freeze(&f->head, window);
    qr_head_drop(&f->head, window);
    qr_epoch_collect(&f->epoch);
    assert_int_equal(value_at(f, slab, 100), 700);
    qr_epoch_leave(&f->epoch, slot);
    assert_int_equal(f->head.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_the_model_holds),
        cmocka_unit_test_setup_teardown(tiles_rest_before_they_are_encoded, make, drop),
        cmocka_unit_test_setup_teardown(a_row_that_comes_meanwhile_stays, make, drop),
        cmocka_unit_test_setup_teardown(a_window_frozen_meanwhile_does_not_change, make, drop),
        cmocka_unit_test_setup_teardown(memory_shrinks_and_goes, make, drop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
