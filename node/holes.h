/* node/holes.h — what a session must know of a chart before it resumes it.
 *
 * Reads the store's published state; changes nothing.  Thread: any (enters the store itself where
 * marked W; the others are called between qr_store_enter and qr_store_leave). */
#ifndef QR_NODE_HOLES_H
#define QR_NODE_HOLES_H

#include "node/feed.h"
#include "storage/store.h"

/* How much of a series is searched at a time. */
#define QR_HOLES_LOOKBACK_S 7200

/* Would applying this encoded definition change the catalog? */
bool qr_definition_changes(struct qr_store *store, const struct qr_host *host,
                           struct qr_slice encoded);

/* Fills chart id, places and watermark of a definition that was applied.  0, QR_E_UNKNOWN (the log
 * refused it), QR_E_MALFORMED or UV_ENOMEM. */
int qr_places_resolve(struct qr_store *store, const struct qr_host *host,
                      struct qr_feed_chart *chart);

/* W.  Spans without any value between the chart's first row and until_s, the newest `max` of them
 * in the newest QR_HOLES_LOOKBACK_S, ascending.  A session works through a series in turns: first
 * up to the watermark; when what was found is filled or given up, up to where the oldest of it
 * began; and so on, until a turn finds nothing.  Points at equal distances, at least four, are a
 * time of a longer interval and have no holes between them.  Reads block files.
 *
 * A recorded gap is no hole, unless the source contradicts it: it was recorded because the source
 * kept nothing so old, and now it does; or the source is a node that refills its own past
 * (docs/decisions/0034).  Such a one is also asked for what is older than our first row. */
uint32_t qr_holes_find(struct qr_store *store, uint32_t chart, const struct qr_feed_source *source,
                       int64_t until_s, struct qr_stream_hole *holes, uint32_t max);

/* W, or an ingest loop: one look at the recorded gaps, however many are given.  Leaves of the n
 * gaps, at most QR_NOTE_GAPS_MAX, what is not in recorded ones that were recorded for no weaker
 * reason, in their order; how many are left. */
uint32_t qr_holes_drop_recorded(struct qr_store *store, struct qr_gap *gaps, uint32_t n);

#endif
