#include "storage/lookup.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#define SLOTS_MIN 8u

struct slot {
    uint64_t hash;        /* Set before `item`, never changed. */
    _Atomic(void *) item; /* NULL: free. */
};

struct qr_lookup_table {
    uint32_t mask;
    uint32_t n_items; /* The writer's. */
    uint32_t n_used;  /* And those whose item is gone. */
    struct slot slots[];
};

/* In the place of an item that is gone: searches go on behind it. */
static char gone;

void qr_lookup_init(struct qr_lookup *lookup, struct qr_epoch *epoch)
{
    lookup->epoch = epoch;
    atomic_init(&lookup->n, 0);
    for (uint32_t i = 0; i < QR_LOOKUP_SHARDS; i++)
        atomic_init(&lookup->shards[i], NULL);
}

void qr_lookup_release(struct qr_lookup *lookup)
{
    for (uint32_t i = 0; i < QR_LOOKUP_SHARDS; i++)
        free(atomic_load(&lookup->shards[i]));
    qr_lookup_init(lookup, lookup->epoch);
}

static uint32_t shard_of(uint64_t hash)
{
    return (uint32_t)(hash >> 56);
}

static void put(struct qr_lookup_table *table, uint64_t hash, void *item)
{
    for (uint32_t i = (uint32_t)hash;; i++) {
        struct slot *slot = &table->slots[i & table->mask];
        if (atomic_load_explicit(&slot->item, memory_order_relaxed) != NULL)
            continue;
        slot->hash = hash;
        atomic_store_explicit(&slot->item, item, memory_order_release);
        table->n_items++;
        table->n_used++;
        return;
    }
}

/* A table anew, with what the old one holds and room for as much again. */
static int rebuild(struct qr_lookup *lookup, uint32_t shard)
{
    struct qr_lookup_table *old =
        atomic_load_explicit(&lookup->shards[shard], memory_order_relaxed);
    uint32_t n = old != NULL ? old->n_items : 0, size = SLOTS_MIN;
    while (size * 3 / 8 < n + 1)
        size *= 2;
    struct qr_lookup_table *table;
    table = calloc(1, sizeof *table + size * sizeof table->slots[0]);
    if (table == NULL)
        return UV_ENOMEM;
    table->mask = size - 1;
    for (uint32_t i = 0; old != NULL && i <= old->mask; i++) {
        void *item = atomic_load_explicit(&old->slots[i].item, memory_order_relaxed);
        if (item != NULL && item != &gone)
            put(table, old->slots[i].hash, item);
    }
    atomic_store(&lookup->shards[shard], table);
    qr_epoch_retire(lookup->epoch, old, free);
    return 0;
}

int qr_lookup_add(struct qr_lookup *lookup, uint64_t hash, void *item)
{
    uint32_t shard = shard_of(hash);
    struct qr_lookup_table *table =
        atomic_load_explicit(&lookup->shards[shard], memory_order_relaxed);
    if (table == NULL || (table->n_used + 1) * 4 > (table->mask + 1) * 3) {
        int err = rebuild(lookup, shard);
        if (err != 0)
            return err;
        table = atomic_load_explicit(&lookup->shards[shard], memory_order_relaxed);
    }
    put(table, hash, item);
    atomic_fetch_add_explicit(&lookup->n, 1, memory_order_relaxed);
    return 0;
}

void qr_lookup_remove(struct qr_lookup *lookup, uint64_t hash, const void *item)
{
    uint32_t shard = shard_of(hash);
    struct qr_lookup_table *table =
        atomic_load_explicit(&lookup->shards[shard], memory_order_relaxed);
    assert(table != NULL);
    struct slot *slot;
    for (uint32_t i = (uint32_t)hash;; i++) {
        slot = &table->slots[i & table->mask];
        const void *there = atomic_load_explicit(&slot->item, memory_order_relaxed);
        assert(there != NULL);
        if (there == item)
            break;
    }
    atomic_store(&slot->item, &gone);
    table->n_items--;
    atomic_fetch_sub_explicit(&lookup->n, 1, memory_order_relaxed);
    if (table->n_items == 0) {
        atomic_store(&lookup->shards[shard], NULL);
        qr_epoch_retire(lookup->epoch, table, free);
    } else if (table->mask >= SLOTS_MIN * 2 && table->n_items < (table->mask + 1) / 8) {
        rebuild(lookup, shard); /* Without memory it stays as large as it is. */
    }
}

void *qr_lookup_next(const struct qr_lookup *lookup, uint64_t hash, struct qr_lookup_at *at)
{
    if (at->table == NULL) {
        at->table = atomic_load(&lookup->shards[shard_of(hash)]);
        at->next = (uint32_t)hash;
    }
    for (; at->table != NULL; at->next++) {
        const struct slot *slot = &at->table->slots[at->next & at->table->mask];
        void *item = atomic_load_explicit(&slot->item, memory_order_acquire);
        if (item == NULL)
            return NULL;
        if (item != &gone && slot->hash == hash) {
            at->next++;
            return item;
        }
    }
    return NULL;
}

void *qr_lookup_walk(const struct qr_lookup *lookup, struct qr_lookup_at *at)
{
    while (at->shard < QR_LOOKUP_SHARDS) {
        if (at->table == NULL) {
            at->table = atomic_load(&lookup->shards[at->shard]);
            at->next = 0;
        }
        for (; at->table != NULL && at->next <= at->table->mask; at->next++) {
            void *item =
                atomic_load_explicit(&at->table->slots[at->next].item, memory_order_acquire);
            if (item != NULL && item != &gone) {
                at->next++;
                return item;
            }
        }
        at->table = NULL;
        at->shard++;
    }
    return NULL;
}

uint32_t qr_lookup_count(const struct qr_lookup *lookup)
{
    return atomic_load_explicit(&lookup->n, memory_order_relaxed);
}
