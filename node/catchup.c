#include "node/catchup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/log.h"

#define PART_TIMEOUT_MS 3000
#define RETRY_MS        2000
#define NAME_BYTES_MAX  63
#define MISSING_MAX     64u /* Of the list that is looked at. */

enum part_status { PART_OK, PART_UNKNOWN };

struct qr_catchup {
    uv_loop_t *loop;
    struct qr_link *link;
    struct qr_store *store;
    uint32_t group;
    uint32_t peers[QR_MEMBERS_MAX];
    unsigned n_peers, next_peer;
    unsigned n_given_up; /* In a row; picks the file to try. */
    /* The file being fetched. */
    struct qr_block_name file;
    bool busy;     /* With it, ... */
    bool checking; /* ... or it is here, and a worker reads it. */
    uv_work_t check;
    int check_err;
    char path[1024];
    int fd;
    uint64_t request, offset;
    uint64_t asked_ms, pause_until_ms;
    struct qr_catchup_stats stats;
};

/* ---- answering ---- */

struct reading {
    uv_work_t work;
    struct qr_catchup *catchup;
    uint32_t member;
    uint64_t request, offset;
    uint32_t length;
    char path[1024];
    int64_t file_bytes; /* < 0: an error */
    ssize_t n;
    char bytes[QR_CATCHUP_PART_BYTES];
};

/* Worker. */
static void read_part(uv_work_t *work)
{
    struct reading *reading = QR_CONTAINER_OF(work, struct reading, work);
    int fd = open(reading->path, O_RDONLY | O_CLOEXEC);
    reading->file_bytes = fd < 0 ? -1 : (int64_t)lseek(fd, 0, SEEK_END);
    reading->n = fd < 0 ? -1 : pread(fd, reading->bytes, reading->length, (off_t)reading->offset);
    if (fd >= 0)
        close(fd);
}

static void send_part(struct qr_catchup *catchup, const struct reading *reading)
{
    struct qr_buf head = {0};
    bool ok = reading->n >= 0 && reading->file_bytes >= 0;
    qr_buf_add_u64(&head, reading->request);
    qr_buf_add_u64(&head, reading->offset);
    qr_buf_add_u64(&head, ok ? (uint64_t)reading->file_bytes : 0);
    qr_buf_add_u8(&head, ok ? PART_OK : PART_UNKNOWN);
    struct qr_slice parts[] = {qr_buf_slice(&head),
                               qr_slice_of(reading->bytes, ok ? (size_t)reading->n : 0)};
    if (!head.failed) /* a peer that does not get it asks again */
        qr_link_send(catchup->link, reading->member, catchup->group, QR_LINK_BLOCK_PART, parts, 2,
                     NULL, NULL);
    qr_buf_release(&head);
}

static void on_part_read(uv_work_t *work, int status)
{
    (void)status;
    struct reading *reading = QR_CONTAINER_OF(work, struct reading, work);
    send_part(reading->catchup, reading);
    free(reading);
}

static int on_get(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    struct qr_catchup *catchup = data;
    struct qr_cursor in = qr_cursor_of(payload);
    struct reading *reading = calloc(1, sizeof *reading);
    char name[NAME_BYTES_MAX + 1];
    if (reading == NULL)
        return 0;
    reading->catchup = catchup;
    reading->member = member;
    reading->request = qr_cursor_u64(&in);
    reading->offset = qr_cursor_u64(&in);
    reading->length = (uint32_t)qr_cursor_varint_max(&in, QR_CATCHUP_PART_BYTES);
    struct qr_slice text = qr_cursor_take(&in, qr_cursor_left(&in));
    if (in.failed || group != catchup->group || text.len > NAME_BYTES_MAX ||
        reading->offset > INT64_MAX) {
        free(reading);
        return QR_E_MALFORMED;
    }
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.base);
    if (qr_store_block_path(catchup->store, name, reading->path, sizeof reading->path) != 0) {
        reading->n = -1;
        send_part(catchup, reading);
        free(reading);
        return 0;
    }
    if (uv_queue_work(catchup->loop, &reading->work, read_part, on_part_read) != 0)
        free(reading);
    return 0;
}

/* ---- asking ---- */

static void give_up(struct qr_catchup *catchup, const char *reason, uint64_t now_ms)
{
    qr_warn("a block file could not be fetched, trying another peer file=%s peer=%u reason=\"%s\"",
            catchup->file.name, catchup->peers[catchup->next_peer], reason);
    if (catchup->fd >= 0)
        close(catchup->fd);
    catchup->fd = -1;
    catchup->busy = false;
    catchup->n_given_up++;
    catchup->stats.n_failed++;
    catchup->next_peer = (catchup->next_peer + 1) % catchup->n_peers;
    catchup->pause_until_ms = now_ms + RETRY_MS;
}

static void ask(struct qr_catchup *catchup, uint64_t now_ms)
{
    struct qr_buf body = {0};
    qr_buf_add_u64(&body, ++catchup->request);
    qr_buf_add_u64(&body, catchup->offset);
    qr_buf_add_varint(&body, QR_CATCHUP_PART_BYTES);
    qr_buf_add_str(&body, catchup->file.name);
    struct qr_slice part = qr_buf_slice(&body);
    catchup->asked_ms = now_ms;
    int err = qr_link_send(catchup->link, catchup->peers[catchup->next_peer], catchup->group,
                           QR_LINK_BLOCK_GET, &part, 1, NULL, NULL);
    qr_buf_release(&body);
    if (err != 0)
        give_up(catchup, qr_strerror(err), now_ms);
}

