#include "proto/stream.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "proto/caps.h"
#include "proto/define.h"
#include "proto/engine.h"
#include "proto/horizon.h"
#include "proto/keyword.h"
#include "proto/number.h"
#include "proto/rows.h"
#include "proto/words.h"

/* Unanswered requests are looked for this often. */
#define TICK_MS 1000

/* ---- errors ---- */

/* The sentence, the chart and the line. */
int qr_engine_fail(struct qr_stream *s, int code, const char *format, ...)
{
    char sentence[160], chart[100], line[240];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    qr_log_escape(line, sizeof line, s->line);
    if (s->block != QR_BLOCK_NONE)
        snprintf(s->error, sizeof s->error, "%s, chart \"%s\", line %llu: %s", sentence,
                 qr_log_escape(chart, sizeof chart, s->open->pub.id),
                 (unsigned long long)s->stats.lines, line);
    else
        snprintf(s->error, sizeof s->error, "%s, line %llu: %s", sentence,
                 (unsigned long long)s->stats.lines, line);
    return code;
}

int qr_engine_malformed(struct qr_stream *s, const char *sentence)
{
    return qr_engine_fail(s, QR_E_MALFORMED, "%s", sentence);
}

/* ---- the host ---- */

/* A value of several unquoted words is joined again. */
static int on_label(struct qr_stream *s, struct qr_args args)
{
    int64_t source;
    if (qr_number_int(args.at[1], &source) != 0)
        return qr_engine_malformed(s, "LABEL with a source that is not a number");
    struct qr_slice value = qr_args_get(args, 2);
    char joined[QR_NAME_BYTES_MAX];
    size_t len = 0;
    for (size_t i = 2; i < args.n && args.n > 3; i++) {
        if (i > 2 && len < sizeof joined)
            joined[len++] = ' ';
        size_t room = sizeof joined - len;
        size_t n = args.at[i].len < room ? args.at[i].len : room;
        memcpy(joined + len, args.at[i].base, n);
        len += n;
    }
    if (args.n > 3)
        value = qr_slice_of(joined, len);
    int err = qr_label_set_add(&s->host_labels, args.at[0], value, (unsigned)source);
    return err != 0 ? qr_engine_fail(s, err, "no memory for a label") : 0;
}

static int on_overwrite(struct qr_stream *s, struct qr_args args)
{
    if (!qr_slice_is(args.at[0], "labels"))
        return 0;
    if (s->handler.labels != NULL)
        s->handler.labels(s->handler.data, s->host_labels.labels, s->host_labels.n);
    qr_label_set_release(&s->host_labels);
    return 0;
}

static int on_claimed_id(struct qr_stream *s, struct qr_args args)
{
    struct qr_guid machine, claim;
    if (qr_guid_parse(&machine, args.at[0]) != 0)
        return qr_engine_malformed(s, "CLAIMED_ID with a machine_guid that is not a UUID");
    bool claimed = !qr_slice_is(args.at[1], "NULL");
    if (claimed && qr_guid_parse(&claim, args.at[1]) != 0)
        return qr_engine_malformed(s, "CLAIMED_ID with an id that is not a UUID");
    if (s->config.machine_guid != NULL && !qr_guid_equal(&machine, &s->machine_guid))
        return 0;
    if (s->handler.claimed != NULL)
        s->handler.claimed(s->handler.data, claimed ? &claim : NULL);
    return 0;
}

/* VARIABLE [HOST|GLOBAL|CHART|LOCAL] name = value; without a scope, of the chart if there is one.
 */
