/* storage/files.h — which block files are really there, and which are nobody's.
 *
 * After a restore the blocks of the manifest are UNCHECKED: readers use them, since pages have
 * checksums and a file that is not there is found by its first reader.  A job looks at the footers,
 * QR_FILES_BATCH at a time, and the loop marks what it found: SOUND, or MISSING and reported.
 *
 * The sweep removes block files that the manifest does not name: a job lists the folder, the loop
 * decides, a job in the queue of the file's shard removes, so that a seal of that name comes
 * after it.  Without a loop both are done inside the call.  Thread: the store's writer. */
#ifndef QR_STORAGE_FILES_H
#define QR_STORAGE_FILES_H

#include <stdbool.h>

#include "storage/block.h"
#include "storage/jobs.h"

#define QR_FILES_BATCH 64u

struct qr_store;

struct qr_files_checked {
    struct qr_block_id id;
    uint64_t bytes, hash;
    int status;
};

struct qr_files {
    struct qr_store *store;
    struct qr_job job;
    bool busy;
    struct qr_files_checked batch[QR_FILES_BATCH];
    unsigned n;
};

void qr_files_init(struct qr_files *files, struct qr_store *store);

/* Looks for the files of all UNCHECKED blocks, also of those that come meanwhile. */
void qr_files_check(struct qr_files *files);

/* The queue in which a shard's files are written and removed, one after the other. */
struct qr_jobs *qr_files_queue(struct qr_store *store, uint32_t shard);

/* Removes a block's file, some time; what is not (no memory, the store closes, the disk fails) is
 * found by the sweep after the next start. */
void qr_files_remove(struct qr_store *store, const struct qr_block_id *id);

#endif
