/* node/jsonwrap.h — option jsonwrap: the answer within a description of it.
 *
 * Keys, their order and the layout are Netdata 1.37's; formats that are not JSON become one string.
 * Thread: any worker. */
#ifndef QR_NODE_JSONWRAP_H
#define QR_NODE_JSONWRAP_H

#include "node/api_data.h"

/* Appends the description and, in it, the table in the query's format.  0, UV_ENOMEM, or an I/O
 * error of reading the latest values. */
int qr_jsonwrap_write(struct qr_buf *out, struct qr_data_query *query,
                      const struct qr_api_call *call);

#endif
