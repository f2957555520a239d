/* Children that say what is not so of their past, or nothing at all, and children with more charts
 * than are asked at a time: how often they are asked, and what becomes of the others. */
#include <stdio.h>

#include "base/compiler.h"
#include "proto/caps.h"
#include "proto/replication.h"
#include "testing/cmocka.h"

/* ---- a chart whose child lies ---- */

#define FIRST_S INT64_C(1000000)
#define LAST_S  (FIRST_S + 3600)
#define HOUR_MS UINT64_C(3600000)

struct chart {
    struct qr_replication_pace pace;
    struct qr_replication_config config;
    struct qr_replication planner;
    uint32_t n_asked, n_gaps;
    int64_t gap_s; /* Seconds reported. */
};

/* What the child answers; it may answer not at all, or twice. */
typedef void liar(struct chart *chart, const struct qr_replication_ask *ask, uint64_t now_ms);

static void take_gap(struct qr_replication *planner, int64_t after_s, int64_t before_s,
                     enum qr_gap_reason reason)
{
    struct chart *chart = planner->data;
    assert_true(after_s < before_s);
    assert_in_range(reason, QR_GAP_RETENTION, QR_GAP_NO_REPLICATION);
    chart->n_gaps++;
    chart->gap_s += before_s - after_s;
}

static void say_points(struct chart *chart, int64_t after_s, int64_t before_s)
{
    for (int64_t t = after_s; t < before_s; t++)
        qr_replication_point(&chart->planner, t, t + 1);
}

static void say_end(struct chart *chart, bool streaming, int64_t after_s, int64_t before_s,
                    uint64_t now_ms)
{
    const struct qr_replication_end end = {1,       FIRST_S,  LAST_S, streaming,
                                           after_s, before_s, LAST_S};
    assert_int_equal(qr_replication_rend(&chart->planner, &end, now_ms), 0);
}

/* It has only the last ten minutes of the hour that it says. */
static void has_less(struct chart *chart, const struct qr_replication_ask *ask, uint64_t now_ms)
{
    int64_t before_s = ask->start_streaming ? LAST_S : ask->before_s;
    int64_t after_s = ask->after_s > LAST_S - 600 ? ask->after_s : LAST_S - 600;
    if (after_s < before_s)
        say_points(chart, after_s, before_s);
    say_end(chart, ask->start_streaming, ask->after_s, before_s, now_ms);
}

/* All that it was asked for; its start is a lie of the definition. */
static void has_all(struct chart *chart, const struct qr_replication_ask *ask, uint64_t now_ms)
{
    int64_t before_s = ask->start_streaming ? LAST_S : ask->before_s;
    say_points(chart, ask->after_s, before_s);
    say_end(chart, ask->start_streaming, ask->after_s, before_s, now_ms);
}

static void answers_with_nothing(struct chart *chart, const struct qr_replication_ask *ask,
                                 uint64_t now_ms)
{
    say_end(chart, false, ask->after_s, ask->after_s, now_ms);
}

/* "It is all there", without a point. */
static void claims_it_was_all(struct chart *chart, const struct qr_replication_ask *ask,
                              uint64_t now_ms)
{
    say_end(chart, ask->start_streaming, ask->after_s, ask->before_s, now_ms);
}

static void answers_an_older_range(struct chart *chart, const struct qr_replication_ask *ask,
                                   uint64_t now_ms)
{
    say_points(chart, FIRST_S, FIRST_S + 60);
    say_end(chart, ask->start_streaming, FIRST_S, FIRST_S + 60, now_ms);
}

static void answers_the_future(struct chart *chart, const struct qr_replication_ask *ask,
                               uint64_t now_ms)
{
    say_points(chart, LAST_S + 100000, LAST_S + 100060);
    say_end(chart, false, LAST_S + 100000, LAST_S + 100060, now_ms);
}

static void answers_twice(struct chart *chart, const struct qr_replication_ask *ask,
                          uint64_t now_ms)
{
    has_all(chart, ask, now_ms);
    has_all(chart, ask, now_ms);
}

static void never_answers(struct chart *chart, const struct qr_replication_ask *ask,
                          uint64_t now_ms)
{
}

/* In an hour: no more requests than that, with a hole of ten minutes behind a watermark ten minutes
 * old.  Probing for what 1.37 leaves out takes some tens more.  `fills`: it ends, with nothing left
 * to ask for, and at least so many seconds are recorded as missing. */
