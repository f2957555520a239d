#include "node/table.h"

#include <math.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "node/options.h"
#include "node/tests/api_fixture.h"

/* A chart of our own with two dimensions, and what its rows are. */
struct chart_rows {
    const struct qr_chart *chart;
    uint32_t step_s;
};

static struct chart_rows add_own(struct fixture *f, uint32_t step_s)
{
    static const struct qr_dim_def dims[] = {{.id = "a", .name = "a"}, {.id = "b", .name = "b"}};
    struct qr_chart_def def = {
        .id = "own.chart", .name = "own.chart", .update_every = step_s, .n_dims = 2, .dims = dims};
    uint32_t id = apply_chart(f->store, f->parent, &def);
    return (struct chart_rows){qr_store_chart_by_id(f->store, id), step_s};
}

static void put(struct fixture *f, const struct chart_rows *own, int64_t end_s, double a, double b)
{
    apply_row(f->store, f->parent, own->chart->id, end_s, (double[]){a, b}, 2);
}

#define FINEST (-1)

/* `tier`: that one only, or the finest there are. */
static void read_tier_window(struct fixture *f, struct qr_table *table,
                             const struct chart_rows *own, int64_t first_row_s, int64_t step_s,
                             uint32_t n_rows, const char *group, int tier)
{
    static struct qr_grouping_spec grouping;
    qr_grouping_parse(&grouping, qr_slice_str(group), qr_slice_str(""));
    qr_table_init(table);
    for (uint32_t dim = 0; dim < 2; dim++)
        assert_int_equal(qr_table_add(table, &(struct qr_table_column){.chart = own->chart,
                                                                       .def = own->chart->def,
                                                                       .dim = dim,
                                                                       .shown = true}),
                         0);
    table->window = (struct qr_window){.first_row_s = first_row_s,
                                       .before_s = first_row_s + (int64_t)(n_rows - 1) * step_s,
                                       .step_s = step_s,
                                       .granularity_s = 1,
                                       .n_rows = n_rows,
                                       .group = (uint32_t)step_s,
                                       .divisor = 1};
    struct qr_table_read read = {.store = f->store,
                                 .grouping = &grouping,
                                 .one_tier = tier != FINEST,
                                 .tier = tier > 0 ? (unsigned)tier : 0,
                                 .anomaly_rates = true};
    assert_int_equal(qr_table_read(table, &read), 0);
}

static void read_window(struct fixture *f, struct qr_table *table, const struct chart_rows *own,
                        int64_t first_row_s, int64_t step_s, uint32_t n_rows, const char *group)
{
    read_tier_window(f, table, own, first_row_s, step_s, n_rows, group, FINEST);
}

static void assert_column(const struct qr_table *table, uint32_t column, const double *expected)
{
    for (uint32_t row = 0; row < table->window.n_rows; row++) {
        double v = qr_table_at(table, row, column);
        if (isnan(expected[row]) ? !isnan(v) : !(fabs(v - expected[row]) < 1e-9))
            fail_msg("row %u is %g, not %g", row, v, expected[row]);
    }
}

static void gaps_are_null_and_do_not_count(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    for (int64_t t = 1; t <= 20; t++)
        if (t < 6 || t > 12)
            put(f, &own, T0 + t, (double)t, t % 2 ? NAN : (double)t);
    struct qr_table table;
    read_window(f, &table, &own, T0 + 4, 4, 6, "average");
    assert_column(&table, 0, (double[]){2.5, 5, NAN, 14.5, 18.5, NAN});
    assert_column(&table, 1, (double[]){3, NAN, NAN, 15, 19, NAN});
    qr_table_release(&table);
}

