/* Streams and folders: what libc keeps memory for. */
#include <assert.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/list.h"
#include "testing/sim/fd.h"
#include "testing/sim/libc.h"
#include "testing/sim/tree.h"

/* Libc's own of that name. */
static void *real(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert(found != NULL);
    return found;
}

/* ---- streams: the same FILE, on our descriptors ---- */

static ssize_t stream_read(void *cookie, char *bytes, size_t len)
{
    return read((int)(intptr_t)cookie, bytes, len);
}

static ssize_t stream_write(void *cookie, const char *bytes, size_t len)
{
    ssize_t n = write((int)(intptr_t)cookie, bytes, len);
    return n < 0 ? 0 : n; /* So says fopencookie(3). */
}

static int stream_seek(void *cookie, off_t *offset, int whence)
{
    off_t at = lseek((int)(intptr_t)cookie, *offset, whence);
    if (at < 0)
        return -1;
    *offset = at;
    return 0;
}

static int stream_close(void *cookie)
{
    return close((int)(intptr_t)cookie);
}

static FILE *stream_of(int fd, const char *mode)
{
    const cookie_io_functions_t calls = {stream_read, stream_write, stream_seek, stream_close};
    FILE *stream = fopencookie((void *)(intptr_t)fd, mode, calls);
    if (stream == NULL)
        close(fd);
    return stream;
}

static int flags_of(const char *mode)
{
    int flags = strchr(mode, '+') != NULL ? O_RDWR : mode[0] == 'r' ? O_RDONLY : O_WRONLY;
    if (mode[0] == 'w')
        flags |= O_CREAT | O_TRUNC;
    if (mode[0] == 'a')
        flags |= O_CREAT | O_APPEND;
    return strchr(mode, 'x') != NULL ? flags | O_EXCL : flags;
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
    static FILE *(*real_fopen)(const char *, const char *);
    if (qr_sim_is_path(path) || qr_sim_proc_text(path) != NULL) {
        int fd = open(path, flags_of(mode), 0666);
        return fd < 0 ? NULL : stream_of(fd, mode);
    }
    if (real_fopen == NULL)
        real_fopen = (FILE * (*)(const char *, const char *)) real("fopen");
    return real_fopen(path, mode);
}
FILE *fopen64(const char *restrict path, const char *restrict mode) __attribute__((alias("fopen")));

FILE *fdopen(int fd, const char *mode)
{
    static FILE *(*real_fdopen)(int, const char *);
    if (qr_sim_is_fd(fd))
        return stream_of(fd, mode);
    if (real_fdopen == NULL)
        real_fdopen = (FILE * (*)(int, const char *)) real("fdopen");
    return real_fdopen(fd, mode);
}

/* ---- folders ---- */

/* What a DIR of ours is.  One that a host did not close before it ended is leaked. */
struct folder {
    struct qr_list node;
    int fd;
    struct dirent *entries;
    size_t n, next;
};

static struct qr_list folders = {&folders, &folders};

static struct folder *ours(const DIR *dir)
{
    QR_LIST_FOREACH (node, &folders)
        if ((const void *)node == (const void *)dir)
            return QR_CONTAINER_OF(node, struct folder, node);
    return NULL;
}

static DIR *list_folder(int fd)
{
    struct folder *folder = calloc(1, sizeof *folder);
    assert(folder != NULL);
    folder->fd = fd;
    if (qr_sim_answer(qr_sim_list(fd, &folder->entries, &folder->n)) != 0) {
        free(folder);
        return NULL;
    }
    qr_list_init(&folder->node);
    qr_list_add_tail(&folders, &folder->node);
    return (DIR *)&folder->node;
}

