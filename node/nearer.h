/* node/nearer.h — of two streams of one host, which one counts.
 *
 * A host may reach us twice: itself, and as a copy that a proxy or another cluster sends on.
 *
 *  - A copy that has come through this cluster already is a loop: never taken.  (Other Quorate
 *    clusters say which way it came: QR_SYSINFO_QUORATE_PATH.)  So is one of a member's own host.
 *  - While a nearer stream of it (fewer hops) lives, one from further away is not taken: else the
 *    two would take the host from one another.  A nearer one that has said nothing for
 *    QR_NEARER_QUIET_MS is taken for dead, as Netdata's parents do.
 *  - A copy without a path that has come two hops further than the last stream, which ended just
 *    now, may be our own copy on its way back through parents that are not ours: not yet taken.
 *  - Else the newest stream counts: a member that restarts, the next owner of a cluster that
 *    streams on, a child that has moved here.
 *
 * Thread: any. */
#ifndef QR_NODE_NEARER_H
#define QR_NODE_NEARER_H

#include "base/guid.h"
#include "node/status.h"
#include "proto/handshake.h"
#include "storage/store.h"

#define QR_NEARER_QUIET_MS 30000u
/* Copies that have come this far go in a circle. */
#define QR_NEARER_HOPS_MAX 16u

/* What is known of a host that asks again. */
struct qr_nearer_known {
    uint32_t hops, update_every;
    bool own;          /* A member of this cluster. */
    bool connected;    /* Its last stream lives, as far as the log and the links say. */
    uint64_t quiet_ms; /* Since it last said anything, came or left. */
};

/* False: nothing is.  status: the newest picture, or NULL; the store knows sooner who left.
 * Between qr_store_enter and qr_store_leave. */
bool qr_nearer_look(const struct qr_store *store, const struct qr_status *status,
                    const struct qr_guid *guid, struct qr_nearer_known *known);

/* Why the stream is not taken, for the log; *reply is what it is told then.  NULL: it is.  known:
 * NULL if nothing is. */
const char *qr_nearer_refusal(const struct qr_nearer_known *known, const struct qr_guid *cluster_id,
                              const struct qr_handshake *handshake, const char **reply);

#endif
