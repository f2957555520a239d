/* The bytes of a connection: on their way, lost and sent again, read, reset. */
#include "testing/sim/net_conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define BUFFER_MIN   (16u * 1024) /* .. to 32 times as much. */
#define RING_MIN     4096u
#define RTO_MIN_NS   (200 * QR_SIM_MS) /* Linux's. */
#define RTO_MAX_NS   (120 * QR_SIM_S)
#define GIVE_UP_NS   (924 * QR_SIM_S) /* .. with tcp_retries2 = 15. */
#define ORPHAN_NS    (60 * QR_SIM_S)  /* What nobody owns any more is tried for so long. */
#define SHORT_ONE_IN 16u              /* Reads that get less than there is. */
#define SMALL_BYTES  128u /* .. but not of the first packet of a connection, if small. */

static struct qr_list conns = {&conns, &conns};

struct qr_list *qr_net_conns(void)
{
    return &conns;
}

static bool is_open(const struct qr_net_conn *conn, unsigned from)
{
    return !qr_net_path(conn->host[from], conn->host[!from])->cut;
}

static uint64_t arrival_ns(const struct qr_net_conn *conn, unsigned from, size_t bytes)
{
    return qr_net_arrival_ns(conn->host[from], conn->host[!from], bytes);
}

/* ---- the end of a connection ---- */

static void cancel_events(struct qr_net_flow *flow)
{
    qr_sim_event_cancel(&flow->arrival);
    qr_sim_event_cancel(&flow->give_up);
    qr_sim_event_cancel(&flow->reset);
    qr_sim_event_cancel(&flow->probe);
}

/* Once no process can see it any more. */
static void free_if_unseen(struct qr_net_conn *conn)
{
    if (conn->end[0] != NULL || conn->end[1] != NULL)
        return;
    for (unsigned side = 0; side < 2; side++) {
        cancel_events(&conn->flow[side]);
        free(conn->flow[side].ring);
        free(conn->flow[side].marks);
    }
    qr_list_remove(&conn->node);
    free(conn);
}

/* The kernel of a side forgets the connection; what it had not delivered is lost. */
static void forget(struct qr_net_conn *conn, unsigned side)
{
    struct qr_net_flow *flow = &conn->flow[side];
    conn->live[side] = false;
    flow->sent = flow->acked = flow->arrived;
    flow->n_marks = 0;
    flow->lost = flow->shut = false;
    flow->stuck_ns = 0;
    cancel_events(flow);
}

/* .. and tells its owner why. */
static void break_end(struct qr_net_conn *conn, unsigned side, int err)
{
    struct qr_net_socket *end = conn->end[side];
    if (!conn->live[side])
        return;
    forget(conn, side);
    if (end == NULL)
        return;
    end->error = err;
    end->broken = true;
    qr_net_tell(end);
}

static void on_reset(struct qr_sim_event *event)
{
    struct qr_net_flow *flow = QR_CONTAINER_OF(event, struct qr_net_flow, reset);
    qr_net_counts.n_resets++;
    break_end(flow->conn, flow->side, -ECONNRESET);
}

/* An RST to a side; false: it is lost. */
static bool send_reset(struct qr_net_conn *conn, unsigned to)
{
    struct qr_net_flow *flow = &conn->flow[to];
    if (!is_open(conn, !to))
        return false;
    if (conn->live[to] && flow->reset.place == 0)
        qr_sim_event_at(&flow->reset, NULL, arrival_ns(conn, !to, 0), on_reset);
    return true;
}

/* Whether a packet to this side is answered, be it with an RST. */
static bool is_answered(const struct qr_net_conn *conn, unsigned side)
{
    return is_open(conn, !side) && is_open(conn, side) && qr_net_machine_is_on(conn->host[side]);
}

/* ---- keepalive ---- */

static void on_probe(struct qr_sim_event *event)
{
    struct qr_net_flow *flow = QR_CONTAINER_OF(event, struct qr_net_flow, probe);
    struct qr_net_conn *conn = flow->conn;
    const struct qr_net_socket *end = conn->end[flow->side];
    uint64_t now = qr_sim_now_ns();
    if (end == NULL || !conn->live[flow->side])
        return;
    if (is_answered(conn, !flow->side)) {
        if (!conn->live[!flow->side])
            send_reset(conn, flow->side);
        return;
    }
    bool late = end->user_timeout_ms != 0
                    ? flow->n_probes > 0 && now - flow->doubt_ns >= end->user_timeout_ms * QR_SIM_MS
                    : flow->n_probes >= end->n_probes_max;
    if (late) {
        qr_net_counts.n_timeouts++;
        break_end(conn, flow->side, -ETIMEDOUT);
        return;
    }
    flow->n_probes++;
    qr_sim_event_at(&flow->probe, NULL, now + end->interval_s * QR_SIM_S, on_probe);
}

