/* Files: plain libc calls, which testing/sim/fs takes for paths of the simulated world. */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "testing/sim/uv_core.h"

/* What is found in a folder: one block, the names behind the entries. */
struct listing {
    size_t n, next;
    struct entry {
        char *name;
        uv_dirent_type_t type;
    } * at;
};

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->n; i++)
        free(listing->at[i].name);
    free(listing->at);
    free(listing);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static uv_dirent_type_t type_of(const struct dirent *found)
{
    return found->d_type == DT_REG   ? UV_DIRENT_FILE
           : found->d_type == DT_DIR ? UV_DIRENT_DIR
           : found->d_type == DT_LNK ? UV_DIRENT_LINK
                                     : UV_DIRENT_UNKNOWN;
}

static ssize_t scan(uv_fs_t *req)
{
    DIR *dir = opendir(req->path);
    if (dir == NULL)
        return -1;
    struct listing *listing = calloc(1, sizeof *listing);
    assert(listing != NULL);
    for (struct dirent *found; (found = readdir(dir)) != NULL;) {
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        listing->at = realloc(listing->at, (listing->n + 1) * sizeof *listing->at);
        assert(listing->at != NULL);
        listing->at[listing->n++] = (struct entry){strdup(found->d_name), type_of(found)};
    }
    closedir(dir);
    if (listing->n > 0)
        qsort(listing->at, listing->n, sizeof *listing->at, by_name);
    req->ptr = listing;
    return (ssize_t)listing->n;
}

int uv_fs_scandir_next(uv_fs_t *req, uv_dirent_t *entry)
{
    if (req->result < 0)
        return (int)req->result;
    struct listing *listing = req->ptr;
    if (listing == NULL)
        return UV_EOF;
    if (listing->next == listing->n) {
        listing_free(listing);
        req->ptr = NULL;
        return UV_EOF;
    }
    entry->name = listing->at[listing->next].name;
    entry->type = listing->at[listing->next].type;
    listing->next++;
    return 0;
}

static uv_timespec_t time_of(struct timespec at)
{
    return (uv_timespec_t){at.tv_sec, at.tv_nsec};
}

static ssize_t take_stat(uv_fs_t *req, int err, const struct stat *found)
{
    if (err != 0)
        return -1;
    req->statbuf = (uv_stat_t){
        .st_dev = found->st_dev,
        .st_mode = found->st_mode,
        .st_nlink = found->st_nlink,
        .st_uid = found->st_uid,
        .st_gid = found->st_gid,
        .st_ino = found->st_ino,
        .st_size = (uint64_t)found->st_size,
        .st_blksize = (uint64_t)found->st_blksize,
        .st_blocks = (uint64_t)found->st_blocks,
        .st_atim = time_of(found->st_atim),
        .st_mtim = time_of(found->st_mtim),
        .st_ctim = time_of(found->st_ctim),
    };
    req->ptr = &req->statbuf;
    return 0;
}

/* One after the other; as writev() it stops at the first that is short. */
static ssize_t move(uv_fs_t *req, bool writes)
{
    ssize_t all = 0;
    for (unsigned i = 0; i < req->nbufs; i++) {
        char *base = req->bufs[i].base;
        size_t len = req->bufs[i].len;
        ssize_t n;
        if (req->off >= 0)
            n = writes ? pwrite(req->file, base, len, req->off + all)
                       : pread(req->file, base, len, req->off + all);
        else
            n = writes ? write(req->file, base, len) : read(req->file, base, len);
        if (n < 0)
            return all > 0 ? all : -1;
        all += n;
        if ((size_t)n < len)
            break;
    }
    return all;
}

static ssize_t call(uv_fs_t *req)
{
    struct stat found = {0};
    switch (req->fs_type) {
    case UV_FS_OPEN:
        return open(req->path, req->flags | O_CLOEXEC, req->mode);
    case UV_FS_CLOSE:
        return close(req->file);
    case UV_FS_READ:
        return move(req, false);
    case UV_FS_WRITE:
        return move(req, true);
    case UV_FS_UNLINK:
        return unlink(req->path);
    case UV_FS_MKDIR:
        return mkdir(req->path, req->mode);
    case UV_FS_RMDIR:
        return rmdir(req->path);
    case UV_FS_RENAME:
        return rename(req->path, req->new_path);
    case UV_FS_FSYNC:
        return fsync(req->file);
    case UV_FS_FDATASYNC:
        return fdatasync(req->file);
    case UV_FS_FTRUNCATE:
        return ftruncate(req->file, req->off);
    case UV_FS_STAT:
        return take_stat(req, stat(req->path, &found), &found);
    case UV_FS_FSTAT:
        return take_stat(req, fstat(req->file, &found), &found);
    case UV_FS_SCANDIR:
        return scan(req);
    default:
        fprintf(stderr, "the false libuv has no file call %d\n", (int)req->fs_type);
        abort();
    }
}

static void run(uv_req_t *request)
{
    uv_fs_t *req = (uv_fs_t *)request;
    errno = 0;
    ssize_t result = call(req);
    req->result = result < 0 ? -errno : result;
}

static void done(uv_req_t *request, int status)
{
    uv_fs_t *req = (uv_fs_t *)request;
    if (status == UV_ECANCELED)
        req->result = UV_ECANCELED;
    req->cb(req);
}

