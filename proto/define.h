/* proto/define.h — a stream's definitions of charts, and what is asked for their past.
 *
 * A part of proto/stream; see proto/engine.h. */
#ifndef QR_PROTO_DEFINE_H
#define QR_PROTO_DEFINE_H

#include "proto/engine.h"

int qr_define_chart(struct qr_stream *s, struct qr_args args);
int qr_define_dimension(struct qr_stream *s, struct qr_args args);
int qr_define_clabel(struct qr_stream *s, struct qr_args args);
int qr_define_clabel_commit(struct qr_stream *s, struct qr_args args);
int qr_define_chart_definition_end(struct qr_stream *s, struct qr_args args);

/* Tells the handler of a definition that changed: called before anything else of the chart. */
int qr_define_settle(struct qr_stream *s, struct qr_chart *chart);

/* REPLAY_CHART. */
void qr_define_send(struct qr_stream *s, const struct qr_chart *chart, bool start_streaming,
                    int64_t after_s, int64_t before_s);

/* Sends what the chart's planner wants next, if anything, when it is its turn: charts of a
 * connection ask one after another, as far as its bounds go (proto/replication). */
void qr_define_ask(struct qr_stream *s, struct qr_chart *chart);

/* A child that cannot replay: what lies between the watermark and its first row is lost.  Told
 * once, when both are known. */
void qr_define_tell_past(struct qr_stream *s, struct qr_chart *chart);

/* The planners' gap callback. */
void qr_define_on_gap(struct qr_replication *replication, int64_t after_s, int64_t before_s,
                      enum qr_gap_reason reason);

#endif
