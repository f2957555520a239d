/* storage/shard.h — hosts in groups: a window of a group is one file and one job.
 *
 * A host gets its shard with its first chart: the current one, until that has had its limit of
 * metrics, then the next.  It never changes.  What counts is every dimension that was ever defined
 * for the current shard's hosts since it was begun, forgotten ones too: so the shards follow from
 * the log, and two numbers in the snapshot are all it takes.
 *
 * Replicated state.  Thread: the writer's. */
#ifndef QR_STORAGE_SHARD_H
#define QR_STORAGE_SHARD_H

#include <stdint.h>

#include "storage/block_id.h"
#include "storage/store.h"

/* A zeroed one is the initial state. */
struct qr_shards {
    uint32_t current;
    uint64_t n_metrics;
};

/* A chart of the host was defined: it has n_new dimensions that it had not.  `limit` is the same on
 * all members. */
void qr_shards_note(struct qr_shards *shards, uint32_t limit, struct qr_host *host, uint64_t n_new);

#endif
