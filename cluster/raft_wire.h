/* cluster/raft_wire.h — raft messages as bytes: the payload of QR_LINK_RAFT frames.
 *
 *   u8 format 1, u8 type, u8 message version, u8 flags, u32 0, then u64 fields by type, then for
 *   APPEND_ENTRIES a table of entries (u64 term, u32 bytes, u8 type, 3 zeros) and their data, for
 *   INSTALL_SNAPSHOT the configuration (u64 id, u8 role, u8 address bytes, address) and the data.
 *   docs/formats/raft-messages.md has the byte tables.
 *
 * Encoding gives a head; the data of entries and the snapshot are sent from where they are.
 * Decoding is bounded by what is there and by QR_ENTRY_BYTES_MAX, QR_MEMBERS_MAX and
 * QR_SNAPSHOT_BYTES_MAX, uses up all input or fails, and gives memory as the library wants it: an
 * array of entries and one block for their data, both from raft_malloc, everything 8-aligned;
 * NULL without entries.  The sender is not in the bytes: the link knows it.
 * Thread: consensus. */
#ifndef QR_CLUSTER_RAFT_WIRE_H
#define QR_CLUSTER_RAFT_WIRE_H

#include <raft.h>

#include "base/buf.h"
#include "base/slice.h"

/* Entries in one message. */
#define QR_RAFT_WIRE_ENTRIES_MAX 64u

/* Appends the head of a message.  Of APPEND_ENTRIES it takes the entries [from, from + n); the
 * index and term before them are put right.  Behind the head go the data of those entries, or the
 * data of the snapshot.  0, UV_ENOMEM, or QR_E_LIMIT for what no member would decode. */
int qr_raft_wire_encode(struct qr_buf *head, const struct raft_message *message, unsigned from,
                        unsigned n);

/* Fills everything but server_id and server_address.  0, QR_E_MALFORMED, QR_E_VERSION or UV_ENOMEM;
 * then nothing is owned.  On success qr_raft_wire_release, or the library's recv callback, takes
 * the memory. */
int qr_raft_wire_decode(struct raft_message *message, struct qr_slice payload);

void qr_raft_wire_release(struct raft_message *message);

#endif
