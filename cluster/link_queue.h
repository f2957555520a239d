/* cluster/link_queue.h — what a connection has still to send: frames as a stream of bytes.
 *
 * Small frames are copied, one behind the other, into pieces of one TLS record; large parts of a
 * frame with a `sent` callback are borrowed until it.  The reader peeks at the next bytes, takes
 * them, and settles: then the callbacks of the frames that lie wholly before run, in order.
 *
 *   added   [frame][frame][fra|me][frame]   positions count bytes since the start
 *                             ^taken
 *
 * Thread: consensus. */
#ifndef QR_CLUSTER_LINK_QUEUE_H
#define QR_CLUSTER_LINK_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"
#include "cluster/link.h"

struct qr_link_queue {
    struct qr_list pieces;
    struct qr_list sents;
    uint64_t added; /* Bytes, ever. */
    uint64_t taken;
    struct qr_link_piece *spare;
};

void qr_link_queue_init(struct qr_link_queue *queue);

/* Nobody may wait any more: settle first. */
void qr_link_queue_release(struct qr_link_queue *queue);

/* A frame at the end; payload within its type's limit.  0, or UV_ENOMEM and nothing changed. */
int qr_link_queue_add(struct qr_link_queue *queue, enum qr_link_type type, uint32_t group,
                      const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb sent,
                      void *data);

static inline size_t qr_link_queue_bytes(const struct qr_link_queue *queue)
{
    return (size_t)(queue->added - queue->taken);
}

/* The next bytes, as many as lie together; empty when there are none.  Valid until take or add. */
struct qr_slice qr_link_queue_peek(const struct qr_link_queue *queue);

/* `len` of what peek gave are done with. */
void qr_link_queue_take(struct qr_link_queue *queue, size_t len);

/* Runs the callbacks of all frames that end at or before position `upto`.  They may add. */
void qr_link_queue_settle(struct qr_link_queue *queue, uint64_t upto, int status);

#endif
