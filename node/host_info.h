/* node/host_info.h — from what a child says of itself to the host definition in the log.
 * Thread: any. */
#ifndef QR_NODE_HOST_INFO_H
#define QR_NODE_HOST_INFO_H

#include "base/buf.h"
#include "proto/handshake.h"
#include "proto/stream.h"
#include "storage/definition.h"

/* Appends the encoded definition.  claim NULL: not claimed.  0, UV_ENOMEM or QR_E_LIMIT. */
int qr_host_info_encode(struct qr_buf *out, const struct qr_handshake *handshake,
                        const struct qr_stream_label *labels, uint32_t n_labels,
                        const struct qr_guid *claim);

/* Copies labels and says in one more (storage/definition.h), as Netdata's parents do and whatever
 * the child said itself, that the host is ephemeral.
 * `to` has room for n + 1; returns how many there are. */
uint32_t qr_host_info_mark_ephemeral(struct qr_stream_label *to, const struct qr_stream_label *from,
                                     uint32_t n);

/* Appends the encoded definition of a chart. */
int qr_chart_info_encode(struct qr_buf *out, const struct qr_stream_chart *chart);

#endif
