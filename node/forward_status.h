/* node/forward_status.h — where a host stands that is streamed on: plain figures, for status
 * pictures.  Thread: any. */
#ifndef QR_NODE_FORWARD_STATUS_H
#define QR_NODE_FORWARD_STATUS_H

#include <stdbool.h>
#include <stdint.h>

/* Of its data (node/relay). */
struct qr_relay_stats {
    int64_t lag_s;        /* Of the chart that is furthest behind. */
    uint64_t lag_samples; /* Of all: points that the far side does not have, as far as known. */
    uint64_t rows_live, rows_replayed, samples, bytes_wire;
    uint32_t n_charts, n_live;
    bool complete; /* The far side was sent all that was stored at the last turn. */
};

/* Of its connection (node/forwarder). */
enum qr_forwarder_state {
    QR_FORWARD_WAITING,
    QR_FORWARD_DIALING,
    QR_FORWARD_HANDSHAKE,
    QR_FORWARD_STREAMING,
    QR_FORWARD_ENDING
};

struct qr_forwarder_status {
    uint32_t host;
    enum qr_forwarder_state state;
    char destination[128]; /* The one in use, or tried last. */
    char reason[160];      /* Why it does not stream; "" when it does. */
    uint32_t n_connects;
    struct qr_relay_stats relay;
};

#endif