static int on_variable(struct qr_stream *s, struct qr_args args)
{
    struct qr_chart *chart = s->block != QR_BLOCK_NONE ? s->open : s->defining;
    bool local = qr_slice_is(args.at[0], "CHART") || qr_slice_is(args.at[0], "LOCAL");
    bool global = qr_slice_is(args.at[0], "HOST") || qr_slice_is(args.at[0], "GLOBAL");
    size_t at = args.n > 2 && (local || global) ? 1 : 0;
    double value;
    if (qr_number_double(args.at[at + 1], &value) != 0)
        return qr_engine_malformed(s, "VARIABLE with a value that is not a number");
    if (at == 1 && global)
        chart = NULL;
    else if (at == 1 && chart == NULL)
        return 0; /* Nobody's. */
    if (s->handler.variable != NULL && !isnan(value))
        s->handler.variable(s->handler.data, chart != NULL ? &chart->pub : NULL, args.at[at],
                            value);
    return 0;
}

/* ---- functions ---- */

/* One that cannot be understood is not offered, as stock parents have it. */
static int on_function(struct qr_stream *s, struct qr_args args)
{
    struct qr_function function;
    if (qr_function_parse(&function, args) != 0) {
        s->stats.lines_unknown++;
        return 0;
    }
    struct qr_chart *chart = function.global ? NULL : s->defining;
    if (s->handler.function != NULL)
        s->handler.function(s->handler.data, chart != NULL ? &chart->pub : NULL, &function);
    return 0;
}

static int on_function_progress(struct qr_stream *s, struct qr_args args)
{
    struct qr_function_progress progress;
    if (qr_function_progress_parse(&progress, args) != 0)
        s->stats.lines_unknown++;
    else if (s->handler.progress != NULL)
        s->handler.progress(s->handler.data, &progress);
    return 0;
}

/* ---- payloads: any text, up to a line that is the end keyword ---- */

static void begin_payload(struct qr_stream *s, const struct qr_payload *payload, const char *end)
{
    s->payload_end = qr_slice_str(end);
    s->payload_bytes = 0;
    s->payload_line_open = s->payload_newline = false;
    s->payload_wanted =
        s->handler.payload_begin != NULL && s->handler.payload_begin(s->handler.data, payload);
    s->lines.split = true;
}

static int on_function_result_begin(struct qr_stream *s, struct qr_args args)
{
    struct qr_payload payload = {.kind = QR_PAYLOAD_RESULT};
    qr_function_result_parse(&payload.result, args);
    begin_payload(s, &payload, "FUNCTION_RESULT_END");
    return 0;
}

static int on_json(struct qr_stream *s, struct qr_args args)
{
    const struct qr_payload payload = {.kind = QR_PAYLOAD_JSON, .json = args.at[0]};
    begin_payload(s, &payload, "JSON_PAYLOAD_END");
    return 0;
}

static void end_payload(struct qr_stream *s)
{
    s->payload_end = qr_slice_of(NULL, 0);
    s->lines.split = false;
    if (s->payload_wanted && s->handler.payload_end != NULL)
        s->handler.payload_end(s->handler.data);
}

static bool is_payload_end(const struct qr_stream *s, struct qr_slice line)
{
    struct qr_slice end = s->payload_end;
    return !s->payload_line_open && !s->lines.more && line.len >= end.len &&
           memcmp(line.base, end.base, end.len) == 0 &&
           (line.len == end.len || line.base[end.len] == ' ' || line.base[end.len] == '\r');
}

/* Senders put a newline before the end keyword, which is no part of the payload. */
static int take_payload(struct qr_stream *s, struct qr_slice line)
{
    if (is_payload_end(s, line)) {
        end_payload(s);
        return 0;
    }
    s->payload_bytes += line.len + 1;
    if (s->payload_bytes > QR_PAYLOAD_BYTES_MAX)
        return qr_engine_fail(s, QR_E_LIMIT, "a payload does not end");
    if (s->payload_wanted && s->handler.payload != NULL) {
        if (s->payload_newline)
            s->handler.payload(s->handler.data, qr_slice_of("\n", 1));
        s->handler.payload(s->handler.data, line);
    }
    s->payload_line_open = s->lines.more;
    s->payload_newline = !s->lines.more;
    return 0;
}

/* ---- lines ---- */

