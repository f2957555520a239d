#include "storage/manifest.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static void block_free(struct qr_block *block)
{
    qr_index_slot_drop(&block->index);
    free(block);
}

static void block_release(void *memory)
{
    struct qr_block *block = memory;
    if (block->doomed && block->manifest->doomed != NULL)
        block->manifest->doomed(block->manifest->data, block);
    block_free(block);
}

void qr_manifest_init(struct qr_manifest *manifest, struct qr_epoch *epoch)
{
    *manifest = (struct qr_manifest){.epoch = epoch};
}

void qr_manifest_release(struct qr_manifest *manifest)
{
    struct qr_block_set *set = atomic_load(&manifest->set);
    for (uint32_t i = 0; set != NULL && i < set->n; i++)
        block_free(set->at[i]);
    free(set);
}

struct qr_block *qr_block_new(const struct qr_block_id *id, uint64_t bytes, uint64_t hash,
                              enum qr_block_health health)
{
    struct qr_block *block = calloc(1, sizeof *block);
    if (block == NULL)
        return NULL;
    block->id = *id;
    block->bytes = bytes;
    block->hash = hash;
    atomic_init(&block->health, (int)health);
    return block;
}

/* Where the block is, or belongs. */
static uint32_t place_of(const struct qr_block_set *set, const struct qr_block_id *id)
{
    uint32_t low = 0, high = set != NULL ? set->n : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (qr_block_id_compare(&set->at[middle]->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct qr_block *qr_manifest_find(const struct qr_manifest *manifest, const struct qr_block_id *id)
{
    const struct qr_block_set *set = atomic_load(&manifest->set);
    uint32_t at = place_of(set, id);
    return set != NULL && at < set->n && qr_block_id_is(&set->at[at]->id, id) ? set->at[at] : NULL;
}

uint32_t qr_manifest_next_generation(const struct qr_manifest *manifest,
                                     const struct qr_block_id *id)
{
    const struct qr_block_set *set = atomic_load(&manifest->set);
    struct qr_block_id key = *id;
    key.generation = UINT32_MAX;
    uint32_t at = place_of(set, &key);
    if (at == 0)
        return 0;
    key.generation = set->at[at - 1]->id.generation;
    return qr_block_id_is(&set->at[at - 1]->id, &key) ? key.generation + 1 : 0;
}

uint32_t qr_block_set_from(const struct qr_block_set *set, uint8_t tier, int64_t first_s)
{
    if (set == NULL)
        return 0;
    /* No file of the tier that began before this reaches first_s. */
    struct qr_block_id key = {.tier = tier, .start_s = first_s - set->window_max_s[tier] + 1};
    return place_of(set, &key);
}

/* Room for n blocks, none in it. */
static struct qr_block_set *set_new(const struct qr_block_set *old, uint32_t n)
{
    struct qr_block_set *set = calloc(1, sizeof *set + n * sizeof(struct qr_block *));
    if (set != NULL && old != NULL)
        memcpy(set->window_max_s, old->window_max_s, sizeof set->window_max_s);
    return set;
}

static void note_window(struct qr_block_set *set, const struct qr_block_id *id)
{
    if (set->window_max_s[id->tier] < id->window_s)
        set->window_max_s[id->tier] = id->window_s;
}

static void publish(struct qr_manifest *manifest, struct qr_block_set *set)
{
    struct qr_block_set *old = atomic_load(&manifest->set);
    atomic_store(&manifest->set, set);
    qr_epoch_retire(manifest->epoch, old, free);
}

struct qr_block_set *qr_manifest_begin(struct qr_manifest *manifest, uint32_t n)
{
    assert(atomic_load(&manifest->set) == NULL);
    struct qr_block_set *set = set_new(NULL, n);
    atomic_store(&manifest->set, set);
    return set;
}

void qr_manifest_append(struct qr_manifest *manifest, struct qr_block *block)
{
    struct qr_block_set *set = atomic_load(&manifest->set);
    block->manifest = manifest;
    note_window(set, &block->id);
    set->at[set->n++] = block;
}

int qr_manifest_put(struct qr_manifest *manifest, struct qr_block *block)
{
    const struct qr_block_set *old = atomic_load(&manifest->set);
    uint32_t n = old != NULL ? old->n : 0;
    struct qr_block_set *set = set_new(old, n + 1);
    if (set == NULL) {
        block_free(block);
        return UV_ENOMEM;
    }
    struct qr_block *known = qr_manifest_find(manifest, &block->id);
    uint32_t at = place_of(old, &block->id);
    uint32_t rest = at + (known != NULL);
    if (at > 0)
        memcpy(set->at, old->at, at * sizeof(struct qr_block *));
    set->at[at] = block;
    if (n > rest)
        memcpy(&set->at[at + 1], &old->at[rest], (n - rest) * sizeof(struct qr_block *));
    set->n = at + 1 + (n - rest);
    note_window(set, &block->id);
    block->manifest = manifest;
    publish(manifest, set);
    qr_epoch_retire(manifest->epoch, known, block_release);
    return 0;
}

int qr_manifest_expire(struct qr_manifest *manifest, int64_t edge_s)
{
    struct qr_block_set *old = atomic_load(&manifest->set);
    uint32_t n_old = 0, n = old != NULL ? old->n : 0;
    for (uint32_t i = 0; i < n; i++)
        n_old += qr_block_id_end_s(&old->at[i]->id) <= edge_s;
    if (n_old == 0)
        return 0;
    struct qr_block_set *set = set_new(old, n - n_old);
    if (set == NULL)
        return UV_ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (qr_block_id_end_s(&old->at[i]->id) > edge_s)
            set->at[set->n++] = old->at[i];
    /* Blocks first: retiring does not free, and the array is needed to name them. */
    atomic_store(&manifest->set, set);
    for (uint32_t i = 0; i < n; i++) {
        struct qr_block *block = old->at[i];
        if (qr_block_id_end_s(&block->id) > edge_s)
            continue;
        block->doomed = true;
        qr_epoch_retire(manifest->epoch, block, block_release);
    }
    qr_epoch_retire(manifest->epoch, old, free);
    return 0;
}
