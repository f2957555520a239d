/* storage/codec_aggregate.h — adds up a series without making values of its integers.  Thread: any.
 */
#ifndef QR_STORAGE_CODEC_AGGREGATE_H
#define QR_STORAGE_CODEC_AGGREGATE_H

#include "base/cursor.h"
#include "storage/aggregate.h"

/* Takes one series of n rows (storage/codec) and adds those of bucket i, rows
 * [bounds[i], bounds[i + 1]), to buckets[i]; the n_buckets + 1 bounds ascend up to n.  Nothing is
 * decoded that can be added up as it is.  0 or QR_E_MALFORMED; then some may have been added. */
int qr_codec_aggregate(struct qr_cursor *in, uint32_t n, const uint32_t *bounds, uint32_t n_buckets,
                       struct qr_aggregate *buckets);

#endif
