#include "node/peer_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* One read of a worker, on its stack. */
struct peer_read {
    struct qr_list node; /* While it waits to be asked. */
    struct qr_peer_disk *disk;
    struct qr_part_request request;
    char *bytes;
    uint64_t file_bytes;
    unsigned n_tried;
    ssize_t result;
    bool ended;
};

struct qr_peer_disk {
    struct qr_disk face;
    uv_async_t wake;
    uv_mutex_t lock; /* Of all below but parts. */
    uv_cond_t ended;
    struct qr_list waiting;
    unsigned n_reads;
    bool connected;
    uint64_t n_answered, n_bytes;
    struct qr_parts *parts; /* The loop's, .. */
    uint32_t peer;          /* .. as is who was asked last: reads go round. */
};

/* ---- the loop's side ---- */

static void end_read(struct peer_read *read, ssize_t result)
{
    struct qr_peer_disk *disk = read->disk;
    uv_mutex_lock(&disk->lock);
    read->result = result;
    read->ended = true;
    if (result >= 0) {
        disk->n_answered++;
        disk->n_bytes += (uint64_t)result;
    }
    uv_cond_broadcast(&disk->ended);
    uv_mutex_unlock(&disk->lock);
}

static void ask_next_peer(struct peer_read *read)
{
    struct qr_parts *parts = read->disk->parts;
    int err = QR_E_UNREACHABLE;
    while (parts != NULL && read->n_tried++ < qr_parts_n_peers(parts)) {
        uint32_t before = read->n_tried == 1 ? read->disk->peer : read->request.peer;
        uint32_t peer = qr_parts_peer(parts, before);
        if (peer == 0)
            break;
        read->disk->peer = peer;
        err = qr_parts_ask(parts, peer, &read->request);
        if (err == 0)
            return;
    }
    end_read(read, err);
}

static void on_part(struct qr_part_request *request, int status, uint64_t file_bytes,
                    struct qr_slice bytes)
{
    struct peer_read *read = request->data;
    if (status != 0) {
        ask_next_peer(read);
        return;
    }
    read->file_bytes = file_bytes;
    memcpy(read->bytes, bytes.base, bytes.len);
    end_read(read, (ssize_t)bytes.len);
}

static void on_wake(uv_async_t *wake)
{
    struct qr_peer_disk *disk = QR_CONTAINER_OF(wake, struct qr_peer_disk, wake);
    for (;;) {
        uv_mutex_lock(&disk->lock);
        struct peer_read *read = NULL;
        if (!qr_list_empty(&disk->waiting)) {
            read = QR_CONTAINER_OF(disk->waiting.next, struct peer_read, node);
            qr_list_remove(&read->node);
        }
        uv_mutex_unlock(&disk->lock);
        if (read == NULL)
            return;
        ask_next_peer(read);
    }
}

/* ---- the workers' side ---- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static ssize_t read_part(struct qr_peer_disk *disk, const char *path, uint64_t offset, char *bytes,
                         uint32_t len, uint64_t *file_bytes)
{
    struct peer_read read = {.disk = disk, .bytes = bytes};
    read.request =
        (struct qr_part_request){.offset = offset, .length = len, .done = on_part, .data = &read};
    snprintf(read.request.name, sizeof read.request.name, "%s", name_of(path));
    uv_mutex_lock(&disk->lock);
    if (!disk->connected || disk->n_reads == QR_PEER_READS_MAX) {
        int err = disk->connected ? QR_E_BUSY : QR_E_UNREACHABLE;
        uv_mutex_unlock(&disk->lock);
        return err;
    }
    disk->n_reads++;
    qr_list_add_tail(&disk->waiting, &read.node);
    uv_async_send(&disk->wake);
    while (!read.ended)
        uv_cond_wait(&disk->ended, &disk->lock);
    disk->n_reads--;
    uv_mutex_unlock(&disk->lock);
    *file_bytes = read.file_bytes;
    return read.result;
}

static ssize_t peer_read(struct qr_disk *face, const char *path, uint64_t offset, void *bytes,
                         size_t len)
{
    struct qr_peer_disk *disk = face->data;
    uint64_t file_bytes;
    size_t at = 0;
    while (at < len) {
        uint32_t want = len - at < QR_PART_BYTES_MAX ? (uint32_t)(len - at) : QR_PART_BYTES_MAX;
        ssize_t n = read_part(disk, path, offset + at, (char *)bytes + at, want, &file_bytes);
        if (n < 0)
            return n;
        at += (size_t)n;
        if ((uint32_t)n < want)
            break;
    }
    return (ssize_t)at;
}

static int peer_size(struct qr_disk *face, const char *path, uint64_t *bytes)
{
    char byte;
    ssize_t n = read_part(face->data, path, 0, &byte, 1, bytes);
    return n < 0 ? (int)n : 0;
}

/* ---- life ---- */

int qr_peer_disk_new(struct qr_peer_disk **made, uv_loop_t *loop)
{
    struct qr_peer_disk *disk = calloc(1, sizeof *disk);
    if (disk == NULL)
        return UV_ENOMEM;
    disk->face.data = disk;
    disk->face.read = peer_read;
    disk->face.size = peer_size;
    qr_list_init(&disk->waiting);
    uv_mutex_init(&disk->lock);
    uv_cond_init(&disk->ended);
    int err = uv_async_init(loop, &disk->wake, on_wake);
    if (err != 0) {
        qr_peer_disk_free(disk);
        return err;
    }
    *made = disk;
    return 0;
}

void qr_peer_disk_connect(struct qr_peer_disk *disk, struct qr_parts *parts)
{
    disk->parts = parts;
    uv_mutex_lock(&disk->lock);
    disk->connected = parts != NULL;
    uv_mutex_unlock(&disk->lock);
    on_wake(&disk->wake); /* Without parts, what waits fails. */
}

struct qr_disk *qr_peer_disk_face(struct qr_peer_disk *disk)
{
    return &disk->face;
}

void qr_peer_disk_close(struct qr_peer_disk *disk)
{
    uv_close((uv_handle_t *)&disk->wake, NULL);
}

void qr_peer_disk_free(struct qr_peer_disk *disk)
{
    if (disk == NULL)
        return;
    uv_cond_destroy(&disk->ended);
    uv_mutex_destroy(&disk->lock);
    free(disk);
}

void qr_peer_disk_get_stats(struct qr_peer_disk *disk, uint64_t *n_reads, uint64_t *n_bytes)
{
    uv_mutex_lock(&disk->lock);
    *n_reads = disk->n_answered;
    *n_bytes = disk->n_bytes;
    uv_mutex_unlock(&disk->lock);
}
