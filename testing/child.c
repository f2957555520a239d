#include "testing/child.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/address.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/error.h"
#include "proto/caps.h"
#include "proto/frame.h"
#include "testing/request_text.h"
#include "testing/steering.h"

#define INPUT_BYTES (64u * 1024)
/* Full speed: more is not collected while so much waits to be written. */
#define FULL_SPEED_QUEUE_BYTES (512u * 1024)
#define FULL_SPEED_STEPS       4 /* Seconds a turn of the loop. */
/* Real time: a stream that is behind does not keep the loop from others, and from signals.  (What
 * is collected without a stream is said to nobody, and soon done.) */
#define PACE_STEPS_MAX 8
/* Lines of the parent wait above half of the send buffer, until a tenth of it. */
#define PAUSE_SHARE  2
#define RESUME_SHARE 10

/* A child that asks: it looks each second where it may go, and gives an answer so long. */
#define CONNECTOR_MS 1000
#define ASK_MS       5000

enum state { WAITING, CONNECTING, ASKING, HANDSHAKE, STREAMING };

/* One TCP connection; freed in its close callback, long after the child has forgotten it. */
struct conn {
    struct qr_child *child; /* NULL: forgotten. */
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct qr_tls *tls;               /* NULL: plain. */
    struct qr_compressor *compressor; /* NULL: plain text. */
    struct qr_buf out;                /* Not handed to the socket, or to TLS, yet. */
    bool reading_paused;
    size_t n_in;
    char in[INPUT_BYTES];
};

struct write {
    uv_write_t req;
    struct conn *conn;
    char *base;
};

