/* proto/stream.h — what one child says after the handshake: bytes in, definitions and rows out.
 *
 * The engine of a child's connection.  It takes decompressed text in pieces of any size, frames
 * lines, dispatches keywords, keeps the charts of this connection, does the arithmetic of v1
 * senders (proto/arithmetic), plans replication (proto/replication), and tells a handler what came
 * of it.  It does no I/O, knows no socket and no store, and allocates nothing per sample.
 *
 * The order of one chart (facts: Netdata's protocol, replication negotiated):
 *
 *   CHART DIMENSION.. CHART_DEFINITION_END   -> handler.define(chart)
 *   the owner decides from when to resume    -> qr_stream_resume(chart, ...)
 *                                            -> handler.send("REPLAY_CHART ...")
 *   RBEGIN RSET.. REND                       -> handler.row(...), more sends, handler.gap(...)
 *   BEGIN SET.. END | BEGIN2 SET2.. END2     -> handler.row(...)
 *
 * A sender without replication is defined at its first BEGIN and streams at once: its rows may come
 * before the owner has resumed the chart.  A definition that is sent again (a new dimension, other
 * metadata) comes through define() again, with the same `slot`.
 *
 * Values are doubles as the child meant them; the owner rounds them.  Row arrays hold one cell for
 * each dimension of chart->dims, in that order; a missing one is NAN with QR_STREAM_EMPTY.
 *
 * Slices and structs handed to the handler are valid during the call; a chart lives as long as the
 * stream (its fields change at a redefinition only).  Thread: the owner's. */
#ifndef QR_PROTO_STREAM_H
#define QR_PROTO_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/guid.h"
#include "base/slice.h"
#include "proto/functions.h"

enum qr_algorithm {
    QR_ALGORITHM_ABSOLUTE,
    QR_ALGORITHM_INCREMENTAL,
    QR_ALGORITHM_PCENT_ROW,  /* percentage-of-absolute-row */
    QR_ALGORITHM_PCENT_DELTA /* percentage-of-incremental-row */
};

enum qr_chart_type { QR_CHART_LINE, QR_CHART_AREA, QR_CHART_STACKED, QR_CHART_HEATMAP };

/* Flags of charts and dimensions. */
#define QR_CHART_OBSOLETE    1u
#define QR_CHART_DETAIL      2u
#define QR_CHART_STORE_FIRST 4u
#define QR_CHART_HIDDEN      8u
#define QR_DIM_OBSOLETE      1u
#define QR_DIM_HIDDEN        2u
#define QR_DIM_NORESET       4u

/* Flags of one cell of a row. */
#define QR_STREAM_EMPTY     1u
#define QR_STREAM_RESET     2u
#define QR_STREAM_ANOMALOUS 4u

struct qr_stream_label {
    struct qr_slice name;
    struct qr_slice value;
    unsigned source; /* Bits 1 auto, 2 config, 4 k8s, 8 aclk; leaked high bits are masked off. */
};

struct qr_stream_dim {
    struct qr_slice id;
    struct qr_slice name; /* Never empty: the id if the child gave none. */
    enum qr_algorithm algorithm;
    int64_t multiplier;
    int64_t divisor; /* Never 0. */
    unsigned flags;
};

struct qr_stream_chart {
    uint32_t slot; /* Place on this connection: 0, 1, ..; stays over redefinitions. */
    struct qr_slice id;
    struct qr_slice name; /* type.name, or the id if the child gave none. */
    struct qr_slice title;
    struct qr_slice units;
    struct qr_slice family;
    struct qr_slice context;
    struct qr_slice plugin;
    struct qr_slice module;
    enum qr_chart_type type;
    int priority;
    uint32_t update_every; /* s, 1 .. QR_UPDATE_EVERY_MAX. */
    unsigned flags;
    uint32_t n_dims; /* Only grows: a dimension keeps its place. */
    struct qr_stream_dim *dims;
    uint32_t n_labels;
    struct qr_stream_label *labels;
    int64_t first_s, last_s; /* The child's retention, from CHART_DEFINITION_END, else 0. */
    int64_t child_now_s;
    void *data; /* The owner's. */
};

struct qr_stream_row {
    int64_t end_s;         /* The value covers (end_s - update_every, end_s]. */
    uint32_t update_every; /* Of this row. */
    uint32_t n;            /* == chart->n_dims. */
    const double *values;
    const uint8_t *flags;
    bool replayed;
};

/* Why a part of the past is missing for good. */
enum qr_gap_reason {
    QR_GAP_RETENTION,     /* Older than what the child says to have, or newer. */
    QR_GAP_NOT_COLLECTED, /* The child has nothing there either. */
    QR_GAP_NO_REPLICATION /* The child cannot replay. */
};

/* Text between two lines, that may hold anything. */
enum qr_payload_kind { QR_PAYLOAD_RESULT, QR_PAYLOAD_JSON };

struct qr_payload {
    enum qr_payload_kind kind;
    struct qr_function_result result; /* QR_PAYLOAD_RESULT */
    struct qr_slice json;             /* QR_PAYLOAD_JSON: its kind, STREAM_PATH, .. */
};

