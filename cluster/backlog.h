/* cluster/backlog.h — entries that the library has applied, until the machine has, too.
 *
 *   library's apply --push--> [ done and kept | waiting ] --next, done--> machine
 *                               for a snapshot
 *
 * An entry's bytes are borrowed from the library's log, which keeps them until a snapshot is
 * written and they are more than `trailing` entries behind it, or a snapshot of the leader is
 * installed; qr_backlog_own() copies those that are about to go.  Entries that came with a restored
 * snapshot lie in one block, which their last one frees.
 *
 * While a snapshot is made, entries stay when they are done, because the snapshot gets them, too
 * (cluster/image).  Thread: consensus. */
#ifndef QR_CLUSTER_BACKLOG_H
#define QR_CLUSTER_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct qr_backlog_entry {
    uint64_t index;
    struct qr_slice bytes;
    void *memory;  /* Freed with this entry; NULL: nothing. */
    bool borrowed; /* From the library's log. */
};

struct qr_backlog {
    struct qr_backlog_entry *ring;
    size_t capacity, first, n;
    size_t n_done; /* The first of the n. */
    bool keep;
    uint64_t last;             /* Index of the newest entry that ever came; 0: none. */
    size_t bytes, bytes_kept;  /* Of those that wait; of those that are done. */
    size_t bytes_owned;        /* Copied by qr_backlog_own, not yet freed. */
    uint64_t n_copied, n_most; /* Entries copied so far; the most that ever waited. */
};

void qr_backlog_release(struct qr_backlog *backlog);

/* An entry of the library's log, behind all others.  0 or UV_ENOMEM. */
int qr_backlog_push(struct qr_backlog *backlog, uint64_t index, struct qr_slice bytes);

/* Entries of a restored snapshot, in order, before all others; their memory is the backlog's. */
int qr_backlog_prepend(struct qr_backlog *backlog, const struct qr_backlog_entry *entries,
                       size_t n);

/* The next one to apply; NULL: none waits. */
const struct qr_backlog_entry *qr_backlog_next(const struct qr_backlog *backlog);

/* It has been applied. */
void qr_backlog_done(struct qr_backlog *backlog);

static inline size_t qr_backlog_waiting(const struct qr_backlog *backlog)
{
    return backlog->n - backlog->n_done;
}

/* The i-th of all, done and waiting. */
const struct qr_backlog_entry *qr_backlog_at(const struct qr_backlog *backlog, size_t i);

/* Are entries kept when they are done?  With `false` those that were are let go. */
void qr_backlog_keep(struct qr_backlog *backlog, bool keep);

/* Copies borrowed entries up to `index` that wait.  0 or UV_ENOMEM. */
int qr_backlog_own(struct qr_backlog *backlog, uint64_t index);

/* Forgets all entries. */
void qr_backlog_clear(struct qr_backlog *backlog);

#endif
