/* proto/frame.h — compressed frames of a child's stream.
 *
 *   byte 0  0xFA
 *   byte 1  0x80 | len & 0x7F
 *   byte 2  0x80 | len >> 7
 *   byte 3  0x0A, then `len` bytes: a payload of the connection's compression
 *
 * Frame borders are not line borders.  A frame may not unpack to more than
 * QR_FRAME_PLAIN_BYTES_MAX.  Thread: the owner's. */
#ifndef QR_PROTO_FRAME_H
#define QR_PROTO_FRAME_H

#include <sys/types.h>

#include "base/buf.h"
#include "base/slice.h"
#include "proto/compression.h"

/* Decodes the first frame of `in`.  Returns bytes consumed and the text in *text (borrowed until
 * the decompressor's next use; it may be empty), or QR_E_PARTIAL, QR_E_MALFORMED (not a frame),
 * QR_E_CORRUPT (does not unpack), QR_E_LIMIT (unpacks to too much). */
ssize_t qr_frame_decode(struct qr_decompressor *decompressor, struct qr_slice in,
                        struct qr_slice *text);

/* Appends frames for `text` to `out`; 0 or an error of qr_buf. */
int qr_frame_encode(struct qr_compressor *compressor, struct qr_slice text, struct qr_buf *out);

#endif
