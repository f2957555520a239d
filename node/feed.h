/* node/feed.h — between a source of a host's data and the consensus loop: who says what to whom.
 *
 * A feed is one session of one host: a connected child on an ingest loop, or the member itself.
 * The session's side and the roster's side (node/roster, consensus loop) talk by messages only:
 *
 *   session                           roster
 *   attach {guid, host definition} -> OWN into the log; HOST before it if the host is new, else
 *                                     once OWN is applied, if it changed
 *                                  <- attached {host id, epoch}     when OWN was applied here
 *   define {chart definitions}     -> CHARTS (those that changed), then the holes are looked up
 *                                  <- defined {ids, places, watermarks, holes}
 *   seek {charts, until when}      -> their older holes are looked up
 *                                  <- defined {holes}
 *   batch {encoded SAMPLES body}   -> SAMPLES
 *                                  <- batch_done                    when applied: a credit
 *   note {host definition | gap}   -> HOST, HOST_STATE
 *                                  <- close                         fenced, or no longer served
 *   detach                         -> HOST_STATE disconnected
 *                                  <- detached: the last message; the session frees the feed
 *
 * A request is a struct that the session allocates and that comes back as its own answer; the
 * session frees it then.  Requests of a feed are taken in order, but a define is looked at on a
 * worker first: the session sends the next when the last is answered, or an older definition of a
 * chart could enter the log behind a newer one.  After detach the session posts nothing more.
 * Thread: each field as marked. */
#ifndef QR_NODE_FEED_H
#define QR_NODE_FEED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/list.h"
#include "base/mailbox.h"
#include "base/tls.h"
#include "cluster/claims.h"
#include "proto/stream.h"
#include "storage/jobs.h"
#include "storage/store.h"

struct qr_feed;
struct qr_function_order;
struct qr_roster;

/* What a session is told, on its own loop. */
struct qr_feed_handler {
    /* status 0, or why this member cannot take the child. */
    void (*attached)(struct qr_feed *feed, int status);
    void (*close)(struct qr_feed *feed, const char *reason);
    void (*detached)(struct qr_feed *feed);
    /* About a function of the host (node/functions); NULL: it has none. */
    void (*order)(struct qr_feed *feed, const struct qr_function_order *order);
};

struct qr_feed {
    /* Set by the session before attach, constant afterwards. */
    struct qr_guid guid;
    struct qr_mailbox *home; /* Of the session's loop. */
    const struct qr_feed_handler *handler;
    void *session;
    struct qr_claim machine; /* Which machine it is. */
    char peer[64];           /* Who it is, for the log. */
    bool self;               /* The member's own host. */
    uint32_t key;            /* That it came with, in the log; 0: another's. */
    bool has_certificate;    /* It came over TLS and showed one: its SHA-256. */
    uint8_t certificate[QR_TLS_FINGERPRINT_BYTES];
    char api_key[40]; /* With which it came; "": our own. */

    /* Written by the roster before `attached` is posted, constant afterwards. */
    uint32_t host;
    uint32_t epoch;

    /* Written by the session, read by the roster. */
    _Atomic int64_t clock_ahead_s;                /* Of the child's clock, as last seen. */
    _Atomic uint64_t replay_left_s, replay_all_s; /* Seconds of its charts' past, while any wait. */
    _Atomic uint64_t replay_asks;                 /* Requests that wait for their answers. */
    _Atomic uint64_t replay_since_ms;             /* When that began (mono); 0: nothing waits. */
    _Atomic uint64_t rows_ahead;                  /* Refused as of the future (proto/horizon). */

    /* The session's. */
    uint32_t block_seq; /* Of the last block it sealed in this epoch. */

    /* Of node/functions: number of the session's newest list, another for each of any session; 0:
     * none yet. */
    uint32_t offer;

    /* The roster's. */
    struct qr_list node;
    uint64_t nonce;
    unsigned n_pending; /* Requests taken and not yet answered. */
    bool owned, detaching, closing;
    bool gentle; /* With close: what was read until then goes in. */
    struct qr_message attach_message, close_message, detach_message;
    struct qr_buf host_body; /* The session fills it for attach; then the roster's. */
    int status;
    const char *close_reason;
};

/* Definitions of charts, and where each of them resumes.  Holes of one turn: there may be more. */
#define QR_HOLES_MAX 64

/* What the source has of a chart. */
struct qr_feed_source {
    int64_t first_s; /* It has what ends behind it; 0: nothing, as far as it says. */
    bool refills; /* It is a node that stores what it streams on: what it lacks may come later. */
};

struct qr_feed_chart {
    struct qr_buf body; /* qr_chart_def_encode */
    uint32_t slot;      /* The session's. */
    uint32_t n_dims;
    uint32_t update_every;
    struct qr_feed_source source;
    bool changes; /* The roster's: the catalog has another definition, or none. */
    /* The answer. */
    int status;
    const char *refusal; /* With QR_E_LIMIT: which, as a clause for a sentence. */
    uint32_t chart;
    uint32_t *places; /* Of the session's dimensions among the chart's; n_dims of them. */
    int64_t watermark_s;
    int64_t until_s; /* Holes are looked for up to there; of a definition: the watermark. */
    uint32_t n_holes;
    struct qr_stream_hole holes[QR_HOLES_MAX]; /* Ascending; see node/holes.h. */
};

struct qr_feed_define {
    struct qr_message message;
    struct qr_feed *feed;
    void (*defined)(struct qr_feed_define *define); /* On the session's loop; frees it. */
    uint32_t n;
    struct qr_feed_chart *charts;
    /* The roster's. */
    struct qr_roster *roster;
    struct qr_job job;
    uint32_t n_waiting;
};

void qr_feed_define_free(struct qr_feed_define *define);

/* Something to be noted; not answered, the roster frees it. */
#define QR_NOTE_GAPS_MAX 256

struct qr_feed_note {
    struct qr_message message;
    struct qr_feed *feed;
    struct qr_roster *roster; /* The roster's. */
    struct qr_buf host_body;  /* The host's definition, or empty; nothing happens if it is known. */
    uint32_t n_gaps;
    struct qr_gap gaps[QR_NOTE_GAPS_MAX];
};

/* A tick's SAMPLES body of one ingest loop. */
struct qr_batch {
    struct qr_message message;
    struct qr_mailbox *home;
    void (*done)(struct qr_batch *batch); /* On `home`; frees it. */
    void *owner;
    struct qr_buf body;
    int status;
    int64_t oldest_us; /* When its oldest row was read from its socket (mono). */
    uint64_t n_samples;
};

#endif
