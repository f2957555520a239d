#include "storage/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"
#include "storage/entry.h"

struct index_slot {
    uint64_t hash;
    _Atomic(struct qr_chart *) chart; /* NULL: free; set after the hash. */
};

struct chart_index {
    uint32_t n;
    uint32_t mask;
    struct index_slot slots[];
};

struct host_node {
    struct qr_host host;
    struct qr_catalog *catalog;
    uint32_t charts_capacity;
    _Atomic(struct chart_index *) by_id;
    _Atomic(struct chart_index *) by_name;
};

struct chart_node {
    struct qr_chart chart;
    struct qr_chart_head head;
    struct qr_entry_base base;
};

static struct host_node *node_of(const struct qr_host *host)
{
    return QR_CONTAINER_OF((struct qr_host *)host, struct host_node, host);
}

/* ---- lists ---- */

/* Room for one more.  0 or UV_ENOMEM. */
static int list_reserve(struct qr_catalog_list *list, struct qr_epoch *epoch)
{
    uint32_t n = atomic_load_explicit(&list->n, memory_order_relaxed);
    if (n < list->capacity)
        return 0;
    uint32_t capacity = list->capacity != 0 ? list->capacity * 2 : 16;
    void **old = atomic_load_explicit(&list->at, memory_order_relaxed);
    void **at = calloc(capacity, sizeof *at);
    if (at == NULL)
        return UV_ENOMEM;
    if (n != 0)
        memcpy(at, old, n * sizeof *at);
    atomic_store(&list->at, at);
    list->capacity = capacity;
    qr_epoch_retire(epoch, old, free);
    return 0;
}

static void list_add(struct qr_catalog_list *list, void *item)
{
    uint32_t n = atomic_load_explicit(&list->n, memory_order_relaxed);
    assert(n < list->capacity);
    atomic_load_explicit(&list->at, memory_order_relaxed)[n] = item;
    atomic_store_explicit(&list->n, n + 1, memory_order_release);
}

static void *list_get(const struct qr_catalog_list *list, uint32_t i)
{
    uint32_t n = atomic_load_explicit(&list->n, memory_order_acquire);
    return i < n ? atomic_load_explicit(&list->at, memory_order_acquire)[i] : NULL;
}

/* ---- index ---- */

static uint64_t hash_of(struct qr_slice text)
{
    return XXH3_64bits(text.base, text.len);
}

/* The slot that holds (hash, chart), or the free one where it belongs. */
static struct index_slot *slot_for(struct chart_index *index, uint64_t hash,
                                   const struct qr_chart *chart)
{
    for (uint32_t i = (uint32_t)hash;; i++) {
        struct index_slot *slot = &index->slots[i & index->mask];
        const struct qr_chart *there = atomic_load_explicit(&slot->chart, memory_order_acquire);
        if (there == NULL || (there == chart && slot->hash == hash))
            return slot;
    }
}

/* Room for one more.  0 or UV_ENOMEM. */
static int index_reserve(_Atomic(struct chart_index *) *published, struct qr_epoch *epoch)
{
    struct chart_index *old = atomic_load_explicit(published, memory_order_relaxed);
    if (old != NULL && old->n < (old->mask + 1) / 2)
        return 0;
    uint32_t size = old != NULL ? (old->mask + 1) * 2 : 32;
    struct chart_index *index = calloc(1, sizeof *index + size * sizeof *index->slots);
    if (index == NULL)
        return UV_ENOMEM;
    index->mask = size - 1;
    for (uint32_t i = 0; old != NULL && i <= old->mask; i++) {
        struct qr_chart *chart = atomic_load_explicit(&old->slots[i].chart, memory_order_relaxed);
        if (chart == NULL)
            continue;
        struct index_slot *slot = slot_for(index, old->slots[i].hash, chart);
        slot->hash = old->slots[i].hash;
        atomic_store_explicit(&slot->chart, chart, memory_order_relaxed);
        index->n++;
    }
    atomic_store(published, index);
    qr_epoch_retire(epoch, old, free);
    return 0;
}