struct qr_child {
    struct qr_child_config config;
    struct qr_child_destination destinations[QR_CHILD_DESTINATIONS_MAX];
    enum state state;
    struct qr_model_sender *sender;
    struct conn *conn;
    uint32_t i_walk; /* CONNECTING, ASKING: place in the list, or in the order. */
    uint32_t i_used; /* The destination that a connect succeeded to last. */
    bool in_order;   /* It has asked all, and tries them in this order: */
    uint32_t order[QR_CHILD_DESTINATIONS_MAX], n_order;
    struct qr_steering steering[QR_CHILD_DESTINATIONS_MAX]; /* Of each destination. */
    struct qr_rng rng;
    struct qr_guid guid;
    char connected[64]; /* Destination of this connection. */
    uv_timer_t retry;   /* WAITING: the next walk.  Else: connect and handshake timeout. */
    uv_timer_t pace;
    uv_idle_t pump; /* Full speed. */
    uint32_t n_handles;
    bool closing;
    bool overflow;
    int64_t next_s; /* The next second to collect. */
    uint64_t last_sent_ms;
    struct qr_child_failover failover; /* Being filled; broken_ms 0: none. */
    struct qr_child_stats stats;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

static void walk(struct qr_child *child);
static void end_asking(struct qr_child *child);
static void on_retry(uv_timer_t *timer);
static void on_pace(uv_timer_t *timer);
static void on_pump(uv_idle_t *idle);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void take_lines(struct conn *conn);
static void decrypt(struct conn *conn, struct qr_slice ciphertext);

static uint64_t now_ms(void)
{
    return (uint64_t)(qr_clock_real_us(&qr_clock_system) / 1000);
}

int qr_child_destination_parse(struct qr_child_destination *destination, const char *text)
{
    struct qr_address address;
    memset(destination, 0, sizeof *destination);
    if (strlen(text) >= sizeof destination->text ||
        qr_address_parse(&address, qr_slice_str(text)) != 0 ||
        qr_address_literal(&address, &destination->address) != 0)
        return QR_E_CONFIG;
    snprintf(destination->text, sizeof destination->text, "%s", text);
    return 0;
}

/* ---- life of a connection ---- */

static void on_conn_closed(uv_handle_t *handle)
{
    struct conn *conn = handle->data;
    qr_compressor_free(conn->compressor);
    qr_tls_free(conn->tls);
    qr_buf_release(&conn->out);
    free(conn);
}

/* The child forgets its connection; what it has not written is lost. */
static void drop(struct qr_child *child)
{
    struct conn *conn = child->conn;
    if (conn == NULL)
        return;
    child->conn = NULL;
    conn->child = NULL;
    uv_close((uv_handle_t *)&conn->tcp, on_conn_closed);
}

static void wait_and_walk(struct qr_child *child)
{
    drop(child);
    child->state = WAITING;
    uint64_t wait_ms = child->config.asks ? CONNECTOR_MS : child->config.reconnect_delay_ms;
    uv_timer_start(&child->retry, on_retry, wait_ms, 0);
}

static struct qr_steering_rules steering_rules(struct qr_child *child)
{
    return (struct qr_steering_rules){&child->rng, child->config.postpone_scale, &child->guid};
}

/* 2.9 draws a time between the two, 1.37 takes the longer one. */
static void postpone(struct qr_child *child, uint32_t i, uint32_t from_s, uint32_t to_s)
{
    const struct qr_steering_rules rules = steering_rules(child);
    uint64_t ms = qr_steering_wait_ms(&rules, child->config.asks ? from_s : to_s, to_s);
    child->destinations[i].postponed_until_ms = uv_now(child->config.loop) + ms;
}

static void postpone_used(struct qr_child *child, uint32_t seconds)
{
    postpone(child, child->i_used, 5, seconds);
}

static void stream_broke(struct qr_child *child)
{
    drop(child);
    qr_model_sender_disconnect(child->sender);
    child->stats.breaks++;
    child->failover =
        (struct qr_child_failover){.last_sent_ms = child->last_sent_ms, .broken_ms = now_ms()};
    child->state = WAITING;
    uv_timer_start(&child->retry, on_retry, child->config.asks ? CONNECTOR_MS : 0, 0);
}

void qr_child_break(struct qr_child *child)
{
    if (child->state == STREAMING)
        stream_broke(child);
    else if (child->state == ASKING)
        end_asking(child);
    else if (child->state == HANDSHAKE)
        wait_and_walk(child);
}

void qr_child_lie(struct qr_child *child, enum qr_model_lie lie, int64_t by_s)
{
    qr_model_sender_lie(child->sender, lie, by_s);
}

static void count_refusal(struct qr_child *child, struct qr_slice text)
{
    char line[sizeof child->stats.refusals->text];
    size_t n = text.len < sizeof line - 1 ? text.len : sizeof line - 1;
    for (size_t i = 0; i < n; i++)
        line[i] = text.base[i] < ' ' || text.base[i] > '~' ? '.' : text.base[i];
    line[n] = '\0';
    for (uint32_t i = 0; i < child->stats.n_refusals; i++)
        if (strcmp(child->stats.refusals[i].text, line) == 0) {
            child->stats.refusals[i].n++;
            return;
        }
    if (child->stats.n_refusals == QR_CHILD_REFUSALS_MAX)
        return;
    struct qr_child_refusal *refusal = &child->stats.refusals[child->stats.n_refusals++];
    memcpy(refusal->text, line, n + 1);
    refusal->n = 1;
}

/* ---- writing ---- */

static void on_written(uv_write_t *req, int status)
{
    struct write *write = (struct write *)req;
    struct conn *conn = write->conn;
    struct qr_child *child = conn->child;
    free(write->base);
    free(write);
    if (child == NULL)
        return;
    if (status != 0) {
        qr_child_break(child);
        return;
    }
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (conn->reading_paused && queued < child->config.buffer_bytes / RESUME_SHARE) {
        conn->reading_paused = false;
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
        take_lines(conn);
        if (conn->tls != NULL && conn->child != NULL)
            decrypt(conn, qr_slice_of(NULL, 0));
    }
    if (child->conn == conn && child->config.full_speed && child->state == STREAMING &&
        queued < FULL_SPEED_QUEUE_BYTES / 2)
        uv_idle_start(&child->pump, on_pump);
}

/* What is encoded, as the socket gets it; the caller's.  With TLS nothing but the handshake leaves
 * before that is done. */
static int take_out(struct conn *conn, struct qr_buf *wire)
{
    *wire = conn->out;
    if (conn->tls == NULL) {
        qr_buf_init(&conn->out, 0);
        return 0;
    }
    qr_buf_init(wire, 0);
    int err = 0;
    if (conn->out.len > 0 && qr_tls_established(conn->tls)) {
        err = qr_tls_write(conn->tls, qr_buf_slice(&conn->out));
        qr_buf_release(&conn->out);
    }
    return err == 0 ? qr_tls_drain(conn->tls, wire) : err;
}

static int send_out(struct conn *conn)
{
    struct qr_buf wire;
    int err = take_out(conn, &wire);
    if (err != 0 || wire.len == 0) {
        qr_buf_release(&wire);
        return err;
    }
    struct write *write = malloc(sizeof *write);
    assert(write != NULL);
    write->conn = conn;
    write->base = wire.base;
    uv_buf_t buf = uv_buf_init(wire.base, (unsigned)wire.len);
    conn->child->stats.bytes_wire += wire.len;
    err = uv_write(&write->req, (uv_stream_t *)&conn->tcp, &buf, 1, on_written);
    if (err != 0) {
        free(write->base);
        free(write);
    }
    return err;
}

/* Hands what is encoded to the socket.  May break the stream. */
static void flush(struct qr_child *child)
{
    struct conn *conn = child->conn;
    if (conn == NULL || (conn->out.len == 0 && conn->tls == NULL))
        return;
    size_t queued = uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp);
    if (child->overflow || queued + conn->out.len > child->config.buffer_bytes) {
        child->overflow = false;
        child->stats.overflows++;
        qr_child_break(child);
        return;
    }
    if (send_out(conn) != 0)
        qr_child_break(child);
}

