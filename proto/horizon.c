#include "proto/horizon.h"

#include <assert.h>

#include "proto/define.h"

#define SECOND INT64_C(1000000)

void qr_horizon_tick(struct qr_stream *s)
{
    s->horizon_s = s->now_us / SECOND + QR_HORIZON_S;
}

int64_t qr_horizon_clamp(const struct qr_stream *s, int64_t at_s)
{
    return at_s <= s->horizon_s ? at_s : s->now_us / SECOND;
}

static void note_clock(struct qr_stream *s, int64_t at_s)
{
    s->stats.clock_ahead_s = at_s - s->now_us / SECOND;
}

void qr_horizon_heard(struct qr_stream *s, int64_t child_now_s)
{
    if (child_now_s <= 0)
        return;
    note_clock(s, child_now_s);
    s->n_right += child_now_s <= s->horizon_s;
}

static bool refuse(struct qr_stream *s, int64_t end_s)
{
    s->stats.rows_refused++;
    s->stats.rows_ahead++;
    note_clock(s, end_s);
    return true;
}

/* The end of the last row of the chart that was taken, by whoever. */
static int64_t taken_s(const struct qr_stream *s, const struct qr_chart *chart)
{
    const struct qr_replication *r = &chart->replication;
    if (r->newest_s > 0 || chart->watermark_s > 0)
        return r->newest_s > chart->watermark_s ? r->newest_s : chart->watermark_s;
    int64_t now_s = s->now_us / SECOND;
    return r->cursor_s < now_s ? r->cursor_s : now_s; /* The child was asked up to there. */
}

static void go_beyond(struct qr_stream *s, struct qr_chart *chart)
{
    if (chart->beyond)
        return;
    chart->beyond = true;
    chart->beyond_after_s = taken_s(s, chart);
    chart->right_seen = s->n_right;
}

bool qr_horizon_refuses_replayed(struct qr_stream *s, struct qr_chart *chart, int64_t end_s)
{
    if (end_s <= s->horizon_s)
        return false;
    /* The answer to a part, which was asked for because of this, must not ask for another one. */
    if (s->planning && qr_replication_sets_clock(&chart->replication))
        go_beyond(s, chart);
    return refuse(s, end_s);
}

bool qr_horizon_refuses(struct qr_stream *s, struct qr_chart *chart, int64_t end_s)
{
    if (QR_LIKELY(end_s <= s->horizon_s))
        return false;
    go_beyond(s, chart);
    return refuse(s, end_s);
}

void qr_horizon_take(struct qr_stream *s, struct qr_chart *chart, const struct qr_stream_row *row)
{
    if (QR_LIKELY(!chart->beyond))
        return;
    note_clock(s, row->end_s);
    int64_t begin_s = row->end_s - row->update_every;
    /* No memory: the next row asks. */
    chart->beyond = s->planning &&
                    qr_replication_missed(&chart->replication, chart->beyond_after_s, begin_s) != 0;
}

/* ---- the clocks of v1 charts ---- */

static void ask_for_the_clock(struct qr_stream *s, struct qr_chart *chart)
{
    struct qr_replication *r = &chart->replication;
    s->horizon_retry_ms = s->now_ms + QR_HORIZON_RETRY_MS;
    chart->beyond = false; /* The answer has all that is missing. */
    chart->clock_wanted = true;
    qr_replication_definition(r, r->update_every, r->first_s, r->last_s, r->child_now_s);
    const struct qr_stream_resume resume = {.watermark_s = chart->beyond_after_s};
    int err = qr_replication_resume(r, &resume);
    assert(err == 0); /* Without holes nothing is allocated. */
    (void)err;
    qr_define_ask(s, chart);
}

static void ask_if_due(struct qr_stream *s, struct qr_chart *chart)
{
    const struct qr_replication *r = &chart->replication;
    bool is_right = s->n_right != chart->right_seen && s->now_ms >= chart->beyond_retry_ms;
    if (r->phase != QR_REPLICATION_STREAMING || r->kind != QR_REPLICATION_KIND_NONE ||
        !(is_right || s->now_ms >= s->horizon_retry_ms))
        return;
    if (is_right) /* If that does not help, its clock is not what is wrong. */
        chart->beyond_retry_ms = s->now_ms + QR_HORIZON_RETRY_MS_MAX;
    ask_for_the_clock(s, chart);
}

static void take_arrival_clock(struct qr_stream *s, struct qr_chart *chart)
{
    int64_t off_us = chart->arith.last_collected_us - s->now_us;
    if (off_us > QR_HORIZON_S * SECOND || off_us < -QR_HORIZON_S * SECOND)
        chart->arith.sync = true;
}

void qr_horizon_end(struct qr_stream *s, struct qr_chart *chart)
{
    if (!s->planning)
        take_arrival_clock(s, chart);
    else if (QR_UNLIKELY(chart->beyond))
        ask_if_due(s, chart);
}
