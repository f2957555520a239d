/* proto/sender.h — what we say to a parent on one connection after its handshake: definitions and
 * rows in, bytes out.
 *
 * The engine of a stream that we send, the opposite of proto/stream.  A proxy and a cluster that
 * re-streams use it to forward a child to any Netdata parent (1.33 .. 2.9) or Quorate member.  It
 * speaks the protocol that was negotiated, keeps what the connection needs of each chart, packs and
 * frames what it says, and parses what the parent says.  It does no I/O, knows no socket and no
 * store, and allocates nothing per row.
 *
 * The order of one chart (replication negotiated):
 *
 *   qr_sender_define()                     -> CHART DIMENSION.. CHART_DEFINITION_END
 *   REPLAY_CHART                           -> handler.replay(chart, request)
 *   qr_sender_answer_begin, _row.., _end   -> RBEGIN RSET.. REND
 *   once an answer said `streaming`: qr_sender_row()  -> BEGIN SET.. END | BEGIN2 SET2.. END2
 *
 * Nothing live is sent of a chart before that: rows that come meanwhile are refused and belong into
 * the answer.  Without replication a chart is live as soon as it is defined.
 *
 * What a parent gets depends on its capabilities:
 *   v2 (INTERPOLATED)  the definition as it is; values and flags exactly (with IEEE754; else
 * rounded to 7 decimals, which is exact for what our store holds). v1 (1.38 and older, and 1.37's
 * proxies)  collected integers, from which the parent computes what it stores.  We declare every
 * dimension absolute, with a power of ten as its divisor, and put each collection into the middle
 * of its second, so that the result is our value.  Seconds without a value are collections without
 * SET. Where that cannot be (a value that does not fit the divisor, a long silence) the chart is
 * defined anew (handler.redefine), and replication brings the row. Live rows lose their flags: v1
 * has no anomaly, and RESET is the parent's own conclusion; replayed rows keep RESET. v1 without
 * replication  the parent's clock stamps the rows: they arrive, but a row may be stored a second
 * late, and the first rows of a chart are lost.
 *
 * Bytes: blocks of lines are collected in one buffer and go out, packed and framed, through
 * handler.send when some 16 KiB wait and at qr_sender_flush(): call it when there is nothing more
 * to say now.  A chart is one piece of memory with the ids of its dimensions; charts are never more
 * than QR_CHARTS_PER_HOST_MAX, and all of them hold at most QR_DEFINITION_BYTES_MAX.
 *
 * Slices and structs handed in are used during the call only; those handed to the handler are valid
 * during the call.  Callbacks may call the sender, but not free it; `replay` may answer at once.
 * Thread: the owner's. */
#ifndef QR_PROTO_SENDER_H
#define QR_PROTO_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/slice.h"
#include "proto/compression.h"
#include "proto/stream.h"

struct qr_sender;

/* One chart of the connection; it lives as long as the sender. */
struct qr_sender_chart {
    void *data; /* The owner's. */
    /* The rest is the sender's. */
};

/* REPLAY_CHART: rows of (after_s, before_s] are wanted. */
struct qr_sender_replay {
    bool start_streaming; /* And all newer ones: before_s does not count. */
    int64_t after_s;
    int64_t before_s;
};

/* FUNCTION and FUNCTION_PAYLOAD. */
struct qr_sender_call {
    struct qr_slice transaction;
    uint32_t timeout_s;       /* >= 1 */
    struct qr_slice function; /* With its parameters. */
    struct qr_slice access;   /* "0x13", as it came; may be empty. */
    struct qr_slice source;   /* May be empty. */
    bool has_payload;
    struct qr_slice content_type;
    struct qr_slice payload;
};

/* Callbacks but send and replay may be NULL. */
struct qr_sender_handler {
    void *data;
    /* Bytes for the socket, in order. */
    void (*send)(void *data, struct qr_slice bytes);
    /* The parent asks for the past of a chart.  To be answered now or later, each one; a newer one
     * for the same chart replaces it. */
    void (*replay)(void *data, struct qr_sender_chart *chart,
                   const struct qr_sender_replay *replay);
    /* The chart must be defined anew before more rows of it can go: call qr_sender_define, now or
     * later, with the retention as of then.  (v1 only; NULL: the sender's caps have
     * INTERPOLATED.) */
    void (*redefine)(void *data, struct qr_sender_chart *chart);
    void (*call)(void *data, const struct qr_sender_call *call);
    void (*cancel)(void *data, struct qr_slice transaction);
    void (*progress)(void *data, struct qr_slice transaction); /* How far is it? */
    void (*node_id)(void *data, const struct qr_guid *claim_id, const struct qr_guid *node_id,
                    struct qr_slice url);
    void (*json)(void *data, struct qr_slice kind, struct qr_slice payload); /* "STREAM_PATH" */
};

struct qr_sender_config {
    uint32_t caps; /* Negotiated: qr_reply.caps. */
    const struct qr_clock *clock;
    struct qr_guid machine_guid; /* Of the host. */
    /* NULL: the default ones; looked at by qr_sender_new only. */
    const struct qr_compression_levels *levels;
};

