/* proto/handshake.h — the STREAM request of a child and the replies it understands.
 *
 *   STREAM key=..&hostname=..&machine_guid=..&ver=.. HTTP/1.1\r\n  headers  \r\n
 *
 * 1.37 leaves most values unencoded, with blanks inside: the query ends at the first " HTTP/".
 * Values are decoded one by one after splitting.  Replies must be sent alone, in one write, and
 * nothing may follow before the child has spoken.  Thread: any. */
#ifndef QR_PROTO_HANDSHAKE_H
#define QR_PROTO_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/slice.h"

/* NETDATA_* system information that the API shows; a row each in handshake.c, in this order. */
enum qr_sysinfo {
    QR_SYSINFO_CLOUD_TYPE,
    QR_SYSINFO_CLOUD_INSTANCE_TYPE,
    QR_SYSINFO_CLOUD_INSTANCE_REGION,
    QR_SYSINFO_OS_NAME,
    QR_SYSINFO_OS_ID,
    QR_SYSINFO_OS_ID_LIKE,
    QR_SYSINFO_OS_VERSION,
    QR_SYSINFO_OS_VERSION_ID,
    QR_SYSINFO_OS_DETECTION,
    QR_SYSINFO_IS_K8S_NODE,
    QR_SYSINFO_KERNEL_NAME,
    QR_SYSINFO_KERNEL_VERSION,
    QR_SYSINFO_ARCHITECTURE,
    QR_SYSINFO_VIRTUALIZATION,
    QR_SYSINFO_VIRT_DETECTION,
    QR_SYSINFO_CONTAINER,
    QR_SYSINFO_CONTAINER_DETECTION,
    QR_SYSINFO_CONTAINER_OS_NAME,
    QR_SYSINFO_CONTAINER_OS_ID,
    QR_SYSINFO_CONTAINER_OS_ID_LIKE,
    QR_SYSINFO_CONTAINER_OS_VERSION,
    QR_SYSINFO_CONTAINER_OS_VERSION_ID,
    QR_SYSINFO_CONTAINER_OS_DETECTION,
    QR_SYSINFO_CORES,
    QR_SYSINFO_CPU_FREQ,
    QR_SYSINFO_RAM_TOTAL,
    QR_SYSINFO_DISK_SPACE,
    QR_SYSINFO_QUORATE_PATH, /* Ours: ids of the Quorate clusters that it came through. */
    QR_SYSINFO_NR
};

/* The name under which it is sent, for example "NETDATA_SYSTEM_ARCHITECTURE". */
const char *qr_handshake_sysinfo_name(enum qr_sysinfo which);

/* All text lies in `text`, which the struct owns, or is static. */
struct qr_handshake {
    struct qr_guid api_key;
    struct qr_guid machine_guid;
    struct qr_slice api_key_text; /* As sent: sections of stream.conf match the exact text. */
    struct qr_slice machine_guid_text;
    struct qr_slice hostname;
    struct qr_slice registry_hostname; /* hostname if missing */
    struct qr_slice os;                /* "unknown" if missing */
    struct qr_slice timezone;          /* "unknown" */
    struct qr_slice abbrev_timezone;   /* "UTC" */
    int32_t utc_offset_s;
    uint32_t update_every;        /* 0: not said */
    uint32_t hops;                /* 1 if missing */
    uint32_t ver;                 /* 0 if missing */
    struct qr_slice program_name; /* User-Agent up to the first '/' */
    struct qr_slice program_version;
    struct qr_slice sysinfo[QR_SYSINFO_NR];
    struct qr_buf text;
};

/* Parses a request from its first byte to the empty line.  Returns the bytes consumed, or
 *   QR_E_PARTIAL    no empty line yet (and less than QR_REQUEST_BYTES_MAX),
 *   QR_E_LIMIT      longer than that,
 *   QR_E_MALFORMED  not a STREAM request, or key, hostname or machine_guid missing or no UUID;
 *                   *reason is then a sentence (static),
 *   UV_ENOMEM.
 * On success the caller releases it. */
ssize_t qr_handshake_parse(struct qr_handshake *handshake, struct qr_slice in, const char **reason);
void qr_handshake_release(struct qr_handshake *handshake);

/* The reply that accepts `caps`, as this child's `ver` understands it (text into `out`, at most 75
 * bytes, no newline); returns its length. */
size_t qr_handshake_accept(char out[80], uint32_t ver, uint32_t caps);

/* Refusals, exact bytes. */
#define QR_HANDSHAKE_DENIED "You are not permitted to access this. Check the logs for more info."
/* Not from this address, or not on this port: Netdata says it so, bare, as a page would. */
#define QR_HANDSHAKE_ELSEWHERE    "You are not allowed to access this resource."
#define QR_HANDSHAKE_LOCALHOST    "Don't hit me baby, you are trying to stream my localhost back"
#define QR_HANDSHAKE_BUSY         "The server is too busy now to accept this request. Try later."
#define QR_HANDSHAKE_INITIALIZING "The server is initializing. Try later."
#define QR_HANDSHAKE_ALREADY      "This GUID is already streaming to this server"

#endif
