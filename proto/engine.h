/* proto/engine.h — the inside of proto/stream, shared by the files that it is made of.
 *
 *   stream.c   bytes to lines, lines to keywords, the host's own lines, payloads
 *   define.c   CHART .. CHART_DEFINITION_END, resuming, asking for the past
 *   rows.c     BEGIN .. END, BEGIN2 .. END2, RBEGIN .. REND
 *   horizon.c  what is refused as of the future
 *
 * Nobody else includes it.  A keyword's handler gets the words behind the keyword, as many as its
 * row in proto/keyword promises; it returns 0 or an error that was made by qr_engine_fail. */
#ifndef QR_PROTO_ENGINE_H
#define QR_PROTO_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/list.h"
#include "base/slice.h"
#include "proto/arithmetic.h"
#include "proto/chart.h"
#include "proto/label.h"
#include "proto/line.h"
#include "proto/replication.h"
#include "proto/stream.h"

/* What the lines stand in. */
enum qr_block {
    QR_BLOCK_NONE,
    QR_BLOCK_V1,     /* BEGIN .. END */
    QR_BLOCK_V2,     /* BEGIN2 .. END2 */
    QR_BLOCK_REPLAY, /* RBEGIN .. REND */
    QR_BLOCK_SKIPPED /* Any of these, of a chart that was refused. */
};

struct qr_stream {
    struct qr_stream_config config;
    struct qr_stream_handler handler;
    bool planning; /* Charts are replayed: both sides want it. */
    struct qr_replication_config replication;
    struct qr_replication_pace pace;
    struct qr_list asking[QR_REPLICATION_WANT_NR]; /* Charts that wait for their turn to ask. */
    struct qr_guid machine_guid;

    struct qr_lines lines;
    struct qr_charts charts;
    struct qr_label_set host_labels;  /* LABEL lines until OVERWRITE. */
    struct qr_label_set chart_labels; /* CLABEL lines until CLABEL_COMMIT. */

    enum qr_block block;
    struct qr_chart *open;     /* The block's chart. */
    struct qr_chart *defining; /* The last CHART line's, until another block begins. */
    bool refusing;             /* That one was refused: what else is said of it is skipped. */
    bool row_open;             /* QR_BLOCK_V2, QR_BLOCK_REPLAY: cells are being filled in. */
    bool row_refused;          /* QR_BLOCK_REPLAY: with times that cannot be. */
    int64_t row_end_s;
    uint32_t row_update_every;
    int64_t state_collected_us; /* BLOCK_REPLAY: what RSSTATE said; 0: it did not come. */
    int64_t state_updated_us;
    struct qr_chart *torn; /* Charts that wait to ask for the rest of an answer. */
    int64_t lag_us;        /* The smallest delay of a live row, of this minute .. */
    int64_t lag_before_us; /* .. and of the one before; INT64_MAX: none. */
    uint64_t lag_since_ms;
    double *values; /* Cells of a row, as many as the widest chart has. */
    uint8_t *flags;
    uint32_t n_cells;

    struct qr_slice payload_end; /* Lines are a payload's up to this one; empty: they are not. */
    size_t payload_bytes;
    bool payload_wanted;
    bool payload_line_open; /* What came last was a part of a line. */
    bool payload_newline;   /* To be told before the next bytes: the last one is the sender's. */

    int64_t horizon_s; /* proto/horizon */
    uint32_t n_right;  /* How often the child has said a clock within the horizon. */
    uint64_t horizon_retry_ms;

    int64_t now_us; /* Read once for each piece that is fed. */
    uint64_t now_ms;
    uint64_t ticked_ms;
    struct qr_stream_stats stats;

    struct qr_slice line; /* The one being worked on. */
    int failed;
    char error[640];
};

/* Composes the error text: a sentence, the block's chart, the line.  Returns `code`. */
int qr_engine_fail(struct qr_stream *s, int code, const char *format, ...) QR_PRINTF(3, 4);
int qr_engine_malformed(struct qr_stream *s, const char *sentence);

#endif
