#include "testing/sim/fd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/compiler.h"
#include "testing/sim/tree.h"

#define HOST_BITS     20 /* A host's descriptors are a range of their own. */
#define READ_NS       (50 * QR_SIM_US)
#define WRITE_NS      (20 * QR_SIM_US)
#define NAME_NS       (10 * QR_SIM_US)
#define SYNC_MIN_NS   (200 * QR_SIM_US)
#define SYNC_MAX_NS   (3 * QR_SIM_MS)
#define EXT4_MAGIC    0xef53
#define MAGIC_INFO    UINT64_C(0x51000000) /* st_dev of host 0. */
#define ENDLESS_BYTES (UINT64_C(1) << 40)  /* What statfs says of a disk without end. */

enum kind { NODE, TEXT, COUNTER };

/* An open file description. */
struct file {
    struct qr_list node; /* Of the host's. */
    enum kind kind;
    unsigned n_refs; /* Descriptors, and calls that are under way. */
    int flags;
    uint64_t offset;
    struct qr_sim_node *of; /* NODE */
    char *text;             /* TEXT */
    uint64_t count;         /* COUNTER */
    int fd;                 /* .. its first descriptor. */
};

static void (*hear_readable)(int fd);

static struct table {
    struct qr_list files;
    struct file **at; /* By descriptor. */
    int n, capacity;
} tables[QR_SIM_HOSTS_MAX + 1];

/* ---- descriptors ---- */

static void free_file(struct file *file)
{
    qr_list_remove(&file->node);
    qr_sim_node_drop(file->of);
    free(file->text);
    free(file);
}

static void drop_file(struct file *file)
{
    if (--file->n_refs == 0)
        free_file(file);
}

/* A process has ended: what it had open is closed, also by calls that it never came back from. */
static void on_down(struct qr_sim_host *host)
{
    struct table *table = &tables[host->id];
    while (table->files.next != NULL && !qr_list_empty(&table->files))
        free_file(QR_CONTAINER_OF(table->files.next, struct file, node));
    table->n = 0;
    struct qr_sim_tree *tree = qr_sim_tree_known(host);
    if (tree == NULL)
        return;
    tree->crash_at = 0;
    if (host->down == QR_SIM_POWER)
        qr_sim_tree_cut(tree);
}

static struct table *table_of(const struct qr_sim_host *host)
{
    static bool heard;
    if (!heard)
        qr_sim_on_down(on_down);
    heard = true;
    struct table *table = &tables[host->id];
    if (table->files.next == NULL)
        qr_list_init(&table->files);
    return table;
}

/* The lowest that is free. */
static int new_fd(struct file *file)
{
    const struct qr_sim_host *host = qr_sim_host();
    struct table *table = table_of(host);
    int i = 0;
    while (i < table->n && table->at[i] != NULL)
        i++;
    if (i == QR_SIM_FD_MAX)
        return -EMFILE;
    if (i == table->capacity) {
        table->capacity = i == 0 ? 64 : 2 * i;
        table->at = realloc(table->at, (size_t)table->capacity * sizeof *table->at);
        assert(table->at != NULL);
    }
    if (i == table->n)
        table->n++;
    table->at[i] = file;
    file->n_refs++;
    return (int)(host->id << HOST_BITS) + i;
}

static struct file **slot_on(const struct qr_sim_host *host, int fd)
{
    if (host == NULL || !qr_sim_is_fd(fd) || (uint32_t)fd >> HOST_BITS != host->id)
        return NULL;
    struct table *table = table_of(host);
    int i = fd & ((1 << HOST_BITS) - 1);
    return i < table->n && table->at[i] != NULL ? &table->at[i] : NULL;
}

static struct file **slot_of(int fd)
{
    return slot_on(qr_sim_host(), fd);
}

/* Held until drop_file; NULL: EBADF. */
static struct file *hold_file(int fd)
{
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return NULL;
    (*slot)->n_refs++;
    return *slot;
}

static struct file *file_new(enum kind kind, struct qr_sim_node *of, int flags)
{
    struct file *file = calloc(1, sizeof *file);
    assert(file != NULL);
    file->kind = kind;
    file->of = of;
    file->flags = flags;
    qr_sim_node_hold(of);
    qr_list_init(&file->node);
    qr_list_add_tail(&table_of(qr_sim_host())->files, &file->node);
    return file;
}

