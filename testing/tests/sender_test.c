#include "testing/sender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/rng.h"
#include "proto/caps.h"
#include "proto/number.h"
#include "proto/stream.h"
#include "proto/words.h"
#include "storage/value.h"
#include "testing/cmocka.h"
#include "testing/corpus.h"

#define T0 INT64_C(1700000005)

static const struct qr_model model = {7, 1, 8, 8, 1, true};

struct said {
    struct qr_buf text;
    unsigned n_blocks;
};

static void on_commit(void *data, struct qr_slice text)
{
    struct said *said = data;
    said->n_blocks++;
    qr_buf_add(&said->text, text.base, text.len);
    assert_int_equal(text.base[text.len - 1], '\n');
}

static struct qr_model_sender *make(struct said *said, struct qr_model_sender_config config)
{
    struct qr_model_sender *sender;
    memset(said, 0, sizeof *said);
    if (config.model == NULL)
        config.model = &model;
    config.data = said;
    config.commit = on_commit;
    assert_int_equal(qr_model_sender_new(&sender, &config), 0);
    for (int64_t t = T0; t < T0 + 60; t++)
        qr_model_sender_collect(sender, t);
    assert_int_equal(said->n_blocks, 0);
    return sender;
}

static void drop(struct qr_model_sender *sender, struct said *said)
{
    qr_model_sender_free(sender);
    qr_buf_release(&said->text);
}

static unsigned count(const struct said *said, const char *start)
{
    unsigned n = 0;
    const char *p = said->text.base, *end = p + said->text.len;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        n += strncmp(p, start, strlen(start)) == 0;
        if (newline == NULL)
            break; /* The NUL of ask(). */
        p = newline + 1;
    }
    return n;
}

static void ask(struct qr_model_sender *sender, struct said *said, const char *line)
{
    qr_buf_clear(&said->text);
    qr_model_sender_command(sender, qr_slice_str(line));
    qr_buf_add(&said->text, "", 1);
}

static const char *last_line(const struct said *said)
{
    const char *rend = strstr(said->text.base, "REND ");
    return rend != NULL ? rend : "";
}

#define CAPS (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM | QR_CAP_CLABELS | QR_CAP_REPLICATION)

static void is_silent_until_it_is_asked(void **state)
{
    (void)state;
    struct said said;
    struct qr_model_sender *sender = make(&said, (struct qr_model_sender_config){0});
    qr_model_sender_connect(sender, CAPS);
    assert_int_equal(count(&said, "CLAIMED_ID "), 1);
    assert_int_equal(count(&said, "OVERWRITE labels"), 1);
    qr_buf_clear(&said.text);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_model_sender_collect(sender, t);
    assert_int_equal(count(&said, "CHART "), model.n_charts);
    assert_int_equal(count(&said, "CHART_DEFINITION_END "), model.n_charts);
    assert_int_equal(count(&said, "DIMENSION "), model.n_charts * model.n_dims);
    assert_int_equal(count(&said, "BEGIN "), 0);
    assert_int_equal(qr_model_sender_stats(sender)->n_replicating, model.n_charts);

    ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"true\" 1700000070 1700000071");
    assert_int_equal(count(&said, "RBEGIN ''"), 14); /* To the end, whatever `before` was. */
    assert_int_equal(count(&said, "RSSTATE "), 1);
    qr_buf_clear(&said.text);
    qr_model_sender_collect(sender, T0 + 80);
    assert_int_equal(count(&said, "BEGIN "), 1);
    assert_int_equal(count(&said, "END"), 1);
    drop(sender, &said);
}

