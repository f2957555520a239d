/* testing/sim/uv_sim.h — what the rest of the simulated world asks of the false libuv.
 *
 * The false libuv defines libuv's own functions (see <uv.h>) on the virtual time of
 * testing/sim/sched and the network of testing/sim/net.  uv_run() runs on the fiber that calls it,
 * threads and workers are fibers of the host.  Link it as objects: what it does not define comes
 * from libuv itself and must be a pure function (uv_strerror, uv_ip4_addr, uv_buf_init, ...).
 *
 * Descriptors: below 2^20 real, from 2^20 files of testing/sim/fs, from 2^28 sockets of
 * testing/sim/net.  Not for threads. */
#ifndef QR_TESTING_SIM_UV_SIM_H
#define QR_TESTING_SIM_UV_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "testing/sim/sched.h"

/* Once, after qr_sim_world(); begins the network, too. */
void qr_uv_init(void);

/* A signal for the process of a host.  false: it has no handle for it, and dies of it in reality.
 */
bool qr_uv_signal(struct qr_sim_host *host, int number);

/* Who has descriptors below 2^28 that uv_poll may watch (eventfd): `events` says which of
 * UV_READABLE and UV_WRITABLE hold for one, level-triggered. */
void qr_uv_poll_source(int (*events)(int fd));
/* They may have become more. */
void qr_uv_poll_changed(int fd);

struct qr_uv_stats {
    uint64_t n_turns;  /* Of loops. */
    uint64_t n_parks;  /* Turns that waited. */
    uint64_t n_jobs;   /* Of the pools. */
    uint64_t n_asyncs; /* That were sent. */
};

const struct qr_uv_stats *qr_uv_stats(void);

#endif
