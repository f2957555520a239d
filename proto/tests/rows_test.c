/* Blocks of rows, live and replayed.  Text in, what the handler was told out: see recorder.h. */
#include "proto/rows.h"

#include "proto/tests/recorder.h"

static void gives_values_of_a_v2_sender(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_290);
    recorder_expect(
        &r,
        "CHART SLOT:#B \"t.c\" \"\" \"T\" \"u\" \"f\" \"c\" \"line\" 1 1 \"\" \"p\" \"m\"\n"
        "DIMENSION SLOT:#B \"x\" \"\" \"absolute\" 1 1 \"\"\n"
        "DIMENSION SLOT:#C \"y\" \"\" \"absolute\" 1 1 \"\"\n"
        "CHART_DEFINITION_END 0 0 1000\n",
        "define t.c every=1 dims=x,y\n> REPLAY_CHART \"t.c\" \"true\" 999 1000\n");
    recorder_expect(&r, "RBEGIN 't.c'\nREND 1 0 0 true 0 0 1000\n", "");
    /* '#' is the collected value; no A is an anomaly; absent dimensions have no value. */
    recorder_expect(&r,
                    "BEGIN2 SLOT:#B 't.c' 1 #Po #\nSET2 SLOT:#B 'x' #B # A\n"
                    "SET2 SLOT:#C 'y' 5 @EA+AAAAAAAB ''\nEND2\n",
                    "row t.c 1000/1 x=1 y=30!\n");
    recorder_expect(&r, "BEGIN2 't.c' 1 1001 #\nSET2 'y' 0x10 -2.5 AR\nEND2\n",
                    "row t.c 1001/1 y=-2.5R\n");
    recorder_expect(&r, "BEGIN2 't.c' 1 1002 #\nSET2 'y' 1 1 E\nSET2 'x' 1 NAN A\nEND2\n", "");
    /* The interval changes at run time. */
    recorder_expect(&r, "BEGIN2 't.c' 5 1005 1006\nSET2 'x' 1 2 A\nEND2\n",
                    "define t.c every=5 dims=x,y\nrow t.c 1005/5 x=2\n");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.rows_live, 3);
    assert_int_equal(stats.samples, 4);
    assert_int_equal(stats.charts, 1);
    recorder_close(&r);
}

#define CHART_V1                                                                                   \
    "CHART \"t.c\" \"\" \"T\" \"u\" \"f\" \"c\" \"line\" 1 1 \"   \" \"p\" \"m\"\n"                \
    "DIMENSION \"a\" \"a\" \"absolute\" 1 2 \"  \"\nDIMENSION \"i\" \"i\" \"incremental\" 1 1 \" " \
    " \"\n"

static void gives_points_of_a_replicating_v1_sender(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r, CHART_V1 "CHART_DEFINITION_END 990 1000 1000\n",
                    "define t.c every=1 dims=a,i\n> REPLAY_CHART \"t.c\" \"true\" 990 1000\n");
    recorder_expect(&r,
                    "RBEGIN \"t.c\"\nRBEGIN '' 998 999 1000\nRSET \"a\" 7.5000000 \"\"\n"
                    "RSET \"i\" NAN \"E\"\nRBEGIN '' 999 1000 1000\nRSET \"a\" 8.0000000 \"R\"\n"
                    "RSET \"i\" 3.0000000 \"\"\n",
                    "~row t.c 999/1 a=7.5\n");
    recorder_expect(&r,
                    "RDSTATE \"a\" 1000500000 16 8.0000000 8.0000000\n"
                    "RDSTATE \"i\" 1000500000 100 1.5000000 3.0000000\n",
                    "~row t.c 1000/1 a=8R i=3\n");
    recorder_expect(&r, "RSSTATE 1000500000 1000000000\nREND 1 990 1000 true 990 1000 1000\n", "");
    /* i: 1.5 kept from before the second, and half of the difference of 4. */
    recorder_expect(&r, "BEGIN \"t.c\" 1000000\nSET \"a\" = 18\nSET \"i\" = 104\nEND\n",
                    "row t.c 1001/1 a=9 i=3.5\n");
    /* Any order, forms other than the usual, no value. */
    recorder_expect(&r, "BEGIN t.c 1000000\r\nSET i = 0x6C\r\nSET 'a' -20 \r\nEND\r\n",
                    "row t.c 1002/1 a=-10 i=4\n");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET i = 108\nSET a = \nEND\n", "row t.c 1003/1 i=2\n");
    recorder_close(&r);
}

