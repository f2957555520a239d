/* node/api.h — the HTTP API: routes to answers.
 *
 * Every answer is computed by a worker from what this member has: the store's published state and
 * the newest status picture.  Shapes are Netdata 1.37's (facts: HTTP API); what is ours is under
 * /api/quorate/v1/ and in X-Quorate-* headers.
 *
 * Thread: any worker; qr_api_handle enters and leaves the store itself. */
#ifndef QR_NODE_API_H
#define QR_NODE_API_H

#include <stdint.h>

#include "base/clock.h"
#include "base/guid.h"
#include "node/http.h"
#include "node/status.h"
#include "storage/store.h"

struct qr_api {
    struct qr_store *store;
    const struct qr_clock *clock;
    struct qr_guid host_guid; /* Of this member's own host. */
    const char *hostname;
    const char *version; /* "v1.37.1": what clients of Netdata look at. */
    _Atomic(const struct qr_status *)
        status; /* Newest picture; retired through the store's epoch. */
};

/* Answers one request: always leaves a complete response.  `functions`: those of the host that it
 * is about, a list of node/function_frame, where node/api_functions says that it needs them. */
void qr_api_handle(struct qr_api *api, const struct qr_http_request *request,
                   struct qr_slice functions, struct qr_http_response *response);

#endif
