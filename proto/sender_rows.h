/* proto/sender_rows.h — a sender's rows: live ones, and answers to REPLAY_CHART.
 *
 * v1, exactly: the parent's clock of a chart (its last_collected) is put into the middle of the
 * second of our newest row, by RSSTATE.  A row at T is a collection T - last seconds later, so
 * again in the middle of T's second; T is the one grid point between both, and an absolute
 * dimension stores what was collected.  Rows that are left out are collections without SET: the
 * parent stores nothing there.  A dimension that the parent has never seen loses its first value,
 * so the answer that starts the stream has a row in any case: the newest one again, if there is no
 * newer.
 *
 * A part of proto/sender; see proto/sending.h. */
#ifndef QR_PROTO_SENDER_ROWS_H
#define QR_PROTO_SENDER_ROWS_H

#include "proto/sending.h"

/* A silence that is longer is not said point by point: the chart is defined anew. */
#define QR_SENDER_ROWS_SILENCE_POINTS_MAX 60

/* REPLAY_CHART. */
void qr_sender_rows_replay(struct qr_sender *s, const struct qr_command *command);

#endif
