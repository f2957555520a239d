/* testing/child.h — a simulated Netdata child on a libuv loop: one host, one stream, a failover
 * list.
 *
 * It behaves as 1.37.1 does.  It walks its destinations in order, skipping postponed ones; the one
 * that a connect succeeds to goes to the end of the list.  A refused connect costs nothing but the
 * next in the list; a refused handshake postpones that destination (120 s "already streaming",
 * 3600 s "localhost", 60 s all others, 30 s no reply; times postpone_scale).  After a failure, or
 * when no destination is left, it sleeps reconnect_delay_ms; when an established stream breaks it
 * walks at once.  The reply is what the first read returns, as a whole.  Output that does not fit
 * buffer_bytes breaks the connection; nothing is kept for a broken one.
 *
 *   WAITING -> CONNECTING -> HANDSHAKE -> STREAMING -> WAITING ...
 *
 * If it asks, it connects as 2.9.0 does (testing/steering.h): it waits some seconds at first, then
 * each second asks all destinations for stream_info, each on a connection of its own, and tries
 * those that stay in the order that it made of the answers, until a connect succeeds.
 *
 *   WAITING -> (CONNECTING -> ASKING) .. -> CONNECTING -> HANDSHAKE -> STREAMING -> WAITING ...
 *
 * Paced in real time it collects each second at the model's microsecond, connected or not.  At full
 * speed the clock is its own: it starts at first_s + history_s and goes on as fast as the parent
 * takes the data, while every chart that is announced is live.
 *
 * Everything is on the loop's thread.  qr_child_end is asynchronous: on_closed comes last. */
#ifndef QR_TESTING_CHILD_H
#define QR_TESTING_CHILD_H

#include <uv.h>

#include "base/tls.h"
#include "testing/sender.h"

#define QR_CHILD_DESTINATIONS_MAX 16
#define QR_CHILD_FAILOVERS_MAX    64

struct qr_child_destination {
    char text[64]; /* host:port */
    struct sockaddr_storage address;
    uint64_t postponed_until_ms;
};

struct qr_child_config {
    uv_loop_t *loop;
    const struct qr_model *model;
    uint32_t host;
    const char *api_key;
    const struct qr_child_destination *destinations;
    uint32_t n_destinations;
    uint32_t caps;              /* Offered. */
    struct qr_tls_context *tls; /* NULL: plain TCP.  Borrowed. */
    bool full_speed;
    int64_t first_s; /* Its history starts here. */
    int64_t start_s; /* Full speed: its clock does. */
    int64_t end_s;   /* Full speed: stop collecting after this; 0: never. */
    uint64_t reconnect_delay_ms;
    uint64_t timeout_ms; /* Of connect and handshake. */
    double postpone_scale;
    size_t buffer_bytes;
    bool rules_29, truncate; /* Of its answers. */
    bool asks;               /* Connects as 2.9 does. */
    uint32_t late_every;
    enum qr_model_lie lie; /* Of its charts' times. */
    int64_t by_s;
};

/* One move from a broken connection to the next that works; times are unix milliseconds. */
struct qr_child_failover {
    char to[64];
    uint64_t last_sent_ms; /* The last collection said on the old connection. */
    uint64_t broken_ms;    /* The old connection was seen to be dead. */
    uint64_t accepted_ms;
    uint64_t replay_ms; /* First REPLAY_CHART on the new one; 0: none yet. */
    uint64_t live_ms;   /* First collection said live on it; 0: none yet. */
};

#define QR_CHILD_REFUSALS_MAX 16
struct qr_child_refusal {
    char text[80];
    uint64_t n;
};

struct qr_child_stats {
    uint64_t connects; /* Accepted handshakes. */
    uint64_t connect_failures;
    uint64_t breaks; /* Established streams that broke. */
    uint64_t overflows;
    uint64_t asks, asks_not_now, bans; /* Of stream_info; answers that postponed, or banned. */
    uint64_t bytes_text, bytes_wire;
    uint32_t n_refusals;
    struct qr_child_refusal refusals[QR_CHILD_REFUSALS_MAX];
    uint32_t n_failovers; /* All; the last QR_CHILD_FAILOVERS_MAX are kept, a ring. */
    struct qr_child_failover failovers[QR_CHILD_FAILOVERS_MAX];
};

struct qr_child;

/* Resolves "host:port" (numeric host).  0 or QR_E_CONFIG. */
int qr_child_destination_parse(struct qr_child_destination *destination, const char *text);

/* Starts at once.  0 or UV_ENOMEM; `model` is borrowed as long as the child lives. */
int qr_child_new(struct qr_child **child, const struct qr_child_config *config);

/* Says something else of its charts' times from now on, and defines them again. */
void qr_child_lie(struct qr_child *child, enum qr_model_lie lie, int64_t by_s);

/* Frees it when all handles are closed; then on_closed(data), if not NULL. */
void qr_child_end(struct qr_child *child, void (*on_closed)(void *data), void *data);

/* Breaks the stream, as a dead network path would be noticed, and walks on. */
void qr_child_break(struct qr_child *child);

const struct qr_child_stats *qr_child_stats(const struct qr_child *child);
const struct qr_model_sender_stats *qr_child_sender_stats(const struct qr_child *child);
/* Text of the destination that it streams to now, or NULL. */
const char *qr_child_connected_to(const struct qr_child *child);
/* The last second that it has collected. */
int64_t qr_child_last_s(const struct qr_child *child);
/* Full speed: all is collected up to end_s, said and sent. */
bool qr_child_done(const struct qr_child *child);

#endif