static int open_file(struct file *file)
{
    file->n_refs = 1;
    int fd = new_fd(file);
    drop_file(file);
    return fd;
}

int qr_sim_close(int fd)
{
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return -EBADF;
    struct file *file = *slot;
    *slot = NULL;
    drop_file(file);
    return 0;
}

int qr_sim_dup(int fd)
{
    struct file **slot = slot_of(fd);
    return slot == NULL ? -EBADF : new_fd(*slot);
}

int qr_sim_fcntl(int fd, int command, long argument)
{
    const int changeable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return -EBADF;
    struct file *file = *slot;
    switch (command) {
    case F_GETFL:
        return file->flags;
    case F_SETFL:
        file->flags = (file->flags & ~changeable) | ((int)argument & changeable);
        return 0;
    case F_GETFD:
        return FD_CLOEXEC;
    case F_SETFD:
    case F_SETLK:
    case F_SETLKW:
        return 0;
    case F_DUPFD:
    case F_DUPFD_CLOEXEC:
        return new_fd(file);
    default:
        return -EINVAL;
    }
}

/* ---- time, faults, crash points ---- */

static struct qr_sim_tree *tree_here(void)
{
    return qr_sim_tree(qr_sim_host());
}

static void take_time(const struct qr_sim_tree *tree, uint64_t ns)
{
    qr_sim_sleep(ns * tree->disk.slow_percent / 100);
}

static _Noreturn void crash(struct qr_sim_tree *tree)
{
    tree->crash_at = 0;
    tree->disk.n.crash_points++;
    qr_sim_die(tree->crash_how, 0);
}

/* A call that changes something begins; returns its number. */
static uint64_t begin(struct qr_sim_tree *tree)
{
    uint64_t call = ++tree->disk.n.calls;
    if (call == tree->crash_at && tree->crash_when == QR_SIM_BEFORE)
        crash(tree);
    return call;
}

static bool crashes_halfway(const struct qr_sim_tree *tree, uint64_t call)
{
    return call == tree->crash_at && tree->crash_when == QR_SIM_HALFWAY;
}

/* It ends, perhaps with an error, which it hands on. */
static ssize_t end(struct qr_sim_tree *tree, uint64_t call, ssize_t result)
{
    if (call == tree->crash_at)
        crash(tree);
    return result;
}

/* One that has no middle. */
static uint64_t begin_whole(struct qr_sim_tree *tree)
{
    uint64_t call = begin(tree);
    if (crashes_halfway(tree, call))
        crash(tree);
    take_time(tree, NAME_NS);
    return call;
}

static bool fails(unsigned *n_failing, uint64_t *counter)
{
    if (*n_failing == 0)
        return false;
    if (*n_failing != UINT_MAX)
        (*n_failing)--;
    (*counter)++;
    return true;
}

/* ---- paths ---- */

static int walk(int dir, const char *path, struct qr_sim_place *place)
{
    struct qr_sim_node *from = NULL;
    if (qr_sim_host() == NULL)
        return -ENOENT;
    if (*path == '\0')
        return -ENOENT;
    if (*path != '/') {
        struct file **slot = slot_of(dir);
        if (slot == NULL)
            return -EBADF;
        from = (*slot)->of;
        if (from == NULL || !from->folder)
            return -ENOTDIR;
    }
    return qr_sim_walk(tree_here(), from, path, place);
}

static int walk_to(int dir, const char *path, struct qr_sim_place *place)
{
    int err = walk(dir, path, place);
    return err == 0 && place->node == NULL ? -ENOENT : err;
}

/* ---- open ---- */

static int open_unnamed(int dir, const char *path, int flags, mode_t mode)
{
    struct qr_sim_place place;
    int err = walk_to(dir, path, &place);
    if (err != 0)
        return err;
    if (!place.node->folder)
        return -ENOTDIR;
    if ((flags & O_ACCMODE) == O_RDONLY)
        return -EINVAL;
    struct qr_sim_node *node = qr_sim_node_new(tree_here(), false, mode & 0755);
    struct file *file = file_new(NODE, node, flags & ~O_TMPFILE);
    qr_sim_node_drop(node);
    return open_file(file);
}