void qr_net_conn_doubt(struct qr_net_conn *conn)
{
    for (unsigned side = 0; side < 2; side++) {
        struct qr_net_flow *flow = &conn->flow[side];
        const struct qr_net_socket *end = conn->end[side];
        if (end == NULL || !conn->live[side] || !end->keepalive || flow->probe.place != 0)
            continue;
        flow->n_probes = 0;
        flow->doubt_ns = qr_sim_now_ns();
        qr_sim_event_at(&flow->probe, NULL, flow->doubt_ns + end->idle_s * QR_SIM_S, on_probe);
    }
}

/* ---- under way ---- */

static void on_arrival(struct qr_sim_event *event);

static struct qr_net_mark *mark_at(const struct qr_net_flow *flow, unsigned i)
{
    return &flow->marks[(flow->first_mark + i) & (flow->marks_capacity - 1)];
}

static void add_mark(struct qr_net_flow *flow)
{
    if (flow->n_marks == flow->marks_capacity) {
        unsigned capacity = flow->marks_capacity == 0 ? 8 : 2 * flow->marks_capacity;
        struct qr_net_mark *marks = calloc(capacity, sizeof *marks);
        assert(marks != NULL);
        for (unsigned i = 0; i < flow->n_marks; i++)
            marks[i] = *mark_at(flow, i);
        free(flow->marks);
        flow->marks = marks;
        flow->first_mark = 0;
        flow->marks_capacity = capacity;
    }
    flow->n_marks++;
}

static void on_give_up(struct qr_sim_event *event)
{
    struct qr_net_flow *flow = QR_CONTAINER_OF(event, struct qr_net_flow, give_up);
    struct qr_net_conn *conn = flow->conn;
    qr_net_counts.n_timeouts++;
    break_end(conn, flow->side, -ETIMEDOUT);
    qr_net_conn_doubt(conn);
}

/* Nothing gets through from now on: for how long does the sender bear it? */
static void get_stuck(struct qr_net_flow *flow)
{
    const struct qr_net_socket *end = flow->conn->end[flow->side];
    if (flow->stuck_ns != 0)
        return;
    flow->stuck_ns = qr_sim_now_ns();
    flow->retry_ns = RTO_MIN_NS;
    uint64_t bear_ns = flow->lost ? GIVE_UP_NS : 0;
    if (end == NULL)
        bear_ns = ORPHAN_NS;
    else if (end->user_timeout_ms != 0) /* Of a full window it counts from the first probe on. */
        bear_ns = end->user_timeout_ms * QR_SIM_MS + (flow->lost ? 0 : RTO_MIN_NS);
    if (bear_ns != 0)
        qr_sim_event_at(&flow->give_up, NULL, flow->stuck_ns + bear_ns, on_give_up);
}

static void get_on(struct qr_net_flow *flow)
{
    flow->stuck_ns = 0;
    qr_sim_event_cancel(&flow->give_up);
}

static void schedule(struct qr_net_flow *flow)
{
    if (flow->n_marks > 0 && flow->arrival.place == 0)
        qr_sim_event_at(&flow->arrival, NULL, mark_at(flow, 0)->at_ns, on_arrival);
}

static void lose(struct qr_net_flow *flow)
{
    flow->lost = true;
    flow->n_marks = 0;
    get_stuck(flow);
    qr_sim_event_at(&flow->arrival, NULL, qr_sim_now_ns() + flow->retry_ns, on_arrival);
    flow->retry_ns = 2 * flow->retry_ns < RTO_MAX_NS ? 2 * flow->retry_ns : RTO_MAX_NS;
}

/* All that was sent up to `position` is at the receiver's door. */
static void arrive(struct qr_net_flow *flow, uint64_t position, bool fin)
{
    struct qr_net_conn *conn = flow->conn;
    struct qr_net_socket *to = conn->end[!flow->side], *from = conn->end[flow->side];
    size_t room = flow->recv_max - (size_t)(flow->arrived - flow->read);
    uint64_t n = position - flow->arrived;
    flow->shut = n > room;
    if (flow->shut)
        n = room;
    flow->arrived += n;
    qr_net_counts.n_deliveries++;
    qr_net_counts.n_bytes += n;
    bool told = n > 0;
    if (fin && !flow->shut && !flow->fin_arrived)
        told = flow->fin_arrived = true;
    if (flow->shut)
        get_stuck(flow);
    if (told && to != NULL)
        qr_net_tell(to);
    if (!is_open(conn, !flow->side)) { /* Nobody acknowledges it. */
        lose(flow);
        return;
    }
    bool progress = flow->arrived > flow->acked;
    flow->lost = false;
    flow->acked = flow->arrived;
    if (progress || (!flow->shut && flow->stuck_ns != 0)) {
        get_on(flow);
        if (flow->shut)
            get_stuck(flow);
    }
    if (progress && flow->starved && from != NULL && conn->live[flow->side])
        qr_net_tell(from);
}

