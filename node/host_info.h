/* node/host_info.h — from what a child says of itself to the host definition in the log.
 * Thread: any. */
#ifndef QR_NODE_HOST_INFO_H
#define QR_NODE_HOST_INFO_H

#include "base/buf.h"
#include "proto/handshake.h"
#include "proto/stream.h"

/* Appends the encoded definition.  claim NULL: not claimed.  0, UV_ENOMEM or QR_E_LIMIT. */
int qr_host_info_encode(struct qr_buf *out, const struct qr_handshake *handshake,
                        const struct qr_stream_label *labels, uint32_t n_labels,
                        const struct qr_guid *claim);

/* Appends the encoded definition of a chart. */
int qr_chart_info_encode(struct qr_buf *out, const struct qr_stream_chart *chart);

#endif
