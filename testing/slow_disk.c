/* libquorate_slow_disk.so — LD_PRELOAD: a disk that takes its time, while a program runs.
 *
 * QR_SLOW_DISK names a file of 8 bytes, mapped at the first call: two little-endian numbers of 32
 * bits, how many microseconds each sync and each write to a regular file takes longer.  Whoever
 * writes other numbers there changes it at once.  Everything by which quorated, libuv and libraft
 * make bytes durable passes here: fsync, fdatasync, write, pwrite and their kin, and io_submit by
 * syscall(), which is what libraft calls where the file system allows it; a write by io_submit is
 * a synced one (O_DSYNC), so it counts as both.  Thread: any. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { SYNC, WRITE, N_DELAYS };

static const volatile uint32_t *delays_us;

/* The mapping, made before main: no thread is there yet. */
__attribute__((constructor)) static void map_delays(void)
{
    const char *path = getenv("QR_SLOW_DISK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *at = mmap(NULL, N_DELAYS * sizeof(uint32_t), PROT_READ, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        delays_us = at;
    close(fd);
}

static void wait_us(uint64_t us)
{
    struct timespec left = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    int err = errno;
    while (us > 0 && nanosleep(&left, &left) != 0)
        continue;
    errno = err;
}

static uint32_t delay_us(int kind)
{
    return delays_us != NULL ? delays_us[kind] : 0;
}

static void delay_write(int fd)
{
    struct stat st;
    if (delay_us(WRITE) > 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        wait_us(delay_us(WRITE));
}

/* The next function of this name, which is libc's. */
#define NEXT(name, ...)                                                                            \
    static __typeof__(&(name)) next;                                                               \
    if (next == NULL)                                                                              \
        *(void **)&next = dlsym(RTLD_NEXT, #name);                                                 \
    return next(__VA_ARGS__)

int fsync(int fd)
{
    wait_us(delay_us(SYNC));
    NEXT(fsync, fd);
}

int fdatasync(int fd)
{
    wait_us(delay_us(SYNC));
    NEXT(fdatasync, fd);
}

ssize_t write(int fd, const void *bytes, size_t len)
{
    delay_write(fd);
    NEXT(write, fd, bytes, len);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    delay_write(fd);
    NEXT(pwrite, fd, bytes, len, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t at)
{
    delay_write(fd);
    NEXT(pwrite64, fd, bytes, len, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    delay_write(fd);
    NEXT(writev, fd, parts, n);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    delay_write(fd);
    NEXT(pwritev, fd, parts, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
    delay_write(fd);
    NEXT(pwritev64, fd, parts, n, at);
}

long syscall(long number, ...)
{
    long a[6];
    va_list args;
    va_start(args, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(args, long);
    va_end(args);
    if (number == SYS_io_submit)
        wait_us((uint64_t)delay_us(SYNC) + delay_us(WRITE));
    NEXT(syscall, number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