static void on_arrival(struct qr_sim_event *event)
{
    struct qr_net_flow *flow = QR_CONTAINER_OF(event, struct qr_net_flow, arrival);
    struct qr_net_conn *conn = flow->conn;
    unsigned to = !flow->side;
    uint64_t position = flow->sent;
    bool fin = flow->fin_sent;
    if (flow->lost) {
        qr_net_counts.n_retries++;
    } else if (flow->n_marks > 0) {
        position = mark_at(flow, 0)->position;
        fin = mark_at(flow, 0)->fin;
        flow->first_mark++;
        flow->n_marks--;
    }
    if (!is_open(conn, flow->side) || !qr_net_machine_is_on(conn->host[to])) {
        lose(flow);
        return;
    }
    bool orphan = conn->end[to] == NULL && position > flow->arrived;
    if (!conn->live[to] || orphan) { /* "I do not know you." */
        if (!send_reset(conn, flow->side))
            lose(flow);
        if (orphan)
            forget(conn, to);
        return;
    }
    arrive(flow, position, fin);
    schedule(flow);
}

/* Where bytes take their time they do not all come with the last one. */
static bool is_slow(const struct qr_net_flow *flow)
{
    const struct qr_net_conn *conn = flow->conn;
    return qr_net_path(conn->host[flow->side], conn->host[!flow->side])->bytes_per_s != 0;
}

/* Something more is under way. */
static void mark(struct qr_net_flow *flow, size_t bytes)
{
    if (flow->lost || flow->shut)
        return; /* It goes with what is sent again. */
    uint64_t now = qr_sim_now_ns(), at_ns = arrival_ns(flow->conn, flow->side, bytes);
    struct qr_net_mark *last = flow->n_marks > 0 ? mark_at(flow, flow->n_marks - 1) : NULL;
    if (last != NULL && at_ns < last->at_ns)
        at_ns = last->at_ns;
    bool joins = last != NULL &&
                 (flow->n_marks == QR_NET_MARKS_MAX || (last->sent_at_ns == now && !is_slow(flow)));
    if (joins && flow->n_marks == 1)
        at_ns = last->at_ns; /* It is scheduled. */
    if (!joins) {
        add_mark(flow);
        last = mark_at(flow, flow->n_marks - 1);
    }
    *last = (struct qr_net_mark){at_ns, now, flow->sent, flow->fin_sent};
    schedule(flow);
}

/* ---- the ring ---- */

static void grow(struct qr_net_flow *flow, size_t bytes)
{
    size_t wanted = flow->ring_bytes == 0 ? RING_MIN : flow->ring_bytes;
    while (wanted < bytes)
        wanted *= 2;
    if (wanted == flow->ring_bytes)
        return;
    uint8_t *ring = malloc(wanted);
    assert(ring != NULL);
    for (uint64_t at = flow->read; at < flow->sent;) {
        size_t from = at & (flow->ring_bytes - 1), to = at & (wanted - 1), n = flow->sent - at;
        if (n > flow->ring_bytes - from)
            n = flow->ring_bytes - from;
        if (n > wanted - to)
            n = wanted - to;
        memcpy(ring + to, flow->ring + from, n);
        at += n;
    }
    free(flow->ring);
    flow->ring = ring;
    flow->ring_bytes = wanted;
}

static void put(struct qr_net_flow *flow, const uint8_t *from, size_t bytes)
{
    while (bytes > 0) {
        size_t at = flow->sent & (flow->ring_bytes - 1), n = flow->ring_bytes - at;
        if (n > bytes)
            n = bytes;
        memcpy(flow->ring + at, from, n);
        flow->sent += n;
        from += n;
        bytes -= n;
    }
}

static size_t room_to_send(const struct qr_net_flow *flow)
{
    size_t used = (size_t)(flow->sent - flow->acked);
    return used < flow->send_max ? flow->send_max - used : 0;
}

ssize_t qr_net_flow_send(struct qr_net_flow *flow, const struct iovec *parts, size_t n)
{
    size_t room = room_to_send(flow), all = 0, wanted = 0;
    for (size_t i = 0; i < n; i++)
        wanted += parts[i].iov_len;
    flow->starved = wanted > room;
    if (flow->starved)
        qr_net_counts.n_full++;
    if (room == 0 && wanted > 0)
        return -EAGAIN;
    size_t whole = wanted < room ? wanted : room;
    grow(flow, (size_t)(flow->sent - flow->read) + whole);
    for (size_t i = 0; i < n && all < whole; i++) {
        size_t part = parts[i].iov_len < whole - all ? parts[i].iov_len : whole - all;
        put(flow, parts[i].iov_base, part);
        all += part;
    }
    if (all > 0)
        mark(flow, all);
    return (ssize_t)all;
}

