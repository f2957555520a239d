#include "cluster/mend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/folder.h"

#define INDEX_DIGITS 16u
#define SECTOR_BYTES 512u
#define BLOCK_BYTES  (64u * 1024)

static const struct qr_folder_file cut_file = {"cut", "QRCUT1\n", 8}; /* With its NUL. */

/* ---- the note ---- */

/* The index; 0: there is no note. */
static int read_note(const char *dir, uint64_t *index)
{
    *index = 0;
    int err = qr_folder_read(dir, &cut_file, index);
    if (err == 0 && *index == 0)
        err = QR_E_CORRUPT;
    return err == UV_ENOENT ? 0 : err;
}

int qr_mend_note_cut(const char *dir, uint64_t index)
{
    uint64_t noted;
    int err = read_note(dir, &noted);
    if (err != 0 || (noted != 0 && noted <= index))
        return err; /* Both are finished at once. */
    err = qr_folder_write(dir, &cut_file, index);
    return err == 0 ? qr_folder_sync(dir) : err;
}

int qr_mend_forget_cut(const char *dir)
{
    char path[PATH_MAX];
    int err = qr_folder_path(path, dir, cut_file.name);
    if (err == 0 && unlink(path) != 0)
        err = -errno;
    return err == 0 ? qr_folder_sync(dir) : err;
}

/* ---- the folder ---- */

static bool take_index(const char **at, uint64_t *index)
{
    *index = 0;
    for (unsigned i = 0; i < INDEX_DIGITS; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *index = *index * 10 + (uint64_t)(**at - '0');
    }
    return true;
}

static bool is_closed(const char *name, uint64_t *first, uint64_t *end)
{
    return take_index(&name, first) && *name++ == '-' && take_index(&name, end) && *name == '\0';
}

static int remove_segment(const char *dir, const char *name, const char *why)
{
    char path[PATH_MAX];
    int err = qr_folder_path(path, dir, name);
    if (err != 0)
        return err;
    qr_warn("segment of the log removed path=%s reason=\"%s\"", path, why);
    return unlink(path) != 0 ? -errno : 0;
}

/* The end of the shortest closed segment that begins with this entry. */
static int find_shortest(const char *dir, uint64_t first, uint64_t *shortest)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return -errno;
    uint64_t begins, ends;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL; errno = 0)
        if (is_closed(entry->d_name, &begins, &ends) && begins == first && ends < *shortest)
            *shortest = ends;
    int err = errno != 0 ? -errno : 0;
    closedir(folder);
    return err;
}

/* Of those that begin before the cut the copy stays, or the one that was not begun with. */
static int finish_cut(const char *dir, const char *name, uint64_t index)
{
    uint64_t first, end;
    if (!is_closed(name, &first, &end) || end < index)
        return 0;
    uint64_t shortest = end;
    int err = first < index ? find_shortest(dir, first, &shortest) : 0;
    if (err != 0 || (first < index && shortest == end))
        return err;
    return remove_segment(dir, name, "a truncation was interrupted");
}

/* 1: nothing of the first sector was ever written, but something behind it was. */
static int is_torn(int fd)
{
    static const char zeros[BLOCK_BYTES];
    char block[BLOCK_BYTES];
    bool first = true;
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        size_t sector = n < (ssize_t)SECTOR_BYTES ? (size_t)n : SECTOR_BYTES;
        if (first && memcmp(block, zeros, sector) != 0)
            return 0;
        first = false;
        if (memcmp(block, zeros, (size_t)n) != 0)
            return 1;
    }
}

/* Writes what can be read: pages that a failed sync left are clean for the kernel, so that another
 * sync alone would say that all is well. */
static int write_again(int fd)
{
    static const char zeros[BLOCK_BYTES];
    char block[BLOCK_BYTES];
    off_t at = 0;
    for (;;) {
        ssize_t n = pread(fd, block, sizeof block, at);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        bool is_empty = memcmp(block, zeros, (size_t)n) == 0; /* Most of an open segment. */
        ssize_t written = is_empty ? n : pwrite(fd, block, (size_t)n, at);
        if (written != n)
            return written < 0 ? -errno : -EIO;
        at += n;
    }
}

/* The library reads on where the last batch ends, and finds zeros: also if that is 8 bytes before
 * the end of the file. */
static int make_room(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0)
        return size < 0 ? -errno : 0;
    return ftruncate(fd, size + (off_t)SECTOR_BYTES) != 0 ? -errno : 0;
}

static int mend_open(int fd)
{
    int torn = is_torn(fd);
    return torn == 0 ? make_room(fd) : torn;
}

/* Segments that are closed are left alone: they were synced before they got their names. */
static int mend_file(const char *dir, const char *name, uint64_t index)
{
    (void)index;
    char path[PATH_MAX];
    bool is_open = strncmp(name, "open-", 5) == 0;
    if (!is_open && strncmp(name, "metadata", 8) != 0 && strncmp(name, "snapshot-", 9) != 0)
        return 0;
    int err = qr_folder_path(path, dir, name);
    if (err != 0)
        return err;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int torn = is_open ? mend_open(fd) : 0;
    err = torn == 0 ? write_again(fd) : torn < 0 ? torn : 0;
    if (torn == 0 && err == 0 && fdatasync(fd) != 0)
        err = -errno;
    close(fd);
    return torn == 1 ? remove_segment(dir, name, "its first write was interrupted") : err;
}

/* On every file that is there. */
static int each(const char *dir, int (*mend)(const char *dir, const char *name, uint64_t index),
                uint64_t index)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return errno == ENOENT ? 0 : -errno; /* The library says so. */
    int err = 0;
    errno = 0;
    for (struct dirent *entry; err == 0 && (entry = readdir(folder)) != NULL; errno = 0)
        err = mend(dir, entry->d_name, index);
    if (err == 0 && errno != 0)
        err = -errno;
    closedir(folder);
    return err;
}

int qr_mend_log(const char *dir)
{
    uint64_t index;
    int err = read_note(dir, &index);
    if (err == 0 && index != 0) {
        err = each(dir, finish_cut, index);
        if (err == 0)
            err = qr_folder_sync(dir);
        if (err == 0)
            err = qr_mend_forget_cut(dir);
    }
    if (err == 0)
        err = each(dir, mend_file, 0);
    if (err == 0)
        err = qr_folder_sync(dir);
    return err == -ENOENT ? 0 : err; /* The library says so. */
}
