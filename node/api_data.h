/* node/api_data.h — /api/v1/data: what a client asks, what that selects, and the answer.
 *
 *   parameters --> struct qr_data_query --> charts and dimensions --> node/window --> node/table
 *       --> node/format, within node/jsonwrap if asked for
 *
 * Thread: any worker. */
#ifndef QR_NODE_API_DATA_H
#define QR_NODE_API_DATA_H

#include "node/api_call.h"
#include "node/format.h"
#include "node/grouping.h"
#include "node/table.h"

/* The parameters; slices lie in the request, texts in the struct. */
struct qr_data_query {
    struct qr_slice chart, context;
    struct qr_slice label_key, label_filter; /* Patterns over labels of charts. */
    struct qr_buf dimensions;                /* All of them, each behind a '|'. */
    int64_t after, before, points, gtime_s;
    bool tier_given; /* There is such a tier. */
    unsigned tier;
    struct qr_slice group_options;
    struct qr_grouping_spec grouping;
    enum qr_format format;
    uint32_t options;                                /* QR_OPTION_*: as asked, .. */
    uint32_t options_shown;                          /* .. and as applied. */
    char callback[128];                              /* Of jsonp. */
    char filename[128];                              /* "": no attachment. */
    char version[32], request_id[32], signature[32]; /* Google's. */

    /* What it selected. */
    bool by_context; /* Charts of a context or pattern, otherwise one chart. */
    struct qr_window_source source;
    struct qr_table table;
};

void qr_api_data(struct qr_api_call *call);

#endif
