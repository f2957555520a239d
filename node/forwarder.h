/* node/forwarder.h — one host that is streamed on: its connection, and what happens when it fails.
 *
 *   WAITING -> DIALING -> HANDSHAKE -> STREAMING
 *      ^---------'-----------'------------'         a failure: the next destination, or a wait
 *
 * Destinations are tried in their order; one that refuses is left alone as Netdata's children leave
 * it alone (proto/request), one that cannot be reached for the reconnect delay.  After an
 * established stream broke the list is walked at once, from its first.
 *
 * A connection may begin only while the owner lets it: `permit` says that a picture of the log,
 * newer than the last failure, has this member as the owner; else two members would take the far
 * side from one another for ever.
 *
 * When the child has left, what is stored is still sent, and then, or when nothing moves any more,
 * the connection is closed, as a stock proxy does.
 *
 * Thread: the upstream loop's; turns run on workers. */
#ifndef QR_NODE_FORWARDER_H
#define QR_NODE_FORWARDER_H

#include "base/clock.h"
#include "base/list.h"
#include "node/admission.h"
#include "node/forward_status.h"
#include "node/relay.h"
#include "storage/jobs.h"
#include "storage/store.h"

struct qr_forwarder;

/* Of the upstream loop, for all of them. */
struct qr_forwarder_world {
    uv_loop_t *loop;
    const struct qr_clock *clock;
    struct qr_store *store;
    struct qr_guid cluster_id;
    struct qr_functions *functions; /* Of the hosts; NULL: none is told of. */
    struct qr_mailbox *mailbox;     /* Of the loop; needed with functions. */
    /* A worker's turn. */
    void (*add_job)(void *data, struct qr_job *job);
    /* The forwarder is gone; the last call, from its tick. */
    void (*ended)(void *data, struct qr_forwarder *forwarder);
    void *data;
};

/* Whom. */
struct qr_forwarder_host {
    uint32_t id;
    uint32_t epoch; /* Of the child's session: another one is a new connection. */
    uint32_t offer; /* Of its functions: qr_feed; kept up by the owner. */
    struct qr_guid guid;
    int64_t since_s;  /* When it began, by the log. */
    char api_key[40]; /* With which it came; "": our own. */
};

struct qr_forwarder {
    struct qr_list node; /* The owner's. */
    struct qr_forwarder_host host;
    bool marked; /* The owner's. */
};

/* Streams the host on, as the admission says; it holds it.  0, QR_E_DENIED: it is not to be
 * streamed on; UV_ENOMEM. */
int qr_forwarder_new(struct qr_forwarder **forwarder, const struct qr_forwarder_world *world,
                     const struct qr_forwarder_host *host, struct qr_admission *admission);

/* Another session of the child has begun: the far side is to hear of it as of a new stream. */
void qr_forwarder_restart(struct qr_forwarder *forwarder, const struct qr_forwarder_host *host);
/* The child has left. */
void qr_forwarder_leave(struct qr_forwarder *forwarder);
/* At once; the next ticks end it. */
void qr_forwarder_end(struct qr_forwarder *forwarder);

/* Does it go where this admission says?  Else it is to be ended and made anew. */
bool qr_forwarder_fits(const struct qr_forwarder *forwarder, const struct qr_admission *admission);
/* One that fits: from the next connection on this counts (its authorities, its delays). */
void qr_forwarder_readmit(struct qr_forwarder *forwarder, struct qr_admission *admission);

/* Several times a second.  permit: a connection may begin, if its picture is newer than
 * `pictured_ms` (mono): see above. */
void qr_forwarder_tick(struct qr_forwarder *forwarder, bool permit, uint64_t pictured_ms);

void qr_forwarder_get_status(const struct qr_forwarder *forwarder,
                             struct qr_forwarder_status *status);

#endif
