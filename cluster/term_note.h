/* cluster/term_note.h — a copy of the library's term and vote, with a checksum.
 *
 * The library (0.22.1) keeps them in two files of 32 bytes, the newer of which counts, without a
 * checksum: a flipped bit is an older term, another vote, or a folder that cannot be opened.  A
 * member that has forgotten a vote may vote twice in a term, and two leaders of one term lose what
 * was committed.  So each term and vote is noted here first:
 *
 *   file `term` in the log's folder: "QRTERM1\n", u64 term, u64 vote, u32 CRC32C of the 24 bytes
 *
 * and when the log is opened again the note counts: what the library's files say otherwise is
 * damaged, or is older, because the process died in between; a vote that was noted and not cast
 * does no harm.  A note that is damaged is made again from the library's files, which are sound
 * then: one bit flips at a time.  All calls block.  Thread: the log's owner. */
#ifndef QR_CLUSTER_TERM_NOTE_H
#define QR_CLUSTER_TERM_NOTE_H

#include <stdint.h>

/* Durable before it returns.  vote 0: none.  0 or an error of the system. */
int qr_term_note_write(const char *dir, uint64_t term, uint64_t vote);

/* Before the library opens the folder.  0 or an error of the system. */
int qr_term_note_mend(const char *dir);

#endif
