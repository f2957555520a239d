/* node/upstream.h — the hosts of this member, streamed on: proxies and second clusters.
 *
 *   consensus loop                       upstream loop (a thread of its own)
 *   follow: whose data come through      -> a forwarder for each (node/forwarder)
 *   this member now; may it connect         its turns on few workers of the pool
 *   view                                 <- where each of them stands, once a second
 *
 * A host is streamed on by the member that owns it, so that it leaves a cluster once; when it
 * changes hands, the next owner begins where the far side says that it is.  When nothing is
 * streamed on there is no thread.
 *
 * Thread: consensus. */
#ifndef QR_NODE_UPSTREAM_H
#define QR_NODE_UPSTREAM_H

#include "base/clock.h"
#include "base/mailbox.h"
#include "node/admission.h"
#include "node/forwarder.h"
#include "node/roster.h"
#include "storage/store.h"

#define QR_UPSTREAM_LANES 2u /* Workers that turns keep busy at most. */

struct qr_upstream;

struct qr_upstream_config {
    const struct qr_clock *clock;
    struct qr_mailbox *home; /* Of the consensus loop. */
    struct qr_store *store;
    /* Whose data come through here now: qr_roster_hosts. */
    unsigned (*hosts)(const void *data, struct qr_roster_host *hosts, unsigned max);
    const void *data;
    struct qr_guid cluster_id;
    struct qr_functions *functions; /* Of the hosts; NULL: none is passed on. */
};

/* Starts the thread if the admission streams anything on, now or at a later readmit.  0 or an error
 * of libuv. */
int qr_upstream_new(struct qr_upstream **upstream, const struct qr_upstream_config *config,
                    struct qr_admission *admission);
/* 0 or an error of libuv. */
int qr_upstream_readmit(struct qr_upstream *upstream, struct qr_admission *admission);

/* Several times a second.  permit: the log can be asked, as of now, who owns what. */
void qr_upstream_follow(struct qr_upstream *upstream, bool permit);

/* Of a host; NULL: it is not streamed on. */
const struct qr_forwarder_status *qr_upstream_status(const struct qr_upstream *upstream,
                                                     uint32_t host);

struct qr_upstream_totals {
    unsigned n_hosts, n_streaming;
    int64_t lag_s; /* The largest. */
    uint64_t lag_samples;
    uint64_t rows_live, rows_replayed, samples, bytes_wire;
    uint64_t n_connects;
};
void qr_upstream_get_totals(const struct qr_upstream *upstream, struct qr_upstream_totals *totals);

#endif
