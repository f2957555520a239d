#include "proto/horizon.h"

#include <inttypes.h>

#include "proto/tests/recorder.h"

#define CHART_V1 "CHART t.c '' '' '' '' '' line 1 1\nDIMENSION a '' absolute 1 1\n"
#define CHART_V2 "CHART 't.c' '' '' '' '' '' line 1 1\nDIMENSION 'a' '' absolute 1 1\n"

static void set_clock(struct recorder *r, int64_t now_s)
{
    int64_t now_us = now_s * 1000000 + 200000;
    r->mono_ms += (uint64_t)(now_us - r->real_us) / 1000;
    r->real_us = now_us;
}

static struct qr_stream_stats stats_of(const struct recorder *r)
{
    struct qr_stream_stats stats;
    qr_stream_get_stats(r->stream, &stats);
    return stats;
}

static void open_v2(struct recorder *r)
{
    recorder_open(r, CAPS_290);
    r->resume.watermark_s = 999;
    recorder_expect(r,
                    CHART_V2 "CHART_DEFINITION_END 900 1000 1000\nRBEGIN 't.c'\n"
                             "RBEGIN '' 999 1000 1000\nRSET 'a' 1 'A'\n"
                             "REND 1 900 1000 true 999 1000 1000\n",
                    "define t.c every=1 dims=a\n> REPLAY_CHART \"t.c\" \"true\" 999 1000\n"
                    "~row t.c 1000/1 a=1\n");
}

static void a_v2_child_goes_an_hour_ahead_and_back(void **state)
{
    (void)state;
    struct recorder r;
    open_v2(&r);
    recorder_expect(&r, "BEGIN2 t.c 1 1001 #\nSET2 a 1 # A\nEND2\n", "row t.c 1001/1 a=1\n");
    recorder_expect(&r, "BEGIN2 t.c 1 1300 #\nSET2 a 1 # A\nEND2\n", "row t.c 1300/1 a=1\n");
    recorder_close(&r);

    open_v2(&r);
    recorder_expect(&r, "BEGIN2 t.c 1 1001 #\nSET2 a 1 # A\nEND2\n", "row t.c 1001/1 a=1\n");
    recorder_expect(&r, "BEGIN2 t.c 1 1301 #\nSET2 a 1 # A\nEND2\n", "");
    set_clock(&r, 1003);
    recorder_expect(&r, "BEGIN2 t.c 1 4603 #\nSET2 a 1 # A\nEND2\n", "");
    assert_int_equal(stats_of(&r).rows_ahead, 2);
    assert_int_equal(stats_of(&r).clock_ahead_s, 3600);
    set_clock(&r, 1006);
    recorder_expect(&r, "BEGIN2 t.c 1 1006 #\nSET2 a 6 # A\nEND2\n",
                    "row t.c 1006/1 a=6\n> REPLAY_CHART \"t.c\" \"false\" 1001 1005\n");
    assert_int_equal(stats_of(&r).clock_ahead_s, 0);
    /* It was our clock: the child has them. */
    recorder_expect(&r,
                    "RBEGIN 't.c'\nRBEGIN '' 1002 1003 1006\nRSET 'a' 3 'A'\n"
                    "RBEGIN '' 1003 1004 1006\nRSET 'a' 4 'A'\n"
                    "REND 1 900 1006 false 1001 1005 1006\n",
                    "~row t.c 1003/1 a=3\n~row t.c 1004/1 a=4\n"
                    "gap t.c (1001,1002] 1\ngap t.c (1004,1005] 1\n");
    recorder_close(&r);
}

