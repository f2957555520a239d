/* node/conn.h — one accepted connection on the public port: plain or TLS, told by its first bytes.
 *
 *   accept -> [its name] -> allowed? -> [first byte 0x16: TLS handshake] -> "STREAM " ? a child
 *                                                                                  : an HTTP client
 *
 * The connection owns the socket, the TLS session and the bytes not yet consumed; a *handler* gets
 * plaintext and says how much of it it has consumed.  The handler is replaced once the kind is
 * known.  Writing copies.  Closing: any path may call qr_conn_close; the handler's `closed` is the
 * last call, and the connection is freed after it.  When the peer has ended its side, the handler
 * still gets what came before, also after a pause, and what it has written leaves first.
 *
 * A peer that vanished without a word (its machine died, a path drops all) is noticed within
 * `vanished_s` of the loop's configuration, whether or not something is on its way to it.
 *
 * Thread: the ingest loop that accepted it. */
#ifndef QR_NODE_CONN_H
#define QR_NODE_CONN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/slice.h"
#include "base/tls.h"
#include "node/bind.h"
#include "node/peer_name.h"
#include "node/writer.h"

struct qr_conn;
struct qr_ingest;

struct qr_conn_handler {
    /* Plaintext that is not consumed yet.  Returns bytes consumed (what is left comes again, with
     * more), or a negative code: the connection is closed. */
    ssize_t (*received)(struct qr_conn *conn, struct qr_slice in);
    /* The last call. */
    void (*closed)(struct qr_conn *conn);
};

struct qr_conn {
    struct qr_ingest *ingest;
    const struct qr_bind *bind; /* Where it came in. */
    struct qr_list node;        /* In the ingest loop's list. */
    const struct qr_conn_handler *handler;
    void *owner; /* The handler's. */
    uv_tcp_t tcp;
    uv_timer_t idle;
    struct qr_tls *tls;
    struct qr_buf in;        /* Plaintext not consumed. */
    struct qr_writer writer; /* Ciphertext, or plaintext. */
    char peer[64];           /* ip:port */
    char peer_ip[48];
    char *peer_name;              /* If a list of node/access wants it; NULL: it has none. */
    struct qr_peer_name *finding; /* Until it is found nothing is read. */
    uint64_t read_at_us;          /* Wall clock of the last read. */
    size_t idle_left; /* What waited to be written when the idle limit was looked at last. */
    unsigned handles_open;
    bool first_seen, closing, paused, close_when_drained, parsing;
    bool ended;   /* The peer says no more. */
    bool hurries; /* See qr_conn_idle_limit. */
};

/* Takes a new connection from the listener.  Owned by itself from then on. */
void qr_conn_accept(struct qr_ingest *ingest, const struct qr_bind *bind, uv_stream_t *listener);

/* It came without TLS to a port that takes nothing else: its handler says so, and no more. */
static inline bool qr_conn_lacks_tls(const struct qr_conn *conn)
{
    return conn->bind->force_tls && conn->tls == NULL;
}

/* What it may do now: the roles of its port that node/access leaves it; and may it be here at all?
 */
unsigned qr_conn_roles(const struct qr_conn *conn);
bool qr_conn_is_allowed(const struct qr_conn *conn);

/* 0, or an error (then the connection is closing). */
int qr_conn_write(struct qr_conn *conn, struct qr_slice bytes);
/* Closes when all that was written has left. */
void qr_conn_finish(struct qr_conn *conn);
void qr_conn_close(struct qr_conn *conn);

/* Stops and resumes reading from the socket: back-pressure. */
void qr_conn_pause(struct qr_conn *conn);
void qr_conn_resume(struct qr_conn *conn);

/* Closes the connection when nothing has arrived, and nothing that waits has left, for `ms`; 0:
 * never.  Bytes do not prolong it while the connection hurries: as long as nobody has set a limit,
 * that is until it is known who it is, and until hurry is set to false. */
void qr_conn_idle_limit(struct qr_conn *conn, uint64_t ms);
void qr_conn_hurry(struct qr_conn *conn, bool hurries);

/* Closes the connection when more than this waits to be written. */
void qr_conn_out_limit(struct qr_conn *conn, size_t bytes);

#endif
