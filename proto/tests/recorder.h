/* proto/tests/recorder.h — a stream whose handler writes down what it is told, a line an event:
 *
 *   define a.b every=1 dims=x,y
 *   row a.b 100/1 x=1.5 y=2R            (value, then R reset, ! anomalous; '~' stands before the
 *   ~row ...                             row if it was replayed; cells without value are left out)
 *   gap a.b (10,20] 0
 *   refused a.b: <reason>
 *   labels a=1:2 ...      claimed <guid>|-      variable <chart|-> name=value
 *   > REPLAY_CHART ...
 *   function <chart|-> name 10s help      progress 00..01 3/10
 *   payload <status> type expires | payload <json kind>, then "[text]" when it has ended
 */
#ifndef QR_PROTO_TESTS_RECORDER_H
#define QR_PROTO_TESTS_RECORDER_H

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "proto/caps.h"
#include "proto/stream.h"
#include "testing/cmocka.h"

struct recorder {
    struct qr_clock clock; /* First: the false clock's functions cast it back. */
    uint64_t mono_ms;
    int64_t real_us;
    struct qr_stream *stream;
    struct qr_buf log;
    bool resumes;    /* Answer define() from inside it, with `resume`. */
    bool quiet_rows; /* Leave rows out of the log. */
    bool skips;      /* Does not want payloads. */
    struct qr_stream_resume resume;
    struct qr_stream_chart *last; /* Defined last. */
};

static uint64_t recorder_mono_ms(const struct qr_clock *clock)
{
    return ((const struct recorder *)clock)->mono_ms;
}

static int64_t recorder_real_us(const struct qr_clock *clock)
{
    return ((const struct recorder *)clock)->real_us;
}

static void recorder_define(void *data, struct qr_stream_chart *chart)
{
    struct recorder *r = data;
    qr_buf_printf(&r->log, "define %.*s every=%u dims=", (int)chart->id.len, chart->id.base,
                  chart->update_every);
    for (uint32_t i = 0; i < chart->n_dims; i++)
        qr_buf_printf(&r->log, "%s%.*s", i > 0 ? "," : "", (int)chart->dims[i].id.len,
                      chart->dims[i].id.base);
    qr_buf_add_str(&r->log, "\n");
    r->last = chart;
    if (r->resumes)
        assert_int_equal(qr_stream_resume(r->stream, chart, &r->resume), 0);
}

static void recorder_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct recorder *r = data;
    assert_int_equal(row->n, chart->n_dims);
    if (r->quiet_rows)
        return;
    qr_buf_printf(&r->log, "%srow %.*s %lld/%u", row->replayed ? "~" : "", (int)chart->id.len,
                  chart->id.base, (long long)row->end_s, row->update_every);
    for (uint32_t i = 0; i < row->n; i++) {
        if (row->flags[i] & QR_STREAM_EMPTY)
            continue;
        qr_buf_printf(&r->log, " %.*s=%.10g%s%s", (int)chart->dims[i].id.len,
                      chart->dims[i].id.base, row->values[i],
                      row->flags[i] & QR_STREAM_RESET ? "R" : "",
                      row->flags[i] & QR_STREAM_ANOMALOUS ? "!" : "");
    }
    qr_buf_add_str(&r->log, "\n");
}

static void recorder_gap(void *data, struct qr_stream_chart *chart, int64_t after_s,
                         int64_t before_s, enum qr_gap_reason reason)
{
    struct recorder *r = data;
    qr_buf_printf(&r->log, "gap %.*s (%lld,%lld] %d\n", (int)chart->id.len, chart->id.base,
                  (long long)after_s, (long long)before_s, reason);
}

static void recorder_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    struct recorder *r = data;
    qr_buf_add_str(&r->log, "labels");
    for (uint32_t i = 0; i < n; i++)
        qr_buf_printf(&r->log, " %.*s=%u:%.*s", (int)labels[i].name.len, labels[i].name.base,
                      labels[i].source, (int)labels[i].value.len, labels[i].value.base);
    qr_buf_add_str(&r->log, "\n");
}

static void recorder_claimed(void *data, const struct qr_guid *claim_id)
{
    struct recorder *r = data;
    char text[QR_GUID_TEXT_LEN + 1] = "-";
    if (claim_id != NULL)
        qr_guid_format(claim_id, text);
    qr_buf_printf(&r->log, "claimed %s\n", text);
}

static void recorder_variable(void *data, struct qr_stream_chart *chart, struct qr_slice name,
                              double value)
{
    struct recorder *r = data;
    qr_buf_printf(&r->log, "variable %.*s %.*s=%g\n", chart != NULL ? (int)chart->id.len : 1,
                  chart != NULL ? chart->id.base : "-", (int)name.len, name.base, value);
}

