#include "node/relay.h"

#include <math.h>
#include <unistd.h>

#include "base/error.h"
#include "node/function_frame.h"
#include "node/tests/upstream_fixture.h"
#include "proto/request.h"
#include "proto/stream.h"

#define SPAN_S 1200

/* The far side: a member's engine, and what it has of each chart. */
struct far {
    struct qr_stream *stream;
    struct qr_buf lines; /* To the relay. */
    struct far_chart {
        char id[32];
        uint8_t n[SPAN_S]; /* How often second T0 + i came. */
        double first[SPAN_S], last[SPAN_S];
        uint32_t n_dims, n_definitions;
        int64_t watermark_s;
    } charts[3];
    unsigned n_charts;
    unsigned n_labels;
    struct qr_buf functions; /* Names, in the order they came. */
};

static struct fixture fixture;
static struct qr_relay *relay;
static struct far far;
static int64_t now_ms;

static int64_t clock_real(const struct qr_clock *clock)
{
    (void)clock;
    return now_ms * 1000;
}

static uint64_t clock_mono(const struct qr_clock *clock)
{
    (void)clock;
    return (uint64_t)now_ms;
}

static const struct qr_clock clock_false = {.mono_ms = clock_mono, .real_us = clock_real};

static struct far_chart *far_chart(struct qr_slice id)
{
    for (unsigned i = 0; i < far.n_charts; i++)
        if (qr_slice_is(id, far.charts[i].id))
            return &far.charts[i];
    assert_true(far.n_charts < 3);
    struct far_chart *made = &far.charts[far.n_charts++];
    snprintf(made->id, sizeof made->id, "%.*s", (int)id.len, id.base);
    return made;
}

/* Resumes as a member does: from its watermark, and the holes behind it. */
static void on_define(void *data, struct qr_stream_chart *chart)
{
    (void)data;
    struct far_chart *c = far_chart(chart->id);
    struct qr_stream_hole holes[8];
    uint32_t n = 0;
    int64_t first_s = chart->first_s > T0 ? chart->first_s : T0;
    for (int64_t t = first_s; t <= c->watermark_s; t++) {
        if (c->n[t - T0] != 0)
            continue;
        if (n > 0 && holes[n - 1].before_s == t - 1)
            holes[n - 1].before_s = t;
        else if (n < 8)
            holes[n++] = (struct qr_stream_hole){t - 1, t};
    }
    c->n_dims = chart->n_dims;
    c->n_definitions++;
    const struct qr_stream_resume resume = {c->watermark_s, holes, n};
    assert_int_equal(qr_stream_resume(far.stream, chart, &resume), 0);
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    (void)data;
    struct far_chart *c = far_chart(chart->id);
    assert_in_range(row->end_s, T0, T0 + SPAN_S - 1);
    int64_t i = row->end_s - T0;
    c->n[i]++;
    c->first[i] = row->values[0];
    c->last[i] = row->values[row->n - 1];
    if (row->end_s > c->watermark_s)
        c->watermark_s = row->end_s;
}

static void on_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    (void)data;
    far.n_labels = n;
    assert_true(qr_slice_is(labels[0].value, "test"));
}

static void on_function(void *data, struct qr_stream_chart *chart,
                        const struct qr_function *function)
{
    (void)data;
    qr_buf_printf(&far.functions, "%.*s:%u@%.*s ", (int)function->name.len, function->name.base,
                  function->timeout_s, chart != NULL ? (int)chart->id.len : 1,
                  chart != NULL ? chart->id.base : "-");
}

static void on_send(void *data, struct qr_slice line)
{
    (void)data;
    qr_buf_add(&far.lines, line.base, line.len);
}

/* ---- what a test does ---- */

static void connect_far(uint32_t caps)
{
    const struct qr_sender_handler none = {0};
    const struct qr_stream_handler handler = {.define = on_define,
                                              .row = on_row,
                                              .labels = on_labels,
                                              .function = on_function,
                                              .send = on_send};
    const struct qr_stream_config config = {.caps = caps,
                                            .update_every = 1,
                                            .replication = true,
                                            .replication_period_s = 86400,
                                            .replication_step_s = 600,
                                            .machine_guid = &fixture_guid,
                                            .clock = &clock_false};
    assert_int_equal(qr_stream_new(&far.stream, &config, &handler), 0);
    assert_int_equal(qr_relay_connect(relay, caps, &none), 0);
}

