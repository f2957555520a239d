/* cluster/sink.h — what the replicated log needs from whoever keeps the data.
 *
 * cluster/ never includes storage/: node/glue.c fills this in.  All calls come on the consensus
 * loop, in log order, and must be pure functions of (state, entry): no clock, no randomness, no
 * local disk.  Thread: consensus. */
#ifndef QR_CLUSTER_SINK_H
#define QR_CLUSTER_SINK_H

#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/slice.h"
#include "cluster/command.h"

struct qr_ownership;

struct qr_sink {
    void *data;

    /* Applies one entry of a type that is not cluster's own.  Returns 0, or a negative code when
     * the entry breaks a rule: every member refuses it alike, it is counted and raised, and state
     * is as before.  *effect is a digest of what was changed; it enters the state hash, so that
     * members whose stores behave differently are found out.
     * The sink asks qr_ownership_check for each host block and notes with qr_ownership_advance
     * what it takes.  Codes of libuv (UV_ENOMEM) are this member's own trouble, not the entry's:
     * the member stops. */
    int (*apply)(void *data, const struct qr_command *command, struct qr_ownership *ownership,
                 uint64_t index, uint64_t *effect);

    /* The id of the host with this GUID, given by the log when first seen.  0: unknown. */
    uint32_t (*host_id)(void *data, const struct qr_guid *guid);

    /* Appends the state (catalog, manifest, unsealed tail) to `out`.  0, QR_E_BUSY (try again after
     * a later entry) or an error. */
    int (*snapshot)(void *data, struct qr_buf *out);

    /* Replaces the whole state by a snapshot's.  An empty slice is the initial state. */
    int (*restore)(void *data, struct qr_slice state);
};

#endif
