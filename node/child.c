#include "node/child.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/plant.h"
#include "node/child_charts.h"
#include "node/child_functions.h"
#include "node/child_private.h"
#include "node/clones.h"
#include "node/holes.h"
#include "node/host_info.h"
#include "node/ingest.h"
#include "node/nearer.h"
#include "node/outbox.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/stream.h"

#define HELD_BYTES_MAX (1024u * 1024)
/* Text is parsed in pieces, between which the session looks whether it must wait: 16 bytes of it
 * can make a row of 256 KiB. */
#define PIECE_BYTES 2048u
/* So many without refused rows, and the child's clock is right again. */
#define AHEAD_TICKS 40
/* Netdata's parents close a stream that was silent for 600 s. */
#define SILENCE_MS 600000
/* A child that says nothing for so many ticks needs no window for its text. */
#define QUIET_TICKS 20

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
    qr_child_free_charts(s);
    qr_stream_free(s->stream);
    qr_decompressor_free(s->decompressor);
    qr_outbox_release(&s->outbox);
    if (s->note != NULL)
        qr_buf_release(&s->note->host_body);
    free(s->note);
    qr_child_free_functions(s);
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
    struct qr_feed_note *note = s->note;
    if (note == NULL)
        return;
    s->note = NULL;
    note->n_gaps =
        qr_holes_drop_recorded(qr_ingest_config(s->ingest)->api->store, note->gaps, note->n_gaps);
    if (note->n_gaps > 0 || note->host_body.len > 0)
        qr_roster_note(qr_ingest_config(s->ingest)->roster, note);
    else
        free(note); /* Nothing is in it. */
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
    qr_child_end_functions(s);
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

void qr_child_fail(struct session *s, const char *reason)
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
    qr_child_fail(session_of(child), reason);
}

/* ---- to the child ---- */

static void on_send(void *data, struct qr_slice line)
{
    struct session *s = data;
    qr_buf_add(&s->to_child, line.base, line.len);
}