/* 0 or UV_ENOMEM. */
int qr_sender_new(struct qr_sender **sender, const struct qr_sender_config *config,
                  const struct qr_sender_handler *handler);
void qr_sender_free(struct qr_sender *sender); /* NULL: nothing. */

/* Takes what the parent says, in pieces of any size.  Lines that are not understood are skipped, as
 * stock children do.  0, or an error after which the connection must be closed (QR_E_LIMIT: a line
 * or a payload does not end; UV_ENOMEM). */
int qr_sender_feed(struct qr_sender *sender, struct qr_slice text);

/* Hands out all that waits. */
void qr_sender_flush(struct qr_sender *sender);

/* ---- the host ---- */

/* A function that is declared to the parent. */
struct qr_sender_function {
    struct qr_slice name;
    struct qr_slice help;
    struct qr_slice tags;
    uint32_t timeout_s;
    uint64_t access;
    int32_t priority;
    uint32_t version;
};

/* Replaces the host's labels (HLABELS; without it nothing is said, as for all of these). */
void qr_sender_labels(struct qr_sender *sender, const struct qr_stream_label *labels, uint32_t n);
/* NULL: not claimed (CLAIM). */
void qr_sender_claimed(struct qr_sender *sender, const struct qr_guid *claim_id);
void qr_sender_variable(struct qr_sender *sender, struct qr_slice name, double value);
/* A global function, declared once (FUNCTIONS). */
void qr_sender_function(struct qr_sender *sender, const struct qr_sender_function *function);
/* JSON kind payload (PATHS).  The payload is lines of any length, none of which may be
 * JSON_PAYLOAD_END: then nothing is said. */
void qr_sender_json(struct qr_sender *sender, const char *kind, struct qr_slice payload);

/* The answer to a call, once for each.  QR_E_MALFORMED: the body has a line that would end it; the
 * parent is told of an error 500 then. */
int qr_sender_result(struct qr_sender *sender, struct qr_slice transaction, uint32_t status,
                     struct qr_slice content_type, int64_t expires_s, struct qr_slice body);
/* PROGRESS. */
void qr_sender_progress(struct qr_sender *sender, struct qr_slice transaction, uint64_t done,
                        uint64_t all);

/* ---- charts ---- */

struct qr_sender_variable {
    struct qr_slice name;
    double value;
};

struct qr_sender_definition {
    const struct qr_stream_chart *chart; /* slot, child_now_s and data are not looked at. */
    int64_t first_s, last_s; /* Ends of the oldest and newest row that we have; 0: none. */
    const struct qr_sender_function *functions; /* The chart's own. */
    uint32_t n_functions;
    const struct qr_sender_variable *variables;
    uint32_t n_variables;
};

/* Says a chart, or says it anew (*chart is not NULL: new dimensions at the end, other metadata).
 * Define a chart when the store has its first row, not earlier: a parent asks nothing of a chart
 * that has none.  0, QR_E_LIMIT, UV_ENOMEM. */
int qr_sender_define(struct qr_sender *sender, const struct qr_sender_definition *definition,
                     struct qr_sender_chart **chart);

/* Does the chart stream: are its rows taken now? */
bool qr_sender_is_live(const struct qr_sender_chart *chart);

/* A live row, in ascending order of end_s; its cells are those of the definition's dimensions, or
 * of the first of them.  True: it is on its way, or it was sent before.  False: it must come in an
 * answer (the chart does not stream, or it must be defined anew). */
bool qr_sender_row(struct qr_sender *sender, struct qr_sender_chart *chart,
                   const struct qr_stream_row *row);

/* ---- answers to handler.replay ----
 *
 * An answer is said at once, in one go: nothing else may be said between begin and end.  Rows are
 * those of the request's span, ascending; rows without any value need not be given.  A long span
 * may be answered in part: then before_s says how far, and the parent asks for the rest. */

struct qr_sender_answer {
    int64_t first_s, last_s; /* As in the definition, as of now. */
    int64_t before_s;        /* Everything up to here that we have was given. */
    /* From now on the chart is live.  Say so if the request did, and every row that exists was
     * given; not otherwise, the parent then asks again.  A chart that is live stays so. */
    bool streaming;
};

void qr_sender_answer_begin(struct qr_sender *sender, struct qr_sender_chart *chart);
void qr_sender_answer_row(struct qr_sender *sender, const struct qr_stream_row *row);
void qr_sender_answer_end(struct qr_sender *sender, const struct qr_sender_answer *answer);

/* ---- counters ---- */

struct qr_sender_stats {
    uint64_t rows_live, rows_replayed, samples;
    uint64_t requests;      /* REPLAY_CHART */
    uint64_t lines_unknown; /* Of the parent. */
    uint64_t redefinitions; /* Asked for by the sender. */
    uint64_t bytes_text, bytes_wire;
    uint32_t charts, charts_live;
    int64_t newest_s; /* End of the newest row that was sent. */
};
void qr_sender_get_stats(const struct qr_sender *sender, struct qr_sender_stats *stats);

#endif
