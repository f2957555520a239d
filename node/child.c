#include "node/child.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/feed.h"
#include "node/host_info.h"
#include "node/ingest.h"
#include "node/outbox.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/stream.h"
#include "storage/value.h"

#define HELD_BYTES_MAX (1024u * 1024)
/* Text is parsed in pieces, between which the session looks whether it must wait: 16 bytes of it
 * can make a row of 256 KiB. */
#define PIECE_BYTES 2048u
/* Definitions of one message; the consensus loop looks at them in one go. */
#define DEFINE_CHARTS_MAX 1024u
/* Netdata's parents close a stream that was silent for 600 s. */
#define SILENCE_MS 600000

enum state { S_HANDSHAKE, S_ATTACHING, S_STREAMING, S_LEAVING, S_CLOSING, S_NR };

#define TO(state) (1u << (state))
static const struct {
    const char *name;
    unsigned next;
} states[S_NR] = {
    [S_HANDSHAKE] = {"handshake", TO(S_ATTACHING) | TO(S_CLOSING)},
    [S_ATTACHING] = {"attaching", TO(S_STREAMING) | TO(S_CLOSING)},
    [S_STREAMING] = {"streaming", TO(S_LEAVING) | TO(S_CLOSING)},
    [S_LEAVING] = {"leaving", TO(S_CLOSING)},
    [S_CLOSING] = {"closing", 0},
};

/* A chart of this connection, behind qr_stream_chart.data. */
struct session_chart {
    struct qr_stream_chart *chart;
    uint32_t slot; /* Among the session's charts. */
    uint32_t id;   /* The catalog's; 0 until defined. */
    uint32_t n_places;
    uint32_t width; /* Cells of a row in the log. */
    uint32_t *places;
    bool refused;              /* There are too many: its rows are dropped. */
    bool queued;               /* To be defined, ... */
    bool defining;             /* ... or asked for: rows wait for the answer. */
    struct qr_buf held;        /* Rows that wait: i64 end, u32 n, n values. */
    struct qr_entry_base base; /* Its last row in the log; zeros in a new session. */
};

struct session {
    struct qr_child child;
    struct qr_ingest *ingest;
    struct qr_conn *conn; /* NULL once closed. */
    enum state state;
    struct qr_handshake handshake;
    struct qr_feed feed;
    bool in_roster; /* attach was posted: the roster owns the end of the feed */
    struct qr_stream *stream;
    struct qr_decompressor *decompressor; /* NULL: plain text */
    struct qr_slice frame_text;           /* Of the frame in work, not parsed yet; the decoder's. */
    size_t frame_bytes;                   /* That frame's, at the front of the input. */
    struct qr_outbox outbox;
    char name[128];         /* Its hostname, escaped for the log. */
    struct qr_buf to_child; /* Lines of one turn, sent in one write. */
    struct session_chart **charts;
    uint32_t n_charts, charts_capacity;
    struct session_chart **queue; /* To be defined. */
    uint32_t n_queue, queue_capacity;
    bool defining; /* A define message is under way: one at a time, so that the log gets
                    * definitions of a chart in the child's order. */
    size_t held_bytes;
    uint32_t *cells; /* Scratch for one row. */
    uint32_t cells_capacity;
    uint32_t *packed;
    uint32_t packed_capacity;
    uint64_t last_rows, last_replayed;
    struct qr_feed_note *note; /* What is to be noted at the next tick, or NULL. */
    struct qr_guid claim;
    bool claimed, waits_for_credit, failed;
};

static struct session *session_of(struct qr_child *child)
{
    return QR_CONTAINER_OF(child, struct session, child);
}

static void enter(struct session *s, enum state next)
{
    assert((states[s->state].next & TO(next)) != 0);
    qr_debug("child %s -> %s peer=%s", states[s->state].name, states[next].name, s->feed.peer);
    s->state = next;
}

/* ---- the end ---- */

