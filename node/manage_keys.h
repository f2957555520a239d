/* node/manage_keys.h — requests about API keys, over HTTP (node/manage) to the keyring.
 *
 *   GET  /api/quorate/v1/keys
 *   POST /api/quorate/v1/keys?do=list
 *                             do=add&hash=HEX[&name=NAME][&policy=LINES]
 *                             do=rotate&key=ID-OR-NAME&hash=HEX[&overlap=SECONDS]
 *                             do=revoke&key=ID-OR-NAME
 *                             do=bind&machine_guid=GUID[&key=ID-OR-NAME][&certificate=HEX]
 *                             do=unbind&machine_guid=GUID
 *     200 of a list: {time, keys [{id, line, name, state: active|overlapping|ended|revoked,
 *     created, ends, last_used (null: never), policy}], bindings [{machine_guid, line,
 * certificate}]} 200 of others: {"done":true, the key as above}, and of rotate "replaces" 400 it is
 * not complete; 404 there is no such key or binding; 409 not as it stands; 503 the log did not take
 * it
 *
 * `hash` is that of cluster/keys: the key itself stays with whoever made it.  Thread: the ingest
 * loop's. */
#ifndef QR_NODE_MANAGE_KEYS_H
#define QR_NODE_MANAGE_KEYS_H

#include "node/http.h"
#include "node/keyring.h"

/* Fills what is asked for from the request's parameters; `sentence_bytes` of a sentence otherwise.
 * 0 or QR_E_MALFORMED. */
int qr_manage_keys_read(struct qr_key_request *asked, const struct qr_http_request *request,
                        char *sentence, size_t sentence_bytes);

/* The HTTP status of a request that was not done. */
int qr_manage_keys_status(int status);

#endif