/* Callbacks but define and row may be NULL.  None may feed or free the stream. */
struct qr_stream_handler {
    void *data;
    void (*define)(void *data, struct qr_stream_chart *chart);
    void (*row)(void *data, struct qr_stream_chart *chart, const struct qr_stream_row *row);
    /* (after_s, before_s] of the chart will not come: it is recorded, not asked for again. */
    void (*gap)(void *data, struct qr_stream_chart *chart, int64_t after_s, int64_t before_s,
                enum qr_gap_reason reason);
    /* The chart is more than a child may have: what comes of it is skipped.  The reason is a clause
     * (static). */
    void (*refused)(void *data, struct qr_slice chart, const char *reason);
    /* The set of host labels was replaced. */
    void (*labels)(void *data, const struct qr_stream_label *labels, uint32_t n);
    void (*claimed)(void *data, const struct qr_guid *claim_id); /* NULL: not claimed. */
    void (*variable)(void *data, struct qr_stream_chart *chart /* NULL: host */,
                     struct qr_slice name, double value);
    /* One line to the child, newline included. */
    void (*send)(void *data, struct qr_slice line);
    /* A function is offered, again perhaps; by a chart, or by the host (NULL). */
    void (*function)(void *data, struct qr_stream_chart *chart, const struct qr_function *function);
    void (*progress)(void *data, const struct qr_function_progress *progress);
    /* A payload begins.  True: it is wanted; then its bytes follow, piece by piece, and its end.
     * False: it is skipped.  No bound but the stream's (QR_PAYLOAD_BYTES_MAX) holds for it. */
    bool (*payload_begin)(void *data, const struct qr_payload *payload);
    void (*payload)(void *data, struct qr_slice bytes);
    void (*payload_end)(void *data);
};

struct qr_stream_config {
    uint32_t caps;         /* Negotiated, proto/caps. */
    uint32_t update_every; /* Of the host, s. */
    bool replication;      /* Enabled here (stream.conf). */
    uint32_t replication_period_s;
    uint32_t replication_step_s;
    bool heal; /* Probe 1.37's truncated answers (its bug, section 11.6 item 4). */
    const struct qr_clock *clock;
    const struct qr_guid *machine_guid; /* The child's, copied: claims of others are ignored. */
};

/* From when the owner wants the chart: all it knows of it.  Slices of holes are borrowed for the
 * call. */
struct qr_stream_hole {
    int64_t after_s, before_s; /* (after_s, before_s] */
};

struct qr_stream_resume {
    int64_t watermark_s; /* End of the newest stored point, on the chart's grid; 0: none. */
    const struct qr_stream_hole *holes; /* Behind the watermark, ascending, to be asked for too. */
    uint32_t n_holes;
};

struct qr_stream;

/* 0 or UV_ENOMEM. */
int qr_stream_new(struct qr_stream **stream, const struct qr_stream_config *config,
                  const struct qr_stream_handler *handler);
void qr_stream_free(struct qr_stream *stream);

/* Takes decompressed text.  0, or an error after which the connection must be closed; then
 * qr_stream_error_text() is a sentence that names the line, with strangers' bytes escaped. */
int qr_stream_feed(struct qr_stream *stream, struct qr_slice text);
const char *qr_stream_error_text(const struct qr_stream *stream);

/* About once a second, also while nothing comes: requests that were not answered are sent again.
 * (Feeding does the same.) */
void qr_stream_tick(struct qr_stream *stream);

/* Answers define(): the owner is ready to take rows of the chart.  May be called at any time after
 * define, also from inside it.  0 or UV_ENOMEM. */
int qr_stream_resume(struct qr_stream *stream, struct qr_stream_chart *chart,
                     const struct qr_stream_resume *resume);

/* Whether all that the chart was to be asked for has come or was given up; true if the child cannot
 * be asked. */
bool qr_stream_is_filled(const struct qr_stream *stream, const struct qr_stream_chart *chart);

/* One hole more, behind the watermark: asked for if the chart streams, a gap if the child cannot
 * be asked.  0 or UV_ENOMEM. */
int qr_stream_hole(struct qr_stream *stream, struct qr_stream_chart *chart,
                   const struct qr_stream_hole *hole);

/* Rows that end later than that from now are refused (proto/horizon).  Clocks that nobody sets are
 * some minutes wrong, and their data are taken as they are. */
#define QR_HORIZON_S 300

/* Counters since the start. */
struct qr_stream_stats {
    uint64_t lines, rows_live, rows_replayed, samples;
    uint64_t lines_unknown;  /* Skipped: their keyword is not known here. */
    uint64_t rows_refused;   /* With impossible times, skipped as stock parents do. */
    uint64_t rows_ahead;     /* Among them: of the future, see proto/horizon. */
    int64_t clock_ahead_s;   /* Of the child's clock, as last seen; exact to some seconds. */
    uint64_t labels_dropped; /* Beyond QR_LABELS_MAX. */
    uint32_t charts, charts_replicating;
    uint32_t asks_outstanding; /* REPLAY_CHART sent, not answered yet. */
    uint64_t replay_left_s;    /* Of all charts: seconds of the past to be asked for still. */
    uint64_t charts_refused;   /* Times that one was: see the handler's `refused`. */
};
void qr_stream_get_stats(const struct qr_stream *stream, struct qr_stream_stats *stats);

#endif
