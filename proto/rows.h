/* proto/rows.h — a stream's blocks of rows, live and replayed.
 *
 *   BEGIN SET.. END            integers of v1 senders, through proto/arithmetic
 *   BEGIN2 SET2.. END2         values of v2 senders
 *   RBEGIN (RBEGIN RSET..).. RDSTATE.. RSSTATE REND
 *
 * Torn answers: a 1.37 child takes no lock when it answers, and a fast parent asks while the sample
 * that made the child announce the chart is still being stored.  Then RSSTATE's last_collected is
 * of that sample and last_updated, the points or RDSTATE are not yet, and a clock set from it would
 * give wrong values.  Seen in 1 % of the charts of a connection.  The planner does not hear of such
 * an answer: the rest is asked for again until the answer is whole, first at once, then (the
 * child's collector has lost its CPU) when more has come from the child.  Live rows of the chart
 * are dropped meanwhile: they are part of the next answer.  After QR_ROWS_TORN_MAX of them we take
 * what we get.
 *
 * Slipped clocks: the same child may collect a sample behind RSSTATE and before it streams.  That
 * sample is not sent, and since durations are trusted every later point would be early by one
 * interval, for as long as the connection lives.  So the first live row of a chart is compared with
 * the delays of the others' rows; if it comes an interval late, it is dropped and the chart is
 * replayed again, once.
 *
 * A part of proto/stream; see proto/engine.h. */
#ifndef QR_PROTO_ROWS_H
#define QR_PROTO_ROWS_H

#include "proto/engine.h"

/* Round trips of 0.03 ms on one machine, as many as were mostly enough. */
#define QR_ROWS_TORN_AT_ONCE 8
#define QR_ROWS_TORN_PACE_MS 5
#define QR_ROWS_TORN_MAX     100

int qr_rows_begin(struct qr_stream *s, struct qr_args args);
int qr_rows_set(struct qr_stream *s, struct qr_args args);
int qr_rows_end(struct qr_stream *s, struct qr_args args);
int qr_rows_begin2(struct qr_stream *s, struct qr_args args);
int qr_rows_set2(struct qr_stream *s, struct qr_args args);
int qr_rows_end2(struct qr_stream *s, struct qr_args args);
int qr_rows_rbegin(struct qr_stream *s, struct qr_args args);
int qr_rows_rset(struct qr_stream *s, struct qr_args args);
int qr_rows_rdstate(struct qr_stream *s, struct qr_args args);
int qr_rows_rsstate(struct qr_stream *s, struct qr_args args);
int qr_rows_rend(struct qr_stream *s, struct qr_args args);

/* Asks for the rests of torn answers, where it is time. */
void qr_rows_ask_for_rests(struct qr_stream *s);

/* SET in the form in which all of them come: SET "dim" = 123, with the dimension that is expected
 * next.  False: it is something else, and nothing was done.  Within BEGIN .. END only. */
bool qr_rows_try_set(struct qr_stream *s, struct qr_slice line);

/* The same for SET2 [SLOT:n] 'dim' collected value flags, within BEGIN2 .. END2. */
bool qr_rows_try_set2(struct qr_stream *s, struct qr_slice line);

#endif
