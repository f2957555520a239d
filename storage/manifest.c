#include "storage/manifest.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

static void block_free(struct qr_block *block)
{
    free(atomic_load(&block->index));
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
static uint32_t place_of(const struct qr_block_set *set, int64_t start_s, uint32_t generation)
{
    uint32_t low = 0, high = set != NULL ? set->n : 0;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct qr_block_id *id = &set->at[middle]->id;
        if (id->start_s < start_s || (id->start_s == start_s && id->generation < generation))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct qr_block *qr_manifest_find(const struct qr_manifest *manifest, int64_t start_s,
                                  uint32_t generation)
{
    const struct qr_block_set *set = atomic_load(&manifest->set);
    uint32_t at = place_of(set, start_s, generation);
    if (set == NULL || at == set->n)
        return NULL;
    struct qr_block *block = set->at[at];
    return block->id.start_s == start_s && block->id.generation == generation ? block : NULL;
}

uint32_t qr_manifest_next_generation(const struct qr_manifest *manifest, int64_t start_s)
{
    const struct qr_block_set *set = atomic_load(&manifest->set);
    uint32_t at = place_of(set, start_s, UINT32_MAX);
    return at > 0 && set->at[at - 1]->id.start_s == start_s ? set->at[at - 1]->id.generation + 1
                                                            : 0;
}

static void publish(struct qr_manifest *manifest, struct qr_block_set *set)
{
    struct qr_block_set *old = atomic_load(&manifest->set);
    atomic_store(&manifest->set, set);
    qr_epoch_retire(manifest->epoch, old, free);
}

int qr_manifest_put(struct qr_manifest *manifest, struct qr_block *block)
{
    const struct qr_block_set *old = atomic_load(&manifest->set);
    uint32_t n = old != NULL ? old->n : 0;
    struct qr_block_set *set = malloc(sizeof *set + (n + 1) * sizeof(struct qr_block *));
    if (set == NULL) {
        block_free(block);
        return UV_ENOMEM;
    }
    struct qr_block *known = qr_manifest_find(manifest, block->id.start_s, block->id.generation);
    uint32_t at = place_of(old, block->id.start_s, block->id.generation);
    uint32_t rest = at + (known != NULL);
    if (at > 0)
        memcpy(set->at, old->at, at * sizeof(struct qr_block *));
    set->at[at] = block;
    if (n > rest)
        memcpy(&set->at[at + 1], &old->at[rest], (n - rest) * sizeof(struct qr_block *));
    set->n = at + 1 + (n - rest);
    block->manifest = manifest;
    publish(manifest, set);
    qr_epoch_retire(manifest->epoch, known, block_release);
    return 0;
}

int qr_manifest_expire(struct qr_manifest *manifest, int64_t edge_s)
{
    const struct qr_block_set *old = atomic_load(&manifest->set);
    uint32_t n_old = 0;
    while (old != NULL && n_old < old->n &&
           old->at[n_old]->id.start_s + old->at[n_old]->id.window_s <= edge_s)
        n_old++;
    if (n_old == 0)
        return 0;
    uint32_t n = old->n - n_old;
    struct qr_block_set *set = malloc(sizeof *set + n * sizeof(struct qr_block *));
    if (set == NULL)
        return UV_ENOMEM;
    set->n = n;
    memcpy(set->at, &old->at[n_old], n * sizeof(struct qr_block *));
    struct qr_block **gone = ((struct qr_block_set *)old)->at;
    for (uint32_t i = 0; i < n_old; i++)
        gone[i]->doomed = true;
    /* Blocks first: retiring does not free, and the array is needed to name them. */
    atomic_store(&manifest->set, set);
    for (uint32_t i = 0; i < n_old; i++)
        qr_epoch_retire(manifest->epoch, gone[i], block_release);
    qr_epoch_retire(manifest->epoch, (void *)old, free);
    return 0;
}

int qr_block_get_index(struct qr_block *block, struct qr_disk *disk, const char *path,
                       const struct qr_block_index **index)
{
    struct qr_block_index *known = atomic_load(&block->index);
    if (known == NULL) {
        struct qr_block_index *read;
        int err = qr_block_index_read(&read, disk, path, block->bytes, block->hash);
        if (err != 0)
            return err;
        if (atomic_compare_exchange_strong(&block->index, &known, read))
            known = read;
        else
            free(read); /* Another reader was faster. */
    }
    *index = known;
    return 0;
}