static void disconnect_far(void)
{
    qr_relay_disconnect(relay);
    qr_stream_free(far.stream);
    far.stream = NULL;
    qr_buf_clear(&far.lines);
}

/* Until neither has anything to say; at most that many turns. */
static unsigned pump(size_t room, unsigned most)
{
    unsigned n = 0;
    struct qr_buf *out = qr_relay_out(relay);
    while (n < most) {
        assert_int_equal(qr_relay_turn(relay, room), 0);
        n++;
        bool said = out->len > 0 || far.lines.len > 0;
        /* A block of lines may go over, and what the sender gathers before it packs. */
        assert_true(out->len < room + 400000);
        assert_int_equal(qr_stream_feed(far.stream, qr_buf_slice(out)), 0);
        qr_buf_clear(out);
        assert_int_equal(qr_relay_feed(relay, qr_buf_slice(&far.lines)), 0);
        qr_buf_clear(&far.lines);
        if (!said && !qr_relay_is_due(relay))
            break;
    }
    return n;
}

/* Every second of [from_s, to_s] is there, once, with its values. */
static void assert_whole(const struct far_chart *c, int64_t from_s, int64_t to_s)
{
    for (int64_t t = from_s; t <= to_s; t++) {
        int64_t i = t - T0;
        if (c->n[i] != 1)
            fail_msg("%s: second %d came %u times", c->id, (int)i, c->n[i]);
        if (fabs(c->first[i] - fixture_value(t, 0)) > 1e-6 ||
            fabs(c->last[i] - fixture_value(t, c->n_dims - 1)) > 1e-6)
            fail_msg("%s: second %d is wrong", c->id, (int)i);
    }
}

static uint32_t far_caps(uint32_t without)
{
    return qr_caps_negotiate(QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS & ~without, QR_CAPS_OURS,
                             &qr_compression_order_default);
}

static void all_that_is_stored_arrives_once(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 100);
    now_ms = (T0 + 100) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    assert_int_equal(far.n_labels, 1);
    assert_whole(&far.charts[0], T0 + 2, T0 + 100);
    for (int64_t t = T0 + 101; t <= T0 + 130; t++) {
        now_ms = t * 1000;
        fixture_put(&fixture, chart, 2, t, t);
        pump(100000, 50);
        assert_int_equal(far.charts[0].watermark_s, t); /* live, at once */
    }
    assert_whole(&far.charts[0], T0 + 2, T0 + 130);
    struct qr_relay_stats stats;
    qr_relay_get_stats(relay, &stats);
    assert_int_equal(stats.rows_live, 30);
    assert_true(stats.complete);
    assert_int_equal(stats.lag_s, 0);
}

static void an_outage_leaves_no_gap_and_shows_as_lag(void **state)
{
    (void)state;
    struct qr_relay_stats stats;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    now_ms = (T0 + 10) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    disconnect_far();
    fixture_put(&fixture, chart, 2, T0 + 11, T0 + 1000);
    now_ms = (T0 + 1000) * 1000;
    assert_true(qr_relay_is_due(relay));
    assert_int_equal(qr_relay_turn(relay, 1), 0);
    qr_relay_get_stats(relay, &stats);
    assert_int_equal(stats.lag_s, 990);
    assert_int_equal(stats.lag_samples, 1980);
    assert_false(stats.complete);
    connect_far(far_caps(0));
    pump(100000, 50);
    assert_whole(&far.charts[0], T0 + 2, T0 + 1000);
    qr_relay_get_stats(relay, &stats);
    assert_int_equal(stats.lag_s, 0);
}