/* The sender's block: one frame or more, as a Netdata child commits it. */
static void on_commit(void *data, struct qr_slice text)
{
    struct qr_child *child = data;
    struct conn *conn = child->conn;
    assert(conn != NULL);
    child->stats.bytes_text += text.len;
    int err = conn->compressor != NULL ? qr_frame_encode(conn->compressor, text, &conn->out)
                                       : qr_buf_add(&conn->out, text.base, text.len);
    assert(err == 0);
    if (conn->out.len > child->config.buffer_bytes)
        child->overflow = true;
}

/* ---- the parent's lines ---- */

static void take_line(struct qr_child *child, struct qr_slice line)
{
    struct qr_child_failover *f = &child->failover;
    const struct qr_model_sender_stats *stats = qr_model_sender_stats(child->sender);
    uint64_t before = stats->replay_requests;
    qr_model_sender_command(child->sender, line);
    if (stats->replay_requests > before && f->broken_ms > 0 && f->replay_ms == 0)
        f->replay_ms = now_ms();
}

static void take_lines(struct conn *conn)
{
    struct qr_child *child = conn->child;
    size_t at = 0;
    while (child != NULL && !conn->reading_paused) {
        const char *newline = memchr(conn->in + at, '\n', conn->n_in - at);
        if (newline == NULL)
            break;
        take_line(child, qr_slice_of(conn->in + at, (size_t)(newline - conn->in) - at));
        at = (size_t)(newline - conn->in) + 1;
        flush(child);
        child = conn->child; /* The flush may have broken the stream. */
        if (child != NULL && uv_stream_get_write_queue_size((uv_stream_t *)&conn->tcp) >
                                 child->config.buffer_bytes / PAUSE_SHARE) {
            conn->reading_paused = true;
            uv_read_stop((uv_stream_t *)&conn->tcp);
        }
    }
    conn->n_in -= at;
    memmove(conn->in, conn->in + at, conn->n_in);
    if (child == NULL)
        return;
    if (conn->n_in == sizeof conn->in && !conn->reading_paused)
        qr_child_break(child); /* No line is that long. */
    else if (child->config.full_speed)
        uv_idle_start(&child->pump, on_pump);
}

/* ---- handshake ---- */

/* What they cost, as 1.37 and as 2.9 see it, s. */
static const struct {
    const char *text;
    uint32_t postpone_s, postpone_29_s;
} refusals[] = {
    {"Don't hit me baby, you are trying to stream my localhost back", 3600, 3600},
    {"This GUID is already streaming to this server", 120, 120},
    {"You are not permitted to access this. Check the logs for more info.", 60, 60},
    {"The server is too busy now to accept this request. Try later.", 60, 120},
    {"The server encountered an internal error. Try later.", 60, 300},
    {"The server is initializing. Try later.", 60, 30},
};
#define POSTPONE_OTHER_S   60
#define POSTPONE_SILENCE_S 30

