/* cluster/sink.h — what the replicated log needs from whoever keeps the data.
 *
 * cluster/ never includes storage/: node/glue.c fills this in.  Entries come on the consensus
 * loop, in log order, and what they do must be a pure function of (state, entry): no clock, no
 * randomness, no local disk.  Thread: consensus, but where it says any. */
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

    /* How many members vote from this entry on, as the log has it: after it changed, and after the
     * state was replaced by one that says.  0, or this member's own trouble.  NULL: it does not
     * matter. */
    int (*voters)(void *data, unsigned n);

    /* A snapshot in three steps.  begin and end: on the loop; snapshot: on any thread, appends the
     * state (catalog, manifest, unsealed tail) as it was at begin.  In between no entry is applied,
     * but the state may be replaced, and what is not replicated may change.  begin: 0, QR_E_BUSY
     * (not now; asked again) or an error; *pin goes to the other two. */
    int (*snapshot_begin)(void *data, void **pin);
    int (*snapshot)(void *data, void *pin, struct qr_buf *out);
    void (*snapshot_end)(void *data, void *pin);

    /* Decodes a snapshot's state beside the one in use, on any thread; an empty slice is the
     * initial state.  0, or an error. */
    int (*restore)(void *data, struct qr_slice state, void **next);
    /* Puts it in the place of the one in use, or drops it. */
    void (*replace)(void *data, void *next);
    void (*discard)(void *data, void *next);
};

#endif
