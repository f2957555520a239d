/* ha-tests/network.h — members in network namespaces of their own, with a router between them that
 * can drop what one of them says to another.
 *
 *   namespace of member i: eth0 10.77.i.1/24, default route to 10.77.i.254
 *   namespace of the caller: veth-i 10.77.i.254/24 each, forwarding; children and checks live here,
 *     and come from 10.77.0.254 wherever they go
 *   a cut from i to j: a blackhole rule; TCP sees silence
 *
 * The caller's process moves to a namespace of its own too; all end with it.  Needs root and
 * iproute2.  Thread: the only one. */
#ifndef QR_HA_TESTS_NETWORK_H
#define QR_HA_TESTS_NETWORK_H

#include "testing/process.h"

#define NETWORK_MEMBERS_MAX 8

struct network {
    unsigned n;
    struct qr_process holders[NETWORK_MEMBERS_MAX];
    int netns_fds[NETWORK_MEMBERS_MAX];     /* For qr_cluster_options, */
    const char *hosts[NETWORK_MEMBERS_MAX]; /* and this. */
    char addresses[NETWORK_MEMBERS_MAX][16];
    bool is_cut[NETWORK_MEMBERS_MAX + 1][NETWORK_MEMBERS_MAX + 1];
};

/* False: it cannot be done here. */
bool network_make(struct network *network, unsigned n);
void network_release(struct network *network);

/* Nothing that `from` says arrives at `to` (by ids, 1 ..), or everything again.  False: the router
 * does not do as told. */
bool network_cut(struct network *network, unsigned from, unsigned to, bool on);
/* Both ways. */
bool network_part(struct network *network, unsigned a, unsigned b, bool on);

#endif