static const struct {
    const char *name;
    liar *says;
    int64_t first_s, last_s; /* Of its definition. */
    uint32_t most, most_probing;
    bool fills;
    int64_t gap_s;
} lies[] = {
    {"an earlier start than it has", has_less, FIRST_S, LAST_S, 4, 200, true, 600},
    {"a start before all time", has_less, 1, LAST_S, 4, 200, true, 600},
    {"a later start than it has", has_all, LAST_S - 10, LAST_S, 4, 4, true, 600},
    {"a start behind its end", has_all, LAST_S + 10, LAST_S, 4, 4, true, 0},
    {"an end in the future", has_all, FIRST_S, LAST_S + 86400 * 365, 4, 4, true, 0},
    {"no start and no end", has_all, 0, 0, 4, 4, true, 0},
    {"nothing, and does not start", answers_with_nothing, FIRST_S, LAST_S, 30, 30, false, 0},
    {"nothing, and that this is all", claims_it_was_all, FIRST_S, LAST_S, 4, 200, true, 600},
    {"an older range", answers_an_older_range, FIRST_S, LAST_S, 20, 20, true, 0},
    {"a range of the future", answers_the_future, FIRST_S, LAST_S, 40, 40, false, 0},
    {"the same twice", answers_twice, FIRST_S, LAST_S, 4, 4, true, 0},
    {"nothing at all", never_answers, FIRST_S, LAST_S, 10, 10, false, 0},
};

static void live_an_hour(struct chart *chart, liar *says)
{
    for (uint64_t now_ms = 0; now_ms < HOUR_MS; now_ms += 100) {
        struct qr_replication_ask ask;
        if (chart->planner.phase == QR_REPLICATION_STREAMING)
            qr_replication_row(&chart->planner, LAST_S + (int64_t)(now_ms / 1000));
        if (!qr_replication_next(&chart->planner, now_ms, &ask))
            continue;
        chart->n_asked++;
        assert_true(ask.after_s <= ask.before_s);
        assert_in_range(chart->pace.n_outstanding, 1, 1);
        says(chart, &ask, now_ms);
    }
}

static void a_liar_is_asked_a_bounded_number_of_times(void **state)
{
    for (size_t i = 0; i < 2 * QR_COUNT(lies); i++) {
        static const struct qr_stream_hole hole = {LAST_S - 1800, LAST_S - 1200};
        const bool heals = i % 2 != 0;
        struct chart chart = {.config = {.period_s = 86400,
                                         .step_s = 600,
                                         .heal = heals,
                                         .pace = &chart.pace,
                                         .gap = take_gap}};
        qr_replication_init(&chart.planner, &chart.config);
        chart.planner.data = &chart;
        qr_replication_definition(&chart.planner, 1, lies[i / 2].first_s, lies[i / 2].last_s,
                                  LAST_S);
        const struct qr_stream_resume resume = {LAST_S - 600, &hole, 1};
        assert_int_equal(qr_replication_resume(&chart.planner, &resume), 0);
        live_an_hour(&chart, lies[i / 2].says);
        print_message("%-30s heal=%d asked=%u gaps=%u (%lld s)\n", lies[i / 2].name, heals,
                      chart.n_asked, chart.n_gaps, (long long)chart.gap_s);
        assert_in_range(chart.n_asked, 1, heals ? lies[i / 2].most_probing : lies[i / 2].most);
        assert_int_equal(qr_replication_is_filled(&chart.planner), lies[i / 2].fills);
        assert_true(chart.gap_s >= lies[i / 2].gap_s);
        qr_replication_release(&chart.planner);
        assert_int_equal(chart.pace.n_outstanding, 0);
        assert_int_equal(chart.pace.n_repeated, 0);
    }
}

/* ---- many charts ---- */

#define CHARTS 1000

/* A child that answers what and when the test says. */
struct many {
    struct qr_clock clock; /* First: the false clock's functions cast it back. */
    uint64_t mono_ms;
    struct qr_stream *stream;
    struct qr_stream_resume resume;
    struct qr_stream_chart *defined;   /* Last. */
    int64_t gap_after_s, gap_before_s; /* The last one. */
    uint32_t n_asked[CHARTS];
    bool outstanding[CHARTS], live[CHARTS];
    uint32_t queue[16 * CHARTS]; /* Charts that were asked for, in that order. */
    uint32_t n_queue, next;
    bool last[16 * CHARTS];
    int64_t after_s[16 * CHARTS], before_s[16 * CHARTS];
};

