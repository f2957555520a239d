#include "proto/define.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/caps.h"
#include "proto/horizon.h"
#include "proto/number.h"

/* ---- asking the child ---- */

void qr_define_send(struct qr_stream *s, const struct qr_chart *chart, bool start_streaming,
                    int64_t after_s, int64_t before_s)
{
    char line[QR_NAME_BYTES_MAX + 128];
    int n = snprintf(line, sizeof line, "REPLAY_CHART \"%.*s\" \"%s\" %lld %lld\n",
                     (int)chart->pub.id.len, chart->pub.id.base, start_streaming ? "true" : "false",
                     (long long)after_s, (long long)before_s);
    assert(n > 0 && (size_t)n < sizeof line); /* ids are bounded */
    if (s->handler.send != NULL)
        s->handler.send(s->handler.data, qr_slice_of(line, (size_t)n));
}

/* In the queue of what it wants, behind those that wait there; or in none. */
static void queue_chart(struct qr_stream *s, struct qr_chart *chart)
{
    enum qr_replication_want want = qr_replication_wants(&chart->replication, s->now_ms);
    if (want == chart->wants)
        return;
    chart->wants = want;
    qr_list_remove(&chart->asking);
    if (want != QR_REPLICATION_WANT_NOTHING)
        qr_list_add_tail(&s->asking[want], &chart->asking);
}

/* Charts of one queue ask in turns, until one must wait. */
static void serve(struct qr_stream *s, enum qr_replication_want want)
{
    struct qr_list *queue = &s->asking[want];
    while (!qr_list_empty(queue)) {
        struct qr_chart *chart = QR_CONTAINER_OF(queue->next, struct qr_chart, asking);
        struct qr_replication_ask a;
        if (qr_replication_next(&chart->replication, s->now_ms, &a))
            qr_define_send(s, chart, a.start_streaming, a.after_s, a.before_s);
        else if (qr_replication_wants(&chart->replication, s->now_ms) == want)
            return;
        queue_chart(s, chart);
    }
}

void qr_define_ask(struct qr_stream *s, struct qr_chart *chart)
{
    queue_chart(s, chart);
    for (unsigned want = 0; want < QR_REPLICATION_WANT_NR; want++)
        serve(s, (enum qr_replication_want)want);
}

static void tell_gap(struct qr_stream *s, struct qr_chart *chart, int64_t after_s, int64_t before_s,
                     enum qr_gap_reason reason)
{
    int64_t now_s = s->now_us / 1000000;
    if (before_s > now_s)
        before_s = now_s; /* What is to come is not missing. */
    if (s->handler.gap != NULL && after_s < before_s)
        s->handler.gap(s->handler.data, &chart->pub, after_s, before_s, reason);
}

void qr_define_on_gap(struct qr_replication *replication, int64_t after_s, int64_t before_s,
                      enum qr_gap_reason reason)
{
    struct qr_chart *chart = replication->data;
    tell_gap(chart->stream, chart, after_s, before_s, reason);
}

void qr_define_tell_past(struct qr_stream *s, struct qr_chart *chart)
{
    if (chart->past_is_told || !chart->resumed || !chart->has_row)
        return;
    chart->past_is_told = true;
    if (chart->watermark_s > 0 && chart->first_row_begin_s > chart->watermark_s)
        tell_gap(s, chart, chart->watermark_s, chart->first_row_begin_s, QR_GAP_NO_REPLICATION);
}

int qr_stream_resume(struct qr_stream *stream, struct qr_stream_chart *pub,
                     const struct qr_stream_resume *resume)
{
    struct qr_chart *chart = QR_CONTAINER_OF(pub, struct qr_chart, pub);
    assert(chart->stream == stream);
    bool first = !chart->resumed;
    chart->watermark_s = resume->watermark_s;
    if (stream->planning) {
        int err = qr_replication_resume(&chart->replication, resume);
        if (err != 0)
            return err;
        chart->resumed = true;
        qr_define_ask(stream, chart);
        return 0;
    }
    chart->resumed = true;
    for (uint32_t i = 0; first && i < resume->n_holes; i++)
        tell_gap(stream, chart, resume->holes[i].after_s, resume->holes[i].before_s,
                 QR_GAP_NO_REPLICATION);
    /* Without replication here, a child that has it must still be told to start. */
    if (chart->waits_for_start) {
        chart->waits_for_start = false;
        qr_define_send(stream, chart, true, 0, 0);
    }
    qr_define_tell_past(stream, chart);
    return 0;
}

bool qr_stream_is_filled(const struct qr_stream *stream, const struct qr_stream_chart *pub)
{
    const struct qr_chart *chart = QR_CONTAINER_OF(pub, const struct qr_chart, pub);
    return !stream->planning || qr_replication_is_filled(&chart->replication);
}

int qr_stream_hole(struct qr_stream *stream, struct qr_stream_chart *pub,
                   const struct qr_stream_hole *hole)
{
    struct qr_chart *chart = QR_CONTAINER_OF(pub, struct qr_chart, pub);
    if (!stream->planning) {
        tell_gap(stream, chart, hole->after_s, hole->before_s, QR_GAP_NO_REPLICATION);
        return 0;
    }
    int err = qr_replication_hole(&chart->replication, hole->after_s, hole->before_s);
    if (err == 0)
        qr_define_ask(stream, chart);
    return err;
}

