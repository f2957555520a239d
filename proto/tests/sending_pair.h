/* proto/tests/sending_pair.h — a sender and the stream of its parent, connected back to back.
 *
 *   source (charts and their rows) -> proto/sender -> bytes -> proto/stream -> arrived cells
 *
 * The source is what an owner's store is: rows that exist up to now.  The pair defines a chart at
 * its first row, hands live rows over, and answers requests.  What the parent stores stays over
 * connections, and it resumes each chart at its newest row, as a parent does. */
#ifndef QR_PROTO_TESTS_SENDING_PAIR_H
#define QR_PROTO_TESTS_SENDING_PAIR_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/rng.h"
#include "proto/frame.h"
#include "proto/request.h"
#include "proto/sender.h"
#include "testing/cmocka.h"

#define PAIR_START_S    INT64_C(1700000040)
#define PAIR_CHARTS_MAX 16
#define PAIR_DIMS_MAX   8

struct pair_cell {
    double value;
    uint8_t flags;
    bool replayed;
    uint8_t n; /* How often it arrived. */
};

struct pair_chart {
    struct qr_stream_chart def;
    struct qr_stream_dim dims[PAIR_DIMS_MAX];
    struct qr_sender_function functions[2];
    uint32_t n_functions;
    uint32_t n_rows, rows_capacity; /* Row i ends at first_s + i * update_every. */
    int64_t first_s;
    struct pair_cell *rows;    /* n_rows x PAIR_DIMS_MAX */
    struct pair_cell *arrived; /* The same. */
    uint32_t n_visible;        /* Rows that exist by now. */
    int64_t parent_s;          /* Newest that arrived. */
    struct qr_sender_chart *handle;
    bool asked;
    struct qr_sender_replay replay;
    const struct qr_stream_chart *source; /* Where the definition is from, if the test wants it. */
    struct qr_stream_chart *at_parent;
    uint32_t n_definitions; /* At the parent. */
    char text[2][64];
};

struct pair {
    struct qr_clock clock; /* First: the false clock's functions cast it back. */
    int64_t now_us;
    uint32_t caps;
    struct qr_sender *sender;
    struct qr_stream *stream;
    struct qr_decompressor *decompressor;
    struct qr_buf to_parent, to_child;
    struct pair_chart charts[PAIR_CHARTS_MAX];
    uint32_t n_charts;
    uint32_t answer_rows_max; /* Of one answer; then it says false. */
    int64_t lag_us;           /* Of everything. */
    bool parent_replicates;
    bool exact_times; /* What arrives must be a row of the source. */
    uint64_t n_strange;
    struct qr_buf log; /* Host lines that arrived, as text. */
};

static uint64_t pair_mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)((const struct pair *)clock)->now_us / 1000;
}

static int64_t pair_real_us(const struct qr_clock *clock)
{
    return ((const struct pair *)clock)->now_us;
}

static const struct qr_guid pair_guid = {{0x60, 0x35}};

/* ---- the source ---- */

static struct pair_chart *pair_add_chart(struct pair *pair, const char *id, uint32_t update_every,
                                         uint32_t n_dims)
{
    struct pair_chart *c = &pair->charts[pair->n_charts++];
    snprintf(c->text[0], sizeof c->text[0], "%s", id);
    c->def = (struct qr_stream_chart){
        .id = qr_slice_str(c->text[0]),
        .name = qr_slice_str(c->text[0]),
        .title = qr_slice_str("A title"),
        .units = qr_slice_str("things/s"),
        .family = qr_slice_str("family"),
        .context = qr_slice_str("a.context"),
        .plugin = qr_slice_str("plugin"),
        .module = qr_slice_str("module"),
        .type = QR_CHART_AREA,
        .priority = 1000,
        .update_every = update_every,
        .n_dims = n_dims,
        .dims = c->dims,
    };
    static const char *const names[PAIR_DIMS_MAX] = {"abs", "b c", "d", "e", "f", "g", "h", "i"};
    for (uint32_t i = 0; i < PAIR_DIMS_MAX; i++)
        c->dims[i] = (struct qr_stream_dim){
            .id = qr_slice_str(names[i]),
            .name = qr_slice_str(names[i]),
            .algorithm = (enum qr_algorithm)(i % 4),
            .multiplier = (int64_t)i + 1,
            .divisor = 1000,
        };
    c->first_s = PAIR_START_S - PAIR_START_S % update_every + update_every;
    return c;
}

