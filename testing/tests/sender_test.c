#include "testing/sender.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "proto/caps.h"
#include "proto/number.h"
#include "proto/words.h"
#include "testing/cmocka.h"

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

static struct qr_sender *make(struct said *said, struct qr_sender_config config)
{
    struct qr_sender *sender;
    memset(said, 0, sizeof *said);
    config.model = &model;
    config.data = said;
    config.commit = on_commit;
    assert_int_equal(qr_sender_new(&sender, &config), 0);
    for (int64_t t = T0; t < T0 + 60; t++)
        qr_sender_collect(sender, t);
    assert_int_equal(said->n_blocks, 0);
    return sender;
}

static void drop(struct qr_sender *sender, struct said *said)
{
    qr_sender_free(sender);
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

static void ask(struct qr_sender *sender, struct said *said, const char *line)
{
    qr_buf_clear(&said->text);
    qr_sender_command(sender, qr_slice_str(line));
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
    struct qr_sender *sender = make(&said, (struct qr_sender_config){0});
    qr_sender_connect(sender, CAPS);
    assert_int_equal(count(&said, "CLAIMED_ID "), 1);
    assert_int_equal(count(&said, "OVERWRITE labels"), 1);
    qr_buf_clear(&said.text);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_sender_collect(sender, t);
    assert_int_equal(count(&said, "CHART "), model.n_charts);
    assert_int_equal(count(&said, "CHART_DEFINITION_END "), model.n_charts);
    assert_int_equal(count(&said, "DIMENSION "), model.n_charts * model.n_dims);
    assert_int_equal(count(&said, "BEGIN "), 0);
    assert_int_equal(qr_sender_stats(sender)->n_replicating, model.n_charts);

    ask(sender, &said, "REPLAY_CHART \"load.chart_00000\" \"true\" 1700000070 1700000071");
    assert_int_equal(count(&said, "RBEGIN ''"), 14); /* To the end, whatever `before` was. */
    assert_int_equal(count(&said, "RSSTATE "), 1);
    qr_buf_clear(&said.text);
    qr_sender_collect(sender, T0 + 80);
    assert_int_equal(count(&said, "BEGIN "), 1);
    assert_int_equal(count(&said, "END"), 1);
    drop(sender, &said);
}

static void answers_by_the_rules_of_137(void **state)
{
    (void)state;
    struct said said;
    struct qr_sender *sender = make(&said, (struct qr_sender_config){.truncate = true});
    qr_sender_connect(sender, CAPS);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_sender_collect(sender, t);
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
    assert_int_equal(qr_sender_stats(sender)->empty_requests, 1);
    /* Chart 2 has empty seconds: the answer ends there, and REND does not tell. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00002\" \"false\" 1700000010 1700000060");
    assert_true(count(&said, "RBEGIN ''") < 13);
    assert_non_null(strstr(last_line(&said), " false 1700000010 1700000060 "));
    /* Slow charts have a grid of their own. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00007\" \"false\" 1700000012 1700000040");
    assert_int_equal(qr_sender_stats(sender)->off_grid_requests, 1);
    assert_int_equal(count(&said, "RBEGIN ''"), 6);
    ask(sender, &said, "DANCE");
    ask(sender, &said, "REPLAY_CHART \"load.chart_99999\" \"true\" 1 2");
    assert_int_equal(qr_sender_stats(sender)->unknown_commands, 2);
    drop(sender, &said);
}

static void answers_by_the_rules_of_29(void **state)
{
    (void)state;
    struct said said;
    struct qr_sender *sender = make(&said, (struct qr_sender_config){.rules_29 = true});
    qr_sender_connect(sender, CAPS | QR_CAP_INTERPOLATED);
    for (int64_t t = T0 + 60; t < T0 + 80; t++)
        qr_sender_collect(sender, t);
    /* So near to its clock it sends everything and streams. */
    ask(sender, &said, "REPLAY_CHART \"load.chart_00002\" \"false\" 1700000010 1700000020");
    assert_int_equal(count(&said, "RBEGIN ''"), 74);
    assert_int_equal(count(&said, "RSET \"dim_0\" NAN"), 0);
    assert_non_null(strstr(last_line(&said), " true  1700000010 1700000084 "));
    drop(sender, &said);
}

/* BEGIN2 and SET2 read back by our own number parser. */
static void says_stored_values_as_v2(void **state)
{
    (void)state;
    struct said said;
    struct qr_sender *sender = make(&said, (struct qr_sender_config){.rules_29 = true});
    qr_sender_connect(sender, CAPS | QR_CAP_INTERPOLATED | QR_CAP_IEEE754);
    for (int64_t t = T0 + 60; t < T0 + 75; t++)
        qr_sender_collect(sender, t);
    for (uint32_t chart = 0; chart < model.n_charts; chart++) {
        char line[128];
        snprintf(line, sizeof line, "REPLAY_CHART \"load.chart_%05u\" \"true\" %lld %lld", chart,
                 (long long)(T0 + 50), (long long)(T0 + 60));
        ask(sender, &said, line);
    }
    qr_buf_clear(&said.text);
    for (int64_t t = T0 + 75; t < T0 + 105; t++)
        qr_sender_collect(sender, t);

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
    assert_int_equal(n, qr_sender_stats(sender)->samples_live);
    assert_true(n > 1000);
    drop(sender, &said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_silent_until_it_is_asked),
        cmocka_unit_test(answers_by_the_rules_of_137),
        cmocka_unit_test(answers_by_the_rules_of_29),
        cmocka_unit_test(says_stored_values_as_v2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
