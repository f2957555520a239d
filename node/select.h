/* node/select.h — which charts of a host may be meant, without looking at each of them.
 *
 * A request names a context or a pattern of contexts, and perhaps labels.  Where that is less work
 * the store's index answers (few distinct contexts and labels, many charts), otherwise the host's
 * charts are walked and each distinct context is compared once.  What is selected is what the index
 * can tell; the caller still checks what else it asked for.
 *
 * Thread: any, between enter and leave of the store. */
#ifndef QR_NODE_SELECT_H
#define QR_NODE_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "storage/store.h"

struct qr_select {
    struct qr_slice context; /* Empty: any. */
    bool pattern;            /* `context` is a pattern, not a context. */
    struct qr_slice labels;  /* Pattern over "key" and "key:value"; empty: any. */
    bool values_only;        /* Of labels: over "key:value" only. */
};

/* Some chart of the host has exactly this context. */
bool qr_select_has_context(const struct qr_store *store, const struct qr_host *host,
                           struct qr_slice context);

/* Charts of the host, in log order; to be freed.  0 or UV_ENOMEM. */
int qr_select_charts(const struct qr_store *store, const struct qr_host *host,
                     const struct qr_select *select, const struct qr_chart ***charts, uint32_t *n);

/* Has the definition a label that the pattern matches, as key (unless values_only) or as
 * "key:value"?  An empty pattern: yes. */
bool qr_select_labels_match(const struct qr_chart_def *def, struct qr_slice pattern,
                            bool values_only);

#endif
