#include "ha-tests/small_disk.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_BYTES 600

bool small_disk_namespace(void)
{
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool small_disk_make(const char *dir, const char *bytes)
{
    char options[64];
    snprintf(options, sizeof options, "size=%s", bytes);
    return mount("tmpfs", dir, "tmpfs", 0, options) == 0;
}

void small_disk_remove(const char *dir)
{
    umount2(dir, MNT_DETACH);
}

static void filler_of(const char *dir, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, "%s/filler", dir);
}

/* False: there was no room for a byte more. */
static bool write_some(int fd, size_t len)
{
    static const char block[65536];
    return write(fd, block, len) > 0;
}

bool small_disk_fill(const char *dir, uint64_t left)
{
    char path[PATH_BYTES];
    struct statvfs fs;
    filler_of(dir, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    size_t len = 65536;
    while (len > 0 && fstatvfs(fd, &fs) == 0 && (left == 0 || fs.f_bavail * fs.f_frsize > left)) {
        if (!write_some(fd, len))
            len /= 2;
    }
    return close(fd) == 0;
}

void small_disk_free(const char *dir)
{
    char path[PATH_BYTES];
    filler_of(dir, path);
    unlink(path);
}
