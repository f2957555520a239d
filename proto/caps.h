/* proto/caps.h — capability bits of the streaming protocol and their negotiation.
 *
 * Bits of `ver` in the child's request and of `version=` in our reply; numbers up to 5 are old
 * protocol versions and stand for sets (facts: section 5).  Thread: any. */
#ifndef QR_PROTO_CAPS_H
#define QR_PROTO_CAPS_H

#include <stdint.h>

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

/* What this build implements. */
#define QR_CAPS_OURS                                                                               \
    (QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN | QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM |            \
     QR_CAP_CLABELS | QR_CAP_LZ4 | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION | QR_CAP_BINARY |         \
     QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS)

/* The set that both sides have, from the number in the child's request. */
uint32_t qr_caps_negotiate(uint32_t ver, uint32_t ours);

#endif
