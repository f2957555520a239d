/* node/manage.h — requests that change the cluster's state, over HTTP.
 *
 *   POST /api/quorate/v1/forget?host=NAME-OR-GUID[&chart=ID-OR-NAME]
 *     200 {"forgotten":true, "host":.., "machine_guid":.., "chart":..}  applied on this member
 *     403 not from this address; 404 there is no such host or chart; 503 the log did not take it
 *
 *   POST /api/quorate/v1/members?do=add&with=ID&address=HOST:PORT
 *                                do=remove&member=ID
 *                                do=replace&member=ID[&with=ID&address=HOST:PORT]
 *                                do=cancel
 *     200 {"asked":true, "change":INDEX}  it runs: `change` and `last_change` of the status tell
 *     400 it is not complete; 403; 404 there is no such member; 409 it is one, or another change
 *     runs; 503 the log did not take it
 *
 *   .../keys: node/manage_keys.h; also as GET, which is the list.
 *   POST /api/quorate/v1/drain?do=begin|end
 *     200 {"draining":true|false}  this member's children are moved on, some each second, and it
 *     takes none until the end, or until it is started again; 400; 403
 *
 * Only from addresses that `allow management from` matches (by default this machine's own), and
 * never from a page of a browser: these say where they come from (Origin), and are refused.
 *
 * Thread: the ingest loop's. */
#ifndef QR_NODE_MANAGE_H
#define QR_NODE_MANAGE_H

#include <stdbool.h>

#include "base/mailbox.h"
#include "node/http.h"
#include "node/manage_keys.h"
#include "node/members.h"
#include "node/roster.h"

struct qr_manage {
    const struct qr_http_request *request;
    struct qr_http_response *response;
    const char *peer_ip;
    bool allowed; /* As node/access says. */
    struct qr_roster *roster;
    struct qr_members *members;
    struct qr_keyring *keyring;
    struct qr_mailbox *home;
    void (*done)(struct qr_manage *manage); /* The response is filled; on `home`. */
    struct qr_forget_request forget;
    struct qr_members_request change;
    struct qr_key_request keys;
};

/* Is it one of these requests?  All that POST are. */
bool qr_manage_takes(const struct qr_http_request *request);

/* Fills the response.  True: now; false: later, then `done` is called. */
bool qr_manage_handle(struct qr_manage *manage);

#endif
