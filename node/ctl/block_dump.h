/* node/ctl/block_dump.h — what a block file holds, as text, or added to a JSON object.
 * Thread: any; it blocks. */
#ifndef QR_NODE_CTL_BLOCK_DUMP_H
#define QR_NODE_CTL_BLOCK_DUMP_H

#include <jansson.h>

#include "base/buf.h"
#include "storage/block.h"

/* Header, sections, pages and charts.  `file` NULL: as text to `out`.  0, QR_E_CORRUPT (what could
 * be read is there), UV_ENOMEM or an error of the disk. */
int qr_block_dump(const struct qr_block_index *index, const char *path, struct qr_buf *out,
                  json_t *file);

/* A chart's rows: values of tier 0, points of the others.  QR_E_UNKNOWN: it has none there. */
int qr_block_dump_chart(const struct qr_block_index *index, const char *path, uint32_t chart,
                        struct qr_buf *out, json_t *file);

#endif