static void wide_points_are_interpolated(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 5);
    put(f, &own, T0 + 5, 50, 1);
    put(f, &own, T0 + 10, 100, NAN);
    put(f, &own, T0 + 20, 200, 4); /* The one at 15 is missing. */
    put(f, &own, T0 + 25, 250, 9);
    struct qr_table table;
    read_window(f, &table, &own, T0 + 6, 1, 20, "average");
    assert_column(&table, 0, (double[]){55,  70,  80,  90,  100, NAN, NAN, NAN, NAN, NAN,
                                        200, 200, 200, 200, 200, 210, 220, 230, 240, 250});
    assert_column(&table, 1, (double[]){1, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN,
                                        4, 4,   4,   4,   4,   5,   6,   7,   8,   9});
    qr_table_release(&table);
}

/* Seen on a real 1.37.1: its first read gives the point that ends where the first row starts. */
static void the_first_row_of_wide_points_takes_one_more(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 5);
    for (int64_t t = 5; t <= 40; t += 5)
        put(f, &own, T0 + t, (double)t, 1);
    struct qr_table table;
    read_window(f, &table, &own, T0 + 20, 10, 3, "sum");
    assert_column(&table, 0, (double[]){10 + 15 + 20, 25 + 30, 35 + 40});
    qr_table_release(&table);
    read_window(f, &table, &own, T0 + 22, 10, 2, "sum");
    assert_column(&table, 0, (double[]){15 + 20 + 22, 30 + 32} /* 25 counted as 22. */);
    qr_table_release(&table);
}

/* Seals, agrees and merges until nothing is due; then samples are gone. */
static void leave_points_only(struct fixture *f, int64_t before_s)
{
    int64_t start_s;
    struct qr_store_file file;
    struct qr_block_id id;
    while (qr_store_sealable(f->store, before_s, &start_s, 1) != 0)
        assert_int_equal(qr_store_apply_seal(f->store, start_s), 0);
    for (bool more = true; more;) {
        while (qr_store_unvoted(f->store, 1, &file, 1) != 0) {
            const struct qr_file_vote vote = {1, file.bytes, file.hash};
            assert_int_equal(qr_store_apply_vote(f->store, &file.id, &vote, 1), 0);
        }
        more = qr_store_merge_due(f->store, before_s, &id);
        if (more)
            assert_int_equal(qr_store_apply_merge(f->store, id.tier, id.shard, id.start_s), 0);
    }
    const struct qr_retention retention = {.before_s = {before_s}};
    assert_int_equal(qr_store_apply_retain(f->store, &retention), 0);
}

/* Points of a minute stand for samples that are gone: each group takes of them what it is of. */
static void what_is_older_than_samples_comes_from_points(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    const int64_t span_s = 36 * SEAL_WINDOW_S, begin_s = T0 - T0 % span_s;
    for (int64_t t = begin_s; t < begin_s + span_s + 200; t++)
        put(f, &own, t, (double)(t - begin_s), t % 60 == 1 ? -5 : 1);
    struct qr_table table;
    leave_points_only(f, begin_s + span_s);
    assert_int_equal(qr_chart_first_s(own.chart), begin_s);
    /* The first row takes one more, as with all wide points. */
    read_window(f, &table, &own, begin_s + 120, 60, 3, "average");
    assert_column(&table, 0, (double[]){60.5, 150.5, 210.5});
    assert_column(&table, 1, (double[]){0.9, 0.9, 0.9});
    qr_table_release(&table);
    read_window(f, &table, &own, begin_s + 120, 60, 3, "max");
    assert_column(&table, 0, (double[]){120, 180, 240});
    assert_column(&table, 1, (double[]){1, 1, 1});
    qr_table_release(&table);
    read_window(f, &table, &own, begin_s + 120, 60, 3, "min");
    assert_column(&table, 0, (double[]){1, 121, 181});
    assert_column(&table, 1, (double[]){-5, -5, -5});
    qr_table_release(&table);
    /* Over the border: the point that ends there has a part that is in samples only. */
    read_window(f, &table, &own, begin_s + span_s - 60, 60, 4, "sum");
    double sums[4] = {0};
    for (int64_t row = 0; row < 4; row++)
        for (int64_t t = 1; t <= 60; t++)
            sums[row] += (double)(span_s - 60 + (row - 1) * 60 + t);
    for (int64_t t = 1; t <= 60; t++)
        sums[0] += (double)(span_s - 180 + t);
    assert_column(&table, 0, sums);
    qr_table_release(&table);
}