/* The sample at 1001.5 s was collected and not yet stored when the child answered. */
static void asks_again_for_the_rest_of_a_torn_answer(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r, CHART_V1 "CHART_DEFINITION_END 990 1000 1001\n",
                    "define t.c every=1 dims=a,i\n> REPLAY_CHART \"t.c\" \"true\" 990 1000\n");
    recorder_expect(&r,
                    "RBEGIN \"t.c\"\nRBEGIN '' 999 1000 1001\nRSET \"a\" 8.0000000 \"\"\n"
                    "RDSTATE \"i\" 1000500000 100 1.5000000 3.0000000\n"
                    "RSSTATE 1001500000 1000000000\nREND 1 990 1000 true 990 1000 1001\n",
                    "~row t.c 1000/1 a=8\n> REPLAY_CHART \"t.c\" \"true\" 1000 1000\n");
    /* Nothing yet; then the point is there, and RDSTATE is of before. */
    recorder_expect(&r,
                    "RBEGIN \"t.c\"\nRSSTATE 1001500000 1000000000\n"
                    "REND 1 990 1000 true 1000 1000 1001\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1000 1000\n");
    recorder_expect(&r,
                    "RBEGIN \"t.c\"\nRDSTATE \"i\" 1000500000 100 1.5000000 3.0000000\n"
                    "RSSTATE 1001500000 1001000000\nREND 1 990 1000 true 1000 1000 1001\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1000 1000\n");
    recorder_expect(&r,
                    "RBEGIN \"t.c\"\nRBEGIN '' 1000 1001 1001\nRSET \"i\" 3.5 \"\"\n"
                    "RDSTATE \"i\" 1001500000 104 2.0000000 3.5000000\n"
                    "RSSTATE 1001500000 1001000000\nREND 1 990 1001 true 1000 1001 1001\n",
                    "~row t.c 1001/1 i=3.5\n");
    recorder_expect(&r, "BEGIN \"t.c\" 1000000\nSET \"i\" = 108\nEND\n", "row t.c 1002/1 i=4\n");
    recorder_close(&r);
}

/* One that is cut short at an empty point looks alike: the second time it is taken as it is. */
static void takes_a_truncated_answer_the_second_time(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    assert_int_equal(
        qr_stream_feed(r.stream, qr_slice_str(CHART_V1 "CHART_DEFINITION_END 990 1001 1001\n")), 0);
    qr_buf_clear(&r.log);
    recorder_expect(&r,
                    "RBEGIN t.c\nRBEGIN '' 998 999 1001\nRSET a 8 ''\n"
                    "RSSTATE 1001500000 1001000000\nREND 1 990 1001 true 990 1001 1001\n",
                    "~row t.c 999/1 a=8\n> REPLAY_CHART \"t.c\" \"true\" 999 1001\n");
    recorder_expect(&r,
                    "RBEGIN t.c\nRSSTATE 1001500000 1001000000\n"
                    "REND 1 990 1001 true 999 1001 1001\n",
                    "");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.charts_replicating, 0);
    recorder_close(&r);
}

#define TORN_ANSWER                                                                                \
    "RBEGIN t.c\nRSSTATE 1001500000 1000000000\nREND 1 990 1000 true 990 1000 1001\n"

/* At once a few times, then with what comes later; what is live comes again with the answer. */
static void asks_less_often_when_answers_stay_torn(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r, CHART_V1 "CHART_DEFINITION_END 990 1000 1001\n",
                    "define t.c every=1 dims=a,i\n> REPLAY_CHART \"t.c\" \"true\" 990 1000\n");
    for (unsigned i = 0; i < QR_ROWS_TORN_AT_ONCE; i++)
        recorder_expect(&r, TORN_ANSWER, "> REPLAY_CHART \"t.c\" \"true\" 990 1000\n");
    recorder_expect(&r, TORN_ANSWER, "");
    r.mono_ms += QR_ROWS_TORN_PACE_MS - 1;
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 16\nEND\n", "");
    r.mono_ms += 1;
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 18\nEND\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 990 1000\n");
    recorder_expect(&r, "\n", "");
    recorder_expect(&r,
                    "RBEGIN t.c\nRBEGIN '' 1001 1002 1003\nRSET a 8 ''\n"
                    "RBEGIN '' 1002 1003 1003\nRSET a 9 ''\nRDSTATE a 1003500000 18 9 9\n"
                    "RSSTATE 1003500000 1003000000\nREND 1 990 1003 true 990 1003 1003\n",
                    "~row t.c 1002/1 a=8\n~row t.c 1003/1 a=9\n");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 20\nEND\n", "row t.c 1004/1 a=10\n");
    recorder_close(&r);
}