static void recorder_send(void *data, struct qr_slice line)
{
    struct recorder *r = data;
    assert_true(line.len > 0 && line.base[line.len - 1] == '\n');
    qr_buf_printf(&r->log, "> %.*s", (int)line.len, line.base);
}

static void recorder_function(void *data, struct qr_stream_chart *chart,
                              const struct qr_function *function)
{
    struct recorder *r = data;
    qr_buf_printf(&r->log, "function %.*s %.*s %us %.*s\n", chart != NULL ? (int)chart->id.len : 1,
                  chart != NULL ? chart->id.base : "-", (int)function->name.len,
                  function->name.base, function->timeout_s, (int)function->help.len,
                  function->help.base);
}

static void recorder_progress(void *data, const struct qr_function_progress *progress)
{
    struct recorder *r = data;
    char text[QR_TRANSACTION_TEXT_LEN + 1];
    qr_transaction_format(&progress->transaction, text);
    qr_buf_printf(&r->log, "progress %s %llu/%llu\n", text, (unsigned long long)progress->done,
                  (unsigned long long)progress->all);
}

static void recorder_refused(void *data, struct qr_slice chart, const char *reason)
{
    struct recorder *r = data;
    qr_buf_printf(&r->log, "refused %.*s: %s\n", (int)chart.len, chart.base, reason);
}

static bool recorder_payload_begin(void *data, const struct qr_payload *payload)
{
    struct recorder *r = data;
    if (r->skips)
        return false;
    if (payload->kind == QR_PAYLOAD_RESULT)
        qr_buf_printf(&r->log, "payload %d %.*s %lld [", payload->result.status,
                      (int)payload->result.content_type.len, payload->result.content_type.base,
                      (long long)payload->result.expires_s);
    else
        qr_buf_printf(&r->log, "payload %.*s [", (int)payload->json.len, payload->json.base);
    return true;
}

static void recorder_payload(void *data, struct qr_slice bytes)
{
    struct recorder *r = data;
    assert_false(r->skips);
    qr_buf_add(&r->log, bytes.base, bytes.len);
}

static void recorder_payload_end(void *data)
{
    struct recorder *r = data;
    assert_false(r->skips);
    qr_buf_add_str(&r->log, "]\n");
}

/* A stream of a child with these capabilities, replication wanted, steps of 600 s, at 1000.2 s. */
static void recorder_open(struct recorder *r, uint32_t caps)
{
    *r = (struct recorder){.clock = {recorder_mono_ms, recorder_real_us},
                           .mono_ms = 5000,
                           .real_us = 1000200000,
                           .resumes = true};
    const struct qr_stream_handler handler = {
        .data = r,
        .define = recorder_define,
        .row = recorder_row,
        .gap = recorder_gap,
        .refused = recorder_refused,
        .labels = recorder_labels,
        .claimed = recorder_claimed,
        .variable = recorder_variable,
        .send = recorder_send,
        .function = recorder_function,
        .progress = recorder_progress,
        .payload_begin = recorder_payload_begin,
        .payload = recorder_payload,
        .payload_end = recorder_payload_end,
    };
    const struct qr_stream_config config = {
        .caps = caps,
        .update_every = 1,
        .replication = true,
        .replication_period_s = 86400,
        .replication_step_s = 600,
        .heal = (caps & QR_CAP_INTERPOLATED) == 0,
        .clock = &r->clock,
    };
    assert_int_equal(qr_stream_new(&r->stream, &config, &handler), 0);
}

static void recorder_close(struct recorder *r)
{
    qr_stream_free(r->stream);
    qr_buf_release(&r->log);
}

/* Feeds text that must be taken, and compares what was written down since the last time. */
static void recorder_expect(struct recorder *r, const char *text, const char *events)
{
    int err = qr_stream_feed(r->stream, qr_slice_str(text));
    if (err != 0)
        fail_msg("refused: %s", qr_stream_error_text(r->stream));
    qr_buf_add_u8(&r->log, 0);
    assert_string_equal(r->log.base, events);
    qr_buf_clear(&r->log);
}

/* Feeds text that must be refused with a sentence that contains `part`. */
static void recorder_refuses(struct recorder *r, const char *text, int err, const char *part)
{
    assert_int_equal(qr_stream_feed(r->stream, qr_slice_str(text)), err);
    if (strstr(qr_stream_error_text(r->stream), part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", qr_stream_error_text(r->stream), part);
    assert_int_equal(qr_stream_feed(r->stream, qr_slice_str("END\n")), err); /* it stays refused */
}

#define CAPS_137 (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_REPLICATION)
#define CAPS_290 (CAPS_137 | QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS)
#define CAPS_V5  (QR_CAP_VN | QR_CAP_HLABELS | QR_CAP_CLABELS)

#endif
