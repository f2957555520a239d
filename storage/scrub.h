/* storage/scrub.h — reads block files through, slowly, so that damage is found in time.
 *
 * At a start only footers are read, and queries read only the pages they need: a page that nobody
 * asks for could rot until the last sound copy of it is gone.  So every file is verified in full
 * some time after a start or a restore, then every QR_SCRUB_EVERY_S.  What is found is treated as
 * if a reader had found it: reported by qr_store_poll, listed by qr_store_missing, fetched.
 *
 * File after file until a step's bytes are used up, each a job of the store behind what waits
 * there: small files, of which a young member has hundreds, take seconds and not minutes.  Thread:
 * the store's writer. */
#ifndef QR_STORAGE_SCRUB_H
#define QR_STORAGE_SCRUB_H

#include "storage/block.h"
#include "storage/jobs.h"

#define QR_SCRUB_EVERY_S      86400
#define QR_SCRUB_BYTES_A_STEP (4 * 1024 * 1024) /* What a step of a second may read on average. */

struct qr_store;

struct qr_scrub {
    struct qr_job job;
    struct qr_store *store;
    struct qr_block_id last; /* Of this round .. */
    unsigned n_files;        /* .. of so many. */
    /* The job's file. */
    struct qr_block_id id;
    uint64_t bytes, hash;
    int status;
    bool busy;
    int64_t owed_bytes; /* Read, and not yet waited for. */
    unsigned rest;      /* Steps until the next round. */
};

void qr_scrub_init(struct qr_scrub *scrub, struct qr_store *store);
/* Begins with the first file again. */
void qr_scrub_restart(struct qr_scrub *scrub);
/* Once a second. */
void qr_scrub_step(struct qr_scrub *scrub);

#endif
