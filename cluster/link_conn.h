/* cluster/link_conn.h — one connection of a member link: TCP, TLS 1.3, frames, its queue.
 *
 * Knows nothing of members: the owner judges the certificate and the hello.  Order of events:
 *
 *   dial / accept -> secured (TLS is up, the certificate is there) -> frame ... -> cut -> closed
 *
 * cut comes once, from inside whatever decided it; closed is last and always from the loop, after
 * the callbacks of all frames that were not sent; then the owner frees.
 *
 * Frames go out once a loop turn (an idle handle that runs only while something waits), so what is
 * queued in one turn shares records and writes.  At most OUT_BYTES are encrypted ahead of the
 * kernel.  Until qr_link_conn_trust only a hello's worth of bytes is taken, within the handshake
 * timeout.  Thread: consensus. */
#ifndef QR_CLUSTER_LINK_CONN_H
#define QR_CLUSTER_LINK_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/tls.h"
#include "cluster/link_frame.h"
#include "cluster/link_queue.h"

#define QR_LINK_REASON_BYTES 320

struct qr_link_conn;

/* What all connections of a link share; outlives them. */
struct qr_link_conn_shared {
    uv_loop_t *loop;
    const struct qr_clock *clock;
    struct qr_tls_context *tls;
    uint32_t heartbeat_ms, election_timeout_ms, handshake_timeout_ms;
    char *read_buffer; /* libuv reads into it and calls back at once: one is enough for all. */
    size_t read_buffer_bytes;
    struct qr_link_stats stats;

    int (*secured)(struct qr_link_conn *conn); /* An error cuts; set the reason with refuse. */
    int (*frame)(struct qr_link_conn *conn, const struct qr_link_frame *frame); /* As above. */
    void (*cut)(struct qr_link_conn *conn, int status);
    void (*closed)(struct qr_link_conn *conn);
};

struct qr_link_conn {
    struct qr_list node; /* The owner's. */
    void *owner;         /* The owner's, */
    void *member;        /* this too: whom it is with, once known. */
    struct qr_link_conn_shared *shared;
    struct qr_tls *tls;
    struct qr_buf in;  /* plaintext that is not a whole frame yet */
    struct qr_buf out; /* ciphertext; untouched while `writing` */
    struct qr_link_queue queue;
    uv_tcp_t tcp;
    uv_timer_t handshake;
    uv_idle_t flush;
    uv_connect_t connect;
    uv_write_t write;
    size_t in_want;      /* A frame has begun that needs this many bytes. */
    uint64_t out_covers; /* Position in the queue up to which `out` goes. */
    uint64_t heard_ms;   /* When something came last, */
    uint64_t sent_ms;    /* went last, */
    uint64_t moved_ms;   /* or a write that hangs moved last. */
    size_t write_left;   /* of that write, then */
    unsigned handles_open;
    int status; /* Why it was cut. */
    bool dialled, trusted, secured, writing, closing;
    char peer[64]; /* Its socket address, as text. */
    char reason[QR_LINK_REASON_BYTES];
};

/* 0 or an error, then conn may be freed at once.  After 0 it must be cut. */
int qr_link_conn_init(struct qr_link_conn *conn, struct qr_link_conn_shared *shared, void *owner);

/* Failures after these two are cuts. */
void qr_link_conn_accept(struct qr_link_conn *conn, uv_stream_t *listener);
void qr_link_conn_dial(struct qr_link_conn *conn, const struct sockaddr *address);

/* The peer has proved who it is: frames of all types and sizes are taken from now on. */
void qr_link_conn_trust(struct qr_link_conn *conn);

/* Queues a frame; see qr_link_send.  0 or UV_ENOMEM. */
int qr_link_conn_send(struct qr_link_conn *conn, enum qr_link_type type, uint32_t group,
                      const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent,
                      void *data);

/* Bytes that wait here: queued, or encrypted and not taken by the kernel. */
size_t qr_link_conn_backlog(const struct qr_link_conn *conn);

/* Once a heartbeat: pings, and cuts a peer that has been silent, or that took nothing, for two
 * election timeouts.  stalled_ms: how late this tick is; it is not held against the peer. */
void qr_link_conn_tick(struct qr_link_conn *conn, uint64_t now_ms, uint64_t stalled_ms);

/* Notes why, for `cut` to log, and returns `status`. */
int qr_link_conn_refuse(struct qr_link_conn *conn, int status, const char *format, ...)
    QR_PRINTF(3, 4);

/* Cuts; the first call wins.  Without a reason noted before, status gives it. */
void qr_link_conn_cut(struct qr_link_conn *conn, int status);

#endif