static struct pair_cell *pair_row(struct pair_chart *c, uint32_t i)
{
    if (i >= c->rows_capacity) {
        uint32_t capacity = 2 * i + 64;
        size_t row = PAIR_DIMS_MAX * sizeof(struct pair_cell);
        c->rows = realloc(c->rows, capacity * row);
        c->arrived = realloc(c->arrived, capacity * row);
        assert_non_null(c->rows);
        assert_non_null(c->arrived);
        memset((char *)c->rows + c->rows_capacity * row, 0, (capacity - c->rows_capacity) * row);
        memset((char *)c->arrived + c->rows_capacity * row, 0, (capacity - c->rows_capacity) * row);
        c->rows_capacity = capacity;
    }
    for (; c->n_rows <= i; c->n_rows++)
        for (uint32_t d = 0; d < PAIR_DIMS_MAX; d++)
            c->rows[c->n_rows * PAIR_DIMS_MAX + d].flags = QR_STREAM_EMPTY;
    return c->rows + i * PAIR_DIMS_MAX;
}

static inline void pair_set(struct pair_chart *c, uint32_t i, uint32_t d, double value,
                            uint8_t flags)
{
    struct pair_cell *cell = pair_row(c, i) + d;
    cell->value = value;
    cell->flags = flags;
}

static bool pair_fill_row(struct pair_chart *c, uint32_t i, struct qr_stream_row *row,
                          double *values, uint8_t *flags)
{
    bool any = false;
    for (uint32_t d = 0; d < c->def.n_dims; d++) {
        const struct pair_cell *cell = &c->rows[i * PAIR_DIMS_MAX + d];
        bool empty = (cell->flags & QR_STREAM_EMPTY) != 0;
        values[d] = empty ? (double)NAN : cell->value;
        flags[d] = cell->flags;
        any |= !empty;
    }
    *row = (struct qr_stream_row){.end_s = c->first_s + (int64_t)i * c->def.update_every,
                                  .update_every = c->def.update_every,
                                  .n = c->def.n_dims,
                                  .values = values,
                                  .flags = flags};
    return any;
}

static int64_t pair_end_of(const struct pair_chart *c, uint32_t i)
{
    return c->first_s + (int64_t)i * c->def.update_every;
}

/* Newest row with a value, of those that exist. */
static int64_t pair_newest_s(const struct pair_chart *c)
{
    for (uint32_t i = c->n_visible; i-- > 0;)
        for (uint32_t d = 0; d < c->def.n_dims; d++)
            if (!(c->rows[i * PAIR_DIMS_MAX + d].flags & QR_STREAM_EMPTY))
                return pair_end_of(c, i);
    return 0;
}

static int64_t pair_oldest_s(const struct pair_chart *c)
{
    for (uint32_t i = 0; i < c->n_visible; i++)
        for (uint32_t d = 0; d < c->def.n_dims; d++)
            if (!(c->rows[i * PAIR_DIMS_MAX + d].flags & QR_STREAM_EMPTY))
                return pair_end_of(c, i);
    return 0;
}

/* ---- the child's side ---- */

static void pair_on_send(void *data, struct qr_slice bytes)
{
    struct pair *pair = data;
    assert_int_equal(qr_buf_add(&pair->to_parent, bytes.base, bytes.len), 0);
}

static void pair_define(struct pair *pair, struct pair_chart *c)
{
    const struct qr_sender_definition definition = {
        .chart = &c->def,
        .first_s = pair_oldest_s(c),
        .last_s = pair_newest_s(c),
        .functions = c->functions,
        .n_functions = c->n_functions,
    };
    assert_int_equal(qr_sender_define(pair->sender, &definition, &c->handle), 0);
    c->handle->data = c;
}

static void pair_answer(struct pair *pair, struct pair_chart *c)
{
    int64_t last_s = pair_newest_s(c), given_s = c->replay.after_s;
    uint32_t n = 0;
    bool all = true;
    c->asked = false;
    qr_sender_answer_begin(pair->sender, c->handle);
    for (uint32_t i = 0; i < c->n_visible; i++) {
        double values[PAIR_DIMS_MAX];
        uint8_t flags[PAIR_DIMS_MAX];
        struct qr_stream_row row;
        if (!pair_fill_row(c, i, &row, values, flags) || row.end_s <= c->replay.after_s ||
            row.end_s > c->replay.before_s)
            continue;
        if (n++ == pair->answer_rows_max) {
            all = false;
            break;
        }
        qr_sender_answer_row(pair->sender, &row);
        given_s = row.end_s;
    }
    const struct qr_sender_answer answer = {
        .first_s = pair_oldest_s(c),
        .last_s = last_s,
        .before_s = !all                        ? given_s
                    : c->replay.start_streaming ? last_s
                                                : c->replay.before_s,
        .streaming = c->replay.start_streaming && all,
    };
    qr_sender_answer_end(pair->sender, &answer);
}

