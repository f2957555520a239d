/* Real children: what they sent goes through the whole engine, and what comes out is compared with
 * what they stored themselves.  The files are described in captures/README.md.
 *
 * The parent that recorded these sessions asked in its own way, and the child's answers are to its
 * requests, not ours: so here rows are what counts, and where they end. */
#include "proto/stream.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/rng.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "testing/cmocka.h"

#define FOLDER "proto/tests/captures/"

/* All captures lie in these seconds. */
#define T0      1795405000
#define SECONDS 4096
#define SERIES  128

struct series {
    char chart[64], id[64], name[64];
    double *at; /* By second since T0; NAN: none. */
};

struct replay {
    struct qr_clock clock; /* First: the false clock casts it back. */
    int64_t now_us;
    struct qr_stream *stream;
    struct qr_rng rng;
    struct series series[SERIES];
    size_t n_series;
    struct qr_buf text; /* What the child sent on its streams, decoded. */
    struct qr_buf request;
    uint32_t reply;
    size_t n_connections, n_points, n_again, n_conflicts, n_asked, n_labels;
    struct qr_stream_stats stats; /* Of the last connection. */
};

static uint64_t mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)((const struct replay *)clock)->now_us / 1000;
}

static int64_t real_us(const struct qr_clock *clock)
{
    return ((const struct replay *)clock)->now_us;
}

static bool is_close(double a, double b)
{
    return fabs(a - b) <= fmax(1e-6, 1e-6 * fabs(b));
}

static struct series *find_series(struct replay *r, struct qr_slice chart, struct qr_slice id)
{
    for (size_t i = 0; i < r->n_series; i++)
        if (qr_slice_is(chart, r->series[i].chart) && qr_slice_is(id, r->series[i].id))
            return &r->series[i];
    assert_true(r->n_series < SERIES);
    struct series *s = &r->series[r->n_series++];
    snprintf(s->chart, sizeof s->chart, "%.*s", (int)chart.len, chart.base);
    snprintf(s->id, sizeof s->id, "%.*s", (int)id.len, id.base);
    s->at = malloc(SECONDS * sizeof *s->at);
    assert_non_null(s->at);
    for (size_t t = 0; t < SECONDS; t++)
        s->at[t] = NAN;
    return s;
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct replay *r = data;
    assert_int_equal(row->n, chart->n_dims);
    assert_true(row->end_s > T0 && row->end_s < T0 + SECONDS);
    assert_int_equal(row->update_every, chart->update_every);
    for (uint32_t i = 0; i < row->n; i++) {
        assert_int_equal(isnan(row->values[i]) != 0, (row->flags[i] & QR_STREAM_EMPTY) != 0);
        if (row->flags[i] & QR_STREAM_EMPTY)
            continue;
        struct series *s = find_series(r, chart->id, chart->dims[i].id);
        snprintf(s->name, sizeof s->name, "%.*s", (int)chart->dims[i].name.len,
                 chart->dims[i].name.base);
        double *at = &s->at[row->end_s - T0];
        if (isnan(*at))
            r->n_points++;
        else
            r->n_again++;
        r->n_conflicts += !isnan(*at) && !is_close(*at, row->values[i]);
        *at = row->values[i];
    }
}

static int64_t oldest(struct replay *r, const char *chart)
{
    int64_t t = T0 + SECONDS;
    for (size_t i = 0; i < r->n_series; i++)
        for (int64_t k = 0; strcmp(r->series[i].chart, chart) == 0 && T0 + k < t; k++)
            if (!isnan(r->series[i].at[k]))
                t = T0 + k;
    return t;
}

static int64_t newest(struct replay *r, struct qr_slice chart)
{
    int64_t t = 0;
    for (size_t i = 0; i < r->n_series; i++)
        for (int64_t k = SECONDS - 1; qr_slice_is(chart, r->series[i].chart) && T0 + k > t; k--)
            if (!isnan(r->series[i].at[k]))
                t = T0 + k;
    return t;
}

static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct replay *r = data;
    const struct qr_stream_resume resume = {.watermark_s = newest(r, chart->id)};
    assert_int_equal(qr_stream_resume(r->stream, chart, &resume), 0);
}

static void on_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    ((struct replay *)data)->n_labels = n;
}

static void on_send(void *data, struct qr_slice line)
{
    assert_memory_equal(line.base, "REPLAY_CHART ", 13);
    ((struct replay *)data)->n_asked++;
}

/* What the reply of the recording parent gave the child. */
static uint32_t caps_of_reply(const char *reply)
{
    const char *version = strstr(reply, "version=");
    if (version != NULL)
        return (uint32_t)strtoul(version + 8, NULL, 10);
    return strstr(reply, "host labels") != NULL ? 2 : 1;
}