static void answers_by_the_rules_of_137(void **state)
{
    (void)state;
    struct said said;
    struct qr_model_sender *sender = make(&said, (struct qr_model_sender_config){.truncate = true});
    qr_model_sender_connect(sender, CAPS);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_model_sender_collect(sender, t);
    ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"false\" 1700000010 1700000020");
    assert_int_equal(count(&said, "RBEGIN ''"), 10);
    assert_int_equal(count(&said, "RDSTATE"), 0);
    assert_string_equal(last_line(&said),
                        "REND 1 1700000005 1700000084 false 1700000010 1700000020 1700000084\n");
    /* A `before` at the end enables streaming without being asked to. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"false\" 1700000080 1700000090");
    assert_string_equal(last_line(&said),
                        "REND 1 1700000005 1700000084 true 1700000080 1700000084 1700000084\n");
    ask(sender, &said, "REPLAY_CHART \"load.chart_00001\" \"true\" 0 0");
    assert_int_equal(count(&said, "RBEGIN ''"), 0);
    assert_int_equal(qr_model_sender_stats(sender)->empty_requests, 1);
    /* Chart 2 has empty seconds: the answer ends there, and REND does not tell. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00002\" \"false\" 1700000010 1700000060");
    assert_true(count(&said, "RBEGIN ''") < 13);
    assert_non_null(strstr(last_line(&said), " false 1700000010 1700000060 "));
    /* Slow charts have a grid of their own. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00007\" \"false\" 1700000012 1700000040");
    assert_int_equal(qr_model_sender_stats(sender)->off_grid_requests, 1);
    assert_int_equal(count(&said, "RBEGIN ''"), 6);
    ask(sender, &said, "DANCE");
    ask(sender, &said, "REPLAY_CHART \"load.chart_99999\" \"true\" 1 2");
    assert_int_equal(qr_model_sender_stats(sender)->unknown_commands, 2);
    drop(sender, &said);
}

static void answers_by_the_rules_of_29(void **state)
{
    (void)state;
    struct said said;
    struct qr_model_sender *sender = make(&said, (struct qr_model_sender_config){.rules_29 = true});
    qr_model_sender_connect(sender, CAPS | QR_CAP_INTERPOLATED);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_model_sender_collect(sender, t);
    /* So near to its clock it sends everything and streams. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00002\" \"false\" 1700000010 1700000020");
    assert_int_equal(count(&said, "RBEGIN ''"), 74);
    assert_int_equal(count(&said, "RSET \"dim_0\" NAN"), 0);
    assert_non_null(strstr(last_line(&said), " true  1700000010 1700000084 "));
    drop(sender, &said);
}

static const struct {
    enum qr_model_lie lie;
    const char *defined; /* Of its charts, of T0 .. T0 + 59, in the second after. */
    unsigned n_points;   /* Answered to "true", from T0 + 25 on, a second later. */
    const char *end;
} lies[] = {
    {QR_MODEL_TRUTH, "1700000005 1700000064 1700000065", 35,
     " 1700000005 1700000065 true 1700000030 1700000065 "},
    {QR_MODEL_FIRST_LATE, "1700000054 1700000064 1700000065", 10,
     " 1700000055 1700000065 true 1700000055 1700000065 "},
    {QR_MODEL_LAST_BEHIND, "1700000005 1700000054 1700000065", 25,
     " 1700000005 1700000055 true 1700000030 1700000055 "},
    {QR_MODEL_NO_TIMES, "0 0 1700000065", 0, " 0 0 true 0 0 "},
    {QR_MODEL_FIRST_EARLY, "1699999995 1700000064 1700000065", 35,
     " 1699999995 1700000065 true 1700000030 1700000065 "},
    {QR_MODEL_LAST_AHEAD, "1700000005 1700000074 1700000065", 35,
     " 1700000005 1700000075 true 1700000030 1700000075 "},
    {QR_MODEL_SWAPPED, "1700000064 1700000005 1700000065", 35,
     " 1700000065 1700000005 true 1700000030 1700000065 "},
};

static void lies_about_its_times_until_it_is_told_not_to(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(lies); i++) {
        struct said said;
        char defined[128];
        struct qr_model_sender *sender = make(
            &said,
            (struct qr_model_sender_config){.rules_29 = false, .lie = lies[i].lie, .by_s = 10});
        qr_model_sender_connect(sender, CAPS);
        qr_model_sender_collect(sender, T0 + 60);
        qr_buf_add(&said.text, "", 1);
        snprintf(defined, sizeof defined, "CHART_DEFINITION_END %s\n", lies[i].defined);
        assert_non_null(strstr(said.text.base, defined));
        ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"true\" 1700000030 1700000064");
        assert_int_equal(count(&said, "RBEGIN ''"), lies[i].n_points);
        assert_non_null(strstr(last_line(&said), lies[i].end));
        assert_int_equal(qr_model_sender_stats(sender)->n_live, 1);

        qr_buf_clear(&said.text);
        qr_model_sender_lie(sender, QR_MODEL_TRUTH, 0);
        for (int64_t t = T0 + 61; t <= T0 + 65; t++)
            qr_model_sender_collect(sender, t);
        qr_buf_add(&said.text, "", 1);
        assert_int_equal(count(&said, "CHART "), model.n_charts);
        assert_non_null(
            strstr(said.text.base, "CHART_DEFINITION_END 1700000005 1700000065 1700000066\n"));
        assert_int_equal(qr_model_sender_stats(sender)->n_live, 0);
        assert_int_equal(qr_model_sender_stats(sender)->n_replicating, model.n_charts);
        drop(sender, &said);
    }
}

