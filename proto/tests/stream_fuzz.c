/* A child may say anything, in pieces of any size.  The first bytes choose its capabilities and the
 * sizes of the pieces; a clock that jumps and an owner that resumes late are part of it.
 *
 * Checked: rows are as wide as the chart, a value or EMPTY; the state after an error stays; the
 * stream that ends anywhere is freed whole (sanitizers). */
#include "proto/stream.h"

#include <math.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proto/caps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct owner {
    struct qr_clock clock; /* First: the false clock casts it back. */
    int64_t now_us;
    struct qr_stream *stream;
    bool is_late, in_payload;
    struct qr_stream_chart *charts[8];
    size_t n_charts;
};

static uint64_t mono_ms(const struct qr_clock *clock)
{
    return (uint64_t)((const struct owner *)clock)->now_us / 1000;
}

static int64_t real_us(const struct qr_clock *clock)
{
    return ((const struct owner *)clock)->now_us;
}

static void resume(struct owner *owner, struct qr_stream_chart *chart)
{
    const struct qr_stream_hole holes[] = {{chart->first_s, chart->first_s + 10}, {100, 200}};
    const struct qr_stream_resume from = {
        .watermark_s = chart->last_s > 300 ? chart->last_s - 60 : 0,
        .holes = holes,
        .n_holes = chart->n_dims % 3,
    };
    if (qr_stream_resume(owner->stream, chart, &from) != 0)
        abort();
}

static void check_name(struct qr_slice name)
{
    if (name.len == 0 || name.len > QR_NAME_BYTES_MAX)
        abort();
}

static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct owner *owner = data;
    check_name(chart->id);
    check_name(chart->name);
    if (chart->update_every < 1 || chart->update_every > QR_UPDATE_EVERY_MAX)
        abort();
    for (uint32_t i = 0; i < chart->n_dims; i++) {
        check_name(chart->dims[i].id);
        check_name(chart->dims[i].name);
        if (chart->dims[i].divisor == 0)
            abort();
    }
    for (uint32_t i = 0; i < chart->n_labels; i++)
        if (chart->labels[i].source > 15)
            abort();
    if (!owner->is_late)
        resume(owner, chart);
    else if (owner->n_charts < 8)
        owner->charts[owner->n_charts++] = chart;
}

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    bool any = false;
    if (row->n != chart->n_dims || row->end_s <= 0 || row->update_every == 0)
        abort();
    for (uint32_t i = 0; i < row->n; i++) {
        bool empty = (row->flags[i] & QR_STREAM_EMPTY) != 0;
        if (empty ? !isnan(row->values[i]) : !isfinite(row->values[i]))
            abort();
        any |= !empty;
    }
    if (!any)
        abort();
}

static void on_gap(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                   enum qr_gap_reason reason)
{
    if (after_s >= before_s)
        abort();
}

static void on_send(void *data, struct qr_slice line)
{
    if (line.len < 20 || line.base[line.len - 1] != '\n' ||
        memchr(line.base, '\n', line.len - 1) != NULL)
        abort();
}

static bool on_payload_begin(void *data, const struct qr_payload *payload)
{
    struct owner *owner = data;
    if (owner->in_payload)
        abort();
    owner->in_payload =
        payload->kind == QR_PAYLOAD_JSON ? payload->json.len > 3 : payload->result.status == 200;
    return owner->in_payload;
}

static void on_payload(void *data, struct qr_slice bytes)
{
    if (!((struct owner *)data)->in_payload || bytes.len > QR_LINE_BYTES_MAX)
        abort();
}

static void on_payload_end(void *data)
{
    if (!((struct owner *)data)->in_payload)
        abort();
    ((struct owner *)data)->in_payload = false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct owner owner = {.clock = {mono_ms, real_us}, .now_us = 1795405140000000};
    owner.is_late = (data[0] & 1) != 0;
    const struct qr_stream_handler handler = {.data = &owner,
                                              .define = on_define,
                                              .row = on_row,
                                              .gap = on_gap,
                                              .send = on_send,
                                              .payload_begin = on_payload_begin,
                                              .payload = on_payload,
                                              .payload_end = on_payload_end};
    const struct qr_stream_config config = {
        .caps = (data[0] & 2 ? QR_CAP_REPLICATION : 0) | (data[0] & 4 ? QR_CAP_INTERPOLATED : 0),
        .update_every = 1,
        .replication = (data[0] & 8) == 0,
        .replication_period_s = 86400,
        .replication_step_s = 600,
        .heal = (data[0] & 4) == 0,
        .clock = &owner.clock,
    };
    if (qr_stream_new(&owner.stream, &config, &handler) != 0)
        abort();
    size_t piece = 1 + data[1] * 16u;
    int err = 0;
    for (size_t at = 2; at < size; at += piece) {
        int before = err;
        err = qr_stream_feed(owner.stream,
                             qr_slice_of(data + at, size - at < piece ? size - at : piece));
        if ((before != 0 && err != before) ||
            (err != 0 && qr_stream_error_text(owner.stream)[0] == '\0'))
            abort();
        owner.now_us += 1 + (int64_t)data[at] * 20000;
        while (owner.n_charts > 0 && err == 0)
            resume(&owner, owner.charts[--owner.n_charts]);
    }
    struct qr_stream_stats stats;
    qr_stream_get_stats(owner.stream, &stats);
    qr_stream_free(owner.stream);
    return 0;
}
