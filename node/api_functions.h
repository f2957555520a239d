/* node/api_functions.h — functions of children over HTTP.
 *
 *   GET /api/v1/functions                       {"name": {"help":.., "timeout":.., "options":..}}
 *   GET /api/v1/function?function=NAME+ARGUMENTS[&timeout=S][&transaction=UUID]
 *       what the child answers, with its status and content type
 *   POST the same, with a body      which goes to the child as the call's payload
 *   GET /api/v3/progress?transaction=UUID       {"status":200, "done":.., "all":..}; on the member
 *       that was asked, while it runs
 *
 * All of them also below /host/NAME-OR-GUID, and the first two below /api/v3 as Netdata 2.x has
 * them.  The function `config` shows and changes a child's configuration: it takes a POST, with a
 * body or without, as what changes something does.
 *
 * Netdata 1.37.1 answers all this with 403, unless it comes through its cloud.  Here it is for
 * whoever may manage the cluster (node/manage), and never for a page of a browser: functions show
 * processes and logs.
 *
 * Thread: the ingest loop's. */
#ifndef QR_NODE_API_FUNCTIONS_H
#define QR_NODE_API_FUNCTIONS_H

#include "base/json.h"
#include "node/functions.h"
#include "node/http.h"

struct qr_api_functions {
    /* Set before handle(), and kept until `done`. */
    const struct qr_http_request *request;
    struct qr_http_response *response;
    const char *peer_ip;
    bool allowed; /* It may manage: node/access. */
    struct qr_functions *functions;
    struct qr_mailbox *home;
    void (*done)(struct qr_api_functions *api); /* The response is filled; on `home`. */
    /* The module's. */
    struct qr_functions_request ask;
    char source[160];
};

/* Is it one of the above? */
bool qr_api_functions_wanted(const struct qr_http_request *request);

/* Does the answer tell of functions among other things, as Netdata's `info` and `charts` do?  Then
 * *host is whose list it needs; of our own host there is none. */
bool qr_api_functions_needs(const struct qr_http_request *request, struct qr_slice *host);
/* The functions of a list as members of the object that is open; `chart`: only those of this one.
 */
void qr_api_functions_add(struct qr_json *json, struct qr_slice list, const char *chart);

/* May this client ask?  To be looked at before its body is collected. */
bool qr_api_functions_admits(const struct qr_http_request *request, bool allowed);

/* Fills the response.  True: now; false: later, then `done` is called. */
bool qr_api_functions_handle(struct qr_api_functions *api);

/* The client is gone; `done` still comes.  Only after handle() said false. */
void qr_api_functions_cancel(struct qr_api_functions *api);

#endif
