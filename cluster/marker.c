#include "cluster/marker.h"

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

#define MAGIC        "QRMARK1\n"
#define MAGIC_BYTES  8u
#define MARKER_BYTES 20u

static int path_of(char path[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? UV_ENAMETOOLONG : 0;
}

int qr_marker_read(const char *dir, uint64_t *index)
{
    char path[PATH_MAX], bytes[MARKER_BYTES + 1];
    int err = path_of(path, dir, "marker");
    if (err != 0)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        *index = 0;
        return errno == ENOENT ? 0 : -errno;
    }
    ssize_t n = read(fd, bytes, sizeof bytes);
    err = n < 0 ? -errno : 0;
    close(fd);
    if (err != 0)
        return err;
    if (n != MARKER_BYTES || memcmp(bytes, MAGIC, MAGIC_BYTES) != 0)
        return QR_E_CORRUPT;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes + MAGIC_BYTES, 12));
    uint64_t got = qr_cursor_u64(&in);
    if (qr_cursor_u32(&in) != qr_crc32c(0, bytes, MARKER_BYTES - 4))
        return QR_E_CORRUPT;
    *index = got;
    return 0;
}

static int write_file(const char *path, struct qr_slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, bytes.base, bytes.len);
    int err = n == (ssize_t)bytes.len ? 0 : n < 0 ? -errno : UV_ENOSPC;
    if (err == 0 && fdatasync(fd) != 0)
        err = -errno;
    close(fd);
    return err;
}

int qr_marker_write(const char *dir, uint64_t index)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    int err = path_of(path, dir, "marker");
    if (err == 0)
        err = path_of(fresh, dir, "marker.new");
    if (err != 0)
        return err;
    struct qr_buf bytes = {0};
    qr_buf_add(&bytes, MAGIC, MAGIC_BYTES);
    qr_buf_add_u64(&bytes, index);
    qr_buf_add_u32(&bytes, qr_crc32c(0, bytes.base, bytes.len));
    err = bytes.failed ? UV_ENOMEM : write_file(fresh, qr_buf_slice(&bytes));
    qr_buf_release(&bytes);
    if (err == 0 && rename(fresh, path) != 0)
        err = -errno;
    return err;
}

/* ---- while a log is open ---- */

static void write_last(struct qr_marker *marker)
{
    if (!marker->busy && marker->last > marker->written)
        (void)qr_marker_write(marker->dir, marker->last);
}

static void work(uv_work_t *req)
{
    struct qr_marker *marker = req->data;
    marker->err = qr_marker_write(marker->dir, marker->writing);
}

static void on_worked(uv_work_t *req, int status)
{
    struct qr_marker *marker = req->data;
    marker->busy = false;
    if (status == 0 && marker->err == 0)
        marker->written = marker->writing;
    write_last(marker);
    marker->on_written(marker->data);
}

void qr_marker_init(struct qr_marker *marker, uv_loop_t *loop, const char *dir,
                    void (*on_written)(void *data), void *data)
{
    *marker = (struct qr_marker){.loop = loop, .dir = dir, .on_written = on_written, .data = data};
    marker->work.data = marker;
}

void qr_marker_update(struct qr_marker *marker, uint64_t index)
{
    if (marker->busy || marker->last != 0 || index <= marker->written)
        return;
    marker->writing = index;
    marker->busy = uv_queue_work(marker->loop, &marker->work, work, on_worked) == 0;
}

void qr_marker_close(struct qr_marker *marker, uint64_t index)
{
    marker->last = index;
    write_last(marker);
}
