/* testing/history_lz4.h — tick batches opened, and closed by one compressor or another: members
 * with different liblz4 write different log entries with the same content.
 *
 * A batch is 5 bytes and an LZ4 block (docs/formats/samples-entry.md); plain, it is the same 5
 * bytes and what the block holds.  Thread: any. */
#ifndef QR_TESTING_HISTORY_LZ4_H
#define QR_TESTING_HISTORY_LZ4_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

/* Appends the plain batch.  False: the body is none. */
bool qr_history_unpack(struct qr_buf *plain, struct qr_slice body);

/* Appends a body; `otherwise`: not by the compressor that storage/entry uses. */
void qr_history_pack(struct qr_buf *body, const struct qr_buf *plain, bool otherwise);

#endif