static void close_stream(struct replay *r)
{
    if (r->stream != NULL)
        qr_stream_get_stats(r->stream, &r->stats);
    qr_stream_free(r->stream);
    r->stream = NULL;
}

static void open_stream(struct replay *r, uint32_t reply)
{
    struct qr_handshake h;
    const char *reason = NULL;
    ssize_t used = qr_handshake_parse(&h, qr_buf_slice(&r->request), &reason);
    if (used < 0)
        fail_msg("handshake: %s", reason != NULL ? reason : qr_strerror((int)used));
    assert_int_equal(used, r->request.len);
    assert_slice(h.hostname, "capture-child");
    assert_slice(h.program_name, "netdata");
    assert_slice(h.sysinfo[QR_SYSINFO_CONTAINER_OS_NAME], "Debian GNU/Linux");
    assert_int_equal(h.update_every, 1);
    /* The child's own view: what both have. */
    uint32_t caps =
        qr_caps_negotiate(reply, reply > 5 ? h.ver : UINT32_MAX, &qr_compression_order_default);
    qr_handshake_release(&h);

    const struct qr_stream_handler handler = {
        .data = r, .define = on_define, .row = on_row, .labels = on_labels, .send = on_send};
    const struct qr_stream_config config = {
        .caps = caps,
        .update_every = 1,
        .replication = true,
        .replication_period_s = 86400,
        .replication_step_s = 600,
        .heal = (caps & QR_CAP_INTERPOLATED) == 0,
        .clock = &r->clock,
    };
    close_stream(r);
    assert_int_equal(qr_stream_new(&r->stream, &config, &handler), 0);
    r->n_connections++;
    r->reply = reply;
}

/* Feeds a piece in smaller ones that end anywhere. */
static void feed(struct replay *r, struct qr_slice text)
{
    while (text.len > 0) {
        size_t len = 1 + qr_rng_below(&r->rng, text.len < 200 ? text.len : 200);
        int err = qr_stream_feed(r->stream, qr_slice_of(text.base, len));
        if (err != 0)
            fail_msg("refused: %s", qr_stream_error_text(r->stream));
        text = qr_slice_of(text.base + len, text.len - len);
    }
}

/* "<H text\r": a line of the child's request, with its CR as an escape. */
static void take_request_line(struct replay *r, char *text)
{
    if (strncmp(text, "GET ", 4) == 0 || strncmp(text, "STREAM ", 7) == 0)
        qr_buf_clear(&r->request);
    size_t len = strlen(text);
    if (len < 2 || strcmp(text + len - 2, "\\r") != 0)
        return; /* Behind the empty line. */
    text[len - 2] = '\0';
    qr_buf_printf(&r->request, "%s\r\n", text);
}

static void take_record(struct replay *r, char *record)
{
    char *mark, *text, *end;
    r->now_us = strtoll(record, &end, 10) * 1000000 + strtoll(end + 1, &mark, 10);
    text = strchr(++mark, ' ');
    if (text == NULL)
        text = mark + strlen(mark);
    else
        *text++ = '\0';
    if (strcmp(mark, "<H") == 0) {
        take_request_line(r, text);
    } else if (strcmp(mark, ">H") == 0 && strstr(text, "Hit me") != NULL) {
        open_stream(r, caps_of_reply(text));
    } else if (strcmp(mark, "<") == 0) {
        size_t at = r->text.len;
        qr_buf_add_str(&r->text, text);
        qr_buf_add_str(&r->text, "\n");
        feed(r, qr_slice_of(r->text.base + at, r->text.len - at));
    }
}

static gzFile open_capture(const char *name)
{
    char path[200];
    snprintf(path, sizeof path, QR_SOURCE_DIR "/" FOLDER "%s.gz", name);
    gzFile file = gzopen(path, "rb");
    if (file == NULL) {
        snprintf(path, sizeof path, QR_SOURCE_DIR "/" FOLDER "%s", name);
        file = gzopen(path, "rb"); /* Plain files are read as they are. */
    }
    if (file == NULL)
        fail_msg("%s is not there", path);
    return file;
}

static void replay(struct replay *r, const char *run)
{
    *r = (struct replay){.clock = {mono_ms, real_us}};
    qr_rng_seed(&r->rng, 1);
    char name[100];
    snprintf(name, sizeof name, "%s.transcript", run);
    gzFile file = open_capture(name);
    static char record[100000];
    while (gzgets(file, record, sizeof record) != NULL) {
        record[strcspn(record, "\n")] = '\0';
        take_record(r, record);
    }
    gzclose(file);
    close_stream(r);
}

static void release(struct replay *r)
{
    close_stream(r);
    for (size_t i = 0; i < r->n_series; i++)
        free(r->series[i].at);
    qr_buf_release(&r->text);
    qr_buf_release(&r->request);
}