static bool find_peer(struct qr_catchup *catchup)
{
    for (unsigned i = 0; i < catchup->n_peers; i++) {
        unsigned at = (catchup->next_peer + i) % catchup->n_peers;
        if (qr_link_is_up(catchup->link, catchup->peers[at])) {
            catchup->next_peer = at;
            return true;
        }
    }
    return false;
}

/* The first that is missing; after each round of peers that could not give it, the next. */
static bool pick_file(struct qr_catchup *catchup)
{
    struct qr_block_name missing[MISSING_MAX];
    unsigned n = qr_store_missing(catchup->store, missing, MISSING_MAX);
    if (n == 0)
        return false;
    catchup->file = missing[catchup->n_given_up / catchup->n_peers % n];
    return true;
}

static void start_file(struct qr_catchup *catchup, uint64_t now_ms)
{
    if (now_ms < catchup->pause_until_ms || catchup->n_peers == 0 || !find_peer(catchup) ||
        !pick_file(catchup))
        return;
    if (qr_store_fetch_path(catchup->store, catchup->file.name, catchup->path,
                            sizeof catchup->path) != 0)
        return;
    catchup->fd = open(catchup->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (catchup->fd < 0) {
        qr_error("cannot write path=%s error=\"%s\"", catchup->path, strerror(errno));
        catchup->pause_until_ms = now_ms + RETRY_MS;
        return;
    }
    qr_info("fetching a block file file=%s bytes=%llu peer=%u", catchup->file.name,
            (unsigned long long)catchup->file.bytes, catchup->peers[catchup->next_peer]);
    catchup->busy = true;
    catchup->offset = 0;
    ask(catchup, now_ms);
}

void qr_catchup_tick(struct qr_catchup *catchup)
{
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    if (!catchup->busy)
        start_file(catchup, now_ms);
    else if (!catchup->checking && now_ms - catchup->asked_ms > PART_TIMEOUT_MS)
        give_up(catchup, "no answer", now_ms);
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
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    catchup->checking = false;
    int err = catchup->check_err;
    if (err == 0)
        err = qr_store_fetch_enter(catchup->store, &catchup->file, catchup->path);
    if (err != 0) {
        give_up(catchup, qr_strerror(err), now_ms);
        return;
    }
    catchup->busy = false;
    catchup->n_given_up = 0;
    catchup->stats.n_files++;
    qr_info("block file fetched file=%s", catchup->file.name);
    start_file(catchup, now_ms);
}

static void finish_file(struct qr_catchup *catchup)
{
    close(catchup->fd);
    catchup->fd = -1;
    catchup->checking = true;
    int err = uv_queue_work(catchup->loop, &catchup->check, check_file, on_file_checked);
    assert(err == 0); /* It fails without a callback only. */
}

static int on_part(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    struct qr_catchup *catchup = data;
    struct qr_cursor in = qr_cursor_of(payload);
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    uint64_t request = qr_cursor_u64(&in);
    uint64_t offset = qr_cursor_u64(&in);
    uint64_t file_bytes = qr_cursor_u64(&in);
    uint8_t status = qr_cursor_u8(&in);
    struct qr_slice bytes = qr_cursor_take(&in, qr_cursor_left(&in));
    if (in.failed || group != catchup->group)
        return QR_E_MALFORMED;
    if (!catchup->busy || catchup->checking || request != catchup->request ||
        offset != catchup->offset || member != catchup->peers[catchup->next_peer])
        return 0; /* a late answer */
    if (status != PART_OK || file_bytes != catchup->file.bytes || bytes.len > file_bytes - offset ||
        (bytes.len == 0 && offset < file_bytes)) {
        give_up(catchup, "the peer does not have it", now_ms);
        return 0;
    }
    if (pwrite(catchup->fd, bytes.base, bytes.len, (off_t)offset) != (ssize_t)bytes.len) {
        give_up(catchup, strerror(errno), now_ms);
        return 0;
    }
    catchup->offset += bytes.len;
    catchup->stats.n_bytes += bytes.len;
    if (catchup->offset == file_bytes)
        finish_file(catchup);
    else
        ask(catchup, now_ms);
    return 0;
}

int qr_catchup_new(struct qr_catchup **made, uv_loop_t *loop, struct qr_link *link,
                   struct qr_store *store, uint32_t group, uint32_t self,
                   const struct qr_link_member *members, unsigned n_members)
{
    struct qr_catchup *catchup = calloc(1, sizeof *catchup);
    if (catchup == NULL)
        return UV_ENOMEM;
    catchup->loop = loop;
    catchup->link = link;
    catchup->store = store;
    catchup->group = group;
    catchup->fd = -1;
    for (unsigned i = 0; i < n_members; i++)
        if (members[i].id != self)
            catchup->peers[catchup->n_peers++] = members[i].id;
    qr_link_on(link, QR_LINK_BLOCK_GET, on_get, catchup);
    qr_link_on(link, QR_LINK_BLOCK_PART, on_part, catchup);
    *made = catchup;
    return 0;
}

void qr_catchup_free(struct qr_catchup *catchup)
{
    if (catchup == NULL)
        return;
    if (catchup->fd >= 0)
        close(catchup->fd);
    free(catchup);
}

void qr_catchup_get_stats(const struct qr_catchup *catchup, struct qr_catchup_stats *stats)
{
    *stats = catchup->stats;
}
