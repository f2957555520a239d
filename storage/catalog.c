#include "storage/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/map.h"
#include "storage/entry.h"
#include "storage/merge_dims.h"

struct host_node {
    struct qr_host host;
    struct qr_catalog *catalog;
    struct qr_chart *last;    /* Of its charts. */
    uint32_t n_users;         /* Charts that are not freed, and 1 until no reader sees the host. */
    _Atomic uint64_t n_dims;  /* Of its charts. */
    _Atomic uint64_t n_bytes; /* Of their definitions in the log. */
};

struct chart_node {
    struct qr_chart chart;
    struct qr_chart *previous; /* Of the host; of the condemned, once it is one of them. */
    struct qr_chart_head head;
    struct qr_entry_base base;
};

static struct host_node *host_node(const struct qr_host *host)
{
    return QR_CONTAINER_OF((struct qr_host *)(uintptr_t)host, struct host_node, host);
}

static struct chart_node *chart_node(const struct qr_chart *chart)
{
    return QR_CONTAINER_OF((struct qr_chart *)(uintptr_t)chart, struct chart_node, chart);
}

static const struct qr_chart_def *def_of(const struct qr_chart *chart)
{
    return atomic_load_explicit(&chart->def, memory_order_acquire);
}

static uint64_t hash_guid(const struct qr_guid *guid)
{
    return qr_map_hash(qr_slice_of(guid->bytes, sizeof guid->bytes));
}

/* Of a chart's id or name. */
static uint64_t hash_text(const struct qr_host *host, struct qr_slice text)
{
    return qr_map_hash(text) + host->id * 0x9e3779b97f4a7c15u;
}

static bool has_own_name(const struct qr_chart_def *def)
{
    return strcmp(def->id, def->name) != 0;
}

/* ---- life ---- */

int qr_catalog_init(struct qr_catalog *catalog, struct qr_epoch *epoch)
{
    memset(catalog, 0, sizeof *catalog);
    catalog->epoch = epoch;
    struct qr_store_hosts *hosts = calloc(1, sizeof *hosts);
    if (hosts == NULL || qr_pool_new(&catalog->pool, epoch) != 0) {
        free(hosts);
        return UV_ENOMEM;
    }
    atomic_init(&catalog->hosts, hosts);
    qr_index_init(&catalog->index, epoch, catalog->pool);
    qr_ids_init(&catalog->charts, epoch);
    qr_lookup_init(&catalog->by_guid, epoch);
    qr_lookup_init(&catalog->by_id, epoch);
    qr_lookup_init(&catalog->by_name, epoch);
    return 0;
}

void qr_catalog_set_epoch(struct qr_catalog *catalog, struct qr_epoch *epoch)
{
    catalog->epoch = epoch;
    catalog->charts.epoch = epoch;
    catalog->by_guid.epoch = catalog->by_id.epoch = catalog->by_name.epoch = epoch;
    qr_index_set_epoch(&catalog->index, epoch);
    qr_pool_set_epoch(catalog->pool, epoch);
}

static void leave_host(struct host_node *node)
{
    if (--node->n_users == 0)
        free(node);
}

/* When no reader sees it. */
static void free_chart(void *memory)
{
    struct chart_node *node = memory;
    struct host_node *host = host_node(node->chart.host);
    qr_entry_base_release(&node->base);
    free(node);
    leave_host(host);
}

static void free_host(void *memory)
{
    leave_host(memory);
}

void qr_catalog_release(struct qr_catalog *catalog)
{
    for (struct qr_chart *chart = catalog->condemned, *next; chart != NULL; chart = next) {
        next = chart_node(chart)->previous;
        free_chart(chart_node(chart));
    }
    uint32_t id = 0;
    struct qr_chart *chart;
    while ((chart = qr_catalog_next(catalog, &id)) != NULL)
        free_chart(chart_node(chart));
    struct qr_store_hosts *hosts = atomic_load(&catalog->hosts);
    for (uint32_t i = 0; hosts != NULL && i < atomic_load(&hosts->n); i++) {
        free((void *)(uintptr_t)atomic_load(&hosts->at[i]->def));
        leave_host(host_node(hosts->at[i]));
    }
    free(hosts);
    qr_index_release(&catalog->index);
    qr_ids_release(&catalog->charts);
    qr_lookup_release(&catalog->by_guid);
    qr_lookup_release(&catalog->by_id);
    qr_lookup_release(&catalog->by_name);
    qr_pool_free(catalog->pool);
}