static void pair_on_replay(void *data, struct qr_sender_chart *chart,
                           const struct qr_sender_replay *replay)
{
    struct pair_chart *c = chart->data;
    assert_true(c->handle == chart);
    c->asked = true;
    c->replay = *replay;
}

static void pair_on_redefine(void *data, struct qr_sender_chart *chart)
{
    pair_define(data, chart->data);
}

/* ---- the parent's side ---- */

static void pair_on_define(void *data, struct qr_stream_chart *chart)
{
    struct pair *pair = data;
    for (uint32_t i = 0; i < pair->n_charts; i++) {
        struct pair_chart *c = &pair->charts[i];
        if (!qr_slice_equal(c->def.id, chart->id))
            continue;
        chart->data = c;
        c->at_parent = chart;
        c->n_definitions++;
        const struct qr_stream_resume resume = {.watermark_s = c->parent_s};
        assert_int_equal(qr_stream_resume(pair->stream, chart, &resume), 0);
        return;
    }
    fail_msg("a chart that nobody defined");
}

static void pair_on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct pair *pair = data;
    struct pair_chart *c = chart->data;
    int64_t distance = row->end_s - c->first_s;
    bool strange = distance < 0 || distance % c->def.update_every != 0 ||
                   distance / c->def.update_every >= c->n_visible;
    if (strange && pair->exact_times)
        fail_msg("row of %lld, which does not exist", (long long)row->end_s);
    if (strange) {
        pair->n_strange++;
        return;
    }
    struct pair_cell *cells = c->arrived + distance / c->def.update_every * PAIR_DIMS_MAX;
    for (uint32_t d = 0; d < row->n; d++) {
        if (row->flags[d] & QR_STREAM_EMPTY)
            continue;
        if (cells[d].n > 0 && pair->exact_times)
            assert_true(cells[d].value == row->values[d]);
        cells[d].value = row->values[d];
        cells[d].flags = row->flags[d];
        cells[d].replayed = row->replayed;
        cells[d].n++;
    }
    if (row->end_s > c->parent_s)
        c->parent_s = row->end_s;
}

static void pair_on_request(void *data, struct qr_slice line)
{
    struct pair *pair = data;
    assert_int_equal(qr_buf_add(&pair->to_child, line.base, line.len), 0);
}

static void pair_on_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    struct pair *pair = data;
    qr_buf_add_str(&pair->log, "labels");
    for (uint32_t i = 0; i < n; i++)
        qr_buf_printf(&pair->log, " %.*s=%u:%.*s", (int)labels[i].name.len, labels[i].name.base,
                      labels[i].source, (int)labels[i].value.len, labels[i].value.base);
    qr_buf_add_str(&pair->log, "\n");
}

static void pair_on_claimed(void *data, const struct qr_guid *claim_id)
{
    char text[QR_GUID_TEXT_LEN + 1] = "-";
    if (claim_id != NULL)
        qr_guid_format(claim_id, text);
    qr_buf_printf(&((struct pair *)data)->log, "claimed %s\n", text);
}

static void pair_on_variable(void *data, struct qr_stream_chart *chart, struct qr_slice name,
                             double value)
{
    qr_buf_printf(&((struct pair *)data)->log, "variable %.*s %.*s=%g\n",
                  chart != NULL ? (int)chart->id.len : 1, chart != NULL ? chart->id.base : "-",
                  (int)name.len, name.base, value);
}

/* ---- both ---- */

static void pair_connect_sender(struct pair *pair, const struct qr_clock *clock)
{
    const struct qr_sender_config sender_config = {pair->caps, clock, pair_guid, NULL};
    const struct qr_sender_handler sender_handler = {
        .data = pair,
        .send = pair_on_send,
        .replay = pair_on_replay,
        .redefine = pair_on_redefine,
    };
    assert_int_equal(qr_sender_new(&pair->sender, &sender_config, &sender_handler), 0);
}