static int check_open(const struct qr_sim_place *place, int flags)
{
    const struct qr_sim_node *node = place->node;
    bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (node == NULL)
        return (flags & O_CREAT) == 0 ? -ENOENT : place->wants_folder ? -EISDIR : 0;
    if ((flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
        return -EEXIST;
    if (node->folder)
        return writes || (flags & O_CREAT) != 0 ? -EISDIR : 0;
    return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : 0;
}

int qr_sim_open(int dir, const char *path, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE)
        return open_unnamed(dir, path, flags, mode);
    struct qr_sim_place place;
    int err = walk(dir, path, &place);
    if (err == 0)
        err = check_open(&place, flags);
    if (err != 0)
        return err;
    bool truncates = (flags & O_TRUNC) != 0 && place.node != NULL && place.node->pages.size > 0;
    if (place.node == NULL || truncates) {
        uint64_t call = begin_whole(tree_here());
        /* Others ran meanwhile. */
        err = walk(dir, path, &place);
        if (err == 0)
            err = check_open(&place, flags);
        if (err != 0)
            return (int)end(tree_here(), call, err);
        if (place.node == NULL) {
            place.node = qr_sim_node_new(tree_here(), false, mode & 0755);
            qr_sim_link(place.folder, place.name, place.node);
            qr_sim_node_drop(place.node);
        } else if (truncates) {
            qr_sim_resize(place.node, 0);
        }
        end(tree_here(), call, 0);
    }
    const char *lies_below = place.node->tree->disk.lies_below;
    if (lies_below != NULL && strstr(path, lies_below) != NULL)
        place.node->unsynced = true;
    int kept = flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_NOCTTY);
    return open_file(file_new(NODE, place.node, kept));
}

int qr_sim_open_text(const char *text)
{
    struct file *file = file_new(TEXT, NULL, O_RDONLY);
    file->text = strdup(text);
    assert(file->text != NULL);
    return open_file(file);
}

/* ---- reading ---- */

static size_t length(const struct iovec *iov, int n)
{
    size_t len = 0;
    for (int i = 0; i < n; i++)
        len += iov[i].iov_len;
    return len;
}

/* What goes past the page cache is in whole sectors, and so is the memory on older kernels. */
static bool is_aligned(const struct file *file, const struct iovec *iov, int n, uint64_t offset)
{
    if ((file->flags & O_DIRECT) == 0)
        return true;
    uintptr_t bits = offset;
    for (int i = 0; i < n; i++)
        bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
    return bits % QR_SIM_SECTOR_BYTES == 0;
}

static size_t read_text(const struct file *file, uint64_t offset, void *bytes, size_t len)
{
    size_t all = strlen(file->text);
    if (offset >= all)
        return 0;
    size_t n = all - offset < len ? all - (size_t)offset : len;
    memcpy(bytes, file->text + offset, n);
    return n;
}

static ssize_t read_count(struct file *file, const struct iovec *iov, int n)
{
    if (length(iov, n) < sizeof file->count || iov[0].iov_len < sizeof file->count)
        return -EINVAL;
    assert((file->flags & O_NONBLOCK) != 0); /* Nobody waits in a read. */
    if (file->count == 0)
        return -EAGAIN;
    uint64_t value = (file->flags & EFD_SEMAPHORE) != 0 ? 1 : file->count;
    file->count -= value;
    memcpy(iov[0].iov_base, &value, sizeof value);
    return sizeof value;
}

static ssize_t read_bytes(struct file *file, const struct iovec *iov, int n, int64_t offset)
{
    uint64_t from = offset < 0 ? file->offset : (uint64_t)offset;
    size_t done = 0;
    for (int i = 0; i < n; i++) {
        void *to = iov[i].iov_base;
        size_t len = iov[i].iov_len;
        size_t got = file->kind == TEXT ? read_text(file, from + done, to, len)
                                        : qr_sim_pages_read(&file->of->pages, from + done, to, len);
        done += got;
        if (got < len)
            break;
    }
    if (offset < 0)
        file->offset = from + done;
    return (ssize_t)done;
}