/* ---- what the index says of a host ---- */

static int index_host(struct qr_catalog *catalog, uint32_t id, const struct qr_host_def *def)
{
    int err = qr_index_add(&catalog->index, QR_TERM_HOST_NAME, "", def->hostname, id);
    for (uint32_t i = 0; i < def->n_labels && err == 0; i++)
        err = qr_index_add(&catalog->index, QR_TERM_HOST_LABEL, def->labels[i].name,
                           def->labels[i].value, id);
    return err;
}

static bool has_host_label(const struct qr_host_def *def, const struct qr_def_label *label)
{
    for (uint32_t i = 0; def != NULL && i < def->n_labels; i++)
        if (strcmp(def->labels[i].name, label->name) == 0 &&
            strcmp(def->labels[i].value, label->value) == 0)
            return true;
    return false;
}

/* What `def` says and `next` does not; NULL: the host goes. */
static int unindex_host(struct qr_catalog *catalog, uint32_t id, const struct qr_host_def *def,
                        const struct qr_host_def *next)
{
    int err = 0;
    if (next == NULL || strcmp(def->hostname, next->hostname) != 0)
        err = qr_index_remove(&catalog->index, QR_TERM_HOST_NAME, "", def->hostname, id);
    for (uint32_t i = 0; i < def->n_labels && err == 0; i++)
        if (!has_host_label(next, &def->labels[i]))
            err = qr_index_remove(&catalog->index, QR_TERM_HOST_LABEL, def->labels[i].name,
                                  def->labels[i].value, id);
    return err;
}

/* ---- hosts ---- */

static int change_host(struct qr_catalog *catalog, struct qr_host *host, struct qr_host_def *def)
{
    const struct qr_host_def *old = atomic_load_explicit(&host->def, memory_order_relaxed);
    int err = index_host(catalog, host->id, def);
    if (err != 0) {
        free(def);
        return err;
    }
    atomic_store(&host->def, def);
    err = unindex_host(catalog, host->id, old, def);
    qr_epoch_retire(catalog->epoch, (void *)(uintptr_t)old, free);
    return err;
}

/* The array of hosts with room for one more. */
static struct qr_store_hosts *reserve_host(struct qr_catalog *catalog)
{
    struct qr_store_hosts *old = atomic_load_explicit(&catalog->hosts, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&old->n, memory_order_relaxed);
    if (n < catalog->hosts_capacity)
        return old;
    uint32_t capacity = n != 0 ? n * 2 : 16;
    struct qr_store_hosts *hosts = malloc(sizeof *hosts + capacity * sizeof(struct qr_host *));
    if (hosts == NULL)
        return NULL;
    atomic_init(&hosts->n, n);
    if (n != 0)
        memcpy(hosts->at, old->at, n * sizeof(struct qr_host *));
    catalog->hosts_capacity = capacity;
    atomic_store(&catalog->hosts, hosts);
    qr_epoch_retire(catalog->epoch, old, free);
    return hosts;
}

static struct host_node *host_new(struct qr_catalog *catalog, const struct qr_host_def *def)
{
    struct host_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->catalog = catalog;
    node->n_users = 1;
    node->host.id = catalog->last_host + 1;
    node->host.guid = def->guid;
    qr_guid_format(&def->guid, node->host.guid_text);
    atomic_init(&node->host.def, def);
    return node;
}

int qr_catalog_put_host(struct qr_catalog *catalog, struct qr_host_def *def, struct qr_host **host)
{
    struct qr_host *known = qr_catalog_host_by_guid(catalog, &def->guid);
    if (known != NULL) {
        *host = known;
        return change_host(catalog, known, def);
    }
    if (catalog->last_host == QR_HOSTS_MAX) {
        free(def);
        return QR_E_LIMIT;
    }
    struct qr_store_hosts *hosts = reserve_host(catalog);
    struct host_node *node = hosts != NULL ? host_new(catalog, def) : NULL;
    int err = node != NULL ? index_host(catalog, node->host.id, def) : UV_ENOMEM;
    if (err == 0)
        err = qr_lookup_add(&catalog->by_guid, hash_guid(&def->guid), node);
    if (err != 0) {
        free(node);
        free(def);
        return err;
    }
    catalog->last_host = node->host.id;
    uint32_t n = atomic_load_explicit(&hosts->n, memory_order_relaxed);
    hosts->at[n] = &node->host;
    atomic_store_explicit(&hosts->n, n + 1, memory_order_release);
    *host = &node->host;
    return 0;
}