static struct many many;

static uint64_t mono_ms(const struct qr_clock *clock)
{
    return ((const struct many *)clock)->mono_ms;
}

static int64_t real_us(const struct qr_clock *clock)
{
    return 1000200000;
}

static void on_define(void *data, struct qr_stream_chart *chart)
{
    many.defined = chart;
    assert_int_equal(qr_stream_resume(many.stream, chart, &many.resume), 0);
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
}

static void on_gap(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                   enum qr_gap_reason reason)
{
    many.gap_after_s = after_s;
    many.gap_before_s = before_s;
}

static void on_ask(void *data, struct qr_slice line)
{
    unsigned chart;
    char text[128], flag[8];
    long long after_s, before_s;
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.base);
    assert_int_equal(sscanf(text, "REPLAY_CHART \"t.c%u\" \"%7[a-z]\" %lld %lld", &chart, flag,
                            &after_s, &before_s),
                     4);
    assert_true(many.n_queue < QR_COUNT(many.queue));
    many.n_asked[chart]++;
    many.outstanding[chart] = true;
    many.last[many.n_queue] = strcmp(flag, "true") == 0;
    many.after_s[many.n_queue] = after_s;
    many.before_s[many.n_queue] = before_s;
    many.queue[many.n_queue++] = chart;
}

static void feed(const char *text)
{
    assert_int_equal(qr_stream_feed(many.stream, qr_slice_str(text)), 0);
}

static void define_charts(uint32_t n, const struct qr_stream_resume *resume)
{
    many = (struct many){.clock = {mono_ms, real_us}, .mono_ms = 5000, .resume = *resume};
    const struct qr_stream_config config = {.caps = QR_CAPS_OURS,
                                            .update_every = 1,
                                            .replication = true,
                                            .replication_period_s = 86400,
                                            .replication_step_s = 600,
                                            .clock = &many.clock};
    const struct qr_stream_handler handler = {
        .define = on_define, .row = on_row, .gap = on_gap, .send = on_ask};
    assert_int_equal(qr_stream_new(&many.stream, &config, &handler), 0);
    for (uint32_t i = 0; i < n; i++) {
        char text[128];
        snprintf(text, sizeof text,
                 "CHART t.c%u\nDIMENSION x\nCHART_DEFINITION_END 100 1000 1000\n", i);
        feed(text);
    }
}

static uint32_t outstanding(void)
{
    struct qr_stream_stats stats;
    qr_stream_get_stats(many.stream, &stats);
    assert_true(stats.asks_outstanding <= QR_REPLICATION_OUTSTANDING_MAX);
    return stats.asks_outstanding;
}

/* The next one in the queue, with nothing in it: all of this child's data are stored. */
static void answer_next(void)
{
    uint32_t at = many.next++, chart = many.queue[at];
    char text[160];
    many.outstanding[chart] = false;
    many.live[chart] = many.live[chart] || many.last[at];
    snprintf(text, sizeof text, "RBEGIN t.c%u\nREND 1 100 1000 %s %lld %lld 1000\n", chart,
             many.last[at] ? "true" : "false", (long long)many.after_s[at],
             (long long)many.before_s[at]);
    feed(text);
}

static void pass(uint64_t ms)
{
    many.mono_ms += ms;
    qr_stream_tick(many.stream);
    outstanding();
}

static uint32_t n_live(uint32_t from, uint32_t to)
{
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++)
        n += many.live[i];
    return n;
}

static void so_many_charts_are_asked_at_a_time(void **state)
{
    define_charts(CHARTS, &(struct qr_stream_resume){.watermark_s = 990});
    assert_int_equal(many.n_queue, QR_REPLICATION_OUTSTANDING_MAX);
    for (uint32_t n = 0; n < CHARTS; n++) {
        assert_true(many.next < many.n_queue);
        answer_next();
        uint32_t left = CHARTS - 1 - n;
        assert_int_equal(outstanding(), left < QR_REPLICATION_OUTSTANDING_MAX
                                            ? left
                                            : QR_REPLICATION_OUTSTANDING_MAX);
    }
    assert_int_equal(n_live(0, CHARTS), CHARTS);
    assert_int_equal(many.n_queue, CHARTS); /* Each once. */
    qr_stream_free(many.stream);
}