static void free_session(struct session *s)
{
    for (uint32_t i = 0; i < s->n_charts; i++) {
        free(s->charts[i]->places);
        qr_buf_release(&s->charts[i]->held);
        qr_entry_base_release(&s->charts[i]->base);
        free(s->charts[i]);
    }
    free(s->charts);
    free(s->queue);
    free(s->cells);
    free(s->packed);
    qr_stream_free(s->stream);
    qr_decompressor_free(s->decompressor);
    qr_outbox_release(&s->outbox);
    if (s->note != NULL)
        qr_buf_release(&s->note->host_body);
    free(s->note);
    qr_buf_release(&s->to_child);
    qr_buf_release(&s->feed.host_body);
    qr_handshake_release(&s->handshake);
    free(s);
}

static void on_detached(struct qr_feed *feed)
{
    struct session *s = feed->session;
    qr_ingest_child_gone(s->ingest, &s->child);
    free_session(s);
}

static void send_note(struct session *s)
{
    if (s->note != NULL)
        qr_roster_note(qr_ingest_config(s->ingest)->roster, s->note);
    s->note = NULL;
}

static void detach(struct session *s)
{
    enter(s, S_CLOSING);
    if (!s->failed)
        send_note(s);
    qr_roster_detach(qr_ingest_config(s->ingest)->roster, &s->feed);
}

/* The connection is gone; what it said before stays until the log has it. */
static void leave_when_done(struct session *s)
{
    bool waits = s->outbox.bytes > 0 || (s->held_bytes > 0 && (s->defining || s->n_queue > 0));
    if (s->failed || !waits)
        detach(s);
}

static void count_rows(struct session *s);

static void on_conn_closed(struct qr_conn *conn)
{
    struct session *s = conn->owner;
    s->conn = NULL;
    if (!s->in_roster) {
        free_session(s);
        return;
    }
    if (s->state != S_STREAMING) {
        detach(s);
        return;
    }
    if (!s->failed)
        qr_info("child left child=%s peer=%s", s->name, s->feed.peer);
    count_rows(s);
    enter(s, S_LEAVING);
    qr_ingest_flush(s->ingest);
    leave_when_done(s);
}

/* What the session has not sent yet is given up: it is fenced, or cannot go on. */
static void close_session(struct session *s, const char *reason)
{
    bool was_failed = s->failed;
    s->failed = true;
    if (s->state == S_LEAVING) {
        detach(s);
        return;
    }
    if (s->conn == NULL || s->conn->closing || was_failed)
        return;
    qr_info("child closed child=%s peer=%s reason=\"%s\"", s->name, s->feed.peer, reason);
    qr_conn_close(s->conn);
}

void qr_child_close(struct qr_child *child, const char *reason)
{
    close_session(session_of(child), reason);
}

/* ---- to the child ---- */

static void on_send(void *data, struct qr_slice line)
{
    struct session *s = data;
    qr_buf_add(&s->to_child, line.base, line.len);
}

static void flush_to_child(struct session *s)
{
    if (s->to_child.len == 0 || s->conn == NULL)
        return;
    qr_conn_write(s->conn, qr_buf_slice(&s->to_child));
    qr_buf_clear(&s->to_child);
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
        close_session(s, "no memory for a row");
        return;
    }
    for (uint32_t i = 0; i < sc->width; i++)
        cells[i] = QR_VALUE_EMPTY;
    for (uint32_t i = 0; i < n && i < sc->n_places; i++)
        cells[sc->places[i]] = values[i];
    int64_t read_at_us = s->conn != NULL ? (int64_t)s->conn->read_at_us : 0;
    if (qr_outbox_row(&s->outbox, &sc->base, sc->id, end_s, cells, sc->width, read_at_us) != 0)
        close_session(s, "no memory for a row");
}

