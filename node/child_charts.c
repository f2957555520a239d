#include "node/child_charts.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/holes.h"
#include "node/host_info.h"
#include "node/roster.h"
#include "storage/value.h"

/* Definitions of one message; the consensus loop looks at them in one go. */
#define DEFINE_CHARTS_MAX 1024u
#define DEFINE_BYTES_MAX  (4u * 1024 * 1024)
/* Charts looked at in a tick whether their holes are filled, and charts of one message: a worker
 * reads hours of each. */
#define SEEKERS_PER_TICK 256u
#define SEEK_CHARTS_MAX  32u

void qr_child_free_charts(struct session *s)
{
    for (uint32_t i = 0; i < s->n_charts; i++) {
        free(s->charts[i]->places);
        qr_buf_release(&s->charts[i]->held);
        qr_entry_base_release(&s->charts[i]->base);
        free(s->charts[i]);
    }
    free(s->charts);
    free(s->queue);
    free(s->seekers);
    free(s->cells);
    free(s->packed);
}

/* ---- rows ---- */

static uint32_t *grow_cells(uint32_t **cells, uint32_t *capacity, uint32_t n)
{
    if (n > *capacity) {
        uint32_t *grown = realloc(*cells, (size_t)n * 2 * sizeof *grown);
        if (grown == NULL)
            return NULL;
        *cells = grown;
        *capacity = n * 2;
    }
    return *cells;
}

static void put_row(struct session *s, struct session_chart *sc, int64_t end_s,
                    const uint32_t *values, uint32_t n)
{
    uint32_t *cells = grow_cells(&s->cells, &s->cells_capacity, sc->width);
    if (cells == NULL) {
        qr_child_fail(s, "no memory for a row");
        return;
    }
    for (uint32_t i = 0; i < sc->width; i++)
        cells[i] = QR_VALUE_EMPTY;
    for (uint32_t i = 0; i < n && i < sc->n_places; i++)
        cells[sc->places[i]] = values[i];
    int64_t read_at_us = s->conn != NULL ? (int64_t)s->conn->read_at_us : 0;
    if (qr_outbox_row(&s->outbox, &sc->base, sc->id, end_s, cells, sc->width, read_at_us) != 0)
        qr_child_fail(s, "no memory for a row");
}

static void hold_row(struct session *s, struct session_chart *sc, int64_t end_s,
                     const uint32_t *values, uint32_t n)
{
    size_t before = sc->held.len;
    qr_buf_add_u64(&sc->held, (uint64_t)end_s);
    qr_buf_add_u32(&sc->held, n);
    if (qr_buf_add(&sc->held, values, n * sizeof *values) != 0)
        qr_child_fail(s, "no memory for a row");
    s->held_bytes += sc->held.len - before;
}

static void release_held(struct session *s, struct session_chart *sc)
{
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&sc->held));
    while (qr_cursor_left(&in) > 0 && !in.failed) {
        int64_t end_s = (int64_t)qr_cursor_u64(&in);
        uint32_t n = qr_cursor_u32(&in);
        struct qr_slice bytes = qr_cursor_take(&in, n * sizeof(uint32_t));
        uint32_t *values = grow_cells(&s->packed, &s->packed_capacity, n);
        if (values == NULL)
            break;
        memcpy(values, bytes.base, bytes.len);
        put_row(s, sc, end_s, values, n);
    }
    s->held_bytes -= sc->held.len;
    qr_buf_release(&sc->held);
}

static uint32_t pack_cell(double value, uint8_t flags)
{
    if (flags & QR_STREAM_EMPTY)
        return QR_VALUE_EMPTY;
    return qr_value_pack(value, (flags & QR_STREAM_RESET ? QR_VALUE_RESET : 0) |
                                    (flags & QR_STREAM_ANOMALOUS ? QR_VALUE_ANOMALOUS : 0));
}