static void open_v1(struct recorder *r)
{
    recorder_open(r, CAPS_137);
    r->resume.watermark_s = 999;
    recorder_expect(r,
                    CHART_V1 "CHART_DEFINITION_END 900 1000 1000\nRBEGIN t.c\n"
                             "RBEGIN '' 999 1000 1000\nRSET a 1 ''\nRDSTATE a 1000100000 1 1 1\n"
                             "RSSTATE 1000100000 1000000000\nREND 1 900 1000 true 999 1000 1000\n",
                    "define t.c every=1 dims=a\n> REPLAY_CHART \"t.c\" \"true\" 999 1000\n"
                    "~row t.c 1000/1 a=1\n");
    set_clock(r, 1001);
    recorder_expect(r, "BEGIN t.c 1000000\nSET a 2\nEND\n", "row t.c 1001/1 a=2\n");
}

/* The step ahead is sent as a duration, the one back is not. */
static void a_v1_child_goes_an_hour_ahead_and_back(void **state)
{
    (void)state;
    struct recorder r;
    open_v1(&r);
    set_clock(&r, 1002);
    recorder_expect(&r, "BEGIN t.c 900000000\nSET a 3\nEND\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1001 1001\n");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 3\nEND\n", ""); /* Part of the answer. */
    /* The child's clock is 900 s ahead, and so is the newest point of its database. */
    recorder_expect(&r,
                    "RBEGIN t.c\nRBEGIN '' 1901 1902 1903\nRSET a 3 ''\n"
                    "RDSTATE a 1902100000 3 3 3\nRSSTATE 1902100000 1902000000\n"
                    "REND 1 900 1902 true 1001 1902 1902\n",
                    "");
    assert_int_equal(stats_of(&r).clock_ahead_s, 900);
    set_clock(&r, 1003);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 4\nEND\n", "");
    set_clock(&r, 1011);
    recorder_expect(&r, "BEGIN t.c 8000000\nSET a 5\nEND\n", "");
    /* The child's clock is right by now, but it sends durations.  It is asked after a while. */
    set_clock(&r, 1012);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 6\nEND\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1001 1002\n");
    recorder_expect(&r,
                    "RBEGIN t.c\nRBEGIN '' 1011 1012 1012\nRSET a 6 ''\n"
                    "RDSTATE a 1012100000 6 6 6\nRSSTATE 1012100000 1012000000\n"
                    "REND 1 900 1012 true 1001 1012 1012\n",
                    "~row t.c 1012/1 a=6\ngap t.c (1001,1011] 1\n");
    set_clock(&r, 1013);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 7\nEND\n", "row t.c 1013/1 a=7\n");
    assert_int_equal(stats_of(&r).clock_ahead_s, 0);
    assert_int_equal(stats_of(&r).rows_ahead, 7);
    recorder_close(&r);
}

/* Our clock was an hour behind while the child answered: all of it is asked for again. */
static void what_a_replay_lost_is_asked_for_again(void **state)
{
    (void)state;
    struct recorder r;
    recorder_open(&r, CAPS_137);
    r.resume.watermark_s = 4000;
    r.mono_ms += 3600000;
    recorder_expect(&r,
                    CHART_V1 "CHART_DEFINITION_END 900 4004 4004\nRBEGIN t.c\n"
                             "RBEGIN '' 4003 4004 4004\nRSET a 4 ''\nRDSTATE a 4004100000 4 4 4\n"
                             "RSSTATE 4004100000 4004000000\nREND 1 900 4004 true 4000 4004 4004\n",
                    "define t.c every=1 dims=a\n> REPLAY_CHART \"t.c\" \"true\" 4000 4000\n");
    assert_int_equal(stats_of(&r).rows_ahead, 1);
    set_clock(&r, 4005);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 5\nEND\n",
                    "row t.c 4005/1 a=5\n> REPLAY_CHART \"t.c\" \"false\" 4000 4004\n");
    recorder_close(&r);
}