static int fit_cells(struct qr_stream *s)
{
    if (s->charts.dims_max <= s->n_cells)
        return 0;
    uint32_t n = s->charts.dims_max * 2;
    double *values = realloc(s->values, n * sizeof *values);
    if (values == NULL)
        return UV_ENOMEM;
    s->values = values;
    uint8_t *flags = realloc(s->flags, n);
    if (flags == NULL)
        return UV_ENOMEM;
    s->flags = flags;
    s->n_cells = n;
    return 0;
}

int qr_define_settle(struct qr_stream *s, struct qr_chart *chart)
{
    if (QR_LIKELY(!chart->dirty))
        return 0;
    int err = fit_cells(s);
    if (err != 0)
        return qr_engine_fail(s, err, "no memory for a row");
    chart->dirty = false;
    s->handler.define(s->handler.data, &chart->pub);
    return 0;
}

/* ---- definitions ---- */

static void adopt(struct qr_stream *s, struct qr_chart *chart)
{
    if (chart->stream != NULL)
        return;
    chart->stream = s;
    chart->wants = QR_REPLICATION_WANT_NOTHING;
    qr_list_init(&chart->asking);
    qr_replication_init(&chart->replication, &s->replication);
    chart->replication.data = chart;
}

/* The others go on: one chart too many is no reason to lose a child. */
static int refuse(struct qr_stream *s, struct qr_slice id, const char *reason)
{
    struct qr_chart *chart = qr_charts_find(&s->charts, id);
    if (chart != NULL) {
        adopt(s, chart);
        chart->refused = true;
    }
    s->stats.charts_refused++;
    s->refusing = true;
    s->defining = NULL;
    if (s->handler.refused != NULL)
        s->handler.refused(s->handler.data, id, reason);
    return 0;
}

static int definition_failed(struct qr_stream *s, int err, const char *reason)
{
    return qr_engine_fail(s, err, "%s", reason != NULL ? reason : qr_strerror(err));
}

int qr_define_chart(struct qr_stream *s, struct qr_args args)
{
    if (s->block != QR_BLOCK_NONE)
        return qr_engine_malformed(s, "CHART inside a block of rows");
    struct qr_chart *chart;
    const char *reason = NULL;
    s->defining = NULL;
    s->refusing = false;
    int err = qr_charts_define(&s->charts, args, s->config.update_every, &chart, &reason);
    if (err == QR_E_LIMIT)
        return refuse(s, args.at[0], "the child says more charts than it may have");
    if (err != 0)
        return definition_failed(s, err, reason);
    adopt(s, chart);
    s->defining = chart;
    chart->refused = false;
    qr_label_set_release(&s->chart_labels);
    return 0;
}

int qr_define_dimension(struct qr_stream *s, struct qr_args args)
{
    if (s->refusing)
        return 0;
    if (s->defining == NULL)
        return qr_engine_malformed(s, "DIMENSION without CHART");
    const char *reason = NULL;
    int err = qr_charts_dimension(&s->charts, s->defining, args, &reason);
    if (err == QR_E_LIMIT)
        return refuse(s, s->defining->pub.id, "the child says more dimensions than it may have");
    return err != 0 ? definition_failed(s, err, reason) : 0;
}

int qr_define_clabel(struct qr_stream *s, struct qr_args args)
{
    if (s->refusing)
        return 0;
    if (s->defining == NULL)
        return qr_engine_malformed(s, "CLABEL without CHART");
    int64_t source;
    if (qr_number_int(args.at[2], &source) != 0)
        return qr_engine_malformed(s, "CLABEL with a source that is not a number");
    int err = qr_label_set_add(&s->chart_labels, args.at[0], args.at[1], (unsigned)source);
    return err != 0 ? qr_engine_fail(s, err, "no memory for a label") : 0;
}

int qr_define_clabel_commit(struct qr_stream *s, struct qr_args args)
{
    if (s->refusing)
        return 0;
    if (s->defining == NULL)
        return qr_engine_malformed(s, "CLABEL_COMMIT without CHART");
    if (qr_chart_set_labels(&s->charts, s->defining, &s->chart_labels) == 0)
        return 0;
    qr_label_set_release(&s->chart_labels);
    return refuse(s, s->defining->pub.id, "the child says more labels than it may have");
}

int qr_define_chart_definition_end(struct qr_stream *s, struct qr_args args)
{
    if (s->refusing) {
        s->refusing = false;
        return 0;
    }
    if (s->defining == NULL)
        return qr_engine_malformed(s, "CHART_DEFINITION_END without CHART");
    int64_t times[3];
    for (size_t i = 0; i < 3; i++) {
        if (qr_number_int(args.at[i], &times[i]) != 0)
            return qr_engine_malformed(s, "CHART_DEFINITION_END with a time that is not a number");
        if (times[i] < 0 || times[i] > QR_TIME_S_MAX)
            times[i] = 0;
    }
    qr_horizon_heard(s, times[2]);
    for (size_t i = 0; i < 3; i++)
        times[i] = qr_horizon_clamp(s, times[i]);
    struct qr_chart *chart = s->defining;
    s->defining = NULL;
    chart->pub.first_s = times[0];
    chart->pub.last_s = times[1];
    chart->pub.child_now_s = times[2];
    chart->n_torn = 0;
    chart->torn_after_s = 0;
    chart->torn = false;
    chart->clock_unproven = chart->slipped = false;
    chart->clock_wanted = false;
    if (s->planning)
        qr_replication_definition(&chart->replication, chart->pub.update_every, times[0], times[1],
                                  times[2]);
    else
        chart->waits_for_start = (s->config.caps & QR_CAP_REPLICATION) != 0;
    chart->dirty = true;
    return qr_define_settle(s, chart);
}
