/* node/api_contexts.h — /api/v1/contexts and /api/v1/context: charts of one kind, together.
 *
 * A context is what charts with the same `context` have in common; where they differ, the last one
 * of the host wins.  Options add its charts, their dimensions and their labels.
 * Thread: any worker. */
#ifndef QR_NODE_API_CONTEXTS_H
#define QR_NODE_API_CONTEXTS_H

#include "node/api_call.h"

void qr_api_contexts(struct qr_api_call *call);
void qr_api_context(struct qr_api_call *call);

#endif
