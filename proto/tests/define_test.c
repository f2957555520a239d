/* Definitions of charts and what is asked for their past. */
#include "proto/define.h"

#include "base/limits.h"
#include "proto/tests/recorder.h"

static void reads_all_that_a_definition_says(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(
        &r,
        "CHART \"qtest.algos\" \"nick\" \"All algorithms\" \"units/s\" \"qfam\" \"qtest.ctx\" "
        "\"stacked\" 90001 5 \" detail store_first \" \"plug\" \"mod1\"\n"
        "CLABEL \"device\" \"eth0\" 536870913\nCLABEL \"my\" \"a. b\" 2\nCLABEL_COMMIT\n"
        "DIMENSION \"absmd\" \"name md\" \"absolute\" -8 1000 \"  \"\n"
        "DIMENSION \"inc\" \"\" \"incremental\" 0 0 \"  noreset\"\n"
        "DIMENSION \"p\" \"p\" \"percentage-of-absolute-row\" 1 1 \" hidden \"\n"
        "DIMENSION \"q\" \"q\" \"percentage-of-incremental-row\" 1 1 \"obsolete\"\n"
        "CHART_DEFINITION_END 900 990 1000\n",
        "define qtest.algos every=5 dims=absmd,inc,p,q\n"
        "> REPLAY_CHART \"qtest.algos\" \"true\" 900 990\n");
    const struct qr_stream_chart *c = r.last;
    assert_int_equal(c->slot, 0);
    assert_slice(c->id, "qtest.algos");
    assert_slice(c->name, "qtest.nick");
    assert_slice(c->title, "All algorithms");
    assert_slice(c->units, "units/s");
    assert_slice(c->family, "qfam");
    assert_slice(c->context, "qtest.ctx");
    assert_slice(c->plugin, "plug");
    assert_slice(c->module, "mod1");
    assert_int_equal(c->type, QR_CHART_STACKED);
    assert_int_equal(c->priority, 90001);
    assert_int_equal(c->flags, QR_CHART_DETAIL | QR_CHART_STORE_FIRST);
    assert_int_equal(c->first_s, 900);
    assert_int_equal(c->last_s, 990);
    assert_int_equal(c->child_now_s, 1000);
    assert_int_equal(c->n_labels, 2);
    assert_slice(c->labels[0].name, "device");
    assert_slice(c->labels[0].value, "eth0");
    assert_int_equal(c->labels[0].source, 1);
    assert_slice(c->labels[1].value, "a. b");
    assert_slice(c->dims[0].name, "name md");
    assert_int_equal(c->dims[0].algorithm, QR_ALGORITHM_ABSOLUTE);
    assert_int_equal(c->dims[0].multiplier, -8);
    assert_int_equal(c->dims[0].divisor, 1000);
    assert_int_equal(c->dims[0].flags, 0);
    assert_slice(c->dims[1].name, "inc");
    assert_int_equal(c->dims[1].algorithm, QR_ALGORITHM_INCREMENTAL);
    assert_int_equal(c->dims[1].multiplier, 1);
    assert_int_equal(c->dims[1].divisor, 1);
    assert_int_equal(c->dims[1].flags, QR_DIM_NORESET);
    assert_int_equal(c->dims[2].algorithm, QR_ALGORITHM_PCENT_ROW);
    assert_int_equal(c->dims[2].flags, QR_DIM_HIDDEN);
    assert_int_equal(c->dims[3].algorithm, QR_ALGORITHM_PCENT_DELTA);
    assert_int_equal(c->dims[3].flags, QR_DIM_OBSOLETE);
    recorder_close(&r);
}

static void names_a_chart_by_its_id_if_it_has_none(void **state)
{
    static const struct {
        const char *line, *name;
    } cases[] = {
        {"CHART a.b.c\n", "a.b.c"},         {"CHART a.b.c NULL\n", "a.b.c"},
        {"CHART a.b.c b.c\n", "a.b.c"},     {"CHART a.b.c a.b.c\n", "a.b.c"},
        {"CHART a.b.c other\n", "a.other"}, {"CHART 'a.b.c' ''\n", "a.b.c"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        struct recorder r;
        recorder_open(&r, CAPS_137);
        char text[200];
        snprintf(text, sizeof text, "%sCHART_DEFINITION_END 0 0 0\n", cases[i].line);
        assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(text)), 0);
        assert_slice(r.last->name, cases[i].name);
        assert_int_equal(r.last->priority, 1000);
        assert_int_equal(r.last->update_every, 1); /* the host's */
        recorder_close(&r);
    }
}

