/* storage/retain.h — what is too old goes: by time and by size, each tier for itself.
 *
 * Each tier has an edge: what ended at or before it is gone.  A RETAIN entry moves the edges to the
 * times it says, and then on while the sizes of the files that the log has named are more than the
 * budget it says, so the oldest go first, and alike on every member.  An edge waits for a merge
 * that needs the files and is not named yet.  Edges never move back.
 *
 * Rows at or before tier 0's edge are refused.  Thread: the writer's. */
#ifndef QR_STORAGE_RETAIN_H
#define QR_STORAGE_RETAIN_H

#include <stdint.h>

#include "storage/block_id.h"

struct qr_state;

struct qr_retention {
    int64_t before_s[QR_TIERS];   /* What ended at or before it goes. */
    uint64_t bytes_max[QR_TIERS]; /* Of a tier's files; 0: no limit. */
};

/* 0, QR_E_LIMIT (a time beyond QR_TIME_S_MAX) or UV_ENOMEM. */
int qr_retain_apply(struct qr_state *state, const struct qr_retention *retention);

/* Takes out files that the edges have passed, but those that a merge reads here.  0 or UV_ENOMEM */
int qr_retain_expire(struct qr_state *state);

#endif
