/* storage/disk.h — the file seam: every byte that storage keeps goes through it.
 *
 * Two implementations: the file system, and memory with faults for tests (testing/).  Paths are
 * absolute.  All calls block: they belong on workers.  0 or a libuv error.  Thread: any. */
#ifndef QR_STORAGE_DISK_H
#define QR_STORAGE_DISK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct qr_disk_file; /* One that is being written: of the disk it came from. */

struct qr_disk {
    void *data;
    /* Begins a file; `path` must not exist.  It ends with commit or abandon. */
    int (*create)(struct qr_disk *disk, const char *path, struct qr_disk_file **file);
    /* After an error there is nothing to do with the file but to abandon it. */
    int (*append)(struct qr_disk *disk, struct qr_disk_file *file, const void *bytes, size_t len);
    /* Fdatasyncs and closes; on error nothing stays. */
    int (*commit)(struct qr_disk *disk, struct qr_disk_file *file);
    /* Closes and unlinks. */
    void (*abandon)(struct qr_disk *disk, struct qr_disk_file *file);
    /* Fdatasyncs a file that another hand wrote. */
    int (*sync)(struct qr_disk *disk, const char *path);
    /* Renames, over what may be there, and fsyncs the folder. */
    int (*rename)(struct qr_disk *disk, const char *from, const char *to);
    int (*unlink)(struct qr_disk *disk, const char *path);
    /* Reads up to len bytes at offset; returns how many (less only at the end), or an error. */
    ssize_t (*read)(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                    size_t len);
    int (*size)(struct qr_disk *disk, const char *path, uint64_t *bytes);
    /* Calls `each` with every name in the folder. */
    int (*list)(struct qr_disk *disk, const char *dir, void (*each)(void *data, const char *name),
                void *data);
};

/* Creates `path` (must not exist), writes all, fdatasyncs.  On error nothing stays. */
static inline int qr_disk_write_file(struct qr_disk *disk, const char *path, const void *bytes,
                                     size_t len)
{
    struct qr_disk_file *file;
    int err = disk->create(disk, path, &file);
    if (err != 0)
        return err;
    err = disk->append(disk, file, bytes, len);
    if (err == 0)
        return disk->commit(disk, file);
    disk->abandon(disk, file);
    return err;
}

/* The file system. */
extern struct qr_disk qr_disk_files;

#endif
