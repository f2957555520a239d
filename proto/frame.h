/* proto/frame.h — compressed frames of a child's stream, LZ4 so far.
 *
 *   byte 0  0xFA
 *   byte 1  0x80 | len & 0x7F
 *   byte 2  0x80 | len >> 7
 *   byte 3  0x0A, then `len` bytes: one LZ4 block whose history is the last 64 KiB of text
 *
 * Frame borders are not line borders.  A frame may not unpack to more than
 * QR_FRAME_PLAIN_BYTES_MAX.  The only place that knows LZ4's return codes.  Thread: the owner's. */
#ifndef QR_PROTO_FRAME_H
#define QR_PROTO_FRAME_H

#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

struct qr_frame_decoder;

/* 0 or UV_ENOMEM. */
int qr_frame_decoder_new(struct qr_frame_decoder **decoder);
void qr_frame_decoder_free(struct qr_frame_decoder *decoder);

/* Decodes the first frame of `in`.  Returns bytes consumed and the text in *text (borrowed until
 * the next call), or QR_E_PARTIAL, QR_E_MALFORMED (not a frame), QR_E_CORRUPT (does not unpack),
 * QR_E_LIMIT (unpacks to too much). */
ssize_t qr_frame_decode(struct qr_frame_decoder *decoder, struct qr_slice in,
                        struct qr_slice *text);

/* The sending side, for proxies and for the test child. */
struct qr_frame_encoder;
int qr_frame_encoder_new(struct qr_frame_encoder **encoder);
void qr_frame_encoder_free(struct qr_frame_encoder *encoder);
/* Writes frames for `text` to `out`; 0 or an error. */
struct qr_buf;
int qr_frame_encode(struct qr_frame_encoder *encoder, struct qr_slice text, struct qr_buf *out);

#endif
