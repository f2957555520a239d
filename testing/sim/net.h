/* testing/sim/net.h — the simulated network: TCP between hosts, with what goes wrong in it.
 *
 *   host i has the address 10.0.0.i; 0.0.0.0 listens on it.  No IPv6, no UDP.
 *
 * A connection is two ordered streams of bytes.  What is sent waits in the sender's buffer until it
 * arrives, some time later, and in the receiver's until it is read; both are finite.  A read may
 * get less than there is.  A direction of a pair of hosts may be
 *
 *   cut    what is sent is lost; the kernel sends it again, less and less often, so that it arrives
 *          some time after the healing.  TCP_USER_TIMEOUT and keepalive end it with ETIMEDOUT
 *   slow   a latency and a bandwidth
 *   mute   only the packets that begin a connection are lost
 *
 * A process that ends closes its connections: FIN, or RST if something was left unread.  A machine
 * without power is silent, and answers with RST what belongs to its last life.  A paused host's
 * kernel goes on: it takes connections and bytes, and acknowledges them.
 *
 * Sockets are numbers (from QR_NET_FD_MIN) to setsockopt() and getsockopt(), which are defined
 * here, and pointers to everybody else.  All calls are at once: -EAGAIN instead of waiting.  Errors
 * are -errno, as libuv's.  A host's sockets are gone when it is down.  Not for threads. */
#ifndef QR_TESTING_SIM_NET_H
#define QR_TESTING_SIM_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "testing/sim/sched.h"

#define QR_NET_FD_MIN (1 << 28)

struct qr_net_socket;

/* Once, after qr_sim_world(). */
void qr_net_init(void);

/* "10.0.0.3".  Good for ever. */
const char *qr_net_address(const struct qr_sim_host *host);
/* The host of an IPv4 address in network order; NULL: none. */
struct qr_sim_host *qr_net_host_at(uint32_t address);

/* ---- faults, by the ids of hosts; from one to the other, not back ---- */

void qr_net_cut(uint32_t from, uint32_t to, bool on);
void qr_net_mute(uint32_t from, uint32_t to, bool on);
/* So much more latency, half of it of random size; 0 bytes a second: without limit. */
void qr_net_slow(uint32_t from, uint32_t to, uint64_t latency_us, uint64_t bytes_per_s);
/* Breaks one connection, or all, between two hosts, b = 0: between a and anyone; both ends see
 * ECONNRESET.  Returns how many. */
unsigned qr_net_reset(uint32_t a, uint32_t b, bool all);
/* All pairs as they were at the beginning.  What is broken stays broken, and is soon known to be: a
 * kernel whose peer was gone at each of its tries may wait for two minutes more, and a child that
 * is asked nothing sends nothing, and never learns that its parent has lost power.  In a world that
 * has just healed both hear of it within seconds. */
void qr_net_heal(void);

struct qr_net_stats {
    uint64_t n_connects, n_refused, n_connect_timeouts;
    uint64_t n_deliveries, n_bytes, n_retries; /* Retries: of what was cut off. */
    uint64_t n_resets, n_timeouts;             /* Connections that ended so. */
    uint64_t n_short_reads;                    /* Got less than there was, on purpose. */
    uint64_t n_full;                           /* Sends that found the buffer full. */
};

const struct qr_net_stats *qr_net_stats(void);

/* ---- sockets ---- */

enum {
    QR_NET_IN = 1,  /* Bytes, an end, a connection or an error can be read. */
    QR_NET_OUT = 2, /* Bytes, or an error, can be written; a connection was made or refused. */
    QR_NET_ERR = 4,
    QR_NET_HUP = 8, /* Both directions have ended. */
};

/* Of the current host; NULL: no memory. */
struct qr_net_socket *qr_net_open(void);
/* An end of a connection that nobody ended yet sends FIN, or RST if bytes are unread. */
void qr_net_close(struct qr_net_socket *socket);
int qr_net_fd(const struct qr_net_socket *socket);

/* `changed` is called when events may have become more; NULL: nobody is. */
void qr_net_watch(struct qr_net_socket *socket, void (*changed)(void *data), void *data);
unsigned qr_net_events(const struct qr_net_socket *socket);

int qr_net_bind(struct qr_net_socket *socket, const struct sockaddr *address);
int qr_net_listen(struct qr_net_socket *socket, int backlog);
/* NULL: nobody is there. */
struct qr_net_socket *qr_net_accept(struct qr_net_socket *listener);
/* 0: underway; OUT says that it is over, qr_net_error() how. */
int qr_net_connect(struct qr_net_socket *socket, const struct sockaddr *address);
/* SO_ERROR: -errno, taken; 0. */
int qr_net_error(struct qr_net_socket *socket);

/* Bytes, perhaps less than all; -EAGAIN, -EPIPE, -ECONNRESET, -ETIMEDOUT, -ENOTCONN. */
ssize_t qr_net_send(struct qr_net_socket *socket, const struct iovec *parts, size_t n_parts);
/* .., 0: the other end sends no more. */
ssize_t qr_net_recv(struct qr_net_socket *socket, void *into, size_t bytes);
/* Sends no more. */
int qr_net_shutdown(struct qr_net_socket *socket);

int qr_net_name(const struct qr_net_socket *socket, bool peer, struct sockaddr *address,
                int *bytes);

#endif