static ssize_t read_file(struct file *file, const struct iovec *iov, int n, int64_t offset)
{
    if (file->kind == COUNTER)
        return offset < 0 ? read_count(file, iov, n) : -ESPIPE;
    if ((file->flags & O_ACCMODE) == O_WRONLY)
        return -EBADF;
    if (file->kind == TEXT)
        return read_bytes(file, iov, n, offset);
    if (file->of->folder)
        return -EISDIR;
    if (!is_aligned(file, iov, n, offset < 0 ? file->offset : (uint64_t)offset))
        return -EINVAL;
    struct qr_sim_tree *tree = file->of->tree;
    take_time(tree, READ_NS);
    ssize_t done = read_bytes(file, iov, n, offset);
    tree->disk.n.reads++;
    tree->disk.n.bytes_read += (uint64_t)done;
    return done;
}

ssize_t qr_sim_readv(int fd, const struct iovec *iov, int n, int64_t offset)
{
    struct file *file = hold_file(fd);
    if (file == NULL)
        return -EBADF;
    ssize_t result = n < 0 || n > IOV_MAX ? -EINVAL : read_file(file, iov, n, offset);
    drop_file(file);
    return result;
}

/* ---- writing ---- */

static ssize_t write_count(struct file *file, const struct iovec *iov, int n)
{
    uint64_t value;
    if (n < 1 || iov[0].iov_len < sizeof value)
        return -EINVAL;
    memcpy(&value, iov[0].iov_base, sizeof value);
    if (value >= UINT64_MAX - file->count)
        return -EAGAIN;
    file->count += value;
    if (value != 0 && hear_readable != NULL)
        hear_readable(file->fd);
    return sizeof value;
}

/* How much of a write the disk has room for. */
static size_t room_for(const struct qr_sim_node *node, uint64_t offset, size_t len)
{
    const struct qr_sim_disk *disk = &node->tree->disk;
    uint64_t room =
        disk->capacity_bytes > disk->used_bytes ? disk->capacity_bytes - disk->used_bytes : 0;
    if (disk->capacity_bytes == 0 || qr_sim_pages_needed(&node->pages, offset, len) <= room)
        return len;
    while (len > 0 && qr_sim_pages_needed(&node->pages, offset, len) > room) {
        size_t last = (size_t)((offset + len - 1) % QR_SIM_PAGE_BYTES) + 1;
        len = last < len ? len - last : 0;
    }
    return len;
}

/* The first `len` bytes. */
static void put_bytes(struct qr_sim_node *node, uint64_t offset, const struct iovec *iov,
                      size_t len)
{
    uint64_t before = qr_sim_pages_used(&node->pages);
    for (size_t done = 0; done < len; iov++) {
        size_t n = iov->iov_len < len - done ? iov->iov_len : len - done;
        qr_sim_pages_write(&node->pages, offset + done, iov->iov_base, n);
        done += n;
    }
    qr_sim_account(node, before);
}

/* What both kinds of writes do; nothing of it takes time. */
static ssize_t write_now(struct qr_sim_node *node, uint64_t offset, const struct iovec *iov, int n,
                         uint64_t call)
{
    struct qr_sim_tree *tree = node->tree;
    size_t len = length(iov, n);
    if (fails(&tree->disk.failing_writes, &tree->disk.n.failed_writes))
        return -EIO;
    size_t room = room_for(node, offset, len);
    tree->disk.n.full += room < len;
    if (room == 0 && len > 0)
        return -ENOSPC;
    if (crashes_halfway(tree, call)) {
        put_bytes(node, offset, iov,
                  (size_t)qr_rng_below(&tree->rng, room / QR_SIM_SECTOR_BYTES + 1) *
                      QR_SIM_SECTOR_BYTES);
        crash(tree);
    }
    put_bytes(node, offset, iov, room);
    tree->disk.n.writes++;
    tree->disk.n.bytes_written += room;
    return (ssize_t)room;
}

static uint64_t sync_ns(struct qr_sim_tree *tree)
{
    return SYNC_MIN_NS + qr_rng_below(&tree->rng, SYNC_MAX_NS - SYNC_MIN_NS);
}

/* It is on the disk some time between its call and its answer. */
static int sync_node(struct qr_sim_node *node, bool data_only)
{
    struct qr_sim_tree *tree = node->tree;
    uint64_t ns = sync_ns(tree);
    tree->disk.n.syncs++;
    bool early = qr_rng_below(&tree->rng, 2) == 0;
    bool failing = fails(&tree->disk.failing_syncs, &tree->disk.n.failed_syncs);
    if (early && !failing)
        qr_sim_commit(node, data_only);
    take_time(tree, ns);
    if (failing) {
        qr_sim_pages_fail_sync(&node->pages);
        return -EIO;
    }
    if (!early)
        qr_sim_commit(node, data_only);
    return 0;
}