/* BEGIN2 and SET2 read back by our own number parser. */
static void says_stored_values_as_v2(void **state)
{
    (void)state;
    struct said said;
    struct qr_model_sender *sender = make(&said, (struct qr_model_sender_config){.rules_29 = true});
    qr_model_sender_connect(sender, CAPS | QR_CAP_INTERPOLATED | QR_CAP_IEEE754);
    for (int64_t t = T0 + 60; t < T0 + 75; t++)
        qr_model_sender_collect(sender, t);
    for (uint32_t chart = 0; chart < model.n_charts; chart++) {
        char line[128];
        snprintf(line, sizeof line, "REPLAY_CHART \"load.chart_%05u\" \"true\" %lld %lld", chart,
                 (long long)(T0 + 50), (long long)(T0 + 60));
        ask(sender, &said, line);
    }
    qr_buf_clear(&said.text);
    for (int64_t t = T0 + 75; t < T0 + 105; t++)
        qr_model_sender_collect(sender, t);

    unsigned chart = 0, n = 0;
    int64_t end_s = 0;
    const char *p = said.text.base, *end = p + said.text.len;
    for (const char *newline; p < end; p = newline + 1) {
        struct qr_words words;
        newline = memchr(p, '\n', (size_t)(end - p));
        assert_int_equal(qr_words_split(&words, qr_slice_of(p, (size_t)(newline - p))), 0);
        if (qr_slice_is(qr_words_get(&words, 0), "BEGIN2")) {
            chart = (unsigned)strtoul(qr_words_get(&words, 1).base + 11, NULL, 10);
            assert_int_equal(qr_number_int(qr_words_get(&words, 3), &end_s), 0);
        } else if (qr_slice_is(qr_words_get(&words, 0), "SET2")) {
            unsigned dim = (unsigned)strtoul(qr_words_get(&words, 1).base + 4, NULL, 10);
            struct qr_slice word = qr_words_get(&words, 3);
            double value, expected;
            if (qr_slice_is(word, "#"))
                word = qr_words_get(&words, 2);
            assert_int_equal(qr_number_double(word, &value), 0);
            assert_true(qr_model_value(&model, 0, chart, dim, end_s, &expected));
            assert_true(fabs(value - expected) < 1e-12 * fmax(1, fabs(expected)));
            n++;
        }
    }
    assert_int_equal(n, qr_model_sender_stats(sender)->samples_live);
    assert_true(n > 1000);
    drop(sender, &said);
}

/* ---- the sender against our own stream: two programs written from one protocol ---- */

#define RUN_S 240

struct session {
    uint32_t caps;
    bool rules_29, truncate;
    uint32_t late_every;
};

/* Printed if it fails. */
static const struct session *running;
static uint64_t running_seed;

struct store {
    int64_t last_s[8]; /* Newest row of each chart. */
    double value[8][8][RUN_S];
    bool present[8][8][RUN_S], row[8][RUN_S], gap[8][RUN_S];
    char lines[65536]; /* What the stream wants to say to the child. */
    size_t n_lines;
    struct qr_stream *stream;
};

static unsigned number_of(struct qr_slice id, size_t prefix)
{
    unsigned n = 0;
    for (size_t i = prefix; i < id.len; i++)
        n = n * 10 + (unsigned)(id.base[i] - '0');
    return n;
}

static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct store *store = data;
    unsigned c = number_of(chart->id, 11);
    int64_t ue = chart->update_every, last = store->last_s[c];
    struct qr_stream_hole holes[RUN_S];
    struct qr_stream_resume resume = {.watermark_s = last, .holes = holes};
    bool open = false;
    for (int64_t t = qr_model_collected_from(&model, c, T0) + ue; t < last; t += ue) {
        bool known = store->row[c][t - T0] || store->gap[c][t - T0];
        if (!known && !open)
            holes[resume.n_holes++] = (struct qr_stream_hole){t - ue, t};
        else if (!known)
            holes[resume.n_holes - 1].before_s = t;
        open = !known;
    }
    assert_int_equal(qr_stream_resume(store->stream, chart, &resume), 0);
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct store *store = data;
    unsigned c = number_of(chart->id, 11);
    int64_t at = row->end_s - T0;
    assert_in_range(at, 0, RUN_S - 1);
    store->row[c][at] = true;
    if (row->end_s > store->last_s[c])
        store->last_s[c] = row->end_s;
    for (uint32_t i = 0; i < row->n; i++) {
        unsigned dim = number_of(chart->dims[i].id, 4);
        double expected;
        bool has = qr_model_value(&model, 0, c, dim, row->end_s, &expected);
        if (row->flags[i] & QR_STREAM_EMPTY) {
            if (has && !store->present[c][dim][at])
                fail_msg("chart %u dim %u second %lld (%s): empty instead of %g", c, dim,
                         (long long)at, row->replayed ? "replayed" : "live", expected);
            continue;
        }
        if (!has || fabs(row->values[i] - expected) > fmax(2e-7, 1e-6 * fabs(expected)))
            fail_msg("chart %u dim %u second %lld (%s): %g instead of %g", c, dim, (long long)at,
                     row->replayed ? "replayed" : "live", row->values[i], has ? expected : NAN);
        store->present[c][dim][at] = true;
    }
}

