/* proto/history.h — the text that an LZ4 connection may still refer to: its last 64 KiB.
 *
 * LZ4 finds its matches in the text right in front of where it writes, so a connection in use needs
 * all of it in one piece: a *window*.  Thousands of connections that say a little each second
 * cannot have a window each.  So a history is
 *
 *   open     in a window of its own: text, end at `end`, room behind it
 *   folded   packed in spans of 16 KiB of the connection's text, and the last, growing span as it
 * is
 *
 *       | span k-4 | span k-3 | span k-2 | span k-1 | growing |      k: spans so far
 *         zstd       zstd       zstd       zstd       text
 *
 * and the histories of a loop share a pool: it says how many may stay open after a turn.  Folding
 * packs only spans that were not packed before, so a child that says little pays for what it says,
 * and for unpacking (some 50 us) each time it speaks.  Thread: the pool's owner's. */
#ifndef QR_PROTO_HISTORY_H
#define QR_PROTO_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

#define QR_HISTORY_SPAN_BYTES (16u * 1024)
/* Between two moves of the text to the front of its window. */
#define QR_HISTORY_ROOM_BYTES (64u * 1024)
#define QR_HISTORY_WINDOW_BYTES                                                                    \
    (QR_LZ4_WINDOW_BYTES + QR_HISTORY_SPAN_BYTES + QR_HISTORY_ROOM_BYTES)
static_assert(QR_LZ4_WINDOW_BYTES % QR_HISTORY_SPAN_BYTES == 0, "spans make up a window");
static_assert(QR_HISTORY_ROOM_BYTES >= QR_FRAME_PLAIN_BYTES_MAX, "a frame's text fits");

struct qr_history_pool;
/* At most n_open histories stay open after qr_history_rest.  0 or UV_ENOMEM. */
int qr_history_pool_new(struct qr_history_pool **pool, unsigned n_open);
/* All its histories are freed before. */
void qr_history_pool_free(struct qr_history_pool *pool);
unsigned qr_history_pool_n_open(const struct qr_history_pool *pool);

struct qr_history;
/* An empty one, folded.  Without a pool (NULL) it is never folded by qr_history_rest.  0 or
 * UV_ENOMEM. */
int qr_history_new(struct qr_history **history, struct qr_history_pool *pool);
void qr_history_free(struct qr_history *history); /* NULL: nothing. */

/* Opens it: room for QR_FRAME_PLAIN_BYTES_MAX bytes at *text, and in front of it *n_past bytes of
 * the connection's text, as many as there are, at least QR_LZ4_WINDOW_BYTES once there were as
 * many.  0 or UV_ENOMEM; the text of the last call is gone. */
int qr_history_open(struct qr_history *history, char **text, size_t *n_past);
/* So many bytes were written there; they are part of the history, and stay until the next open. */
void qr_history_add(struct qr_history *history, size_t n);

/* The last text is used up and none is expected at once: folds it if too many are open. */
void qr_history_rest(struct qr_history *history);
/* Folds it, or leaves it open if there is no memory for that. */
void qr_history_fold(struct qr_history *history);
bool qr_history_is_open(const struct qr_history *history);

#endif
