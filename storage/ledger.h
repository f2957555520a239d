/* storage/ledger.h — the group's block files as the log has them, on every member alike.
 *
 * The manifest is what readers of this member see, and may lag behind the log: a window that is
 * sealed is not written yet, a merged file that the log has named is still being made.  The ledger
 * is the manifest with all of that carried out, in order of ids.  Whatever must be decided alike
 * everywhere (what a merge takes, what retention drops, what a snapshot says) is decided from it.
 *
 * Thread: the writer's. */
#ifndef QR_STORAGE_LEDGER_H
#define QR_STORAGE_LEDGER_H

#include "storage/block_id.h"
#include "storage/id_runs.h"

struct qr_state;

struct qr_ledger_file {
    struct qr_block_id id;
    bool confirmed;       /* The log has named it: */
    uint64_t bytes, hash; /* if not, they are this member's own, and 0 before it is written. */
};

struct qr_ledger {
    uint32_t n;
    uint32_t capacity;
    struct qr_ledger_file *at;
    bool has_pending; /* A merge that is not named: */
    struct qr_block_id pending;
    struct qr_id_runs forgotten; /* Charts that it leaves out. */
};

/* 0 or UV_ENOMEM; then it is empty. */
int qr_ledger_read(struct qr_ledger *ledger, const struct qr_state *state);
void qr_ledger_release(struct qr_ledger *ledger);

#endif