static void on_gap(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                   enum qr_gap_reason reason)
{
    struct store *store = data;
    for (int64_t t = after_s + 1; t <= before_s; t++) {
        if (t >= T0)
            store->gap[number_of(chart->id, 11)][t - T0] = true;
        for (uint32_t dim = 0; dim < model.n_dims; dim++) {
            double value;
            bool has = qr_model_value(&model, 0, number_of(chart->id, 11), dim, t, &value);
            if (has && t > T0)
                fail_msg("second %lld of %.*s is given up although the child has it",
                         (long long)(t - T0), (int)chart->id.len, chart->id.base);
        }
    }
}

static void on_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    assert_int_equal(n, 4);
}

static void on_claimed(void *data, const struct qr_guid *claim_id)
{
    assert_null(claim_id);
}

static void on_variable(void *data, struct qr_stream_chart *chart, struct qr_slice name,
                        double value)
{
}

static void on_send(void *data, struct qr_slice line)
{
    struct store *store = data;
    assert_true(store->n_lines + line.len < sizeof store->lines);
    memcpy(store->lines + store->n_lines, line.base, line.len);
    store->n_lines += line.len;
}

/* The child's blocks go to the stream, cut into pieces. */
static void feed(struct store *store, struct said *said, struct qr_rng *rng)
{
    size_t at = 0;
    while (at < said->text.len) {
        size_t n = 1 + (size_t)qr_rng_below(rng, 700);
        n = n < said->text.len - at ? n : said->text.len - at;
        if (qr_stream_feed(store->stream, qr_slice_of(said->text.base + at, n)) != 0)
            fail_msg("%s", qr_stream_error_text(store->stream));
        at += n;
    }
    qr_buf_clear(&said->text);
}

static void deliver(struct store *store, struct qr_model_sender *sender)
{
    static char lines[sizeof store->lines];
    size_t n = store->n_lines;
    memcpy(lines, store->lines, n);
    store->n_lines = 0;
    for (char *p = lines, *newline; p < lines + n; p = newline + 1) {
        newline = memchr(p, '\n', (size_t)(lines + n - p));
        assert_non_null(newline);
        qr_model_sender_command(sender, qr_slice_of(p, (size_t)(newline - p)));
    }
}

static void connect_again(struct store *store, struct qr_model_sender *sender,
                          const struct session *session)
{
    struct qr_stream_handler handler = {.data = store,
                                        .define = on_define,
                                        .row = on_row,
                                        .gap = on_gap,
                                        .labels = on_labels,
                                        .claimed = on_claimed,
                                        .variable = on_variable,
                                        .send = on_send};
    struct qr_stream_config config = {.caps = session->caps,
                                      .update_every = 1,
                                      .replication = true,
                                      .replication_period_s = 86400,
                                      .replication_step_s = 40,
                                      .heal = !session->rules_29,
                                      .clock = &qr_clock_system};
    qr_stream_free(store->stream);
    store->n_lines = 0;
    assert_int_equal(qr_stream_new(&store->stream, &config, &handler), 0);
    qr_model_sender_connect(sender, session->caps);
}

static void check_all_is_there(const struct store *store, int64_t until)
{
    for (uint32_t chart = 0; chart < model.n_charts; chart++) {
        int64_t first = qr_model_collected_from(&model, chart, T0);
        for (int64_t t = first + 1; t < until; t++)
            for (uint32_t dim = 0; dim < model.n_dims; dim++) {
                double value;
                if (qr_model_value(&model, 0, chart, dim, t, &value) &&
                    !store->present[chart][dim][t - T0])
                    fail_msg("chart %u dim %u second %lld is missing", chart, dim,
                             (long long)(t - T0));
            }
    }
}