void qr_child_on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct session *s = data;
    struct session_chart *sc = chart->data;
    uint32_t *values = grow_cells(&s->packed, &s->packed_capacity, row->n + 1);
    if (sc == NULL || values == NULL) {
        qr_child_fail(s, "no memory for a row");
        return;
    }
    if (sc->refused)
        return;
    for (uint32_t i = 0; i < row->n; i++)
        values[i] = pack_cell(row->values[i], row->flags[i]);
    if (!sc->defining && !sc->queued && sc->id != 0)
        put_row(s, sc, row->end_s, values, row->n);
    else
        hold_row(s, sc, row->end_s, values, row->n);
}

/* ---- definitions ---- */

static bool grow_array(void *array, uint32_t *capacity, uint32_t n)
{
    if (n < *capacity)
        return true;
    uint32_t more = *capacity != 0 ? *capacity * 2 : 64;
    void **grown = realloc(*(void ***)array, more * sizeof(void *));
    if (grown == NULL)
        return false;
    *(void ***)array = grown;
    *capacity = more;
    return true;
}

static struct session_chart *chart_of(struct session *s, struct qr_stream_chart *chart)
{
    if (chart->data != NULL)
        return chart->data;
    struct session_chart *sc = calloc(1, sizeof *sc);
    if (sc == NULL || !grow_array(&s->charts, &s->charts_capacity, s->n_charts)) {
        free(sc);
        return NULL;
    }
    sc->chart = chart;
    sc->slot = s->n_charts;
    s->charts[s->n_charts++] = sc;
    chart->data = sc;
    return sc;
}

void qr_child_on_define(void *data, struct qr_stream_chart *chart)
{
    struct session *s = data;
    struct session_chart *sc = chart_of(s, chart);
    if (sc == NULL || !grow_array(&s->queue, &s->queue_capacity, s->n_queue)) {
        qr_child_fail(s, "no memory for a chart");
        return;
    }
    if (!sc->queued)
        s->queue[s->n_queue++] = sc;
    sc->queued = true;
    sc->refused = false; /* There may be room by now. */
}

static void take_places(struct session *s, struct session_chart *sc, struct qr_feed_chart *answer)
{
    free(sc->places);
    sc->places = answer->places;
    answer->places = NULL;
    sc->n_places = answer->n_dims;
    sc->id = answer->chart;
    sc->width = 0;
    for (uint32_t i = 0; i < sc->n_places; i++)
        if (sc->places[i] >= sc->width)
            sc->width = sc->places[i] + 1;
    release_held(s, sc);
}

/* Without an answer to its definition the child does not send it; or it does, in vain. */
static void refuse_chart(struct session *s, struct session_chart *sc, const char *refusal)
{
    char name[128];
    qr_log_escape(name, sizeof name, sc->chart->id);
    qr_ingest_complain(s->ingest, "chart refused child=%s chart=\"%s\" reason=\"%s\"", s->name,
                       name, refusal);
    sc->refused = true;
    s->held_bytes -= sc->held.len;
    qr_buf_release(&sc->held);
}

void qr_child_on_refused(void *data, struct qr_slice chart, const char *reason)
{
    struct session *s = data;
    char name[128];
    qr_log_escape(name, sizeof name, chart);
    qr_ingest_complain(s->ingest, "chart refused child=%s chart=\"%s\" reason=\"%s\"", s->name,
                       name, reason);
}

/* ---- older holes ---- */

/* No more of a node's past than was to be had at first contact: the rest is left to it. */
static struct qr_feed_source source_of(const struct session *s, const struct session_chart *sc)
{
    struct qr_feed_source source = {sc->chart->first_s, s->source_refills};
    int64_t from_s = qr_clock_real_s(qr_ingest_config(s->ingest)->clock) - s->period_s;
    if (source.refills && source.first_s != 0 && source.first_s < from_s)
        source.first_s = from_s;
    return source;
}