#define ACCEPT       "Hit me baby, push them over with the version="
#define ACCEPT_V2    "Hit me baby, push them over and bring the host labels..."
#define ACCEPT_V1    "Hit me baby, push them over..."
#define ACCEPT_BYTES 75

/* The version that a reply grants; 0: it is a refusal. */
static uint32_t granted(struct qr_slice reply)
{
    size_t prefix = strlen(ACCEPT);
    if (qr_slice_is(reply, ACCEPT_V1))
        return 1;
    if (qr_slice_is(reply, ACCEPT_V2))
        return 2;
    if (reply.len <= prefix || reply.len >= ACCEPT_BYTES || memcmp(reply.base, ACCEPT, prefix) != 0)
        return 0;
    uint32_t version = 0;
    for (size_t i = prefix; i < reply.len && reply.base[i] >= '0' && reply.base[i] <= '9'; i++)
        version = version * 10 + (uint32_t)(reply.base[i] - '0');
    return version;
}

static void refused(struct qr_child *child, struct qr_slice reply)
{
    uint32_t postpone_s = POSTPONE_OTHER_S;
    for (size_t i = 0; i < QR_COUNT(refusals); i++)
        if (qr_slice_is(reply, refusals[i].text))
            postpone_s = child->config.asks ? refusals[i].postpone_29_s : refusals[i].postpone_s;
    count_refusal(child, reply);
    postpone_used(child, postpone_s);
    wait_and_walk(child);
}

static void finish_failover(struct qr_child *child)
{
    struct qr_child_stats *stats = &child->stats;
    stats->failovers[stats->n_failovers++ % QR_CHILD_FAILOVERS_MAX] = child->failover;
    child->failover.broken_ms = 0;
}

static void accepted(struct qr_child *child, uint32_t version)
{
    uint32_t caps = qr_caps_negotiate(version, child->config.caps, &qr_compression_order_default);
    enum qr_compression compression = qr_caps_compression(caps);
    if (compression != QR_COMPRESSION_NONE &&
        qr_compressor_new(&child->conn->compressor, compression, NULL) != 0) {
        wait_and_walk(child);
        return;
    }
    uv_timer_stop(&child->retry);
    if (child->config.asks)
        postpone_used(child, 15);
    child->state = STREAMING;
    child->stats.connects++;
    if (child->failover.broken_ms > 0) {
        child->failover.accepted_ms = now_ms();
        memcpy(child->failover.to, child->connected, sizeof child->failover.to);
    }
    qr_model_sender_connect(child->sender, caps);
    flush(child);
    if (child->config.full_speed)
        uv_idle_start(&child->pump, on_pump);
}

/* Bytes for conn->in have come. */
static void take_in(struct conn *conn, size_t n)
{
    struct qr_child *child = conn->child;
    if (child->state == ASKING) {
        static const char empty[] = "\r\n\r\n";
        conn->n_in += n;
        const char *body = memmem(conn->in, conn->n_in, empty, sizeof empty - 1);
        if (body != NULL && body + sizeof empty - 1 < conn->in + conn->n_in)
            end_asking(child);
        return;
    }
    if (child->state != HANDSHAKE) {
        conn->n_in += n;
        take_lines(conn);
        return;
    }
    struct qr_slice reply = qr_slice_of(conn->in + conn->n_in, n);
    uint32_t version = granted(reply);
    if (version == 0)
        refused(child, reply);
    else
        accepted(child, version);
}