static void keeps_places_over_redefinitions(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    recorder_expect(&r,
                    "CHART t.one\nCLABEL a 1 1\nCLABEL_COMMIT\nDIMENSION x\nDIMENSION y\n"
                    "CHART_DEFINITION_END 0 0 1000\n",
                    "define t.one every=1 dims=x,y\n> REPLAY_CHART \"t.one\" \"true\" 999 1000\n");
    struct qr_stream_chart *one = r.last;
    recorder_expect(&r, "CHART t.two\nDIMENSION z\nCHART_DEFINITION_END 0 0 1000\n",
                    "define t.two every=1 dims=z\n> REPLAY_CHART \"t.two\" \"true\" 999 1000\n");
    assert_int_equal(r.last->slot, 1);
    recorder_expect(&r, "RBEGIN t.one\nREND 1 0 0 true 0 0 1000\n", "");
    /* A new dimension in front, another name, no labels any more. */
    recorder_expect(
        &r,
        "CHART t.one name 'the title' u f c area 7 1 obsolete\nDIMENSION w\n"
        "DIMENSION y 'long name'\nDIMENSION x\nCHART_DEFINITION_END 0 0 1000\n",
        "define t.one every=1 dims=x,y,w\n> REPLAY_CHART \"t.one\" \"true\" 999 1000\n");
    assert_ptr_equal(r.last, one);
    assert_int_equal(one->slot, 0);
    assert_slice(one->name, "t.name");
    assert_slice(one->title, "the title");
    assert_int_equal(one->flags, QR_CHART_OBSOLETE);
    assert_slice(one->dims[1].name, "long name");
    assert_int_equal(one->n_labels, 1); /* without CLABEL_COMMIT the old ones stay */
    recorder_expect(&r, "CHART t.one\nDIMENSION y\nCLABEL_COMMIT\nCHART_DEFINITION_END 0 0 1000\n",
                    "define t.one every=1 dims=x,y,w\n");
    assert_slice(one->dims[1].name, "y");
    assert_int_equal(one->n_labels, 0);
    recorder_close(&r);
}

/* The owner may answer later: nothing is asked before. */
static void asks_when_the_owner_resumes(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_290);
    r.resumes = false;
    recorder_expect(&r, "CHART t.c\nDIMENSION x\nCHART_DEFINITION_END 900 990 1000\n",
                    "define t.c every=1 dims=x\n");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.charts_replicating, 1);
    const struct qr_stream_resume resume = {.watermark_s = 950};
    assert_int_equal(qr_stream_resume(r.stream, r.last, &resume), 0);
    recorder_expect(&r, "", "> REPLAY_CHART \"t.c\" \"true\" 950 990\n");
    recorder_expect(
        &r, "RBEGIN t.c\nRBEGIN '' 950 990 1000\nRSET x 1 A\nREND 1 900 990 true 950 990 1000\n",
        "~row t.c 990/40 x=1\n");
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.charts_replicating, 0);
    recorder_close(&r);
}

/* A request whose answer does not come is sent again, also if the child says nothing at all. */
static void asks_again_after_a_while(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_290);
    recorder_expect(&r, "CHART t.c\nDIMENSION x\nCHART_DEFINITION_END 900 990 1000\n",
                    "define t.c every=1 dims=x\n> REPLAY_CHART \"t.c\" \"true\" 900 990\n");
    r.mono_ms += QR_REPLICATION_TIMEOUT_MS - 1;
    qr_stream_tick(r.stream);
    recorder_expect(&r, "", "");
    r.mono_ms += 2000;
    qr_stream_tick(r.stream);
    recorder_expect(&r, "", "> REPLAY_CHART \"t.c\" \"true\" 900 990\n");
    recorder_close(&r);
}