static void index_add(struct chart_index *index, struct qr_slice key, struct qr_chart *chart)
{
    uint64_t hash = hash_of(key);
    struct index_slot *slot = slot_for(index, hash, chart);
    if (atomic_load_explicit(&slot->chart, memory_order_relaxed) != NULL)
        return;
    slot->hash = hash;
    atomic_store_explicit(&slot->chart, chart, memory_order_release);
    index->n++;
}

static struct qr_chart *index_find(const struct chart_index *index, struct qr_slice key, bool names)
{
    struct qr_chart *found = NULL;
    uint64_t hash = hash_of(key);
    for (uint32_t i = (uint32_t)hash; index != NULL; i++) {
        const struct index_slot *slot = &index->slots[i & index->mask];
        struct qr_chart *chart = atomic_load_explicit(&slot->chart, memory_order_acquire);
        if (chart == NULL)
            break;
        if (slot->hash != hash)
            continue;
        const struct qr_chart_def *def = atomic_load_explicit(&chart->def, memory_order_acquire);
        if (qr_slice_is(key, names ? def->name : def->id) &&
            (found == NULL || chart->id < found->id))
            found = chart;
    }
    return found;
}

/* ---- life ---- */

void qr_catalog_init(struct qr_catalog *catalog, struct qr_epoch *epoch)
{
    memset(catalog, 0, sizeof *catalog);
    catalog->epoch = epoch;
}

void qr_catalog_release(struct qr_catalog *catalog)
{
    for (uint32_t i = 0; i < qr_catalog_n_charts(catalog); i++) {
        struct qr_chart *chart = list_get(&catalog->charts, i);
        qr_entry_base_release(chart->base);
        free((void *)atomic_load(&chart->def));
        free(QR_CONTAINER_OF(chart, struct chart_node, chart));
    }
    for (uint32_t i = 0; i < qr_catalog_n_hosts(catalog); i++) {
        struct host_node *node = node_of(list_get(&catalog->hosts, i));
        free((void *)atomic_load(&node->host.def));
        free(atomic_load(&node->host.charts));
        free(atomic_load(&node->by_id));
        free(atomic_load(&node->by_name));
        free(node);
    }
    free(atomic_load(&catalog->charts.at));
    free(atomic_load(&catalog->hosts.at));
}

/* ---- hosts ---- */

int qr_catalog_put_host(struct qr_catalog *catalog, struct qr_host_def *def, struct qr_host **host)
{
    struct qr_host *known = qr_catalog_host_by_guid(catalog, &def->guid);
    if (known != NULL) {
        const struct qr_host_def *old = atomic_load_explicit(&known->def, memory_order_relaxed);
        atomic_store(&known->def, def);
        qr_epoch_retire(catalog->epoch, (void *)old, free);
        *host = known;
        return 0;
    }
    struct host_node *node = calloc(1, sizeof *node);
    if (node == NULL || list_reserve(&catalog->hosts, catalog->epoch) != 0) {
        free(node);
        free(def);
        return UV_ENOMEM;
    }
    node->catalog = catalog;
    node->host.id = qr_catalog_n_hosts(catalog) + 1;
    node->host.guid = def->guid;
    qr_guid_format(&def->guid, node->host.guid_text);
    atomic_init(&node->host.def, def);
    list_add(&catalog->hosts, &node->host);
    *host = &node->host;
    return 0;
}

/* ---- charts ---- */

/* Dimensions of a definition and those known before, each at its place. */
struct merge {
    struct qr_dim_def *dims;
    uint32_t n;
    bool in_place; /* The new definition's array is already the result. */
};

