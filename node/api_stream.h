/* node/api_stream.h — /api/v3/stream_info: what a 2.1+ child asks before it connects.
 *
 * The child ranks its destinations by what they say.  Every member says the cluster's own last
 * time, so that children spread evenly; one that cannot take a stream says `initializing`, which
 * makes the child look elsewhere at once.  The answer must leave in one write, with its
 * Content-Length. Thread: any worker. */
#ifndef QR_NODE_API_STREAM_H
#define QR_NODE_API_STREAM_H

#include "node/api_call.h"

void qr_api_stream_info(struct qr_api_call *call);

#endif
