/* node/api_call.h — one request on its way through the API: what every answer needs.
 *
 * Made by node/api for each request, between qr_store_enter and qr_store_leave; the parts of the
 * API (node/api_*.h) read it and fill the response.  Thread: any worker. */
#ifndef QR_NODE_API_CALL_H
#define QR_NODE_API_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "node/api.h"
#include "proto/stream.h" /* Flags of charts and dimensions. */

struct qr_api_call {
    struct qr_api *api;
    const struct qr_http_request *request;
    struct qr_http_response *response;
    const struct qr_status *status; /* NULL: no picture yet. */
    struct qr_slice functions;      /* Of the host: a list of node/function_frame. */
    int64_t now_s;

    /* All hosts that there are, as long as the call lasts. */
    const struct qr_store_hosts *hosts;
    uint32_t n_hosts;

    /* The host that is asked about: this member's own, or that of /host/H/. */
    const struct qr_host *host; /* NULL: ours, which the log does not know yet. */
    const struct qr_host_def *def;
    bool named;                 /* By /host/H/. */
    struct qr_host_def own_def; /* `def` while `host` is NULL. */
};

/* Makes the response this error, in place of what it holds.  `type` is QR_HTTP_TEXT or _HTML; of a
 * page the text after the sentence is escaped. */
void qr_api_refuse(struct qr_api_call *call, int status, const char *type, const char *sentence,
                   struct qr_slice what);

/* All hosts, this member's own first: i = 0 .. qr_api_n_hosts - 1.  *def is never NULL; the host is
 * NULL as in the call. */
uint32_t qr_api_n_hosts(const struct qr_api_call *call);
const struct qr_host *qr_api_host_at(const struct qr_api_call *call, uint32_t i,
                                     const struct qr_host_def **def);

/* By host name ("localhost" is ours), then by GUID in lower case.  False: there is none. */
bool qr_api_select_host(struct qr_api_call *call, struct qr_slice name_or_guid);

/* What is to be said of another machine with the host's GUID, or NULL. */
const char *qr_api_clone_of(const struct qr_api_call *call, const struct qr_host *host);

/* Is this the member's own host? */
bool qr_api_is_own(const struct qr_api_call *call, const struct qr_host *host);
/* Connected to a member that is up, or our own. */
bool qr_api_is_reachable(const struct qr_api_call *call, const struct qr_host *host);
/* The version of the program that collects for this host. */
const char *qr_api_version_of(const struct qr_api_call *call, const struct qr_host *host,
                              const struct qr_host_def *def);

/* ---- charts ---- */

/* Shown in lists: not obsolete, not hidden, has dimensions. */
bool qr_api_chart_visible(const struct qr_chart_def *def);

/* The labels of a chart: the two that Netdata adds, and its own.  Calls `each` until it says
 * false. */
void qr_api_chart_labels(const struct qr_chart_def *def,
                         bool (*each)(void *data, const char *name, const char *value), void *data);

const char *qr_api_chart_type(const struct qr_chart_def *def);

#endif
