#include "storage/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/map.h"
#include "storage/lookup.h"

struct text {
    uint32_t n_users;
    uint32_t len;
    char bytes[];
};

struct shared {
    struct qr_pool *pool;
    uint64_t hash;
    uint32_t n_users;
    uint32_t bytes;
    uint32_t round, number;  /* See qr_pool_number. */
    struct qr_chart_def def; /* Its arrays follow in the same memory. */
};

struct qr_pool {
    struct qr_epoch *epoch;
    struct qr_lookup texts, defs;
    uint64_t bytes;
    uint32_t round;
    uint32_t n_alive; /* Definitions that are not freed yet, retired ones among them. */
};

int qr_pool_new(struct qr_pool **pool, struct qr_epoch *epoch)
{
    struct qr_pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return UV_ENOMEM;
    p->epoch = epoch;
    qr_lookup_init(&p->texts, epoch);
    qr_lookup_init(&p->defs, epoch);
    *pool = p;
    return 0;
}

void qr_pool_free(struct qr_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->n_alive == qr_lookup_count(&pool->defs));
    struct qr_lookup_at at = {0};
    void *item;
    while ((item = qr_lookup_walk(&pool->defs, &at)) != NULL)
        free(item);
    at = (struct qr_lookup_at){0};
    while ((item = qr_lookup_walk(&pool->texts, &at)) != NULL)
        free(item);
    qr_lookup_release(&pool->defs);
    qr_lookup_release(&pool->texts);
    free(pool);
}

void qr_pool_set_epoch(struct qr_pool *pool, struct qr_epoch *epoch)
{
    pool->epoch = pool->texts.epoch = pool->defs.epoch = epoch;
}

/* ---- texts ---- */

static struct text *text_of(const char *bytes)
{
    return (struct text *)(void *)((char *)(uintptr_t)bytes - offsetof(struct text, bytes));
}

static size_t bytes_of_text(const struct text *text)
{
    return sizeof *text + text->len + 1;
}

static struct text *find_text(const struct qr_pool *pool, struct qr_slice wanted, uint64_t hash)
{
    struct qr_lookup_at at = {0};
    struct text *text;
    while ((text = qr_lookup_next(&pool->texts, hash, &at)) != NULL)
        if (text->len == wanted.len && memcmp(text->bytes, wanted.base, wanted.len) == 0)
            break;
    return text;
}

const char *qr_pool_text(struct qr_pool *pool, const char *bytes)
{
    struct qr_slice wanted = qr_slice_str(bytes);
    uint64_t hash = qr_map_hash(wanted);
    struct text *text = find_text(pool, wanted, hash);
    if (text == NULL) {
        text = malloc(sizeof *text + wanted.len + 1);
        if (text == NULL)
            return NULL;
        text->n_users = 0;
        text->len = (uint32_t)wanted.len;
        memcpy(text->bytes, bytes, wanted.len + 1);
        if (qr_lookup_add(&pool->texts, hash, text) != 0) {
            free(text);
            return NULL;
        }
        pool->bytes += bytes_of_text(text);
    }
    text->n_users++;
    return text->bytes;
}

static struct text *leave_text(struct qr_pool *pool, const char *bytes)
{
    if (bytes == NULL)
        return NULL;
    struct text *text = text_of(bytes);
    assert(text->n_users > 0);
    if (--text->n_users > 0)
        return NULL;
    qr_lookup_remove(&pool->texts, qr_map_hash(qr_slice_of(text->bytes, text->len)), text);
    pool->bytes -= bytes_of_text(text);
    return text;
}

void qr_pool_drop_text(struct qr_pool *pool, const char *bytes)
{
    qr_epoch_retire(pool->epoch, leave_text(pool, bytes), free);
}

/* ---- definitions: what of them is a text ---- */

#define N_TEXTS 8u

static const char **text_at(struct qr_chart_def *def, size_t i)
{
    const char **texts[N_TEXTS] = {&def->id,     &def->name,    &def->title,  &def->units,
                                   &def->family, &def->context, &def->plugin, &def->module};
    return texts[i];
}

