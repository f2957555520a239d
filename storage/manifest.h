/* storage/manifest.h — which block files there are: the set that readers see, and its changes.
 *
 * The set is an immutable array in the order of their ids (block_id.h), published with one store
 * and replaced at each change; a block that leaves it is retired.  What the group has agreed on is
 * a block's id, size and hash; `health` says what this member holds. Thread: get, index and flag
 * any (between enter and leave); the rest the writer's. */
#ifndef QR_STORAGE_MANIFEST_H
#define QR_STORAGE_MANIFEST_H

#include <stdatomic.h>

#include "base/epoch.h"
#include "storage/block_id.h"
#include "storage/index_cache.h"

enum qr_block_health {
    QR_BLOCK_SOUND,
    QR_BLOCK_DAMAGED,  /* A page failed: the others are served until another copy is fetched. */
    QR_BLOCK_MISSING,  /* Not here, or not what the group agreed on. */
    QR_BLOCK_UNCHECKED /* From a snapshot: its file has not been looked for yet (storage/files). */
};

/* Is it used as it is, or must it be fetched? */
static inline bool qr_block_is_here(int health)
{
    return health == QR_BLOCK_SOUND || health == QR_BLOCK_UNCHECKED;
}

struct qr_manifest;

struct qr_block {
    struct qr_block_id id;
    uint64_t bytes, hash;
    bool confirmed; /* By the votes of SEALED entries.  The writer's, as the rest: */
    bool reported;  /* That it is damaged. */
    bool doomed;    /* Its file goes with it. */
    struct qr_manifest *manifest;
    _Atomic int health;
    struct qr_index_slot index; /* Read when first needed. */
};

struct qr_block_set {
    uint32_t window_max_s[QR_TIERS]; /* No file of the tier is longer. */
    uint32_t n;
    struct qr_block *at[];
};

struct qr_manifest {
    struct qr_epoch *epoch;
    _Atomic(struct qr_block_set *) set;                       /* NULL: none. */
    void (*doomed)(void *data, const struct qr_block *block); /* No reader sees it any more. */
    void *data;
};

void qr_manifest_init(struct qr_manifest *manifest, struct qr_epoch *epoch);
void qr_manifest_release(struct qr_manifest *manifest);

/* A block that is not in the set yet.  NULL: no memory. */
struct qr_block *qr_block_new(const struct qr_block_id *id, uint64_t bytes, uint64_t hash,
                              enum qr_block_health health);
/* For a manifest that is read: an empty set with room for n blocks, owned by it; then these, in
 * order.  NULL: no memory. */
struct qr_block_set *qr_manifest_begin(struct qr_manifest *manifest, uint32_t n);
void qr_manifest_append(struct qr_manifest *manifest, struct qr_block *block);
/* Puts it in, in place of the one with its id.  Takes it; 0 or UV_ENOMEM. */
int qr_manifest_put(struct qr_manifest *manifest, struct qr_block *block);
/* Which blocks leave. */
struct qr_manifest_change {
    bool (*leaves)(void *data, const struct qr_block *block); /* NULL: none. */
    void *data;
};
/* Readers see all of a change or nothing: `block` (NULL: none) comes in, in place of the one with
 * its id; those that leave have their files doomed.  Takes `block`; 0 or UV_ENOMEM. */
int qr_manifest_change(struct qr_manifest *manifest, struct qr_block *block,
                       const struct qr_manifest_change *change);
/* NULL: none. */
struct qr_block *qr_manifest_find(const struct qr_manifest *manifest, const struct qr_block_id *id);
/* One more than the newest generation of that tier, start, length and shard. */
uint32_t qr_manifest_next_generation(const struct qr_manifest *manifest,
                                     const struct qr_block_id *id);
/* The first block of a tier that may hold something at or after `first_s`: all that do are at it or
 * behind it, up to the end of the tier, but not all from it on do.  The set may be NULL. */
uint32_t qr_block_set_from(const struct qr_block_set *set, uint8_t tier, int64_t first_s);

#endif
