#include "cluster/disk_id.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"

#define MAGIC       "QRDISK1\n"
#define MAGIC_BYTES 8u
#define FILE_BYTES  16u
/* The library's: u64 format, version, term, vote. */
#define METADATA_BYTES 32u

static int path_of(char path[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? UV_ENAMETOOLONG : 0;
}

/* Bytes read, at most `max`; or an error of the system. */
static ssize_t read_file(const char *dir, const char *name, char *bytes, size_t max)
{
    char path[PATH_MAX];
    int err = path_of(path, dir, name);
    if (err != 0)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, bytes, max);
    if (n < 0)
        n = -errno;
    close(fd);
    return n;
}

/* ---- the folder ---- */

static int sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

struct found {
    bool entries;  /* Segments or snapshots. */
    bool metadata; /* Term and vote. */
};

static int look(const char *dir, struct found *found)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return -errno;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *name = e->d_name;
        found->entries = found->entries || isdigit((unsigned char)name[0]) ||
                         strncmp(name, "open-", 5) == 0 || strncmp(name, "snapshot-", 9) == 0;
        found->metadata = found->metadata || strncmp(name, "metadata", 8) == 0;
    }
    closedir(d);
    return 0;
}

/* Is it of a term in which nobody votes, without a vote, or torn? */
static bool is_harmless(const char *dir, const char *name)
{
    char bytes[METADATA_BYTES + 1];
    ssize_t n = read_file(dir, name, bytes, sizeof bytes);
    if (n < 0)
        return n == UV_ENOENT;
    if (n < (ssize_t)METADATA_BYTES)
        return true;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes + 16, 16));
    uint64_t term = qr_cursor_u64(&in);
    return n == (ssize_t)METADATA_BYTES && term <= 1 && qr_cursor_u64(&in) == 0;
}

/* A founding that was cut short wrote its term, and no entry yet. */
static int clear_founding(const char *dir, bool *cleared)
{
    static const char *const names[] = {"metadata1", "metadata2"};
    *cleared = is_harmless(dir, names[0]) && is_harmless(dir, names[1]);
    for (int i = 0; i < 2 && *cleared; i++) {
        char path[PATH_MAX];
        int err = path_of(path, dir, names[i]);
        if (err == 0 && unlink(path) != 0 && errno != ENOENT)
            err = -errno;
        if (err != 0)
            return err;
    }
    return *cleared ? sync_dir(dir) : 0;
}

/* ---- the file ---- */

static int read_disk(const char *dir, uint32_t *disk)
{
    char bytes[FILE_BYTES + 1];
    ssize_t n = read_file(dir, "disk", bytes, sizeof bytes);
    if (n < 0)
        return (int)n;
    if (n != (ssize_t)FILE_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return QR_E_CORRUPT;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes + MAGIC_BYTES, 8));
    uint32_t got = qr_cursor_u32(&in);
    if (got == 0 || qr_cursor_u32(&in) != qr_crc32c(0, bytes, FILE_BYTES - 4))
        return QR_E_CORRUPT;
    *disk = got;
    return 0;
}

static int write_file(const char *path, struct qr_slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, bytes.base, bytes.len);
    int err = n == (ssize_t)bytes.len ? 0 : n < 0 ? -errno : UV_ENOSPC;
    if (err == 0 && fsync(fd) != 0)
        err = -errno;
    close(fd);
    return err;
}

static int write_disk(const char *dir, uint32_t disk)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int err = path_of(path, dir, "disk");
    if (err == 0)
        err = path_of(fresh, dir, "disk.new");
    if (err != 0)
        return err;
    struct qr_buf bytes = {0};
    qr_buf_add(&bytes, MAGIC, MAGIC_BYTES);
    qr_buf_add_u32(&bytes, disk);
    qr_buf_add_u32(&bytes, qr_crc32c(0, bytes.base, bytes.len));
    err = bytes.failed ? UV_ENOMEM : write_file(fresh, qr_buf_slice(&bytes));
    qr_buf_release(&bytes);
    if (err == 0 && rename(fresh, path) != 0)
        err = -errno;
    return err == 0 ? sync_dir(dir) : err;
}

static int draw(const char *dir, uint32_t *disk)
{
    uint32_t number;
    do
        number = (uint32_t)qr_rng_entropy();
    while (number == 0);
    int err = write_disk(dir, number);
    if (err == 0)
        *disk = number;
    return err;
}

int qr_disk_id_open(const char *dir, struct qr_disk_id *id)
{
    struct found found = {0};
    bool empty = false;
    uint32_t disk = 0;
    int err = look(dir, &found);
    if (err == 0 && !found.entries)
        err = clear_founding(dir, &empty);
    if (err == 0) {
        err = read_disk(dir, &disk);
        if (empty && (err == UV_ENOENT || err == QR_E_CORRUPT))
            err = draw(dir, &disk);
        else if (err == UV_ENOENT)
            err = QR_E_CORRUPT;
    }
    if (err == QR_E_CORRUPT)
        qr_error("the file that says which disk this log is of is gone or damaged: this member "
                 "cannot go on with it; empty the folder, start it, and run `quoratectl members "
                 "replace` for it file=%s/disk",
                 dir);
    if (err == 0)
        *id = (struct qr_disk_id){disk, empty};
    return err;
}