/* ---- comparison with the child's own database ---- */

struct tally {
    size_t equal, missing, wrong;
};

static void compare_cell(struct replay *r, const char *chart, const char *name, int64_t t,
                         const json_t *cell, struct tally *tally)
{
    for (size_t i = 0; i < r->n_series; i++) {
        struct series *s = &r->series[i];
        if (strcmp(s->chart, chart) != 0 || strcmp(s->name, name) != 0)
            continue;
        double ours = s->at[t - T0];
        if (json_is_null(cell) && isnan(ours))
            tally->equal++;
        else if (!json_is_null(cell) && isnan(ours))
            tally->missing++;
        else if (!json_is_null(cell) && is_close(ours, json_number_value(cell)))
            tally->equal++;
        else
            tally->wrong++;
    }
}

static struct tally compare(struct replay *r, const char *run, const char *chart)
{
    char path[200];
    snprintf(path, sizeof path, QR_SOURCE_DIR "/" FOLDER "db/%s.%s.json", run, chart);
    json_t *db = json_load_file(path, 0, NULL);
    if (db == NULL)
        fail_msg("%s cannot be read", path);
    struct tally tally = {0};
    int64_t first = oldest(r, chart);
    const json_t *labels = json_object_get(db, "labels"), *data = json_object_get(db, "data");
    for (size_t row = 0; row < json_array_size(data); row++) {
        const json_t *cells = json_array_get(data, row);
        int64_t t = json_integer_value(json_array_get(cells, 0));
        if (t < first)
            continue; /* Before our time. */
        for (size_t i = 1; i < json_array_size(labels); i++)
            compare_cell(r, chart, json_string_value(json_array_get(labels, i)), t,
                         json_array_get(cells, i), &tally);
    }
    json_decref(db);
    return tally;
}

static const struct {
    const char *run;
    struct {
        const char *chart;
        size_t equal, missing;
    } charts[4];
} equalities[] = {
    {"137-plain",
     {{"qtest.algos", 665, 0},
      {"qtest.pct", 380, 0},
      {"qtest.slow5", 38, 0},
      {"qtest.gaps", 190, 0}}},
    {"137-outage-heal",
     {{"qtest.algos", 945, 0},
      {"qtest.pct", 540, 0},
      {"qtest.slow5", 52, 0},
      {"qtest.gaps", 270, 0}}},
    /* Recorded without healing: what 1.37 does not send behind an empty point is missing. */
    {"137-outage",
     {{"qtest.algos", 1470, 0},
      {"qtest.pct", 840, 0},
      {"qtest.slow5", 84, 0},
      {"qtest.gaps", 273, 147}}},
    {"137-outage-step10",
     {{"qtest.algos", 1302, 0},
      {"qtest.pct", 744, 0},
      {"qtest.slow5", 74, 0},
      {"qtest.gaps", 315, 57}}},
    {"290-plain",
     {{"qtest.algos", 1085, 0},
      {"qtest.pct", 620, 0},
      {"qtest.slow5", 60, 0},
      {"qtest.gaps", 310, 0}}},
};

static void stores_what_the_child_stored(void **state)
{
    for (size_t i = 0; i < QR_COUNT(equalities); i++) {
        struct replay r;
        replay(&r, equalities[i].run);
        assert_int_equal(r.n_conflicts, 0);
        for (size_t k = 0; k < 4; k++) {
            const char *chart = equalities[i].charts[k].chart;
            struct tally tally = compare(&r, equalities[i].run, chart);
            print_message("%-18s %-12s equal %zu, missing %zu, wrong %zu\n", equalities[i].run,
                          chart, tally.equal, tally.missing, tally.wrong);
            assert_int_equal(tally.wrong, 0);
            assert_int_equal(tally.missing, equalities[i].charts[k].missing);
            assert_int_equal(tally.equal, equalities[i].charts[k].equal);
        }
        release(&r);
    }
}

/* ---- every capture ---- */

static const struct {
    const char *run;
    size_t n_connections, n_points, n_again, n_labels;
} runs[] = {
    {"137-lz4", 1, 1058, 0, 21},         {"137-outage", 2, 11867, 0, 21},
    {"137-outage-heal", 2, 2497, 0, 21}, {"137-outage-step10", 2, 3896, 0, 21},
    {"137-plain", 1, 1549, 0, 21},       {"137-reply-emptyreq", 1, 386, 0, 21},
    {"137-reply-norepl", 1, 402, 0, 21}, {"137-reply-v1", 1, 388, 0, 0},
    {"137-reply-v2", 1, 224, 0, 21},     {"137-reply-v3", 1, 221, 0, 21},
    {"137-reply-v4", 1, 390, 0, 21},     {"137-reply-v5-lz4", 1, 233, 0, 21},
    {"290-hex", 1, 2325, 0, 32},         {"290-lz4", 1, 4260, 0, 32},
    {"290-plain", 2, 2583, 0, 32},       {"290-step10", 1, 5224, 0, 32},
    {"290-v1proto", 1, 3407, 0, 32},     {"290-zstd", 1, 1056, 0, 32},
};