static ssize_t write_file(struct file *file, const struct iovec *iov, int n, int64_t offset,
                          int flags)
{
    if (file->kind == COUNTER)
        return offset < 0 ? write_count(file, iov, n) : -ESPIPE;
    if (file->kind == TEXT || (file->flags & O_ACCMODE) == O_RDONLY)
        return -EBADF;
    struct qr_sim_node *node = file->of;
    struct qr_sim_tree *tree = node->tree;
    uint64_t call = begin(tree);
    take_time(tree, WRITE_NS);
    bool appends = (file->flags & O_APPEND) != 0 || (flags & RWF_APPEND) != 0;
    uint64_t at = appends ? node->pages.size : offset < 0 ? file->offset : (uint64_t)offset;
    if (!is_aligned(file, iov, n, at))
        return end(tree, call, -EINVAL);
    ssize_t done = write_now(node, at, iov, n, call);
    if (done > 0 && offset < 0)
        file->offset = at + (uint64_t)done;
    bool syncs = (file->flags & (O_DSYNC | O_SYNC)) != 0 || (flags & (RWF_DSYNC | RWF_SYNC)) != 0;
    if (done > 0 && syncs) {
        int err = sync_node(node, true);
        if (err != 0)
            return end(tree, call, err);
    }
    return end(tree, call, done);
}

ssize_t qr_sim_writev(int fd, const struct iovec *iov, int n, int64_t offset, int flags)
{
    struct file *file = hold_file(fd);
    if (file == NULL)
        return -EBADF;
    ssize_t result = n < 0 || n > IOV_MAX ? -EINVAL : write_file(file, iov, n, offset, flags);
    drop_file(file);
    return result;
}

int qr_sim_fsync(int fd, bool data_only)
{
    struct file *file = hold_file(fd);
    if (file == NULL)
        return -EBADF;
    if (file->kind != NODE) {
        drop_file(file);
        return -EINVAL;
    }
    struct qr_sim_tree *tree = file->of->tree;
    uint64_t call = begin(tree);
    if (crashes_halfway(tree, call))
        crash(tree);
    int err = sync_node(file->of, data_only);
    end(tree, call, 0);
    drop_file(file);
    return err;
}

int64_t qr_sim_seek(int fd, int64_t offset, int whence)
{
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return -EBADF;
    struct file *file = *slot;
    if (file->kind == COUNTER)
        return -ESPIPE;
    uint64_t size = file->kind == TEXT ? strlen(file->text) : file->of->pages.size;
    int64_t base = whence == SEEK_SET   ? 0
                   : whence == SEEK_CUR ? (int64_t)file->offset
                   : whence == SEEK_END ? (int64_t)size
                                        : INT64_MIN;
    if (base == INT64_MIN || base + offset < 0)
        return -EINVAL;
    file->offset = (uint64_t)(base + offset);
    return base + offset;
}

/* ---- sizes ---- */

static int resize(struct qr_sim_node *node, int64_t size)
{
    struct qr_sim_tree *tree = node->tree;
    if (node->folder)
        return -EISDIR;
    if (size < 0)
        return -EINVAL;
    uint64_t call = begin_whole(tree);
    if (fails(&tree->disk.failing_writes, &tree->disk.n.failed_writes))
        return (int)end(tree, call, -EIO);
    qr_sim_resize(node, (uint64_t)size);
    return (int)end(tree, call, 0);
}

/* A descriptor of a file that may be written. */
static struct file *hold_writable(int fd, int *err)
{
    struct file *file = hold_file(fd);
    *err = file == NULL ? -EBADF : 0;
    if (file != NULL && (file->kind != NODE || (file->flags & O_ACCMODE) == O_RDONLY)) {
        *err = file->kind != NODE ? -EINVAL : -EBADF;
        drop_file(file);
        return NULL;
    }
    return file;
}

int qr_sim_ftruncate(int fd, int64_t size)
{
    int err;
    struct file *file = hold_writable(fd, &err);
    if (file == NULL)
        return err == -EBADF && slot_of(fd) != NULL ? -EINVAL : err;
    err = resize(file->of, size);
    drop_file(file);
    return err;
}

