/* storage/internal.h — the store's own fields, for the files that make it up.  Private. */
#ifndef QR_STORAGE_INTERNAL_H
#define QR_STORAGE_INTERNAL_H

#include "base/log.h"
#include "storage/files.h"
#include "storage/index_cache.h"
#include "storage/jobs.h"
#include "storage/scrub.h"
#include "storage/state.h"
#include "storage/store.h"
#include "storage/tiler.h"

#define QR_PATH_BYTES_MAX 1024

struct qr_store {
    struct qr_store_config config;
    struct qr_store_events events;
    char *dir;
    struct qr_epoch epoch;
    struct qr_jobs jobs;
    struct qr_jobs odd_jobs; /* Seals of every other shard. */
    struct qr_jobs chores;   /* What nothing waits for. */
    struct qr_files files;
    _Atomic(struct qr_state *) state;
    _Atomic bool found_damage; /* By a reader; the writer has to look at the blocks. */
    _Atomic uint64_t n_bad_pages;
    struct qr_scrub scrub;
    struct qr_index_cache indexes;
    struct qr_tiler tiler;
    struct qr_log_limit log_limit;
    bool closing;
};

static inline struct qr_state *qr_store_state(const struct qr_store *store)
{
    return atomic_load(&store->state);
}

/* Where a block file is.  0 or UV_ENAMETOOLONG. */
int qr_store_path(const struct qr_store *store, const struct qr_block_id *id,
                  char path[QR_PATH_BYTES_MAX]);

/* Tells the owner, or the log. */
void qr_store_report_block(struct qr_store *store, const struct qr_block_id *id,
                           const char *sentence);

/* The file does not hold what the group agreed on: the writer is told.  Thread: any. */
void qr_store_note_damage(struct qr_store *store, struct qr_block *block, int status);

#endif
