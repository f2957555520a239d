/* testing/sim/net_conn.h — what net.c (sockets, listeners, faults) and net_conn.c (the bytes of a
 * connection) share.
 *
 * A connection has two sides and two flows; flow i carries what side i sends.  Positions in a flow
 * count bytes from its beginning, read <= acked <= arrived <= sent but for read, which may be ahead
 * of acked if the way back is cut.  One ring holds all that was sent and not read.  Not for
 * threads. */
#ifndef QR_TESTING_SIM_NET_CONN_H
#define QR_TESTING_SIM_NET_CONN_H

#include "base/list.h"
#include "testing/sim/net.h"
#include "testing/sim/sched.h"

#define QR_NET_MARKS_MAX 1024u

/* One direction between two hosts. */
struct qr_net_path {
    bool cut, mute;
    uint64_t latency_ns, bytes_per_s; /* On top of the usual. */
    uint64_t free_ns;                 /* When it has sent what it was given. */
};

struct qr_net_conn;

/* All up to a position arrives then. */
struct qr_net_mark {
    uint64_t at_ns, sent_at_ns, position;
    bool fin;
};

struct qr_net_flow {
    struct qr_net_conn *conn;
    unsigned side; /* Who sends. */
    uint8_t *ring;
    size_t ring_bytes; /* A power of two, or 0. */
    size_t send_max, recv_max;
    uint64_t sent, arrived, acked, read;
    bool fin_sent, fin_arrived;
    struct qr_net_mark *marks; /* What is under way, in order: a ring. */
    unsigned first_mark, n_marks, marks_capacity;
    bool starved;                /* The sender found no room. */
    bool shut;                   /* The receiver has no room. */
    bool lost;                   /* Sent again, until it arrives and is acknowledged. */
    uint64_t retry_ns;           /* The next pause. */
    uint64_t stuck_ns;           /* Since when nothing gets through; 0: nothing is stuck. */
    struct qr_sim_event arrival; /* Of the first mark, or the next try. */
    struct qr_sim_event give_up; /* TCP_USER_TIMEOUT. */
    struct qr_sim_event reset;   /* An RST arrives at the sender. */
    struct qr_sim_event probe;   /* The sender's keepalive. */
    unsigned n_probes;
    uint64_t doubt_ns; /* Since when the sender may hear nothing. */
};

struct qr_net_conn {
    struct qr_list node; /* Of all connections. */
    struct qr_sim_host *host[2];
    struct qr_net_socket *end[2]; /* NULL: closed. */
    bool live[2];                 /* Its kernel knows the connection. */
    struct qr_net_flow flow[2];
};

enum qr_net_state { QR_NET_FRESH, QR_NET_LISTENS, QR_NET_CONNECTING, QR_NET_CONNECTED };

struct qr_net_socket {
    int fd;
    enum qr_net_state state;
    struct qr_sim_host *host;
    struct qr_list node; /* Of the host's, or of a listener's that nobody accepted. */
    void (*changed)(void *data);
    void *data;
    bool bound, reuse_port, keepalive;
    unsigned user_timeout_ms, idle_s, interval_s, n_probes_max;
    uint32_t address, peer_address; /* In host order. */
    uint16_t port, peer_port;
    int error;   /* -errno, told once. */
    bool broken; /* Reset, or given up. */

    struct qr_list waiting; /* Of a listener: nobody accepted them. */
    unsigned n_waiting, n_waiting_max;

    struct qr_sim_event syn;
    unsigned n_syns;

    struct qr_net_conn *conn;
    unsigned side;
};

extern struct qr_net_stats qr_net_counts;

struct qr_net_path *qr_net_path(const struct qr_sim_host *from, const struct qr_sim_host *to);
/* When a packet of so many bytes that is sent now arrives. */
uint64_t qr_net_arrival_ns(const struct qr_sim_host *from, const struct qr_sim_host *to,
                           size_t bytes);
bool qr_net_machine_is_on(const struct qr_sim_host *host);
void qr_net_tell(struct qr_net_socket *socket);

/* Between two sockets that are not connected yet. */
void qr_net_conn_new(struct qr_net_socket *client, struct qr_net_socket *server);
struct qr_list *qr_net_conns(void);

ssize_t qr_net_flow_send(struct qr_net_flow *flow, const struct iovec *parts, size_t n);
size_t qr_net_flow_recv(struct qr_net_flow *flow, void *into, size_t bytes);
void qr_net_flow_fin(struct qr_net_flow *flow);
bool qr_net_flow_has_room(const struct qr_net_flow *flow);

/* Its process gives the end up. */
void qr_net_conn_close(struct qr_net_conn *conn, unsigned side);
/* .. with an RST; to be closed afterwards. */
void qr_net_conn_abort(struct qr_net_conn *conn, unsigned side);
/* Its machine is gone, silently. */
void qr_net_conn_silence(struct qr_net_conn *conn, unsigned side);
/* Both ends see ECONNRESET. */
void qr_net_conn_reset(struct qr_net_conn *conn);
/* What is to be sent again is so within this time, and an end whose other end is gone hears so. */
void qr_net_conn_hurry(struct qr_net_conn *conn, uint64_t within_ns);
/* One of them may hear nothing from now on: keepalive begins to ask. */
void qr_net_conn_doubt(struct qr_net_conn *conn);

#endif