/* Whatever they are read from: samples in memory, in files, or the tier's own file. */
static void a_tier_has_its_points_and_no_others(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    const int64_t span_s = 36 * SEAL_WINDOW_S, begin_s = T0 - T0 % span_s;
    for (int64_t t = begin_s; t < begin_s + span_s + 200; t++)
        put(f, &own, t, (double)(t - begin_s), t % 60 == 1 ? -5 : 1);
    struct qr_table table;
    for (int round = 0; round < 2; round++) {
        if (round == 1)
            leave_points_only(f, begin_s + span_s);
        read_tier_window(f, &table, &own, begin_s + 120, 60, 3, "max", 1);
        assert_column(&table, 0, (double[]){120, 180, 240});
        assert_int_equal(table.n_points[0], 0);
        assert_in_range(table.n_points[1], 6, 14);
        qr_table_release(&table);
        /* Samples go on to span_s + 199: the last minute that is over ends at span_s + 180. */
        read_tier_window(f, &table, &own, begin_s + span_s + 120, 60, 4, "min", 1);
        assert_column(&table, 0, (double[]){(double)span_s + 1, (double)span_s + 121, NAN, NAN});
        qr_table_release(&table);
    }
    read_tier_window(f, &table, &own, begin_s + 120, 60, 3, "max", 0);
    assert_column(&table, 0, (double[]){NAN, NAN, NAN}); /* Samples that are gone. */
    qr_table_release(&table);
    read_tier_window(f, &table, &own, begin_s + span_s + 10, 10, 2, "max", 0);
    assert_column(&table, 0, (double[]){(double)span_s + 10, (double)span_s + 20});
    qr_table_release(&table);
}

static void flags_reach_their_cells(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    for (int64_t t = 1; t <= 4; t++) {
        uint32_t cells[2] = {qr_value_pack(1, t == 2 ? QR_VALUE_RESET : 0),
                             qr_value_pack(0, t >= 3 ? QR_VALUE_ANOMALOUS : 0)};
        uint32_t n_new;
        assert_int_equal(
            qr_store_apply_row(f->store, f->parent, own.chart->id, NOW, T0 + t, cells, 2, &n_new),
            0);
    }
    struct qr_table table;
    read_window(f, &table, &own, T0 + 3, 3, 2, "sum");
    assert_memory_equal(table.resets, ((uint8_t[]){1, 0, 0, 0}), 4);
    assert_true(fabs(table.anomalies[1] - 100.0 / 3) < 1e-9);
    assert_true(table.anomalies[3] == 100);
    assert_true(table.columns[0].has_nonzero);
    assert_false(table.columns[1].has_nonzero);
    assert_true(table.columns[1].has_value);
    double latest[2];
    assert_int_equal(qr_table_latest(&table, f->store, latest), 0);
    assert_true(latest[0] == 1 && latest[1] == 0);
    qr_table_release(&table);
}

/* Every row of seconds by hand: the points in (T - step, T]. */
static void seconds_are_grouped_as_if_by_hand(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    struct qr_rng rng;
    qr_rng_seed(&rng, 11);
    double stored[400];
    for (int t = 0; t < 400; t++) {
        stored[t] = qr_rng_below(&rng, 4) == 0 ? NAN : (double)qr_rng_below(&rng, 1000);
        if (!isnan(stored[t]))
            put(f, &own, T0 - 50 + t, stored[t], 1);
    }
    for (int i = 0; i < 300; i++) {
        int64_t step_s = 1 + (int64_t)qr_rng_below(&rng, 30);
        int64_t first_s = -80 + (int64_t)qr_rng_below(&rng, 400);
        uint32_t n_rows = 1 + (uint32_t)qr_rng_below(&rng, 40);
        struct qr_table table;
        read_window(f, &table, &own, T0 + first_s, step_s, n_rows, "sum");
        for (int64_t row = 0; row < n_rows; row++) {
            double sum = NAN;
            for (int64_t t = first_s + (row - 1) * step_s + 1; t <= first_s + row * step_s; t++)
                if (t + 50 >= 0 && t + 50 < 400 && !isnan(stored[t + 50]))
                    sum = (isnan(sum) ? 0 : sum) + stored[t + 50];
            double v = qr_table_at(&table, (uint32_t)row, 0);
            assert_true(isnan(sum) ? isnan(v) : v == sum);
        }
        qr_table_release(&table);
    }
}

