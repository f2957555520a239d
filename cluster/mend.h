/* cluster/mend.h — what a crash leaves of the log's folder, put in order before the library opens
 * it.
 *
 * Two things that the library (0.22.1) does not survive, with auto-recovery off (the guard's G11
 * and G12):
 *
 *   A truncation removes closed segments one after the other, once a copy of the part that stays
 *   has its name.  A crash on the way leaves two segments that begin alike, or a gap, and the log
 *   cannot be opened.  So a note of the truncation is made before it begins, and is gone once an
 *   entry that came after it is durable, or when the truncation was finished here:
 *
 *     file `cut` in the log's folder: "QRCUT1\n\0", u64 first index cut, u32 CRC32C of the 16 bytes
 *
 *   The first write to an open segment is one of many sectors; if the first of them does not
 *   survive a power cut and another one does, the segment is "of an unexpected format".  Nothing in
 *   it was acknowledged, for that takes the whole write: it is removed, as the library does with
 *   one of zeros.
 *
 *   A segment that is full but for 8 bytes is taken for one that was cut off in the middle, and
 *   memory is freed twice.  Open segments get another sector of zeros at their end.
 *
 *   What a killed process wrote and did not sync is still there for whoever starts next, who counts
 *   it as stored, and tells the leader so; a power cut would then take it.  So open segments,
 *   term and vote, and snapshots are written again and synced, and the folder is: after a
 *   sync that failed, another one alone proves nothing.
 *
 * A gap without a note is damage, and not touched.  All calls block.  0 or an error of the system.
 * Thread: the log's owner. */
#ifndef QR_CLUSTER_MEND_H
#define QR_CLUSTER_MEND_H

#include <stdint.h>

/* Durable before it returns: entries from `index` on are going to be cut.  Of several the lowest is
 * noted. */
int qr_mend_note_cut(const char *dir, uint64_t index);
/* They are. */
int qr_mend_forget_cut(const char *dir);

/* Before the library opens the folder.  QR_E_CORRUPT: the note is none. */
int qr_mend_log(const char *dir);

#endif
