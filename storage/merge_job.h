/* storage/merge_job.h — the work of a merge: block files in, one block file out.
 *
 * A pure function of the input files' bytes.  All of them are walked at once in order of hosts and
 * charts, so what is in memory is one chart of the span, and a page of each file.
 *
 * Thread: a worker; it blocks. */
#ifndef QR_STORAGE_MERGE_JOB_H
#define QR_STORAGE_MERGE_JOB_H

#include "storage/merge.h"

/* Reads merge->inputs, writes the file of merge->id, and sets bytes and hash.  0, QR_E_CORRUPT (an
 * input is damaged), UV_ENOMEM or an error of the disk. */
int qr_merge_run(struct qr_merge *merge);

#endif
