/* storage/state.h — everything that a snapshot replaces, as one thing that readers get at once.
 *
 * A store has one state; a restore builds another beside it and publishes that.  Private to this
 * folder.  Thread: the writer's, but for what catalog, head and manifest say. */
#ifndef QR_STORAGE_STATE_H
#define QR_STORAGE_STATE_H

#include "storage/catalog.h"
#include "storage/head.h"
#include "storage/manifest.h"
#include "storage/merge.h"
#include "storage/seal.h"
#include "storage/shard.h"
#include "storage/store.h"

/* Gaps in log order; immutable but for what is added at the end. */
struct qr_gap_list {
    _Atomic uint32_t n;
    uint32_t capacity;
    struct qr_gap gaps[];
};

struct qr_state {
    struct qr_store *store;
    struct qr_epoch *epoch;
    struct qr_catalog catalog;
    struct qr_head head;
    struct qr_shards shards;
    struct qr_manifest manifest;
    struct qr_list seals;  /* Frozen windows whose files are not written. */
    struct qr_list merges; /* Merged files that are not in the manifest yet, in log order. */
    struct qr_list votes;  /* On files that are not agreed on (storage/confirm). */
    bool detached;         /* Replaced by a restore; lives until its running job ends. */
    _Atomic(struct qr_gap_list *) gaps;
    _Atomic int64_t retain_s[QR_TIERS]; /* What ended at or before a tier's edge is gone. */
    _Atomic uint64_t n_rows, n_samples, n_duplicates;
};

int qr_state_new(struct qr_state **state, struct qr_store *store, struct qr_epoch *epoch,
                 uint32_t window_s);
/* Everything of it that retires memory does so there from now on. */
void qr_state_set_epoch(struct qr_state *state, struct qr_epoch *epoch);
/* No reader inside, no job running. */
void qr_state_release(void *state);
/* The same by a job of the store's: freeing 1 M metrics takes some 100 ms.  On the loop. */
void qr_state_release_later(void *state);

/* Drops gaps that end at or before edge_s.  0 or UV_ENOMEM. */
int qr_state_expire_gaps(struct qr_state *state, int64_t edge_s);

/* Drops gaps of charts that are not in the catalog any more.  0 or UV_ENOMEM. */
int qr_state_drop_gaps(struct qr_state *state);

/* Appends; 0, QR_E_LIMIT or UV_ENOMEM. */
int qr_state_add_gap(struct qr_state *state, const struct qr_gap *gap);

/* Thread: any. */
static inline int64_t qr_state_edge(const struct qr_state *state, unsigned tier)
{
    return state->retain_s[tier];
}

static inline struct qr_state *qr_state_of(const struct qr_chart *chart)
{
    return QR_CONTAINER_OF(qr_catalog_of(chart), struct qr_state, catalog);
}

#endif
