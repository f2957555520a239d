/* node/ingest.h — an ingest loop: a thread that serves children and HTTP clients.
 *
 * Each loop listens on the public port itself (SO_REUSEPORT), owns the connections it accepted, and
 * once a tick turns what its children sent into one batch for the log.  Credits bound what is on
 * its way: with QR_INGEST_CREDITS batches unanswered the loop keeps collecting until a batch is
 * full, then stops reading its children; their own buffers hold the data.
 *
 * Children that refill their past have batches of their own, sent after those of the others, and
 * leave them a credit: what is live does not wait for what is old.
 *
 * Thread: the loop's own, where not marked A (any). */
#ifndef QR_NODE_INGEST_H
#define QR_NODE_INGEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/mailbox.h"
#include "node/admission.h"
#include "node/api.h"
#include "node/bind.h"
#include "node/roster.h"
#include "proto/history.h"
#include "storage/jobs.h"

#define QR_INGEST_CREDITS      4u
#define QR_INGEST_CREDITS_LIVE 1u /* Of these, what refills may not take. */
/* Children whose LZ4 text stays unpacked between two messages, some 150 KiB each; that of a silent
 * one never does.  More than these at once pay some 50 us a message. */
#define QR_INGEST_WINDOWS 4096u
#define QR_INGEST_LANES   4u /* Workers that an ingest loop keeps busy at most. */

struct qr_conn;
struct qr_child;
struct qr_clones;
struct qr_functions;
struct qr_ingest;

struct qr_ingest_config {
    const struct qr_clock *clock;
    const struct qr_binds *binds; /* Where to listen, and what for. */
    uint32_t tick_ms;
    uint32_t vanished_s; /* See node/conn.h. */
    struct qr_roster *roster;
    struct qr_members *members;     /* Changes of them: node/manage. */
    struct qr_keyring *keyring;     /* And of API keys. */
    struct qr_functions *functions; /* Of children; NULL: none is offered or called. */
    struct qr_api *api;
    struct qr_admission *admission; /* Held by each loop, as the next; the first ones. */
    struct qr_key_table *keys;
    struct qr_guid own_guid;   /* A child that says it is this is our own host. */
    struct qr_guid cluster_id; /* A copy that has come through it is ours. */
    unsigned
        conns_max; /* Of this loop: strangers may not take the descriptors that the log needs. */
};

/* Counters, read by others: A. */
struct qr_ingest_stats {
    _Atomic uint64_t rows, samples, batches, replayed_rows;
    _Atomic uint64_t http_requests, refused, connects;
    _Atomic uint32_t n_children, n_conns, n_replicating;
};

/* Is the address free?  (The loops share it, so they would also share it with another process.)
 * 0, or an error that is in the log. */
int qr_ingest_check_address(uv_loop_t *loop, const char *listen);

/* Binds, starts the thread.  0, a libuv error, with the address in the log. */
int qr_ingest_start(struct qr_ingest **ingest, const struct qr_ingest_config *config);

/* A.  Children are let in, or told to go elsewhere.  (Closing those connected: the roster.) */
void qr_ingest_accept_children(struct qr_ingest *ingest, bool accept);

/* A.  From now on this decides who is let in; children that it does not let in any more are closed,
 * the others stay.  0 or UV_ENOMEM. */
int qr_ingest_readmit(struct qr_ingest *ingest, struct qr_admission *admission,
                      struct qr_key_table *keys);

/* A.  From now on these machines are refused (node/clones; NULL: none).  0 or UV_ENOMEM. */
int qr_ingest_refuse(struct qr_ingest *ingest, struct qr_clones *clones);

/* A.  Once: stops listening and closes all connections, so that children move on; what they sent
 * before goes into the log.  The thread runs until the process ends (docs/decisions/0007). */
void qr_ingest_drain(struct qr_ingest *ingest);

const struct qr_ingest_stats *qr_ingest_stats(const struct qr_ingest *ingest); /* A */

/* ---- for connections, children and HTTP clients of this loop ---- */

uv_loop_t *qr_ingest_loop(struct qr_ingest *ingest);
const struct qr_ingest_config *qr_ingest_config(const struct qr_ingest *ingest);
struct qr_mailbox *qr_ingest_mailbox(struct qr_ingest *ingest);
bool qr_ingest_accepting(const struct qr_ingest *ingest);
/* As of now: not to be kept beyond the callback. */
const struct qr_clones *qr_ingest_clones(const struct qr_ingest *ingest);
const struct qr_admission *qr_ingest_admission(const struct qr_ingest *ingest);
const struct qr_key_table *qr_ingest_keys(const struct qr_ingest *ingest);
uv_buf_t qr_ingest_read_buffer(struct qr_ingest *ingest);
/* For the decompressors of its children. */
struct qr_history_pool *qr_ingest_histories(struct qr_ingest *ingest);
int64_t qr_ingest_now_us(struct qr_ingest *ingest);
struct qr_ingest_stats *qr_ingest_counters(struct qr_ingest *ingest);
/* A rate-limited warning about a stranger. */
void qr_ingest_complain(struct qr_ingest *ingest, const char *format, ...) QR_PRINTF(2, 3);

/* More connections than this loop may have, the newest included. */
bool qr_ingest_is_full(const struct qr_ingest *ingest);
/* Runs a job that may take long (an answer) on one of the few workers that this loop may keep busy,
 * so that the log's disk work, which shares the pool, always finds one. */
void qr_ingest_add_job(struct qr_ingest *ingest, struct qr_job *job);
void qr_ingest_conn_came(struct qr_ingest *ingest, struct qr_conn *conn);
void qr_ingest_conn_gone(struct qr_ingest *ingest);

/* A child that may send rows joins, and leaves before it goes. */
void qr_ingest_child_came(struct qr_ingest *ingest, struct qr_child *child);
void qr_ingest_child_gone(struct qr_ingest *ingest, struct qr_child *child);
/* Sends what is there now, as far as there is credit. */
void qr_ingest_flush(struct qr_ingest *ingest);
/* So many bytes of a child's rows wait; true: the child must pause (qr_child_resume follows). */
bool qr_ingest_grown(struct qr_ingest *ingest, size_t bytes, bool refills);

#endif