static void hold_row(struct session *s, struct session_chart *sc, int64_t end_s,
                     const uint32_t *values, uint32_t n)
{
    size_t before = sc->held.len;
    qr_buf_add_u64(&sc->held, (uint64_t)end_s);
    qr_buf_add_u32(&sc->held, n);
    if (qr_buf_add(&sc->held, values, n * sizeof *values) != 0)
        close_session(s, "no memory for a row");
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

static void on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row)
{
    struct session *s = data;
    struct session_chart *sc = chart->data;
    uint32_t *values = grow_cells(&s->packed, &s->packed_capacity, row->n + 1);
    if (sc == NULL || values == NULL) {
        close_session(s, "no memory for a row");
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

struct qr_entry_block *qr_child_seal(struct qr_child *child, int64_t *oldest_us)
{
    struct session *s = session_of(child);
    if ((s->state != S_STREAMING && s->state != S_LEAVING) || s->failed)
        return NULL;
    struct qr_entry_block *block = qr_outbox_first(&s->outbox, oldest_us);
    if (block == NULL)
        return NULL;
    block->host = s->feed.host;
    block->epoch = s->feed.epoch;
    block->block_seq = s->feed.block_seq + 1;
    return block;
}

void qr_child_sealed(struct qr_child *child)
{
    struct session *s = session_of(child);
    s->feed.block_seq++;
    qr_outbox_pop(&s->outbox);
}

/* Is more than the log takes now, or more than may wait for definitions, here already? */
static bool must_wait(struct session *s)
{
    if (qr_ingest_grown(s->ingest, s->outbox.bytes, qr_child_replicating(&s->child) != 0))
        s->waits_for_credit = true;
    return s->waits_for_credit || s->held_bytes > HELD_BYTES_MAX;
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

static void on_define(void *data, struct qr_stream_chart *chart)
{
    struct session *s = data;
    struct session_chart *sc = chart_of(s, chart);
    if (sc == NULL || !grow_array(&s->queue, &s->queue_capacity, s->n_queue)) {
        close_session(s, "no memory for a chart");
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

static void resume_chart(struct session *s, struct session_chart *sc, struct qr_feed_chart *answer)
{
    if (answer->status != 0 && answer->refusal == NULL) {
        close_session(s, qr_strerror(answer->status));
        return;
    }
    sc->defining = false;
    if (sc->queued)
        return; /* it was defined again meanwhile: that answer counts */
    if (answer->refusal != NULL) {
        refuse_chart(s, sc, answer->refusal);
        return;
    }
    take_places(s, sc, answer);
    if (s->state != S_STREAMING)
        return;
    struct qr_stream_resume resume = {answer->watermark_s, answer->holes, answer->n_holes};
    if (QR_PLANT(replay_past_watermark) && resume.watermark_s != 0)
        resume.watermark_s += 5;
    if (qr_stream_resume(s->stream, sc->chart, &resume) != 0)
        close_session(s, "no memory to resume a chart");
}

static void update_pause(struct session *s)
{
    if (s->conn == NULL)
        return;
    if (must_wait(s))
        qr_conn_pause(s->conn);
    else
        qr_conn_resume(s->conn);
}

static void send_definitions(struct session *s);

static void on_defined(struct qr_feed_define *define)
{
    struct session *s = define->feed->session;
    s->defining = false;
    for (uint32_t i = 0; i < define->n && !s->failed; i++)
        resume_chart(s, s->charts[define->charts[i].slot], &define->charts[i]);
    qr_feed_define_free(define);
    send_definitions(s);
    flush_to_child(s);
    update_pause(s);
}

static int fill_define(struct session *s, struct qr_feed_define *define, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct session_chart *sc = s->queue[i];
        struct qr_feed_chart *item = &define->charts[define->n++];
        item->slot = sc->slot;
        item->n_dims = sc->chart->n_dims;
        item->update_every = sc->chart->update_every;
        item->child_first_s = sc->chart->first_s;
        int err = qr_chart_info_encode(&item->body, sc->chart);
        if (err != 0)
            return err;
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
static void send_definitions(struct session *s)
{
    if (s->n_queue == 0 || s->defining || s->failed ||
        (s->state != S_STREAMING && s->state != S_LEAVING))
        return;
    int err;
    uint32_t n = s->n_queue < DEFINE_CHARTS_MAX ? s->n_queue : DEFINE_CHARTS_MAX;
    struct qr_feed_define *define = new_define(s, n, &err);
    if (define == NULL) {
        close_session(s, qr_strerror(err));
        return;
    }
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

/* ---- notes ---- */

/* A child says some things of each of its charts, and its labels line by line: they are gathered,
 * and one entry a tick tells the log. */
static struct qr_feed_note *note_of(struct session *s)
{
    if (s->note == NULL)
        s->note = calloc(1, sizeof *s->note);
    if (s->note != NULL)
        s->note->feed = &s->feed;
    return s->note;
}

static void on_gap(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                   enum qr_gap_reason reason)
{
    struct session *s = data;
    struct session_chart *sc = chart->data;
    if (sc == NULL || sc->id == 0 || s->state != S_STREAMING || QR_PLANT(gap_not_recorded))
        return;
    struct qr_feed_note *note = note_of(s);
    if (note == NULL)
        return; /* it will be asked for again, that is all */
    note->gaps[note->n_gaps++] = (struct qr_gap){sc->id, after_s, before_s, (uint8_t)reason};
    if (note->n_gaps == QR_NOTE_GAPS_MAX)
        send_note(s);
}

static void on_labels(void *data, const struct qr_stream_label *labels, uint32_t n)
{
    struct session *s = data;
    struct qr_feed_note *note = note_of(s);
    struct qr_buf body = {0};
    if (note == NULL ||
        qr_host_info_encode(&body, &s->handshake, labels, n, s->claimed ? &s->claim : NULL) != 0) {
        qr_buf_release(&body);
        return;
    }
    qr_buf_release(&note->host_body);
    note->host_body = body;
}

static void on_claimed(void *data, const struct qr_guid *claim)
{
    struct session *s = data;
    s->claimed = claim != NULL;
    if (claim != NULL)
        s->claim = *claim;
}

static void on_variable(void *data, struct qr_stream_chart *chart, struct qr_slice name,
                        double value)
{
    (void)data; /* health's, which does not exist yet */
    (void)chart;
    (void)name;
    (void)value;
}

/* ---- text in ---- */

/* Parses text until all of it is used, or the session must wait.  Bytes used, or an error. */
static ssize_t feed_text(struct session *s, struct qr_slice text)
{
    size_t used = 0;
    while (used < text.len && !s->failed && !must_wait(s)) {
        size_t n = text.len - used < PIECE_BYTES ? text.len - used : PIECE_BYTES;
        int err = qr_stream_feed(s->stream, qr_slice_of(text.base + used, n));
        if (err != 0) {
            qr_ingest_complain(s->ingest, "child closed child=%s peer=%s error=\"%s\"", s->name,
                               s->feed.peer, qr_stream_error_text(s->stream));
            return err;
        }
        used += n;
    }
    return (ssize_t)used;
}

/* The next frame of `in` becomes the one in work.  1, 0 (it is not whole yet), or an error. */
static int take_frame(struct session *s, struct qr_slice in)
{
    ssize_t n = qr_frame_decode(s->decompressor, in, &s->frame_text);
    if (n == QR_E_PARTIAL)
        return 0;
    if (n < 0) {
        qr_ingest_complain(s->ingest,
                           "child closed child=%s peer=%s error=\"a compressed frame is bad: %s\"",
                           s->name, s->feed.peer, qr_strerror((int)n));
        return (int)n;
    }
    s->frame_bytes = (size_t)n;
    return 1;
}

/* A frame counts as used once all its text is: until then it stays at the front of the input. */
static ssize_t feed_frames(struct session *s, struct qr_slice in)
{
    size_t used = 0;
    for (;;) {
        if (s->frame_bytes == 0) {
            if (used == in.len || s->failed || must_wait(s))
                return (ssize_t)used;
            int taken = take_frame(s, qr_slice_of(in.base + used, in.len - used));
            if (taken <= 0)
                return taken < 0 ? taken : (ssize_t)used;
        }
        ssize_t n = feed_text(s, s->frame_text);
        if (n < 0)
            return n;
        s->frame_text = qr_slice_of(s->frame_text.base + n, s->frame_text.len - (size_t)n);
        if (s->frame_text.len > 0)
            return (ssize_t)used;
        used += s->frame_bytes;
        s->frame_bytes = 0;
    }
}

static ssize_t on_stream_bytes(struct qr_conn *conn, struct qr_slice in)
{
    struct session *s = conn->owner;
    ssize_t used = s->decompressor != NULL ? feed_frames(s, in) : feed_text(s, in);
    if (used < 0) {
        s->failed = s->failed || used == UV_ENOMEM;
        return used;
    }
    send_definitions(s);
    flush_to_child(s);
    if (must_wait(s))
        qr_conn_pause(conn);
    return used;
}

void qr_child_resume(struct qr_child *child)
{
    struct session *s = session_of(child);
    s->waits_for_credit = false;
    update_pause(s);
}

static void count_rows(struct session *s)
{
    struct qr_stream_stats stats;
    qr_stream_get_stats(s->stream, &stats);
    struct qr_ingest_stats *counters = qr_ingest_counters(s->ingest);
    uint64_t rows = stats.rows_live + stats.rows_replayed;
    counters->rows += rows - s->last_rows;
    counters->replayed_rows += stats.rows_replayed - s->last_replayed;
    s->last_rows = rows;
    s->last_replayed = stats.rows_replayed;
}

void qr_child_tick(struct qr_child *child)
{
    struct session *s = session_of(child);
    if (s->state == S_LEAVING)
        leave_when_done(s);
    if (s->state != S_STREAMING)
        return;
    if (s->waits_for_credit)
        qr_child_resume(child); /* waits on, if it must */
    qr_stream_tick(s->stream);
    send_note(s);
    flush_to_child(s);
    count_rows(s);
}

uint32_t qr_child_replicating(const struct qr_child *child)
{
    const struct session *s = QR_CONTAINER_OF(child, const struct session, child);
    if (s->state != S_STREAMING)
        return 0;
    struct qr_stream_stats stats;
    qr_stream_get_stats(s->stream, &stats);
    return stats.charts_replicating;
}

static const struct qr_conn_handler stream_handler = {on_stream_bytes, on_conn_closed};

/* ---- attached ---- */

static void on_attached(struct qr_feed *feed, int status)
{
    struct session *s = feed->session;
    if (s->state != S_ATTACHING)
        return;
    if (status != 0) {
        close_session(s, qr_strerror(status));
        return;
    }
    enter(s, S_STREAMING);
    qr_info("child streams here child=%s guid=%.*s host=%u epoch=%u peer=%s", s->name,
            (int)s->handshake.machine_guid_text.len, s->handshake.machine_guid_text.base,
            feed->host, feed->epoch, feed->peer);
    send_definitions(s);
}

static void on_close_asked(struct qr_feed *feed, const char *reason)
{
    close_session(feed->session, reason);
}

static const struct qr_feed_handler feed_handler = {on_attached, on_close_asked, on_detached};

/* ---- handshake ---- */

static ssize_t refuse(struct session *s, const char *text, const char *reason)
{
    qr_log_escape(s->name, sizeof s->name, s->handshake.hostname);
    qr_ingest_complain(s->ingest, "child refused child=%s peer=%s reason=\"%s\"", s->name,
                       s->conn->peer, reason);
    if (text != NULL)
        qr_conn_write(s->conn, qr_slice_str(text));
    s->failed = true;
    qr_conn_finish(s->conn);
    return 0;
}

static bool is_heal_wanted(const struct qr_handshake *h)
{
    /* Its answers stop at the first empty point: mended in 1.38 (docs/decisions/0005). */
    struct qr_slice version = h->program_version;
    if (version.len > 0 && version.base[0] == 'v')
        version = qr_slice_of(version.base + 1, version.len - 1);
    return version.len >= 4 && memcmp(version.base, "1.37", 4) == 0;
}

static int open_stream(struct session *s, uint32_t caps, const struct qr_stream_policy *policy)
{
    const struct qr_ingest_config *config = qr_ingest_config(s->ingest);
    struct qr_stream_config stream_config = {
        .caps = caps,
        .update_every = policy->update_every != 0        ? policy->update_every
                        : s->handshake.update_every != 0 ? s->handshake.update_every
                                                         : 1,
        .replication = policy->replication,
        .replication_period_s = policy->period_s,
        .replication_step_s = policy->step_s,
        .heal = is_heal_wanted(&s->handshake),
        .machine_guid = &s->handshake.machine_guid,
        .clock = config->clock,
    };
    struct qr_stream_handler handler = {s,         on_define,  on_row,      on_gap,
                                        on_labels, on_claimed, on_variable, on_send};
    int err = qr_stream_new(&s->stream, &stream_config, &handler);
    enum qr_compression compression = qr_caps_compression(caps);
    if (err == 0 && compression != QR_COMPRESSION_NONE)
        err = qr_decompressor_new(&s->decompressor, compression);
    return err;
}

static uint32_t our_caps(const struct qr_stream_policy *policy)
{
    uint32_t caps = QR_CAPS_OURS;
    if (!policy->compression)
        caps &= ~QR_CAPS_COMPRESSIONS;
    if (!policy->replication)
        caps &= ~QR_CAP_REPLICATION;
    return caps;
}

static int accept_child(struct session *s, const struct qr_stream_policy *policy)
{
    uint32_t caps = qr_caps_negotiate(s->handshake.ver, our_caps(policy), &policy->compressions);
    char reply[80];
    size_t len = qr_handshake_accept(reply, s->handshake.ver, caps);
    int err = open_stream(s, caps, policy);
    if (err == 0)
        err = qr_host_info_encode(&s->feed.host_body, &s->handshake, NULL, 0, NULL);
    if (err == 0)
        err = qr_conn_write(s->conn, qr_slice_of(reply, len));
    if (err != 0)
        return err;
    s->conn->handler = &stream_handler;
    qr_log_escape(s->name, sizeof s->name, s->handshake.hostname);
    qr_conn_idle_limit(s->conn, SILENCE_MS);
    s->feed.guid = s->handshake.machine_guid;
    s->feed.home = qr_ingest_mailbox(s->ingest);
    s->feed.handler = &feed_handler;
    s->feed.session = s;
    enter(s, S_ATTACHING);
    s->in_roster = true;
    qr_ingest_child_came(s->ingest, &s->child);
    qr_roster_attach(qr_ingest_config(s->ingest)->roster, &s->feed);
    return 0;
}

static int check_admission(const struct session *s, struct qr_stream_policy *policy,
                           const char **reason)
{
    return qr_stream_conf_check(&qr_ingest_admission(s->ingest)->stream_conf,
                                s->handshake.api_key_text, s->handshake.machine_guid_text,
                                s->conn->peer_ip, policy, reason);
}

void qr_child_readmit(struct qr_child *child)
{
    struct session *s = session_of(child);
    struct qr_stream_policy policy;
    const char *reason;
    if (s->conn != NULL && check_admission(s, &policy, &reason) != 0)
        qr_child_close(child, reason);
}

static ssize_t on_request_bytes(struct qr_conn *conn, struct qr_slice in)
{
    struct session *s = conn->owner;
    const char *reason = NULL;
    struct qr_stream_policy policy;
    if (conn->close_when_drained)
        return (ssize_t)in.len; /* refused: what still comes is of no interest */
    ssize_t used = qr_handshake_parse(&s->handshake, in, &reason);
    if (used == QR_E_PARTIAL)
        return 0;
    if (used < 0)
        return refuse(s, QR_HANDSHAKE_DENIED,
                      reason != NULL ? reason : "its request line is too long");
    if (!qr_ingest_accepting(s->ingest))
        /* No answer makes a 1.37 child try the next member soonest; 2.x asked stream_info. */
        return refuse(s, NULL, "this member cannot take children now");
    if (qr_guid_equal(&s->handshake.machine_guid, &qr_ingest_config(s->ingest)->own_guid))
        return refuse(s, QR_HANDSHAKE_LOCALHOST, "it has this member's own machine GUID");
    if (check_admission(s, &policy, &reason) != 0)
        return refuse(s, QR_HANDSHAKE_DENIED, reason);
    int err = accept_child(s, &policy);
    return err != 0 ? err : used;
}

static const struct qr_conn_handler request_handler = {on_request_bytes, on_conn_closed};

void qr_child_take(struct qr_conn *conn)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL) {
        qr_conn_close(conn);
        return;
    }
    qr_list_init(&s->child.node);
    s->ingest = conn->ingest;
    s->conn = conn;
    qr_outbox_init(&s->outbox);
    qr_buf_init(&s->to_child, 0);
    memcpy(s->feed.peer, conn->peer, sizeof s->feed.peer);
    conn->owner = s;
    conn->handler = &request_handler;
}
