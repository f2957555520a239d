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

static bool leaves(const struct qr_block *block, const struct qr_manifest_change *change)
{
    return change->leaves != NULL && change->leaves(change->data, block);
}

/* Fills `set` with what stays of `old`, and the new block where it belongs. */
static void fill(struct qr_block_set *set, const struct qr_block_set *old, struct qr_block *put,
                 const struct qr_manifest_change *change)
{
    bool is_in = put == NULL;
    for (uint32_t i = 0; old != NULL && i < old->n; i++) {
        int order = put != NULL ? qr_block_id_compare(&old->at[i]->id, &put->id) : -1;
        if (!is_in && order >= 0) {
            set->at[set->n++] = put;
            is_in = true;
        }
        if (order != 0 && !leaves(old->at[i], change))
            set->at[set->n++] = old->at[i];
    }
    if (!is_in)
        set->at[set->n++] = put;
}

/* Retires those that are not in the new set; retiring does not free, so `old` can still be read. */
static void retire_others(struct qr_manifest *manifest, const struct qr_block_set *set,
                          const struct qr_block_set *old, const struct qr_block *put)
{
    uint32_t at = 0;
    for (uint32_t i = 0; old != NULL && i < old->n; i++) {
        struct qr_block *block = old->at[i];
        while (at < set->n && qr_block_id_compare(&set->at[at]->id, &block->id) < 0)
            at++;
        if (at < set->n && set->at[at] == block)
            continue;
        block->doomed = put == NULL || !qr_block_id_is(&block->id, &put->id);
        qr_epoch_retire(manifest->epoch, block, block_release);
    }
}

int qr_manifest_change(struct qr_manifest *manifest, struct qr_block *put,
                       const struct qr_manifest_change *change)
{
    struct qr_block_set *old = atomic_load(&manifest->set);
    uint32_t n = old != NULL ? old->n : 0;
    struct qr_block_set *set = set_new(old, n + 1);
    if (set == NULL) {
        if (put != NULL)
            block_free(put);
        return UV_ENOMEM;
    }
    fill(set, old, put, change);
    if (put == NULL && set->n == n) {
        free(set);
        return 0;
    }
    if (put != NULL) {
        note_window(set, &put->id);
        put->manifest = manifest;
    }
    atomic_store(&manifest->set, set);
    retire_others(manifest, set, old, put);
    qr_epoch_retire(manifest->epoch, old, free);
    return 0;
}

int qr_manifest_put(struct qr_manifest *manifest, struct qr_block *block)
{
    return qr_manifest_change(manifest, block, &(struct qr_manifest_change){0});
}
