/* cluster/link.h — the connections between members: mutual TLS 1.3, one a pair, framed.
 *
 * The member with the higher id dials; both verify the other's certificate against the cluster CA,
 * and the identity in it (SAN URI quorate://<cluster>/<member id>) against the hello and the member
 * table.  Frames, after the TLS record layer:
 *
 *    0  u32  magic "QRLK"
 *    4  u16  type
 *    6  u16  flags, 0
 *    8  u32  group
 *   12  u32  payload bytes, <= QR_LINK_FRAME_BYTES_MAX
 *   16  u32  CRC32C of bytes 0 .. 16 and the payload
 *   20       payload
 *
 * The first frame each way is HELLO: u32 protocol version, u32 member id, u64 incarnation, 16 bytes
 * cluster id, u32 disk, the sender's address.  The dialler says it first; the answer means that it
 * was let in. PING goes out when nothing else did for a heartbeat; a peer that was silent, or took
 * nothing, for 2 election timeouts is cut and dialled again.  TCP_NODELAY, keep-alive.
 *
 * Refused, with a reason in the log: a certificate of another CA or cluster, an id that was removed
 * (qr_link_ban), is not the certificate's, not the one dialled, or lower than ours (those we dial);
 * an incarnation older than one seen (a copy of a member, or its disk put back).  One that comes
 * from another disk is no copy of the one that was seen: it may be older once that one is gone, for
 * a member that lost its disk counts anew (docs/decisions/0031).  When a member connects twice, the
 * newest connection that proved itself stays.
 *
 * Sending never blocks: frames queue up to `queue_bytes_max` a peer, then QR_E_BUSY; a frame is
 * always taken when nothing waits, so that one larger than the queue can pass.  What is sent in one
 * turn of the loop goes out together at the turn's end.
 * The program ignores SIGPIPE.  Thread: consensus. */
#ifndef QR_CLUSTER_LINK_H
#define QR_CLUSTER_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/slice.h"
#include "base/tls.h"

enum qr_link_type {
    QR_LINK_HELLO = 1,
    QR_LINK_PING = 2,
    QR_LINK_RAFT = 3,           /* a raft message                           (cluster/raft_wire) */
    QR_LINK_PROPOSE = 4,        /* an entry for the leader                   (cluster/proposer) */
    QR_LINK_PROPOSE_RESULT = 5, /* taken, or why not                         (cluster/proposer) */
    QR_LINK_STATE_HASH = 6,     /* u64 applied index, u64 hash                (cluster/group) */
    QR_LINK_BLOCK_GET = 7,      /* a part of a block file is asked for            (node/catchup) */
    QR_LINK_BLOCK_PART = 8,     /* and sent                                       (node/catchup) */
    QR_LINK_PLACE = 9,          /* what a member without a log is             (cluster/founding) */
    QR_LINK_FUNCTION = 10,      /* calls of children's functions      (node/function_frame) */
    QR_LINK_TYPE_NR
};

/* Members that can be refused at a time. */
#define QR_LINK_BANNED_MAX 256u

struct qr_link;

struct qr_link_member {
    uint32_t id;
    char address[64]; /* host:port, IPv4, [IPv6] or a name */
};

struct qr_link_config {
    uv_loop_t *loop;
    const struct qr_clock *clock;
    uint32_t member_id;
    uint64_t incarnation;
    struct qr_guid cluster_id;
    const char *listen_address; /* host:port; NULL: alone, neither listens nor dials */
    const char *ca_file, *cert_file, *key_file;
    uint32_t heartbeat_ms;
    uint32_t election_timeout_ms;
    uint32_t connect_retry_ms; /* 100 .. 250 */
    uint32_t handshake_timeout_ms;
    size_t queue_bytes_max; /* a peer */
};

/* A frame from an authenticated peer; payload is valid during the call.  Returning an error cuts
 * the connection. */
typedef int (*qr_link_receive_cb)(void *data, uint32_t member, uint32_t group,
                                  struct qr_slice payload);
/* A newer connection that replaces one is told as down, then up.  Not called by qr_link_close. */
typedef void (*qr_link_peer_cb)(void *data, uint32_t member, bool up);
/* status 0: handed to the kernel; else it may or may not have arrived (the reason of the cut;
 * UV_ECANCELED at close).  Exactly once, always from the loop, never from inside a call to the
 * link; it may call the link. */
typedef void (*qr_link_sent_cb)(void *data, int status);

/* Binds and listens; dialling starts with the members.  0, a libuv error, QR_E_TLS or QR_E_CONFIG
 * (the reason is logged, with the file or address). */
int qr_link_open(struct qr_link **link, const struct qr_link_config *config);

/* Reads the files again, which may have other names: connections from now on are made with them,
 * those that are stay.  The certificate must name this member.  0, or QR_E_TLS, QR_E_DENIED or
 * UV_ENOMEM with a sentence, and nothing has changed. */
int qr_link_reload(struct qr_link *link, const char *ca_file, const char *cert_file,
                   const char *key_file, char reason[QR_TLS_REASON_BYTES]);

/* Who we say we are from the next hello on: where the log lies (before any member is dialled; 0:
 * nowhere), and a larger incarnation. */
void qr_link_set_disk(struct qr_link *link, uint32_t disk);
void qr_link_set_incarnation(struct qr_link *link, uint64_t incarnation);

/* The port that it listens on (config: port 0 takes a free one). */
unsigned qr_link_port(const struct qr_link *link);

/* Who handles frames of a type; set before members are added. */
void qr_link_on(struct qr_link *link, enum qr_link_type type, qr_link_receive_cb receive,
                void *data);
void qr_link_on_peer(struct qr_link *link, qr_link_peer_cb peer, void *data);

/* The member table: adds or changes; members in it are dialled.  One that is not in it, but has a
 * certificate of this cluster, is let in as a guest: a new member before it is added, or one of
 * those that became members while this one was away.  Own id is ignored.  A new address counts from
 * the next dialling.  0, QR_E_CONFIG (address), QR_E_LIMIT, UV_ENOMEM. */
int qr_link_set_member(struct qr_link *link, const struct qr_link_member *member);
/* Cuts its connection too.  It may come back as a guest. */
void qr_link_remove_member(struct qr_link *link, uint32_t member);
/* Refuses a member, and cuts its connection; or does so no more. */
void qr_link_ban(struct qr_link *link, uint32_t member, bool ban);

/* Sends one frame whose payload is the parts, one after the other.  With a `sent` callback large
 * parts are borrowed until it (small ones are copied).  sent may be NULL: then all is copied.
 * 0, QR_E_UNREACHABLE (no connection), QR_E_BUSY (queue full), QR_E_LIMIT, UV_ENOMEM; then sent is
 * not called. */
int qr_link_send(struct qr_link *link, uint32_t member, uint32_t group, enum qr_link_type type,
                 const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent, void *data);

bool qr_link_is_up(const struct qr_link *link, uint32_t member);

/* Milliseconds (mono) when something was last received from the member; 0: never. */
uint64_t qr_link_last_heard_ms(const struct qr_link *link, uint32_t member);

struct qr_link_stats {
    uint64_t frames_sent, frames_received, bytes_sent, bytes_received;
    uint64_t connects, refused, dead_peers, bad_frames;
};
void qr_link_get_stats(const struct qr_link *link, struct qr_link_stats *stats);

/* Cuts all connections, calls outstanding callbacks, closes, then on_closed; the link is freed
 * before on_closed is called. */
void qr_link_close(struct qr_link *link, void (*on_closed)(void *data), void *data);

#endif
