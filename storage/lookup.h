/* storage/lookup.h — things found by a hash of what they are called.
 *
 * Open addressing in 256 tables of their own, so that one that grows stops the writer for
 * microseconds, not for the time that all of them would take.  What is compared is the caller's: a
 * look-up gives every item with that hash in turn.
 *
 *   struct qr_lookup_at at = {0};
 *   while ((item = qr_lookup_next(lookup, hash, &at)) != NULL)
 *       if (is what is looked for) ..
 *
 * Hashes are base/map's, seeded anew in each process; nothing that is replicated may depend on the
 * order.  One writer, readers without locks between enter and leave of the epoch.  Thread: add,
 * remove and release the writer's, the rest any. */
#ifndef QR_STORAGE_LOOKUP_H
#define QR_STORAGE_LOOKUP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"

#define QR_LOOKUP_SHARDS 256u

struct qr_lookup_table;

struct qr_lookup {
    struct qr_epoch *epoch;
    _Atomic(struct qr_lookup_table *) shards[QR_LOOKUP_SHARDS];
    _Atomic uint32_t n;
};

struct qr_lookup_at {
    const struct qr_lookup_table *table;
    uint32_t next;
    uint32_t shard; /* Of qr_lookup_walk. */
};

void qr_lookup_init(struct qr_lookup *lookup, struct qr_epoch *epoch);
/* No reader inside.  The items are the caller's. */
void qr_lookup_release(struct qr_lookup *lookup);

/* 0 or UV_ENOMEM. */
int qr_lookup_add(struct qr_lookup *lookup, uint64_t hash, void *item);
/* The item is there, with that hash. */
void qr_lookup_remove(struct qr_lookup *lookup, uint64_t hash, const void *item);

void *qr_lookup_next(const struct qr_lookup *lookup, uint64_t hash, struct qr_lookup_at *at);
/* All items, in no order. */
void *qr_lookup_walk(const struct qr_lookup *lookup, struct qr_lookup_at *at);

uint32_t qr_lookup_count(const struct qr_lookup *lookup);

#endif
