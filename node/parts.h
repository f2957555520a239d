/* node/parts.h — parts of block files, asked of peers and given to them.
 *
 *   BLOCK_GET   u64 request, u64 offset, varint length, name          to a peer that is up
 *   BLOCK_PART  u64 request, u64 offset, u64 file bytes, u8 status, bytes
 *
 * A request has one answer: the part, or an error after QR_PARTS_TIMEOUT_MS; who asked then asks
 * the next peer.  Nothing is checked here but lengths: the bytes are the asker's to verify.  Files
 * are read on workers.
 *
 * Thread: consensus. */
#ifndef QR_NODE_PARTS_H
#define QR_NODE_PARTS_H

#include "base/list.h"
#include "cluster/link.h"
#include "storage/store.h"

#define QR_PART_BYTES_MAX   (256u * 1024)
#define QR_PARTS_TIMEOUT_MS 2000u

struct qr_parts;

struct qr_part_request {
    /* Set before asking. */
    char name[QR_BLOCK_NAME_BYTES];
    uint64_t offset;
    uint32_t length; /* At most QR_PART_BYTES_MAX. */
    /* Once; the request is not in use any more.  0 with the bytes (fewer than asked for at the end
     * of the file only), QR_E_UNKNOWN (the peer does not have it), QR_E_UNREACHABLE (no answer). */
    void (*done)(struct qr_part_request *request, int status, uint64_t file_bytes,
                 struct qr_slice bytes);
    void *data;
    /* The module's. */
    struct qr_list node;
    uint64_t id, asked_ms;
    uint32_t peer;
};

/* Also answers the peers' requests. */
int qr_parts_new(struct qr_parts **parts, uv_loop_t *loop, struct qr_link *link,
                 struct qr_store *store, uint32_t group);
/* The link is closed, no worker reads for it, and nothing is asked for. */
void qr_parts_free(struct qr_parts *parts);

/* Whom to ask: the other members, as they are now; at most QR_MEMBERS_MAX. */
void qr_parts_set_peers(struct qr_parts *parts, const uint32_t *peers, unsigned n);

/* A peer that is up, after `before` in turn; 0: none is.  Before 0 is the first. */
uint32_t qr_parts_peer(const struct qr_parts *parts, uint32_t before);
unsigned qr_parts_n_peers(const struct qr_parts *parts);

/* 0, QR_E_UNREACHABLE, QR_E_BUSY or UV_ENOMEM; then `done` is not called. */
int qr_parts_ask(struct qr_parts *parts, uint32_t peer, struct qr_part_request *request);
/* `done` will not be called. */
void qr_parts_forget(struct qr_part_request *request);

/* Ends what is late; call about once a second. */
void qr_parts_tick(struct qr_parts *parts);

#endif
