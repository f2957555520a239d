/* proto/caps.h — capability bits of the streaming protocol and their negotiation.
 *
 * Bits of `ver` in the child's request and of `version=` in our reply; numbers up to 5 are old
 * protocol versions and stand for sets (facts: section 5).  Thread: any. */
#ifndef QR_PROTO_CAPS_H
#define QR_PROTO_CAPS_H

#include <stdint.h>

#include "base/slice.h"
#include "proto/compression.h"

#define QR_CAP_V1           (1u << 3)
#define QR_CAP_V2           (1u << 4)
#define QR_CAP_VN           (1u << 5)
#define QR_CAP_VCAPS        (1u << 6)
#define QR_CAP_HLABELS      (1u << 7)
#define QR_CAP_CLAIM        (1u << 8)
#define QR_CAP_CLABELS      (1u << 9)
#define QR_CAP_LZ4          (1u << 10)
#define QR_CAP_FUNCTIONS    (1u << 11)
#define QR_CAP_REPLICATION  (1u << 12)
#define QR_CAP_BINARY       (1u << 13)
#define QR_CAP_INTERPOLATED (1u << 14)
#define QR_CAP_IEEE754      (1u << 15)
#define QR_CAP_DATA_WITH_ML (1u << 16)
#define QR_CAP_SLOTS        (1u << 18)
#define QR_CAP_ZSTD         (1u << 19)
#define QR_CAP_GZIP         (1u << 20)
#define QR_CAP_BROTLI       (1u << 21)
#define QR_CAP_PROGRESS     (1u << 22)
#define QR_CAP_DYNCFG       (1u << 23)
#define QR_CAP_NODE_ID      (1u << 24)
#define QR_CAP_PATHS        (1u << 25)
#define QR_CAP_ML_MODELS    (1u << 26)

/* What this build implements; docs/streaming.md says how, and why not the others.  Not NODE_ID: a
 * parent may say it, and we have none to say.  Not PATHS: a child bans parents by it.  Not
 * ML_MODELS: the child keeps its models. */
#define QR_CAPS_OURS                                                                               \
    (QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN | QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM |            \
     QR_CAP_CLABELS | QR_CAP_LZ4 | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION | QR_CAP_BINARY |         \
     QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS | QR_CAP_ZSTD | QR_CAP_GZIP |             \
     QR_CAP_BROTLI | QR_CAP_PROGRESS | QR_CAP_DYNCFG)

#define QR_CAPS_COMPRESSIONS (QR_CAP_LZ4 | QR_CAP_ZSTD | QR_CAP_GZIP | QR_CAP_BROTLI)

/* Which compression to take where both sides have several: the best first, all of them. */
struct qr_compression_order {
    enum qr_compression all[QR_COMPRESSIONS - 1];
};
extern const struct qr_compression_order qr_compression_order_default; /* Netdata's. */

/* "zstd lz4 ..": those not named follow in the default order.  0, or QR_E_CONFIG: a word is no
 * compression's name. */
int qr_compression_order_parse(struct qr_compression_order *order, struct qr_slice text);

/* The set that both sides have, from the number in the child's request, with one compression at
 * most. */
uint32_t qr_caps_negotiate(uint32_t ver, uint32_t ours, const struct qr_compression_order *order);

/* The bit that offers a compression; 0 for none. */
uint32_t qr_compression_cap(enum qr_compression compression);

/* That one compression. */
enum qr_compression qr_caps_compression(uint32_t caps);

#endif
