/* storage/index.h — who has which property: contexts and labels of charts, labels and names of
 * hosts.
 *
 *   term = kind, key, value   ("chart label", "device", "sda")  -> ids of charts or hosts,
 * ascending
 *
 * A context or a host name is a term without a key.  A term is there as long as something has it,
 * so walking the terms of a kind enumerates its distinct values, however many charts share them.
 * In memory only: catalog keeps it while it changes, and a restore builds it anew.
 *
 * One writer, readers without locks between enter and leave of the epoch.  Thread: add, remove and
 * release the writer's, the rest any. */
#ifndef QR_STORAGE_INDEX_H
#define QR_STORAGE_INDEX_H

#include "storage/lookup.h"
#include "storage/pool.h"
#include "storage/postings.h"

enum qr_term_kind {
    QR_TERM_CONTEXT,     /* of charts; no key */
    QR_TERM_CHART_LABEL, /* of charts, those that Netdata adds included */
    QR_TERM_HOST_LABEL,  /* of hosts */
    QR_TERM_HOST_NAME,   /* of hosts; no key */
    QR_TERM_KINDS
};

struct qr_term {
    const char *key, *value; /* Texts of the pool. */
    uint64_t hash;           /* The index's. */
    struct qr_postings ids;
};

struct qr_index {
    struct qr_epoch *epoch;
    struct qr_pool *pool;
    struct qr_lookup kinds[QR_TERM_KINDS];
    uint64_t bytes; /* Of the terms themselves; the writer's. */
};

void qr_index_init(struct qr_index *index, struct qr_epoch *epoch, struct qr_pool *pool);
/* No reader inside.  The texts go with the pool. */
void qr_index_release(struct qr_index *index);
void qr_index_set_epoch(struct qr_index *index, struct qr_epoch *epoch);

/* What is there already, or is not, stays so.  0 or UV_ENOMEM. */
int qr_index_add(struct qr_index *index, enum qr_term_kind kind, const char *key, const char *value,
                 uint32_t id);
int qr_index_remove(struct qr_index *index, enum qr_term_kind kind, const char *key,
                    const char *value, uint32_t id);

/* NULL: nothing has it. */
const struct qr_term *qr_index_find(const struct qr_index *index, enum qr_term_kind kind,
                                    struct qr_slice key, struct qr_slice value);
/* All terms of a kind, in no order; start with zeros. */
const struct qr_term *qr_index_walk(const struct qr_index *index, enum qr_term_kind kind,
                                    struct qr_lookup_at *at);
uint32_t qr_index_count(const struct qr_index *index, enum qr_term_kind kind);

#endif
