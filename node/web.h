/* node/web.h — an HTTP client on an ingest loop.
 *
 * Parses one request at a time, has a worker compute the answer (node/api), sends it, and closes or
 * waits for the next (keep-alive is opt-in).  Reading stops meanwhile, so that a client can have
 * one request in work only.  Thread: its ingest loop; the answer on a worker. */
#ifndef QR_NODE_WEB_H
#define QR_NODE_WEB_H

#include "node/conn.h"

/* The connection's first bytes do not say STREAM. */
void qr_web_take(struct qr_conn *conn);

#endif