static int merge_dims(struct merge *merge, const struct qr_chart_def *old,
                      const struct qr_chart_def *def, struct qr_map *places)
{
    uint32_t n_old = old != NULL ? old->n_dims : 0;
    for (uint32_t i = 0; i < n_old; i++) {
        merge->dims[i] = old->dims[i];
        merge->dims[i].flags |= 1; /* Obsolete, unless it is defined again below. */
        if (qr_map_set(places, qr_slice_str(old->dims[i].id), &merge->dims[i]) != 0)
            return UV_ENOMEM;
    }
    merge->n = n_old;
    merge->in_place = true;
    for (uint32_t i = 0; i < def->n_dims; i++) {
        struct qr_slice id = qr_slice_str(def->dims[i].id);
        struct qr_dim_def *place = qr_map_get(places, id);
        if (place == NULL) {
            if (merge->n == QR_DIMS_PER_CHART_MAX)
                return QR_E_LIMIT;
            place = &merge->dims[merge->n++];
            if (qr_map_set(places, id, place) != 0)
                return UV_ENOMEM;
        }
        if (place != &merge->dims[i])
            merge->in_place = false;
        *place = def->dims[i];
    }
    if (merge->n != def->n_dims)
        merge->in_place = false;
    return 0;
}

/* A definition with the merged dimensions, in memory of its own. */
static int rebuild(struct qr_chart_def **def, const struct merge *merge)
{
    struct qr_chart_def view = **def;
    view.dims = merge->dims;
    view.n_dims = merge->n;
    struct qr_buf bytes = {0};
    int err = qr_chart_def_encode(&bytes, &view);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    struct qr_chart_def *rebuilt;
    if (err == 0)
        err = qr_chart_def_decode(&rebuilt, &in);
    if (err == 0) {
        free(*def);
        *def = rebuilt;
    }
    qr_buf_release(&bytes);
    return err;
}

/* Makes *def what the chart will have.  On error it is left as it is. */
static int merge_def(struct qr_chart_def **def, const struct qr_chart_def *old)
{
    size_t max = (size_t)(*def)->n_dims + (old != NULL ? old->n_dims : 0);
    if ((*def)->n_dims > QR_DIMS_PER_CHART_MAX)
        return QR_E_LIMIT;
    struct merge merge = {.dims = malloc((max + 1) * sizeof *merge.dims)};
    if (merge.dims == NULL)
        return UV_ENOMEM;
    struct qr_map places;
    qr_map_init(&places);
    int err = merge_dims(&merge, old, *def, &places);
    if (err == 0 && !merge.in_place)
        err = rebuild(def, &merge);
    qr_map_release(&places);
    free(merge.dims);
    return err;
}

static int host_reserve_chart(struct host_node *node)
{
    uint32_t n = atomic_load_explicit(&node->host.n_charts, memory_order_relaxed);
    if (n >= QR_CHARTS_PER_HOST_MAX)
        return QR_E_LIMIT;
    if (n < node->charts_capacity)
        return 0;
    uint32_t capacity = node->charts_capacity != 0 ? node->charts_capacity * 2 : 16;
    struct qr_chart **charts = calloc(capacity, sizeof(struct qr_chart *));
    if (charts == NULL)
        return UV_ENOMEM;
    struct qr_chart **old = atomic_load_explicit(&node->host.charts, memory_order_relaxed);
    if (n != 0)
        memcpy(charts, old, n * sizeof(struct qr_chart *));
    atomic_store(&node->host.charts, charts);
    node->charts_capacity = capacity;
    qr_epoch_retire(node->catalog->epoch, old, free);
    return 0;
}

static void add_dims(struct qr_catalog *catalog, uint32_t n, uint32_t n_before)
{
    atomic_fetch_add_explicit(&catalog->n_dims, (uint64_t)n - n_before, memory_order_relaxed);
}

static int add_chart(struct qr_catalog *catalog, struct host_node *host, struct qr_chart_def *def,
                     struct qr_chart **chart)
{
    int err = host_reserve_chart(host);
    if (err == 0)
        err = list_reserve(&catalog->charts, catalog->epoch);
    if (err == 0)
        err = index_reserve(&host->by_id, catalog->epoch);
    if (err == 0)
        err = index_reserve(&host->by_name, catalog->epoch);
    struct chart_node *node = err == 0 ? calloc(1, sizeof *node) : NULL;
    if (node == NULL)
        return err != 0 ? err : UV_ENOMEM;