size_t qr_net_flow_recv(struct qr_net_flow *flow, void *into, size_t bytes)
{
    size_t there = (size_t)(flow->arrived - flow->read);
    if (bytes > there)
        bytes = there;
    /* A kernel does not split a small packet; a Netdata child takes the first one for the whole
     * answer of its parent. */
    bool is_first_packet = flow->read == 0 && bytes <= SMALL_BYTES;
    if (bytes > 1 && !is_first_packet && qr_sim_chance(SHORT_ONE_IN)) {
        bytes = 1 + (size_t)qr_sim_below(bytes);
        qr_net_counts.n_short_reads++;
    }
    uint8_t *to = into;
    for (size_t left = bytes; left > 0;) {
        size_t at = flow->read & (flow->ring_bytes - 1), n = flow->ring_bytes - at;
        if (n > left)
            n = left;
        memcpy(to, flow->ring + at, n);
        flow->read += n;
        to += n;
        left -= n;
    }
    /* The window opens again, when half of it is free. */
    if (flow->shut && !flow->lost && flow->arrived - flow->read <= flow->recv_max / 2) {
        flow->shut = false;
        flow->n_marks = 0;
        qr_sim_event_cancel(&flow->arrival);
        mark(flow, (size_t)(flow->sent - flow->arrived));
    }
    return bytes;
}

void qr_net_flow_fin(struct qr_net_flow *flow)
{
    flow->fin_sent = true;
    mark(flow, 0);
}

bool qr_net_flow_has_room(const struct qr_net_flow *flow)
{
    return room_to_send(flow) >= flow->send_max / 3;
}

/* ---- connections ---- */

static void flow_init(struct qr_net_conn *conn, unsigned side)
{
    struct qr_net_flow *flow = &conn->flow[side];
    flow->conn = conn;
    flow->side = side;
    flow->send_max = BUFFER_MIN << qr_sim_below(6);
    flow->recv_max = BUFFER_MIN << qr_sim_below(6);
}

void qr_net_conn_new(struct qr_net_socket *client, struct qr_net_socket *server)
{
    struct qr_net_conn *conn = calloc(1, sizeof *conn);
    assert(conn != NULL);
    qr_list_init(&conn->node);
    qr_list_add_tail(&conns, &conn->node);
    struct qr_net_socket *ends[2] = {client, server};
    for (unsigned side = 0; side < 2; side++) {
        flow_init(conn, side);
        conn->host[side] = ends[side]->host;
        conn->end[side] = ends[side];
        conn->live[side] = true;
        ends[side]->conn = conn;
        ends[side]->side = side;
        ends[side]->state = QR_NET_CONNECTED;
    }
}

void qr_net_conn_abort(struct qr_net_conn *conn, unsigned side)
{
    if (!conn->live[side])
        return;
    forget(conn, side);
    if (!send_reset(conn, !side))
        qr_net_conn_doubt(conn);
}

void qr_net_conn_close(struct qr_net_conn *conn, unsigned side)
{
    const struct qr_net_flow *in = &conn->flow[!side];
    conn->end[side] = NULL;
    if (conn->live[side] && in->arrived > in->read) {
        qr_net_conn_abort(conn, side);
    } else if (conn->live[side] && !conn->flow[side].fin_sent) {
        qr_net_flow_fin(&conn->flow[side]);
    }
    free_if_unseen(conn);
}

void qr_net_conn_silence(struct qr_net_conn *conn, unsigned side)
{
    conn->end[side] = NULL;
    forget(conn, side);
    qr_net_conn_doubt(conn);
    free_if_unseen(conn);
}

void qr_net_conn_hurry(struct qr_net_conn *conn, uint64_t within_ns)
{
    uint64_t by_ns = qr_sim_now_ns() + within_ns;
    for (unsigned side = 0; side < 2; side++) {
        struct qr_net_flow *flow = &conn->flow[side];
        if (conn->live[side] && !conn->live[!side] && flow->reset.place == 0)
            qr_sim_event_at(&flow->reset, NULL, by_ns, on_reset);
        if (!flow->lost || flow->arrival.place == 0 || flow->arrival.at_ns <= by_ns)
            continue;
        flow->retry_ns = within_ns;
        qr_sim_event_at(&flow->arrival, NULL, by_ns, on_arrival);
    }
}

void qr_net_conn_reset(struct qr_net_conn *conn)
{
    qr_net_counts.n_resets += 2;
    break_end(conn, 0, -ECONNRESET);
    break_end(conn, 1, -ECONNRESET);
}
