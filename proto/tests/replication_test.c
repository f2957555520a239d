#include "proto/replication.h"

#include <inttypes.h>

#include "base/limits.h"
#include "proto/number.h"
#include "proto/tests/replication_child.h"
#include "proto/words.h"

/* ---- collectors ---- */

static bool always(struct sim *sim, int64_t at_s)
{
    (void)sim;
    (void)at_s;
    return true;
}

/* Runs and pauses of up to 40 points, from the seed. */
static bool in_runs(struct sim *sim, int64_t at_s)
{
    uint64_t x = (uint64_t)(at_s / sim->ue / 8) * UINT64_C(0x9E3779B97F4A7C15) + 12345;
    x ^= x >> 29;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    return (x >> 40) % 5 != 0 && (at_s / sim->ue % 97) > 2;
}

/* ---- what is asked ---- */

/* Any time: tests count from here. */
#define T0 UINT64_C(1000000)

struct one {
    struct qr_replication_pace pace;
    struct qr_replication_config config;
    struct qr_replication planner;
    struct {
        int64_t after_s, before_s;
        enum qr_gap_reason reason;
    } gaps[16];
    uint32_t n_gaps;
};

static void note_gap(struct qr_replication *planner, int64_t after_s, int64_t before_s,
                     enum qr_gap_reason reason)
{
    struct one *one = planner->data;
    assert_true(one->n_gaps < 16);
    one->gaps[one->n_gaps].after_s = after_s;
    one->gaps[one->n_gaps].before_s = before_s;
    one->gaps[one->n_gaps++].reason = reason;
}

static void one_start(struct one *one, bool heal)
{
    memset(one, 0, sizeof *one);
    one->config = (struct qr_replication_config){
        .period_s = 86400, .step_s = 600, .heal = heal, .pace = &one->pace, .gap = note_gap};
    qr_replication_init(&one->planner, &one->config);
    one->planner.data = one;
}

static void resume(struct one *one, int64_t watermark_s, const struct qr_stream_hole *holes,
                   uint32_t n_holes)
{
    struct qr_stream_resume resume = {watermark_s, holes, n_holes};
    assert_int_equal(qr_replication_resume(&one->planner, &resume), 0);
}

static void assert_asks(struct one *one, uint64_t now_ms, bool start, int64_t after_s,
                        int64_t before_s)
{
    struct qr_replication_ask ask = {false, -1, -1};
    assert_true(qr_replication_next(&one->planner, T0 + now_ms, &ask));
    assert_int_equal(ask.after_s, after_s);
    assert_int_equal(ask.before_s, before_s);
    assert_int_equal(ask.start_streaming, start);
    assert_false(qr_replication_next(&one->planner, T0 + now_ms, &ask)); /* One at a time. */
}

static void assert_silent(struct one *one, uint64_t now_ms)
{
    struct qr_replication_ask ask;
    assert_false(qr_replication_next(&one->planner, T0 + now_ms, &ask));
}

static void assert_gap(const struct one *one, uint32_t i, int64_t after_s, int64_t before_s,
                       enum qr_gap_reason reason)
{
    assert_true(i < one->n_gaps);
    assert_int_equal(one->gaps[i].after_s, after_s);
    assert_int_equal(one->gaps[i].before_s, before_s);
    assert_int_equal(one->gaps[i].reason, reason);
}

/* Points (after, before] and REND; the child's database is 1000 .. last, its clock is last. */
static void answer(struct one *one, int64_t after_s, int64_t points_s, int64_t before_s,
                   bool streaming, int64_t last_s)
{
    struct qr_replication_end end = {1, 1000, last_s, streaming, after_s, before_s, last_s};
    for (int64_t t = after_s; t < points_s; t++)
        qr_replication_point(&one->planner, t, t + 1);
    assert_int_equal(qr_replication_rend(&one->planner, &end, T0), 0);
}

static void waits_for_its_owner(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    assert_silent(&one, 0);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
    assert_silent(&one, 0);
    assert_int_equal(qr_replication_deadline_ms(&one.planner), UINT64_MAX);
    resume(&one, 1900, NULL, 0);
    assert_int_equal(qr_replication_deadline_ms(&one.planner), 0);
    assert_asks(&one, 0, true, 1900, 2000);
    qr_replication_release(&one.planner);
}

/* definition: ue, first, last, now; watermark -> first request, and the gap before it */
static const struct {
    uint32_t update_every;
    int64_t first_s, last_s, now_s, watermark_s;
    bool start;
    int64_t after_s, before_s, gap_after_s, gap_before_s;
} firsts[] = {
    {1, 1000, 2000, 2000, 1900, true, 1900, 2000, 0, 0},
    /* Never the empty request: the sample that made the child define the chart is not sent live. */
    {1, 1000, 2000, 2000, 2000, true, 2000, 2000, 0, 0},
    {1, 1000, 2000, 2000, 2010, true, 2010, 2010, 0, 0},
    /* In steps. */
    {1, 1000, 2000, 2000, 1399, false, 1399, 1999, 0, 0},
    {1, 1000, 2000, 2000, 1400, true, 1400, 2000, 0, 0},
    {7, 1001, 2002, 2003, 1001, false, 1001, 1596, 0, 0},
    /* On its own grid. */
    {5, 1000, 2000, 2003, 1903, true, 1900, 2000, 0, 0},
    /* First contact: the period, by the child's clock. */
    {1, 1000, 200000, 200001, 0, false, 113601, 114201, 0, 0},
    {10, 1000, 200000, 200007, 0, false, 113600, 114200, 0, 0},
    {1, 199900, 200000, 200001, 0, true, 199900, 200000, 0, 0},
    /* The child does not reach back to the watermark. */
    {1, 1000, 2000, 2000, 900, false, 1000, 1600, 900, 1000},
    {1, 1950, 2000, 2000, 900, true, 1950, 2000, 900, 1950},
    /* It had no data at all a moment ago. */
    {1, 0, 0, 2000, 0, true, 1999, 2000, 0, 0},
    {5, 0, 0, 2003, 0, true, 1995, 2003, 0, 0},
    {1, 0, 0, 2000, 900, true, 1999, 2000, 900, 1999},
    {1, 0, 0, 2000, 3000, true, 3000, 3000, 0, 0},
    {1, 0, 0, 0, 0, true, 0, 0, 0, 0},
    /* Points of the future do not exist. */
    {1, 1000, 999999999, 2000, 1900, true, 1900, 2001, 0, 0},
};

