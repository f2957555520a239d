/* storage/catalog.h — hosts and charts of one group: ids, definitions, lookup.
 *
 *   id -> chart                         storage/ids
 *   (host, id or name) -> chart         storage/lookup
 *   GUID -> host                        storage/lookup
 *   context, label, host name -> ids    storage/index
 *   definitions                         storage/pool: one for all charts that have it
 *
 * One writer, many readers without locks (base/epoch): who is inside between enter and leave may
 * use what it has found, also when it is removed meanwhile.  Ids are given in log order and never
 * again.  A chart that is removed while a window of it is being written (storage/seal) is gone for
 * readers at once; its memory waits for the window.
 *
 * Thread: put, remove, bury, init and release the writer's, the rest any. */
#ifndef QR_STORAGE_CATALOG_H
#define QR_STORAGE_CATALOG_H

#include "base/epoch.h"
#include "storage/head.h"
#include "storage/ids.h"
#include "storage/index.h"
#include "storage/lookup.h"
#include "storage/store.h"

struct qr_catalog {
    struct qr_epoch *epoch;
    struct qr_pool *pool;
    struct qr_index index;
    struct qr_ids charts;                   /* struct qr_chart */
    _Atomic(struct qr_store_hosts *) hosts; /* By id. */
    uint32_t hosts_capacity;
    struct qr_lookup by_guid, by_id, by_name; /* Names that are the id are not in by_name. */
    struct qr_chart *condemned;     /* Removed charts with slabs that are being written. */
    uint32_t last_host, last_chart; /* Ids given last; replicated. */
    _Atomic uint64_t n_dims;
    _Atomic int64_t edge_s; /* What ended before it is gone: retention's. */
};

/* 0 or UV_ENOMEM. */
int qr_catalog_init(struct qr_catalog *catalog, struct qr_epoch *epoch);
/* No reader inside, nothing of it still retired.  The charts' slabs are the head's. */
void qr_catalog_release(struct qr_catalog *catalog);
/* Everything of it that retires memory does so there from now on. */
void qr_catalog_set_epoch(struct qr_catalog *catalog, struct qr_epoch *epoch);

/* As qr_store_apply_host and qr_store_apply_chart: they take `def`, also when they fail. */
int qr_catalog_put_host(struct qr_catalog *catalog, struct qr_host_def *def, struct qr_host **host);
int qr_catalog_put_chart(struct qr_catalog *catalog, struct qr_host *host, struct qr_chart_def *def,
                         struct qr_chart **chart);
/* From a snapshot, where a definition that was there before is not repeated: a new chart with the
 * next id, of a definition that the catalog has.  0, QR_E_MALFORMED (the id is known), QR_E_LIMIT
 * or UV_ENOMEM. */
int qr_catalog_put_known(struct qr_catalog *catalog, struct qr_host *host,
                         const struct qr_chart_def *def, struct qr_chart **chart);

/* The chart has no slab that is not frozen.  0 or UV_ENOMEM. */
int qr_catalog_remove_chart(struct qr_catalog *catalog, struct qr_chart *chart);
/* The host has no charts.  0 or UV_ENOMEM. */
int qr_catalog_remove_host(struct qr_catalog *catalog, struct qr_host *host);
/* Frees removed charts whose windows are written by now. */
void qr_catalog_bury(struct qr_catalog *catalog);

/* Live ones. */
uint32_t qr_catalog_n_hosts(const struct qr_catalog *catalog);
uint32_t qr_catalog_n_charts(const struct qr_catalog *catalog);
/* By id; never NULL, and unchanged as far as its n said. */
const struct qr_store_hosts *qr_catalog_hosts(const struct qr_catalog *catalog);
/* Where the host with that id is among the first n, or belongs. */
uint32_t qr_catalog_place(const struct qr_store_hosts *hosts, uint32_t n, uint32_t id);
/* NULL: none. */
struct qr_host *qr_catalog_host(const struct qr_catalog *catalog, uint32_t id);
struct qr_host *qr_catalog_host_by_guid(const struct qr_catalog *catalog,
                                        const struct qr_guid *guid);
struct qr_chart *qr_catalog_chart(const struct qr_catalog *catalog, uint32_t id);
/* The live chart with the smallest id above *id, which it moves there; NULL: no more. */
struct qr_chart *qr_catalog_next(const struct qr_catalog *catalog, uint32_t *id);
/* By id first, then by name; of several with that name the oldest. */
struct qr_chart *qr_catalog_find(const struct qr_host *host, struct qr_slice id_or_name);

/* Why the host may not have this chart, which it has not yet; NULL: it may. */
const char *qr_catalog_refusal(const struct qr_host *host, const struct qr_chart_def *def);

/* The catalog that a chart is in: its host's. */
struct qr_catalog *qr_catalog_of(const struct qr_chart *chart);

struct qr_catalog_stats {
    struct qr_pool_stats pool;
    uint32_t n_terms[QR_TERM_KINDS];
};
void qr_catalog_get_stats(const struct qr_catalog *catalog, struct qr_catalog_stats *stats); /* W */

#endif