/* An old child is defined at its first row, and what it cannot replay is a gap. */
static void tells_what_a_child_without_replication_lost(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    const struct qr_stream_hole hole = {800, 810};
    r.resume = (struct qr_stream_resume){.watermark_s = 900, .holes = &hole, .n_holes = 1};
    recorder_expect(&r, "CHART t.c\nDIMENSION x\n", "");
    recorder_expect(&r, "BEGIN t.c 0\n", "define t.c every=1 dims=x\ngap t.c (800,810] 2\n");
    recorder_expect(&r, "SET x = 5\nEND\n", "");
    r.real_us += 1000000;
    recorder_expect(&r, "BEGIN t.c 1000000\nSET x = 6\nEND\n",
                    "gap t.c (900,1000] 2\nrow t.c 1001/1 x=6\n");
    r.real_us += 1000000;
    recorder_expect(&r, "CHART t.c\nDIMENSION y\nBEGIN t.c 1000000\nSET x = 7\nSET y = 1\nEND\n",
                    "define t.c every=1 dims=x,y\nrow t.c 1002/1 x=7\n");
    recorder_close(&r);
}

/* Replication is switched off here, but the child waits to be told to start. */
static void starts_a_child_whose_replication_is_not_wanted(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_290);
    qr_stream_free(r.stream);
    const struct qr_stream_config config = {
        .caps = CAPS_290, .update_every = 1, .replication = false, .clock = &r.clock};
    const struct qr_stream_handler handler = {.data = &r,
                                              .define = recorder_define,
                                              .row = recorder_row,
                                              .gap = recorder_gap,
                                              .send = recorder_send};
    assert_int_equal(qr_stream_new(&r.stream, &config, &handler), 0);
    r.resume.watermark_s = 950;
    recorder_expect(&r, "CHART t.c\nDIMENSION x\nCHART_DEFINITION_END 900 990 1000\n",
                    "define t.c every=1 dims=x\n> REPLAY_CHART \"t.c\" \"true\" 0 0\n");
    recorder_expect(&r, "RBEGIN t.c\nREND 1 900 990 true 0 0 1000\n", "");
    recorder_expect(&r, "BEGIN2 t.c 1 1001 #\nSET2 x 1 # A\nEND2\n",
                    "gap t.c (950,1000] 2\nrow t.c 1001/1 x=1\n");
    recorder_close(&r);
}

static void bounds_what_a_child_can_define(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    char line[QR_NAME_BYTES_MAX + 100];
    memset(line, 'x', sizeof line);
    memcpy(line, "CHART t.", 8);
    line[sizeof line - 2] = '\n';
    line[sizeof line - 1] = '\0';
    recorder_refuses(&r, line, QR_E_MALFORMED, "a chart's id");
    recorder_close(&r);
}

static void feed(struct recorder *r, const char *format, unsigned i)
{
    char line[100];
    snprintf(line, sizeof line, format, i);
    assert_int_equal(qr_stream_feed(r->stream, qr_slice_str(line)), 0);
}

static void refuses_a_chart_with_too_many_dimensions_and_no_other(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    feed(&r, "CHART t.%u\nDIMENSION a\nCHART t.c\n", 1);
    for (unsigned i = 0; i < QR_DIMS_PER_CHART_MAX; i++)
        feed(&r, "DIMENSION d%u\n", i);
    recorder_expect(&r, "", "");
    recorder_expect(&r, "DIMENSION more\n",
                    "refused t.c: the child says more dimensions than it may have\n");
    recorder_expect(&r, "DIMENSION more2\nCLABEL a b 1\nCLABEL_COMMIT\n", "");
    recorder_expect(&r, "BEGIN t.c 1000000\nSET d0 = 5\nSET more = 5\nEND\n", "");
    recorder_expect(&r, "BEGIN t.1\nSET a = 1\nEND\n", "define t.1 every=1 dims=a\n");
    r.real_us += 1000000;
    recorder_expect(&r, "BEGIN t.1 1000000\nSET a = 2\nEND\n", "row t.1 1001/1 a=2\n");
    recorder_close(&r);
}

