/* cluster/peers.h — what the other members say of themselves, and whether their state is ours.
 *
 *   QR_LINK_STATE_HASH payload, about four times a second: u64 applied index, u64 index of the last
 *   entry that the machine applied, u64 state hash after it, u64 term, u64 commit index, u8 role,
 *   u8 flags (1: leader that takes entries, 2: short of disk, 4: has no log yet, 8: takes
 *   children, 16: is drained), u16 thousandths
 * of the block files that it has, u32 its disk (cluster/disk_id), u32 digest of its seeds
 *   (cluster/founding), u64 unix seconds of its clock
 *
 * Two machines that have applied the same entries have the same hash.  A peer that is ahead is
 * compared when this member gets there, one that is behind with the hashes that the machine keeps.
 * Thread: consensus. */
#ifndef QR_CLUSTER_PEERS_H
#define QR_CLUSTER_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"
#include "cluster/group.h"
#include "cluster/machine.h"

struct qr_peer_state {
    uint64_t applied, index, hash, term, commit;
    enum qr_group_role role;
    bool ready;
    bool disk_low;
    bool empty;  /* It has no log: waits to found, or to be taken in. */
    bool taking; /* Children are let in. */
    bool draining;
    uint16_t permille; /* Of the block files. */
    uint32_t disk, seeds;
    int64_t clock_s;
};

int qr_peer_state_encode(struct qr_buf *out, const struct qr_peer_state *state);
/* 0 or QR_E_MALFORMED. */
int qr_peer_state_decode(struct qr_peer_state *state, struct qr_slice payload);

struct qr_peer {
    uint32_t id; /* 0: free. */
    bool told;   /* `state` is set. */
    struct qr_peer_state state;
    uint64_t told_ms; /* When, by our clock that does not jump. */
    /* Its clock less that one of ours, the greatest of this span of time and of the one before. */
    int64_t offset_ms, offset_before_ms;
    uint64_t offset_since_ms;
    bool up;
    uint64_t n_ups;                       /* How often the connection came up. */
    uint64_t waiting_index, waiting_hash; /* To compare when we get there; 0: none. */
    bool diverged;
};

struct qr_peers {
    struct qr_peer peers[2 * QR_MEMBERS_MAX]; /* Members, those that were, those that come. */
};

/* The record of a member, made if need be, in the place of one that is down; NULL when there are
 * too many. */
struct qr_peer *qr_peers_get(struct qr_peers *peers, uint32_t id);
/* The same, if it is there; else NULL. */
const struct qr_peer *qr_peers_find(const struct qr_peers *peers, uint32_t id);

/* A peer has said its clock, in peer->state.  What is said may have waited for seconds, on a
 * machine that does not keep up, and looks too early then, never too late; so the greatest
 * difference counts that was seen in the last QR_PEERS_OFFSET_MS, or twice that. */
#define QR_PEERS_OFFSET_MS 5000
void qr_peers_hear_clock(struct qr_peer *peer, uint64_t now_ms);

/* Its clock now, in unix seconds; it has said it. */
int64_t qr_peers_clock(const struct qr_peer *peer, uint64_t now_ms);

/* The clocks, now, of the members that were heard of lately (cluster/agreed).  How many there are.
 */
#define QR_PEERS_CLOCK_MS 5000
unsigned qr_peers_clocks(const struct qr_peers *peers, uint64_t now_ms,
                         int64_t clocks_s[2 * QR_MEMBERS_MAX]);

/* Notes what a peer says.  Returns false when its hash is not ours at the same index. */
bool qr_peers_told(struct qr_peer *peer, const struct qr_peer_state *state,
                   const struct qr_machine *machine);

/* The machine has applied another entry: the next peer that turns out to differ, or NULL. */
struct qr_peer *qr_peers_check(struct qr_peers *peers, const struct qr_machine *machine);

#endif