/* One chart finds out that the child's clock is right; then the others need not wait. */
static void all_charts_ask_once_the_child_is_right(void **state)
{
    (void)state;
    struct recorder r;
    open_v1(&r);
    recorder_expect(&r,
                    "CHART t.d '' '' '' '' '' line 1 1\nDIMENSION a '' absolute 1 1\n"
                    "CHART_DEFINITION_END 900 1000 1001\nRBEGIN t.d\n"
                    "RBEGIN '' 999 1000 1000\nRSET a 1 ''\nRDSTATE a 1000100000 1 1 1\n"
                    "RSSTATE 1000100000 1000000000\nREND 1 900 1000 true 999 1000 1000\n"
                    "BEGIN t.d 1000000\nSET a 2\nEND\n",
                    "define t.d every=1 dims=a\n> REPLAY_CHART \"t.d\" \"true\" 999 1000\n"
                    "~row t.d 1000/1 a=1\nrow t.d 1001/1 a=2\n");
    set_clock(&r, 1002);
    recorder_expect(&r, "BEGIN t.c 900000000\nSET a 3\nEND\nBEGIN t.d 900000000\nSET a 3\nEND\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1001 1001\n");
    recorder_expect(&r, "BEGIN t.d 1000000\nSET a 3\nEND\n", "");
    recorder_expect(&r,
                    "RBEGIN t.c\nRDSTATE a 1001100000 3 3 3\nRSSTATE 1001100000 1001000000\n"
                    "REND 1 900 1001 true 1001 1001 1002\n",
                    "");
    recorder_expect(&r, "BEGIN t.d 1000000\nSET a 4\nEND\n",
                    "> REPLAY_CHART \"t.d\" \"true\" 1001 1001\n");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 5\nEND\n", "row t.c 1002/1 a=5\n");
    recorder_close(&r);
}

static void a_v1_child_without_replication_takes_the_arrival_clock(void **state)
{
    (void)state;
    static const int64_t jumps_us[] = {3600000000, 400000000, INT64_C(1) << 50, INT64_MAX};
    for (size_t i = 0; i < QR_COUNT(jumps_us); i++) {
        struct recorder r;
        char text[200];
        recorder_open(&r, CAPS_V5);
        recorder_expect(&r, CHART_V1 "BEGIN t.c 0\nSET a 1\nEND\n", "define t.c every=1 dims=a\n");
        set_clock(&r, 1001);
        recorder_expect(&r, "BEGIN t.c 1000000\nSET a 2\nEND\n", "row t.c 1001/1 a=2\n");
        set_clock(&r, 1002);
        snprintf(text, sizeof text, "BEGIN t.c %" PRId64 "\nSET a 3\nEND\n", jumps_us[i]);
        recorder_expect(&r, text, "");
        for (int t = 3; t < 8; t++) {
            set_clock(&r, 1000 + t);
            qr_stream_feed(r.stream, qr_slice_str("BEGIN t.c 1000000\nSET a 5\nEND\n"));
        }
        qr_buf_add_u8(&r.log, 0);
        assert_non_null(strstr(r.log.base, "row t.c 1006/1 a=5\n"));
        assert_non_null(strstr(r.log.base, "row t.c 1007/1 a=5\n"));
        assert_null(strstr(r.log.base, "1008/1"));
        recorder_close(&r);
    }
    /* It sends too little, and is behind by more and more: a new chart's clock, then. */
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    recorder_expect(&r, CHART_V1 "BEGIN t.c 0\nSET a 1\nEND\n", "define t.c every=1 dims=a\n");
    set_clock(&r, 1400);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 2\nEND\n",
                    "row t.c 1399/1 a=1.454545455\nrow t.c 1400/1 a=2\n");
    set_clock(&r, 1800);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 2\nEND\n", "row t.c 1401/1 a=2\n");
    set_clock(&r, 1801);
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 3\nEND\n",
                    "row t.c 1800/1 a=2.454545455\nrow t.c 1801/1 a=3\n");
    recorder_close(&r);
}