uint32_t qr_catalog_place(const struct qr_store_hosts *hosts, uint32_t n, uint32_t id)
{
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (hosts->at[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int qr_catalog_remove_host(struct qr_catalog *catalog, struct qr_host *host)
{
    struct host_node *node = host_node(host);
    struct qr_store_hosts *old = atomic_load_explicit(&catalog->hosts, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(&old->n, memory_order_relaxed);
    uint32_t at = qr_catalog_place(old, n, host->id);
    assert(at < n && old->at[at] == host && node->last == NULL);
    const struct qr_host_def *def = atomic_load_explicit(&host->def, memory_order_relaxed);
    struct qr_store_hosts *hosts = malloc(sizeof *hosts + n * sizeof(struct qr_host *));
    int err = hosts != NULL ? unindex_host(catalog, host->id, def, NULL) : UV_ENOMEM;
    if (err != 0) {
        free(hosts);
        return err;
    }
    atomic_init(&hosts->n, n - 1);
    memcpy(hosts->at, old->at, at * sizeof(struct qr_host *));
    memcpy(&hosts->at[at], &old->at[at + 1], (n - 1 - at) * sizeof(struct qr_host *));
    catalog->hosts_capacity = n;
    atomic_store(&catalog->hosts, hosts);
    qr_lookup_remove(&catalog->by_guid, hash_guid(&host->guid), node);
    qr_epoch_retire(catalog->epoch, old, free);
    qr_epoch_retire(catalog->epoch, (void *)(uintptr_t)def, free);
    qr_epoch_retire(catalog->epoch, node, free_host);
    return 0;
}

/* ---- what the index says of a chart ---- */

static int index_chart(struct qr_catalog *catalog, uint32_t id, const struct qr_chart_def *def,
                       bool context)
{
    int err = 0;
    if (context)
        err = qr_index_add(&catalog->index, QR_TERM_CONTEXT, "", def->context, id);
    struct qr_def_label label;
    for (uint32_t i = 0; err == 0 && qr_chart_def_label(def, i, &label); i++)
        err = qr_index_add(&catalog->index, QR_TERM_CHART_LABEL, label.name, label.value, id);
    return err;
}

static bool has_label(const struct qr_chart_def *def, const struct qr_def_label *wanted)
{
    struct qr_def_label label;
    for (uint32_t i = 0; def != NULL && qr_chart_def_label(def, i, &label); i++)
        if (strcmp(label.name, wanted->name) == 0 && strcmp(label.value, wanted->value) == 0)
            return true;
    return false;
}

/* What `def` says and `next` does not; NULL: the chart goes. */
static int unindex_chart(struct qr_catalog *catalog, uint32_t id, const struct qr_chart_def *def,
                         const struct qr_chart_def *next)
{
    int err = 0;
    if (next == NULL || strcmp(def->context, next->context) != 0)
        err = qr_index_remove(&catalog->index, QR_TERM_CONTEXT, "", def->context, id);
    struct qr_def_label label;
    for (uint32_t i = 0; err == 0 && qr_chart_def_label(def, i, &label); i++)
        if (!has_label(next, &label))
            err =
                qr_index_remove(&catalog->index, QR_TERM_CHART_LABEL, label.name, label.value, id);
    return err;
}

/* ---- limits ---- */

static size_t label_bytes(const struct qr_def_label *labels, uint32_t n)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += strlen(labels[i].name) + strlen(labels[i].value) + 4;
    return bytes;
}

/* About what it takes in the log and in a snapshot; the same on every member. */
static uint64_t def_bytes(const struct qr_chart_def *def)
{
    size_t bytes = 64 + strlen(def->id) + strlen(def->name) + strlen(def->title) +
                   strlen(def->units) + strlen(def->family) + strlen(def->context) +
                   strlen(def->plugin) + strlen(def->module);
    for (uint32_t i = 0; i < def->n_dims; i++)
        bytes += strlen(def->dims[i].id) + strlen(def->dims[i].name) + 8;
    return bytes + label_bytes(def->labels, def->n_labels);
}

/* With `old` (or nothing) in its place now. */
static const char *refusal(const struct qr_host *host, const struct qr_chart_def *old,
                           const struct qr_chart_def *def)
{
    const struct host_node *node = host_node(host);
    uint64_t n_dims = atomic_load_explicit(&node->n_dims, memory_order_relaxed) + def->n_dims -
                      (old != NULL ? old->n_dims : 0);
    uint64_t n_bytes = atomic_load_explicit(&node->n_bytes, memory_order_relaxed) + def_bytes(def) -
                       (old != NULL ? def_bytes(old) : 0);
    if (def->n_dims > QR_DIMS_PER_CHART_MAX)
        return "it would have more dimensions than a chart may have (65535)";
    if (old == NULL &&
        atomic_load_explicit(&host->n_charts, memory_order_relaxed) >= QR_CHARTS_PER_HOST_MAX)
        return "its host has as many charts as a host may have (100000)";
    if (old == NULL && qr_catalog_n_charts(node->catalog) >= QR_CHARTS_MAX)
        return "the cluster has as many charts as it may have (16777216)";
    if (n_dims > QR_DIMS_PER_HOST_MAX && (old == NULL || def->n_dims > old->n_dims))
        return "its host would have more dimensions than a host may have (1000000)";
    if (n_bytes > QR_DEFINITION_BYTES_MAX && (old == NULL || def_bytes(def) > def_bytes(old)))
        return "the definitions of its host would take more than 256 MiB";
    if (old == NULL && node->catalog->last_chart == UINT32_MAX)
        return "the cluster has given all the ids of charts that there are";
    return NULL;
}

const char *qr_catalog_refusal(const struct qr_host *host, const struct qr_chart_def *def)
{
    return refusal(host, NULL, def);
}

static void count_def(struct host_node *host, const struct qr_chart_def *old,
                      const struct qr_chart_def *def)
{
    uint64_t n_dims = (def != NULL ? def->n_dims : 0) - (uint64_t)(old != NULL ? old->n_dims : 0);
    uint64_t n_bytes = (def != NULL ? def_bytes(def) : 0) - (old != NULL ? def_bytes(old) : 0);
    atomic_fetch_add_explicit(&host->catalog->n_dims, n_dims, memory_order_relaxed);
    atomic_fetch_add_explicit(&host->n_dims, n_dims, memory_order_relaxed);
    atomic_fetch_add_explicit(&host->n_bytes, n_bytes, memory_order_relaxed);
}

/* ---- charts ---- */

/* By id only, not by name. */
static struct qr_chart *find_by_id(const struct qr_host *host, struct qr_slice id)
{
    struct qr_lookup_at at = {0};
    struct qr_chart *chart;
    while ((chart = qr_lookup_next(&host_node(host)->catalog->by_id, hash_text(host, id), &at)) !=
           NULL)
        if (chart->host == host && qr_slice_is(id, def_of(chart)->id))
            break;
    return chart;
}

static int add_name(struct qr_catalog *catalog, struct qr_chart *chart,
                    const struct qr_chart_def *def)
{
    return has_own_name(def) ? qr_lookup_add(&catalog->by_name,
                                             hash_text(chart->host, qr_slice_str(def->name)), chart)
                             : 0;
}

static void remove_name(struct qr_catalog *catalog, struct qr_chart *chart,
                        const struct qr_chart_def *def)
{
    if (has_own_name(def))
        qr_lookup_remove(&catalog->by_name, hash_text(chart->host, qr_slice_str(def->name)), chart);
}

static struct chart_node *chart_new(struct qr_catalog *catalog, struct qr_host *host,
                                    const struct qr_chart_def *def)
{
    struct chart_node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->chart.id = catalog->last_chart + 1;
    node->chart.host = host;
    node->chart.head = &node->head;
    node->chart.base = &node->base;
    atomic_init(&node->chart.def, def);
    return node;
}

/* Last of its host's charts, for all to see. */
static void link_chart(struct host_node *host, struct chart_node *node)
{
    node->previous = host->last;
    if (host->last != NULL)
        atomic_store_explicit(&host->last->next, &node->chart, memory_order_release);
    else
        atomic_store_explicit(&host->host.charts, &node->chart, memory_order_release);
    host->last = &node->chart;
    atomic_store_explicit(&host->host.last_chart, node->chart.id, memory_order_relaxed);
    host->n_users++;
    atomic_fetch_add_explicit(&host->host.n_charts, 1, memory_order_relaxed);
}

/* A member without memory stops: what a failure leaves half done is never used. */
static int add_chart(struct qr_catalog *catalog, struct qr_host *host,
                     const struct qr_chart_def *def, struct qr_chart **chart)
{
    struct chart_node *node = chart_new(catalog, host, def);
    if (node == NULL) {
        qr_pool_drop_def(def);
        return UV_ENOMEM;
    }
    struct qr_chart *added = &node->chart;
    if (qr_ids_set(&catalog->charts, added->id, added) != 0) {
        qr_pool_drop_def(def);
        free(node);
        return UV_ENOMEM;
    }
    catalog->last_chart = added->id;
    int err = qr_lookup_add(&catalog->by_id, hash_text(host, qr_slice_str(def->id)), added);
    if (err == 0)
        err = add_name(catalog, added, def);
    if (err == 0)
        err = index_chart(catalog, added->id, def, true);
    count_def(host_node(host), NULL, def);
    link_chart(host_node(host), node); /* Last: who finds it there finds it by name, too. */
    *chart = added;
    return err;
}

static int change_chart(struct qr_catalog *catalog, struct qr_chart *chart,
                        const struct qr_chart_def *def)
{
    const struct qr_chart_def *old = def_of(chart);
    if (def == old) {
        qr_pool_drop_def(def);
        return 0;
    }
    bool renamed = strcmp(old->name, def->name) != 0;
    int err = renamed ? add_name(catalog, chart, def) : 0;
    if (err == 0)
        err = index_chart(catalog, chart->id, def, strcmp(old->context, def->context) != 0);
    atomic_store(&chart->def, def);
    if (err == 0)
        err = unindex_chart(catalog, chart->id, old, def);
    if (err == 0 && renamed)
        remove_name(catalog, chart, old);
    count_def(host_node(chart->host), old, def);
    qr_pool_drop_def(old);
    return err;
}

int qr_catalog_put_chart(struct qr_catalog *catalog, struct qr_host *host, struct qr_chart_def *def,
                         struct qr_chart **chart)
{
    struct qr_chart *known = find_by_id(host, qr_slice_str(def->id));
    const struct qr_chart_def *old = known != NULL ? def_of(known) : NULL;
    int err = qr_merge_dims(&def, old);
    if (err == 0 && refusal(host, old, def) != NULL)
        err = QR_E_LIMIT;
    const struct qr_chart_def *pooled = err == 0 ? qr_pool_def(catalog->pool, def) : NULL;
    free(def);
    if (pooled == NULL)
        return err != 0 ? err : UV_ENOMEM;
    err = known != NULL ? change_chart(catalog, known, pooled)
                        : add_chart(catalog, host, pooled, &known);
    if (err == 0)
        *chart = known;
    return err;
}

int qr_catalog_put_known(struct qr_catalog *catalog, struct qr_host *host,
                         const struct qr_chart_def *def, struct qr_chart **chart)
{
    if (find_by_id(host, qr_slice_str(def->id)) != NULL)
        return QR_E_MALFORMED;
    if (refusal(host, NULL, def) != NULL)
        return QR_E_LIMIT;
    const struct qr_chart_def *pooled = qr_pool_def(catalog->pool, def);
    return pooled != NULL ? add_chart(catalog, host, pooled, chart) : UV_ENOMEM;
}

/* ---- removal ---- */

/* A reader that stands on it still finds its way on: `next` stays. */
static void unlink_chart(struct host_node *host, struct chart_node *node)
{
    struct qr_chart *next = atomic_load_explicit(&node->chart.next, memory_order_relaxed);
    if (node->previous != NULL)
        atomic_store(&node->previous->next, next);
    else
        atomic_store(&host->host.charts, next);
    if (next != NULL)
        chart_node(next)->previous = node->previous;
    else
        host->last = node->previous;
    atomic_fetch_sub_explicit(&host->host.n_charts, 1, memory_order_relaxed);
}

int qr_catalog_remove_chart(struct qr_catalog *catalog, struct qr_chart *chart)
{
    struct chart_node *node = chart_node(chart);
    const struct qr_chart_def *def = def_of(chart);
    int err = unindex_chart(catalog, chart->id, def, NULL);
    if (err != 0)
        return err;
    qr_ids_remove(&catalog->charts, chart->id);
    qr_lookup_remove(&catalog->by_id, hash_text(chart->host, qr_slice_str(def->id)), chart);
    remove_name(catalog, chart, def);
    unlink_chart(host_node(chart->host), node);
    count_def(host_node(chart->host), def, NULL);
    qr_pool_drop_def(def);
    if (qr_head_first(&node->head) != NULL) {
        node->previous = catalog->condemned;
        catalog->condemned = chart;
    } else {
        qr_epoch_retire(catalog->epoch, node, free_chart);
    }
    return 0;
}

void qr_catalog_bury(struct qr_catalog *catalog)
{
    struct qr_chart **link = &catalog->condemned;
    while (*link != NULL) {
        struct chart_node *node = chart_node(*link);
        if (qr_head_first(&node->head) != NULL) {
            link = &node->previous;
            continue;
        }
        *link = node->previous;
        qr_epoch_retire(catalog->epoch, node, free_chart);
    }
}

/* ---- lookup ---- */

const struct qr_store_hosts *qr_catalog_hosts(const struct qr_catalog *catalog)
{
    return atomic_load(&catalog->hosts);
}

uint32_t qr_catalog_n_hosts(const struct qr_catalog *catalog)
{
    return atomic_load_explicit(&qr_catalog_hosts(catalog)->n, memory_order_acquire);
}

uint32_t qr_catalog_n_charts(const struct qr_catalog *catalog)
{
    return qr_ids_count(&catalog->charts);
}

struct qr_host *qr_catalog_host(const struct qr_catalog *catalog, uint32_t id)
{
    const struct qr_store_hosts *hosts = qr_catalog_hosts(catalog);
    uint32_t n = atomic_load_explicit(&hosts->n, memory_order_acquire);
    uint32_t at = qr_catalog_place(hosts, n, id);
    return at < n && hosts->at[at]->id == id ? hosts->at[at] : NULL;
}

struct qr_host *qr_catalog_host_by_guid(const struct qr_catalog *catalog,
                                        const struct qr_guid *guid)
{
    struct qr_lookup_at at = {0};
    struct host_node *node;
    while ((node = qr_lookup_next(&catalog->by_guid, hash_guid(guid), &at)) != NULL)
        if (qr_guid_equal(&node->host.guid, guid))
            return &node->host;
    return NULL;
}

struct qr_chart *qr_catalog_chart(const struct qr_catalog *catalog, uint32_t id)
{
    return qr_ids_get(&catalog->charts, id);
}

struct qr_chart *qr_catalog_next(const struct qr_catalog *catalog, uint32_t *id)
{
    return qr_ids_next(&catalog->charts, id);
}

struct qr_chart *qr_catalog_find(const struct qr_host *host, struct qr_slice id_or_name)
{
    struct qr_chart *chart = find_by_id(host, id_or_name), *found = NULL;
    if (chart != NULL)
        return chart;
    struct qr_lookup_at at = {0};
    uint64_t hash = hash_text(host, id_or_name);
    while ((chart = qr_lookup_next(&host_node(host)->catalog->by_name, hash, &at)) != NULL)
        if (chart->host == host && qr_slice_is(id_or_name, def_of(chart)->name) &&
            (found == NULL || chart->id < found->id))
            found = chart;
    return found;
}

struct qr_catalog *qr_catalog_of(const struct qr_chart *chart)
{
    return host_node(chart->host)->catalog;
}

int64_t qr_chart_first_s(const struct qr_chart *chart)
{
    int64_t oldest_s = atomic_load_explicit(&chart->oldest_s, memory_order_relaxed);
    int64_t edge_s = atomic_load_explicit(&qr_catalog_of(chart)->edge_s, memory_order_relaxed);
    if (oldest_s == 0 || oldest_s >= edge_s)
        return oldest_s;
    return atomic_load_explicit(&chart->watermark_s, memory_order_relaxed) >= edge_s ? edge_s : 0;
}

void qr_catalog_get_stats(const struct qr_catalog *catalog, struct qr_catalog_stats *stats)
{
    qr_pool_get_stats(catalog->pool, &stats->pool);
    for (int kind = 0; kind < QR_TERM_KINDS; kind++)
        stats->n_terms[kind] = qr_index_count(&catalog->index, (enum qr_term_kind)kind);
}