static const char *text_in(const struct qr_chart_def *def, size_t i)
{
    const char *text = *text_at((struct qr_chart_def *)(uintptr_t)def, i);
    return text != NULL ? text : "";
}

static uint64_t mix(uint64_t hash, uint64_t v)
{
    hash = (hash ^ v) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    return mix(hash, qr_map_hash(qr_slice_str(text)));
}

static uint64_t hash_def(const struct qr_chart_def *def)
{
    uint64_t hash = mix((uint64_t)def->type << 8 | def->flags, (uint32_t)def->priority);
    hash = mix(hash, (uint64_t)def->update_every << 32 | def->n_dims);
    for (size_t i = 0; i < N_TEXTS; i++)
        hash = mix_text(hash, text_in(def, i));
    for (uint32_t i = 0; i < def->n_dims; i++) {
        const struct qr_dim_def *dim = &def->dims[i];
        hash = mix_text(mix_text(hash, dim->id), dim->name);
        hash = mix(hash, (uint64_t)dim->multiplier);
        hash = mix(hash, (uint64_t)dim->divisor);
        hash = mix(hash, (uint64_t)dim->algorithm << 8 | dim->flags);
    }
    for (uint32_t i = 0; i < def->n_labels; i++) {
        hash = mix_text(mix_text(hash, def->labels[i].name), def->labels[i].value);
        hash = mix(hash, def->labels[i].source);
    }
    return mix(hash, def->n_labels);
}

static bool same_dims(const struct qr_chart_def *a, const struct qr_chart_def *b)
{
    for (uint32_t i = 0; i < a->n_dims; i++) {
        const struct qr_dim_def *x = &a->dims[i], *y = &b->dims[i];
        if (strcmp(x->id, y->id) != 0 || strcmp(x->name, y->name) != 0 ||
            x->multiplier != y->multiplier || x->divisor != y->divisor ||
            x->algorithm != y->algorithm || x->flags != y->flags)
            return false;
    }
    return true;
}

static bool same_def(const struct qr_chart_def *a, const struct qr_chart_def *b)
{
    if (a->type != b->type || a->flags != b->flags || a->priority != b->priority ||
        a->update_every != b->update_every || a->n_dims != b->n_dims || a->n_labels != b->n_labels)
        return false;
    for (size_t i = 0; i < N_TEXTS; i++)
        if (strcmp(text_in(a, i), text_in(b, i)) != 0)
            return false;
    for (uint32_t i = 0; i < a->n_labels; i++)
        if (strcmp(a->labels[i].name, b->labels[i].name) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0 ||
            a->labels[i].source != b->labels[i].source)
            return false;
    return same_dims(a, b);
}

/* ---- definitions: life ---- */

static struct qr_dim_def *dims_of(struct shared *shared)
{
    return (struct qr_dim_def *)(void *)(shared + 1);
}

static struct qr_def_label *labels_of(struct shared *shared)
{
    return (struct qr_def_label *)(void *)(dims_of(shared) + shared->def.n_dims);
}

/* No reader sees it, or no reader ever did.  Its texts may have had other users since, whose
 * readers are still there. */
static void free_shared(void *memory)
{
    struct shared *shared = memory;
    struct qr_pool *pool = shared->pool;
    for (size_t i = 0; i < N_TEXTS; i++)
        qr_pool_drop_text(pool, *text_at(&shared->def, i));
    for (uint32_t i = 0; i < shared->def.n_dims; i++) {
        qr_pool_drop_text(pool, dims_of(shared)[i].id);
        qr_pool_drop_text(pool, dims_of(shared)[i].name);
    }
    for (uint32_t i = 0; i < shared->def.n_labels; i++) {
        qr_pool_drop_text(pool, labels_of(shared)[i].name);
        qr_pool_drop_text(pool, labels_of(shared)[i].value);
    }
    pool->bytes -= shared->bytes;
    pool->n_alive--;
    free(shared);
}

