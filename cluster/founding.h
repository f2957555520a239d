/* cluster/founding.h — how a member with an empty folder finds its place.
 *
 * It does not know whether the cluster is to be founded, whether it is new in one, or whether it
 * was a member and lost its disk, so it does not start the consensus library until it does:
 *
 *   to found: it is the lowest of the seeds (quorate.conf's list), and all the others are
 * connected, empty too, and have the same list.  It makes the first configuration, of their disks,
 * and tells the others, who take it over as it is. a member with a log that hears an empty one
 * tells it its place: FOUNDER      the log is still on its first configuration, and the disk is in
 * it: found with it MEMBER       the disk is in the configuration: start, and be given the log
 *     OTHER_DISK   the id is a member's, on another disk: it was lost, or is not mounted
 *     STRANGER     the id is no member's: to be added
 *     REMOVED      it was removed
 *
 * So a lone member, or one that is wiped, never founds beside a cluster that exists: some seed has
 * a log then.  And no two disks ever vote under one name.
 *
 * With its place it hears the newest incarnation that the log knows of its id.  One that lost its
 * disk may have begun below that, by a clock that is wrong now or was then; it raises its own above
 * it before it starts, or its entries would be taken for those of an earlier life, for ever.  Once
 * it is taken in, no other disk has its place, so this helps no copy (docs/decisions/0031).
 *
 *   QR_LINK_PLACE payload: u8 place, u8 n, u16 0, u32 the disk that is meant, u64 that incarnation
 *   (0: none), then n times: varint member, u32 disk, varint length and address (FOUNDER only)
 *
 * Thread: consensus; pure. */
#ifndef QR_CLUSTER_FOUNDING_H
#define QR_CLUSTER_FOUNDING_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cluster/link.h"
#include "cluster/membership.h"
#include "cluster/peers.h"

struct qr_seat {
    uint32_t member, disk;
    char address[QR_MEMBER_ADDRESS_BYTES];
};

struct qr_placement {
    enum qr_place place;
    uint32_t disk;        /* Of whom it is about. */
    uint64_t incarnation; /* The newest in the log of entries of its id; 0: there is none. */
    unsigned n;
    struct qr_seat seats[QR_MEMBERS_MAX]; /* Of a FOUNDER. */
};

int qr_placement_encode(struct qr_buf *out, const struct qr_placement *placement);
/* 0 or QR_E_MALFORMED; then it is untouched. */
int qr_placement_decode(struct qr_placement *placement, struct qr_slice payload);

/* The same for lists of the same ids, in any order. */
uint32_t qr_seeds_digest(const struct qr_link_member *seeds, unsigned n);

/* Is it on this member to found, now?  True with the first configuration. */
bool qr_may_found(const struct qr_link_member *seeds, unsigned n, uint32_t member, uint32_t disk,
                  const struct qr_peers *peers, struct qr_placement *founding);

/* What a member with a log has to say to an empty one. */
void qr_place_of(const struct raft *raft, const struct qr_membership *membership, uint32_t member,
                 uint32_t disk, struct qr_placement *placement);

#endif
