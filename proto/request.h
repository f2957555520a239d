/* proto/request.h — how a stream is opened: the STREAM request of a child, and what the parent's
 * reply means.  The opposite side of proto/handshake.
 *
 * The reply is the parent's first bytes, alone, without newline or length: the caller hands in all
 * that its first read returned and asks again with more only after QR_E_PARTIAL (facts: Netdata's
 * children compare one read as a whole; a slow network may cut it all the same).
 *
 * How long to leave a destination alone after a refusal is what Netdata's own children keep to
 * (1.37.1's fixed times, which lie within 2.x's random ones).  Thread: any. */
#ifndef QR_PROTO_REQUEST_H
#define QR_PROTO_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/slice.h"
#include "proto/caps.h"
#include "proto/handshake.h"

/* What proto/sender implements: offer this, less what the configuration switches off.
 * QR_CAP_DYNCFG only for a host whose functions include "config". */
#define QR_SENDER_CAPS                                                                             \
    (QR_CAP_V1 | QR_CAP_V2 | QR_CAP_VN | QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLAIM |            \
     QR_CAP_CLABELS | QR_CAP_FUNCTIONS | QR_CAP_REPLICATION | QR_CAP_BINARY |                      \
     QR_CAP_INTERPOLATED | QR_CAP_IEEE754 | QR_CAP_SLOTS | QR_CAP_PROGRESS | QR_CAP_DYNCFG |       \
     QR_CAP_NODE_ID | QR_CAP_PATHS | QR_CAPS_COMPRESSIONS)

/* The host that is streamed, as its own request told us.  Of a qr_handshake that a proxy received,
 * every field but the key, hops and ver can be taken over.  Empty texts are left out. */
struct qr_request {
    struct qr_slice api_key; /* Of the destination; sent as it is. */
    struct qr_guid machine_guid;
    struct qr_slice hostname;
    struct qr_slice registry_hostname; /* Empty: hostname. */
    struct qr_slice os, timezone, abbrev_timezone;
    int32_t utc_offset_s;
    uint32_t update_every;
    uint32_t hops;                   /* Of this link: the received value + 1. */
    uint32_t caps;                   /* Offered. */
    struct qr_slice program_name;    /* "netdata" */
    struct qr_slice program_version; /* "v1.37.1" */
    struct qr_slice sysinfo[QR_SYSINFO_NR];
};

/* Appends the request.  Values are URL-encoded as 2.9 does, but '%20' for a blank: every parent
 * since 1.33 decodes it.  0 or an error of qr_buf. */
int qr_request_encode(const struct qr_request *request, struct qr_buf *out);

enum qr_reply_kind {
    QR_REPLY_ACCEPTED,
    QR_REPLY_LOCALHOST, /* The parent is that host: this destination never works for it. */
    QR_REPLY_ALREADY,   /* Somebody else streams the host to it: another member, or a loop. */
    QR_REPLY_DENIED,
    QR_REPLY_BUSY,
    QR_REPLY_INTERNAL_ERROR,
    QR_REPLY_INITIALIZING,
    QR_REPLY_UNKNOWN /* Not a Netdata parent. */
};

struct qr_reply {
    enum qr_reply_kind kind;
    uint32_t caps;        /* ACCEPTED: what both sides have, with one compression at most. */
    uint32_t wait_s;      /* Else: leave this destination alone for so long; try the next. */
    const char *sentence; /* For logs and status; static. */
};

/* The longest reply; more bytes are no reply. */
#define QR_REPLY_BYTES_MAX 512u

/* 0; or QR_E_PARTIAL: it may be the begin of a reply (with nothing more to come: UNKNOWN). */
int qr_reply_parse(struct qr_slice in, uint32_t offered, struct qr_reply *reply);

/* Waits for failures that have no reply. */
#define QR_REPLY_WAIT_NONE_S 30u  /* No reply in time. */
#define QR_REPLY_WAIT_TLS_S  300u /* TLS failed. */

#endif