static void seal(struct fixture *f, int64_t until_s)
{
    int64_t starts[64];
    unsigned n = qr_store_sealable(f->store, until_s, starts, 64);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(qr_store_apply_seal(f->store, starts[i]), 0);
}

#define TABLES 400

/* Of four kinds in turn, or all of one. */
static void read_random_windows(struct fixture *f, const struct chart_rows *own,
                                struct qr_table *tables, const char *group)
{
    static const char *const groups[] = {"average", "sum", "min", "max"};
    struct qr_rng rng;
    qr_rng_seed(&rng, 12);
    for (size_t i = 0; i < TABLES; i++)
        read_window(f, &tables[i], own, T0 - 80 + (int64_t)qr_rng_below(&rng, 400),
                    1 + (int64_t)qr_rng_below(&rng, 90), 1 + (uint32_t)qr_rng_below(&rng, 12),
                    group != NULL ? group : groups[i % 4]);
}

/* The same, but for the last bits of doubles. */
static void assert_same_tables(const struct qr_table *a, const struct qr_table *b)
{
    size_t n = (size_t)a->window.n_rows * a->n_columns;
    assert_memory_equal(a->resets, b->resets, n);
    for (size_t i = 0; i < n; i++) {
        double x = a->values[i], y = b->values[i];
        assert_true(isnan(x) ? isnan(y) : fabs(x - y) <= 1e-13 * (fabs(x) + 1000));
        assert_true(a->anomalies[i] == b->anomalies[i]);
    }
    for (uint32_t c = 0; c < a->n_columns; c++) {
        assert_int_equal(a->columns[c].has_value, b->columns[c].has_value);
        assert_int_equal(a->columns[c].has_nonzero, b->columns[c].has_nonzero);
    }
}

/* What is in memory is read row by row, what is in a file is added up as it is stored. */
static void a_seal_changes_no_answer(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    struct qr_rng rng;
    static struct qr_table before[TABLES], after[TABLES];
    qr_rng_seed(&rng, 13);
    for (int64_t t = -50; t < 350; t++) {
        uint32_t flags = t / 9 % 6 == 0 ? QR_VALUE_ANOMALOUS : 0, n_new;
        flags |= t % 77 == 0 ? QR_VALUE_RESET : 0;
        uint32_t cells[] = {
            qr_value_pack((double)qr_rng_below(&rng, 100000) / 100, flags),
            qr_value_pack((double)qr_rng_below(&rng, 200) - (t < 200 ? 190 : 0), flags)};
        if (qr_rng_below(&rng, 9) == 0)
            cells[qr_rng_below(&rng, 2)] = QR_VALUE_EMPTY;
        if (t / 40 % 4 != 1 || t % 40 > 20)
            assert_int_equal(qr_store_apply_row(f->store, f->parent, own.chart->id, NOW, T0 + t,
                                                cells, 2, &n_new),
                             0);
    }
    read_random_windows(f, &own, before, NULL);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 1)
            seal(f, T0 + 340);
        read_random_windows(f, &own, after, NULL);
        for (size_t i = 0; i < TABLES; i++) {
            assert_same_tables(&before[i], &after[i]);
            qr_table_release(&after[i]);
        }
    }
    static struct qr_table by_row[TABLES]; /* As many points, of a kind that is not added up. */
    read_random_windows(f, &own, after, NULL);
    read_random_windows(f, &own, by_row, "incremental_sum");
    for (size_t i = 0; i < TABLES; i++) {
        assert_int_equal(after[i].n_points[0], by_row[i].n_points[0]);
        qr_table_release(&after[i]);
        qr_table_release(&by_row[i]);
        qr_table_release(&before[i]);
    }
}

