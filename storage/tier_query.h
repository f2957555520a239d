/* storage/tier_query.h — a chart's points of a tier over a span of time.
 *
 * They come from the tier's files.  Where there is none yet, or samples have come since it was
 * made, they are made from the tier below, down to the samples themselves; once those are gone,
 * the file is what there is.  Either way a point is the same: sums are exact, and each sample is in
 * one part of one point.
 *
 * Thread: any worker, between qr_store_enter and qr_store_leave; it blocks. */
#ifndef QR_STORAGE_TIER_QUERY_H
#define QR_STORAGE_TIER_QUERY_H

#include "storage/block.h"
#include "storage/rollup.h"
#include "storage/store.h"
#include "storage/tier_chunk.h"

/* Zeroed, but for the first two. */
struct qr_tier_reader {
    struct qr_store *store;
    const struct qr_chart *chart;
    uint32_t n_bad; /* Files that could not be read: what they hold is left out. */
    struct qr_block_reader blocks;
    struct qr_tier_codec codec;
    struct qr_points fine;
};

void qr_tier_reader_release(struct qr_tier_reader *reader);

/* The points of tier 1 or 2 that end in [first_s, last_s], in all dimensions that the chart has
 * now.  0 or UV_ENOMEM, or an error of the disk. */
int qr_tier_read(struct qr_tier_reader *reader, unsigned tier, int64_t first_s, int64_t last_s,
                 struct qr_points *points);

#endif
