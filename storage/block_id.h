/* storage/block_id.h — names a block file: which hosts, which resolution, which span, which
 * sealing.
 *
 *   s0007-t0-6553f100-w600-g0.qb     shard 7, tier 0, from 1700000000 for 600 s, first generation
 *
 * The order of ids is tier, start, length, shard, generation.  A tier is read and retained for
 * itself; in it, what a span of time needs lies together, and the oldest is first; of one start the
 * short files come before the merged one; a shard's generations follow each other, and the lower
 * one wins when both are read.  Manifest, snapshot and scrub go by this order.  Thread: any. */
#ifndef QR_STORAGE_BLOCK_ID_H
#define QR_STORAGE_BLOCK_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cursor.h"

#define QR_BLOCK_NAME_BYTES 64u
#define QR_SHARD_MAX        0xffffu
#define QR_TIERS            3u /* 0: as collected; 1: a point a minute; 2: an hour. */

struct qr_block_id {
    int64_t start_s;
    uint32_t window_s;
    uint32_t generation;
    uint32_t shard;
    uint8_t tier;
};

/* <0, 0 or >0. */
int qr_block_id_compare(const struct qr_block_id *a, const struct qr_block_id *b);

static inline bool qr_block_id_is(const struct qr_block_id *a, const struct qr_block_id *b)
{
    return qr_block_id_compare(a, b) == 0;
}

static inline int64_t qr_block_id_end_s(const struct qr_block_id *id)
{
    return id->start_s + id->window_s;
}

void qr_block_format_name(const struct qr_block_id *id, char name[QR_BLOCK_NAME_BYTES]);
/* Only what format_name gives is a name. */
bool qr_block_parse_name(struct qr_block_id *id, const char *name);

/* In log entries and snapshots: u8 tier, then varints start, length, shard, generation. */
int qr_block_id_encode(struct qr_buf *out, const struct qr_block_id *id);
/* Fails the cursor if there is none that may exist. */
void qr_block_id_decode(struct qr_block_id *id, struct qr_cursor *in);

#endif