static void asks_by_the_rules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof firsts / sizeof *firsts; i++) {
        struct one one;
        one_start(&one, false);
        qr_replication_definition(&one.planner, firsts[i].update_every, firsts[i].first_s,
                                  firsts[i].last_s, firsts[i].now_s);
        resume(&one, firsts[i].watermark_s, NULL, 0);
        assert_asks(&one, 0, firsts[i].start, firsts[i].after_s, firsts[i].before_s);
        assert_int_equal(one.n_gaps, firsts[i].gap_before_s != 0);
        if (one.n_gaps > 0)
            assert_gap(&one, 0, firsts[i].gap_after_s, firsts[i].gap_before_s, QR_GAP_RETENTION);
        qr_replication_release(&one.planner);
    }
}

static void goes_on_from_the_end_of_the_answer(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, false);
    qr_replication_definition(&one.planner, 1, 1000, 4000, 4000);
    resume(&one, 1100, NULL, 0);
    assert_asks(&one, 0, false, 1100, 1700);
    answer(&one, 1100, 1300, 1300, false, 4000); /* It stopped early. */
    assert_asks(&one, 0, false, 1300, 1900);
    answer(&one, 1300, 2500, 2500, false, 4001); /* It sent a page more. */
    assert_asks(&one, 0, false, 2500, 3100);
    answer(&one, 2500, 3700, 4002, true, 4002); /* It thinks that now is near. */
    assert_int_equal(one.planner.phase, QR_REPLICATION_STREAMING);
    assert_silent(&one, 1000000);
    assert_int_equal(one.n_gaps, 0);
    qr_replication_release(&one.planner);
}

static void tells_how_much_is_left(void **state)
{
    static const struct qr_stream_hole holes[] = {{1500, 1600}, {1800, 1810}};
    struct one one;
    one_start(&one, false);
    qr_replication_definition(&one.planner, 1, 1000, 4000, 4000);
    assert_int_equal(qr_replication_left_s(&one.planner), 0); /* it is not known yet */
    resume(&one, 3000, holes, 2);
    assert_int_equal(qr_replication_left_s(&one.planner), 1000 + 110);
    assert_asks(&one, 0, false, 3000, 3600);
    answer(&one, 3000, 3600, 3600, false, 4000);
    assert_int_equal(qr_replication_left_s(&one.planner), 400 + 110);
    assert_asks(&one, 0, true, 3600, 4000);
    answer(&one, 3600, 4000, 4000, true, 4000);
    assert_int_equal(qr_replication_left_s(&one.planner), 110);
    assert_asks(&one, 1, false, 1500, 1600);
    answer(&one, 1500, 1540, 1540, false, 4000);
    assert_int_equal(qr_replication_left_s(&one.planner), 60 + 10);
    assert_asks(&one, 1, false, 1540, 1600);
    answer(&one, 1540, 1600, 1600, false, 4000);
    assert_asks(&one, 1, false, 1800, 1810);
    answer(&one, 1800, 1810, 1810, false, 4000);
    assert_int_equal(qr_replication_left_s(&one.planner), 0);
    qr_replication_release(&one.planner);
}

static void asks_for_holes_once_it_streams(void **state)
{
    (void)state;
    static const struct qr_stream_hole holes[] = {
        {900, 1200}, {1500, 1600}, {1800, 1810}, {1995, 2200}, {2300, 2400}};
    struct one one;
    one_start(&one, false);
    qr_replication_definition(&one.planner, 1, 1000, 2100, 2100);
    resume(&one, 2000, holes, 5);
    assert_asks(&one, 0, true, 2000, 2100);
    answer(&one, 2000, 2100, 2100, true, 2100);
    assert_false(qr_replication_sets_clock(&one.planner));
    assert_asks(&one, 1, false, 1000, 1200);
    answer(&one, 1000, 1200, 1200, false, 2100);
    assert_gap(&one, 0, 900, 1000, QR_GAP_RETENTION);
    assert_asks(&one, 1, false, 1500, 1600);
    answer(&one, 1500, 1550, 1550, false, 2100);
    assert_asks(&one, 1, false, 1550, 1600);
    answer(&one, 1570, 1600, 1600, false, 2100);
    assert_gap(&one, 1, 1550, 1570, QR_GAP_NOT_COLLECTED);
    assert_asks(&one, 1, false, 1800, 1810);
    answer(&one, 1800, 1800, 1810, false, 2100);
    assert_gap(&one, 2, 1800, 1810, QR_GAP_NOT_COLLECTED);
    assert_asks(&one, 1, false, 1995, 2000); /* Up to the watermark: the rest is asked for. */
    answer(&one, 1995, 2100, 2100, true, 2100);
    assert_silent(&one, 1);
    assert_int_equal(one.n_gaps, 3);
    qr_replication_release(&one.planner);
}