static void gives_up_on_a_child_that_only_gives_torn_answers(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    assert_int_equal(
        qr_stream_feed(r.stream, qr_slice_str(CHART_V1 "CHART_DEFINITION_END 990 1000 1001\n")), 0);
    struct qr_stream_stats stats = {.charts_replicating = 1};
    unsigned n = 0;
    for (; stats.charts_replicating > 0; n++) {
        assert_true(n <= QR_ROWS_TORN_MAX);
        qr_buf_clear(&r.log);
        r.mono_ms += QR_ROWS_TORN_PACE_MS;
        assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(TORN_ANSWER)), 0);
        qr_stream_get_stats(r.stream, &stats);
    }
    assert_int_equal(n, QR_ROWS_TORN_MAX + 1);
    recorder_close(&r);
}

#define CHART_OTHER                                                                                \
    "CHART t.other\nDIMENSION a\nCHART_DEFINITION_END 0 0 1000\n"                                  \
    "RBEGIN t.other\nRBEGIN '' 999 1000 1000\nRSET a 1 ''\n"                                       \
    "RDSTATE a 1000100000 1 1 1\nRSSTATE 1000100000 1000000000\nREND 1 1 1 true 1 1 1000\n"

/* The sample at 1001.1 s came between RSSTATE and the stream: it was not sent. */
static void replays_again_a_chart_whose_clock_slipped(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(CHART_OTHER)), 0);
    r.real_us = 1001150000;
    qr_buf_clear(&r.log);
    recorder_expect(&r, "BEGIN t.other 1000000\nSET a 2\nEND\n", "row t.other 1001/1 a=2\n");
    recorder_expect(&r,
                    CHART_V1 "CHART_DEFINITION_END 990 1000 1001\nRBEGIN t.c\n"
                             "RBEGIN '' 999 1000 1000\nRSET a 8 ''\nRDSTATE a 1000100000 16 8 8\n"
                             "RSSTATE 1000100000 1000000000\nREND 1 990 1000 true 990 1000 1000\n",
                    "define t.c every=1 dims=a,i\n> REPLAY_CHART \"t.c\" \"true\" 990 1000\n"
                    "~row t.c 1000/1 a=8\n");
    r.real_us = 1002150000;
    recorder_expect(&r, "BEGIN t.other 1000000\nSET a 3\nEND\n", "row t.other 1002/1 a=3\n");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 20\nEND\n",
                    "> REPLAY_CHART \"t.c\" \"true\" 1000 1000\n");
    recorder_expect(&r,
                    "RBEGIN t.c\nRBEGIN '' 1000 1001 1002\nRSET a 9 ''\n"
                    "RBEGIN '' 1001 1002 1002\nRSET a 10 ''\nRDSTATE a 1002100000 20 10 10\n"
                    "RSSTATE 1002100000 1002000000\nREND 1 990 1002 true 1000 1002 1002\n",
                    "~row t.c 1001/1 a=9\n~row t.c 1002/1 a=10\n");
    r.real_us = 1003150000;
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 22\nEND\n", "row t.c 1003/1 a=11\n");
    /* Late again (a slow link): once is enough. */
    r.real_us = 1007150000;
    recorder_expect(&r, "BEGIN t.c 1000000\nSET a 24\nEND\n", "row t.c 1004/1 a=12\n");
    recorder_close(&r);
}

static void skips_replayed_rows_with_impossible_times(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    r.resumes = false;
    recorder_expect(&r,
                    CHART_V1 "CHART_DEFINITION_END 990 1000 1000\nRBEGIN t.c\n"
                             "RBEGIN '' 0 0 1000\nRSET a 1 ''\nRBEGIN '' 10 10 1000\nRSET a 1 ''\n"
                             "RBEGIN '' 1001 1002 1000\nRSET a 1 ''\n"
                             "RBEGIN '' 1000 1001 1000\nRSET a 1 ''\nREND 1 1 1 false 1 1 1\n",
                    "define t.c every=1 dims=a,i\n~row t.c 1001/1 a=1\n");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.rows_refused, 3);
    recorder_close(&r);
}

