#include "storage/index.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/map.h"

static uint64_t hash_of(struct qr_slice key, struct qr_slice value)
{
    return qr_map_hash(key) * 3 ^ qr_map_hash(value);
}

void qr_index_init(struct qr_index *index, struct qr_epoch *epoch, struct qr_pool *pool)
{
    index->epoch = epoch;
    index->pool = pool;
    index->bytes = 0;
    for (int kind = 0; kind < QR_TERM_KINDS; kind++)
        qr_lookup_init(&index->kinds[kind], epoch);
}

static void free_term(void *memory)
{
    struct qr_term *term = memory;
    qr_postings_release(&term->ids);
    free(term);
}

void qr_index_release(struct qr_index *index)
{
    for (int kind = 0; kind < QR_TERM_KINDS; kind++) {
        struct qr_lookup_at at = {0};
        struct qr_term *term;
        while ((term = qr_lookup_walk(&index->kinds[kind], &at)) != NULL)
            free_term(term);
        qr_lookup_release(&index->kinds[kind]);
    }
}

void qr_index_set_epoch(struct qr_index *index, struct qr_epoch *epoch)
{
    index->epoch = epoch;
    for (int kind = 0; kind < QR_TERM_KINDS; kind++)
        index->kinds[kind].epoch = epoch;
}

static struct qr_term *find(const struct qr_index *index, enum qr_term_kind kind,
                            struct qr_slice key, struct qr_slice value, uint64_t hash)
{
    struct qr_lookup_at at = {0};
    struct qr_term *term;
    while ((term = qr_lookup_next(&index->kinds[kind], hash, &at)) != NULL)
        if (qr_slice_is(key, term->key) && qr_slice_is(value, term->value))
            break;
    return term;
}

/* One without ids, known to readers. */
static struct qr_term *add_term(struct qr_index *index, enum qr_term_kind kind, const char *key,
                                const char *value, uint64_t hash)
{
    struct qr_term *term = calloc(1, sizeof *term);
    if (term == NULL)
        return NULL;
    term->key = qr_pool_text(index->pool, key);
    term->value = qr_pool_text(index->pool, value);
    term->hash = hash;
    if (term->key == NULL || term->value == NULL ||
        qr_lookup_add(&index->kinds[kind], hash, term) != 0) {
        qr_pool_drop_text(index->pool, term->key);
        qr_pool_drop_text(index->pool, term->value);
        free(term);
        return NULL;
    }
    index->bytes += sizeof *term;
    return term;
}

int qr_index_add(struct qr_index *index, enum qr_term_kind kind, const char *key, const char *value,
                 uint32_t id)
{
    struct qr_slice k = qr_slice_str(key), v = qr_slice_str(value);
    uint64_t hash = hash_of(k, v);
    struct qr_term *term = find(index, kind, k, v, hash);
    if (term == NULL)
        term = add_term(index, kind, key, value, hash);
    return term != NULL ? qr_postings_add(&term->ids, index->epoch, id) : UV_ENOMEM;
}

int qr_index_remove(struct qr_index *index, enum qr_term_kind kind, const char *key,
                    const char *value, uint32_t id)
{
    struct qr_slice k = qr_slice_str(key), v = qr_slice_str(value);
    struct qr_term *term = find(index, kind, k, v, hash_of(k, v));
    if (term == NULL)
        return 0;
    int err = qr_postings_remove(&term->ids, index->epoch, id);
    if (err != 0 || qr_postings_count(&term->ids) != 0)
        return err;
    qr_lookup_remove(&index->kinds[kind], term->hash, term);
    qr_pool_drop_text(index->pool, term->key);
    qr_pool_drop_text(index->pool, term->value);
    qr_epoch_retire(index->epoch, term, free_term);
    index->bytes -= sizeof *term;
    return 0;
}

const struct qr_term *qr_index_find(const struct qr_index *index, enum qr_term_kind kind,
                                    struct qr_slice key, struct qr_slice value)
{
    return find(index, kind, key, value, hash_of(key, value));
}

const struct qr_term *qr_index_walk(const struct qr_index *index, enum qr_term_kind kind,
                                    struct qr_lookup_at *at)
{
    return qr_lookup_walk(&index->kinds[kind], at);
}

uint32_t qr_index_count(const struct qr_index *index, enum qr_term_kind kind)
{
    return qr_lookup_count(&index->kinds[kind]);
}
