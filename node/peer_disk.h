/* node/peer_disk.h — the peers' block files, as a disk of which only `read` and `size` are there.
 *
 * What this member lacks, or has damaged, is read from a peer meanwhile: a query then costs a round
 * trip a page.  A worker's read waits for the consensus loop to ask and be answered; each peer that
 * is up is tried once.  At most QR_PEER_READS_MAX wait at a time, so that they never hold all
 * workers of both members; one more is refused with QR_E_BUSY.
 *
 * The bytes are whatever the peer sent: the reader verifies checksums, as with its own.
 *
 * Thread: the disk's functions any worker; the rest consensus. */
#ifndef QR_NODE_PEER_DISK_H
#define QR_NODE_PEER_DISK_H

#include "node/parts.h"
#include "storage/disk.h"

#define QR_PEER_READS_MAX 2u

struct qr_peer_disk;

int qr_peer_disk_new(struct qr_peer_disk **disk, uv_loop_t *loop);
/* Until then, and after NULL, reads fail with QR_E_UNREACHABLE. */
void qr_peer_disk_connect(struct qr_peer_disk *disk, struct qr_parts *parts);
struct qr_disk *qr_peer_disk_face(struct qr_peer_disk *disk);
/* Closes its handle; the memory goes with qr_peer_disk_free, when the loop has ended and no worker
 * reads. */
void qr_peer_disk_close(struct qr_peer_disk *disk);
void qr_peer_disk_free(struct qr_peer_disk *disk);

/* Reads that were answered, and all their bytes. */
void qr_peer_disk_get_stats(struct qr_peer_disk *disk, uint64_t *n_reads, uint64_t *n_bytes);

#endif