static void heals_a_truncated_answer(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2100, 2100);
    resume(&one, 2000, NULL, 0);
    assert_asks(&one, 0, true, 2000, 2100);
    answer(&one, 2000, 2010, 2100, true, 2100);
    assert_silent(&one, 0); /* Not before live rows have passed it, or some time. */
    qr_replication_row(&one.planner, 2100);
    assert_silent(&one, 0);
    assert_int_equal(qr_replication_deadline_ms(&one.planner), T0 + QR_REPLICATION_HEAL_AFTER_MS);
    qr_replication_row(&one.planner, 2101);
    assert_asks(&one, 1, false, 2011, 2100);
    answer(&one, 2011, 2011, 2100, false, 2101);
    assert_asks(&one, 1, false, 2012, 2100);
    answer(&one, 2012, 2090, 2100, false, 2101);
    assert_gap(&one, 0, 2010, 2012, QR_GAP_NOT_COLLECTED);
    assert_asks(&one, 1, false, 2091, 2100);
    answer(&one, 2091, 2100, 2100, false, 2101);
    assert_gap(&one, 1, 2090, 2091, QR_GAP_NOT_COLLECTED);
    assert_silent(&one, 1000000);
    qr_replication_release(&one.planner);
}

/* REND alone, of a database and a clock that are not answer()'s. */
static void end_of(struct one *one, int64_t after_s, int64_t before_s, bool streaming,
                   int64_t first_s, int64_t last_s)
{
    struct qr_replication_end end = {1, first_s, last_s, streaming, after_s, before_s, 2103};
    assert_int_equal(qr_replication_rend(&one->planner, &end, T0), 0);
}

/* Newer than what the child says to have: it may say later that it has it. */
static void does_not_call_never_collected_what_may_come(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2050, 2103);
    resume(&one, 2000, NULL, 0);
    assert_asks(&one, 0, true, 2000, 2050);
    for (int64_t t = 2000; t < 2050; t++)
        qr_replication_point(&one.planner, t, t + 1);
    qr_replication_state(&one.planner, INT64_C(2103000000));
    end_of(&one, 2000, 2050, true, 1000, 2050);
    qr_replication_row(&one.planner, 2104);
    assert_asks(&one, 0, false, 2050, 2103);
    end_of(&one, 2050, 2050, false, 1000, 2050);
    assert_int_equal(one.n_gaps, 1);
    assert_gap(&one, 0, 2050, 2103, QR_GAP_RETENTION);
    assert_silent(&one, 1000000);

    /* It has none of it, and says so. */
    const struct qr_stream_hole holes[] = {{2050, 2103}};
    qr_replication_definition(&one.planner, 1, 1000, 2110, 2110);
    resume(&one, 2110, holes, 1);
    assert_asks(&one, 0, true, 2110, 2110);
    end_of(&one, 2110, 2110, true, 1000, 2110);
    qr_replication_row(&one.planner, 2111);
    assert_asks(&one, 0, false, 2050, 2103);
    end_of(&one, 2103, 2103, false, 1000, 2111);
    assert_int_equal(one.n_gaps, 2);
    assert_gap(&one, 1, 2050, 2103, QR_GAP_NOT_COLLECTED);
    qr_replication_release(&one.planner);
}

/* A child whose database ends between two points says at each answer that it ends later: what it is
 * not asked for again with that end is not denied. */
static void does_not_call_never_collected_what_ends_later_meanwhile(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    const struct qr_stream_hole holes[] = {{2000, 2030}};
    qr_replication_definition(&one.planner, 5, 1000, 1996, 2030);
    resume(&one, 2030, holes, 1);
    assert_asks(&one, 0, true, 2030, 2030);
    struct qr_replication_end end = {5, 1000, 2001, true, 2030, 2001, 2030};
    assert_int_equal(qr_replication_rend(&one.planner, &end, T0), 0);
    qr_replication_row(&one.planner, 2035);
    assert_asks(&one, 0, false, 2000, 2030);
    end = (struct qr_replication_end){5, 1000, 2006, false, 2000, 2006, 2035};
    assert_int_equal(qr_replication_rend(&one.planner, &end, T0), 0);
    assert_asks(&one, QR_REPLICATION_PACE_MS, false, 2005, 2030); /* It had none at 2005. */
    end = (struct qr_replication_end){5, 1000, 2009, false, 2005, 2009, 2038};
    assert_int_equal(qr_replication_rend(&one.planner, &end, T0), 0);
    assert_silent(&one, 1000000);
    assert_int_equal(one.n_gaps, 2);
    assert_gap(&one, 0, 2000, 2009, QR_GAP_NOT_COLLECTED);
    assert_gap(&one, 1, 2009, 2030, QR_GAP_RETENTION);
    qr_replication_release(&one.planner);
}

