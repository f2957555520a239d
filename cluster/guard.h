/* cluster/guard.h — what stands between the raft library (0.22.1) and us.
 *
 * The library has seventeen defects that we know of.  The guard wraps the methods of raft_io, above
 * our own transport and the library's disk back end, so that none of them is met:
 *
 *   G1  A snapshot that arrives while the member takes its own: NULL dereference.  Held back until
 *       the own one is done, delivered from the tick.
 *   G2  A newer snapshot than decided on is sent with the older one's term.  The term of what was
 *       loaded is put right on the way out.
 *   G3  A follower's commit index can go back (a probe whose previous index is below it).  The
 *       message's commit index is raised to ours.  Second line: fsm.c.
 *   G4  The retry of a failed log write crashes one retry period later.  Failed writes, and failed
 *       term, vote, truncate and append calls, stop the member at once: fail-stop.  So does a
 *       snapshot that cannot be installed: the member would wait for its end for ever.
 *   G5  A configuration entry that is not the first of its message is remembered at a wrong index.
 *       Messages are cut before it; the follower asks for the rest.
 *   G6  The disk capacity is a 16-bit number of KiB: settings are checked.
 *   G7  A follower that is silent while it receives a large snapshot gets it again with each tick.
 *       One in flight a peer, and the same one not again for QR_GUARD_RESEND_MS.
 *   G8  If a snapshot to send can not be loaded, memory that was never set is freed: fail-stop.
 *   G9  A late refusal of a pre-vote reaches a member that is no candidate any more: a field of the
 *       candidate's part of a union is read, which is a byte of an address then, and if that is 0
 *       the term is raised, which costs the cluster its leader.  Such a message is dropped.
 *   G10 A snapshot is read on one thread while newer ones are written, and older ones removed, on
 *       another: a listing that is two writes old finds no snapshot, which passes for success, and
 *       memory that was never set is sent.  Reading and writing wait for each other, in order;
 *       several may read.  What waits when the guard closes is canceled first.
 *   G11 A crash in the middle of a truncation leaves a log that cannot be opened.  Truncations are
 *       noted (cluster/mend) before they begin, and finished when the log is opened again.
 *   G12 So does a power cut that tears the first write to a segment, and
 *   G13 a crash while the open segment is full but for 8 bytes.  cluster/mend sees to both.
 *   G14 A follower that hears of a newer term, as when it votes, goes on naming the leader of the
 *       older one.  A leader counts once it has been heard in the current term: qr_guard_leader.
 *   G15 A segment that cannot be closed does not keep the next one from being closed: a log with a
 *       gap, which cannot be opened.  Fail-stop, on the worker that failed.
 *   G16 If the folder cannot be synced after a new segment was made, the segment is made again and
 *       again, in vain, for it is there: appends wait for ever.  Fail-stop.
 *   G17 Term and vote have no checksum: a flipped bit is another vote.  They are noted with one
 *       before they are written (cluster/term_note), and the note counts.
 *
 * It also frees what the library leaks: a snapshot that arrives while another is being installed,
 * and one that is being loaded or installed when the member closes.  docs/decisions/0002 tells how
 * they were found.
 *
 * Order: raft_init, then the transport's methods, then qr_guard_install, then raft_start.  The
 * guard takes raft->data; io->data is the library's.  Thread: consensus. */
#ifndef QR_CLUSTER_GUARD_H
#define QR_CLUSTER_GUARD_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/list.h"

#if RAFT_VERSION_NUMBER != 2201
#error "cluster/guard knows libraft 0.22.1 and no other: see docs/decisions/0002"
#endif

#define QR_GUARD_RESEND_MS 10000u

/* Bits of `off`, for the tests that show what happens without. */
enum qr_guard_part {
    QR_GUARD_G1 = 1 << 1,
    QR_GUARD_G2 = 1 << 2,
    QR_GUARD_G3 = 1 << 3,
    QR_GUARD_G4 = 1 << 4,
    QR_GUARD_G5 = 1 << 5,
    QR_GUARD_G7 = 1 << 7,
    QR_GUARD_G8 = 1 << 8,
    QR_GUARD_G9 = 1 << 9,
    QR_GUARD_G10 = 1 << 10,
};

struct qr_guard_peer {
    raft_id id; /* 0: free. */
    raft_index index;
    bool in_flight;
    bool sent;
    raft_time sent_at;
};

struct qr_guard {
    struct raft *raft;
    struct raft_io *io;
    /* Does not return, or ends the use.  On the consensus thread; for G15 on a worker. */
    void (*fail_stop)(void *data, const char *sentence);
    void *data;
    unsigned off;
    const char *dir;      /* G11, G17: the log's folder, borrowed; NULL: nothing is noted. */
    raft_term noted_term; /* G17: in this life; 0: none. */
    uint64_t n_cuts;      /* G11: truncations so far. */
    bool cut_noted;       /* G11: perhaps one is not done. */
    raft_index next;      /* G11: of the next entry that is new to the log; 0: not started. */
    bool closing;
    struct raft_io below; /* The wrapped methods. */
    raft_io_tick_cb tick; /* The library's. */
    raft_io_recv_cb recv; /* The library's. */
    bool holding;         /* G1 */
    struct raft_message held;
    char held_address[QR_ADDRESS_BYTES_MAX];
    raft_term heard_term;    /* G14: in which a leader was heard last. */
    raft_index loaded_index; /* G2: of the snapshot that is being sent; 0: none. */
    raft_term loaded_term;
    struct qr_guard_peer peers[QR_MEMBERS_MAX]; /* G7 */
    struct qr_list dropped;                     /* Sends to complete with the next tick. */
    bool refusing;                              /* G8: the library may not send what it got. */
    struct qr_list waiting;    /* G10: snapshots to be read or written, in order. */
    unsigned n_getting;        /* By the back end, now. */
    bool putting;              /* By the back end, now: then n_getting is 0. */
    struct raft_tracer tracer; /* G4: sees the back end's failed writes. */
    uint64_t n_held, n_terms_mended, n_commits_raised, n_cut, n_snapshots_sent, n_snapshots_dropped;
    uint64_t n_snapshots_waited;
};

/* Wraps raft->io; fail_stop gets a sentence that says why this member must stop. */
void qr_guard_install(struct qr_guard *guard, struct raft *raft,
                      void (*fail_stop)(void *data, const char *sentence), void *data);

/* For raft_uv_set_tracer: how the guard hears of failed writes. */
struct raft_tracer *qr_guard_tracer(struct qr_guard *guard);

/* The connection to this peer was lost: it may have lost what was sent, too. */
void qr_guard_peer_down(struct qr_guard *guard, raft_id peer);

/* This follower's connection to the leader is gone and does not come back: its election timer runs
 * out with the next tick instead of up to two timeouts later.  Harmless if the leader lives: the
 * first round is a pre-vote, and those that hear the leader refuse it. */
void qr_guard_leader_lost(struct qr_guard *guard);

/* The leader of the current term; 0: none is known. */
raft_id qr_guard_leader(const struct qr_guard *guard);

/* G6: 0, or QR_E_CONFIG for a log segment below 4 or above 16 MiB, or a threshold that two prepared
 * segments can not meet. */
int qr_guard_check_settings(uint64_t segment_bytes, unsigned capacity_threshold_kib);

#endif