/* A clock that is in 1970, or beyond all time, does not end the connection. */
static void times_that_cannot_be_are_refused_row_by_row(void **state)
{
    (void)state;
    struct recorder r;
    open_v2(&r);
    recorder_expect(&r,
                    "BEGIN2 t.c 1 0 #\nSET2 a 1 # A\nEND2\nBEGIN2 t.c 10 9 #\nSET2 a 1 # A\nEND2\n"
                    "BEGIN2 t.c 1 -5 #\nSET2 a 1 # A\nEND2\n"
                    "BEGIN2 t.c 1 9223372036854775807 #\nSET2 a 1 # A\nEND2\n",
                    "define t.c every=10 dims=a\n"
                    "define t.c every=1 dims=a\n");
    assert_int_equal(stats_of(&r).rows_refused, 4);
    assert_int_equal(stats_of(&r).rows_ahead, 1);
    recorder_expect(&r, "BEGIN2 t.c 1 10 #\nSET2 a 1 # A\nEND2\n", "row t.c 10/1 a=1\n");
    recorder_refuses(&r, "BEGIN2 t.c 1 soon #\n", QR_E_MALFORMED, "BEGIN2 with an end time");
    recorder_close(&r);
}

/* ---- a child that says anything ---- */

static int64_t worst_now_s;
static unsigned n_checked;

static void check_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    (void)data, (void)chart;
    assert_in_range(row->end_s, 1, worst_now_s + QR_HORIZON_S);
    n_checked++;
}

static void check_gap(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                      enum qr_gap_reason reason)
{
    (void)data, (void)chart, (void)reason;
    assert_true(after_s >= 0 && after_s < before_s && before_s <= worst_now_s);
    n_checked++;
}

static void check_ask(void *data, struct qr_slice line)
{
    (void)data;
    long long after_s, before_s;
    char text[200], how[8];
    snprintf(text, sizeof text, "%.*s", (int)line.len, line.base);
    assert_int_equal(sscanf(text, "REPLAY_CHART \"t.c\" %7s %lld %lld", how, &after_s, &before_s),
                     3);
    assert_true(after_s >= 0 && after_s <= before_s && before_s <= worst_now_s + QR_HORIZON_S);
    n_checked++;
}

static void say(struct recorder *r, const char *text, const int64_t times[3])
{
    char line[1024];
    snprintf(line, sizeof line, text, times[0], times[1], times[2]);
    (void)qr_stream_feed(r->stream, qr_slice_str(line)); /* It may be closed for it. */
}

