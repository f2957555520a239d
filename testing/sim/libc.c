/* Files and descriptors. */
#include "testing/sim/libc.h"

#include <assert.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "testing/sim/fd.h"
#include "testing/sim/tree.h"

/* glibc knows most of them by two names, and programs that were built with _FORTIFY_SOURCE by a
 * third. */
#define ALSO(name) __attribute__((alias(#name)))

/* Takes more arguments than its caller may have given. */
#define QR_VARIADIC __attribute__((no_sanitize("address")))

/* A pointer as the kernel takes it. */
#define P(pointer) ((long)(uintptr_t)(pointer))

#define KERNEL(name, ...) kernel(SYS_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define kernel(number, a, b, c, d, e, f, ...)                                                      \
    qr_sim_answer(                                                                                 \
        qr_sim_kernel(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)))

static bool is_ours(int dir, const char *path)
{
    return *path == '/' ? qr_sim_is_path(path) : qr_sim_is_fd(dir);
}

/* ---- open ---- */

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
    if (is_ours(dir, path))
        return (int)qr_sim_answer(qr_sim_open(dir, path, flags, mode));
    const char *text = qr_sim_proc_text(path);
    if (text != NULL)
        return (int)qr_sim_answer(qr_sim_open_text(text));
    return (int)KERNEL(openat, dir, P(path), flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
    bool has_one = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
    return has_one ? va_arg(arguments, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return do_open(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) ALSO(open);

int openat(int dir, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return do_open(dir, path, flags, mode);
}
int openat64(int dir, const char *path, int flags, ...) ALSO(openat);

int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags) ALSO(__open_2);
int __open_2(const char *path, int flags)
{
    return do_open(AT_FDCWD, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
    return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
int creat64(const char *path, mode_t mode) ALSO(creat);

int close(int fd)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_close(fd)) : KERNEL(close, fd));
}

int dup(int fd)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_dup(fd)) : KERNEL(dup, fd));
}

QR_VARIADIC int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_fcntl(fd, command, argument))
                                  : KERNEL(fcntl, fd, command, argument));
}
int fcntl64(int fd, int command, ...) ALSO(fcntl);

int eventfd(unsigned value, int flags)
{
    if (qr_sim_host() != NULL)
        return (int)qr_sim_answer(qr_sim_eventfd(value, flags));
    return (int)KERNEL(eventfd2, value, flags);
}

/* ---- bytes ---- */

static ssize_t false_read(int fd, void *bytes, size_t len, int64_t offset)
{
    struct iovec iov = {bytes, len};
    return qr_sim_answer(qr_sim_readv(fd, &iov, 1, offset));
}

static ssize_t false_write(int fd, const void *bytes, size_t len, int64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    return qr_sim_answer(qr_sim_writev(fd, &iov, 1, offset, 0));
}

ssize_t read(int fd, void *bytes, size_t len)
{
    return qr_sim_is_fd(fd) ? false_read(fd, bytes, len, -1) : KERNEL(read, fd, P(bytes), len);
}

ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room);
ssize_t __read_chk(int fd, void *bytes, size_t len, size_t room)
{
    assert(len <= room);
    return read(fd, bytes, len);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    return qr_sim_is_fd(fd) ? false_write(fd, bytes, len, -1) : KERNEL(write, fd, P(bytes), len);
}

static ssize_t invalid(void)
{
    return qr_sim_answer(-EINVAL);
}

ssize_t pread(int fd, void *bytes, size_t len, off_t offset)
{
    if (!qr_sim_is_fd(fd))
        return KERNEL(pread64, fd, P(bytes), len, offset);
    return offset < 0 ? invalid() : false_read(fd, bytes, len, offset);
}
ssize_t pread64(int fd, void *bytes, size_t len, off_t offset) ALSO(pread);