/* The child drops what is older while it is asked: that it has been there is not denied. */
static void does_not_call_never_collected_what_is_dropped_meanwhile(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, false);
    const struct qr_stream_hole holes[] = {{1900, 1920}};
    qr_replication_definition(&one.planner, 1, 1900, 2100, 2100);
    resume(&one, 2000, holes, 1);
    assert_asks(&one, 0, true, 2000, 2100);
    for (int64_t t = 2002; t < 2100; t++)
        qr_replication_point(&one.planner, t, t + 1);
    assert_int_equal(one.n_gaps, 0); /* Nobody knows why yet. */
    end_of(&one, 2002, 2100, true, 2001, 2100);
    assert_int_equal(one.n_gaps, 2);
    assert_gap(&one, 0, 2000, 2001, QR_GAP_RETENTION);
    assert_gap(&one, 1, 2001, 2002, QR_GAP_NOT_COLLECTED);

    assert_asks(&one, 0, false, 1900, 1920);
    for (int64_t t = 1910; t < 1920; t++)
        qr_replication_point(&one.planner, t, t + 1);
    end_of(&one, 1910, 1920, false, 1910, 2101);
    assert_int_equal(one.n_gaps, 3);
    assert_gap(&one, 2, 1900, 1910, QR_GAP_RETENTION);
    assert_silent(&one, 1000000);
    qr_replication_release(&one.planner);
}

static void asks_for_a_sample_that_came_in_between(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2100, 2100);
    resume(&one, 2000, NULL, 0);
    assert_asks(&one, 0, true, 2000, 2100);
    qr_replication_state(&one.planner, INT64_C(2101000000));
    answer(&one, 2000, 2100, 2100, true, 2101);
    qr_replication_row(&one.planner, 2102);
    assert_asks(&one, 0, false, 2100, 2101);
    answer(&one, 2100, 2101, 2101, false, 2102);
    assert_silent(&one, 1000000);
    assert_int_equal(one.n_gaps, 0);
    qr_replication_release(&one.planner);
}

static void asks_again_if_the_flag_was_lost(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
    resume(&one, 2000, NULL, 0);
    assert_asks(&one, 0, true, 2000, 2000);
    answer(&one, 2000, 2000, 2000, false, 2000);
    assert_asks(&one, 0, true, 2000, 2000);
    answer(&one, 2000, 2001, 2001, true, 2001);
    assert_int_equal(one.planner.phase, QR_REPLICATION_STREAMING);
    assert_int_equal(one.n_gaps, 0);
    qr_replication_release(&one.planner);
}

static void repeats_what_is_not_answered(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, false);
    qr_replication_definition(&one.planner, 1, 1000, 4000, 4000);
    resume(&one, 1100, NULL, 0);
    uint64_t now_ms = 5, timeout_ms = QR_REPLICATION_TIMEOUT_MS;
    for (int i = 0; i < 6; i++) {
        assert_asks(&one, now_ms, false, 1100, 1700);
        assert_int_equal(qr_replication_deadline_ms(&one.planner), T0 + now_ms + timeout_ms);
        assert_silent(&one, now_ms + timeout_ms - 1);
        now_ms += timeout_ms;
        timeout_ms = timeout_ms < 300000 ? 2 * timeout_ms : 600000;
    }
    answer(&one, 1100, 1700, 1700, false, 4000);
    assert_asks(&one, now_ms, false, 1700, 2300);
    answer(&one, 1100, 1700, 1700, false, 4000); /* Late: of the repeated one. */
    assert_silent(&one, now_ms);
    answer(&one, 1700, 2300, 2300, false, 4000);
    assert_asks(&one, now_ms, false, 2300, 2900);
    assert_int_equal(one.n_gaps, 0);
    qr_replication_release(&one.planner);
}

static void gives_up_on_a_child_that_promises_too_much(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, false);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
    resume(&one, 1100, NULL, 0);
    for (int i = 0; i < QR_REPLICATION_STALLS_MAX; i++) {
        assert_asks(&one, 0, false, 1100, 1700);
        answer(&one, 1100, 1100, 1100, false, 2000);
    }
    assert_gap(&one, 0, 1100, 2000, QR_GAP_NOT_COLLECTED);
    assert_asks(&one, 0, true, 2000, 2000);
    answer(&one, 2000, 2000, 2000, true, 2000);
    assert_int_equal(one.planner.phase, QR_REPLICATION_STREAMING);
    qr_replication_release(&one.planner);
}

static void does_not_storm_a_child_that_never_streams(void **state)
{
    (void)state;
    struct one one;
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
    resume(&one, 1990, NULL, 0);
    int n_asked = 0, n_empty = 0;
    for (uint64_t now_ms = 0; now_ms < 3600000; now_ms += 100) {
        struct qr_replication_ask ask;
        if (!qr_replication_next(&one.planner, now_ms, &ask))
            continue;
        struct qr_replication_end end = {1, 1000, 2000, false, ask.after_s, ask.after_s, 2000};
        n_asked++;
        n_empty += ask.before_s == 0;
        assert_int_equal(qr_replication_rend(&one.planner, &end, now_ms), 0);
    }
    assert_in_range(n_asked, 6, 60);
    assert_in_range(n_empty, 3, 60); /* The last resort is tried. */
    qr_replication_release(&one.planner);
}

