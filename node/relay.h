/* node/relay.h — what one host's far side knows of it, and what it is told next.
 *
 * The data side of a host that is streamed on: everything comes from the store, by watermark.  So
 * nothing is queued: a far side that is slow, or away, is behind, and gets later what is stored by
 * then.  Of each chart:
 *
 *   it had a row in this session of the child -> its definition
 *   the far side asks (REPLAY_CHART)          -> the answer, from the store, in parts
 *   the answer was the last                   -> rows as they are applied, from `sent` on
 *   rows came in behind what was sent, or the definition changed -> the definition again: the far
 *                                                side asks for what it lacks
 *
 * connect() .. disconnect() bracket one connection; what is known of the far side stays.  Between
 * them turn() works through the charts until `room` bytes wait in `out`; it reads block files, and
 * may take long.  The owner lets one thread at a time in: turn() is for a worker, the rest for the
 * loop while no turn runs.  Callbacks of `handler` are called by feed().
 *
 * Thread: one at a time. */
#ifndef QR_NODE_RELAY_H
#define QR_NODE_RELAY_H

#include "base/buf.h"
#include "base/clock.h"
#include "node/forward_status.h"
#include "proto/sender.h"
#include "storage/store.h"

struct qr_relay;

struct qr_relay_config {
    struct qr_store *store;
    const struct qr_clock *clock;
    struct qr_guid guid;
    int64_t since_s;    /* Charts that had a row since then are announced. */
    const char *charts; /* Which: a simple pattern on id and name; borrowed. */
    const struct qr_compression_levels *levels; /* NULL: the default ones; borrowed. */
};

/* 0 or UV_ENOMEM. */
int qr_relay_new(struct qr_relay **relay, const struct qr_relay_config *config);
void qr_relay_free(struct qr_relay *relay);

/* A parent has accepted; of the handler send, replay and redefine are the relay's own.  0 or
 * UV_ENOMEM. */
int qr_relay_connect(struct qr_relay *relay, uint32_t caps,
                     const struct qr_sender_handler *handler);
void qr_relay_disconnect(struct qr_relay *relay);
/* For what else is said: functions, paths.  NULL while it is not connected. */
struct qr_sender *qr_relay_sender(struct qr_relay *relay);

/* What the host offers, as node/function_frame writes it; copied.  It is told on every connection,
 * that of a chart in the chart's definition, and again when it is another one.  0 or UV_ENOMEM. */
int qr_relay_functions(struct qr_relay *relay, struct qr_slice list);

/* What the parent says.  An error: the connection must be closed. */
int qr_relay_feed(struct qr_relay *relay, struct qr_slice bytes);

/* Is a turn worth it: did rows come, did the parent ask, was the last one cut short? */
bool qr_relay_is_due(const struct qr_relay *relay);

/* One turn; also while not connected, to see how far behind it is.  0; QR_E_UNKNOWN: the host was
 * removed; UV_ENOMEM. */
int qr_relay_turn(struct qr_relay *relay, size_t room);

/* What waits to be sent; the owner empties it. */
struct qr_buf *qr_relay_out(struct qr_relay *relay);

void qr_relay_get_stats(const struct qr_relay *relay, struct qr_relay_stats *stats);

#endif