/* Connections of random length, outages between them, requests that take a while to arrive. */
static void run_session(const struct session *session, uint64_t seed)
{
    struct said said;
    struct qr_rng rng;
    struct store *store = calloc(1, sizeof *store);
    assert_non_null(store);
    running = session;
    running_seed = seed;
    struct qr_model_sender *sender =
        make(&said, (struct qr_model_sender_config){.rules_29 = session->rules_29,
                                                    .truncate = session->truncate,
                                                    .late_every = session->late_every});
    qr_rng_seed(&rng, seed);
    int64_t t = T0 + 60;
    while (t < T0 + RUN_S) {
        connect_again(store, sender, session);
        bool last = t > T0 + RUN_S - 80;
        int64_t until = last ? T0 + RUN_S : t + 1 + (int64_t)qr_rng_below(&rng, 50);
        for (; t < until && t < T0 + RUN_S; t++) {
            qr_model_sender_collect(sender, t);
            feed(store, &said, &rng);
            for (int i = 0; i < 60 && (last || qr_rng_below(&rng, 3) > 0); i++) {
                deliver(store, sender);
                feed(store, &said, &rng);
            }
        }
        qr_model_sender_disconnect(sender);
        int64_t back = t + (int64_t)qr_rng_below(&rng, 25);
        for (; !last && t < back; t++)
            qr_model_sender_collect(sender, t);
    }
    check_all_is_there(store, T0 + RUN_S - 16);
    assert_int_equal(qr_model_sender_stats(sender)->unknown_commands, 0);
    assert_int_equal(qr_model_sender_stats(sender)->empty_requests, 0);
    assert_int_equal(qr_model_sender_stats(sender)->off_grid_requests, 0);
    qr_stream_free(store->stream);
    free(store);
    drop(sender, &said);
}

static int name_session(void **state)
{
    if (running != NULL)
        print_message("last session: caps=%x rules_29=%d truncate=%d late_every=%u seed=%llu\n",
                      running->caps, running->rules_29, running->truncate, running->late_every,
                      (unsigned long long)running_seed);
    return 0;
}

static void our_stream_takes_every_sample_once_and_right(void **state)
{
    (void)state;
    static const struct session sessions[] = {
        {.caps = CAPS},
        {.caps = CAPS, .truncate = true},
        {.caps = CAPS, .truncate = true, .late_every = 3},
        {.caps = CAPS | QR_CAP_INTERPOLATED, .rules_29 = true},
        {.caps = CAPS | QR_CAP_INTERPOLATED | QR_CAP_IEEE754, .rules_29 = true},
    };
    for (size_t i = 0; i < QR_COUNT(sessions); i++)
        for (uint64_t seed = 1; seed <= 20; seed++)
            run_session(&sessions[i], seed);
}

/* A recorded series may be empty all the time: a dimension that was never collected. */
static void says_of_a_dimension_that_was_never_set_that_it_was_not(void **state)
{
    (void)state;
    int8_t exponents[2] = {0, 0};
    uint32_t values[8];
    for (uint32_t i = 0; i < 8; i++)
        values[i] = i < 4 ? QR_VALUE_EMPTY : 5;
    const struct qr_corpus corpus = {
        .n_series = 2, .n_rows = 4, .exponents = exponents, .values = values};
    const struct qr_model recorded = {7, 1, 1, 2, 1, false, &corpus};
    struct said said;
    struct qr_model_sender *sender =
        make(&said, (struct qr_model_sender_config){.model = &recorded});
    qr_model_sender_connect(sender, CAPS);
    qr_model_sender_collect(sender, T0 + 60);
    ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"true\" 1700000060 1700000064");
    assert_non_null(strstr(said.text.base, "RDSTATE \"dim_0\" 0 0 0.0000000 0.0000000\n"));
    assert_null(strstr(said.text.base, "RDSTATE \"dim_1\" 0 "));
    assert_int_equal(qr_model_sender_stats(sender)->n_live, 1);
    drop(sender, &said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_silent_until_it_is_asked),
        cmocka_unit_test(answers_by_the_rules_of_137),
        cmocka_unit_test(lies_about_its_times_until_it_is_told_not_to),
        cmocka_unit_test(answers_by_the_rules_of_29),
        cmocka_unit_test(says_stored_values_as_v2),
        cmocka_unit_test(says_of_a_dimension_that_was_never_set_that_it_was_not),
        cmocka_unit_test_teardown(our_stream_takes_every_sample_once_and_right, name_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