static void refuses_rows_that_do_not_fit(void **state)
{
    static const struct {
        const char *text;
        int err;
        const char *part;
    } cases[] = {
        {"BEGIN t.c\nSET nobody = 1\n", QR_E_UNKNOWN,
         "a value of a dimension that was not defined, chart \"t.c\", line 5"},
        {"BEGIN t.c\nSET a = 1.5\n", QR_E_MALFORMED, "SET with a value that is not an integer"},
        {"BEGIN t.c -1\n", QR_E_MALFORMED, "BEGIN with a duration"},
        {"BEGIN t.c\nBEGIN t.c\n", QR_E_MALFORMED, "begins inside another one"},
        {"BEGIN t.c\nCHART t.d\n", QR_E_MALFORMED, "CHART inside"},
        {"BEGIN t.c\nDIMENSION d\n", QR_E_MALFORMED, "DIMENSION without CHART"},
        {"BEGIN t.c\nEND2\n", QR_E_MALFORMED, "END2 without BEGIN2"},
        {"BEGIN2 t.c 1 soon #\n", QR_E_MALFORMED, "BEGIN2 with an end time"},
        {"BEGIN2 t.c 1 99999999999999999999 #\n", QR_E_MALFORMED, "BEGIN2 with an end time"},
        {"BEGIN2 t.c 1 10 #\nSET2 a 1 x A\n", QR_E_MALFORMED, "SET2 with a value"},
        {"BEGIN2 t.c 1 10 #\nSET2 a 1\n", QR_E_MALFORMED, "SET2 needs 4 words"},
        {"RBEGIN t.c\nRSET a 1 ''\n", QR_E_MALFORMED, "RSET outside of a replayed row"},
        {"RBEGIN t.c\nRBEGIN '' 1 x 1\n", QR_E_MALFORMED, "RBEGIN with a time"},
        {"RBEGIN t.c\nRBEGIN '' 1 2 9\nRSET a x ''\n", QR_E_MALFORMED, "RSET with a value"},
        {"RBEGIN t.c\nRSSTATE 1 x\n", QR_E_MALFORMED, "RSSTATE with a time"},
        {"RBEGIN t.c\nREND 1 1 1 true 1 1\n", QR_E_MALFORMED, "REND needs 7 words"},
        {"RBEGIN t.c\nRBEGIN '' 1 2 9\nEND\n", QR_E_MALFORMED, "END without BEGIN"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct recorder r;
        recorder_open(&r, CAPS_V5);
        assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(CHART_V1)), 0);
        recorder_refuses(&r, cases[i].text, cases[i].err, cases[i].part);
        recorder_close(&r);
    }
}

#define N_DIMS 40

/* Many dimensions in an order that changes each round: by guess and by map. */
static void finds_dimensions_in_any_order(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5 | QR_CAP_INTERPOLATED);
    struct qr_buf text = {0}, events = {0};
    qr_buf_add_str(&text, "CHART t.c\n");
    qr_buf_add_str(&events, "define t.c every=1 dims=");
    for (int i = 0; i < N_DIMS; i++) {
        qr_buf_printf(&text, "DIMENSION d%d\n", i);
        qr_buf_printf(&events, "%sd%d", i > 0 ? "," : "", i);
    }
    qr_buf_add_str(&events, "\n");
    for (int round = 0; round < N_DIMS + 1; round++) {
        int value_of[N_DIMS];
        for (int dim = 0; dim < N_DIMS; dim++)
            value_of[dim] = -1;
        qr_buf_printf(&text, "BEGIN2 t.c 1 %d #\n", 1000 + round);
        for (int i = 0; i < N_DIMS; i++) {
            int dim = (i * (2 * (round % 7) + 1) * 3 + round) % N_DIMS; /* a permutation, or not */
            qr_buf_printf(&text, "SET2 d%d 1 %d A\n", dim, i);
            value_of[dim] = i;
        }
        qr_buf_add_str(&text, "END2\n");
        qr_buf_printf(&events, "row t.c %d/1", 1000 + round);
        for (int dim = 0; dim < N_DIMS; dim++)
            if (value_of[dim] >= 0)
                qr_buf_printf(&events, " d%d=%d", dim, value_of[dim]);
        qr_buf_add_str(&events, "\n");
    }
    qr_buf_add_u8(&text, 0);
    qr_buf_add_u8(&events, 0);
    recorder_expect(&r, text.base, events.base);
    qr_buf_release(&text);
    qr_buf_release(&events);
    recorder_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_values_of_a_v2_sender),
        cmocka_unit_test(gives_points_of_a_replicating_v1_sender),
        cmocka_unit_test(asks_again_for_the_rest_of_a_torn_answer),
        cmocka_unit_test(takes_a_truncated_answer_the_second_time),
        cmocka_unit_test(asks_less_often_when_answers_stay_torn),
        cmocka_unit_test(gives_up_on_a_child_that_only_gives_torn_answers),
        cmocka_unit_test(replays_again_a_chart_whose_clock_slipped),
        cmocka_unit_test(skips_replayed_rows_with_impossible_times),
        cmocka_unit_test(refuses_rows_that_do_not_fit),
        cmocka_unit_test(finds_dimensions_in_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
