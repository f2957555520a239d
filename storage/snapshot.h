/* storage/snapshot.h — a state as bytes: catalog, manifest, gaps, and the unsealed tail.
 *
 * Canonical: states with the same content give the same bytes, and a state made from a snapshot
 * gives that snapshot again.  Ends with the CRC32C of all before it.  Bytes:
 * docs/formats/snapshot.md. Thread: the writer's. */
#ifndef QR_STORAGE_SNAPSHOT_H
#define QR_STORAGE_SNAPSHOT_H

#include "base/buf.h"
#include "storage/ledger.h"
#include "storage/state.h"

/* Appends; no window is frozen, and `ledger` is the state's.  0 or UV_ENOMEM; on error `out` is as
 * before. */
int qr_snapshot_encode(const struct qr_state *state, const struct qr_ledger *ledger,
                       struct qr_buf *out);

/* Fills an empty state; its blocks are UNCHECKED.  0, QR_E_MALFORMED, QR_E_CORRUPT,
 * QR_E_VERSION or UV_ENOMEM, and then it may hold a part. */
int qr_snapshot_decode(struct qr_state *state, struct qr_slice bytes);

#endif