static void whatever_it_says_nothing_is_of_the_future(void **state)
{
    (void)state;
#define T "%" PRId64
    static const struct {
        uint32_t caps;
        const char *begin, *text;
    } lines[] = {
        {CAPS_290, CHART_V2, "CHART_DEFINITION_END " T " " T " " T "\n"},
        {CAPS_137, CHART_V1, "CHART_DEFINITION_END " T " " T " " T "\n"},
        {CAPS_290, CHART_V2 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nREND 1 " T " " T " true 0 " T " 1000\nBEGIN2 t.c 1 1001 #\nSET2 a 1 # A\n"
         "END2\n"},
        {CAPS_137, CHART_V1 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nREND 1 900 1000 true " T " " T " " T "\nBEGIN t.c 1000000\nSET a 1\nEND\n"},
        {CAPS_137, CHART_V1 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nREND 1 900 1000 false " T " " T " " T "\n"},
        {CAPS_290, CHART_V2 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nRBEGIN '' " T " " T " " T "\nRSET a 1 A\n"
         "REND 1 900 1000 true 900 1000 1000\n"},
        {CAPS_137, CHART_V1 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nRBEGIN '' " T " " T " " T "\nRSET a 1 ''\n"
         "REND 1 900 1000 true 900 1000 1000\nBEGIN t.c 1000000\nSET a 1\nEND\n"},
        {CAPS_137, CHART_V1 "CHART_DEFINITION_END 900 1000 1000\n",
         "RBEGIN t.c\nRBEGIN '' 999 1000 1000\nRSET a 1 ''\nRDSTATE a " T " 1 1 1\n"
         "RSSTATE " T " " T "\nREND 1 900 1000 true 900 1000 1000\n"
         "BEGIN t.c 1000000\nSET a 1\nEND\nBEGIN t.c 1000000\nSET a 1\nEND\n"},
        {CAPS_290,
         CHART_V2 "CHART_DEFINITION_END 900 1000 1000\nRBEGIN t.c\n"
                  "REND 1 900 1000 true 900 1000 1000\n",
         "BEGIN2 t.c 1 " T " #\nSET2 a 1 # A\nEND2\nBEGIN2 t.c 7 " T " #\nSET2 a 1 # A\nEND2\n"
         "BEGIN2 t.c 1 " T " #\nSET2 a 1 # A\nEND2\n"},
        {CAPS_137,
         CHART_V1 "CHART_DEFINITION_END 900 1000 1000\nRBEGIN t.c\n"
                  "RBEGIN '' 999 1000 1000\nRSET a 1 ''\n"
                  "REND 1 900 1000 true 900 1000 1000\n",
         "BEGIN t.c " T "\nSET a 1\nEND\nBEGIN t.c " T "\nSET a 1\nEND\nBEGIN t.c " T "\nSET a 1\n"
         "END\n"},
        {CAPS_V5, CHART_V1,
         "BEGIN t.c " T "\nSET a 1\nEND\nBEGIN t.c " T "\nSET a 1\nEND\nBEGIN t.c " T "\nSET a 1\n"
         "END\n"},
    };
#undef T
    static const int64_t times[] = {INT64_MIN,
                                    -1,
                                    0,
                                    1,
                                    999,
                                    1000,
                                    1001,
                                    1299,
                                    1300,
                                    1301,
                                    4600,
                                    1000100000,
                                    4600100000,
                                    INT64_C(1) << 32,
                                    (INT64_C(1) << 33) + 1,
                                    INT64_C(1) << 53,
                                    INT64_MAX};
    worst_now_s = 1000;
    n_checked = 0;
    for (size_t l = 0; l < QR_COUNT(lines); l++)
        for (size_t i = 0; i < QR_COUNT(times) * QR_COUNT(times) * QR_COUNT(times); i++) {
            const int64_t three[3] = {times[i % QR_COUNT(times)],
                                      times[i / QR_COUNT(times) % QR_COUNT(times)],
                                      times[i / (QR_COUNT(times) * QR_COUNT(times))]};
            struct recorder r;
            recorder_open(&r, lines[l].caps);
            qr_stream_free(r.stream);
            const struct qr_stream_handler handler = {.data = &r,
                                                      .define = recorder_define,
                                                      .row = check_row,
                                                      .gap = check_gap,
                                                      .send = check_ask};
            const struct qr_stream_config config = {.caps = lines[l].caps,
                                                    .update_every = 1,
                                                    .replication = true,
                                                    .replication_period_s = 500,
                                                    .replication_step_s = 600,
                                                    .heal = lines[l].caps == CAPS_137,
                                                    .clock = &r.clock};
            assert_int_equal(qr_stream_new(&r.stream, &config, &handler), 0);
            r.resume.watermark_s = i % 2 == 0 ? 950 : 0;
            (void)qr_stream_feed(r.stream, qr_slice_str(lines[l].begin));
            say(&r, lines[l].text, three);
            say(&r, lines[l].text, three);
            r.mono_ms += 70000;
            qr_stream_tick(r.stream);
            recorder_close(&r);
        }
    assert_true(n_checked > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_v2_child_goes_an_hour_ahead_and_back),
        cmocka_unit_test(a_v1_child_goes_an_hour_ahead_and_back),
        cmocka_unit_test(what_a_replay_lost_is_asked_for_again),
        cmocka_unit_test(all_charts_ask_once_the_child_is_right),
        cmocka_unit_test(a_v1_child_without_replication_takes_the_arrival_clock),
        cmocka_unit_test(times_that_cannot_be_are_refused_row_by_row),
        cmocka_unit_test(whatever_it_says_nothing_is_of_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
