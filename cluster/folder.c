#include "cluster/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/checksum.h"
#include "base/cursor.h"
#include "base/error.h"

#define MAGIC_BYTES      8u
#define CRC_BYTES        4u
#define NUMBER_BYTES_MAX 16u
#define FILE_BYTES_MAX   (MAGIC_BYTES + NUMBER_BYTES_MAX + CRC_BYTES)

int qr_folder_path(char path[PATH_MAX], const char *dir, const char *name)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", dir, name);
    return n < 0 || n >= PATH_MAX ? UV_ENAMETOOLONG : 0;
}

int qr_folder_sync(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) != 0 ? -errno : 0;
    close(fd);
    return err;
}

/* Its numbers, as bytes. */
static int read_numbers(const char *dir, const struct qr_folder_file *file, char *numbers)
{
    char path[PATH_MAX], bytes[FILE_BYTES_MAX + 1];
    size_t len = MAGIC_BYTES + file->number_bytes + CRC_BYTES;
    int err = qr_folder_path(path, dir, file->name);
    if (err != 0)
        return err;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, bytes, len + 1);
    err = n < 0 ? -errno : 0;
    close(fd);
    if (err != 0)
        return err;
    if (n != (ssize_t)len || memcmp(bytes, file->magic, MAGIC_BYTES) != 0)
        return QR_E_CORRUPT;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes + len - CRC_BYTES, CRC_BYTES));
    if (qr_cursor_u32(&in) != qr_crc32c(0, bytes, len - CRC_BYTES))
        return QR_E_CORRUPT;
    memcpy(numbers, bytes + MAGIC_BYTES, file->number_bytes);
    return 0;
}

int qr_folder_read(const char *dir, const struct qr_folder_file *file, uint64_t *number)
{
    char bytes[NUMBER_BYTES_MAX];
    int err = read_numbers(dir, file, bytes);
    if (err != 0)
        return err;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, file->number_bytes));
    *number = file->number_bytes == 4 ? qr_cursor_u32(&in) : qr_cursor_u64(&in);
    return 0;
}

int qr_folder_read_pair(const char *dir, const struct qr_folder_file *file, uint64_t pair[2])
{
    char bytes[NUMBER_BYTES_MAX];
    int err = read_numbers(dir, file, bytes);
    if (err != 0)
        return err;
    struct qr_cursor in = qr_cursor_of(qr_slice_of(bytes, sizeof bytes));
    pair[0] = qr_cursor_u64(&in);
    pair[1] = qr_cursor_u64(&in);
    return 0;
}

static int write_bytes(const char *path, struct qr_slice bytes)
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

int qr_folder_write_file(const char *dir, const char *name, struct qr_slice bytes)
{
    char path[PATH_MAX], fresh[PATH_MAX], fresh_name[32];
    snprintf(fresh_name, sizeof fresh_name, "%s.new", name);
    int err = qr_folder_path(path, dir, name);
    if (err == 0)
        err = qr_folder_path(fresh, dir, fresh_name);
    if (err == 0)
        err = write_bytes(fresh, bytes);
    if (err == 0 && rename(fresh, path) != 0)
        err = -errno;
    return err;
}

/* Magic and numbers are in `bytes`; releases them. */
static int seal_and_write(const char *dir, const struct qr_folder_file *file, struct qr_buf *bytes)
{
    qr_buf_add_u32(bytes, qr_crc32c(0, bytes->base, bytes->len));
    int err =
        bytes->failed ? UV_ENOMEM : qr_folder_write_file(dir, file->name, qr_buf_slice(bytes));
    qr_buf_release(bytes);
    return err;
}

int qr_folder_write(const char *dir, const struct qr_folder_file *file, uint64_t number)
{
    struct qr_buf bytes = {0};
    qr_buf_add(&bytes, file->magic, MAGIC_BYTES);
    if (file->number_bytes == 4)
        qr_buf_add_u32(&bytes, (uint32_t)number);
    else
        qr_buf_add_u64(&bytes, number);
    return seal_and_write(dir, file, &bytes);
}

int qr_folder_write_pair(const char *dir, const struct qr_folder_file *file, const uint64_t pair[2])
{
    struct qr_buf bytes = {0};
    qr_buf_add(&bytes, file->magic, MAGIC_BYTES);
    qr_buf_add_u64(&bytes, pair[0]);
    qr_buf_add_u64(&bytes, pair[1]);
    return seal_and_write(dir, file, &bytes);
}