static void starts_again_at_a_redefinition(void **state)
{
    (void)state;
    struct one one;
    static const struct qr_stream_hole hole = {1500, 1600};
    one_start(&one, true);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
    resume(&one, 1990, &hole, 1);
    assert_asks(&one, 0, true, 1990, 2000);
    qr_replication_definition(&one.planner, 1, 1000, 2000, 2000); /* The answer is still to come. */
    assert_silent(&one, 0);
    assert_true(qr_replication_sets_clock(&one.planner));
    answer(&one, 1990, 2000, 2000, true, 2000);
    for (int64_t t = 2001; t < 2010; t++)
        qr_replication_row(&one.planner, t);
    assert_asks(&one, 1, false, 1500, 1600);
    qr_replication_definition(&one.planner, 1, 1000, 2011, 2011); /* The child stops the chart. */
    assert_int_equal(one.planner.phase, QR_REPLICATION_WAITING);
    resume(&one, 1980, NULL, 0); /* The owner's watermark lags behind our rows. */
    assert_silent(&one, 1);
    assert_false(qr_replication_sets_clock(&one.planner));
    answer(&one, 1500, 1600, 1600, false, 2011);
    assert_asks(&one, 1, true, 2009, 2011);
    assert_true(qr_replication_sets_clock(&one.planner));
    answer(&one, 2009, 2011, 2011, true, 2011);
    assert_silent(&one, 1000000);
    assert_int_equal(one.n_gaps, 0);
    qr_replication_release(&one.planner);
}

/* A redefinition may tell of what came late behind the catch-up that is under way: its owner finds
 * the holes before the catch-up ends, or after that. */
static void asks_for_holes_that_a_redefinition_found(void **state)
{
    static const struct qr_stream_hole hole = {1500, 1600};
    (void)state;
    for (int ends_first = 0; ends_first < 2; ends_first++) {
        struct one one;
        one_start(&one, false);
        qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
        resume(&one, 1990, NULL, 0);
        assert_asks(&one, 0, true, 1990, 2000);
        qr_replication_definition(&one.planner, 1, 1000, 2000, 2000);
        if (!ends_first)
            resume(&one, 1990, &hole, 1);
        assert_silent(&one, 0);
        answer(&one, 1990, 2000, 2000, true, 2000);
        if (ends_first)
            resume(&one, 1990, &hole, 1);
        qr_replication_row(&one.planner, 2001);
        assert_asks(&one, 1, false, 1500, 1600);
        answer(&one, 1500, 1600, 1600, false, 2001);
        assert_true(qr_replication_is_filled(&one.planner));
        assert_int_equal(one.n_gaps, 0);
        qr_replication_release(&one.planner);
    }
}

static void joins_too_many_holes(void **state)
{
    (void)state;
    static struct qr_stream_hole holes[3 * QR_REPLICATION_PARTS_MAX];
    const uint32_t n = 3 * QR_REPLICATION_PARTS_MAX;
    for (uint32_t i = 0; i < n; i++)
        holes[i] = (struct qr_stream_hole){1000 + 10 * i, 1005 + 10 * i};
    struct one one;
    one_start(&one, false);
    int64_t last_s = 1000 + 10 * n;
    qr_replication_definition(&one.planner, 1, 1000, last_s, last_s);
    resume(&one, last_s, holes, n);
    assert_in_range(one.planner.n_parts, 1, QR_REPLICATION_PARTS_MAX);
    assert_asks(&one, 0, true, last_s, last_s);
    answer(&one, last_s, last_s, last_s, true, last_s);
    uint32_t n_asked = 0;
    int64_t end_s = 0;
    struct qr_replication_ask ask;
    for (uint64_t now_ms = 0; qr_replication_deadline_ms(&one.planner) != UINT64_MAX;
         now_ms += 10) {
        if (!qr_replication_next(&one.planner, now_ms, &ask))
            continue;
        assert_true(ask.after_s >= end_s);
        end_s = ask.before_s;
        n_asked++;
        answer(&one, ask.after_s, ask.before_s, ask.before_s, false, last_s);
    }
    assert_int_equal(n_asked, QR_REPLICATION_PARTS_MAX);
    assert_int_equal(end_s, holes[n - 1].before_s);
    qr_replication_release(&one.planner);
}

/* ---- against simulated children ---- */

static struct sim sim;

/* Everything that the child has after `from_s` is here, and nothing of it was called a gap. */
static void assert_complete(uint64_t seed, int64_t from_s)
{
    for (int64_t t = from_s + sim.ue; t <= sim.last_s; t += sim.ue) {
        size_t i = cell(&sim, t);
        if (!sim.has[i])
            continue;
        if (!sim.got[i] && !(sim.retention_s > 0 && sim.gap[i]))
            fail_msg("seed %" PRIu64 ": %" PRId64 " is missing", seed, t - SIM_BASE);
        if (sim.gap[i] && sim.retention_s == 0)
            fail_msg("seed %" PRIu64 ": %" PRId64 " is no gap", seed, t - SIM_BASE);
    }
}

/* Each step, silent grid point and run of data may cost a request or two, no more. */
static uint32_t asks_bound(int64_t from_s, uint32_t step_s)
{
    uint32_t n = 20;
    bool before = true;
    for (int64_t t = from_s + sim.ue; t <= sim.last_s; t += sim.ue) {
        bool has = sim.has[cell(&sim, t)];
        n += (uint32_t)!has + (uint32_t)(has != before);
        before = has;
    }
    return n + 4 * (uint32_t)((sim.last_s - from_s) / (int64_t)step_s);
}