static void rows_that_come_late_are_told_of(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, chart, 2, T0 + 50, T0 + 60);
    now_ms = (T0 + 60) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    assert_whole(&far.charts[0], T0 + 50, T0 + 60);
    /* A member does not ask for a hole again that nobody has; this one is filled later. */
    fixture_put(&fixture, chart, 2, T0 + 11, T0 + 49);
    pump(100000, 50);
    assert_int_equal(far.charts[0].n_definitions, 1); /* the refill may go on */
    now_ms += 3001;
    pump(100000, 50);
    assert_int_equal(far.charts[0].n_definitions, 2);
    fixture_put(&fixture, chart, 2, T0 + 61, T0 + 62);
    pump(100000, 50);
    assert_whole(&far.charts[0], T0 + 2, T0 + 62);
}

static void what_came_late_before_is_told_of_on_the_next_connection(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, chart, 2, T0 + 21, T0 + 30);
    now_ms = (T0 + 30) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    disconnect_far();
    fixture_put(&fixture, chart, 2, T0 + 11, T0 + 20);
    for (unsigned n = 3; n < 5; n++) { /* Once. */
        connect_far(far_caps(0));
        pump(100000, 50);
        now_ms += 3001;
        pump(100000, 50);
        assert_int_equal(far.charts[0].n_definitions, n);
        fixture_put(&fixture, chart, 2, T0 + 28 + n, T0 + 28 + n);
        pump(100000, 50);
        disconnect_far();
    }
    assert_whole(&far.charts[0], T0 + 2, T0 + 32);
}

static void a_chart_that_is_forgotten_is_not_waited_for(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2), n;
    struct qr_buf *out = qr_relay_out(relay);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    now_ms = (T0 + 10) * 1000;
    connect_far(far_caps(0));
    assert_int_equal(qr_relay_turn(relay, 100000), 0);
    assert_int_equal(qr_stream_feed(far.stream, qr_buf_slice(out)), 0);
    qr_buf_clear(out);
    assert_int_equal(qr_relay_feed(relay, qr_buf_slice(&far.lines)), 0);
    qr_buf_clear(&far.lines);
    assert_true(qr_relay_is_due(relay)); /* It has asked. */
    assert_int_equal(qr_store_apply_forget(fixture.store,
                                           &(struct qr_forgotten){fixture.host, chart}, false, &n),
                     0);
    assert_int_equal(qr_relay_turn(relay, 100000), 0);
    assert_false(qr_relay_is_due(relay));
}

/* Who cannot ask is not told of them: a definition would cost it the next row. */
static void late_rows_are_nothing_to_a_parent_that_does_not_ask(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, chart, 2, T0 + 21, T0 + 30);
    now_ms = (T0 + 30) * 1000;
    connect_far(far_caps(QR_CAP_REPLICATION | QR_CAP_INTERPOLATED | QR_CAP_IEEE754));
    pump(100000, 50);
    struct qr_sender_stats before, after;
    qr_sender_get_stats(qr_relay_sender(relay), &before);
    fixture_put(&fixture, chart, 2, T0 + 11, T0 + 20);
    pump(100000, 50);
    now_ms += 3001;
    pump(100000, 50);
    qr_sender_get_stats(qr_relay_sender(relay), &after);
    assert_int_equal(after.bytes_text, before.bytes_text);
}

/* A refill that goes on and on is told of while it does; and all is not sent while it is not. */
static void a_long_refill_is_told_of_before_it_ends(void **state)
{
    (void)state;
    struct qr_relay_stats stats;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, chart, 2, T0 + 201, T0 + 210);
    now_ms = (T0 + 210) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    qr_relay_get_stats(relay, &stats);
    assert_true(stats.complete);
    for (int64_t i = 11; i <= 80; i++) {
        fixture_put(&fixture, chart, 2, T0 + i, T0 + i);
        now_ms += 1000;
        pump(100000, 50);
        qr_relay_get_stats(relay, &stats);
        assert_false(stats.complete);
    }
    assert_int_equal(far.charts[0].n_definitions, 2);
    assert_whole(&far.charts[0], T0 + 2, T0 + 70);
    now_ms += 3001;
    pump(100000, 50);
    assert_int_equal(far.charts[0].n_definitions, 3);
    now_ms += 3001;
    pump(100000, 50);
    qr_relay_get_stats(relay, &stats);
    assert_true(stats.complete);
}

