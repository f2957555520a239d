/* node/peer_name.h — the name of an address: what reverse DNS says, if that name leads back to it.
 *
 *   find -> (reverse -> forward) -> found      once; not after give_up
 *
 * Whoever has an address may have its reverse say any name: only one that has the address among its
 * own counts.  Both questions are the resolver's, in libuv's pool.  Thread: the loop's. */
#ifndef QR_NODE_PEER_NAME_H
#define QR_NODE_PEER_NAME_H

#include <uv.h>

struct qr_peer_name;

/* name: "", it has none that counts; valid during the call. */
typedef void (*qr_peer_name_cb)(void *data, const char *name);

/* 0, or an error: `found` does not come. */
int qr_peer_name_find(struct qr_peer_name **finding, uv_loop_t *loop,
                      const struct sockaddr *address, qr_peer_name_cb found, void *data);
void qr_peer_name_give_up(struct qr_peer_name *finding);

#endif
