/* testing/sim/fs.h — the disk of a simulated host: a file system in memory that knows what would
 * survive a power cut, and fails as it is told.
 *
 * Each host sees its own disk below /sim/ (testing/sim/libc); what is written there outlives the
 * process, as on a real machine.  What was not synced when power is lost (QR_SIM_POWER):
 *   bytes     each sector of 512 bytes survives or not;
 *   sizes     the old, the new, or one between;
 *   names     changes of folders and truncations are a journal.  As ext4 in ordered mode: a prefix
 *             of it survives, and any fsync of a file that is new or has another size, or of a
 *             folder, makes all of it durable.  A `harsh` disk promises little more than POSIX: of
 *             each folder another prefix survives, each size for itself; an fsync of a folder is
 *             for its names, one of a file for its bytes and size.
 * A killed process loses nothing: the machine writes it later.
 *
 * It claims to be ext4 with direct I/O.  Calls take time, on the fiber that calls.  Everything here
 * is for the false world (faults, checkers), on the scheduler's stack or a fiber. */
#ifndef QR_TESTING_SIM_FS_H
#define QR_TESTING_SIM_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "testing/sim/sched.h"

/* Calls that change something on the disk: what crash points count. */
enum qr_sim_when {
    QR_SIM_BEFORE,  /* The call has done nothing. */
    QR_SIM_HALFWAY, /* Of a write, some sectors are there; of another call, as before it. */
    QR_SIM_AFTER,   /* It has done all, and nobody was told. */
};

struct qr_sim_disk_counters {
    uint64_t calls; /* That changed something: crash points. */
    uint64_t reads, writes, syncs;
    uint64_t bytes_read, bytes_written;
    uint64_t full, failed_writes, failed_syncs, lost_syncs; /* Calls that met a fault. */
    uint64_t power_cuts, lost_names; /* lost_names: changes of folders that a cut undid. */
    uint64_t flips, crash_points;
};

/* How a host's disk is; the world may change it at any time. */
struct qr_sim_disk {
    bool harsh;
    bool lying;             /* Syncs succeed and do nothing. */
    const char *lies_below; /* .. of files that are opened with a path that has this; NULL: none. */
    uint64_t capacity_bytes; /* 0: without end. */
    unsigned failing_writes; /* So many calls end with EIO; UINT_MAX: until it is 0 again. */
    unsigned failing_syncs;
    unsigned slow_percent; /* Of the usual times; 0: no call takes time. */
    unsigned async_one_in; /* libraft's asynchronous writes: 0: not supported; n: one in n would
                            * block, and goes to a thread. */
    uint64_t used_bytes;   /* Read only. */
    struct qr_sim_disk_counters n;
};

/* Of a host; made with the first use. */
struct qr_sim_disk *qr_sim_disk(struct qr_sim_host *host);

/* The n-th call (from 1) from now on that changes something kills the host.  n = 0: none does. */
void qr_sim_disk_crash_at(struct qr_sim_host *host, uint64_t n, enum qr_sim_when when,
                          enum qr_sim_down how);

/* The power of a machine fails whose process is down already. */
void qr_sim_disk_power_cut(struct qr_sim_host *host);
/* The disk is replaced by an empty one. */
void qr_sim_disk_wipe(struct qr_sim_host *host);

struct qr_sim_flip {
    struct qr_sim_host *host;
    uint64_t at_ns, offset;
    unsigned bit;
    char path[256];
};

/* Flips a random bit of a random file whose path matches (fnmatch) `pattern` and has bytes from
 * `from` on; in there, before `to` if that is not 0.  False: there is none. */
bool qr_sim_disk_flip(struct qr_sim_host *host, const char *pattern, uint64_t from, uint64_t to);
/* All so far: the i-th, or NULL. */
const struct qr_sim_flip *qr_sim_disk_flipped(size_t i);

/* ---- reading a host's files from outside ---- */

/* Its bytes and its name would survive if power failed now. */
bool qr_sim_disk_is_durable(struct qr_sim_host *host, const char *path);

/* -ENOENT, or how many bytes. */
ssize_t qr_sim_disk_read(struct qr_sim_host *host, const char *path, uint64_t offset, void *bytes,
                         size_t len);
int64_t qr_sim_disk_size(struct qr_sim_host *host, const char *path); /* -ENOENT */
/* Every file below `dir`, folders in the order of names: its whole path. */
void qr_sim_disk_walk(struct qr_sim_host *host, const char *dir,
                      void (*each)(void *data, const char *path, uint64_t size), void *data);
/* Puts a file there, durably, with the folders above it. */
void qr_sim_disk_put(struct qr_sim_host *host, const char *path, const void *bytes, size_t len);

#endif
