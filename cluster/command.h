/* cluster/command.h — the header of a log entry.
 *
 *    0  u8   magic 'Q'
 *    1  u8   format version, 3
 *    2  u8   type
 *    3  u8   flags, 0
 *    4  u32  body bytes (the true length: an entry is padded with zeros to a multiple of 8)
 *    8  u32  CRC32C of bytes 0 .. 8 and of bytes 12 .. end, padding included
 *   12  u32  member that proposed it
 *   16  u64  incarnation of that member (grows with each start)
 *   24  u64  sequence number of the entry in that incarnation: 1, 2, ..
 *   32  i64  proposer's wall clock, unix us: the only time that `apply` may know
 *   40       body
 *
 * All little endian.  The sequence makes each entry exactly-once: `apply` takes last + 1, drops
 * what it has seen and refuses a jump (cluster/machine).  Who changes a body that has no version of
 * its own raises the version here: a member stops at entries of others.  Where the checksum is and
 * what it covers is the same in every version, so that damage is told from news. Byte table with an
 * example: docs/formats/log-entry.md.  Thread: any. */
#ifndef QR_CLUSTER_COMMAND_H
#define QR_CLUSTER_COMMAND_H

#include <stdint.h>

#include "base/buf.h"
#include "base/slice.h"

#define QR_COMMAND_HEADER_BYTES 40u
#define QR_COMMAND_VERSION      4u

enum qr_command_type {
    QR_COMMAND_MEMBER_INFO = 1, /* a member's incarnation, address, version   (cluster/machine) */
    QR_COMMAND_OWN = 2,         /* a member takes a child                   (cluster/ownership) */
    QR_COMMAND_HOST = 3,        /* a child's identity and information      (storage/definition) */
    QR_COMMAND_CHARTS = 4,      /* definitions of charts                   (storage/definition) */
    QR_COMMAND_SAMPLES = 5,     /* a tick batch                                 (storage/entry) */
    QR_COMMAND_HOST_STATE = 6,  /* connected, disconnected, gaps                (storage/entry) */
    QR_COMMAND_SEAL = 7,        /* a window of time becomes block files         (storage/store) */
    QR_COMMAND_SEALED = 8,      /* a member's vote on what a block file is      (storage/store) */
    QR_COMMAND_RETAIN = 9,      /* drop what is too old or too much            (storage/retain) */
    QR_COMMAND_FORGET = 10,     /* charts and hosts are removed                 (storage/store) */
    QR_COMMAND_MERGE = 11,      /* block files become one, or points            (storage/merge) */
    QR_COMMAND_MEMBERS = 12,    /* members are added, removed and recorded (cluster/membership) */
    QR_COMMAND_KEYS = 13,       /* children's API keys, and who is bound to one  (cluster/keys) */
    QR_COMMAND_TYPE_MAX = QR_COMMAND_KEYS
};

struct qr_command {
    enum qr_command_type type;
    uint32_t member;
    uint64_t incarnation;
    uint64_t sequence;
    int64_t time_us;
    struct qr_slice body; /* Borrowed from the entry. */
};

const char *qr_command_type_name(enum qr_command_type type);

/* Appends header, body and padding to `out`.  0, UV_ENOMEM or QR_E_LIMIT (QR_ENTRY_BYTES_MAX);
 * then `out` is as before. */
int qr_command_encode(struct qr_buf *out, const struct qr_command *command);

/* Gives an entry that was encoded here, and that nobody has seen, another incarnation. */
void qr_command_renumber(char *entry, size_t len, uint64_t incarnation);

/* 0, or
 *   QR_E_CORRUPT    the checksum does not match, or there is not even a header: these are not the
 *                   bytes that were proposed (in the log: this member's log is damaged),
 *   QR_E_VERSION    a sound entry of a version or type that is not known here,
 *   QR_E_MALFORMED  a sound entry whose length, padding or flags are wrong.
 * The command is untouched on failure. */
int qr_command_decode(struct qr_command *command, struct qr_slice entry);

#endif