/* Points of two seconds go on from the last of those that were added up. */
/* In a file the rows of a window are as far apart as what lies in it: points are no wider for it.
 */
static void few_seconds_of_a_sealed_window_are_as_wide_as_ever(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    struct qr_table table;
    const double expected[] = {1, NAN, NAN, NAN, 5, NAN, NAN};
    put(f, &own, T0 + 1, 1, 1);
    put(f, &own, T0 + 5, 5, 5);
    put(f, &own, T0 + 9, 9, 9);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 1)
            seal(f, T0 + SEAL_WINDOW_S);
        read_window(f, &table, &own, T0 + 1, 1, 7, "average");
        assert_column(&table, 0, expected);
        qr_table_release(&table);
    }
}

/* And one that is alone covers as much as with others. */
static void a_single_wide_point_of_a_sealed_window_is_as_wide_as_ever(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 5);
    struct qr_table table;
    put(f, &own, T0 + 10, 100, 1);
    for (unsigned round = 0; round < 2; round++) {
        if (round == 1)
            seal(f, T0 + SEAL_WINDOW_S);
        read_window(f, &table, &own, T0 + 4, 1, 9, "average");
        assert_column(&table, 0, (double[]){NAN, NAN, 100, 100, 100, 100, 100, NAN, NAN});
        qr_table_release(&table);
    }
}

static void rows_that_are_read_follow_what_was_added_up(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    for (int64_t t = 0; t < SEAL_WINDOW_S; t++)
        put(f, &own, T0 + t, 7, 1);
    for (int64_t t = SEAL_WINDOW_S + 1; t < 2 * SEAL_WINDOW_S; t += 2)
        put(f, &own, T0 + t, 9, 2);
    seal(f, T0 + 3 * SEAL_WINDOW_S);
    struct qr_table table;
    read_window(f, &table, &own, T0 + SEAL_WINDOW_S, 20, 2, "sum");
    assert_column(&table, 0, (double[]){19 * 7, 10 * 9});
    assert_column(&table, 1, (double[]){19 * 1, 10 * 2});
    qr_table_release(&table);
}

static void too_many_cells_are_refused(void **state)
{
    struct fixture *f = *state;
    struct chart_rows own = add_own(f, 1);
    struct qr_table table;
    struct qr_grouping_spec grouping;
    qr_grouping_parse(&grouping, qr_slice_str("sum"), qr_slice_str(""));
    qr_table_init(&table);
    for (unsigned i = 0; i < QR_QUERY_CELLS_MAX / QR_WINDOW_ROWS_MAX + 1; i++)
        assert_int_equal(qr_table_add(&table, &(struct qr_table_column){.chart = own.chart,
                                                                        .def = own.chart->def}),
                         0);
    table.window = (struct qr_window){.n_rows = QR_WINDOW_ROWS_MAX, .step_s = 1, .group = 1};
    struct qr_table_read read = {.store = f->store, .grouping = &grouping};
    assert_int_equal(qr_table_read(&table, &read), QR_E_LIMIT);
    qr_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(gaps_are_null_and_do_not_count),
        WITH_FIXTURE(wide_points_are_interpolated),
        WITH_FIXTURE(the_first_row_of_wide_points_takes_one_more),
        WITH_FIXTURE(what_is_older_than_samples_comes_from_points),
        WITH_FIXTURE(a_tier_has_its_points_and_no_others),
        WITH_FIXTURE(flags_reach_their_cells),
        WITH_FIXTURE(seconds_are_grouped_as_if_by_hand),
        WITH_FIXTURE(a_seal_changes_no_answer),
        WITH_FIXTURE(few_seconds_of_a_sealed_window_are_as_wide_as_ever),
        WITH_FIXTURE(a_single_wide_point_of_a_sealed_window_is_as_wide_as_ever),
        WITH_FIXTURE(rows_that_are_read_follow_what_was_added_up),
        WITH_FIXTURE(too_many_cells_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
