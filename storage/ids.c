#include "storage/ids.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#define LEVELS 4u

/* From the leaves up. */
static const unsigned shift_of[LEVELS] = {0, 6, 15, 24};
static const unsigned bits_of[LEVELS] = {6, 9, 9, 8};

struct qr_ids_node {
    uint32_t n; /* Of `at` that are set; the writer's. */
    _Atomic(void *) at[];
};

static uint32_t slots_of(unsigned level)
{
    return 1u << bits_of[level];
}

static uint32_t place_in(unsigned level, uint32_t id)
{
    return (id >> shift_of[level]) & (slots_of(level) - 1);
}

static struct qr_ids_node *node_new(unsigned level)
{
    struct qr_ids_node *node;
    return calloc(1, sizeof *node + slots_of(level) * sizeof node->at[0]);
}

void qr_ids_init(struct qr_ids *ids, struct qr_epoch *epoch)
{
    atomic_init(&ids->root, NULL);
    atomic_init(&ids->n, 0);
    ids->epoch = epoch;
}

static void free_node(struct qr_ids_node *node, unsigned level)
{
    for (uint32_t i = 0; level > 0 && i < slots_of(level); i++) {
        struct qr_ids_node *child = atomic_load_explicit(&node->at[i], memory_order_relaxed);
        if (child != NULL)
            free_node(child, level - 1);
    }
    free(node);
}

void qr_ids_release(struct qr_ids *ids)
{
    struct qr_ids_node *root = atomic_load(&ids->root);
    if (root != NULL)
        free_node(root, LEVELS - 1);
    qr_ids_init(ids, ids->epoch);
}

int qr_ids_set(struct qr_ids *ids, uint32_t id, void *item)
{
    assert(id != 0 && item != NULL);
    struct qr_ids_node *node = atomic_load_explicit(&ids->root, memory_order_relaxed);
    if (node == NULL) {
        node = node_new(LEVELS - 1);
        if (node == NULL)
            return UV_ENOMEM;
        atomic_store(&ids->root, node);
    }
    for (unsigned level = LEVELS - 1; level > 0; level--) {
        _Atomic(void *) *at = &node->at[place_in(level, id)];
        struct qr_ids_node *child = atomic_load_explicit(at, memory_order_relaxed);
        if (child == NULL) {
            child = node_new(level - 1);
            if (child == NULL)
                return UV_ENOMEM; /* An empty node stays: the next id fills it. */
            atomic_store_explicit(at, child, memory_order_release);
            node->n++;
        }
        node = child;
    }
    _Atomic(void *) *at = &node->at[place_in(0, id)];
    assert(atomic_load_explicit(at, memory_order_relaxed) == NULL);
    atomic_store_explicit(at, item, memory_order_release);
    node->n++;
    atomic_fetch_add_explicit(&ids->n, 1, memory_order_relaxed);
    return 0;
}

void qr_ids_remove(struct qr_ids *ids, uint32_t id)
{
    _Atomic(void *) *path[LEVELS];
    struct qr_ids_node *nodes[LEVELS];
    struct qr_ids_node *node = atomic_load_explicit(&ids->root, memory_order_relaxed);
    for (unsigned level = LEVELS; level-- > 0;) {
        assert(node != NULL);
        nodes[level] = node;
        path[level] = &node->at[place_in(level, id)];
        node = atomic_load_explicit(path[level], memory_order_relaxed);
    }
    assert(node != NULL); /* The item. */
    atomic_fetch_sub_explicit(&ids->n, 1, memory_order_relaxed);
    for (unsigned level = 0; level < LEVELS; level++) {
        atomic_store(path[level], NULL);
        if (--nodes[level]->n != 0)
            return;
        if (level == LEVELS - 1)
            atomic_store(&ids->root, NULL);
        qr_epoch_retire(ids->epoch, nodes[level], free);
    }
}

void *qr_ids_get(const struct qr_ids *ids, uint32_t id)
{
    const struct qr_ids_node *node = atomic_load(&ids->root);
    for (unsigned level = LEVELS - 1; level > 0 && node != NULL; level--)
        node = atomic_load_explicit(&node->at[place_in(level, id)], memory_order_acquire);
    return node != NULL ? atomic_load_explicit(&node->at[place_in(0, id)], memory_order_acquire)
                        : NULL;
}

/* The first item of `node` at or above *id, of which only this node's bits and those below count;
 * *id becomes its id. */
static void *first_from(const struct qr_ids_node *node, unsigned level, uint32_t *id)
{
    uint32_t place = place_in(level, *id);
    uint32_t above = level + 1 < LEVELS ? *id >> shift_of[level + 1] << shift_of[level + 1] : 0;
    uint32_t from = *id;
    for (; place < slots_of(level); place++) {
        void *item = atomic_load_explicit(&node->at[place], memory_order_acquire);
        if (item != NULL && level > 0)
            item = first_from(item, level - 1, &from);
        if (item != NULL) {
            *id = level > 0 ? from : above | place;
            return item;
        }
        from = above | ((place + 1) << shift_of[level]);
    }
    return NULL;
}

void *qr_ids_next(const struct qr_ids *ids, uint32_t *id)
{
    const struct qr_ids_node *root = atomic_load(&ids->root);
    if (root == NULL || *id == UINT32_MAX)
        return NULL;
    uint32_t from = *id + 1;
    void *item = first_from(root, LEVELS - 1, &from);
    if (item != NULL)
        *id = from;
    return item;
}

uint32_t qr_ids_count(const struct qr_ids *ids)
{
    return atomic_load_explicit(&ids->n, memory_order_relaxed);
}