/* Every text of it from the pool; false: no memory, some are NULL. */
static bool take_texts(struct shared *shared, const struct qr_chart_def *def)
{
    struct qr_pool *pool = shared->pool;
    bool all = true;
    for (size_t i = 0; i < N_TEXTS; i++)
        all = (*text_at(&shared->def, i) = qr_pool_text(pool, text_in(def, i))) != NULL && all;
    struct qr_dim_def *dims = dims_of(shared);
    for (uint32_t i = 0; i < def->n_dims; i++) {
        dims[i] = def->dims[i];
        dims[i].id = qr_pool_text(pool, def->dims[i].id);
        dims[i].name = qr_pool_text(pool, def->dims[i].name);
        all = all && dims[i].id != NULL && dims[i].name != NULL;
    }
    struct qr_def_label *labels = labels_of(shared);
    for (uint32_t i = 0; i < def->n_labels; i++) {
        labels[i] = def->labels[i];
        labels[i].name = qr_pool_text(pool, def->labels[i].name);
        labels[i].value = qr_pool_text(pool, def->labels[i].value);
        all = all && labels[i].name != NULL && labels[i].value != NULL;
    }
    return all;
}

static struct shared *new_shared(struct qr_pool *pool, const struct qr_chart_def *def,
                                 uint64_t hash)
{
    size_t bytes = sizeof(struct shared) + def->n_dims * sizeof(struct qr_dim_def) +
                   def->n_labels * sizeof(struct qr_def_label);
    struct shared *shared = calloc(1, bytes);
    if (shared == NULL)
        return NULL;
    shared->pool = pool;
    shared->hash = hash;
    shared->bytes = (uint32_t)bytes;
    shared->def = *def;
    shared->def.dims = dims_of(shared);
    shared->def.labels = labels_of(shared);
    pool->n_alive++;
    pool->bytes += bytes;
    if (!take_texts(shared, def) || qr_lookup_add(&pool->defs, hash, shared) != 0) {
        free_shared(shared);
        return NULL;
    }
    return shared;
}

const struct qr_chart_def *qr_pool_def(struct qr_pool *pool, const struct qr_chart_def *def)
{
    uint64_t hash = hash_def(def);
    struct qr_lookup_at at = {0};
    struct shared *shared;
    while ((shared = qr_lookup_next(&pool->defs, hash, &at)) != NULL)
        if (same_def(&shared->def, def))
            break;
    if (shared == NULL)
        shared = new_shared(pool, def, hash);
    if (shared == NULL)
        return NULL;
    shared->n_users++;
    return &shared->def;
}

static struct shared *shared_of(const struct qr_chart_def *def)
{
    return QR_CONTAINER_OF((struct qr_chart_def *)(uintptr_t)def, struct shared, def);
}

void qr_pool_drop_def(const struct qr_chart_def *def)
{
    if (def == NULL)
        return;
    struct shared *shared = shared_of(def);
    assert(shared->n_users > 0);
    if (--shared->n_users > 0)
        return;
    qr_lookup_remove(&shared->pool->defs, shared->hash, shared);
    qr_epoch_retire(shared->pool->epoch, shared, free_shared);
}

struct qr_pool_numbers qr_pool_begin_numbers(struct qr_pool *pool)
{
    return (struct qr_pool_numbers){.round = ++pool->round};
}

uint32_t qr_pool_number(struct qr_pool_numbers *numbers, const struct qr_chart_def *def)
{
    struct shared *shared = shared_of(def);
    if (shared->round == numbers->round)
        return shared->number;
    shared->round = numbers->round;
    shared->number = ++numbers->n;
    return 0;
}

void qr_pool_get_stats(const struct qr_pool *pool, struct qr_pool_stats *stats)
{
    *stats = (struct qr_pool_stats){.n_texts = qr_lookup_count(&pool->texts),
                                    .n_defs = qr_lookup_count(&pool->defs),
                                    .bytes = pool->bytes};
}
