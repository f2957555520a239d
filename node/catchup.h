/* node/catchup.h — block files that this member lacks come from a peer.
 *
 * One file and one part (node/parts) at a time, which is the throttle.  When a peer does not answer
 * the next one goes on where it stopped.  A fetched file is verified in full, on a worker, before
 * it counts.  A file that no peer has does not keep the others waiting: after a failure the next
 * one in the list is tried.
 *
 * Thread: consensus. */
#ifndef QR_NODE_CATCHUP_H
#define QR_NODE_CATCHUP_H

#include "node/parts.h"

struct qr_catchup;

int qr_catchup_new(struct qr_catchup **catchup, uv_loop_t *loop, struct qr_parts *parts,
                   struct qr_store *store);

/* No worker verifies for it. */
void qr_catchup_free(struct qr_catchup *catchup);

/* Looks for something to fetch; call about once a second. */
void qr_catchup_tick(struct qr_catchup *catchup);

struct qr_catchup_stats {
    uint64_t n_files, n_bytes; /* Fetched since the start. */
    uint64_t n_failed;         /* Attempts that gave up: no answer, or the file did not verify. */
    uint64_t bytes_per_s;      /* Of late. */
    uint64_t file_bytes;       /* What is here of the file that is being fetched. */
};
void qr_catchup_get_stats(const struct qr_catchup *catchup, struct qr_catchup_stats *stats);

#endif