/* There may be holes before the oldest of those; without any, where a node tells of late rows. */
static int64_t older_than(const struct session *s, const struct session_chart *sc,
                          const struct qr_feed_chart *answer)
{
    if (answer->n_holes > 0)
        return answer->holes[0].after_s;
    struct qr_feed_source source = source_of(s, sc);
    int64_t searched_s = answer->until_s - QR_HOLES_LOOKBACK_S;
    bool more = sc->has_late && source.first_s != 0 && searched_s > source.first_s;
    return more ? searched_s : 0;
}

static void seek_behind(struct session *s, struct session_chart *sc,
                        const struct qr_feed_chart *answer)
{
    sc->seek_s = older_than(s, sc, answer);
    if (sc->seek_s == 0 || sc->seeker)
        return;
    if (!grow_array(&s->seekers, &s->seekers_capacity, s->n_seekers)) {
        qr_child_fail(s, "no memory to resume a chart");
        return;
    }
    sc->seeker = true;
    s->seekers[s->n_seekers++] = sc;
}

static void take_older_holes(struct session *s, struct session_chart *sc,
                             const struct qr_feed_chart *answer)
{
    if (!sc->seeking)
        return; /* It was resumed meanwhile, and begins anew. */
    sc->seeking = false;
    for (uint32_t i = 0; i < answer->n_holes; i++)
        if (qr_stream_hole(s->stream, sc->chart, &answer->holes[i]) != 0)
            qr_child_fail(s, "no memory for a hole");
    seek_behind(s, sc, answer);
}

static void on_sought(struct qr_feed_define *seek)
{
    struct session *s = seek->feed->session;
    s->seeking = false;
    for (uint32_t i = 0; i < seek->n && !s->failed && s->state == S_STREAMING; i++)
        take_older_holes(s, s->charts[seek->charts[i].slot], &seek->charts[i]);
    qr_feed_define_free(seek);
    qr_child_flush(s);
}

/* Takes seekers whose holes are filled off the list, as many as fit a message, and those that have
 * nothing to look for (any more, or until they are resumed). */
static uint32_t take_seekers(struct session *s, struct session_chart **found)
{
    uint32_t n_found = 0;
    for (uint32_t n = 0; n < SEEKERS_PER_TICK && s->n_seekers > 0 && n_found < SEEK_CHARTS_MAX;
         n++) {
        if (s->next_seeker >= s->n_seekers)
            s->next_seeker = 0;
        struct session_chart *sc = s->seekers[s->next_seeker];
        bool waits = sc->seek_s != 0 && !sc->queued && !sc->defining && !sc->refused;
        if (waits && !qr_stream_is_filled(s->stream, sc->chart)) {
            s->next_seeker++;
            continue;
        }
        s->seekers[s->next_seeker] = s->seekers[--s->n_seekers];
        sc->seeker = false;
        if (waits)
            found[n_found++] = sc;
    }
    return n_found;
}

static struct qr_feed_define *new_seek(struct session *s, struct session_chart **found, uint32_t n)
{
    struct qr_feed_define *seek = calloc(1, sizeof *seek);
    if (seek != NULL)
        seek->charts = calloc(n, sizeof *seek->charts);
    if (seek == NULL || seek->charts == NULL) {
        free(seek);
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct session_chart *sc = found[i];
        sc->seeking = true;
        seek->charts[seek->n++] = (struct qr_feed_chart){
            .slot = sc->slot, .chart = sc->id, .source = source_of(s, sc), .until_s = sc->seek_s};
    }
    return seek;
}

void qr_child_seek_holes(struct session *s)
{
    struct session_chart *found[SEEK_CHARTS_MAX];
    if (s->n_seekers == 0 || s->seeking || s->failed || s->state != S_STREAMING)
        return;
    uint32_t n = take_seekers(s, found);
    if (n == 0)
        return;
    struct qr_feed_define *seek = new_seek(s, found, n);
    if (seek == NULL) {
        qr_child_fail(s, "no memory to look for holes");
        return;
    }
    s->seeking = true;
    seek->feed = &s->feed;
    seek->defined = on_sought;
    qr_roster_seek(qr_ingest_config(s->ingest)->roster, seek);
}

