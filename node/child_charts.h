/* node/child_charts.h — a session's charts: their definitions go to the log and come back as ids,
 * their rows go into the child's outbox.
 *
 * Rows of a chart that is being defined wait for the answer, within the session's bound.  A message
 * of definitions is under way at a time, so that the log gets those of a chart in the child's
 * order.
 *
 * Thread: the session's ingest loop. */
#ifndef QR_NODE_CHILD_CHARTS_H
#define QR_NODE_CHILD_CHARTS_H

#include "node/child_private.h"

/* Of the stream's handler; data is the session. */
void qr_child_on_define(void *data, struct qr_stream_chart *chart);
void qr_child_on_refused(void *data, struct qr_slice chart, const char *reason);
void qr_child_on_row(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row);

/* Definitions that came while others were under way travel as one message, after them. */
void qr_child_send_definitions(struct session *s);

/* Once a tick: charts whose holes are filled have older ones looked for, some charts at a time. */
void qr_child_seek_holes(struct session *s);

void qr_child_free_charts(struct session *s);

#endif
