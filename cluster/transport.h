/* cluster/transport.h — the library's I/O: its own disk back end, our link as network.
 *
 *   raft -> guard -> transport.send -> QR_LINK_RAFT frames
 *   QR_LINK_RAFT frame -> qr_transport_receive -> guard -> raft
 *                         transport.append, .. are raft_uv's own
 *
 * The library knows servers, which are disks (cluster/disk_id); the link knows members.  So each
 * message says from which disk and to which it goes, and one that is for another disk than ours is
 * dropped:  RAFT payload: u32 sender's disk, u32 receiver's disk, the message (cluster/raft_wire).
 *
 * send always accepts (the library abandons the rest of its work when a send fails) and completes
 * later, exactly once, never from inside: with RAFT_NOCONNECTION when the link refused.  Data of
 * entries and snapshots is borrowed until then.  Messages above QR_TRANSPORT_SPLIT_BYTES go in
 * several, so that heartbeats pass in between.  Closing waits until nothing is borrowed.
 *
 * Open order: qr_transport_init, raft_init with &transport.io, qr_transport_install, then the
 * guard.  Close: raft_close; in its callback qr_transport_release.  Thread: consensus. */
#ifndef QR_CLUSTER_TRANSPORT_H
#define QR_CLUSTER_TRANSPORT_H

#include <raft.h>
#include <raft/uv.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/limits.h"
#include "base/list.h"
#include "cluster/link.h"

#define QR_TRANSPORT_SPLIT_BYTES (1024u * 1024)

/* The commit index that a peer was last told. */
struct qr_transport_told {
    uint32_t member; /* 0: free. */
    uint64_t commit;
};

struct qr_transport {
    struct raft_io io;
    struct raft_uv_transport stub; /* The back end wants one; it never connects. */
    struct qr_link *link;
    uint32_t group;
    uint32_t disk; /* Of this member; set after init. */
    uv_loop_t *loop;
    uv_timer_t later; /* Completes what was refused. */
    bool later_open;
    raft_uv_transport_close_cb on_stub_closed;
    int (*start)(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick, raft_io_recv_cb recv);
    void (*close)(struct raft_io *io, raft_io_close_cb cb);
    raft_io_recv_cb recv; /* NULL until started, and after closing. */
    raft_io_close_cb on_closed;
    bool closing, disk_closed;
    unsigned n_sends;       /* Not completed. */
    struct qr_list refused; /* Of those, to complete from the timer. */
    struct qr_transport_told told[QR_MEMBERS_MAX];
    uint64_t n_sent, n_refused, n_received, n_bad, n_announced, n_strayed;
};

/* 0 or an error: the directory does not exist, .. */
int qr_transport_init(struct qr_transport *transport, uv_loop_t *loop, struct qr_link *link,
                      uint32_t group, const char *dir);

/* Puts our methods in place of raft_uv's; raft_init was called. */
void qr_transport_install(struct qr_transport *transport);

/* On the leader: tells a member that holds all entries up to `commit`, the last of which is of this
 * term, that they are committed, unless it was told.  The library would do so with the next entry
 * or heartbeat; a follower that waits to see its own entry applied need not. */
void qr_transport_announce(struct qr_transport *transport, raft_id to, uint64_t term,
                           uint64_t commit);

/* A QR_LINK_RAFT frame from a member.  0, or an error that cuts the connection. */
int qr_transport_receive(struct qr_transport *transport, uint32_t member, struct qr_slice payload);

/* After raft_close's callback, or when raft_init failed. */
void qr_transport_release(struct qr_transport *transport);

#endif