ssize_t __pread_chk(int fd, void *bytes, size_t len, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *bytes, size_t len, off_t offset, size_t room) ALSO(__pread_chk);
ssize_t __pread_chk(int fd, void *bytes, size_t len, off_t offset, size_t room)
{
    assert(len <= room);
    return pread(fd, bytes, len, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
    if (!qr_sim_is_fd(fd))
        return KERNEL(pwrite64, fd, P(bytes), len, offset);
    return offset < 0 ? invalid() : false_write(fd, bytes, len, offset);
}
ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t offset) ALSO(pwrite);

ssize_t readv(int fd, const struct iovec *iov, int n)
{
    return qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_readv(fd, iov, n, -1))
                            : KERNEL(readv, fd, P(iov), n);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
    return qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_writev(fd, iov, n, -1, 0))
                            : KERNEL(writev, fd, P(iov), n);
}

ssize_t preadv(int fd, const struct iovec *iov, int n, off_t offset)
{
    if (!qr_sim_is_fd(fd))
        return KERNEL(preadv, fd, P(iov), n, offset, 0);
    return offset < 0 ? invalid() : qr_sim_answer(qr_sim_readv(fd, iov, n, offset));
}
ssize_t preadv64(int fd, const struct iovec *iov, int n, off_t offset) ALSO(preadv);

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
    if (!qr_sim_is_fd(fd))
        return KERNEL(pwritev2, fd, P(iov), n, offset, 0, flags);
    return offset < -1 ? invalid() : qr_sim_answer(qr_sim_writev(fd, iov, n, offset, flags));
}
ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off_t offset, int flags) ALSO(pwritev2);

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
    return offset < 0 ? invalid() : pwritev2(fd, iov, n, offset, 0);
}
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t offset) ALSO(pwritev);

off_t lseek(int fd, off_t offset, int whence)
{
    return qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_seek(fd, offset, whence))
                            : KERNEL(lseek, fd, offset, whence);
}
off_t lseek64(int fd, off_t offset, int whence) ALSO(lseek);

int fsync(int fd)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_fsync(fd, false)) : KERNEL(fsync, fd));
}

int fdatasync(int fd)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_fsync(fd, true)) : KERNEL(fdatasync, fd));
}

int ftruncate(int fd, off_t size)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_ftruncate(fd, size))
                                  : KERNEL(ftruncate, fd, size));
}
int ftruncate64(int fd, off_t size) ALSO(ftruncate);

int truncate(const char *path, off_t size)
{
    return (int)(qr_sim_is_path(path) ? qr_sim_answer(qr_sim_truncate(path, size))
                                      : KERNEL(truncate, P(path), size));
}
int truncate64(const char *path, off_t size) ALSO(truncate);

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_fallocate(fd, mode, offset, len))
                                  : KERNEL(fallocate, fd, mode, offset, len));
}
int fallocate64(int fd, int mode, off_t offset, off_t len) ALSO(fallocate);

/* Answers with the error; errno stays. */
int posix_fallocate(int fd, off_t offset, off_t len)
{
    long result = qr_sim_is_fd(fd) ? qr_sim_fallocate(fd, 0, offset, len)
                                   : qr_sim_kernel(SYS_fallocate, fd, 0, offset, len, 0, 0);
    return result < 0 ? (int)-result : 0;
}
int posix_fallocate64(int fd, off_t offset, off_t len) ALSO(posix_fallocate);

/* ---- status ---- */

int fstatat(int dir, const char *restrict path, struct stat *restrict status, int flags)
{
    if (is_ours(dir, path))
        return (int)qr_sim_answer(qr_sim_stat(dir, path, status));
    if (qr_sim_is_fd(dir) && *path == '\0' && (flags & AT_EMPTY_PATH) != 0)
        return (int)qr_sim_answer(qr_sim_fstat(dir, status));
    return (int)KERNEL(newfstatat, dir, P(path), P(status), flags);
}
int fstatat64(int dir, const char *restrict path, struct stat64 *restrict status, int flags)
    __attribute__((alias("fstatat")));

int stat(const char *restrict path, struct stat *restrict status)
{
    return fstatat(AT_FDCWD, path, status, 0);
}
int stat64(const char *restrict path, struct stat64 *restrict status)
    __attribute__((alias("stat")));

