/* Real children, forwarded: what a captured session gives goes through the sender to another parent
 * of each kind, which must end up with the same charts and the same rows.
 *
 * captures/README.md describes the files. */
#include <zlib.h>

#include "proto/tests/sending_pair.h"

#define FOLDER QR_SOURCE_DIR "/proto/tests/captures/"
#define CAPS_V1                                                                                    \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_REPLICATION | QR_CAP_BINARY)
#define CAPS_V2 (CAPS_V1 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS)

/* A captured connection, heard by a parent of ours. */
struct heard {
    struct qr_clock clock; /* First: the false clock casts it back. */
    int64_t now_us;
    struct qr_stream *stream;
    struct pair *pair; /* Its rows become the source's. */
    int64_t start_s, end_s;
};

static uint64_t heard_mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)((const struct heard *)clock)->now_us / 1000;
}

static int64_t heard_real_us(const struct qr_clock *clock)
{
    return ((const struct heard *)clock)->now_us;
}

/* The definition is taken over at the end: it may still change. */
static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct heard *heard = data;
    if (chart->data == NULL) {
        char id[64];
        snprintf(id, sizeof id, "%.*s", (int)chart->id.len, chart->id.base);
        struct pair_chart *c = pair_add_chart(heard->pair, id, chart->update_every, 1);
        c->first_s = heard->start_s - heard->start_s % chart->update_every;
        c->source = chart;
        chart->data = c;
    }
    const struct qr_stream_resume resume = {.watermark_s = 0};
    assert_int_equal(qr_stream_resume(heard->stream, chart, &resume), 0);
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct heard *heard = data;
    struct pair_chart *c = chart->data;
    int64_t i = (row->end_s - c->first_s) / row->update_every;
    assert_true(row->end_s >= c->first_s && i < 10000);
    assert_int_equal(row->update_every, chart->update_every);
    assert_true(row->n <= PAIR_DIMS_MAX);
    for (uint32_t d = 0; d < row->n; d++)
        if (!(row->flags[d] & QR_STREAM_EMPTY))
            pair_set(c, (uint32_t)i, d, row->values[d], row->flags[d]);
    if (row->end_s > heard->end_s)
        heard->end_s = row->end_s;
}

static void on_send(void *data, struct qr_slice line)
{
    /* The capture has the answers to what its parent asked. */
}

static void hear(struct heard *heard, uint32_t caps)
{
    const struct qr_stream_handler handler = {
        .data = heard, .define = on_define, .row = on_row, .send = on_send};
    const struct qr_stream_config config = {
        .caps = caps,
        .update_every = 1,
        .replication = true,
        .replication_period_s = 86400,
        .replication_step_s = 600,
        .clock = &heard->clock,
    };
    assert_int_equal(qr_stream_new(&heard->stream, &config, &handler), 0);
}

/* "<seconds>.<micros> <mark> <text>"; up to the end of the first connection. */
static bool take_record(struct heard *heard, char *record)
{
    char *mark, *end;
    int64_t s = strtoll(record, &end, 10);
    heard->now_us = s * 1000000 + strtoll(end + 1, &mark, 10);
    mark++;
    if (strncmp(mark, ">H ", 3) == 0 && strstr(mark, "version=") != NULL) {
        if (heard->stream != NULL)
            return false;
        heard->start_s = s - 1000;
        hear(heard,
             qr_caps_negotiate((uint32_t)strtoul(strstr(mark, "version=") + 8, NULL, 10),
                               UINT32_MAX & ~QR_CAPS_COMPRESSIONS, &qr_compression_order_default));
    } else if (heard->stream != NULL && strncmp(mark, "< ", 2) == 0) {
        char *text = mark + 2;
        size_t len = strlen(text);
        text[len] = '\n';
        if (qr_stream_feed(heard->stream, qr_slice_of(text, len + 1)) != 0)
            fail_msg("refused: %s", qr_stream_error_text(heard->stream));
    }
    return true;
}

static void hear_capture(struct heard *heard, struct pair *pair, const char *name)
{
    *heard = (struct heard){.clock = {heard_mono_ms, heard_real_us}, .pair = pair};
    char path[300];
    snprintf(path, sizeof path, FOLDER "%s.transcript.gz", name);
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        snprintf(path, sizeof path, FOLDER "%s.transcript", name);
        file = gzopen(path, "rb");
    }
    assert_non_null(file);
    static char record[100000];
    while (gzgets(file, record, sizeof record - 1) != NULL) {
        record[strcspn(record, "\n")] = '\0';
        if (!take_record(heard, record))
            break;
    }
    gzclose(file);
    assert_non_null(heard->stream);
    for (uint32_t i = 0; i < pair->n_charts; i++) {
        struct pair_chart *c = &pair->charts[i];
        assert_true(c->source->n_dims <= PAIR_DIMS_MAX);
        c->def = *c->source;
    }
}

