/* node/incarnation.h — a number that grows with each start of this member, kept in its data folder.
 *
 * Entries carry it, so that those of an earlier life of the process are told from this one's.
 * It begins with the clock's microseconds, so that it also grows when the folder was lost; and only
 * begins so: a clock that is ahead for a while must not raise it beyond what the clock says when
 * the folder is lost later.
 * Thread: before the loops start. */
#ifndef QR_NODE_INCARNATION_H
#define QR_NODE_INCARNATION_H

#include <stdint.h>

/* 0 or a libuv error, with the path in the log.  The number is on disk before this returns. */
int qr_incarnation_next(const char *dir, uint64_t *incarnation);

/* For a member that lost its disk and began below what the others know (docs/decisions/0031): sets
 * a number well above that, so that a start of the lost disk does not reach it.  As above. */
int qr_incarnation_raise(const char *dir, uint64_t known, uint64_t *incarnation);

#endif
