#include "testing/memory_disk.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

static struct qr_memory_disk *of(struct qr_disk *disk)
{
    return disk->data;
}

static void file_free(struct qr_memory_file *file)
{
    free(file->path);
    free(file->bytes);
    free(file);
}

static struct qr_memory_file **find(struct qr_memory_file **files, const char *path)
{
    while (*files != NULL && strcmp((*files)->path, path) != 0)
        files = &(*files)->next;
    return files;
}

static void drop(struct qr_memory_file **files, const char *path)
{
    struct qr_memory_file **at = find(files, path), *file = *at;
    if (file == NULL)
        return;
    *at = file->next;
    file_free(file);
}

/* Sets a file's bytes, in place of what was there. */
static void put(struct qr_memory_file **files, const char *path, const void *bytes, size_t len)
{
    drop(files, path);
    struct qr_memory_file *file = calloc(1, sizeof *file);
    file->path = strdup(path);
    file->bytes = malloc(len + 1);
    if (len != 0)
        memcpy(file->bytes, bytes, len);
    file->len = file->durable_len = file->capacity = len;
    file->next = *files;
    *files = file;
}

/* 0, or the fault that is due. */
static int count(struct qr_memory_disk *disk)
{
    disk->n_calls++;
    if (disk->fail_at == 0 || disk->n_calls < disk->fail_at)
        return 0;
    return disk->n_calls == disk->fail_at || disk->stay_failed ? disk->fail_with : 0;
}

struct qr_disk_file {
    char *path;
};

static int memory_create(struct qr_disk *disk, const char *path, struct qr_disk_file **file)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    int err = *find(&memory->files, path) != NULL ? UV_EEXIST : count(memory);
    if (err == 0) {
        put(&memory->files, path, "", 0);
        *file = calloc(1, sizeof **file);
        (*file)->path = strdup(path);
    }
    pthread_mutex_unlock(&memory->lock);
    return err;
}

/* What was written reaches the disk in part, and with it the name. */
static void tear(struct qr_memory_disk *memory, const struct qr_memory_file *file)
{
    put(&memory->durable, file->path, file->bytes, file->len / 2);
}

static void grow(struct qr_memory_file *file, const void *bytes, size_t len)
{
    if (file->len + len > file->capacity) {
        file->capacity = (file->len + len) * 2;
        file->bytes = realloc(file->bytes, file->capacity);
    }
    if (len != 0)
        memcpy(file->bytes + file->len, bytes, len);
    file->len += len;
}

static int memory_append(struct qr_disk *disk, struct qr_disk_file *handle, const void *bytes,
                         size_t len)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    struct qr_memory_file *file = *find(&memory->files, handle->path);
    int err = file == NULL ? UV_EIO : count(memory);
    if (err == 0) {
        grow(file, bytes, len);
    } else if (file != NULL && memory->tear) {
        grow(file, bytes, len / 2);
        tear(memory, file);
    }
    pthread_mutex_unlock(&memory->lock);
    return err;
}

static void forget(struct qr_disk_file *handle)
{
    free(handle->path);
    free(handle);
}

static int memory_commit(struct qr_disk *disk, struct qr_disk_file *handle)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    struct qr_memory_file *file = *find(&memory->files, handle->path);
    int err = file == NULL ? UV_EIO : count(memory);
    if (err == 0)
        file->durable_len = file->len;
    else if (file != NULL && memory->tear)
        tear(memory, file);
    else
        drop(&memory->files, handle->path);
    pthread_mutex_unlock(&memory->lock);
    forget(handle);
    return err;
}

static void memory_abandon(struct qr_disk *disk, struct qr_disk_file *handle)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    if (!memory->tear) /* Else it died before it came to this. */
        drop(&memory->files, handle->path);
    pthread_mutex_unlock(&memory->lock);
    forget(handle);
}

static int memory_sync(struct qr_disk *disk, const char *path)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    struct qr_memory_file *file = *find(&memory->files, path);
    int err = file == NULL ? UV_ENOENT : count(memory);
    if (err == 0)
        file->durable_len = file->len;
    pthread_mutex_unlock(&memory->lock);
    return err;
}

/* The folder is synced: what it holds now is what a crash goes back to. */
static void make_names_durable(struct qr_memory_disk *memory)
{
    while (memory->durable != NULL)
        drop(&memory->durable, memory->durable->path);
    for (struct qr_memory_file *file = memory->files; file != NULL; file = file->next)
        put(&memory->durable, file->path, file->bytes, file->durable_len);
}