    struct qr_chart *added = &node->chart;
    added->id = qr_catalog_n_charts(catalog) + 1;
    added->host = &host->host;
    added->head = &node->head;
    added->base = &node->base;
    atomic_init(&added->def, def);
    list_add(&catalog->charts, added);
    uint32_t n = atomic_load_explicit(&host->host.n_charts, memory_order_relaxed);
    atomic_load_explicit(&host->host.charts, memory_order_relaxed)[n] = added;
    atomic_store_explicit(&host->host.n_charts, n + 1, memory_order_release);
    index_add(atomic_load(&host->by_id), qr_slice_str(def->id), added);
    index_add(atomic_load(&host->by_name), qr_slice_str(def->name), added);
    add_dims(catalog, def->n_dims, 0);
    *chart = added;
    return 0;
}

static int change_chart(struct qr_catalog *catalog, struct host_node *host, struct qr_chart *chart,
                        struct qr_chart_def *def)
{
    const struct qr_chart_def *old = atomic_load_explicit(&chart->def, memory_order_relaxed);
    if (strcmp(old->name, def->name) != 0) {
        int err = index_reserve(&host->by_name, catalog->epoch);
        if (err != 0)
            return err;
    }
    add_dims(catalog, def->n_dims, old->n_dims);
    atomic_store(&chart->def, def);
    if (strcmp(old->name, def->name) != 0)
        index_add(atomic_load(&host->by_name), qr_slice_str(def->name), chart);
    qr_epoch_retire(catalog->epoch, (void *)old, free);
    return 0;
}

int qr_catalog_put_chart(struct qr_catalog *catalog, struct qr_host *host, struct qr_chart_def *def,
                         struct qr_chart **chart)
{
    struct host_node *node = node_of(host);
    struct qr_chart *known = index_find(atomic_load_explicit(&node->by_id, memory_order_relaxed),
                                        qr_slice_str(def->id), false);
    int err = merge_def(&def, known != NULL ? atomic_load(&known->def) : NULL);
    if (err == 0)
        err = known != NULL ? change_chart(catalog, node, known, def)
                            : add_chart(catalog, node, def, &known);
    if (err != 0) {
        free(def);
        return err;
    }
    *chart = known;
    return 0;
}

/* ---- lookup ---- */

uint32_t qr_catalog_n_hosts(const struct qr_catalog *catalog)
{
    return atomic_load_explicit(&catalog->hosts.n, memory_order_acquire);
}

uint32_t qr_catalog_n_charts(const struct qr_catalog *catalog)
{
    return atomic_load_explicit(&catalog->charts.n, memory_order_acquire);
}

struct qr_host *qr_catalog_host(const struct qr_catalog *catalog, uint32_t id)
{
    return id != 0 ? list_get(&catalog->hosts, id - 1) : NULL;
}

struct qr_host *qr_catalog_host_by_guid(const struct qr_catalog *catalog,
                                        const struct qr_guid *guid)
{
    uint32_t n = qr_catalog_n_hosts(catalog);
    for (uint32_t id = 1; id <= n; id++) {
        struct qr_host *host = qr_catalog_host(catalog, id);
        if (qr_guid_equal(&host->guid, guid))
            return host;
    }
    return NULL;
}

struct qr_chart *qr_catalog_chart(const struct qr_catalog *catalog, uint32_t id)
{
    return id != 0 ? list_get(&catalog->charts, id - 1) : NULL;
}

struct qr_chart *qr_catalog_find(const struct qr_host *host, struct qr_slice id_or_name)
{
    const struct host_node *node = node_of(host);
    struct qr_chart *chart =
        index_find(atomic_load_explicit(&node->by_id, memory_order_acquire), id_or_name, false);
    if (chart == NULL)
        chart = index_find(atomic_load_explicit(&node->by_name, memory_order_acquire), id_or_name,
                           true);
    return chart;
}

struct qr_catalog *qr_catalog_of(const struct qr_chart *chart)
{
    return node_of(chart->host)->catalog;
}
