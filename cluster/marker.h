/* cluster/marker.h — the highest index that this member is known to hold, beside its log.
 *
 * A flipped byte in the open log segment looks like a torn write: the library drops everything
 * behind it and says nothing.  A member that forgot entries it acknowledged must not vote, so it
 * compares the log it finds with this file.
 *
 *   file `marker` in the log's folder: "QRMARK1\n", u64 index, u32 CRC32C of the 16 bytes
 *
 * Written lazily, whole, and renamed into place: it may be behind, never ahead.
 * Thread: any; blocking. */
#ifndef QR_CLUSTER_MARKER_H
#define QR_CLUSTER_MARKER_H

#include <stdint.h>

/* 0; a missing file is index 0; QR_E_CORRUPT, or an error of the system. */
int qr_marker_read(const char *dir, uint64_t *index);

/* 0 or an error of the system. */
int qr_marker_write(const char *dir, uint64_t index);

#endif