static int (*const handlers[QR_KEYWORD_NR])(struct qr_stream *, struct qr_args) = {
    [QR_KEYWORD_BEGIN] = qr_rows_begin,
    [QR_KEYWORD_SET] = qr_rows_set,
    [QR_KEYWORD_END] = qr_rows_end,
    [QR_KEYWORD_BEGIN2] = qr_rows_begin2,
    [QR_KEYWORD_SET2] = qr_rows_set2,
    [QR_KEYWORD_END2] = qr_rows_end2,
    [QR_KEYWORD_RBEGIN] = qr_rows_rbegin,
    [QR_KEYWORD_RSET] = qr_rows_rset,
    [QR_KEYWORD_RDSTATE] = qr_rows_rdstate,
    [QR_KEYWORD_RSSTATE] = qr_rows_rsstate,
    [QR_KEYWORD_REND] = qr_rows_rend,
    [QR_KEYWORD_CHART] = qr_define_chart,
    [QR_KEYWORD_DIMENSION] = qr_define_dimension,
    [QR_KEYWORD_CLABEL] = qr_define_clabel,
    [QR_KEYWORD_CLABEL_COMMIT] = qr_define_clabel_commit,
    [QR_KEYWORD_CHART_DEFINITION_END] = qr_define_chart_definition_end,
    [QR_KEYWORD_LABEL] = on_label,
    [QR_KEYWORD_OVERWRITE] = on_overwrite,
    [QR_KEYWORD_CLAIMED_ID] = on_claimed_id,
    [QR_KEYWORD_VARIABLE] = on_variable,
    [QR_KEYWORD_FUNCTION] = on_function,
    [QR_KEYWORD_FUNCTION_PROGRESS] = on_function_progress,
    [QR_KEYWORD_FUNCTION_RESULT_BEGIN] = on_function_result_begin,
    [QR_KEYWORD_JSON] = on_json,
};

/* The keyword of a line; blanks may stand before it. */
static enum qr_keyword keyword_of(struct qr_slice line, bool *is_blank)
{
    const char *p = line.base, *end = line.base + line.len;
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
        p++;
    *is_blank = p == end;
    const char *start = p;
    while (p < end && *p != ' ' && *p != '\t' && *p != '\r')
        p++;
    return qr_keyword_find(qr_slice_of(start, (size_t)(p - start)));
}

static bool is_slot(struct qr_slice word)
{
    return word.len > 5 && memcmp(word.base, "SLOT:", 5) == 0;
}

/* A block of a chart that was refused, up to its end. */
static int skip_line(struct qr_stream *s, enum qr_keyword keyword)
{
    if (keyword == QR_KEYWORD_END || keyword == QR_KEYWORD_END2 || keyword == QR_KEYWORD_REND)
        s->block = QR_BLOCK_NONE;
    return 0;
}

static int take_line(struct qr_stream *s, struct qr_slice line)
{
    s->stats.lines++;
    s->line = line;
    if (s->payload_end.len > 0)
        return take_payload(s, line);
    if ((s->block == QR_BLOCK_V1 && qr_rows_try_set(s, line)) ||
        (s->block == QR_BLOCK_V2 && qr_rows_try_set2(s, line)))
        return 0;

    bool is_blank;
    enum qr_keyword keyword = keyword_of(line, &is_blank);
    if (keyword == QR_KEYWORD_UNKNOWN) {
        s->stats.lines_unknown += !is_blank;
        return 0;
    }
    if (s->block == QR_BLOCK_SKIPPED)
        return skip_line(s, keyword);
    struct qr_words words;
    int err = qr_words_split(&words, line);
    if (err != 0)
        return qr_engine_fail(s, err, err == QR_E_LIMIT ? "too many words" : "a NUL byte");
    const struct qr_keyword_row *row = &qr_keyword_rows[keyword];
    size_t skip = row->slot && words.n > 1 && is_slot(words.at[1]) ? 2 : 1;
    struct qr_args args = {words.at + skip, words.n - skip};
    if (args.n < row->words_min)
        return qr_engine_fail(s, QR_E_MALFORMED, "%s needs %u words", row->name, row->words_min);
    return handlers[keyword](s, args);
}

/* ---- the stream ---- */