static int64_t punch_holes(int64_t from_s, struct qr_stream_hole *holes, uint32_t *n)
{
    int64_t end_s = from_s;
    *n = (uint32_t)qr_rng_below(&sim.rng, 4);
    for (uint32_t i = 0; i < *n; i++) {
        int64_t after_s = end_s + sim.ue * (int64_t)(1 + qr_rng_below(&sim.rng, 100));
        int64_t before_s = after_s + sim.ue * (int64_t)(1 + qr_rng_below(&sim.rng, 100));
        if (before_s > sim.last_s) {
            *n = i;
            break;
        }
        holes[i] = (struct qr_stream_hole){after_s, before_s};
        for (int64_t t = after_s + sim.ue; t <= before_s; t += sim.ue)
            sim.got[cell(&sim, t)] = false;
        end_s = before_s;
    }
    return end_s;
}

static int64_t newest_got(void)
{
    int64_t t = sim.last_s;
    while (t > SIM_BASE && !sim.got[cell(&sim, t)])
        t -= sim.ue;
    return t > SIM_BASE ? t : 0;
}

static void run_history(uint64_t seed, bool is_137, bool faults)
{
    static const int64_t intervals[] = {1, 1, 1, 2, 5, 10};
    struct qr_stream_hole holes[4];
    uint32_t n_holes = 0;
    sim_start(&sim, seed, is_137, 1);
    sim.ue = intervals[qr_rng_below(&sim.rng, 6)];
    sim.collects = qr_rng_below(&sim.rng, 3) == 0 ? always : in_runs;
    sim.loss = faults ? 3 : 0;
    sim.flag_loss = faults ? 20 : 0;
    sim.late_state = faults ? 10 : 0;
    uint32_t step_s = (uint32_t)(60 + qr_rng_below(&sim.rng, 600));
    sim_collect(&sim, (int64_t)qr_rng_below(&sim.rng, 3000) * sim.ue);
    int64_t from_s = 0, watermark_s = 0;
    for (int i = 0; i < 4; i++) {
        sim_connect(&sim, 1000, step_s);
        int64_t start_s = now_s(&sim) - 1000;
        resume_at(&sim, watermark_s, holes, n_holes);
        if (from_s == 0)
            from_s = start_s < SIM_BASE + sim.ue ? SIM_BASE + sim.ue : start_s;
        sim_settle(&sim, 20000);
        sim_collect(&sim, (int64_t)qr_rng_below(&sim.rng, 300) * sim.ue);
        assert_complete(seed, from_s);
        int64_t asked_s = watermark_s > 0 ? watermark_s : from_s - sim.ue;
        if (n_holes > 0 && holes[0].after_s < asked_s)
            asked_s = holes[0].after_s;
        uint32_t bound = asks_bound(asked_s, step_s);
        if (sim.n_asked > bound)
            fail_msg("seed %" PRIu64 ": asked %u times, not %u", seed, sim.n_asked, bound);
        if (is_137 && !faults && sim.n_repeated_rows > 0)
            fail_msg("seed %" PRIu64 ": %u rows twice", seed, sim.n_repeated_rows);
        sim_disconnect(&sim);
        sim_collect(&sim, (int64_t)qr_rng_below(&sim.rng, 500) * sim.ue);
        watermark_s = newest_got();
        if (watermark_s > 0) {
            punch_holes(from_s, holes, &n_holes);
            memset(sim.gap, 0, sizeof sim.gap);
            watermark_s = newest_got();
            for (uint32_t h = 0; h < n_holes; h++)
                if (holes[h].before_s > watermark_s)
                    n_holes = h;
        }
    }
}

static void loses_nothing_of_a_137_child(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run_history(seed, true, seed % 2 == 0);
}

static void loses_nothing_of_a_29_child(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 150; seed++)
        run_history(seed, false, seed % 2 == 0);
}

/* 1.37, silent for hours: `runs` are where it has data, in points since the outage began. */
static struct {
    int64_t begin, end;
} runs[8];

static bool in_given_runs(struct sim *child, int64_t at_s)
{
    int64_t at = (at_s - SIM_BASE) / child->ue - 1000;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (at >= runs[i].begin && at < runs[i].end)
            return true;
    return at < 0;
}

static void finds_runs_behind_long_silences(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        sim_start(&sim, seed, true, 1 + (int64_t)(seed % 2) * 4);
        sim.collects = in_given_runs;
        int64_t at = 0;
        for (size_t i = 0; i < sizeof runs / sizeof *runs;
             i++) { /* As long as the silence before. */
            int64_t silence = 50 + (int64_t)qr_rng_below(&sim.rng, 5000);
            runs[i].begin = at + silence;
            at = runs[i].end = runs[i].begin + silence + 1;
        }
        sim_collect(&sim, 1000 * sim.ue);
        int64_t watermark_s = sim.last_s;
        memcpy(sim.got, sim.has, sizeof sim.got);
        sim_collect(&sim, (at + 10) * sim.ue);
        sim_connect(&sim, 1000, 600);
        resume_at(&sim, watermark_s, NULL, 0);
        sim_settle(&sim, 20000);
        assert_complete(seed, SIM_BASE);
        uint32_t steps = (uint32_t)((sim.last_s - watermark_s) / 600);
        if (sim.n_asked > steps + 8 * (QR_REPLICATION_SINGLE_PROBES + 30) + 20)
            fail_msg("seed %" PRIu64 ": asked %u times", seed, sim.n_asked);
        sim_disconnect(&sim);
    }
}

static bool every_other(struct sim *child, int64_t at_s)
{
    return at_s / child->ue % 2 == 0;
}