/* Two of three charts are never answered; those that are come first, and nobody is asked more often
 * than the timeouts say. */
static void silent_charts_do_not_hold_up_the_others(void **state)
{
    define_charts(900, &(struct qr_stream_resume){.watermark_s = 990});
    uint64_t all_live_ms = 0;
    for (uint64_t ms = 0; ms < HOUR_MS; ms += 1000) {
        while (many.next < many.n_queue) {
            if (many.queue[many.next] < 600)
                many.next++;
            else
                answer_next();
        }
        if (all_live_ms == 0 && n_live(600, 900) == 300)
            all_live_ms = ms + 1;
        pass(1000);
    }
    print_message("300 charts behind 600 silent ones are live after %llu s, %u requests\n",
                  (unsigned long long)all_live_ms / 1000, many.n_queue);
    /* 600 silent ones, in turns of 256: two timeouts, and some ticks. */
    assert_in_range(all_live_ms, 1, 3 * QR_REPLICATION_TIMEOUT_MS + 10000);
    for (uint32_t i = 0; i < 600; i++)
        assert_in_range(many.n_asked[i], 2, 10);
    for (uint32_t i = 600; i < 900; i++)
        assert_int_equal(many.n_asked[i], 1);
    /* One of them does answer in the end. */
    many.next = 0;
    answer_next();
    assert_true(many.live[0]);
    qr_stream_free(many.stream);
}

/* Charts with as many holes as one is told at a time share the pace: none waits for another's. */
static void charts_with_holes_take_turns(void **state)
{
    static struct qr_stream_hole holes[64];
    for (int64_t i = 0; i < 64; i++)
        holes[i] = (struct qr_stream_hole){200 + 10 * i, 203 + 10 * i};
    define_charts(20, &(struct qr_stream_resume){990, holes, 64});
    for (uint32_t ms = 0; ms < 60000 && many.next < 20 * 65; ms += 50) {
        while (many.next < many.n_queue) {
            answer_next();
            uint32_t least = UINT32_MAX, most = 0;
            for (uint32_t i = 0; i < 20 && n_live(0, 20) == 20; i++) {
                least = many.n_asked[i] < least ? many.n_asked[i] : least;
                most = many.n_asked[i] > most ? many.n_asked[i] : most;
            }
            assert_true(least == UINT32_MAX || most - least <= 2);
        }
        pass(50);
    }
    assert_int_equal(many.n_queue, 20 * 65); /* Each hole once. */
    qr_stream_free(many.stream);
}

/* More holes come when those are filled: the owner is told that they are, and asks for the rest. */
static void holes_are_handed_over_in_turns(void **state)
{
    struct qr_stream_hole hole = {800, 810};
    define_charts(1, &(struct qr_stream_resume){990, &hole, 1});
    struct qr_stream_chart *chart = many.defined;
    assert_false(qr_stream_is_filled(many.stream, chart));
    answer_next(); /* It streams now, */
    assert_false(qr_stream_is_filled(many.stream, chart));
    feed("BEGIN2 t.c0 1 1001 #\nSET2 x 1 1 A\nEND2\n"); /* beyond the hole. */
    answer_next();
    assert_true(qr_stream_is_filled(many.stream, chart));
    for (int64_t at_s = 700; at_s >= 100; at_s -= 100) {
        hole = (struct qr_stream_hole){at_s - 50, at_s};
        assert_int_equal(qr_stream_hole(many.stream, chart, &hole), 0);
        pass(100);
        if (hole.before_s > 100) {
            assert_false(qr_stream_is_filled(many.stream, chart));
            answer_next();
        }
        assert_true(qr_stream_is_filled(many.stream, chart));
    }
    assert_int_equal(many.after_s[many.n_queue - 1], 150);
    assert_int_equal(many.next, many.n_queue);
    /* What is older than the child's database was not asked for, but recorded. */
    assert_int_equal(many.gap_after_s, 50);
    assert_int_equal(many.gap_before_s, 100);
    qr_stream_free(many.stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_liar_is_asked_a_bounded_number_of_times),
        cmocka_unit_test(so_many_charts_are_asked_at_a_time),
        cmocka_unit_test(silent_charts_do_not_hold_up_the_others),
        cmocka_unit_test(charts_with_holes_take_turns),
        cmocka_unit_test(holes_are_handed_over_in_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
