/* storage/postings.h — a sorted set of ids: the charts of a context, the hosts with a label.
 *
 *   set -> blocks of at most 256 ids, in order -> ids, ascending
 *
 * An id above all others, which is what the log hands out, is written behind the last one; any
 * other change makes its block anew.  A reader sees each id that is in the set all the while
 * exactly once, in order.
 *
 * One writer, readers without locks between enter and leave of the epoch.  Thread: add, remove and
 * release the writer's, the rest any. */
#ifndef QR_STORAGE_POSTINGS_H
#define QR_STORAGE_POSTINGS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/epoch.h"

struct qr_postings_block;
struct qr_postings_body;

struct qr_postings {
    _Atomic(struct qr_postings_body *) body;
    _Atomic uint32_t n;
};

/* Zeros are the empty set.  No reader inside at release. */
void qr_postings_release(struct qr_postings *postings);

/* An id that is there already changes nothing.  0 or UV_ENOMEM. */
int qr_postings_add(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id);
/* An id that is not there changes nothing. */
int qr_postings_remove(struct qr_postings *postings, struct qr_epoch *epoch, uint32_t id);

uint32_t qr_postings_count(const struct qr_postings *postings);

struct qr_postings_at {
    const struct qr_postings_body *body;
    const struct qr_postings_block *block;
    uint32_t i_block, i_id;
};

/* Places `at` before the first id that is `from` or above. */
void qr_postings_seek(const struct qr_postings *postings, struct qr_postings_at *at, uint32_t from);
/* The next id; 0: no more. */
uint32_t qr_postings_next(struct qr_postings_at *at);

#endif
