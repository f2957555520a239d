#include "node/catchup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"

#define RETRY_MS    2000
#define MISSING_MAX 64u /* Of the list that is looked at. */

struct qr_catchup {
    struct qr_parts *parts;
    struct qr_store *store;
    uv_loop_t *loop;
    uint32_t peer;
    unsigned n_given_up; /* In a row; picks the file to try. */
    /* The file being fetched. */
    struct qr_block_name file;
    bool busy;     /* With it: a part is asked for, ... */
    bool checking; /* ... or all is here, and a worker reads it. */
    uv_work_t check;
    int check_err;
    char path[1024];
    int fd; /* Kept, with what is in it, when another peer is to go on. */
    struct qr_part_request request;
    uint64_t pause_until_ms;
    uint64_t bytes_before; /* n_bytes at the last tick. */
    struct qr_catchup_stats stats;
};

/* What was fetched of a file is of no use any more. */
static void drop_file(struct qr_catchup *catchup)
{
    if (catchup->fd >= 0)
        close(catchup->fd);
    catchup->fd = -1;
}

static void give_up(struct qr_catchup *catchup, const char *reason)
{
    qr_warn("a block file could not be fetched, trying another peer file=%s peer=%u offset=%llu "
            "reason=\"%s\"",
            catchup->file.name, catchup->peer, (unsigned long long)catchup->request.offset, reason);
    catchup->busy = false;
    catchup->n_given_up++;
    catchup->stats.n_failed++;
    catchup->pause_until_ms = qr_clock_mono_ms(&qr_clock_system) + RETRY_MS;
}

static void ask(struct qr_catchup *catchup)
{
    int err = qr_parts_ask(catchup->parts, catchup->peer, &catchup->request);
    if (err != 0)
        give_up(catchup, qr_strerror(err));
}

/* The first that is missing; after each round of peers that could not give it, the next. */
static bool pick_file(struct qr_catchup *catchup, struct qr_block_name *file)
{
    struct qr_block_name missing[MISSING_MAX];
    unsigned n = qr_store_missing(catchup->store, missing, MISSING_MAX);
    if (n == 0)
        return false;
    *file = missing[catchup->n_given_up / qr_parts_n_peers(catchup->parts) % n];
    return true;
}

static bool is_begun(const struct qr_catchup *catchup, const struct qr_block_name *file)
{
    return catchup->fd >= 0 && strcmp(catchup->file.name, file->name) == 0 &&
           catchup->file.bytes == file->bytes && catchup->file.hash == file->hash;
}

static int begin_file(struct qr_catchup *catchup, const struct qr_block_name *file)
{
    drop_file(catchup);
    catchup->file = *file;
    int err = qr_store_fetch_path(catchup->store, file->name, catchup->path, sizeof catchup->path);
    if (err != 0)
        return err;
    catchup->fd = open(catchup->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (catchup->fd < 0) {
        qr_error("cannot write path=%s error=\"%s\"", catchup->path, strerror(errno));
        return QR_E_UNREACHABLE;
    }
    snprintf(catchup->request.name, sizeof catchup->request.name, "%s", file->name);
    catchup->request.offset = 0;
    return 0;
}

static void start_file(struct qr_catchup *catchup)
{
    struct qr_block_name file;
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    if (now_ms < catchup->pause_until_ms || qr_parts_n_peers(catchup->parts) == 0)
        return;
    uint32_t peer = qr_parts_peer(catchup->parts, catchup->peer);
    if (peer == 0 || !pick_file(catchup, &file))
        return;
    if (!is_begun(catchup, &file) && begin_file(catchup, &file) != 0) {
        catchup->pause_until_ms = now_ms + RETRY_MS;
        return;
    }
    qr_info("fetching a block file file=%s bytes=%llu from=%llu peer=%u", file.name,
            (unsigned long long)file.bytes, (unsigned long long)catchup->request.offset, peer);
    catchup->peer = peer;
    catchup->busy = true;
    ask(catchup);
}

/* A mean that forgets in some eight seconds; it stands still while nothing is fetched. */
static void note_rate(struct qr_catchup *catchup)
{
    uint64_t bytes = catchup->stats.n_bytes - catchup->bytes_before;
    uint64_t *rate = &catchup->stats.bytes_per_s;
    catchup->bytes_before = catchup->stats.n_bytes;
    if (*rate == 0)
        *rate = bytes;
    else if (catchup->busy || bytes != 0)
        *rate = (*rate * 7 + bytes) / 8;
}

void qr_catchup_tick(struct qr_catchup *catchup)
{
    note_rate(catchup);
    if (!catchup->busy)
        start_file(catchup);
}

/* Worker: the file may have hundreds of MiB. */
static void check_file(uv_work_t *work)
{
    struct qr_catchup *catchup = QR_CONTAINER_OF(work, struct qr_catchup, check);
    catchup->check_err = qr_store_fetch_check(catchup->store, &catchup->file, catchup->path);
}

static void on_file_checked(uv_work_t *work, int status)
{
    (void)status;
    struct qr_catchup *catchup = QR_CONTAINER_OF(work, struct qr_catchup, check);
    catchup->checking = false;
    int err = catchup->check_err;
    if (err == 0)
        err = qr_store_fetch_enter(catchup->store, &catchup->file, catchup->path);
    if (err != 0) {
        give_up(catchup, qr_strerror(err));
        return;
    }
    catchup->busy = false;
    catchup->n_given_up = 0;
    catchup->stats.n_files++;
    qr_info("block file fetched file=%s", catchup->file.name);
    start_file(catchup);
}

static void finish_file(struct qr_catchup *catchup)
{
    drop_file(catchup);
    catchup->checking = true;
    int err = uv_queue_work(catchup->loop, &catchup->check, check_file, on_file_checked);
    assert(err == 0); /* It fails without a callback only. */
}

static void on_part(struct qr_part_request *request, int status, uint64_t file_bytes,
                    struct qr_slice bytes)
{
    struct qr_catchup *catchup = request->data;
    if (status != 0 || file_bytes != catchup->file.bytes) {
        give_up(catchup, status == QR_E_UNREACHABLE ? "no answer" : "the peer does not have it");
        return;
    }
    if (pwrite(catchup->fd, bytes.base, bytes.len, (off_t)request->offset) != (ssize_t)bytes.len) {
        give_up(catchup, strerror(errno));
        drop_file(catchup);
        return;
    }
    request->offset += bytes.len;
    catchup->stats.n_bytes += bytes.len;
    if (request->offset == file_bytes)
        finish_file(catchup);
    else
        ask(catchup);
}

int qr_catchup_new(struct qr_catchup **made, uv_loop_t *loop, struct qr_parts *parts,
                   struct qr_store *store)
{
    struct qr_catchup *catchup = calloc(1, sizeof *catchup);
    if (catchup == NULL)
        return UV_ENOMEM;
    catchup->loop = loop;
    catchup->parts = parts;
    catchup->store = store;
    catchup->fd = -1;
    catchup->request.length = QR_PART_BYTES_MAX;
    catchup->request.done = on_part;
    catchup->request.data = catchup;
    *made = catchup;
    return 0;
}

void qr_catchup_free(struct qr_catchup *catchup)
{
    if (catchup == NULL)
        return;
    if (catchup->busy && !catchup->checking)
        qr_parts_forget(&catchup->request);
    drop_file(catchup);
    free(catchup);
}

void qr_catchup_get_stats(const struct qr_catchup *catchup, struct qr_catchup_stats *stats)
{
    *stats = catchup->stats;
    stats->file_bytes = catchup->busy ? catchup->request.offset : 0;
}
