/* base/map.h — a hash map from bytes to pointers (open addressing, linear probing, XXH3).
 *
 * The hash has a seed that each process draws at its start, so that nobody who chooses names (a
 * child its charts') can choose them to collide.
 *
 * Keys are borrowed: they must live, unchanged, as long as their entry does (usually they are part
 * of the value).  Iteration order is the table's and means nothing: nothing in `apply` may depend
 * on it.  Thread: the owner's. */
#ifndef QR_BASE_MAP_H
#define QR_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

/* The seeded hash of these bytes: the same until the process ends.  Thread: any. */
uint64_t qr_map_hash(struct qr_slice key);

struct qr_map_slot {
    struct qr_slice key;
    uint64_t hash;
    void *value; /* NULL: free. */
};

struct qr_map {
    struct qr_map_slot *slots;
    size_t n;
    size_t capacity; /* A power of two, or 0. */
};

void qr_map_init(struct qr_map *map);
void qr_map_release(struct qr_map *map);

/* The value, or NULL. */
void *qr_map_get(const struct qr_map *map, struct qr_slice key);

/* Sets or replaces; value is not NULL.  0 or UV_ENOMEM. */
int qr_map_set(struct qr_map *map, struct qr_slice key, void *value);

/* The removed value, or NULL. */
void *qr_map_remove(struct qr_map *map, struct qr_slice key);

/* Walks all values: start with *at = 0, until NULL.  The map must not change meanwhile. */
void *qr_map_next(const struct qr_map *map, size_t *at);

#endif
