/* proto/compression.h — the four compressions of a child's stream, as frames carry them.
 *
 *   LZ4     raw blocks; the history is the last 64 KiB of text of the connection
 *   ZSTD    one zstd frame a connection, that never ends; output may lag behind its input
 *   GZIP    one gzip member a connection, flushed after each message
 *   BROTLI  one brotli stream a connection, flushed after each message
 *
 * A connection has one of them (proto/caps), each side one struct with its whole history.  The only
 * place that knows the libraries' return codes (facts: section 6).  Thread: the owner's. */
#ifndef QR_PROTO_COMPRESSION_H
#define QR_PROTO_COMPRESSION_H

#include <stdint.h>

#include "base/slice.h"
#include "proto/history.h"

enum qr_compression {
    QR_COMPRESSION_NONE,
    QR_COMPRESSION_LZ4,
    QR_COMPRESSION_ZSTD,
    QR_COMPRESSION_GZIP,
    QR_COMPRESSION_BROTLI,
    QR_COMPRESSIONS
};

/* "lz4", as `compression algorithms order` names it. */
const char *qr_compression_name(enum qr_compression compression);
/* By that name; QR_COMPRESSION_NONE: none has it. */
enum qr_compression qr_compression_of_name(struct qr_slice name);

struct qr_decompressor;
/* The pool (of the loop) is LZ4's; NULL: none, its history takes all it may.  0 or UV_ENOMEM. */
int qr_decompressor_new(struct qr_decompressor **decompressor, enum qr_compression compression,
                        struct qr_history_pool *pool);
void qr_decompressor_free(struct qr_decompressor *decompressor); /* NULL: nothing. */

/* The text of the next payload, at most QR_FRAME_PLAIN_BYTES_MAX, borrowed until the next call; it
 * may be empty.  0, QR_E_CORRUPT (does not unpack), QR_E_LIMIT (unpacks to too much) or UV_ENOMEM;
 * after an error nothing follows. */
int qr_decompress(struct qr_decompressor *decompressor, struct qr_slice payload,
                  struct qr_slice *text);

/* Between frames: as qr_history_rest and qr_history_fold; the last text is gone. */
void qr_decompressor_rest(struct qr_decompressor *decompressor);
void qr_decompressor_fold(struct qr_decompressor *decompressor);

/* ---- the sending side, for proxies and for the test child ---- */

/* Text of this length packs into at most QR_FRAME_BYTES_MAX, whatever it is. */
#define QR_COMPRESSION_TEXT_BYTES_MAX (16u * 1024 - 128 - 1)

/* How hard each of them tries: the libraries' own numbers.  LZ4's grows with its haste. */
struct qr_compression_levels {
    uint32_t zstd, brotli, gzip, lz4_acceleration;
};
/* What Netdata's children begin with. */
extern const struct qr_compression_levels qr_compression_levels_default;
#define QR_ZSTD_LEVEL_MAX       22u /* From 1. */
#define QR_BROTLI_LEVEL_MAX     11u /* From 0. */
#define QR_GZIP_LEVEL_MAX       9u  /* From 1. */
#define QR_LZ4_ACCELERATION_MAX 65537u

struct qr_compressor;
/* levels NULL: the default ones.  0 or UV_ENOMEM. */
int qr_compressor_new(struct qr_compressor **compressor, enum qr_compression compression,
                      const struct qr_compression_levels *levels);
void qr_compressor_free(struct qr_compressor *compressor); /* NULL: nothing. */

/* Packs 1 .. QR_COMPRESSION_TEXT_BYTES_MAX of text so that the other side can read all of it now.
 * `out` has room for QR_FRAME_BYTES_MAX.  Returns the length. */
uint32_t qr_compress(struct qr_compressor *compressor, struct qr_slice text, char *out);

#endif
