/* storage/catalog.h — hosts and charts of one group: ids, definitions, lookup.
 *
 * One writer, many readers without locks (base/epoch): arrays only grow and publish their length
 * last; a definition is replaced by one atomic store.  The structs themselves (storage/store.h)
 * live as long as the catalog.  Lookup by text goes through a hash table a host; a renamed chart
 * leaves its old entry behind, which no longer matches. Thread: qr_catalog_put_* and init/release
 * the writer's, the rest any. */
#ifndef QR_STORAGE_CATALOG_H
#define QR_STORAGE_CATALOG_H

#include "base/epoch.h"
#include "storage/head.h"
#include "storage/store.h"

/* Pointers in order of arrival; only grows.  Readers load n first, then `at`. */
struct qr_catalog_list {
    _Atomic uint32_t n;
    uint32_t capacity;
    _Atomic(void **) at;
};

struct qr_catalog {
    struct qr_epoch *epoch;
    struct qr_catalog_list hosts;  /* struct qr_host, id - 1 */
    struct qr_catalog_list charts; /* struct qr_chart, id - 1 */
    _Atomic uint64_t n_dims;
};

void qr_catalog_init(struct qr_catalog *catalog, struct qr_epoch *epoch);
/* No reader inside.  Frees definitions and structs; the charts' slabs are the head's. */
void qr_catalog_release(struct qr_catalog *catalog);

/* As qr_store_apply_host and qr_store_apply_chart: they take `def`, also when they fail. */
int qr_catalog_put_host(struct qr_catalog *catalog, struct qr_host_def *def, struct qr_host **host);
int qr_catalog_put_chart(struct qr_catalog *catalog, struct qr_host *host, struct qr_chart_def *def,
                         struct qr_chart **chart);

uint32_t qr_catalog_n_hosts(const struct qr_catalog *catalog);
uint32_t qr_catalog_n_charts(const struct qr_catalog *catalog);
/* NULL: none. */
struct qr_host *qr_catalog_host(const struct qr_catalog *catalog, uint32_t id);
struct qr_host *qr_catalog_host_by_guid(const struct qr_catalog *catalog,
                                        const struct qr_guid *guid);
struct qr_chart *qr_catalog_chart(const struct qr_catalog *catalog, uint32_t id);
/* By id first, then by name; of several with that name the oldest. */
struct qr_chart *qr_catalog_find(const struct qr_host *host, struct qr_slice id_or_name);

/* The catalog that a chart is in: its host's. */
struct qr_catalog *qr_catalog_of(const struct qr_chart *chart);

#endif