static bool is_v2(const struct pair *pair)
{
    return (pair->caps & QR_CAP_INTERPOLATED) != 0;
}

static void expect_equal_definitions(const struct pair *pair, const struct pair_chart *c)
{
    const struct qr_stream_chart *a = &c->def, *b = c->at_parent;
    assert_non_null(b);
    const struct qr_slice texts[][2] = {{a->id, b->id},         {a->name, b->name},
                                        {a->title, b->title},   {a->units, b->units},
                                        {a->family, b->family}, {a->context, b->context},
                                        {a->plugin, b->plugin}, {a->module, b->module}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_true(qr_slice_equal(texts[i][0], texts[i][1]));
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->update_every, b->update_every);
    assert_int_equal(a->flags & ~(is_v2(pair) ? 0u : QR_CHART_STORE_FIRST), b->flags);
    assert_int_equal(a->n_dims, b->n_dims);
    assert_int_equal(a->n_labels, b->n_labels);
    for (uint32_t i = 0; i < a->n_dims; i++) {
        assert_true(qr_slice_equal(a->dims[i].id, b->dims[i].id));
        assert_true(qr_slice_equal(a->dims[i].name, b->dims[i].name));
        assert_int_equal(a->dims[i].flags, b->dims[i].flags);
        if (is_v2(pair)) {
            assert_int_equal(a->dims[i].algorithm, b->dims[i].algorithm);
            assert_int_equal(a->dims[i].multiplier, b->dims[i].multiplier);
            assert_int_equal(a->dims[i].divisor, b->dims[i].divisor);
        }
    }
    for (uint32_t i = 0; i < a->n_labels; i++) {
        assert_true(qr_slice_equal(a->labels[i].name, b->labels[i].name));
        assert_true(qr_slice_equal(a->labels[i].value, b->labels[i].value));
        assert_int_equal(a->labels[i].source, b->labels[i].source);
    }
}

/* Values of a child are doubles of any kind: without IEEE754 they have 7 decimals. */
static bool is_same(const struct pair *pair, double a, double b)
{
    return a == b || ((pair->caps & (QR_CAP_INTERPOLATED | QR_CAP_IEEE754)) !=
                          (QR_CAP_INTERPOLATED | QR_CAP_IEEE754) &&
                      fabs(a - b) <= 5.1e-8);
}

static size_t expect_equal_rows(const struct pair *pair, const struct pair_chart *c)
{
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_visible; i++)
        for (uint32_t d = 0; d < c->def.n_dims; d++) {
            const struct pair_cell *sent = &c->rows[i * PAIR_DIMS_MAX + d];
            const struct pair_cell *arrived = &c->arrived[i * PAIR_DIMS_MAX + d];
            bool has = !(sent->flags & QR_STREAM_EMPTY);
            if (has != (arrived->n > 0) || (has && !is_same(pair, sent->value, arrived->value)))
                fail_msg("%s row %u dim %u: sent %.17g, arrived %.17g", c->text[0], i, d,
                         has ? sent->value : (double)NAN,
                         arrived->n > 0 ? arrived->value : (double)NAN);
            if (has && is_v2(pair))
                assert_int_equal(sent->flags, arrived->flags);
            n += has;
        }
    return n;
}

static size_t resend(const char *name, uint32_t caps)
{
    struct pair pair;
    struct heard heard;
    pair_open(&pair, caps);
    hear_capture(&heard, &pair, name);
    int64_t middle_s = heard.end_s - 40;
    for (int64_t t = heard.start_s; t <= heard.end_s; t++) {
        if (t == middle_s)
            pair_connect(&pair);
        pair_second(&pair, t, t >= middle_s);
    }
    size_t n_values = 0;
    for (uint32_t i = 0; i < pair.n_charts; i++) {
        struct pair_chart *c = &pair.charts[i];
        if (pair_newest_s(c) == 0)
            continue;
        if (c->handle == NULL) {
            pair_define(&pair, c);
            pair_pump(&pair);
        }
        expect_equal_definitions(&pair, c);
        n_values += expect_equal_rows(&pair, c);
    }
    pair_disconnect(&pair);
    pair_close(&pair);
    qr_stream_free(heard.stream);
    return n_values;
}

static void forwarded_children_are_the_same_children(void **state)
{
    static const char *const names[] = {"137-plain", "137-lz4",  "137-outage", "290-plain",
                                        "290-hex",   "290-zstd", "290-lz4",    "290-v1proto"};
    static const uint32_t masks[] = {CAPS_V2, CAPS_V2 | QR_CAP_ZSTD,
                                     CAPS_V2 & ~(QR_CAP_IEEE754 | QR_CAP_SLOTS),
                                     CAPS_V1 | QR_CAP_LZ4, CAPS_V1};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < sizeof masks / sizeof *masks; k++) {
            size_t n = resend(names[i], masks[k]);
            if (n < 250)
                fail_msg("%s gave %zu values only", names[i], n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forwarded_children_are_the_same_children),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
