/* node/child.h — the session of one connected child.
 *
 *   HANDSHAKE --request--> ATTACHING --OWN applied--> STREAMING --> LEAVING --> CLOSING
 *
 * The request is answered at once (or refused); definitions and rows that come before OWN is
 * applied wait, and REPLAY_CHART is sent only after it, with the watermark as of then.  That order
 * is why a failover leaves neither a hole nor a duplicate (ARCHITECTURE.md).
 *
 * Rows go, packed, into the child's outbox, whose blocks the ingest loop takes once a tick.  When
 * the connection ends, the session stays until the log has what came before: a child that cannot
 * replay has no other copy.
 *
 * Thread: its ingest loop. */
#ifndef QR_NODE_CHILD_H
#define QR_NODE_CHILD_H

#include <stdint.h>

#include "base/list.h"
#include "node/conn.h"
#include "storage/entry.h"

struct qr_child {
    struct qr_list node; /* In the ingest loop's children. */
    uint64_t turn;       /* Of the ingest loop's rounds. */
    /* The rest is child.c's. */
};

/* The connection's first bytes say STREAM. */
void qr_child_take(struct qr_conn *conn);

void qr_child_close(struct qr_child *child, const char *reason);

/* The loop's admission has changed: a child that is no longer let in goes. */
void qr_child_readmit(struct qr_child *child);

/* The oldest block of the child's rows, numbered for the log, or NULL.  It stays the child's, and
 * the next, until qr_child_sealed says that it is on its way. */
struct qr_entry_block *qr_child_seal(struct qr_child *child, int64_t *oldest_us);
void qr_child_sealed(struct qr_child *child);

/* After qr_ingest_grown() made it pause. */
void qr_child_resume(struct qr_child *child);

/* Once a tick. */
void qr_child_tick(struct qr_child *child);

uint32_t qr_child_replicating(const struct qr_child *child);

#endif