static void decrypt(struct conn *conn, struct qr_slice ciphertext)
{
    size_t n = 0;
    int err = qr_tls_feed(conn->tls, ciphertext);
    while (err == 0 && conn->child != NULL && conn->n_in < sizeof conn->in) {
        err = qr_tls_read(conn->tls, conn->in + conn->n_in, sizeof conn->in - conn->n_in, &n);
        if (err == 0)
            take_in(conn, n);
    }
    if (conn->child != NULL && err != 0 && err != QR_E_PARTIAL)
        qr_child_break(conn->child);
    else if (conn->child != NULL)
        flush(conn->child); /* of the TLS handshake, too */
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char ciphertext[INPUT_BYTES]; /* used up before the next read */
    struct conn *conn = handle->data;
    *buf = conn->tls != NULL
               ? uv_buf_init(ciphertext, sizeof ciphertext)
               : uv_buf_init(conn->in + conn->n_in, (unsigned)(sizeof conn->in - conn->n_in));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *conn = stream->data;
    struct qr_child *child = conn->child;
    if (n == 0 || child == NULL)
        return;
    if (n < 0) {
        if (child->state == HANDSHAKE) {
            count_refusal(child, qr_slice_str("(closed without a reply)"));
            postpone_used(child, POSTPONE_OTHER_S);
        }
        qr_child_break(child);
        return;
    }
    if (conn->tls != NULL)
        decrypt(conn, qr_slice_of(buf->base, (size_t)n));
    else
        take_in(conn, (size_t)n);
}

/* ---- the walk over the destinations ---- */

/* The destination that is asked, or tried, now. */
static uint32_t current(const struct qr_child *child)
{
    return child->in_order ? child->order[child->i_walk] : child->i_walk;
}

static void walk_next(struct qr_child *child, int why)
{
    uint32_t i = current(child);
    child->stats.connect_failures++;
    if (child->config.asks && why == UV_ETIMEDOUT)
        postpone(child, i, 300, 600);
    else if (child->config.asks)
        postpone(child, i, 30, 60);
    drop(child);
    child->i_walk++;
    walk(child);
}

/* What is there is the answer, nothing perhaps. */
static void end_asking(struct qr_child *child)
{
    const struct qr_steering_rules rules = steering_rules(child);
    uint64_t ms = 0;
    struct qr_slice answer = qr_slice_of(child->conn->in, child->conn->n_in);
    child->stats.asks++;
    switch (qr_steering_take(&child->steering[child->i_walk], &rules, answer, &ms)) {
    case QR_STEERING_BANNED:
        child->stats.bans++;
        break;
    case QR_STEERING_POSTPONED:
        child->stats.asks_not_now++;
        child->destinations[child->i_walk].postponed_until_ms = uv_now(child->config.loop) + ms;
        break;
    case QR_STEERING_STAYS:
        break;
    }
    drop(child);
    child->i_walk++;
    walk(child);
}

/* A 1.37 child's list turns; one that asks has an order of its own. */
static void note_used(struct qr_child *child)
{
    struct qr_child_destination used = child->destinations[current(child)];
    uint32_t n = child->config.n_destinations;
    memcpy(child->connected, used.text, sizeof child->connected);
    child->i_used = current(child);
    if (child->config.asks) {
        child->steering[child->i_used].tried_at_ms = uv_now(child->config.loop);
        child->steering[child->i_used].n_tried++;
        return;
    }
    memmove(&child->destinations[child->i_walk], &child->destinations[child->i_walk + 1],
            (n - 1 - child->i_walk) * sizeof used);
    child->destinations[n - 1] = used;
    child->i_used = n - 1;
}

static void add_request(const struct qr_child *child, struct qr_buf *out)
{
    char name[QR_MODEL_NAME_BYTES];
    qr_model_hostname(child->config.model, child->config.host, name);
    qr_request_text_stream(out, &(struct qr_request_text){
                                    .api_key = child->config.api_key,
                                    .hostname = name,
                                    .guid = &child->guid,
                                    .update_every = child->config.model->update_every,
                                    .caps = child->config.caps,
                                    .as_29 = child->config.asks,
                                });
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *conn = req->data;
    struct qr_child *child = conn->child;
    if (child == NULL)
        return;
    if (status != 0) {
        walk_next(child, status);
        return;
    }
    bool asks = child->config.asks && !child->in_order;
    if (asks) {
        child->state = ASKING;
        qr_request_text_question(&conn->out, &child->guid, child->destinations[child->i_walk].text);
    } else {
        note_used(child);
        child->state = HANDSHAKE;
        add_request(child, &conn->out);
    }
    uv_timer_start(&child->retry, on_retry, asks ? ASK_MS : child->config.timeout_ms, 0);
    uv_tcp_nodelay(&conn->tcp, 1);
    if (conn->tls != NULL)
        qr_tls_handshake(conn->tls); /* its first flight */
    flush(child);
    if (child->conn == conn)
        uv_read_start((uv_stream_t *)&conn->tcp, on_alloc, on_read);
}

