#include "node/ctl/block_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "base/error.h"

static int add(struct qr_block_paths *paths, const char *dir, const char *name)
{
    struct qr_block_path *grown = realloc(paths->at, (paths->n + 1) * sizeof *grown);
    if (grown == NULL)
        return UV_ENOMEM;
    paths->at = grown;
    struct qr_block_path *path = &grown[paths->n];
    size_t len = strlen(dir) + strlen(name) + 2;
    path->path = malloc(len);
    if (path->path == NULL)
        return UV_ENOMEM;
    snprintf(path->path, len, "%s%s%s", dir, dir[0] != '\0' ? "/" : "", name);
    const char *slash = strrchr(name, '/');
    if (!qr_block_parse_name(&path->id, slash != NULL ? slash + 1 : name))
        path->id = (struct qr_block_id){0};
    paths->n++;
    return 0;
}

struct folder {
    struct qr_block_paths *paths;
    const char *dir;
    int err;
};

static void add_named(void *data, const char *name)
{
    struct folder *folder = data;
    struct qr_block_id id;
    if (folder->err == 0 && qr_block_parse_name(&id, name))
        folder->err = add(folder->paths, folder->dir, name);
}

static int compare(const void *a, const void *b)
{
    return qr_block_id_compare(&((const struct qr_block_path *)a)->id,
                               &((const struct qr_block_path *)b)->id);
}

int qr_block_paths_add(struct qr_block_paths *paths, const char *path)
{
    size_t before = paths->n;
    struct folder folder = {paths, path, 0};
    int err = qr_disk_files.list(&qr_disk_files, path, add_named, &folder);
    if (err == UV_ENOTDIR) {
        uint64_t bytes;
        err = qr_disk_files.size(&qr_disk_files, path, &bytes);
        return err != 0 ? err : add(paths, "", path);
    }
    if (err == 0 && folder.err == 0 && paths->n > before)
        qsort(&paths->at[before], paths->n - before, sizeof *paths->at, compare);
    return err != 0 ? err : folder.err;
}

void qr_block_paths_release(struct qr_block_paths *paths)
{
    for (size_t i = 0; i < paths->n; i++)
        free(paths->at[i].path);
    free(paths->at);
    *paths = (struct qr_block_paths){0};
}

int qr_block_open(struct qr_block_index **index, const char *path)
{
    struct qr_disk *disk = &qr_disk_files;
    uint64_t bytes;
    uint8_t raw[16];
    int err = disk->size(disk, path, &bytes);
    if (err != 0)
        return err;
    if (bytes < QR_BLOCK_HEADER_BYTES + QR_BLOCK_FOOTER_BYTES)
        return QR_E_CORRUPT;
    ssize_t n = disk->read(disk, path, bytes - sizeof raw, raw, sizeof raw);
    if (n < 0)
        return (int)n;
    return qr_block_index_read(index, disk, path, bytes, qr_le_get(raw, 8));
}

void qr_time_text(int64_t time_s, char text[QR_TIME_TEXT_BYTES])
{
    time_t when = (time_t)time_s;
    struct tm tm;
    if (gmtime_r(&when, &tm) == NULL ||
        strftime(text, QR_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(text, QR_TIME_TEXT_BYTES, "%lld", (long long)time_s);
}
