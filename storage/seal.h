/* storage/seal.h — from a frozen window to its block file.
 *
 *   qr_seal_start:  freeze each shard's window (a flag), then a job for each
 *   worker:         encode from the cells, in order of chart ids; is the same file there (after a
 *                   restart)? keep it, else NAME.tmp, sync, rename, sync the folder
 *   loop:           into the manifest, then the slabs are dropped; events.sealed
 *
 * If the disk fails the window stays frozen in memory, readable, and the job is started again by
 * qr_seal_retry; no snapshot is made meanwhile, so the log keeps what it needs.
 * Thread: the writer's, but for the job. */
#ifndef QR_STORAGE_SEAL_H
#define QR_STORAGE_SEAL_H

#include "storage/block.h"
#include "storage/head.h"
#include "storage/jobs.h"

struct qr_state;

struct qr_seal {
    struct qr_job job;
    struct qr_list node; /* In state->seals. */
    struct qr_state *state;
    struct qr_block_id id;
    struct qr_head_window *frozen; /* The head's. */
    bool started;                  /* Waits or runs. */
    bool is_named;                 /* The group agreed what it should be: */
    uint64_t named_bytes, named_hash;
    /* The job's results. */
    int status;
    uint64_t bytes, hash;
};

/* All shards of the window.  0, also if there is nothing to seal; or UV_ENOMEM. */
int qr_seal_start(struct qr_state *state, int64_t window_start_s);
void qr_seal_retry(struct qr_state *state);
/* Frozen windows, of one shard or several, that are not all in files. */
unsigned qr_seal_n_windows(const struct qr_state *state);
/* NULL: none that is not written. */
struct qr_seal *qr_seal_find(const struct qr_state *state, const struct qr_block_id *id);
/* How often that shard's window was sealed, which names its next file; id->generation does not
 * matter. */
uint32_t qr_seal_next_generation(const struct qr_state *state, const struct qr_block_id *id);
/* What a SEAL of a shard's window writes next. */
struct qr_block_id qr_seal_next_id(const struct qr_state *state, int64_t window_start_s,
                                   uint32_t shard);
/* Before its state is freed or left: what waits is taken back, what runs ends alone.  True if some
 * run: then the state is retired when the last of them ends. */
bool qr_seal_detach(struct qr_state *state);

#endif