static void begin(uv_fs_t *req, uv_loop_t *loop, uv_fs_type type, uv_fs_cb cb)
{
    req->type = UV_FS;
    req->fs_type = type;
    req->result = 0;
    req->ptr = NULL;
    req->loop = loop;
    req->path = req->new_path = NULL;
    req->bufs = NULL;
    req->cb = cb;
    memset(req->reserved, 0, sizeof req->reserved);
}

/* Paths and buffers are copied if the call comes later. */
static int go(uv_fs_t *req)
{
    if (req->cb == NULL) {
        run((uv_req_t *)req);
        if (req->bufs != NULL && req->bufs != req->bufsml)
            free(req->bufs);
        req->bufs = NULL;
        return (int)req->result;
    }
    if (req->path != NULL)
        req->path = strdup(req->path);
    if (req->new_path != NULL)
        req->new_path = strdup(req->new_path);
    qr_uv_job_post(req->loop, req, run, done);
    return 0;
}

void uv_fs_req_cleanup(uv_fs_t *req)
{
    if (req->cb != NULL) {
        free((void *)(uintptr_t)req->path);
        free((void *)(uintptr_t)req->new_path);
    }
    req->path = req->new_path = NULL;
    if (req->bufs != NULL && req->bufs != req->bufsml)
        free(req->bufs);
    req->bufs = NULL;
    if (req->fs_type == UV_FS_SCANDIR && req->ptr != NULL)
        listing_free(req->ptr);
    req->ptr = NULL;
}

static int with_path(uv_loop_t *loop, uv_fs_t *req, uv_fs_type type, const char *path, int mode,
                     uv_fs_cb cb)
{
    begin(req, loop, type, cb);
    req->path = path;
    req->mode = (mode_t)mode;
    return go(req);
}

static int with_file(uv_loop_t *loop, uv_fs_t *req, uv_fs_type type, uv_file file, int64_t offset,
                     uv_fs_cb cb)
{
    begin(req, loop, type, cb);
    req->file = file;
    req->off = offset;
    return go(req);
}

static int with_bufs(uv_loop_t *loop, uv_fs_t *req, uv_fs_type type, uv_file file,
                     const uv_buf_t bufs[], unsigned n, int64_t offset, uv_fs_cb cb)
{
    if (bufs == NULL || n == 0)
        return UV_EINVAL;
    begin(req, loop, type, cb);
    req->file = file;
    req->off = offset;
    req->nbufs = n;
    req->bufs = n <= QR_COUNT(req->bufsml) ? req->bufsml : calloc(n, sizeof *bufs);
    if (req->bufs == NULL)
        return UV_ENOMEM;
    memcpy(req->bufs, bufs, n * sizeof *bufs);
    return go(req);
}

int uv_fs_open(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb)
{
    begin(req, loop, UV_FS_OPEN, cb);
    req->path = path;
    req->flags = flags;
    req->mode = (mode_t)mode;
    return go(req);
}

int uv_fs_rename(uv_loop_t *loop, uv_fs_t *req, const char *path, const char *new_path, uv_fs_cb cb)
{
    begin(req, loop, UV_FS_RENAME, cb);
    req->path = path;
    req->new_path = new_path;
    return go(req);
}

int uv_fs_close(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb)
{
    return with_file(loop, req, UV_FS_CLOSE, file, 0, cb);
}

int uv_fs_fsync(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb)
{
    return with_file(loop, req, UV_FS_FSYNC, file, 0, cb);
}

int uv_fs_fdatasync(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb)
{
    return with_file(loop, req, UV_FS_FDATASYNC, file, 0, cb);
}

int uv_fs_ftruncate(uv_loop_t *loop, uv_fs_t *req, uv_file file, int64_t offset, uv_fs_cb cb)
{
    return with_file(loop, req, UV_FS_FTRUNCATE, file, offset, cb);
}

int uv_fs_fstat(uv_loop_t *loop, uv_fs_t *req, uv_file file, uv_fs_cb cb)
{
    return with_file(loop, req, UV_FS_FSTAT, file, 0, cb);
}

int uv_fs_read(uv_loop_t *loop, uv_fs_t *req, uv_file file, const uv_buf_t bufs[], unsigned nbufs,
               int64_t offset, uv_fs_cb cb)
{
    return with_bufs(loop, req, UV_FS_READ, file, bufs, nbufs, offset, cb);
}

int uv_fs_write(uv_loop_t *loop, uv_fs_t *req, uv_file file, const uv_buf_t bufs[], unsigned nbufs,
                int64_t offset, uv_fs_cb cb)
{
    return with_bufs(loop, req, UV_FS_WRITE, file, bufs, nbufs, offset, cb);
}

int uv_fs_unlink(uv_loop_t *loop, uv_fs_t *req, const char *path, uv_fs_cb cb)
{
    return with_path(loop, req, UV_FS_UNLINK, path, 0, cb);
}

int uv_fs_mkdir(uv_loop_t *loop, uv_fs_t *req, const char *path, int mode, uv_fs_cb cb)
{
    return with_path(loop, req, UV_FS_MKDIR, path, mode, cb);
}

int uv_fs_rmdir(uv_loop_t *loop, uv_fs_t *req, const char *path, uv_fs_cb cb)
{
    return with_path(loop, req, UV_FS_RMDIR, path, 0, cb);
}

int uv_fs_stat(uv_loop_t *loop, uv_fs_t *req, const char *path, uv_fs_cb cb)
{
    return with_path(loop, req, UV_FS_STAT, path, 0, cb);
}

int uv_fs_scandir(uv_loop_t *loop, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb)
{
    (void)flags;
    return with_path(loop, req, UV_FS_SCANDIR, path, 0, cb);
}
