/* node/child_functions.h — a session's functions: what its child offers, what it is asked, and the
 * answers that it gives.
 *
 * What is offered goes to node/functions at most once a tick, whole.  Orders come from there and
 * become lines to the child.  The body of an answer is collected within its bounds; of a call that
 * is not known here, or not any more, it is dropped as it comes.
 *
 * Thread: the session's ingest loop. */
#ifndef QR_NODE_CHILD_FUNCTIONS_H
#define QR_NODE_CHILD_FUNCTIONS_H

#include "node/child_private.h"

/* Of the stream's handler; data is the session. */
void qr_child_on_function(void *data, struct qr_stream_chart *chart,
                          const struct qr_function *function);
void qr_child_on_progress(void *data, const struct qr_function_progress *progress);
bool qr_child_on_payload_begin(void *data, const struct qr_payload *payload);
void qr_child_on_payload(void *data, struct qr_slice bytes);
void qr_child_on_payload_end(void *data);

/* Of the feed's handler. */
void qr_child_on_order(struct qr_feed *feed, const struct qr_function_order *order);

/* Once a tick while the session streams. */
void qr_child_tell_functions(struct session *s);
/* The connection is gone: so are its functions. */
void qr_child_end_functions(struct session *s);
void qr_child_free_functions(struct session *s);

#endif