int lstat(const char *restrict path, struct stat *restrict status)
{
    return fstatat(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}
int lstat64(const char *restrict path, struct stat64 *restrict status)
    __attribute__((alias("lstat")));

int fstat(int fd, struct stat *status)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_fstat(fd, status))
                                  : KERNEL(fstat, fd, P(status)));
}
int fstat64(int fd, struct stat64 *status) __attribute__((alias("fstat")));

static struct statx_timestamp timestamp_of(struct timespec time)
{
    return (struct statx_timestamp){.tv_sec = time.tv_sec, .tv_nsec = (uint32_t)time.tv_nsec};
}

static void widen(const struct stat *from, struct statx *to)
{
    memset(to, 0, sizeof *to);
    to->stx_mask = STATX_BASIC_STATS;
    to->stx_blksize = (uint32_t)from->st_blksize;
    to->stx_nlink = (uint32_t)from->st_nlink;
    to->stx_mode = (uint16_t)from->st_mode;
    to->stx_ino = from->st_ino;
    to->stx_size = (uint64_t)from->st_size;
    to->stx_blocks = (uint64_t)from->st_blocks;
    to->stx_atime = timestamp_of(from->st_atim);
    to->stx_mtime = timestamp_of(from->st_mtim);
    to->stx_ctime = timestamp_of(from->st_ctim);
    to->stx_dev_major = major(from->st_dev);
    to->stx_dev_minor = minor(from->st_dev);
}

int statx(int dir, const char *restrict path, int flags, unsigned mask, struct statx *restrict out)
{
    struct stat status;
    bool of_fd = qr_sim_is_fd(dir) && *path == '\0';
    if (!of_fd && !is_ours(dir, path))
        return (int)KERNEL(statx, dir, P(path), flags, mask, P(out));
    int err = of_fd ? qr_sim_fstat(dir, &status) : qr_sim_stat(dir, path, &status);
    if (err == 0)
        widen(&status, out);
    return (int)qr_sim_answer(err);
}

int statfs(const char *path, struct statfs *status)
{
    return (int)(qr_sim_is_path(path) ? qr_sim_answer(qr_sim_statfs(path, status))
                                      : KERNEL(statfs, P(path), P(status)));
}
int statfs64(const char *path, struct statfs64 *status) __attribute__((alias("statfs")));

int fstatfs(int fd, struct statfs *status)
{
    return (int)(qr_sim_is_fd(fd) ? qr_sim_answer(qr_sim_statfs(NULL, status))
                                  : KERNEL(fstatfs, fd, P(status)));
}
int fstatfs64(int fd, struct statfs64 *status) __attribute__((alias("fstatfs")));

static int translate(int err, const struct statfs *from, struct statvfs *to)
{
    if (err != 0)
        return err;
    memset(to, 0, sizeof *to);
    to->f_bsize = (unsigned long)from->f_bsize;
    to->f_frsize = (unsigned long)(from->f_frsize != 0 ? from->f_frsize : from->f_bsize);
    to->f_blocks = from->f_blocks;
    to->f_bfree = from->f_bfree;
    to->f_bavail = from->f_bavail;
    to->f_files = from->f_files;
    to->f_ffree = to->f_favail = from->f_ffree;
    to->f_namemax = (unsigned long)from->f_namelen;
    return 0;
}

int statvfs(const char *restrict path, struct statvfs *restrict status)
{
    struct statfs found;
    return translate(statfs(path, &found), &found, status);
}
int statvfs64(const char *restrict path, struct statvfs64 *restrict status)
    __attribute__((alias("statvfs")));

int fstatvfs(int fd, struct statvfs *status)
{
    struct statfs found;
    return translate(fstatfs(fd, &found), &found, status);
}
int fstatvfs64(int fd, struct statvfs64 *status) __attribute__((alias("fstatvfs")));

int faccessat(int dir, const char *path, int mode, int flags)
{
    if (is_ours(dir, path))
        return (int)qr_sim_answer(qr_sim_access(dir, path));
    if (flags != 0)
        return (int)KERNEL(faccessat2, dir, P(path), mode, flags);
    return (int)KERNEL(faccessat, dir, P(path), mode);
}