/* It has asked, and before it is answered the chart is defined anew: that answer still comes. */
static void a_request_outlives_a_redefinition(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    struct qr_buf *out = qr_relay_out(relay);
    fixture_put(&fixture, chart, 2, T0 + 11, T0 + 20);
    now_ms = (T0 + 20) * 1000;
    connect_far(far_caps(0));
    assert_int_equal(qr_relay_turn(relay, 100000), 0);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    assert_int_equal(qr_relay_turn(relay, 100000), 0);
    assert_int_equal(qr_stream_feed(far.stream, qr_buf_slice(out)), 0);
    qr_buf_clear(out);
    assert_int_equal(qr_relay_feed(relay, qr_buf_slice(&far.lines)), 0);
    qr_buf_clear(&far.lines);
    now_ms += 3001;
    pump(100000, 50);
    assert_int_equal(far.charts[0].n_definitions, 2);
    assert_whole(&far.charts[0], T0 + 11, T0 + 20);
    fixture_put(&fixture, chart, 2, T0 + 21, T0 + 22);
    pump(100000, 50);
    assert_whole(&far.charts[0], T0 + 11, T0 + 22);
}

static void a_slow_far_side_costs_a_turn_at_a_time(void **state)
{
    (void)state;
    uint32_t a = fixture_chart(&fixture, "t.a", 2), b = fixture_chart(&fixture, "t.b", 3);
    fixture_put(&fixture, a, 2, T0 + 1, T0 + 1100);
    fixture_put(&fixture, b, 3, T0 + 1, T0 + 1100);
    now_ms = (T0 + 1100) * 1000;
    connect_far(far_caps(0));
    unsigned n = pump(1000, 5000);
    assert_in_range(n, 4, 4999);
    assert_whole(far_chart(qr_slice_str("t.a")), T0 + 2, T0 + 1100);
    assert_whole(far_chart(qr_slice_str("t.b")), T0 + 2, T0 + 1100);
}

static void a_new_dimension_and_a_filter(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    uint32_t hidden = fixture_chart(&fixture, "hidden.b", 2);
    fixture_put(&fixture, hidden, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 10);
    now_ms = (T0 + 10) * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    assert_int_equal(far.n_charts, 1); /* "!hidden* *" */
    assert_int_equal(far.charts[0].n_dims, 2);
    fixture_chart(&fixture, "t.a", 3);
    fixture_put(&fixture, chart, 3, T0 + 11, T0 + 12);
    pump(100000, 50);
    assert_int_equal(far.charts[0].n_dims, 3);
    fixture_put(&fixture, chart, 3, T0 + 13, T0 + 13);
    pump(100000, 50);
    assert_whole(&far.charts[0], T0 + 11, T0 + 13);
}

/* As 1.37: the parent computes what it stores from collected integers. */
static void a_parent_of_v1_gets_the_same(void **state)
{
    (void)state;
    uint32_t chart = fixture_chart(&fixture, "t.a", 2);
    fixture_put(&fixture, chart, 2, T0 + 1, T0 + 40);
    now_ms = (T0 + 40) * 1000;
    connect_far(far_caps(QR_CAP_INTERPOLATED | QR_CAP_IEEE754));
    pump(100000, 50);
    for (int64_t t = T0 + 41; t <= T0 + 80; t++) {
        now_ms = t * 1000 + 300;
        fixture_put(&fixture, chart, 2, t, t);
        pump(100000, 50);
    }
    /* Its newest second is stored when the next is collected. */
    assert_whole(&far.charts[0], T0 + 2, T0 + 78);
}

static void charts_of_an_earlier_session_are_not_announced(void **state)
{
    (void)state;
    uint32_t old = fixture_chart(&fixture, "t.old", 2);
    fixture_put(&fixture, old, 2, T0 - 100, T0 - 90);
    now_ms = T0 * 1000;
    connect_far(far_caps(0));
    pump(100000, 50);
    assert_int_equal(far.n_charts, 0);
    uint32_t n;
    assert_int_equal(
        qr_store_apply_forget(fixture.store, &(struct qr_forgotten){fixture.host, 0}, false, &n),
        0);
    assert_int_equal(qr_relay_turn(relay, 1000), QR_E_UNKNOWN);
}

