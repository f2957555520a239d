/* node/node.h — a member: everything it is made of, and the order in which it starts and stops.
 *
 *   start: data folder, incarnation -> store -> links -> group (log is replayed into the store)
 *          -> roster -> ingest loops -> the member's own charts
 *   stop:  children and clients are let go, leadership is handed over, the group is closed, then
 * the process exits: what is committed is on disk already (docs/decisions/0007)
 *
 * The beat, a timer on the consensus loop, decides whether children are let in, publishes the
 * status picture, and on the leader proposes what time demands: seals, retention.
 *
 * Thread: consensus. */
#ifndef QR_NODE_NODE_H
#define QR_NODE_NODE_H

#include <uv.h>

#include "node/config.h"

struct qr_group;
struct qr_node;
struct qr_store;

/* 0, or an error that is in the log with its remedy. */
int qr_node_start(struct qr_node **node, uv_loop_t *loop, const struct qr_config *config);

/* Reads [web] of quorate.conf, stream.conf and the public port's certificate again.  Children that
 * stay permitted stay connected.  What cannot be read changes nothing, and the log says why. */
void qr_node_reload(struct qr_node *node);

/* For those who watch a member from inside (testing/sim): what it stores, and its group. */
struct qr_store *qr_node_store(struct qr_node *node);
struct qr_group *qr_node_group(struct qr_node *node);

/* Lets everything go; the loop's uv_stop is called at the end. */
void qr_node_stop(struct qr_node *node);

#endif