int qr_sim_truncate(const char *path, int64_t size)
{
    int fd = qr_sim_open(AT_FDCWD, path, O_WRONLY, 0);
    if (fd < 0)
        return fd;
    int err = qr_sim_ftruncate(fd, size);
    qr_sim_close(fd);
    return err;
}

static int allocate(struct qr_sim_node *node, int mode, int64_t offset, int64_t len)
{
    struct qr_sim_tree *tree = node->tree;
    if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0)
        return -EOPNOTSUPP;
    if (offset < 0 || len <= 0)
        return -EINVAL;
    uint64_t call = begin_whole(tree);
    if (fails(&tree->disk.failing_writes, &tree->disk.n.failed_writes))
        return (int)end(tree, call, -EIO);
    if (room_for(node, (uint64_t)offset, (size_t)len) < (size_t)len) {
        tree->disk.n.full++;
        return (int)end(tree, call, -ENOSPC);
    }
    qr_sim_reserve(node, (uint64_t)(offset + len), (mode & FALLOC_FL_KEEP_SIZE) == 0);
    return (int)end(tree, call, 0);
}

int qr_sim_fallocate(int fd, int mode, int64_t offset, int64_t len)
{
    int err;
    struct file *file = hold_writable(fd, &err);
    if (file == NULL)
        return err;
    err = allocate(file->of, mode, offset, len);
    drop_file(file);
    return err;
}

/* ---- status ---- */

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / (int64_t)QR_SIM_S, .tv_nsec = ns % (int64_t)QR_SIM_S};
}

static void describe(const struct qr_sim_node *node, struct stat *status)
{
    memset(status, 0, sizeof *status);
    status->st_dev = MAGIC_INFO + node->tree->host->id;
    status->st_ino = node->ino;
    status->st_mode = (node->folder ? S_IFDIR : S_IFREG) | node->mode;
    status->st_nlink = node->folder ? 2 : node->n_links;
    status->st_size = node->folder ? QR_SIM_PAGE_BYTES : (off_t)node->pages.size;
    status->st_blksize = QR_SIM_PAGE_BYTES;
    status->st_blocks = (blkcnt_t)(qr_sim_pages_used(&node->pages) / QR_SIM_SECTOR_BYTES);
    status->st_atim = status->st_mtim = status->st_ctim = time_of(node->changed_ns);
}

int qr_sim_stat(int dir, const char *path, struct stat *status)
{
    struct qr_sim_place place;
    int err = walk_to(dir, path, &place);
    if (err == 0)
        describe(place.node, status);
    return err;
}

int qr_sim_fstat(int fd, struct stat *status)
{
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return -EBADF;
    if ((*slot)->kind == NODE) {
        describe((*slot)->of, status);
        return 0;
    }
    memset(status, 0, sizeof *status);
    status->st_mode = S_IFREG | 0444;
    return 0;
}

int qr_sim_statfs(const char *path, struct statfs *status)
{
    struct qr_sim_place place;
    int err = path != NULL ? walk_to(AT_FDCWD, path, &place) : 0;
    if (err != 0)
        return err;
    const struct qr_sim_disk *disk = &tree_here()->disk;
    uint64_t all = disk->capacity_bytes != 0 ? disk->capacity_bytes : ENDLESS_BYTES;
    uint64_t left = all > disk->used_bytes ? all - disk->used_bytes : 0;
    memset(status, 0, sizeof *status);
    status->f_type = EXT4_MAGIC;
    status->f_bsize = status->f_frsize = QR_SIM_PAGE_BYTES;
    status->f_blocks = all / QR_SIM_PAGE_BYTES;
    status->f_bfree = status->f_bavail = left / QR_SIM_PAGE_BYTES;
    status->f_files = status->f_ffree = 1 << 20;
    status->f_namelen = QR_SIM_NAME_BYTES_MAX;
    return 0;
}

int qr_sim_access(int dir, const char *path)
{
    struct qr_sim_place place;
    return walk_to(dir, path, &place);
}

int qr_sim_chmod(int dir, const char *path, mode_t mode)
{
    struct qr_sim_place place;
    int err = walk_to(dir, path, &place);
    if (err == 0)
        place.node->mode = mode & 07777;
    return err;
}

