#include "storage/index_cache.h"

#include <assert.h>
#include <stdlib.h>

int qr_index_cache_init(struct qr_index_cache *cache, uint64_t budget)
{
    *cache = (struct qr_index_cache){.budget = budget};
    qr_list_init(&cache->entries);
    return uv_mutex_init(&cache->lock);
}

void qr_index_cache_release(struct qr_index_cache *cache)
{
    assert(qr_list_empty(&cache->entries));
    uv_mutex_destroy(&cache->lock);
}

/* The functions down to qr_index_cache_get are called with the lock. */

static void entry_free(struct qr_cached_index *entry)
{
    free(entry->index);
    free(entry);
}

/* From its slot and the cache; freed now, or when its last user puts it back. */
static void detach(struct qr_index_cache *cache, struct qr_cached_index *entry)
{
    entry->slot->entry = NULL;
    entry->slot = NULL;
    qr_list_remove(&entry->node);
    cache->bytes -= entry->index->memory_bytes;
    if (entry->n_users == 0)
        entry_free(entry);
}

static void evict(struct qr_index_cache *cache)
{
    QR_LIST_FOREACH (node, &cache->entries) {
        struct qr_cached_index *entry = QR_CONTAINER_OF(node, struct qr_cached_index, node);
        if (cache->bytes <= cache->budget)
            return;
        if (entry->n_users == 0)
            detach(cache, entry);
    }
}

static struct qr_cached_index *use(struct qr_index_cache *cache, struct qr_cached_index *entry)
{
    entry->n_users++;
    qr_list_remove(&entry->node);
    qr_list_add_tail(&cache->entries, &entry->node);
    return entry;
}

/* Takes `index`. */
static struct qr_cached_index *enter(struct qr_index_cache *cache, struct qr_index_slot *slot,
                                     struct qr_block_index *index)
{
    struct qr_cached_index *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        free(index);
        return NULL;
    }
    entry->slot = slot;
    entry->index = index;
    qr_list_init(&entry->node);
    slot->cache = cache;
    slot->entry = entry;
    cache->bytes += index->memory_bytes;
    return entry;
}

int qr_index_cache_get(struct qr_index_cache *cache, struct qr_index_slot *slot,
                       struct qr_disk *disk, const char *path, uint64_t bytes, uint64_t hash,
                       struct qr_cached_index **entry)
{
    uv_mutex_lock(&cache->lock);
    struct qr_cached_index *known = slot->entry;
    if (known != NULL)
        *entry = use(cache, known);
    uv_mutex_unlock(&cache->lock);
    if (known != NULL)
        return 0;

    struct qr_block_index *index;
    int err = qr_block_index_read(&index, disk, path, bytes, hash);
    if (err != 0)
        return err;
    uv_mutex_lock(&cache->lock);
    cache->n_reads++;
    if (slot->entry != NULL) {
        free(index); /* Another reader was faster. */
        known = slot->entry;
    } else {
        known = enter(cache, slot, index);
    }
    if (known != NULL)
        *entry = use(cache, known);
    evict(cache);
    uv_mutex_unlock(&cache->lock);
    return known != NULL ? 0 : UV_ENOMEM;
}

void qr_index_cache_put(struct qr_index_cache *cache, struct qr_cached_index *entry)
{
    uv_mutex_lock(&cache->lock);
    assert(entry->n_users > 0);
    if (--entry->n_users == 0 && entry->slot == NULL)
        entry_free(entry);
    evict(cache);
    uv_mutex_unlock(&cache->lock);
}

void qr_index_slot_drop(struct qr_index_slot *slot)
{
    struct qr_index_cache *cache = slot->cache;
    if (cache == NULL)
        return;
    uv_mutex_lock(&cache->lock);
    if (slot->entry != NULL)
        detach(cache, slot->entry);
    uv_mutex_unlock(&cache->lock);
}