int access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, 0);
}

int chmod(const char *path, mode_t mode)
{
    return (int)(qr_sim_is_path(path) ? qr_sim_answer(qr_sim_chmod(AT_FDCWD, path, mode))
                                      : KERNEL(fchmodat, AT_FDCWD, P(path), mode));
}

/* ---- names ---- */

/* A name from here to there: both are ours, or none is. */
static int across(bool from, bool to)
{
    return from != to ? -EXDEV : 0;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    bool ours = is_ours(from_dir, from);
    int err = across(ours, is_ours(to_dir, to));
    if (err != 0)
        return (int)qr_sim_answer(err);
    if (!ours)
        return (int)KERNEL(renameat2, from_dir, P(from), to_dir, P(to), flags);
    return (int)qr_sim_answer(qr_sim_renameat(from_dir, from, to_dir, to, flags));
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return renameat2(from_dir, from, to_dir, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    if (is_ours(dir, path))
        return (int)qr_sim_answer(qr_sim_unlinkat(dir, path, (flags & AT_REMOVEDIR) != 0));
    return (int)KERNEL(unlinkat, dir, P(path), flags);
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int remove(const char *path)
{
    int err = unlink(path);
    return err != 0 && errno == EISDIR ? rmdir(path) : err;
}

int mkdirat(int dir, const char *path, mode_t mode)
{
    if (is_ours(dir, path))
        return (int)qr_sim_answer(qr_sim_mkdirat(dir, path, mode));
    return (int)KERNEL(mkdirat, dir, P(path), mode);
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

/* "/proc/self/fd/N" of one of ours, or -1: how a file without a name gets one. */
static int fd_in_proc(const char *path)
{
    static const char folder[] = "/proc/self/fd/";
    if (strncmp(path, folder, sizeof folder - 1) != 0)
        return -1;
    long fd = strtol(path + sizeof folder - 1, NULL, 10);
    return fd <= INT_MAX && qr_sim_is_fd((int)fd) ? (int)fd : -1;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    int fd = fd_in_proc(from);
    bool ours = fd >= 0 || is_ours(from_dir, from);
    int err = across(ours, is_ours(to_dir, to));
    if (err != 0)
        return (int)qr_sim_answer(err);
    if (!ours)
        return (int)KERNEL(linkat, from_dir, P(from), to_dir, P(to), flags);
    if (fd >= 0)
        return (int)qr_sim_answer(qr_sim_linkat(fd, NULL, to_dir, to));
    return (int)qr_sim_answer(qr_sim_linkat(from_dir, from, to_dir, to));
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* ---- syscall(): libuv's and libraft's way to what glibc has no name for ---- */

static long false_syscall(long number, const long a[6], bool *ours)
{
    int fd = (int)a[0];
    long result = 0;
    *ours = true;
    if (qr_sim_host() != NULL && qr_sim_aio(number, a, &result))
        return result;
    if (number == SYS_getrandom) {
        qr_sim_random((void *)(uintptr_t)a[0], (size_t)a[1]);
        return a[1];
    }
    if (number == SYS_statx)
        return statx(fd, (const char *)(uintptr_t)a[1], (int)a[2], (unsigned)a[3],
                     (struct statx *)(uintptr_t)a[4]);
    if (qr_sim_is_fd(fd)) {
        const struct iovec *iov = (const struct iovec *)(uintptr_t)a[1];
        if (number == SYS_close)
            return close(fd);
        if (number == SYS_preadv)
            return preadv(fd, iov, (int)a[2], a[3]);
        if (number == SYS_pwritev)
            return pwritev(fd, iov, (int)a[2], a[3]);
    }
    *ours = false;
    return 0;
}

QR_VARIADIC long syscall(long number, ...)
{
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    bool ours;
    long result = false_syscall(number, a, &ours);
    if (ours)
        return result;
    return qr_sim_answer(qr_sim_kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]));
}