/* ---- names ---- */

static bool is_below(const struct qr_sim_node *node, const struct qr_sim_node *above)
{
    for (; node != node->parent; node = node->parent)
        if (node == above)
            return true;
    return node == above;
}

static int check_rename(const struct qr_sim_place *from, const struct qr_sim_place *to,
                        unsigned flags)
{
    if (from->folder == NULL || to->folder == NULL)
        return -EBUSY;
    if (flags != 0)
        return to->node != NULL ? -EEXIST : flags == RENAME_NOREPLACE ? 0 : -EINVAL;
    if (from->node->folder && is_below(to->folder, from->node))
        return -EINVAL;
    if (to->node == NULL)
        return to->wants_folder && !from->node->folder ? -ENOTDIR : 0;
    if (from->node->folder != to->node->folder)
        return to->node->folder ? -EISDIR : -ENOTDIR;
    return to->node->folder && to->node != from->node && to->node->names.n > 0 ? -ENOTEMPTY : 0;
}

int qr_sim_renameat(int from_dir, const char *from_path, int to_dir, const char *to_path,
                    unsigned flags)
{
    if (qr_sim_host() == NULL)
        return -ENOENT;
    struct qr_sim_tree *tree = tree_here();
    uint64_t call = begin_whole(tree);
    struct qr_sim_place from, to;
    int err = walk_to(from_dir, from_path, &from);
    if (err == 0)
        err = walk(to_dir, to_path, &to);
    if (err == 0)
        err = check_rename(&from, &to, flags);
    if (err != 0)
        return (int)end(tree, call, err);
    if (from.node != to.node)
        qr_sim_rename(&from, &to);
    return (int)end(tree, call, 0);
}

int qr_sim_unlinkat(int dir, const char *path, bool folder)
{
    if (qr_sim_host() == NULL)
        return -ENOENT;
    struct qr_sim_tree *tree = tree_here();
    uint64_t call = begin_whole(tree);
    struct qr_sim_place place;
    int err = walk_to(dir, path, &place);
    if (err != 0)
        return (int)end(tree, call, err);
    if (place.folder == NULL)
        return (int)end(tree, call, -EBUSY);
    if (place.node->folder != folder)
        return (int)end(tree, call, folder ? -ENOTDIR : -EISDIR);
    if (folder && place.node->names.n > 0)
        return (int)end(tree, call, -ENOTEMPTY);
    qr_sim_unlink(place.folder, place.name);
    return (int)end(tree, call, 0);
}

int qr_sim_mkdirat(int dir, const char *path, mode_t mode)
{
    if (qr_sim_host() == NULL)
        return -ENOENT;
    struct qr_sim_tree *tree = tree_here();
    uint64_t call = begin_whole(tree);
    struct qr_sim_place place;
    int err = walk(dir, path, &place);
    if (err == 0 && place.node != NULL)
        err = -EEXIST;
    if (err != 0)
        return (int)end(tree, call, err);
    struct qr_sim_node *node = qr_sim_node_new(tree, true, mode & 0755);
    qr_sim_link(place.folder, place.name, node);
    qr_sim_node_drop(node);
    return (int)end(tree, call, 0);
}

int qr_sim_linkat(int from_dir, const char *from, int to_dir, const char *to)
{
    if (qr_sim_host() == NULL)
        return -ENOENT;
    struct qr_sim_tree *tree = tree_here();
    uint64_t call = begin_whole(tree);
    struct qr_sim_place source = {0}, place;
    struct file **slot = slot_of(from_dir);
    int err = 0;
    if (from != NULL)
        err = walk_to(from_dir, from, &source);
    else if (slot == NULL || (*slot)->kind != NODE)
        err = -EBADF;
    else
        source.node = (*slot)->of;
    if (err == 0)
        err = walk(to_dir, to, &place);
    if (err != 0)
        return (int)end(tree, call, err);
    if (source.node->folder)
        return (int)end(tree, call, -EPERM);
    if (place.node != NULL)
        return (int)end(tree, call, -EEXIST);
    qr_sim_link(place.folder, place.name, source.node);
    return (int)end(tree, call, 0);
}