/* The worst chart of all: bounded in number and pace. */
static void ends_with_a_chart_full_of_holes(void **state)
{
    (void)state;
    sim_start(&sim, 1, true, 1);
    sim.collects = every_other;
    sim_collect(&sim, 100000);
    sim_connect(&sim, 86400, 600);
    resume_at(&sim, 0, NULL, 0);
    int64_t start_ms = sim.now_ms;
    sim_settle(&sim, 80000);
    assert_in_range(sim.n_asked, QR_REPLICATION_PROBES_MAX / 2, QR_REPLICATION_PROBES_MAX + 300);
    assert_true(sim.now_ms - start_ms > (int64_t)(sim.n_asked - 1000) * QR_REPLICATION_PACE_MS);
    for (int64_t t = now_s(&sim) - 86400; t < SIM_BASE + 100000; t++)
        assert_true(sim.got[cell(&sim, t)] || sim.gap[cell(&sim, t)] || !sim.has[cell(&sim, t)]);
    sim_disconnect(&sim);
}

static void respects_the_childs_retention(void **state)
{
    (void)state;
    for (int is_137 = 0; is_137 < 2; is_137++) {
        sim_start(&sim, 7, is_137, 1);
        sim.collects = in_runs;
        sim.retention_s = 1000;
        sim_collect(&sim, 5000);
        sim_connect(&sim, 86400, 600);
        resume_at(&sim, SIM_BASE + 3000, NULL, 0);
        sim_settle(&sim, 20000);
        assert_complete(7, SIM_BASE + 3000);
        for (int64_t t = SIM_BASE + 3001; t < SIM_BASE + 3990; t++)
            assert_true(sim.gap[cell(&sim, t)]);
        sim_disconnect(&sim);
    }
}

/* The child has just started, and its owner takes its time. */
static void loses_nothing_of_a_new_chart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        sim_start(&sim, seed, seed % 2, 1 + (int64_t)(seed % 3) * 2);
        sim.collects = always;
        sim_connect(&sim, 1000, 600);
        sim_collect(&sim, (int64_t)(seed % 10));
        resume_at(&sim, 0, NULL, 0);
        sim_settle(&sim, 100);
        sim_collect(&sim, 20);
        assert_complete(seed, SIM_BASE + sim.ue); /* A child never sends its very first point. */
        sim_disconnect(&sim);
    }
}

/* One planner a connection, many connections: whatever the answers, nothing loops or grows. */
static void survives_random_answers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_start(&sim, seed, seed % 2, 1 + (int64_t)qr_rng_below(&sim.rng, 10));
        sim.lies = true;
        sim.last_s = SIM_BASE + 5000;
        sim.now_ms = 5000000;
        sim_connect(&sim, 1000, 100);
        sim.planner.update_every = (uint32_t)sim.ue;
        resume_at(&sim, SIM_BASE + (int64_t)qr_rng_below(&sim.rng, 6000), NULL, 0);
        for (int i = 0; i < 2000; i++) {
            struct qr_replication_ask ask;
            sim.now_ms += (int64_t)qr_rng_below(&sim.rng, 2000);
            if (qr_replication_next(&sim.planner, (uint64_t)sim.now_ms, &ask)) {
                assert_true(ask.after_s <= ask.before_s);
                assert_int_equal(ask.after_s % sim.planner.update_every, 0);
            }
            int64_t t = SIM_BASE + (int64_t)qr_rng_below(&sim.rng, 6000);
            int64_t u = SIM_BASE + (int64_t)qr_rng_below(&sim.rng, 6000);
            if (chance(&sim, 50))
                qr_replication_point(&sim.planner, t, chance(&sim, 90) ? t + sim.ue : u);
            struct qr_replication_end end = {(uint32_t)qr_rng_below(&sim.rng, 12),
                                             SIM_BASE + (int64_t)qr_rng_below(&sim.rng, 6000),
                                             SIM_BASE + (int64_t)qr_rng_below(&sim.rng, 6000),
                                             chance(&sim, 2),
                                             t,
                                             u,
                                             now_s(&sim)};
            if (chance(&sim, 70))
                assert_int_equal(qr_replication_rend(&sim.planner, &end, (uint64_t)sim.now_ms), 0);
            assert_true(sim.planner.n_parts <= QR_REPLICATION_PARTS_MAX);
            if (chance(&sim, 1))
                define_chart(&sim);
            if (chance(&sim, 5))
                resume_at(&sim, t, &(struct qr_stream_hole){u, u + 50}, 1);
        }
        sim_disconnect(&sim);
    }
}

/* ---- against what a real child answered ---- */

/* Each chart of the capture, once for each connection.  The requests in it were made by hand, by
 * the same rules: the planner must ask the same in the same order, given the same answers. */
struct recorded {
    char id[64];
    struct one one;
    bool asked;
    struct qr_replication_end definition;
};

static struct recorded recorded[32];
static struct recorded *current, *answering;
static uint32_t n_recorded, n_matched;

static int64_t number_at(const struct qr_words *w, size_t i)
{
    int64_t value = 0;
    assert_int_equal(qr_number_int(qr_words_get(w, i), &value), 0);
    return value;
}

static struct recorded *find_recorded(struct qr_slice id)
{
    for (uint32_t i = n_recorded; i-- > 0;)
        if (strlen(recorded[i].id) == id.len && memcmp(recorded[i].id, id.base, id.len) == 0)
            return &recorded[i];
    return NULL;
}

