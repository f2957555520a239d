/* storage/catalog_bytes.h — hosts and charts as a part of the snapshot.
 *
 *   hosts:   varint last id given, varint n; each: varint id - id before, definition,
 *            u8 connected, zigzag time of that, us, shard + 1 (0: none), watermark_s, n_samples
 *   charts:  varint last id given, varint n; each: varint id - id before, varint host, varint d,
 *            definition if d is 0, varint oldest_s, watermark_s, n_samples, zigzag told_s,
 *            the base of its next row (storage/entry)
 *
 * Ascending by id.  d = 0: a definition that no chart before has; d > 0: the d-th of those.  So
 * ten thousand hosts with the same charts cost each definition once.  docs/formats/snapshot.md.
 * Thread: the writer's, or one worker while nothing is applied. */
#ifndef QR_STORAGE_CATALOG_BYTES_H
#define QR_STORAGE_CATALOG_BYTES_H

#include "base/buf.h"
#include "base/cursor.h"
#include "storage/catalog.h"

/* 0 or an error of the buffer. */
int qr_catalog_encode(const struct qr_catalog *catalog, struct qr_buf *out);
/* Into an empty catalog, whose hosts are of shards up to max_shard.  0, QR_E_MALFORMED, QR_E_LIMIT
 * or UV_ENOMEM; on error it is fit for release only. */
int qr_catalog_decode(struct qr_catalog *catalog, struct qr_cursor *in, uint32_t max_shard);

#endif