static void fill_entry(struct dirent *entry, const struct qr_sim_node *node, const char *name)
{
    memset(entry, 0, sizeof *entry);
    entry->d_ino = node->ino;
    entry->d_type = node->folder ? DT_DIR : DT_REG;
    entry->d_reclen = sizeof *entry;
    snprintf(entry->d_name, sizeof entry->d_name, "%s", name);
}

int qr_sim_list(int fd, struct dirent **entries, size_t *n)
{
    struct file **slot = slot_of(fd);
    if (slot == NULL)
        return -EBADF;
    const struct qr_sim_node *folder = (*slot)->of;
    if (folder == NULL || !folder->folder)
        return -ENOTDIR;
    size_t n_names;
    struct qr_sim_name *names = qr_sim_names(folder, &n_names);
    *entries = calloc(n_names + 2, sizeof **entries);
    assert(*entries != NULL);
    fill_entry(&(*entries)[0], folder, ".");
    fill_entry(&(*entries)[1], folder->parent, "..");
    for (size_t i = 0; i < n_names; i++)
        fill_entry(&(*entries)[i + 2], names[i].node, names[i].text);
    free(names);
    *n = n_names + 2;
    return 0;
}

/* ---- counters ---- */

int qr_sim_eventfd(unsigned value, int flags)
{
    struct file *file = file_new(COUNTER, NULL, O_RDWR | flags);
    file->count = value;
    int fd = open_file(file);
    if (fd >= 0)
        file->fd = fd;
    return fd;
}

bool qr_sim_fd_is_readable(int fd)
{
    struct file **slot = slot_on(qr_sim_host_get((uint32_t)fd >> HOST_BITS), fd);
    return slot != NULL && ((*slot)->kind != COUNTER || (*slot)->count > 0);
}

void qr_sim_on_readable(void (*hear)(int fd))
{
    hear_readable = hear;
}

/* ---- asynchronous writes ---- */

struct later {
    struct qr_sim_event event;
    struct file *file, *counter;
    uint64_t call;
    ssize_t result;
    void (*done)(uint64_t id, uint64_t data, ssize_t result);
    uint64_t id, data;
};

static ssize_t finish_later(struct later *later)
{
    struct qr_sim_node *node = later->file->of;
    struct qr_sim_tree *tree = node->tree;
    if (later->result <= 0)
        return later->result;
    tree->disk.n.syncs++;
    if (fails(&tree->disk.failing_syncs, &tree->disk.n.failed_syncs)) {
        qr_sim_pages_fail_sync(&node->pages);
        return -EIO;
    }
    qr_sim_commit(node, true);
    return later->result;
}

static void on_later(struct qr_sim_event *event)
{
    struct later *later = QR_CONTAINER_OF(event, struct later, event);
    struct qr_sim_tree *tree = later->file->of->tree;
    ssize_t result = finish_later(later);
    if (later->call == tree->crash_at) { /* Done, and nobody is told. */
        tree->disk.n.crash_points++;
        qr_sim_host_kill(tree->host, tree->crash_how); /* It frees what was open. */
    } else {
        later->done(later->id, later->data, result);
        if (later->counter != NULL) {
            later->counter->count++;
            if (hear_readable != NULL && later->counter->n_refs > 1)
                hear_readable(later->counter->fd);
            drop_file(later->counter);
        }
        drop_file(later->file);
    }
    free(later);
}

int qr_sim_write_later(int fd, const struct iovec *iov, int n, int64_t offset, int counter,
                       void (*done)(uint64_t id, uint64_t data, ssize_t result), uint64_t id,
                       uint64_t data)
{
    int err;
    struct file *file = hold_writable(fd, &err);
    if (file == NULL)
        return err;
    struct qr_sim_tree *tree = file->of->tree;
    struct later *later = calloc(1, sizeof *later);
    assert(later != NULL);
    *later = (struct later){.file = file, .done = done, .id = id, .data = data};
    if (counter >= 0)
        later->counter = hold_file(counter);
    later->call = begin(tree);
    later->result = is_aligned(file, iov, n, (uint64_t)offset)
                        ? write_now(file->of, (uint64_t)offset, iov, n, later->call)
                        : -EINVAL;
    uint64_t ns = sync_ns(tree) * tree->disk.slow_percent / 100;
    qr_sim_event_at(&later->event, tree->host, qr_sim_now_ns() + ns, on_later);
    return 0;
}
