/* cluster/link_frame.h — the bytes of member links: frames and the hello.
 *
 *    0  u32  magic "QRLK"
 *    4  u16  type
 *    6  u16  flags, 0
 *    8  u32  group
 *   12  u32  payload bytes, at most what the type allows
 *   16  u32  CRC32C of bytes 0 .. 16 and the payload
 *   20       payload
 *
 * HELLO: u32 protocol version, u32 member id, u64 incarnation, 16 bytes cluster id, u32 disk, the
 * sender's address (the rest).  All little endian; docs/formats/link-frames.md has an example.
 * Pure functions.  Thread: any. */
#ifndef QR_CLUSTER_LINK_FRAME_H
#define QR_CLUSTER_LINK_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "base/guid.h"
#include "base/slice.h"
#include "cluster/link.h"

#define QR_LINK_HEADER_BYTES    20u
#define QR_LINK_VERSION         3u
#define QR_LINK_ADDRESS_MAX     63u
#define QR_LINK_HELLO_BYTES_MAX (36u + QR_LINK_ADDRESS_MAX)

struct qr_link_frame {
    enum qr_link_type type;
    uint32_t group;
    struct qr_slice payload; /* Inside the bytes that were decoded. */
};

/* The largest payload of a type: only RAFT may be large, it carries snapshots. */
size_t qr_link_payload_max(enum qr_link_type type);

/* "RAFT"; "?" for no type. */
const char *qr_link_type_name(unsigned type);

/* Decodes the frame that `bytes` starts with.
 *   0               *used bytes made up the frame
 *   QR_E_PARTIAL    it needs *used bytes in all (as far as is known yet)
 *   QR_E_MALFORMED  the magic, the type or the flags are not ours
 *   QR_E_LIMIT      longer than its type allows
 *   QR_E_CORRUPT    the checksum does not match */
int qr_link_frame_decode(struct qr_link_frame *frame, size_t *used, struct qr_slice bytes);

/* The header of a frame whose payload is the parts, one after the other; their sum is within the
 * type's limit. */
void qr_link_frame_header(uint8_t header[QR_LINK_HEADER_BYTES], enum qr_link_type type,
                          uint32_t group, const struct qr_slice *parts, unsigned n_parts);

struct qr_link_hello {
    uint32_t version;
    uint32_t member;
    uint64_t incarnation;
    struct qr_guid cluster;
    uint32_t disk;           /* Where its log lies (cluster/disk_id). */
    struct qr_slice address; /* Borrowed from the payload. */
};

/* 0, QR_E_VERSION (then only `version` is set) or QR_E_MALFORMED. */
int qr_link_hello_decode(struct qr_link_hello *hello, struct qr_slice payload);

/* Returns the length; the address is cut to its limit. */
size_t qr_link_hello_encode(const struct qr_link_hello *hello,
                            uint8_t payload[QR_LINK_HELLO_BYTES_MAX]);

#endif
