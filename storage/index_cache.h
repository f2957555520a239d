/* storage/index_cache.h — the indexes of block files that are in memory: as many as a budget holds.
 *
 * A reader gets an index, reads by it and puts it back; in between it stays.  Beyond the budget
 * those that nobody holds go, the least recently used first.  Thread: any; get blocks on the disk,
 * without the lock. */
#ifndef QR_STORAGE_INDEX_CACHE_H
#define QR_STORAGE_INDEX_CACHE_H

#include <uv.h>

#include "base/list.h"
#include "storage/block.h"

struct qr_index_slot;

struct qr_cached_index {
    struct qr_list node; /* In the cache's list. */
    struct qr_index_slot *slot;
    struct qr_block_index *index;
    unsigned n_users;
};

struct qr_index_cache {
    uv_mutex_t lock;
    struct qr_list entries; /* The least recently used first. */
    uint64_t bytes, budget;
    uint64_t n_reads; /* From files. */
};

/* In each block.  A zeroed one is valid. */
struct qr_index_slot {
    struct qr_index_cache *cache;
    struct qr_cached_index *entry; /* NULL: not in memory. */
};

/* 0 or a libuv error. */
int qr_index_cache_init(struct qr_index_cache *cache, uint64_t budget);
/* All slots were dropped. */
void qr_index_cache_release(struct qr_index_cache *cache);

/* The slot's file is `path`, of this size and hash.  0 and *entry, to be put back; or an error of
 * qr_block_index_read. */
int qr_index_cache_get(struct qr_index_cache *cache, struct qr_index_slot *slot,
                       struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash,
                       struct qr_cached_index **entry);
void qr_index_cache_put(struct qr_index_cache *cache, struct qr_cached_index *entry);

/* Before the slot is freed, or its file is another. */
void qr_index_slot_drop(struct qr_index_slot *slot);

#endif