static bool dial(struct qr_child *child, const struct qr_child_destination *destination)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return false;
    conn->child = child;
    conn->tcp.data = conn;
    conn->connect.data = conn;
    int err = 0;
    if (child->config.tls != NULL)
        err = qr_tls_new(&conn->tls, child->config.tls, QR_TLS_CLIENT);
    assert(err == 0);
    err = uv_tcp_init(child->config.loop, &conn->tcp);
    assert(err == 0);
    conn->tcp.data = conn;
    child->conn = conn;
    child->state = CONNECTING;
    bool asks = child->config.asks && !child->in_order;
    uv_timer_start(&child->retry, on_retry, asks ? ASK_MS : child->config.timeout_ms, 0);
    return uv_tcp_connect(&conn->connect, &conn->tcp,
                          (const struct sockaddr *)&destination->address, on_connected) == 0;
}

/* All that can be asked were: now they are tried in the order of their answers. */
static void begin_order(struct qr_child *child)
{
    const struct qr_steering_rules rules = steering_rules(child);
    child->n_order =
        qr_steering_order(child->steering, child->config.n_destinations, &rules, child->order);
    child->in_order = true;
    child->i_walk = 0;
}

static uint32_t walk_end(const struct qr_child *child)
{
    return child->in_order ? child->n_order : child->config.n_destinations;
}

/* Goes on at i_walk: asks the destinations, tries them. */
static void walk(struct qr_child *child)
{
    uint64_t now = uv_now(child->config.loop);
    for (;; child->i_walk++) {
        if (child->i_walk == walk_end(child) && child->config.asks && !child->in_order)
            begin_order(child);
        if (child->i_walk == walk_end(child))
            break;
        uint32_t i = current(child);
        if (!child->in_order)
            child->steering[i].asked = false;
        if (child->destinations[i].postponed_until_ms > now || child->steering[i].banned)
            continue;
        if (dial(child, &child->destinations[i]))
            return;
        child->stats.connect_failures++;
        drop(child);
    }
    wait_and_walk(child);
}

static void on_retry(uv_timer_t *timer)
{
    struct qr_child *child = timer->data;
    if (child->closing)
        return;
    switch (child->state) {
    case WAITING:
        child->i_walk = 0;
        child->in_order = false;
        walk(child);
        break;
    case CONNECTING:
    case ASKING:
        walk_next(child, UV_ETIMEDOUT);
        break;
    case HANDSHAKE:
        count_refusal(child, qr_slice_str("(no reply in time)"));
        postpone_used(child, POSTPONE_SILENCE_S);
        wait_and_walk(child);
        break;
    case STREAMING:
        break;
    }
}

/* ---- collecting ---- */

static void collect(struct qr_child *child)
{
    const struct qr_model_sender_stats *stats = qr_model_sender_stats(child->sender);
    uint64_t live = stats->rows_live;
    qr_model_sender_collect(child->sender, child->next_s++);
    if (stats->rows_live == live)
        return;
    child->last_sent_ms = now_ms();
    if (child->failover.broken_ms > 0) {
        child->failover.live_ms = child->last_sent_ms;
        finish_failover(child);
    }
}

static void on_pace(uv_timer_t *timer)
{
    struct qr_child *child = timer->data;
    const struct qr_child_config *c = &child->config;
    int64_t now_us = qr_clock_real_us(&qr_clock_system), due_us;
    for (int i = 0;; i++) {
        due_us = qr_model_collect_us(c->model, c->host, 0, child->next_s);
        if (due_us > now_us || (child->state == STREAMING && i >= PACE_STEPS_MAX))
            break;
        collect(child);
    }
    flush(child);
    /* At least 1: libuv would run a timer of 0 again before anything else. */
    uint64_t wait_ms = due_us > now_us ? (uint64_t)((due_us - now_us + 999) / 1000) : 1;
    uv_timer_start(timer, on_pace, wait_ms, 0);
}

static bool has_collected_all(const struct qr_child *child)
{
    return child->config.end_s > 0 && child->next_s > child->config.end_s;
}

