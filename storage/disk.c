#include "storage/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/plant.h"

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return uv_translate_sys_error(errno);
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_and_close(int fd, int err)
{
    if (err == 0 && !QR_PLANT(file_not_synced) && fdatasync(fd) != 0)
        err = uv_translate_sys_error(errno);
    if (close(fd) != 0 && err == 0)
        err = uv_translate_sys_error(errno);
    return err;
}

struct qr_disk_file {
    int fd;
    char path[];
};

static int files_create(struct qr_disk *disk, const char *path, struct qr_disk_file **file)
{
    size_t len = strlen(path) + 1;
    struct qr_disk_file *f = malloc(sizeof *f + len);
    if (f == NULL)
        return UV_ENOMEM;
    memcpy(f->path, path, len);
    f->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (f->fd < 0) {
        int err = uv_translate_sys_error(errno);
        free(f);
        return err;
    }
    *file = f;
    return 0;
}

static int files_append(struct qr_disk *disk, struct qr_disk_file *file, const void *bytes,
                        size_t len)
{
    return write_all(file->fd, bytes, len);
}

static int files_commit(struct qr_disk *disk, struct qr_disk_file *file)
{
    int err = sync_and_close(file->fd, 0);
    if (err != 0)
        unlink(file->path);
    free(file);
    return err;
}

static void files_abandon(struct qr_disk *disk, struct qr_disk_file *file)
{
    close(file->fd);
    unlink(file->path);
    free(file);
}

static int files_sync(struct qr_disk *disk, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    return sync_and_close(fd, 0);
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (dir == NULL)
        return UV_ENOMEM;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    int err = fsync(fd) != 0 ? uv_translate_sys_error(errno) : 0;
    close(fd);
    return err;
}

static int files_rename(struct qr_disk *disk, const char *from, const char *to)
{
    if (rename(from, to) != 0)
        return uv_translate_sys_error(errno);
    return QR_PLANT(folder_not_synced) ? 0 : sync_folder_of(to);
}

static int files_unlink(struct qr_disk *disk, const char *path)
{
    return unlink(path) != 0 ? uv_translate_sys_error(errno) : 0;
}

static ssize_t files_read(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                          size_t len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return uv_translate_sys_error(errno);
    size_t done = 0;
    ssize_t n = 1;
    while (done < len && n != 0) {
        n = pread(fd, (char *)bytes + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            break;
        if (n > 0)
            done += (size_t)n;
    }
    ssize_t result = n < 0 ? uv_translate_sys_error(errno) : (ssize_t)done;
    close(fd);
    return result;
}

static int files_size(struct qr_disk *disk, const char *path, uint64_t *bytes)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return uv_translate_sys_error(errno);
    *bytes = (uint64_t)status.st_size;
    return 0;
}

static int files_list(struct qr_disk *disk, const char *dir,
                      void (*each)(void *data, const char *name), void *data)
{
    DIR *folder = opendir(dir);
    if (folder == NULL)
        return uv_translate_sys_error(errno);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL; errno = 0)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            each(data, entry->d_name);
    int err = errno != 0 ? uv_translate_sys_error(errno) : 0;
    closedir(folder);
    return err;
}

struct qr_disk qr_disk_files = {
    .create = files_create,
    .append = files_append,
    .commit = files_commit,
    .abandon = files_abandon,
    .sync = files_sync,
    .rename = files_rename,
    .unlink = files_unlink,
    .read = files_read,
    .size = files_size,
    .list = files_list,
};
