/* node/catchup.h — block files that this member lacks come from a peer.
 *
 *   BLOCK_GET   u64 request, u64 offset, varint length, name          to a peer that is up
 *   BLOCK_PART  u64 request, u64 offset, u64 file bytes, u8 status, bytes
 *
 * One file and one part of QR_CATCHUP_PART_BYTES at a time, which is the throttle; a part that does
 * not come is asked for again, from the next peer.  A fetched file is verified in full, on a
 * worker, before it counts.  Peers read files on workers, too.  A file that no peer has does not
 * keep the others waiting: after a failure the next one in the list is tried.
 *
 * Thread: consensus. */
#ifndef QR_NODE_CATCHUP_H
#define QR_NODE_CATCHUP_H

#include "cluster/link.h"
#include "storage/store.h"

#define QR_CATCHUP_PART_BYTES (256u * 1024)

struct qr_catchup;

/* Also answers the peers' requests. */
int qr_catchup_new(struct qr_catchup **fetch, uv_loop_t *loop, struct qr_link *link,
                   struct qr_store *store, uint32_t group, uint32_t self,
                   const struct qr_link_member *members, unsigned n_members);

/* The link is closed and no worker reads or verifies for it. */
void qr_catchup_free(struct qr_catchup *catchup);

/* Looks for something to fetch, and for a part that is late; call about once a second. */
void qr_catchup_tick(struct qr_catchup *fetch);

struct qr_catchup_stats {
    uint64_t n_files, n_bytes; /* Fetched since the start. */
    uint64_t n_failed;         /* Attempts that gave up: no answer, or the file did not verify. */
};
void qr_catchup_get_stats(const struct qr_catchup *catchup, struct qr_catchup_stats *stats);

#endif
