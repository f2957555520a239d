/* storage/forget.h — what the catalog need not keep any more; see qr_store_apply_forget.
 *
 * Private to this folder.  Pure functions of replicated state.  Thread: any, between enter and
 * leave. */
#ifndef QR_STORAGE_FORGET_H
#define QR_STORAGE_FORGET_H

#include "storage/state.h"

bool qr_forget_chart_is_due(const struct qr_state *state, const struct qr_chart *chart);
bool qr_forget_host_is_due(const struct qr_state *state, const struct qr_host *host);
/* Ephemeral, and away since before then. */
bool qr_forget_ephemeral_is_due(const struct qr_host *host, int64_t before_s);

#endif
