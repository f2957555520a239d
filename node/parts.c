#include "node/parts.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"

enum part_status { PART_OK, PART_UNKNOWN };

struct qr_parts {
    uv_loop_t *loop;
    struct qr_link *link;
    struct qr_store *store;
    uint32_t group;
    uint32_t peers[QR_MEMBERS_MAX];
    unsigned n_peers;
    uint64_t last_id;
    struct qr_list asked;
};

/* ---- answering ---- */

struct reading {
    uv_work_t work;
    struct qr_parts *parts;
    uint32_t member;
    uint64_t request, offset;
    uint32_t length;
    char path[1024];
    int64_t file_bytes; /* < 0: an error */
    ssize_t n;
    char bytes[QR_PART_BYTES_MAX];
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

static void send_part(struct qr_parts *parts, const struct reading *reading)
{
    struct qr_buf head = {0};
    bool ok = reading->n >= 0 && reading->file_bytes >= 0;
    qr_buf_add_u64(&head, reading->request);
    qr_buf_add_u64(&head, reading->offset);
    qr_buf_add_u64(&head, ok ? (uint64_t)reading->file_bytes : 0);
    qr_buf_add_u8(&head, ok ? PART_OK : PART_UNKNOWN);
    struct qr_slice slices[] = {qr_buf_slice(&head),
                                qr_slice_of(reading->bytes, ok ? (size_t)reading->n : 0)};
    if (!head.failed) /* a peer that does not get it asks again */
        qr_link_send(parts->link, reading->member, parts->group, QR_LINK_BLOCK_PART, slices, 2,
                     NULL, NULL);
    qr_buf_release(&head);
}

static void on_part_read(uv_work_t *work, int status)
{
    (void)status;
    struct reading *reading = QR_CONTAINER_OF(work, struct reading, work);
    send_part(reading->parts, reading);
    free(reading);
}

static int on_get(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    struct qr_parts *parts = data;
    struct qr_cursor in = qr_cursor_of(payload);
    struct reading *reading = calloc(1, sizeof *reading);
    char name[QR_BLOCK_NAME_BYTES];
    if (reading == NULL)
        return 0;
    reading->parts = parts;
    reading->member = member;
    reading->request = qr_cursor_u64(&in);
    reading->offset = qr_cursor_u64(&in);
    reading->length = (uint32_t)qr_cursor_varint_max(&in, QR_PART_BYTES_MAX);
    struct qr_slice text = qr_cursor_take(&in, qr_cursor_left(&in));
    if (in.failed || group != parts->group || text.len >= sizeof name ||
        reading->offset > INT64_MAX) {
        free(reading);
        return QR_E_MALFORMED;
    }
    snprintf(name, sizeof name, "%.*s", (int)text.len, text.base);
    if (qr_store_block_path(parts->store, name, reading->path, sizeof reading->path) != 0) {
        reading->n = -1;
        send_part(parts, reading);
        free(reading);
        return 0;
    }
    if (uv_queue_work(parts->loop, &reading->work, read_part, on_part_read) != 0)
        free(reading);
    return 0;
}

/* ---- asking ---- */

uint32_t qr_parts_peer(const struct qr_parts *parts, uint32_t before)
{
    unsigned at = 0;
    for (unsigned i = 0; i < parts->n_peers; i++)
        if (parts->peers[i] == before)
            at = i + 1;
    for (unsigned i = 0; i < parts->n_peers; i++) {
        uint32_t peer = parts->peers[(at + i) % parts->n_peers];
        if (qr_link_is_up(parts->link, peer))
            return peer;
    }
    return 0;
}

unsigned qr_parts_n_peers(const struct qr_parts *parts)
{
    return parts->n_peers;
}

int qr_parts_ask(struct qr_parts *parts, uint32_t peer, struct qr_part_request *request)
{
    struct qr_buf body = {0};
    request->id = ++parts->last_id;
    request->peer = peer;
    request->asked_ms = qr_clock_mono_ms(&qr_clock_system);
    qr_buf_add_u64(&body, request->id);
    qr_buf_add_u64(&body, request->offset);
    qr_buf_add_varint(&body, request->length);
    qr_buf_add_str(&body, request->name);
    struct qr_slice slice = qr_buf_slice(&body);
    int err = body.failed ? UV_ENOMEM
                          : qr_link_send(parts->link, peer, parts->group, QR_LINK_BLOCK_GET, &slice,
                                         1, NULL, NULL);
    qr_buf_release(&body);
    if (err == 0)
        qr_list_add_tail(&parts->asked, &request->node);
    return err;
}

void qr_parts_forget(struct qr_part_request *request)
{
    qr_list_remove(&request->node);
}

static void end(struct qr_part_request *request, int status, uint64_t file_bytes,
                struct qr_slice bytes)
{
    qr_list_remove(&request->node);
    request->done(request, status, file_bytes, bytes);
}

static struct qr_part_request *find(const struct qr_parts *parts, uint64_t id, uint32_t peer)
{
    QR_LIST_FOREACH (node, &parts->asked) {
        struct qr_part_request *request = QR_CONTAINER_OF(node, struct qr_part_request, node);
        if (request->id == id && request->peer == peer)
            return request;
    }
    return NULL;
}

static int on_part(void *data, uint32_t member, uint32_t group, struct qr_slice payload)
{
    struct qr_parts *parts = data;
    struct qr_cursor in = qr_cursor_of(payload);
    uint64_t id = qr_cursor_u64(&in);
    uint64_t offset = qr_cursor_u64(&in);
    uint64_t file_bytes = qr_cursor_u64(&in);
    uint8_t status = qr_cursor_u8(&in);
    struct qr_slice bytes = qr_cursor_take(&in, qr_cursor_left(&in));
    if (in.failed || group != parts->group)
        return QR_E_MALFORMED;
    struct qr_part_request *request = find(parts, id, member);
    if (request == NULL || request->offset != offset)
        return 0; /* a late answer */
    uint64_t left = file_bytes > offset ? file_bytes - offset : 0;
    if (bytes.len > request->length)
        return QR_E_MALFORMED;
    if (status == PART_OK && bytes.len < request->length && bytes.len != left)
        status = PART_UNKNOWN; /* Cut short: its file changed under it. */
    end(request, status == PART_OK ? 0 : QR_E_UNKNOWN, file_bytes, bytes);
    return 0;
}

/* Requests are in the order of their times; `done` may add more, behind. */
void qr_parts_tick(struct qr_parts *parts)
{
    uint64_t now_ms = qr_clock_mono_ms(&qr_clock_system);
    while (!qr_list_empty(&parts->asked)) {
        struct qr_part_request *request =
            QR_CONTAINER_OF(parts->asked.next, struct qr_part_request, node);
        if (now_ms - request->asked_ms < QR_PARTS_TIMEOUT_MS &&
            qr_link_is_up(parts->link, request->peer))
            return;
        end(request, QR_E_UNREACHABLE, 0, (struct qr_slice){0});
    }
}

int qr_parts_new(struct qr_parts **made, uv_loop_t *loop, struct qr_link *link,
                 struct qr_store *store, uint32_t group)
{
    struct qr_parts *parts = calloc(1, sizeof *parts);
    if (parts == NULL)
        return UV_ENOMEM;
    parts->loop = loop;
    parts->link = link;
    parts->store = store;
    parts->group = group;
    qr_list_init(&parts->asked);
    qr_link_on(link, QR_LINK_BLOCK_GET, on_get, parts);
    qr_link_on(link, QR_LINK_BLOCK_PART, on_part, parts);
    *made = parts;
    return 0;
}

void qr_parts_set_peers(struct qr_parts *parts, const uint32_t *peers, unsigned n)
{
    assert(n <= QR_MEMBERS_MAX);
    memcpy(parts->peers, peers, n * sizeof *peers);
    parts->n_peers = n;
}

void qr_parts_free(struct qr_parts *parts)
{
    free(parts);
}