static void refuses_charts_by_name_when_there_are_too_many(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_137);
    for (unsigned i = 0; i < QR_CHARTS_PER_HOST_MAX; i++)
        feed(&r, "CHART t.c%u\nDIMENSION a\n", i);
    recorder_expect(&r,
                    "CHART t.one_more\nCLABEL a b 1\nCLABEL_COMMIT\nDIMENSION a\n"
                    "CHART_DEFINITION_END 900 990 1000\n",
                    "refused t.one_more: the child says more charts than it may have\n");
    recorder_expect(&r,
                    "RBEGIN t.one_more\nRBEGIN '' 1 2 3\nRSET a 5 ''\nRDSTATE a 1 2 3 4\n"
                    "RSSTATE 1 2\nREND 1 1 2 true 1 2 3\n"
                    "BEGIN t.one_more 1000000\nSET a = 5\nVARIABLE CHART x = 1\nEND\n"
                    "BEGIN2 t.one_more 1 1000 #\nSET2 a 5 # A\nEND2\n",
                    "");
    /* Those that are known may be said again. */
    r.resume.watermark_s = 950;
    recorder_expect(&r, "CHART t.c7\nDIMENSION b\nCHART_DEFINITION_END 900 990 1000\n",
                    "define t.c7 every=1 dims=a,b\n> REPLAY_CHART \"t.c7\" \"true\" 950 990\n");
    struct qr_stream_stats stats;
    qr_stream_get_stats(r.stream, &stats);
    assert_int_equal(stats.charts_refused, 1);
    assert_int_equal(stats.charts, QR_CHARTS_PER_HOST_MAX);
    recorder_close(&r);
}

/* 256 labels of 2400 bytes on each of many charts. */
static void bounds_the_memory_of_labels(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    char line[2 * QR_NAME_BYTES_MAX + 100], value[QR_NAME_BYTES_MAX + 1];
    memset(value, 'v', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    unsigned chart = 0;
    for (; r.log.len == 0 && chart < 2000; chart++) {
        feed(&r, "CHART t.c%u\n", chart);
        for (unsigned i = 0; i < QR_LABELS_MAX; i++) {
            snprintf(line, sizeof line, "CLABEL '%u%.1100s' '%s' 1\n", i, value, value);
            assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(line)), 0);
        }
        feed(&r, "CLABEL_COMMIT\n", 0);
    }
    assert_in_range(chart, 300, 600); /* 256 MiB of them */
    qr_buf_clear(&r.log);
    recorder_expect(&r, "CHART t.c5\nCLABEL a b 1\nCLABEL_COMMIT\nBEGIN t.c5\nEND\n",
                    "define t.c5 every=1 dims=\n");
    assert_int_equal(r.last->n_labels, 1);
    recorder_close(&r);
}

/* A title that is sent anew each time takes the room of the old one. */
static void takes_any_number_of_redefinitions(void **state)
{
    struct recorder r;
    recorder_open(&r, CAPS_V5);
    char line[60000];
    int n = snprintf(line, sizeof line, "CHART t.c n '");
    memset(line + n, 'y', sizeof line - (size_t)n);
    snprintf(line + sizeof line - 10, 10, "'\n");
    for (int i = 0; i < 10000; i++) /* 600 MB */
        assert_int_equal(qr_stream_feed(r.stream, qr_slice_str(line)), 0);
    recorder_expect(&r, "BEGIN t.c\n", "define t.c every=1 dims=\n");
    assert_int_equal(r.last->title.len, QR_NAME_BYTES_MAX);
    recorder_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_that_a_definition_says),
        cmocka_unit_test(names_a_chart_by_its_id_if_it_has_none),
        cmocka_unit_test(keeps_places_over_redefinitions),
        cmocka_unit_test(asks_when_the_owner_resumes),
        cmocka_unit_test(asks_again_after_a_while),
        cmocka_unit_test(tells_what_a_child_without_replication_lost),
        cmocka_unit_test(starts_a_child_whose_replication_is_not_wanted),
        cmocka_unit_test(bounds_what_a_child_can_define),
        cmocka_unit_test(refuses_a_chart_with_too_many_dimensions_and_no_other),
        cmocka_unit_test(refuses_charts_by_name_when_there_are_too_many),
        cmocka_unit_test(bounds_the_memory_of_labels),
        cmocka_unit_test(takes_any_number_of_redefinitions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