static int memory_rename(struct qr_disk *disk, const char *from, const char *to)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    int err = count(memory);
    struct qr_memory_file *file = *find(&memory->files, from);
    if (file == NULL)
        err = UV_ENOENT;
    if (err == 0 && strcmp(from, to) != 0) {
        drop(&memory->files, to);
        free(file->path);
        file->path = strdup(to);
    }
    /* The second step of the same call can fail as well: renamed, but the folder is not synced. */
    if (err == 0)
        err = count(memory);
    if (err == 0)
        make_names_durable(memory);
    pthread_mutex_unlock(&memory->lock);
    return err;
}

static int memory_unlink(struct qr_disk *disk, const char *path)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    int err = *find(&memory->files, path) == NULL ? UV_ENOENT : count(memory);
    if (err == 0)
        drop(&memory->files, path);
    pthread_mutex_unlock(&memory->lock);
    return err;
}

static ssize_t memory_read(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                           size_t len)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    const struct qr_memory_file *file = *find(&memory->files, path);
    ssize_t result = file == NULL ? UV_ENOENT : count(memory);
    if (result == 0 && offset < file->len) {
        size_t left = file->len - (size_t)offset;
        result = (ssize_t)(len < left ? len : left);
        memcpy(bytes, file->bytes + offset, (size_t)result);
    }
    pthread_mutex_unlock(&memory->lock);
    return result;
}

static int memory_size(struct qr_disk *disk, const char *path, uint64_t *bytes)
{
    struct qr_memory_disk *memory = of(disk);
    pthread_mutex_lock(&memory->lock);
    const struct qr_memory_file *file = *find(&memory->files, path);
    int err = file == NULL ? UV_ENOENT : count(memory);
    if (err == 0)
        *bytes = file->len;
    pthread_mutex_unlock(&memory->lock);
    return err;
}

static int memory_list(struct qr_disk *disk, const char *dir,
                       void (*each)(void *data, const char *name), void *data)
{
    struct qr_memory_disk *memory = of(disk);
    size_t dir_len = strlen(dir), n = 0;
    pthread_mutex_lock(&memory->lock);
    int err = count(memory);
    char **names = calloc(qr_memory_disk_n_files(memory) + 1, sizeof(char *));
    for (struct qr_memory_file *file = memory->files; file != NULL && err == 0; file = file->next)
        if (strncmp(file->path, dir, dir_len) == 0 && file->path[dir_len] == '/')
            names[n++] = strdup(file->path + dir_len + 1);
    pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i < n; i++) { /* Unlocked: `each` may unlink. */
        each(data, names[i]);
        free(names[i]);
    }
    free(names);
    return err;
}

void qr_memory_disk_init(struct qr_memory_disk *disk)
{
    *disk = (struct qr_memory_disk){
        .disk = {.data = disk,
                 .create = memory_create,
                 .append = memory_append,
                 .commit = memory_commit,
                 .abandon = memory_abandon,
                 .sync = memory_sync,
                 .rename = memory_rename,
                 .unlink = memory_unlink,
                 .read = memory_read,
                 .size = memory_size,
                 .list = memory_list},
        .fail_with = UV_EIO,
    };
    pthread_mutex_init(&disk->lock, NULL);
}

void qr_memory_disk_release(struct qr_memory_disk *disk)
{
    while (disk->files != NULL)
        drop(&disk->files, disk->files->path);
    while (disk->durable != NULL)
        drop(&disk->durable, disk->durable->path);
    pthread_mutex_destroy(&disk->lock);
}

void qr_memory_disk_crash(struct qr_memory_disk *disk)
{
    while (disk->files != NULL)
        drop(&disk->files, disk->files->path);
    for (struct qr_memory_file *file = disk->durable; file != NULL; file = file->next)
        put(&disk->files, file->path, file->bytes, file->len);
    disk->fail_at = 0;
    disk->stay_failed = false;
}

struct qr_memory_file *qr_memory_disk_get(struct qr_memory_disk *disk, const char *path)
{
    return *find(&disk->files, path);
}

unsigned qr_memory_disk_n_files(const struct qr_memory_disk *disk)
{
    unsigned n = 0;
    for (const struct qr_memory_file *file = disk->files; file != NULL; file = file->next)
        n++;
    return n;
}
