/* node/outbox.h — one host's rows on their way into a batch: blocks of bounded size, in order.
 *
 *   rows -> [full] [full] [the one that grows] -> first: into a batch -> pop
 *
 * A block is closed once it has QR_OUTBOX_BLOCK_BYTES, so that a batch of blocks always fits a log
 * entry, whatever a child sends in one turn: the last row may add QR_DIMS_PER_CHART_MAX values.
 * A block that was looked at and not popped is the first again: rows are written against those
 * before them, so none is ever left out.  Thread: the owner's. */
#ifndef QR_NODE_OUTBOX_H
#define QR_NODE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/list.h"
#include "storage/entry.h"

#define QR_OUTBOX_BLOCK_BYTES (QR_BATCH_BYTES_MAX / 2)
/* The largest block: all but the last row, and that row with its keys. */
#define QR_OUTBOX_BLOCK_BYTES_MAX (QR_OUTBOX_BLOCK_BYTES + 6u * QR_DIMS_PER_CHART_MAX + 128u)
/* A batch takes blocks until it has QR_BATCH_BYTES_MAX; LZ4 adds at most 1/255 and 16 bytes. */
static_assert((QR_BATCH_BYTES_MAX + QR_OUTBOX_BLOCK_BYTES_MAX) / 255 * 256 + 4096 <=
                  QR_ENTRY_BODY_BYTES_MAX,
              "a batch of blocks fits an entry");
static_assert(QR_OUTBOX_BLOCK_BYTES_MAX <= QR_ENTRY_BLOCK_BYTES_MAX &&
                  QR_OUTBOX_BLOCK_BYTES + QR_DIMS_PER_CHART_MAX < QR_ENTRY_BLOCK_CELLS_MAX,
              "a block takes rows until it is closed");

struct qr_outbox {
    struct qr_list full; /* Oldest first. */
    struct qr_entry_block block;
    int64_t block_oldest_us;
    size_t bytes; /* Of all rows that wait. */
};

void qr_outbox_init(struct qr_outbox *outbox);
void qr_outbox_release(struct qr_outbox *outbox);

/* The base is the chart's, of this session.  0 or UV_ENOMEM: the row is not in it. */
int qr_outbox_row(struct qr_outbox *outbox, struct qr_entry_base *base, uint32_t chart,
                  int64_t end_s, const uint32_t *cells, uint32_t n, int64_t read_at_us);

/* The oldest block, or NULL; when its first row was read. */
struct qr_entry_block *qr_outbox_first(struct qr_outbox *outbox, int64_t *oldest_us);

/* The block that qr_outbox_first() gives has been sent. */
void qr_outbox_pop(struct qr_outbox *outbox);

#endif
