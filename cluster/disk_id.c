#include "cluster/disk_id.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "cluster/folder.h"

/* The library's: u64 format, version, term, vote. */
#define METADATA_BYTES 32u

static const struct qr_folder_file disk_file = {"disk", "QRDISK1\n", 4};

/* Bytes read, at most `max`; or an error of the system. */
static ssize_t read_file(const char *dir, const char *name, char *bytes, size_t max)
{
    char path[PATH_MAX];
    int err = qr_folder_path(path, dir, name);
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
        int err = qr_folder_path(path, dir, names[i]);
        if (err == 0 && unlink(path) != 0 && errno != ENOENT)
            err = -errno;
        if (err != 0)
            return err;
    }
    return *cleared ? qr_folder_sync(dir) : 0;
}

/* ---- the file ---- */

static int read_disk(const char *dir, uint32_t *disk)
{
    uint64_t number = 0;
    int err = qr_folder_read(dir, &disk_file, &number);
    if (err == 0 && number == 0)
        err = QR_E_CORRUPT;
    if (err == 0)
        *disk = (uint32_t)number;
    return err;
}

static int draw(const char *dir, uint32_t *disk)
{
    uint32_t number;
    do
        number = (uint32_t)qr_rng_entropy();
    while (number == 0);
    int err = qr_folder_write(dir, &disk_file, number);
    if (err == 0)
        err = qr_folder_sync(dir);
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
                 "cannot go on with it; " QR_FOLDER_REMEDY " file=%s/disk",
                 dir);
    if (err == 0)
        *id = (struct qr_disk_id){disk, empty};
    return err;
}