DIR *opendir(const char *path)
{
    static DIR *(*real_opendir)(const char *);
    if (!qr_sim_is_path(path)) {
        if (real_opendir == NULL)
            real_opendir = (DIR * (*)(const char *)) real("opendir");
        return real_opendir(path);
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return NULL;
    DIR *dir = list_folder(fd);
    if (dir == NULL) {
        int err = errno;
        close(fd);
        errno = err;
    }
    return dir;
}

DIR *fdopendir(int fd)
{
    static DIR *(*real_fdopendir)(int);
    if (qr_sim_is_fd(fd))
        return list_folder(fd);
    if (real_fdopendir == NULL)
        real_fdopendir = (DIR * (*)(int)) real("fdopendir");
    return real_fdopendir(fd);
}

struct dirent *readdir(DIR *dir)
{
    static struct dirent *(*real_readdir)(DIR *);
    struct folder *folder = ours(dir);
    if (folder != NULL)
        return folder->next < folder->n ? &folder->entries[folder->next++] : NULL;
    if (real_readdir == NULL)
        real_readdir = (struct dirent * (*)(DIR *)) real("readdir");
    return real_readdir(dir);
}
struct dirent64 *readdir64(DIR *dir) __attribute__((alias("readdir")));

int dirfd(DIR *dir)
{
    static int (*real_dirfd)(DIR *);
    const struct folder *folder = ours(dir);
    if (folder != NULL)
        return folder->fd;
    if (real_dirfd == NULL)
        real_dirfd = (int (*)(DIR *))real("dirfd");
    return real_dirfd(dir);
}

void rewinddir(DIR *dir)
{
    static void (*real_rewinddir)(DIR *);
    struct folder *folder = ours(dir);
    if (folder != NULL) {
        folder->next = 0;
        return;
    }
    if (real_rewinddir == NULL)
        real_rewinddir = (void (*)(DIR *))real("rewinddir");
    real_rewinddir(dir);
}

int closedir(DIR *dir)
{
    static int (*real_closedir)(DIR *);
    struct folder *folder = ours(dir);
    if (folder == NULL) {
        if (real_closedir == NULL)
            real_closedir = (int (*)(DIR *))real("closedir");
        return real_closedir(dir);
    }
    int err = close(folder->fd);
    qr_list_remove(&folder->node);
    free(folder->entries);
    free(folder);
    return err;
}

/* Of glibc's, on top of the three above. */
int scandir(const char *restrict path, struct dirent ***restrict list,
            int (*filter)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **))
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    struct dirent **found = NULL;
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (filter != NULL && filter(entry) == 0)
            continue;
        struct dirent **more = realloc(found, ((size_t)n + 1) * sizeof *found);
        struct dirent *copy = malloc(sizeof *copy);
        assert(more != NULL);
        assert(copy != NULL);
        memcpy(copy, entry, offsetof(struct dirent, d_name));
        memcpy(copy->d_name, entry->d_name, strlen(entry->d_name) + 1);
        found = more;
        found[n++] = copy;
    }
    closedir(dir);
    if (compare != NULL && n > 0)
        qsort(found, (size_t)n, sizeof *found, (int (*)(const void *, const void *))compare);
    *list = found;
    return n;
}
int scandir64(const char *restrict path, struct dirent64 ***restrict list,
              int (*filter)(const struct dirent64 *),
              int (*compare)(const struct dirent64 **, const struct dirent64 **))
    __attribute__((alias("scandir")));

/* ---- paths ---- */

static char *false_realpath(const char *path, char *resolved)
{
    if (access(path, F_OK) != 0)
        return NULL;
    char *to = resolved != NULL ? resolved : malloc(PATH_MAX);
    assert(to != NULL);
    size_t len = 0;
    while (*path != '\0') {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 2 && path[0] == '.' && path[1] == '.') {
            while (len > 0 && to[--len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && path[0] == '.')) {
            assert(len + n + 2 < PATH_MAX);
            to[len++] = '/';
            memcpy(to + len, path, n);
            len += n;
        }
        path += n;
    }
    to[len] = '\0';
    return to;
}

char *realpath(const char *restrict path, char *restrict resolved)
{
    static char *(*real_realpath)(const char *, char *);
    if (qr_sim_is_path(path))
        return false_realpath(path, resolved);
    if (real_realpath == NULL)
        real_realpath = (char *(*)(const char *, char *))real("realpath");
    return real_realpath(path, resolved);
}

char *__realpath_chk(const char *path, char *resolved, size_t room);
char *__realpath_chk(const char *path, char *resolved, size_t room)
{
    assert(room >= PATH_MAX);
    return realpath(path, resolved);
}