static void resume_chart(struct session *s, struct session_chart *sc, struct qr_feed_chart *answer)
{
    if (answer->status != 0 && answer->refusal == NULL) {
        qr_child_fail(s, qr_strerror(answer->status));
        return;
    }
    sc->defining = false;
    if (sc->queued)
        return; /* it was defined again meanwhile: that answer counts */
    if (answer->refusal != NULL) {
        refuse_chart(s, sc, answer->refusal);
        return;
    }
    sc->has_late = s->source_refills && sc->id != 0; /* Defined again. */
    take_places(s, sc, answer);
    if (s->state != S_STREAMING)
        return;
    struct qr_stream_resume resume = {answer->watermark_s, answer->holes, answer->n_holes};
    if (QR_PLANT(replay_past_watermark) && resume.watermark_s != 0)
        resume.watermark_s += 5;
    if (qr_stream_resume(s->stream, sc->chart, &resume) != 0)
        qr_child_fail(s, "no memory to resume a chart");
    sc->seeking = false;
    seek_behind(s, sc, answer);
}

static void on_defined(struct qr_feed_define *define)
{
    struct session *s = define->feed->session;
    s->defining = false;
    for (uint32_t i = 0; i < define->n && !s->failed; i++)
        resume_chart(s, s->charts[define->charts[i].slot], &define->charts[i]);
    qr_feed_define_free(define);
    qr_child_send_definitions(s);
    qr_child_flush(s);
    qr_child_update_pause(s);
}

/* The first n of the queue, or less if they are long. */
static int fill_define(struct session *s, struct qr_feed_define *define, uint32_t n)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n && bytes < DEFINE_BYTES_MAX; i++) {
        struct session_chart *sc = s->queue[i];
        struct qr_feed_chart *item = &define->charts[define->n++];
        item->slot = sc->slot;
        item->n_dims = sc->chart->n_dims;
        item->update_every = sc->chart->update_every;
        item->source = source_of(s, sc);
        int err = qr_chart_info_encode(&item->body, sc->chart);
        if (err != 0)
            return err;
        bytes += item->body.len;
    }
    return 0;
}

static struct qr_feed_define *new_define(struct session *s, uint32_t n, int *err)
{
    struct qr_feed_define *define = calloc(1, sizeof *define);
    if (define != NULL)
        define->charts = calloc(n, sizeof *define->charts);
    *err = define == NULL || define->charts == NULL ? UV_ENOMEM : fill_define(s, define, n);
    if (*err == 0)
        return define;
    if (define != NULL)
        qr_feed_define_free(define);
    return NULL;
}

/* Definitions that came while others were under way travel as one message, after them. */
void qr_child_send_definitions(struct session *s)
{
    if (s->n_queue == 0 || s->defining || s->failed ||
        (s->state != S_STREAMING && s->state != S_LEAVING))
        return;
    int err;
    uint32_t n = s->n_queue < DEFINE_CHARTS_MAX ? s->n_queue : DEFINE_CHARTS_MAX;
    struct qr_feed_define *define = new_define(s, n, &err);
    if (define == NULL) {
        qr_child_fail(s, qr_strerror(err));
        return;
    }
    n = define->n;
    for (uint32_t i = 0; i < n; i++) {
        s->queue[i]->queued = false;
        s->queue[i]->defining = true;
    }
    s->n_queue -= n;
    memmove(s->queue, s->queue + n, s->n_queue * sizeof(struct session_chart *));
    s->defining = true;
    define->feed = &s->feed;
    define->defined = on_defined;
    qr_roster_define(qr_ingest_config(s->ingest)->roster, define);
}
