/* cluster/disk_id.h — which disk a member's log lies on.
 *
 * What Raft calls a server is a disk, not a member's number: a disk that was lost takes with it
 * what it voted for and acknowledged, and whoever goes on under its name may vote twice in a term.
 * So a member draws a number for its log's folder when it first opens it, and the library knows it
 * by
 *
 *   raft id = disk << 32 | member
 *
 * A member that lost its disk comes back as another server, with no vote, until the cluster takes
 * it in (docs/decisions/0019).
 *
 *   file `disk` in the log's folder: "QRDISK1\n", u32 disk, u32 CRC32C of the 12 bytes before
 *
 * Thread: any, blocking. */
#ifndef QR_CLUSTER_DISK_ID_H
#define QR_CLUSTER_DISK_ID_H

#include <stdbool.h>
#include <stdint.h>

struct qr_disk_id {
    uint32_t disk; /* Not 0. */
    bool empty;    /* The folder has no log: this disk never voted or acknowledged anything. */
};

/* Reads the file, or makes it in a folder without a log.  What an interrupted founding left (a term
 * that nobody votes in, and no entry) is removed.  0, an error of the system, or QR_E_CORRUPT with
 * the reason in the program's log: there is a log and no file, or one that is damaged. */
int qr_disk_id_open(const char *dir, struct qr_disk_id *id);

static inline uint64_t qr_raft_id(uint32_t member, uint32_t disk)
{
    return (uint64_t)disk << 32 | member;
}

static inline uint32_t qr_raft_id_member(uint64_t raft_id)
{
    return (uint32_t)raft_id;
}

static inline uint32_t qr_raft_id_disk(uint64_t raft_id)
{
    return (uint32_t)(raft_id >> 32);
}

#endif