static void see_chart(const struct qr_words *w)
{
    assert_true(n_recorded < 32);
    current = &recorded[n_recorded++];
    memset(current, 0, sizeof *current);
    snprintf(current->id, sizeof current->id, "%.*s", (int)w->at[1].len, w->at[1].base);
    current->definition.update_every = (uint32_t)number_at(w, 9);
}

static void see_definition_end(const struct qr_words *w)
{
    one_start(&current->one, true);
    current->one.config.period_s = 60;
    qr_replication_definition(&current->one.planner, current->definition.update_every,
                              number_at(w, 1), number_at(w, 2), number_at(w, 3));
}

/* The first connection asks for the last minute, the second from what was stored. */
static void see_request(const struct qr_words *w, bool reconnected)
{
    struct recorded *chart = find_recorded(w->at[1]);
    assert_non_null(chart);
    if (!chart->asked)
        resume(&chart->one, reconnected ? number_at(w, 3) : 0, NULL, 0);
    chart->asked = true;
    assert_asks(&chart->one, QR_REPLICATION_HEAL_AFTER_MS, w->at[2].len == 4, number_at(w, 3),
                number_at(w, 4));
    n_matched++;
}

static void see_answer(const struct qr_words *w)
{
    if (w->at[0].len == 6 && w->at[0].base[1] == 'B') { /* RBEGIN */
        if (w->at[1].len > 0)
            answering = find_recorded(w->at[1]);
        if (w->n > 3)
            qr_replication_point(&answering->one.planner, number_at(w, 2), number_at(w, 3));
    } else if (w->at[0].len == 7 && w->at[0].base[2] == 'S') { /* RSSTATE */
        qr_replication_state(&answering->one.planner, number_at(w, 2));
    } else if (w->at[0].len == 4 && w->at[0].base[1] == 'E') { /* REND */
        struct qr_replication_end end = {
            (uint32_t)number_at(w, 1), number_at(w, 2), number_at(w, 3), w->at[4].len == 4,
            number_at(w, 5),           number_at(w, 6), number_at(w, 7)};
        assert_int_equal(qr_replication_rend(&answering->one.planner, &end, T0), 0);
    }
}

static void see_record(const char *text, uint32_t n_connections)
{
    struct qr_words w;
    assert_int_equal(qr_words_split(&w, qr_slice_of(text + 2, strlen(text + 2))), 0);
    if (w.n == 0)
        return;
    if (text[0] == '>' && strncmp(text + 2, "REPLAY_CHART", 12) == 0)
        see_request(&w, n_connections > 1);
    else if (text[0] == '<' && strncmp(text + 2, "CHART ", 6) == 0)
        see_chart(&w);
    else if (text[0] == '<' && strncmp(text + 2, "CHART_DEFINITION_END", 20) == 0)
        see_definition_end(&w);
    else if (text[0] == '<' && text[2] == 'R')
        see_answer(&w);
}

static void asks_a_real_child_what_heals_it(void **state)
{
    (void)state;
    char line[8192];
    uint32_t n_connections = 0;
    FILE *file = fopen("proto/tests/captures/137-outage-heal.transcript", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        const char *text = strchr(line, ' ');
        if (text == NULL)
            continue;
        n_connections += strncmp(text, " # accepted", 11) == 0;
        if (text[2] == ' ')
            see_record(text + 1, n_connections);
    }
    fclose(file);
    assert_int_equal(n_connections, 2);
    assert_int_equal(n_matched, 38);
    for (uint32_t i = 0; i < n_recorded; i++) {
        assert_int_equal(recorded[i].one.planner.phase, QR_REPLICATION_STREAMING);
        assert_silent(&recorded[i].one, 2 * QR_REPLICATION_HEAL_AFTER_MS);
        qr_replication_release(&recorded[i].one.planner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_for_its_owner),
        cmocka_unit_test(asks_by_the_rules),
        cmocka_unit_test(goes_on_from_the_end_of_the_answer),
        cmocka_unit_test(asks_for_holes_once_it_streams),
        cmocka_unit_test(tells_how_much_is_left),
        cmocka_unit_test(heals_a_truncated_answer),
        cmocka_unit_test(does_not_call_never_collected_what_may_come),
        cmocka_unit_test(does_not_call_never_collected_what_ends_later_meanwhile),
        cmocka_unit_test(does_not_call_never_collected_what_is_dropped_meanwhile),
        cmocka_unit_test(asks_for_a_sample_that_came_in_between),
        cmocka_unit_test(asks_again_if_the_flag_was_lost),
        cmocka_unit_test(repeats_what_is_not_answered),
        cmocka_unit_test(gives_up_on_a_child_that_promises_too_much),
        cmocka_unit_test(does_not_storm_a_child_that_never_streams),
        cmocka_unit_test(starts_again_at_a_redefinition),
        cmocka_unit_test(asks_for_holes_that_a_redefinition_found),
        cmocka_unit_test(joins_too_many_holes),
        cmocka_unit_test(loses_nothing_of_a_137_child),
        cmocka_unit_test(loses_nothing_of_a_29_child),
        cmocka_unit_test(finds_runs_behind_long_silences),
        cmocka_unit_test(ends_with_a_chart_full_of_holes),
        cmocka_unit_test(respects_the_childs_retention),
        cmocka_unit_test(loses_nothing_of_a_new_chart),
        cmocka_unit_test(survives_random_answers),
        cmocka_unit_test(asks_a_real_child_what_heals_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
