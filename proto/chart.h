/* proto/chart.h — the charts of one child's connection: their definitions, and finding them again.
 *
 * A chart is made by its first CHART line and lives as long as the registry; its address, id and
 * slot never change, nor do the ids and places of its dimensions.  Finding costs a comparison when
 * the child repeats the order of the last round (it does), else a hash lookup.
 *
 * What a child can make us hold is bounded: QR_CHARTS_PER_HOST_MAX, QR_DIMS_PER_CHART_MAX, and
 * QR_DEFINITION_BYTES_MAX for all of it.  Thread: the owner's. */
#ifndef QR_PROTO_CHART_H
#define QR_PROTO_CHART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slice.h"
#include "proto/arithmetic.h"
#include "proto/label.h"
#include "proto/replication.h"
#include "proto/stream.h"
#include "proto/words.h"

struct qr_stream;

struct qr_chart {
    struct qr_stream_chart pub; /* What the handler sees. */

    struct qr_stream *stream;  /* The owner's. */
    bool dirty;                /* Changed since the handler's last define(). */
    bool resumed;              /* The owner has answered define() at least once. */
    bool has_row;              /* A live row came. */
    bool refused;              /* It grew beyond what a child may have: its rows are skipped. */
    bool waits_for_start;      /* Without replication here: the child waits to be told to start. */
    bool past_is_told;         /* Without replication: the gap before the first row was told. */
    int64_t watermark_s;       /* The owner's, when it resumed. */
    int64_t first_row_begin_s; /* Of this connection. */

    /* Torn answers to the definition (proto/rows). */
    bool torn; /* The last one was: live rows come again with the next. */
    uint32_t n_torn;
    int64_t torn_after_s;       /* Where points seemed to be left out, last. */
    uint64_t torn_retry_ms;     /* When to ask again, while in the stream's list. */
    struct qr_chart *torn_next; /* In that list. */
    bool torn_waits;            /* Is in it. */
    bool clock_unproven;        /* Streams, and no live row has been compared with the clock. */
    bool slipped;               /* Was compared, and asked for again. */

    /* Live rows of the future (proto/horizon). */
    bool beyond;              /* They were refused, and none was taken since. */
    bool clock_wanted;        /* Asked for again for its clock: live rows come again with that. */
    int64_t beyond_after_s;   /* The last row taken before them. */
    uint32_t right_seen;      /* The stream's n_right then. */
    uint64_t beyond_retry_ms; /* Not asked for again before that because the child is right. */

    struct qr_arith_chart arith;
    struct qr_arith_dim *arith_dims; /* n_dims, parallel to pub.dims. */
    struct qr_replication replication;
    enum qr_replication_want wants; /* What it is queued for, */
    struct qr_list asking;          /* in the stream's list of that. */

    struct qr_label_set labels;
    size_t label_bytes;
    struct qr_map dims_by_id; /* Empty until there are more than a scan is good for. */
    uint32_t dims_capacity;
    uint32_t next_dim;         /* The place that the next line probably names. */
    struct qr_chart *follower; /* The chart that came after this one last time. */
    char *text;                /* Owns all slices of pub but id. */
    size_t text_bytes;
    char id[];
};

/* A zeroed one is valid and empty. */
struct qr_charts {
    struct qr_map by_id;
    struct qr_chart **at; /* By slot. */
    uint32_t n;
    uint32_t capacity;
    uint32_t dims_max;     /* Of one chart. */
    size_t bytes;          /* Held by definitions. */
    struct qr_chart *last; /* Found last. */
};

void qr_charts_release(struct qr_charts *charts);

/* CHART: makes or redefines.  `update_every` is for charts that do not say theirs.
 * 0, QR_E_MALFORMED (*reason is a sentence), QR_E_LIMIT, UV_ENOMEM. */
int qr_charts_define(struct qr_charts *charts, struct qr_args args, uint32_t update_every,
                     struct qr_chart **chart, const char **reason);

/* DIMENSION of this chart: adds or redefines.  Errors as above. */
int qr_charts_dimension(struct qr_charts *charts, struct qr_chart *chart, struct qr_args args,
                        const char **reason);

/* CLABEL_COMMIT: `labels` are the chart's now, and the set is empty.  0 or QR_E_LIMIT, with nothing
 * changed. */
int qr_chart_set_labels(struct qr_charts *charts, struct qr_chart *chart,
                        struct qr_label_set *labels);

/* The chart, or NULL. */
struct qr_chart *qr_charts_find(struct qr_charts *charts, struct qr_slice id);

/* The dimension's place, or UINT32_MAX. */
uint32_t qr_chart_find_dim_slow(struct qr_chart *chart, struct qr_slice id);

static inline uint32_t qr_chart_find_dim(struct qr_chart *chart, struct qr_slice id)
{
    uint32_t i = chart->next_dim;
    if (QR_LIKELY(i < chart->pub.n_dims && qr_slice_equal(chart->pub.dims[i].id, id))) {
        chart->next_dim = i + 1;
        return i;
    }
    return qr_chart_find_dim_slow(chart, id);
}

#endif
