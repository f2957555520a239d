/* storage/merge_dims.h — a dimension keeps its place in its chart for ever.
 *
 * A chart's new definition is merged with the one it has: dimensions are matched by id, unknown
 * ones are added at the end, known ones that are not told any more stay, as obsolete.  Of two with
 * one id in a definition the later counts, in the place of the first.  Pure.  Thread: any. */
#ifndef QR_STORAGE_MERGE_DIMS_H
#define QR_STORAGE_MERGE_DIMS_H

#include "storage/definition.h"

/* Makes *def, which is in memory of its own, what the chart will have; `old` is NULL for a new one.
 * On error it is as it was.  0, QR_E_LIMIT or UV_ENOMEM. */
int qr_merge_dims(struct qr_chart_def **def, const struct qr_chart_def *old);

#endif
