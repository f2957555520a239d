/* storage/internal.h — the store's own fields, for the files that make it up.  Private. */
#ifndef QR_STORAGE_INTERNAL_H
#define QR_STORAGE_INTERNAL_H

#include "storage/state.h"
#include "storage/store.h"

struct qr_store {
    struct qr_store_config config;
    struct qr_store_events events;
    char *dir;
    struct qr_epoch epoch;
    _Atomic(struct qr_state *) state;
};

static inline struct qr_state *qr_store_state(const struct qr_store *store)
{
    return atomic_load(&store->state);
}

#endif
