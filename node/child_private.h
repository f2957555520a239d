/* node/child_private.h — the session's struct, for child.c and child_charts.c only. */
#ifndef QR_NODE_CHILD_PRIVATE_H
#define QR_NODE_CHILD_PRIVATE_H

#include "base/buf.h"
#include "node/child.h"
#include "node/feed.h"
#include "node/ingest.h"
#include "node/outbox.h"
#include "proto/frame.h"
#include "proto/handshake.h"
#include "proto/stream.h"

enum state { S_HANDSHAKE, S_ATTACHING, S_STREAMING, S_LEAVING, S_CLOSING, S_NR };

/* A chart of this connection, behind qr_stream_chart.data. */
struct session_chart {
    struct qr_stream_chart *chart;
    uint32_t slot; /* Among the session's charts. */
    uint32_t id;   /* The catalog's; 0 until defined. */
    uint32_t n_places;
    uint32_t width; /* Cells of a row in the log. */
    uint32_t *places;
    bool refused;       /* There are too many: its rows are dropped. */
    bool queued;        /* To be defined, ... */
    bool defining;      /* ... or asked for: rows wait for the answer. */
    int64_t seek_s;     /* Up to there its older holes are to be looked for, once those known are
                         * filled; 0: there are none. */
    bool has_late;      /* A node defined it again: rows may have come late, however old. */
    bool seeker;        /* Among the session's seekers; */
    bool seeking;       /* asked for: the answer counts unless it was resumed meanwhile. */
    struct qr_buf held; /* Rows that wait: i64 end, u32 n, n values. */
    struct qr_entry_base base; /* Its last row in the log; zeros in a new session. */
};

struct session {
    struct qr_child child;
    struct qr_ingest *ingest;
    struct qr_conn *conn; /* NULL once closed. */
    enum state state;
    struct qr_handshake handshake;
    struct qr_feed feed;
    bool in_roster; /* attach was posted: the roster owns the end of the feed */
    struct qr_stream *stream;
    struct qr_decompressor *decompressor; /* NULL: plain text */
    struct qr_slice frame_text;           /* Of the frame in work, not parsed yet; the decoder's. */
    size_t frame_bytes;                   /* That frame's, at the front of the input. */
    uint32_t n_quiet_ticks;               /* Since it said something. */
    struct qr_outbox outbox;
    char name[128];         /* Its hostname, escaped for the log. */
    struct qr_buf to_child; /* Lines of one turn, sent in one write. */
    struct session_chart **charts;
    uint32_t n_charts, charts_capacity;
    struct session_chart **queue; /* To be defined. */
    uint32_t n_queue, queue_capacity;
    bool defining; /* A define message is under way: one at a time, so that the log gets
                    * definitions of a chart in the child's order. */
    struct session_chart **seekers; /* Charts with older holes, perhaps. */
    uint32_t n_seekers, seekers_capacity;
    uint32_t next_seeker; /* The one to be looked at first: charts take turns. */
    bool seeking;         /* A seek message is under way. */
    size_t held_bytes;
    uint32_t *cells; /* Scratch for one row. */
    uint32_t cells_capacity;
    uint32_t *packed;
    uint32_t packed_capacity;
    uint64_t last_rows, last_replayed;
    struct qr_feed_note *note; /* What is to be noted at the next tick, or NULL. */
    struct qr_guid claim;
    unsigned n_ahead_ticks; /* Rows were refused as of the future not long ago. */
    bool claimed, waits_for_credit, failed;
    bool ephemeral;      /* stream.conf says so. */
    uint32_t period_s;   /* The same: how much of the past is asked for at first. */
    bool source_refills; /* See node/feed.h. */
    uint32_t caps;       /* Negotiated. */
    struct qr_child_functions *functions; /* NULL: it has offered none yet. */
    bool functions_told;                  /* node/functions knows this session. */
};

/* What the session has not sent yet is given up: it is fenced, or cannot go on. */
void qr_child_fail(struct session *s, const char *reason);

/* Is more than the log takes now, or more than may wait for definitions, here already? */
bool qr_child_must_wait(struct session *s);
void qr_child_update_pause(struct session *s);

/* What was said to the child in this turn goes out, in one write. */
void qr_child_flush(struct session *s);

#endif
