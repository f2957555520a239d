/* storage/id_runs.h — a set of ids as runs of neighbours: those that nothing has any more.
 *
 * Ids are never reused, so who was gone once is gone for good.  Thread: the owner's. */
#ifndef QR_STORAGE_ID_RUNS_H
#define QR_STORAGE_ID_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"
#include "storage/ids.h"

struct qr_id_run {
    uint32_t first, last;
};

/* A zeroed one is empty. */
struct qr_id_runs {
    uint32_t n, capacity;
    struct qr_id_run *at; /* Ascending, with an id between them that is not in the set. */
};

void qr_id_runs_release(struct qr_id_runs *runs);

/* Makes it the ids of 1 .. last without an item.  0 or UV_ENOMEM. */
int qr_id_runs_missing(struct qr_id_runs *runs, const struct qr_ids *ids, uint32_t last);
/* 0 or UV_ENOMEM. */
int qr_id_runs_copy(struct qr_id_runs *runs, const struct qr_id_runs *from);
bool qr_id_runs_have(const struct qr_id_runs *runs, uint32_t id);

/* In snapshots: varint count, then for each run the ids between it and the one before (the first:
 * before it) - 1, and its length - 1, as varints. */
void qr_id_runs_encode(const struct qr_id_runs *runs, struct qr_buf *out);
/* Into an empty one, of ids up to `last`.  0, QR_E_MALFORMED or UV_ENOMEM. */
int qr_id_runs_decode(struct qr_id_runs *runs, struct qr_cursor *in, uint32_t last);

#endif