static void offer(const char *const names[], const char *const charts[], unsigned n)
{
    struct qr_buf list = {0};
    for (unsigned i = 0; i < n; i++) {
        const struct qr_function f = {.name = qr_slice_str(names[i]),
                                      .help = qr_slice_str("help"),
                                      .tags = qr_slice_str("top"),
                                      .timeout_s = 5 + i,
                                      .global = charts[i][0] == '\0',
                                      .chart = qr_slice_str(charts[i])};
        qr_function_list_add(&list, &f);
    }
    assert_int_equal(qr_relay_functions(relay, qr_buf_slice(&list)), 0);
    qr_buf_release(&list);
}

static void expect_functions(const char *text)
{
    pump(100000, 50);
    qr_buf_add_u8(&far.functions, 0);
    assert_string_equal(far.functions.base, text);
    qr_buf_clear(&far.functions);
}

/* Those of the host, those of a chart with the chart, and again only what is another. */
static void functions_are_told_on_each_connection_and_when_they_change(void **state)
{
    (void)state;
    const uint32_t caps[] = {far_caps(QR_CAP_DYNCFG),
                             far_caps(QR_CAP_DYNCFG | QR_CAP_INTERPOLATED)};
    uint32_t a = fixture_chart(&fixture, "t.a", 2), b = fixture_chart(&fixture, "t.b", 2);
    fixture_put(&fixture, a, 2, T0 + 1, T0 + 10);
    fixture_put(&fixture, b, 2, T0 + 1, T0 + 10);
    now_ms = (T0 + 10) * 1000;
    offer((const char *const[]){"top", "ps", "config"}, (const char *const[]){"", "t.b", ""}, 3);
    for (unsigned i = 0; i < 2; i++) {
        connect_far(caps[i]);
        expect_functions("top:5@- ps:6@t.b ");
        disconnect_far();
    }
    connect_far(caps[0]);
    expect_functions("top:5@- ps:6@t.b ");
    unsigned n_a = far.charts[0].n_definitions, n_b = far.charts[1].n_definitions;
    expect_functions("");
    offer((const char *const[]){"top", "ps", "logs"}, (const char *const[]){"", "t.b", ""}, 3);
    now_ms += 1000;
    expect_functions("top:5@- logs:7@- ");
    assert_int_equal(far.charts[1].n_definitions, n_b);
    offer((const char *const[]){"top", "ps", "kill"}, (const char *const[]){"", "t.b", "t.a"}, 3);
    now_ms += 1000;
    expect_functions("top:5@- kill:7@t.a ");
    assert_int_equal(far.charts[0].n_definitions, n_a + 1);
    assert_int_equal(far.charts[1].n_definitions, n_b);
    disconnect_far();
    connect_far(far_caps(QR_CAP_FUNCTIONS));
    expect_functions("");
}

static int setup(void **state)
{
    (void)state;
    fixture_open(&fixture);
    now_ms = T0 * 1000;
    const struct qr_relay_config config = {.store = fixture.store,
                                           .clock = &clock_false,
                                           .guid = fixture_guid,
                                           .since_s = T0,
                                           .charts = "!hidden* *"};
    return qr_relay_new(&relay, &config);
}

static int teardown(void **state)
{
    (void)state;
    qr_relay_free(relay);
    qr_stream_free(far.stream);
    qr_buf_release(&far.lines);
    qr_buf_release(&far.functions);
    memset(&far, 0, sizeof far);
    fixture_close(&fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_that_is_stored_arrives_once),
        TEST(an_outage_leaves_no_gap_and_shows_as_lag),
        TEST(rows_that_come_late_are_told_of),
        TEST(what_came_late_before_is_told_of_on_the_next_connection),
        TEST(a_chart_that_is_forgotten_is_not_waited_for),
        TEST(late_rows_are_nothing_to_a_parent_that_does_not_ask),
        TEST(a_long_refill_is_told_of_before_it_ends),
        TEST(a_request_outlives_a_redefinition),
        TEST(a_slow_far_side_costs_a_turn_at_a_time),
        TEST(a_new_dimension_and_a_filter),
        TEST(a_parent_of_v1_gets_the_same),
        TEST(charts_of_an_earlier_session_are_not_announced),
        TEST(functions_are_told_on_each_connection_and_when_they_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