int qr_stream_new(struct qr_stream **stream, const struct qr_stream_config *config,
                  const struct qr_stream_handler *handler)
{
    assert(handler->define != NULL);
    assert(handler->row != NULL);
    assert(config->update_every >= 1);
    struct qr_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    qr_lines_init(&s->lines);
    for (unsigned want = 0; want < QR_REPLICATION_WANT_NR; want++)
        qr_list_init(&s->asking[want]);
    s->config = *config;
    s->handler = *handler;
    s->planning = config->replication && (config->caps & QR_CAP_REPLICATION) != 0;
    s->replication = (struct qr_replication_config){
        .period_s = config->replication_period_s,
        .step_s = config->replication_step_s,
        .heal = config->heal,
        .pace = &s->pace,
        .gap = qr_define_on_gap,
    };
    if (config->machine_guid != NULL)
        s->machine_guid = *config->machine_guid;
    s->now_us = qr_clock_real_us(config->clock);
    s->now_ms = qr_clock_mono_ms(config->clock);
    qr_horizon_tick(s);
    s->ticked_ms = s->now_ms;
    s->lag_us = s->lag_before_us = INT64_MAX;
    s->lag_since_ms = s->now_ms;
    *stream = s;
    return 0;
}

void qr_stream_free(struct qr_stream *stream)
{
    if (stream == NULL)
        return;
    qr_lines_release(&stream->lines);
    qr_charts_release(&stream->charts);
    qr_label_set_release(&stream->host_labels);
    qr_label_set_release(&stream->chart_labels);
    free(stream->values);
    free(stream->flags);
    free(stream);
}

static void ask_again(struct qr_stream *s)
{
    s->ticked_ms = s->now_ms;
    for (uint32_t i = 0; s->planning && i < s->charts.n; i++)
        if (qr_replication_deadline_ms(&s->charts.at[i]->replication) <= s->now_ms)
            qr_define_ask(s, s->charts.at[i]);
}

void qr_stream_tick(struct qr_stream *stream)
{
    stream->now_us = qr_clock_real_us(stream->config.clock);
    stream->now_ms = qr_clock_mono_ms(stream->config.clock);
    qr_horizon_tick(stream);
    if (stream->failed != 0)
        return;
    if (stream->torn != NULL)
        qr_rows_ask_for_rests(stream);
    if (stream->now_ms - stream->ticked_ms >= TICK_MS)
        ask_again(stream);
}

int qr_stream_feed(struct qr_stream *stream, struct qr_slice text)
{
    if (stream->failed != 0)
        return stream->failed;
    qr_stream_tick(stream);
    qr_lines_feed(&stream->lines, text);
    struct qr_slice line;
    int n = 0, err = 0;
    while (err == 0 && (n = qr_lines_next(&stream->lines, &line)) > 0)
        err = take_line(stream, line);
    if (err == 0 && n < 0) {
        stream->line = qr_slice_of("", 0);
        err = qr_engine_fail(stream, n, "%s",
                             n == QR_E_LIMIT ? "a line is too long" : qr_strerror(n));
    }
    stream->line = qr_slice_of("", 0);
    stream->failed = err;
    return err;
}

const char *qr_stream_error_text(const struct qr_stream *stream)
{
    return stream->error;
}

void qr_stream_get_stats(const struct qr_stream *stream, struct qr_stream_stats *stats)
{
    *stats = stream->stats;
    stats->asks_outstanding = stream->pace.n_outstanding;
    stats->labels_dropped = stream->host_labels.n_dropped + stream->chart_labels.n_dropped;
    stats->charts = stream->charts.n;
    for (uint32_t i = 0; i < stream->charts.n; i++) {
        enum qr_replication_phase phase = stream->charts.at[i]->replication.phase;
        stats->replay_left_s += (uint64_t)qr_replication_left_s(&stream->charts.at[i]->replication);
        stats->charts_replicating +=
            phase == QR_REPLICATION_WAITING || phase == QR_REPLICATION_ASKING;
    }
}
