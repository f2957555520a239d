#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <uv.h>
#include <xxhash.h>

#include "base/rng.h"

static uint64_t seed;
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

static void draw_seed(void)
{
    seed = qr_rng_entropy();
}

uint64_t qr_map_hash(struct qr_slice key)
{
    pthread_once(&seeded, draw_seed);
    return XXH3_64bits_withSeed(key.base, key.len, seed);
}

void qr_map_init(struct qr_map *map)
{
    *map = (struct qr_map){0};
}

void qr_map_release(struct qr_map *map)
{
    free(map->slots);
    qr_map_init(map);
}

static struct qr_map_slot *find(const struct qr_map *map, struct qr_slice key, uint64_t hash)
{
    size_t mask = map->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct qr_map_slot *slot = &map->slots[i];
        if (slot->value == NULL || (slot->hash == hash && qr_slice_equal(slot->key, key)))
            return slot;
    }
}

void *qr_map_get(const struct qr_map *map, struct qr_slice key)
{
    if (map->n == 0)
        return NULL;
    return find(map, key, qr_map_hash(key))->value;
}

static int grow(struct qr_map *map)
{
    struct qr_map bigger = {.n = map->n, .capacity = map->capacity != 0 ? map->capacity * 2 : 16};
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return UV_ENOMEM;
    for (size_t i = 0; i < map->capacity; i++) {
        const struct qr_map_slot *slot = &map->slots[i];
        if (slot->value != NULL)
            *find(&bigger, slot->key, slot->hash) = *slot;
    }
    free(map->slots);
    *map = bigger;
    return 0;
}

int qr_map_set(struct qr_map *map, struct qr_slice key, void *value)
{
    assert(value != NULL);
    if ((map->n + 1) * 4 > map->capacity * 3) {
        int err = grow(map);
        if (err != 0)
            return err;
    }
    uint64_t hash = qr_map_hash(key);
    struct qr_map_slot *slot = find(map, key, hash);
    if (slot->value == NULL)
        map->n++;
    *slot = (struct qr_map_slot){key, hash, value};
    return 0;
}

void *qr_map_remove(struct qr_map *map, struct qr_slice key)
{
    if (map->n == 0)
        return NULL;
    struct qr_map_slot *slot = find(map, key, qr_map_hash(key));
    void *value = slot->value;
    if (value == NULL)
        return NULL;
    map->n--;
    /* Close the hole: later slots of the same run move up. */
    size_t mask = map->capacity - 1;
    size_t hole = (size_t)(slot - map->slots);
    for (size_t i = (hole + 1) & mask; map->slots[i].value != NULL; i = (i + 1) & mask) {
        size_t home = map->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct qr_map_slot){0};
    return value;
}

void *qr_map_next(const struct qr_map *map, size_t *at)
{
    while (*at < map->capacity) {
        void *value = map->slots[(*at)++].value;
        if (value != NULL)
            return value;
    }
    return NULL;
}