void qr_child_flush(struct session *s)
{
    if (s->to_child.len == 0 || s->conn == NULL)
        return;
    qr_conn_write(s->conn, qr_buf_slice(&s->to_child));
    qr_buf_release(&s->to_child);
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
bool qr_child_must_wait(struct session *s)
{
    if (qr_ingest_grown(s->ingest, s->outbox.bytes, qr_child_replicating(&s->child) != 0))
        s->waits_for_credit = true;
    return s->waits_for_credit || s->held_bytes > HELD_BYTES_MAX;
}

void qr_child_update_pause(struct session *s)
{
    if (s->conn == NULL)
        return;
    if (qr_child_must_wait(s))
        qr_conn_pause(s->conn);
    else
        qr_conn_resume(s->conn);
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
    if (s->source_refills && reason == QR_GAP_NOT_COLLECTED)
        reason = QR_GAP_RETENTION; /* The child, if it comes here one day, may have it. */
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
    struct qr_stream_label marked[QR_LABELS_MAX + 1];
    if (s->ephemeral) {
        n = qr_host_info_mark_ephemeral(marked, labels, n);
        labels = marked;
    }
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
    while (used < text.len && !s->failed && !qr_child_must_wait(s)) {
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
            if (used == in.len || s->failed || qr_child_must_wait(s))
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
    qr_child_send_definitions(s);
    qr_child_flush(s);
    s->n_quiet_ticks = 0;
    if (s->decompressor != NULL && s->frame_bytes == 0)
        qr_decompressor_rest(s->decompressor);
    if (qr_child_must_wait(s))
        qr_conn_pause(conn);
    return used;
}

void qr_child_resume(struct qr_child *child)
{
    struct session *s = session_of(child);
    s->waits_for_credit = false;
    qr_child_update_pause(s);
}

/* Once for each time that rows are refused, and once when none were for a while. */
static void note_clock(struct session *s, const struct qr_stream_stats *stats)
{
    uint64_t n_before = atomic_load_explicit(&s->feed.rows_ahead, memory_order_relaxed);
    atomic_store_explicit(&s->feed.clock_ahead_s, stats->clock_ahead_s, memory_order_relaxed);
    atomic_store_explicit(&s->feed.rows_ahead, stats->rows_ahead, memory_order_relaxed);
    if (stats->rows_ahead != n_before) {
        if (s->n_ahead_ticks == 0)
            qr_ingest_complain(s->ingest,
                               "a child's rows are of the future and are refused, its clock is "
                               "wrong child=%s peer=%s ahead_s=%lld",
                               s->name, s->feed.peer, (long long)stats->clock_ahead_s);
        s->n_ahead_ticks = AHEAD_TICKS;
    } else if (s->n_ahead_ticks > 0 && --s->n_ahead_ticks == 0) {
        qr_info("a child's rows are taken again child=%s peer=%s refused=%llu", s->name,
                s->feed.peer, (unsigned long long)stats->rows_ahead);
    }
}

/* For the status: how much of the past is asked for still, and how much it was at most. */
static void note_replay(struct session *s, const struct qr_stream_stats *stats)
{
    struct qr_feed *feed = &s->feed;
    uint64_t all_s = atomic_load_explicit(&feed->replay_all_s, memory_order_relaxed);
    bool ended = stats->replay_left_s == 0;
    if (!ended && all_s == 0)
        atomic_store_explicit(&feed->replay_since_ms,
                              qr_clock_mono_ms(qr_ingest_config(s->ingest)->clock),
                              memory_order_relaxed);
    if (ended || stats->replay_left_s > all_s)
        atomic_store_explicit(&feed->replay_all_s, stats->replay_left_s, memory_order_relaxed);
    atomic_store_explicit(&feed->replay_left_s, stats->replay_left_s, memory_order_relaxed);
    atomic_store_explicit(&feed->replay_asks, stats->asks_outstanding, memory_order_relaxed);
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
    note_clock(s, &stats);
    note_replay(s, &stats);
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
    qr_child_seek_holes(s);
    send_note(s);
    qr_child_tell_functions(s);
    qr_child_flush(s);
    count_rows(s);
    if (++s->n_quiet_ticks == QUIET_TICKS && s->decompressor != NULL && s->frame_bytes == 0)
        qr_decompressor_fold(s->decompressor);
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
        qr_child_fail(s, qr_strerror(status));
        return;
    }
    enter(s, S_STREAMING);
    qr_info("child streams here child=%s guid=%.*s host=%u epoch=%u peer=%s", s->name,
            (int)s->handshake.machine_guid_text.len, s->handshake.machine_guid_text.base,
            feed->host, feed->epoch, feed->peer);
    qr_child_send_definitions(s);
}

static void on_close_asked(struct qr_feed *feed, const char *reason)
{
    struct session *s = feed->session;
    if (feed->gentle && s->conn != NULL && !s->conn->closing) {
        qr_info("child moves on child=%s peer=%s reason=\"%s\"", s->name, s->feed.peer, reason);
        qr_conn_close(s->conn);
        return;
    }
    qr_child_fail(feed->session, reason);
}

static const struct qr_feed_handler feed_handler = {on_attached, on_close_asked, on_detached,
                                                    qr_child_on_order};

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

/* Its node says through which clusters, or proxies, of ours it has come. */
static bool is_streamed_on_by_us(const struct qr_handshake *h)
{
    return h->sysinfo[QR_SYSINFO_QUORATE_PATH].len > 0;
}

static bool is_heal_wanted(const struct qr_handshake *h)
{
    if (is_streamed_on_by_us(h))
        return false; /* The version is the child's, the answers are ours. */
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
    struct qr_stream_handler handler = {
        .data = s,
        .define = qr_child_on_define,
        .refused = qr_child_on_refused,
        .row = qr_child_on_row,
        .gap = on_gap,
        .labels = on_labels,
        .claimed = on_claimed,
        .variable = on_variable,
        .send = on_send,
        .function = qr_child_on_function,
        .progress = qr_child_on_progress,
        .payload_begin = qr_child_on_payload_begin,
        .payload = qr_child_on_payload,
        .payload_end = qr_child_on_payload_end,
    };
    s->caps = caps;
    s->ephemeral = policy->ephemeral;
    s->source_refills = is_streamed_on_by_us(&s->handshake);
    s->period_s = policy->period_s;
    int err = qr_stream_new(&s->stream, &stream_config, &handler);
    enum qr_compression compression = qr_caps_compression(caps);
    if (err == 0 && compression != QR_COMPRESSION_NONE)
        err = qr_decompressor_new(&s->decompressor, compression, qr_ingest_histories(s->ingest));
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

static int accept_child(struct session *s, const struct qr_stream_policy *policy,
                        const struct qr_claim *machine)
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
    qr_conn_out_limit(s->conn, QR_CHILD_OUTBUF_BYTES);
    qr_log_escape(s->name, sizeof s->name, s->handshake.hostname);
    qr_conn_idle_limit(s->conn, SILENCE_MS);
    s->feed.guid = s->handshake.machine_guid;
    s->feed.machine = *machine;
    snprintf(s->feed.api_key, sizeof s->feed.api_key, "%.*s", (int)s->handshake.api_key_text.len,
             s->handshake.api_key_text.base);
    s->feed.home = qr_ingest_mailbox(s->ingest);
    s->feed.handler = &feed_handler;
    s->feed.session = s;
    enter(s, S_ATTACHING);
    s->in_roster = true;
    qr_ingest_child_came(s->ingest, &s->child);
    qr_roster_attach(qr_ingest_config(s->ingest)->roster, &s->feed);
    return 0;
}

static int check_admission(const struct session *s, struct qr_admitted *admitted)
{
    const struct qr_applicant applicant = {
        .api_key = s->handshake.api_key_text,
        .machine_guid = s->handshake.machine_guid_text,
        .peer_ip = s->conn->peer_ip,
        .certificate = s->feed.has_certificate ? s->feed.certificate : NULL};
    return qr_admission_check(qr_ingest_admission(s->ingest), qr_ingest_keys(s->ingest), &applicant,
                              admitted);
}

static bool may_stream(const struct qr_conn *conn)
{
    return (qr_conn_roles(conn) & QR_ROLE_STREAMING) != 0;
}

void qr_child_readmit(struct qr_child *child)
{
    struct session *s = session_of(child);
    struct qr_admitted admitted;
    if (s->conn != NULL && !(qr_conn_is_allowed(s->conn) && may_stream(s->conn)))
        qr_child_close(child, "`allow connections from` or `allow streaming from` does not match "
                              "its address");
    else if (s->conn != NULL && check_admission(s, &admitted) != 0)
        qr_child_close(child, admitted.reason);
}

/* Does another stream of this host count, not this one?  Why, and what it is told; NULL: no. */
static const char *check_nearer(const struct session *s, const char **reply)
{
    const struct qr_ingest_config *config = qr_ingest_config(s->ingest);
    struct qr_nearer_known known;
    int slot = qr_store_enter(config->api->store);
    bool some = qr_nearer_look(config->api->store, atomic_load(&config->api->status),
                               &s->handshake.machine_guid, &known);
    const char *reason =
        qr_nearer_refusal(some ? &known : NULL, &config->cluster_id, &s->handshake, reply);
    qr_store_leave(config->api->store, slot);
    return reason;
}

static ssize_t on_request_bytes(struct qr_conn *conn, struct qr_slice in)
{
    struct session *s = conn->owner;
    const char *reason = NULL;
    struct qr_admitted admitted;
    if (conn->close_when_drained)
        return (ssize_t)in.len; /* refused: what still comes is of no interest */
    ssize_t used = qr_handshake_parse(&s->handshake, in, &reason);
    if (used == QR_E_PARTIAL)
        return 0;
    if (used < 0)
        return refuse(s, QR_HANDSHAKE_DENIED,
                      reason != NULL ? reason : "its request line is too long");
    if (qr_conn_lacks_tls(conn))
        return refuse(s, NULL, "this port takes TLS only: its `destination` needs :SSL");
    if ((conn->bind->roles & QR_ROLE_STREAMING) == 0)
        return refuse(s, QR_HANDSHAKE_ELSEWHERE, "`bind to` has no streaming for this port");
    if (!may_stream(conn))
        return refuse(s, QR_HANDSHAKE_ELSEWHERE,
                      "`allow streaming from` does not match its address");
    if (!qr_ingest_accepting(s->ingest))
        /* No answer makes a 1.37 child try the next member soonest; 2.x asked stream_info. */
        return refuse(s, NULL, "this member cannot take children now");
    if (qr_guid_equal(&s->handshake.machine_guid, &qr_ingest_config(s->ingest)->own_guid))
        return refuse(s, QR_HANDSHAKE_LOCALHOST, "it has this member's own machine GUID");
    s->feed.has_certificate =
        conn->tls != NULL && qr_tls_peer_fingerprint(conn->tls, s->feed.certificate) == 0;
    if (check_admission(s, &admitted) != 0)
        return refuse(s, QR_HANDSHAKE_DENIED, admitted.reason);
    s->feed.key = admitted.key;
    struct qr_claim machine;
    qr_clones_identify(&machine, &s->handshake, conn->peer_ip);
    reason =
        qr_clones_find(qr_ingest_clones(s->ingest), &s->handshake.machine_guid, machine.machine);
    if (reason != NULL)
        return refuse(s, QR_HANDSHAKE_ALREADY, reason);
    const char *reply;
    if ((reason = check_nearer(s, &reply)) != NULL)
        return refuse(s, reply, reason);
    int err = accept_child(s, &admitted.policy, &machine);
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
