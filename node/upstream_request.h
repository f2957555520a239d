/* node/upstream_request.h — the STREAM request for a host that is streamed on, from what the store
 * knows of it.
 *
 * The host goes under its own name, GUID and program, one hop further than it came.  Which Quorate
 * clusters it has come through is added as system information: QR_SYSINFO_QUORATE_PATH, cluster ids
 * with commas, ours last; by that a cluster recognises a copy of its own (node/nearer).
 * Thread: any. */
#ifndef QR_NODE_UPSTREAM_REQUEST_H
#define QR_NODE_UPSTREAM_REQUEST_H

#include "base/buf.h"
#include "base/guid.h"
#include "storage/store.h"

struct qr_upstream_request {
    struct qr_store *store;
    const struct qr_guid *guid;
    const char *api_key;
    const struct qr_guid *cluster_id;
    bool compression;
    bool dyncfg; /* It has the function "config". */
};

/* Appends the request; *offered is its `ver`.  0, QR_E_UNKNOWN (no such host), QR_E_LIMIT (it has
 * come through too many clusters), or an error of the buffer. */
int qr_upstream_request_encode(const struct qr_upstream_request *asked, struct qr_buf *out,
                               uint32_t *offered);

#endif