static bool may_collect(const struct qr_child *child)
{
    const struct conn *conn = child->conn;
    if (child->state != STREAMING || conn->reading_paused || has_collected_all(child))
        return false;
    return qr_model_sender_stats(child->sender)->n_replicating == 0 &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&conn->tcp) < FULL_SPEED_QUEUE_BYTES;
}

static void on_pump(uv_idle_t *idle)
{
    struct qr_child *child = idle->data;
    for (int i = 0; i < FULL_SPEED_STEPS && may_collect(child); i++) {
        collect(child);
        flush(child);
    }
    if (child->state == STREAMING && has_collected_all(child)) {
        qr_model_sender_define(child->sender);
        flush(child);
    }
    if (!may_collect(child))
        uv_idle_stop(idle);
}

bool qr_child_done(const struct qr_child *child)
{
    return child->state == STREAMING && has_collected_all(child) &&
           qr_model_sender_stats(child->sender)->n_live == child->config.model->n_charts &&
           uv_stream_get_write_queue_size((const uv_stream_t *)&child->conn->tcp) == 0;
}

/* ---- start and stop ---- */

/* 2.9 comes up with its machine, and does not come at once. */
static uint64_t first_wait_ms(struct qr_child *child)
{
    const struct qr_steering_rules rules = steering_rules(child);
    uint32_t delay_s = (uint32_t)(child->config.reconnect_delay_ms / 1000);
    if (!child->config.asks)
        return 0;
    return qr_steering_wait_ms(&rules, delay_s / 2 > 5 ? delay_s / 2 : 5, delay_s + 5);
}

int qr_child_new(struct qr_child **out, const struct qr_child_config *config)
{
    assert(config->n_destinations > 0);
    assert(config->n_destinations <= QR_CHILD_DESTINATIONS_MAX);
    struct qr_child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return UV_ENOMEM;
    child->config = *config;
    memcpy(child->destinations, config->destinations,
           config->n_destinations * sizeof *config->destinations);
    struct qr_model_sender_config sender = {.model = config->model,
                                            .host = config->host,
                                            .first_s = config->first_s,
                                            .rules_29 = config->rules_29,
                                            .truncate = config->truncate,
                                            .late_every = config->late_every,
                                            .lie = config->lie,
                                            .by_s = config->by_s,
                                            .data = child,
                                            .commit = on_commit};
    if (qr_model_sender_new(&child->sender, &sender) != 0) {
        free(child);
        return UV_ENOMEM;
    }
    qr_model_guid(config->model, config->host, &child->guid);
    qr_rng_seed(&child->rng, config->model->seed * 1000003 + config->host);
    child->n_handles = 3;
    child->retry.data = child->pace.data = child->pump.data = child;
    uv_timer_init(config->loop, &child->retry);
    uv_timer_init(config->loop, &child->pace);
    uv_idle_init(config->loop, &child->pump);

    child->next_s = config->first_s;
    if (config->full_speed)
        while (child->next_s < config->start_s)
            collect(child);
    else
        on_pace(&child->pace); /* The history, and the first timer. */
    uv_timer_start(&child->retry, on_retry, first_wait_ms(child), 0);
    *out = child;
    return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct qr_child *child = handle->data;
    if (--child->n_handles > 0)
        return;
    if (child->on_closed != NULL)
        child->on_closed(child->on_closed_data);
    qr_model_sender_free(child->sender);
    free(child);
}

void qr_child_end(struct qr_child *child, void (*on_closed)(void *data), void *data)
{
    assert(!child->closing);
    child->closing = true;
    child->on_closed = on_closed;
    child->on_closed_data = data;
    drop(child);
    uv_close((uv_handle_t *)&child->retry, on_handle_closed);
    uv_close((uv_handle_t *)&child->pace, on_handle_closed);
    uv_close((uv_handle_t *)&child->pump, on_handle_closed);
}

const struct qr_child_stats *qr_child_stats(const struct qr_child *child)
{
    return &child->stats;
}

const struct qr_model_sender_stats *qr_child_sender_stats(const struct qr_child *child)
{
    return qr_model_sender_stats(child->sender);
}

const char *qr_child_connected_to(const struct qr_child *child)
{
    return child->state == STREAMING ? child->connected : NULL;
}

int64_t qr_child_last_s(const struct qr_child *child)
{
    return child->next_s - 1;
}
