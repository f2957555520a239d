/* testing/sim/fd.h — the system calls of the simulated hosts on files: descriptors, costs, faults
 * and crash points.
 *
 * As the kernel's, of the host whose code runs; results are as the kernel's too: -errno.  A call
 * may take time, and may never return (a crash point).  testing/sim/libc is made of these. */
#ifndef QR_TESTING_SIM_FD_H
#define QR_TESTING_SIM_FD_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "testing/sim/sched.h"

#define QR_SIM_FD_FIRST (1 << 20)
#define QR_SIM_FD_END   (1 << 28)
#define QR_SIM_FD_MAX   65536 /* Of a host. */

static inline bool qr_sim_is_fd(int fd)
{
    return fd >= QR_SIM_FD_FIRST && fd < QR_SIM_FD_END;
}

/* Paths are below /sim, or `dir` is one of our descriptors; AT_FDCWD otherwise. */
int qr_sim_open(int dir, const char *path, int flags, mode_t mode);
/* A file with these bytes to read, on no disk (what /proc has). */
int qr_sim_open_text(const char *text);
int qr_sim_close(int fd);
int qr_sim_dup(int fd);
int qr_sim_fcntl(int fd, int command, long argument);

/* At `offset`, or where the descriptor stands: -1. */
ssize_t qr_sim_readv(int fd, const struct iovec *iov, int n, int64_t offset);
/* `flags`: of pwritev2 (RWF_DSYNC, RWF_SYNC, RWF_APPEND). */
ssize_t qr_sim_writev(int fd, const struct iovec *iov, int n, int64_t offset, int flags);
int64_t qr_sim_seek(int fd, int64_t offset, int whence);
int qr_sim_fsync(int fd, bool data_only);
int qr_sim_ftruncate(int fd, int64_t size);
int qr_sim_truncate(const char *path, int64_t size);
int qr_sim_fallocate(int fd, int mode, int64_t offset, int64_t len);

int qr_sim_stat(int dir, const char *path, struct stat *status);
int qr_sim_fstat(int fd, struct stat *status);
int qr_sim_statfs(const char *path, struct statfs *status); /* NULL: the disk of the host. */
int qr_sim_access(int dir, const char *path);
int qr_sim_chmod(int dir, const char *path, mode_t mode);
int qr_sim_renameat(int from_dir, const char *from, int to_dir, const char *to, unsigned flags);
int qr_sim_unlinkat(int dir, const char *path, bool folder);
int qr_sim_mkdirat(int dir, const char *path, mode_t mode);
/* `from`: a path, or one of our descriptors (O_TMPFILE) if it is NULL. */
int qr_sim_linkat(int from_dir, const char *from, int to_dir, const char *to);

/* The entries of an open folder, "." and ".." first; the caller frees them. */
int qr_sim_list(int fd, struct dirent **entries, size_t *n);

/* ---- counters that can be waited for (eventfd) ---- */

int qr_sim_eventfd(unsigned value, int flags);
/* Of any host. */
bool qr_sim_fd_is_readable(int fd);
/* `hear` is called when a counter has become readable: for the false libuv's polls. */
void qr_sim_on_readable(void (*hear)(int fd));

/* ---- asynchronous writes ---- */

/* A write as io_submit's with RWF_DSYNC that does not block: `done` comes later, on the scheduler's
 * stack, if the host still lives; then `counter` (an eventfd, or -1) goes up by one. */
int qr_sim_write_later(int fd, const struct iovec *iov, int n, int64_t offset, int counter,
                       void (*done)(uint64_t id, uint64_t data, ssize_t result), uint64_t id,
                       uint64_t data);

#endif
