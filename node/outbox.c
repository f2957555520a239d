#include "node/outbox.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

struct full_block {
    struct qr_list node;
    struct qr_entry_block block;
    int64_t oldest_us;
};

static struct full_block *first_full(struct qr_outbox *outbox)
{
    return QR_CONTAINER_OF(outbox->full.next, struct full_block, node);
}

void qr_outbox_init(struct qr_outbox *outbox)
{
    qr_list_init(&outbox->full);
    qr_entry_block_init(&outbox->block);
    outbox->block_oldest_us = 0;
    outbox->bytes = 0;
}

static void drop_full(struct full_block *full)
{
    qr_list_remove(&full->node);
    qr_entry_block_release(&full->block);
    free(full);
}

void qr_outbox_release(struct qr_outbox *outbox)
{
    while (!qr_list_empty(&outbox->full))
        drop_full(first_full(outbox));
    qr_entry_block_release(&outbox->block);
    outbox->bytes = 0;
}

/* The block that grows is full: another takes its place. */
static int close_block(struct qr_outbox *outbox)
{
    struct full_block *full = malloc(sizeof *full);
    if (full == NULL)
        return UV_ENOMEM;
    full->block = outbox->block;
    full->oldest_us = outbox->block_oldest_us;
    qr_list_init(&full->node);
    qr_list_add_tail(&outbox->full, &full->node);
    qr_entry_block_init(&outbox->block);
    return 0;
}

int qr_outbox_row(struct qr_outbox *outbox, struct qr_entry_base *base, uint32_t chart,
                  int64_t end_s, const uint32_t *cells, uint32_t n, int64_t read_at_us)
{
    if (qr_entry_block_bytes(&outbox->block) >= QR_OUTBOX_BLOCK_BYTES && close_block(outbox) != 0)
        return UV_ENOMEM;
    struct qr_entry_block *block = &outbox->block;
    size_t before = block->n_rows != 0 ? qr_entry_block_bytes(block) : 0;
    if (block->n_rows == 0)
        outbox->block_oldest_us = read_at_us;
    int err = qr_entry_block_row(block, base, chart, end_s, cells, n);
    if (err == 0)
        outbox->bytes += qr_entry_block_bytes(block) - before;
    return err;
}

struct qr_entry_block *qr_outbox_first(struct qr_outbox *outbox, int64_t *oldest_us)
{
    bool is_full = !qr_list_empty(&outbox->full);
    if (!is_full && outbox->block.n_rows == 0)
        return NULL;
    *oldest_us = is_full ? first_full(outbox)->oldest_us : outbox->block_oldest_us;
    return is_full ? &first_full(outbox)->block : &outbox->block;
}

void qr_outbox_pop(struct qr_outbox *outbox)
{
    int64_t oldest_us;
    struct qr_entry_block *first = qr_outbox_first(outbox, &oldest_us);
    assert(first != NULL);
    outbox->bytes -= qr_entry_block_bytes(first);
    if (first == &outbox->block)
        qr_entry_block_clear(first);
    else
        drop_full(first_full(outbox));
}