static inline void pair_connect(struct pair *pair)
{
    pair_connect_sender(pair, &pair->clock);
    const struct qr_stream_handler stream_handler = {
        .data = pair,
        .define = pair_on_define,
        .row = pair_on_row,
        .labels = pair_on_labels,
        .claimed = pair_on_claimed,
        .variable = pair_on_variable,
        .send = pair_on_request,
    };
    const struct qr_stream_config stream_config = {
        .caps = pair->caps,
        .update_every = 1,
        .replication = pair->parent_replicates,
        .replication_period_s = 86400,
        .replication_step_s = 600,
        .clock = &pair->clock,
        .machine_guid = &pair_guid,
    };
    assert_int_equal(qr_stream_new(&pair->stream, &stream_config, &stream_handler), 0);
    enum qr_compression compression = qr_caps_compression(pair->caps);
    pair->decompressor = NULL;
    if (compression != QR_COMPRESSION_NONE)
        assert_int_equal(qr_decompressor_new(&pair->decompressor, compression, NULL), 0);
}

static inline void pair_disconnect(struct pair *pair)
{
    qr_sender_free(pair->sender);
    qr_stream_free(pair->stream);
    qr_decompressor_free(pair->decompressor);
    qr_buf_clear(&pair->to_child);
    qr_buf_clear(&pair->to_parent);
    for (uint32_t i = 0; i < pair->n_charts; i++) {
        pair->charts[i].handle = NULL;
        pair->charts[i].asked = false;
        pair->charts[i].at_parent = NULL;
    }
}

static void pair_open(struct pair *pair, uint32_t caps)
{
    *pair = (struct pair){
        .clock = {pair_mono_ms, pair_real_us},
        .now_us = PAIR_START_S * 1000000,
        .caps = caps,
        .answer_rows_max = UINT32_MAX,
        .lag_us = 150000,
        .parent_replicates = true,
        .exact_times = true,
    };
    qr_buf_init(&pair->to_parent, 0);
    qr_buf_init(&pair->to_child, 0);
    qr_buf_init(&pair->log, 0);
}

static void pair_close(struct pair *pair)
{
    for (uint32_t i = 0; i < pair->n_charts; i++) {
        free(pair->charts[i].rows);
        free(pair->charts[i].arrived);
    }
    qr_buf_release(&pair->to_parent);
    qr_buf_release(&pair->to_child);
    qr_buf_release(&pair->log);
}

static void pair_feed_parent(struct pair *pair)
{
    struct qr_slice in = qr_buf_slice(&pair->to_parent), text = in;
    while (in.len > 0) {
        ssize_t n = (ssize_t)in.len;
        if (pair->decompressor != NULL)
            n = qr_frame_decode(pair->decompressor, in, &text);
        assert_true(n > 0);
        if (qr_stream_feed(pair->stream, text) != 0)
            fail_msg("refused: %s", qr_stream_error_text(pair->stream));
        in = qr_slice_of(in.base + n, in.len - (size_t)n);
    }
    qr_buf_clear(&pair->to_parent);
}

/* Until both have said all. */
static inline void pair_pump(struct pair *pair)
{
    for (int rounds = 0;; rounds++) {
        assert_true(rounds < 100000);
        for (uint32_t i = 0; i < pair->n_charts; i++)
            if (pair->charts[i].asked)
                pair_answer(pair, &pair->charts[i]);
        qr_sender_flush(pair->sender);
        if (pair->to_parent.len == 0 && pair->to_child.len == 0)
            return;
        pair_feed_parent(pair);
        struct qr_buf asked = pair->to_child;
        qr_buf_init(&pair->to_child, 0);
        assert_int_equal(qr_sender_feed(pair->sender, qr_buf_slice(&asked)), 0);
        qr_buf_release(&asked);
    }
}

/* One second passes: rows come to exist and are handed over, if there is a connection. */
static inline void pair_second(struct pair *pair, int64_t t, bool connected)
{
    pair->now_us = t * 1000000 + pair->lag_us;
    for (uint32_t k = 0; k < pair->n_charts; k++) {
        struct pair_chart *c = &pair->charts[k];
        if (t < c->first_s || (t - c->first_s) % c->def.update_every != 0)
            continue;
        uint32_t i = (uint32_t)((t - c->first_s) / c->def.update_every);
        if (i >= c->n_rows)
            continue;
        c->n_visible = i + 1;
        double values[PAIR_DIMS_MAX];
        uint8_t flags[PAIR_DIMS_MAX];
        struct qr_stream_row row;
        if (!pair_fill_row(c, i, &row, values, flags) || !connected)
            continue;
        if (c->handle == NULL)
            pair_define(pair, c);
        if (pair->caps & QR_CAP_REPLICATION)
            pair_pump(pair);
        qr_sender_row(pair->sender, c->handle, &row);
    }
    if (connected)
        pair_pump(pair);
}

#endif