/* qtest.algos: abs is 10 n and inc 1000 n, one n a second. */
static void check_values_of_the_plugin(struct replay *r)
{
    struct series *abs = find_series(r, qr_slice_str("qtest.algos"), qr_slice_str("abs"));
    struct series *inc = find_series(r, qr_slice_str("qtest.algos"), qr_slice_str("inc"));
    size_t n = 0;
    for (size_t t = 1; t < SECONDS; t++) {
        if (isnan(abs->at[t - 1]) || isnan(abs->at[t]))
            continue;
        n++;
        if (!is_close(abs->at[t], abs->at[t - 1] + 10))
            fail_msg("%zu: %g after %g", t, abs->at[t], abs->at[t - 1]);
        if (!isnan(inc->at[t - 1]) && fabs(inc->at[t] - 1000) > 100)
            fail_msg("%zu: inc %g", t, inc->at[t]);
    }
    assert_true(n >= 10);
}

static void takes_every_capture(void **state)
{
    for (size_t i = 0; i < QR_COUNT(runs); i++) {
        struct replay r;
        replay(&r, runs[i].run);
        print_message("%s: %zu points, asked %zu times\n", runs[i].run, r.n_points, r.n_asked);
        check_values_of_the_plugin(&r);
        assert_int_equal(r.stats.lines_unknown, 0);
        assert_int_equal(r.stats.rows_refused, 0);
        assert_int_equal(r.n_conflicts, 0);
        assert_int_equal(r.n_connections, runs[i].n_connections);
        assert_int_equal(r.n_points, runs[i].n_points);
        assert_int_equal(r.n_again, runs[i].n_again);
        assert_int_equal(r.n_labels, runs[i].n_labels);
        release(&r);
    }
}

/* ---- compressed sessions ---- */

static void read_raw(const char *run, struct qr_buf *raw)
{
    char name[100], piece[4096];
    snprintf(name, sizeof name, "%s.raw", run);
    gzFile file = open_capture(name);
    int n;
    while ((n = gzread(file, piece, sizeof piece)) > 0)
        qr_buf_add(raw, piece, (size_t)n);
    gzclose(file);
}

/* Decodes it, received in pieces of any size. */
static void decode(enum qr_compression compression, struct qr_buf *raw, struct qr_buf *text)
{
    struct qr_decompressor *decompressor;
    assert_int_equal(qr_decompressor_new(&decompressor, compression, NULL), 0);
    struct qr_buf received = {0};
    struct qr_rng rng;
    qr_rng_seed(&rng, 2);
    for (size_t at = 0; at < raw->len;) {
        size_t len = 1 + qr_rng_below(&rng, raw->len - at < 999 ? raw->len - at : 999);
        qr_buf_add(&received, raw->base + at, len);
        at += len;
        struct qr_slice piece;
        ssize_t used;
        while ((used = qr_frame_decode(decompressor, qr_buf_slice(&received), &piece)) > 0) {
            qr_buf_add(text, piece.base, piece.len);
            qr_buf_consume(&received, (size_t)used);
        }
        assert_int_equal(used, QR_E_PARTIAL);
    }
    assert_int_equal(received.len, 0);
    qr_buf_release(&received);
    qr_decompressor_free(decompressor);
}

static void unpacks_to_exactly_the_text(void **state)
{
    static const struct {
        const char *run;
        enum qr_compression compression;
    } compressed[] = {{"137-lz4", QR_COMPRESSION_LZ4},
                      {"137-reply-v5-lz4", QR_COMPRESSION_LZ4},
                      {"290-lz4", QR_COMPRESSION_LZ4},
                      {"290-zstd", QR_COMPRESSION_ZSTD}};
    for (size_t i = 0; i < QR_COUNT(compressed); i++) {
        struct replay r;
        replay(&r, compressed[i].run);
        struct qr_buf raw = {0}, text = {0};
        read_raw(compressed[i].run, &raw);
        decode(compressed[i].compression, &raw, &text);
        assert_int_equal(text.len, r.text.len);
        assert_memory_equal(text.base, r.text.base, text.len);
        qr_buf_release(&raw);
        qr_buf_release(&text);
        release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stores_what_the_child_stored),
        cmocka_unit_test(takes_every_capture),
        cmocka_unit_test(unpacks_to_exactly_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
