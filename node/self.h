/* node/self.h — the member as a node: its own counters as charts `quorate.*` of a host of its own.
 *
 * Collected once a second on the consensus loop and put through the log like any child's, so that a
 * cluster without a child has something to show, and can be watched by its own means.  While the
 * log takes nothing, rows pile up (to a limit) and go in later.
 *
 * Thread: consensus. */
#ifndef QR_NODE_SELF_H
#define QR_NODE_SELF_H

#include <stdint.h>

#include "base/clock.h"
#include "base/guid.h"
#include "cluster/group.h"
#include "cluster/link.h"
#include "node/ingest.h"
#include "node/roster.h"
#include "node/upstream.h"
#include "storage/store.h"

struct qr_self;

struct qr_self_sources {
    const struct qr_clock *clock;
    struct qr_mailbox *home; /* Of the consensus loop. */
    struct qr_roster *roster;
    struct qr_group *group;
    struct qr_link *link;
    struct qr_store *store;
    struct qr_ingest *const *ingests;
    unsigned n_ingests;
    const struct qr_upstream *upstream;
    struct qr_guid guid;
    const char *hostname;
    uint64_t (*loop_busy_us)(void *data);  /* Time the consensus loop worked. */
    uint64_t (*loop_stall_us)(void *data); /* Longest turn since the last call. */
    void *data;
};

/* Attaches its feed.  0 or UV_ENOMEM. */
int qr_self_start(struct qr_self **self, const struct qr_self_sources *sources);

/* Once a second. */
void qr_self_collect(struct qr_self *self);

#endif
