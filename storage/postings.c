#include "storage/postings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define BLOCK_IDS_MAX 256u

struct qr_postings_block {
    uint32_t capacity;
    _Atomic uint32_t n; /* Never 0 once it is in a body. */
    uint32_t ids[];     /* Written before n says so. */
};

struct qr_postings_body {
    uint32_t capacity;
    _Atomic uint32_t n;
    _Atomic(struct qr_postings_block *) at[];
};

static struct qr_postings_block *block_at(const struct qr_postings_body *body, uint32_t i)
{
    return atomic_load_explicit(&body->at[i], memory_order_acquire);
}

static uint32_t count_of(const struct qr_postings_block *block)
{
    return atomic_load_explicit(&block->n, memory_order_acquire);
}

static uint32_t blocks_of(const struct qr_postings_body *body)
{
    return body != NULL ? atomic_load_explicit(&body->n, memory_order_acquire) : 0;
}

void qr_postings_release(struct qr_postings *postings)
{
    struct qr_postings_body *body = atomic_load(&postings->body);
    for (uint32_t i = 0; i < blocks_of(body); i++)
        free(block_at(body, i));
    free(body);
    atomic_store(&postings->body, NULL);
    atomic_store(&postings->n, 0);
}

/* ---- places ---- */

/* Of the first id that is `id` or above. */
static uint32_t place_in_block(const struct qr_postings_block *block, uint32_t id)
{
    uint32_t low = 0, high = count_of(block);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The last block that begins at or below `id`, or the first one. */
static uint32_t place_in_body(const struct qr_postings_body *body, uint32_t id)
{
    uint32_t low = 0, high = blocks_of(body);
    while (low + 1 < high) {
        uint32_t middle = low + (high - low) / 2;
        if (block_at(body, middle)->ids[0] <= id)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* ---- the body ---- */

static struct qr_postings_block *block_new(const uint32_t *ids, uint32_t n, uint32_t capacity)
{
    struct qr_postings_block *block = malloc(sizeof *block + capacity * sizeof block->ids[0]);
    if (block == NULL)
        return NULL;
    block->capacity = capacity;
    atomic_init(&block->n, n);
    if (n != 0)
        memcpy(block->ids, ids, n * sizeof *ids);
    return block;
}

/* Publishes a body in which `n_new` blocks stand in the place of `n_old` of the old one. */
static int replace_blocks(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t at,
                          uint32_t n_old, struct qr_postings_block *const *blocks, uint32_t n_new)
{
    struct qr_postings_body *old = atomic_load_explicit(&postings->body, memory_order_relaxed);
    uint32_t n_before = blocks_of(old), n = n_before - n_old + n_new;
    struct qr_postings_body *body = NULL;
    if (n != 0) {
        uint32_t capacity = n < 2 ? n : n + n / 2;
        body = malloc(sizeof *body + capacity * sizeof body->at[0]);
        if (body == NULL)
            return UV_ENOMEM;
        body->capacity = capacity;
        atomic_init(&body->n, n);
        for (uint32_t i = 0; i < n; i++) {
            struct qr_postings_block *block = i < at           ? block_at(old, i)
                                              : i < at + n_new ? blocks[i - at]
                                                               : block_at(old, i - n_new + n_old);
            atomic_init(&body->at[i], block);
        }
    }
    atomic_store(&postings->body, body);
    for (uint32_t i = at; i < at + n_old; i++)
        qr_epoch_retire(epoch, block_at(old, i), free);
    qr_epoch_retire(epoch, old, free);
    return 0;
}

static void replace_block(struct qr_postings_body *body, struct qr_epoch *epoch, uint32_t at,
                          struct qr_postings_block *block)
{
    struct qr_postings_block *old = block_at(body, at);
    atomic_store(&body->at[at], block);
    qr_epoch_retire(epoch, old, free);
}

static int append_block(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id)
{
    struct qr_postings_body *body = atomic_load_explicit(&postings->body, memory_order_relaxed);
    uint32_t n = blocks_of(body);
    struct qr_postings_block *block = block_new(&id, 1, n == 0 ? 2 : BLOCK_IDS_MAX / 4);
    if (block == NULL)
        return UV_ENOMEM;
    if (body != NULL && n < body->capacity) {
        atomic_store_explicit(&body->at[n], block, memory_order_relaxed);
        atomic_store_explicit(&body->n, n + 1, memory_order_release);
        return 0;
    }
    int err = replace_blocks(postings, epoch, n, 0, &block, 1);
    if (err != 0)
        free(block);
    return err;
}

/* ---- adding ---- */

static int split(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t at,
                 const struct qr_postings_block *full)
{
    struct qr_postings_block *halves[2] = {
        block_new(full->ids, BLOCK_IDS_MAX / 2, BLOCK_IDS_MAX),
        block_new(full->ids + BLOCK_IDS_MAX / 2, BLOCK_IDS_MAX / 2, BLOCK_IDS_MAX)};
    int err = halves[0] != NULL && halves[1] != NULL
                  ? replace_blocks(postings, epoch, at, 1, halves, 2)
                  : UV_ENOMEM;
    if (err != 0) {
        free(halves[0]);
        free(halves[1]);
    }
    return err;
}

/* A copy of the block with the id in its place. */
static struct qr_postings_block *with_id(const struct qr_postings_block *block, uint32_t place,
                                         uint32_t id)
{
    uint32_t n = count_of(block), capacity = n < 8 ? n * 2 : n + n / 2;
    if (capacity > BLOCK_IDS_MAX)
        capacity = BLOCK_IDS_MAX;
    struct qr_postings_block *copy = block_new(block->ids, place, capacity);
    if (copy == NULL)
        return NULL;
    copy->ids[place] = id;
    memcpy(&copy->ids[place + 1], &block->ids[place], (n - place) * sizeof id);
    atomic_store_explicit(&copy->n, n + 1, memory_order_relaxed);
    return copy;
}

static int add(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id)
{
    struct qr_postings_body *body = atomic_load_explicit(&postings->body, memory_order_relaxed);
    if (body == NULL)
        return append_block(postings, epoch, id);
    uint32_t at = place_in_body(body, id);
    struct qr_postings_block *block = block_at(body, at);
    uint32_t n = count_of(block), place = place_in_block(block, id);
    if (place < n && block->ids[place] == id)
        return 1;
    if (place == n && n < block->capacity) {
        block->ids[n] = id;
        atomic_store_explicit(&block->n, n + 1, memory_order_release);
        return 0;
    }
    if (n == BLOCK_IDS_MAX && place == n && at + 1 == blocks_of(body))
        return append_block(postings, epoch, id);
    if (n == BLOCK_IDS_MAX) {
        int err = split(postings, epoch, at, block);
        return err != 0 ? err : add(postings, epoch, id);
    }
    struct qr_postings_block *copy = with_id(block, place, id);
    if (copy == NULL)
        return UV_ENOMEM;
    replace_block(body, epoch, at, copy);
    return 0;
}

int qr_postings_add(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id)
{
    assert(id != 0);
    int added = add(postings, epoch, id);
    if (added < 0)
        return added;
    if (added == 0)
        atomic_fetch_add_explicit(&postings->n, 1, memory_order_relaxed);
    return 0;
}

/* ---- removing ---- */

/* Two neighbours that would fill a half become one, or many removals would leave many crumbs. */
static int join(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t at)
{
    const struct qr_postings_body *body = atomic_load(&postings->body);
    if (at > 0 && (at + 1 == blocks_of(body) ||
                   count_of(block_at(body, at - 1)) < count_of(block_at(body, at + 1))))
        at--;
    if (at + 1 >= blocks_of(body))
        return 0;
    const struct qr_postings_block *a = block_at(body, at), *b = block_at(body, at + 1);
    uint32_t na = count_of(a), nb = count_of(b);
    if (na + nb > BLOCK_IDS_MAX / 2)
        return 0;
    struct qr_postings_block *both = block_new(a->ids, na, BLOCK_IDS_MAX / 2);
    if (both == NULL)
        return UV_ENOMEM;
    memcpy(&both->ids[na], b->ids, nb * sizeof b->ids[0]);
    atomic_store_explicit(&both->n, na + nb, memory_order_relaxed);
    int err = replace_blocks(postings, epoch, at, 2, &both, 1);
    if (err != 0)
        free(both);
    return err;
}

int qr_postings_remove(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id)
{
    struct qr_postings_body *body = atomic_load_explicit(&postings->body, memory_order_relaxed);
    if (body == NULL)
        return 0;
    uint32_t at = place_in_body(body, id);
    const struct qr_postings_block *block = block_at(body, at);
    uint32_t n = count_of(block), place = place_in_block(block, id);
    if (place == n || block->ids[place] != id)
        return 0;
    int err = 0;
    if (n == 1) {
        err = replace_blocks(postings, epoch, at, 1, NULL, 0);
    } else {
        struct qr_postings_block *copy = block_new(block->ids, place, n);
        if (copy == NULL)
            return UV_ENOMEM;
        memcpy(&copy->ids[place], &block->ids[place + 1], (n - place - 1) * sizeof id);
        atomic_store_explicit(&copy->n, n - 1, memory_order_relaxed);
        replace_block(body, epoch, at, copy);
        if (n - 1 <= BLOCK_IDS_MAX / 4)
            err = join(postings, epoch, at);
    }
    atomic_fetch_sub_explicit(&postings->n, 1, memory_order_relaxed);
    return err;
}

/* ---- reading ---- */

uint32_t qr_postings_count(const struct qr_postings *postings)
{
    return atomic_load_explicit(&postings->n, memory_order_relaxed);
}

void qr_postings_seek(const struct qr_postings *postings, struct qr_postings_at *at, uint32_t from)
{
    *at = (struct qr_postings_at){.body = atomic_load(&postings->body)};
    if (at->body == NULL)
        return;
    at->i_block = place_in_body(at->body, from);
    at->block = block_at(at->body, at->i_block);
    at->i_id = place_in_block(at->block, from);
}

uint32_t qr_postings_next(struct qr_postings_at *at)
{
    while (at->block != NULL) {
        if (at->i_id < count_of(at->block))
            return at->block->ids[at->i_id++];
        at->i_id = 0;
        at->i_block++;
        at->block = at->i_block < blocks_of(at->body) ? block_at(at->body, at->i_block) : NULL;
    }
    return 0;
}
