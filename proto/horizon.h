/* proto/horizon.h — a child whose clock is ahead: of what it says of the future nothing is taken.
 *
 * The horizon is QR_HORIZON_S from now.  `now` is the owner's clock: a member's is what most
 * members say, so one rule holds on all members, whoever owns the child, and before anything is in
 * the log.
 *
 * - A row that ends beyond the horizon, live or replayed, is refused and counted.  It moves
 *   nothing: no watermark, no plan, no window.  So what the child measures once its clock is right
 *   again finds its place free.
 * - Times beyond it that the child says of its database (CHART_DEFINITION_END, REND) count as now.
 *   A gap is reported up to now, since what is to come is not missing.
 * - What was refused is asked for again once rows of the chart are taken again; nothing is lost if
 *   it was our clock that was behind.
 * - A v1 chart's clock goes by durations, so it stays ahead when the child's own was set back (the
 *   child does not send the step).  With replication the chart is asked for again from the last row
 *   taken, and its clock is what RSSTATE says then: at once; while that says that the child is
 * ahead still, for one chart each QR_HORIZON_RETRY_MS; for all, as soon as it is not.  Without
 *   replication the next BEGIN takes the arrival clock, as a new chart's does; there it does so
 *   too when the chart is as far behind.
 * - A clock that is behind is believed: rows go where they say, and what is there already stays.
 *
 * A part of proto/stream; see proto/engine.h. */
#ifndef QR_PROTO_HORIZON_H
#define QR_PROTO_HORIZON_H

#include "proto/engine.h"

#define QR_HORIZON_RETRY_MS     10000
#define QR_HORIZON_RETRY_MS_MAX 60000 /* Of one chart. */

/* The time has passed. */
void qr_horizon_tick(struct qr_stream *s);

/* A time of the child's; now, if it is beyond the horizon. */
int64_t qr_horizon_clamp(const struct qr_stream *s, int64_t at_s);

/* The child has said its clock; 0: it has not. */
void qr_horizon_heard(struct qr_stream *s, int64_t child_now_s);

/* A replayed row ends beyond it: counted; it is not taken. */
bool qr_horizon_refuses_replayed(struct qr_stream *s, struct qr_chart *chart, int64_t end_s);

/* The same of a live one. */
bool qr_horizon_refuses(struct qr_stream *s, struct qr_chart *chart, int64_t end_s);

/* A live row is about to be taken. */
void qr_horizon_take(struct qr_stream *s, struct qr_chart *chart, const struct qr_stream_row *row);

/* END of a v1 row, when all came of it: sets the chart's clock again if need be. */
void qr_horizon_end(struct qr_stream *s, struct qr_chart *chart);

#endif
