/* cluster/ownership.h — who holds which child, as the log says.
 *
 * A child has one owner: the member whose connection feeds the log.  OWN makes the proposer the
 * owner and gives the child the next epoch; from its application on, every member drops what an
 * older epoch still proposes (fencing).  Within an epoch the owner numbers its host blocks 1, 2, ..
 *
 *   OWN body: 16 bytes GUID, u64 nonce (the owner's, to recognise its own request), which machine
 *   asks (cluster/claims: another one with the same GUID may be refused)
 *
 * Part of the replicated state.  Thread: consensus. */
#ifndef QR_CLUSTER_OWNERSHIP_H
#define QR_CLUSTER_OWNERSHIP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "base/guid.h"
#include "cluster/claims.h"

struct qr_owner {
    uint32_t host;   /* The catalog's id. */
    uint32_t member; /* 0: nobody yet. */
    uint32_t epoch;
    uint32_t block_seq; /* Of the last host block taken in this epoch. */
};

struct qr_ownership {
    struct qr_owner *owners;   /* Indexed by host id; [0] is unused. */
    struct qr_claims **claims; /* The same; NULL: nobody has said who it is. */
    uint32_t n;
};

void qr_ownership_init(struct qr_ownership *ownership);
void qr_ownership_release(struct qr_ownership *ownership);

/* The owner record of a host, or one of zeros. */
struct qr_owner qr_ownership_get(const struct qr_ownership *ownership, uint32_t host);

/* May this machine take the host, and if so, notes that it does; take follows.  A claim of zeros
 * may, and leaves nothing.  0, QR_E_CLONE, QR_E_LIMIT or UV_ENOMEM. */
int qr_ownership_claim(struct qr_ownership *ownership, uint32_t host, const struct qr_claim *claim,
                       int64_t now_us);

/* What is known of the machines that claimed it, or NULL. */
const struct qr_claims *qr_ownership_claims(const struct qr_ownership *ownership, uint32_t host);

/* The owner's connection has ended, as it says; a sample of it was applied. */
void qr_ownership_left(struct qr_ownership *ownership, uint32_t host);
void qr_ownership_heard(struct qr_ownership *ownership, uint32_t host, int64_t now_us);

/* Makes `member` the owner, in the next epoch.  0, UV_ENOMEM or QR_E_LIMIT (a host id out of
 * range); the new record in *owner. */
int qr_ownership_take(struct qr_ownership *ownership, uint32_t host, uint32_t member,
                      struct qr_owner *owner);

/* May this host block be taken?  0, QR_E_FENCED (older epoch or other member), QR_E_STALE (seen),
 * QR_E_GAP (a block is missing before it). */
int qr_ownership_check(const struct qr_ownership *ownership, uint32_t host, uint32_t member,
                       uint32_t epoch, uint32_t block_seq);

/* Notes that a block was taken; the check was 0. */
void qr_ownership_advance(struct qr_ownership *ownership, uint32_t host, uint32_t block_seq);

/* The host is gone, and its id with it: nobody owns it, now or ever. */
void qr_ownership_drop(struct qr_ownership *ownership, uint32_t host);

/* Appends the state: varint n, then for each owned host, by id: varint host, member, epoch, block
 * seq, claims.  0 or an error of the buffer. */
int qr_ownership_encode(const struct qr_ownership *ownership, struct qr_buf *out);
/* Replaces the content by what the cursor holds next; canonical or QR_E_MALFORMED; UV_ENOMEM.
 * Untouched on failure. */
int qr_ownership_decode(struct qr_ownership *ownership, struct qr_cursor *in);

#endif
