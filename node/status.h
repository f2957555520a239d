/* node/status.h — what the cluster looks like from here: one immutable picture.
 *
 * The consensus loop builds a new one several times a second and publishes it; workers read the
 * newest between qr_store_enter and qr_store_leave.  JSON of /api/quorate/v1/status and the verdict
 * of `quoratectl status` come from it.  Thread: any (immutable). */
#ifndef QR_NODE_STATUS_H
#define QR_NODE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/tls.h"
#include "cluster/group.h"
#include "node/forward_status.h"
#include "node/placement.h"

struct qr_status_child {
    uint32_t host;
    char guid[QR_GUID_TEXT_LEN + 1];
    char hostname[256];
    uint32_t owner; /* Member id, 0: none. */
    uint32_t epoch;
    bool connected;
    bool own; /* The host of a member itself. */
    uint32_t charts;
    uint32_t hops;               /* 1: it streams to us itself; more: somebody streams it on. */
    uint32_t update_every;       /* s */
    uint64_t quiet_ms;           /* Since it last sent anything, came or left. */
    int64_t watermark_s;         /* Newest of its charts. */
    uint32_t replication_factor; /* Members that hold its newest applied data. */
    uint64_t n_samples, n_gaps;
    int64_t clock_ahead_s; /* Its owner knows: 0 elsewhere, and when it is right. */
    uint64_t rows_ahead;   /* Refused as of the future. */
    uint32_t key;          /* In the log, that it came with, on its owner; 0: none of there. */
    bool has_certificate;  /* It showed one, on its owner: its SHA-256. */
    uint8_t certificate[QR_TLS_FINGERPRINT_BYTES];
    /* Its owner knows: seconds of its charts' past that it is asked for still, of so many. */
    uint64_t replay_left_s, replay_all_s;
    uint64_t replay_asks;  /* Requests for it that wait for their answers. */
    uint64_t replay_eta_s; /* UINT64_MAX: not known yet. */
    char *clone; /* What is to be said of another machine with its GUID; NULL: nothing.  Owned. */
    bool has_upstream; /* This member streams it on. */
    struct qr_forwarder_status upstream;
};

struct qr_status {
    char cluster_name[64];
    struct qr_guid cluster_id;
    struct qr_group_status group;
    uint64_t commit_latency_us_p50, commit_latency_us_p99;
    int64_t time_s; /* When the picture was taken. */
    uint64_t uptime_s;
    bool draining;
    struct qr_placement placement; /* The members, as children are sent to them. */
    uint32_t n_children;
    struct qr_status_child *children;
    uint64_t samples_in, rows_in;     /* From children of this member. */
    uint32_t n_replicating;           /* Charts that its children replay now. */
    uint64_t log_samples, log_bytes;  /* Of SAMPLES entries applied here. */
    uint64_t block_bytes, head_bytes; /* Of block files, and of unsealed samples in memory. */
    uint64_t socket_latency_us_p50;   /* From a child's socket to applied here, last 1024. */
    uint64_t socket_latency_us_p99;
    uint64_t n_missing_blocks, missing_bytes; /* Files that are not here, and what is to come. */
    uint64_t n_fetched_blocks, fetched_bytes; /* From peers, since the start. */
    uint64_t fetch_eta_s;                     /* UINT64_MAX: not known. */
    uint64_t n_peer_reads;                    /* Queries' reads of peers' files, meanwhile. */
};

enum qr_verdict { QR_HEALTHY, QR_DEGRADED, QR_DOWN };

#define QR_VERDICT_BYTES_MAX 640

/* The verdict: 0 HEALTHY, 1 DEGRADED, 2 DOWN, and a sentence such as
 *   HEALTHY · 3/3 · RF 3 for 2/2 children · can lose 1
 *   DEGRADED because member 2 (10.0.0.2:19998) has not been heard for 12 s; do: start it again ...
 * written to `sentence` (QR_VERDICT_BYTES_MAX is always enough).  The worst problem is named with
 * its remedy, others are counted.  Without a leader nothing new is stored: that is DOWN. */
int qr_status_verdict(const struct qr_status *status, char *sentence, size_t sentence_bytes);

/* The JSON object of /api/quorate/v1/status, appended:
 *   cluster {name, id}, time, uptime_s, verdict {level, sentence}, leader (0: none), term, applied,
 *   commit, hash (16 hex digits), ready, role, member (this one's id),
 *   place (voter, learner, not a member; of a member with an empty folder what it was told), disk,
 *   change {change (its index), kind: add|remove|replace, member (0: none), with (0: none),
 * address, canceled, text, permille, eta_s (null: not known)} or null, last_change {the same to
 * canceled, done, result} or null, members [{id, name, version, address, role, state: up|down|self,
 * voter, kind: voter|learner| spare, disk, applied, commit, last_contact_ms (null: never), hash,
 * clock_ahead_s (of the cluster's time; 0: it is right)}],
 *   children [{guid, hostname, own, owner (0: none), epoch, connected, charts, watermark,
 *     replication_factor, samples, gaps, clock_ahead_s, rows_ahead, key (its id) and certificate
 *     (64 hex digits) that it came with (null: none, or another member owns it), clone (a sentence,
 *     or null), replay {left_s, permille, eta_s (null: not known)} or null (nothing, or asked of
 *     another member than its owner), hops, upstream (null: this member does not stream it on)
 *     {state, destination, reason, connects, lag_s, lag_samples, charts, live, rows, replayed_rows,
 *     bytes}}],
 * counters {..} 0 or UV_ENOMEM. */
int qr_status_json(const struct qr_status *status, struct qr_buf *out);

/* Drops the picture and its children; both came from malloc.  NULL is nothing. */
void qr_status_free(struct qr_status *status);

#endif
