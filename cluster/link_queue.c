#include "cluster/link_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/tls.h"
#include "cluster/link_frame.h"

/* Parts from here up are worth a piece of their own instead of a copy. */
#define BORROW_BYTES_MIN 4096u

struct qr_link_piece {
    struct qr_list node;
    const char *base; /* own, or borrowed bytes */
    size_t len;
    size_t at;       /* taken of it */
    size_t capacity; /* of own; 0: borrowed */
    char own[];
};

struct sent {
    struct qr_list node;
    uint64_t end; /* The frame's last byte is before this position. */
    qr_link_sent_cb call;
    void *data;
};

static struct qr_link_piece *piece_of(struct qr_list *node)
{
    return QR_CONTAINER_OF(node, struct qr_link_piece, node);
}

void qr_link_queue_init(struct qr_link_queue *queue)
{
    *queue = (struct qr_link_queue){0};
    qr_list_init(&queue->pieces);
    qr_list_init(&queue->sents);
}

static void free_pieces(struct qr_list *pieces)
{
    QR_LIST_FOREACH (node, pieces) {
        qr_list_remove(node);
        free(piece_of(node));
    }
}

void qr_link_queue_release(struct qr_link_queue *queue)
{
    assert(qr_list_empty(&queue->sents));
    free_pieces(&queue->pieces);
    free(queue->spare);
    queue->spare = NULL;
    queue->taken = queue->added;
}

/* ---- adding: a frame is built aside, then hung on, so that a failure changes nothing ---- */

struct build {
    struct qr_link_queue *queue;
    struct qr_list fresh;       /* New pieces, in order. */
    struct qr_link_piece *last; /* Where copies go while it has room; may be the queue's tail. */
    bool failed;
};

/* A new last piece with room for `capacity` copied bytes, or a borrowing one (0). */
static struct qr_link_piece *add_piece(struct build *build, size_t capacity)
{
    struct qr_link_piece *piece = build->queue->spare;
    if (piece != NULL && capacity == QR_TLS_RECORD_BYTES)
        build->queue->spare = NULL;
    else
        piece = malloc(sizeof *piece + capacity);
    if (piece == NULL) {
        build->failed = true;
        return NULL;
    }
    *piece = (struct qr_link_piece){.base = piece->own, .capacity = capacity};
    qr_list_add_tail(&build->fresh, &piece->node);
    build->last = piece;
    return piece;
}

static size_t room_in(const struct qr_link_piece *piece)
{
    return piece != NULL && piece->capacity != 0 ? piece->capacity - piece->len : 0;
}

static void borrow(struct build *build, struct qr_slice part)
{
    struct qr_link_piece *piece = add_piece(build, 0);
    if (piece == NULL)
        return;
    piece->base = part.base;
    piece->len = part.len;
}

static void copy(struct build *build, struct qr_slice part)
{
    struct qr_link_piece *piece = build->last;
    if (part.len == 0 || build->failed)
        return;
    if (room_in(piece) < part.len) {
        size_t capacity = part.len > QR_TLS_RECORD_BYTES ? part.len : QR_TLS_RECORD_BYTES;
        piece = add_piece(build, capacity);
        if (piece == NULL)
            return;
    }
    memcpy(piece->own + piece->len, part.base, part.len);
    piece->len += part.len;
}

static struct qr_link_piece *tail_of(struct qr_link_queue *queue)
{
    return qr_list_empty(&queue->pieces) ? NULL : piece_of(queue->pieces.prev);
}

/* Pieces of the frame; false: no memory, and the queue is as before. */
static bool add_pieces(struct qr_link_queue *queue, struct qr_slice header,
                       const struct qr_slice *parts, unsigned n_parts, bool may_borrow)
{
    struct build build = {.queue = queue, .last = tail_of(queue)};
    struct qr_link_piece *tail = build.last;
    size_t tail_len = tail != NULL ? tail->len : 0;
    qr_list_init(&build.fresh);
    copy(&build, header);
    for (unsigned i = 0; i < n_parts; i++) {
        if (may_borrow && parts[i].len >= BORROW_BYTES_MIN)
            borrow(&build, parts[i]);
        else
            copy(&build, parts[i]);
    }
    if (build.failed) {
        if (tail != NULL)
            tail->len = tail_len;
        free_pieces(&build.fresh);
        return false;
    }
    QR_LIST_FOREACH (node, &build.fresh) {
        qr_list_remove(node);
        qr_list_add_tail(&queue->pieces, node);
    }
    return true;
}

int qr_link_queue_add(struct qr_link_queue *queue, enum qr_link_type type, uint32_t group,
                      const struct qr_slice *parts, unsigned n_parts, qr_link_sent_cb call,
                      void *data)
{
    uint8_t header[QR_LINK_HEADER_BYTES];
    qr_link_frame_header(header, type, group, parts, n_parts);
    struct sent *sent = NULL;
    if (call != NULL) {
        sent = malloc(sizeof *sent);
        if (sent == NULL)
            return UV_ENOMEM;
    }
    if (!add_pieces(queue, qr_slice_of(header, sizeof header), parts, n_parts, call != NULL)) {
        free(sent);
        return UV_ENOMEM;
    }
    queue->added += sizeof header;
    for (unsigned i = 0; i < n_parts; i++)
        queue->added += parts[i].len;
    if (sent != NULL) {
        *sent = (struct sent){.end = queue->added, .call = call, .data = data};
        qr_list_add_tail(&queue->sents, &sent->node);
    }
    return 0;
}

/* ---- taking ---- */

struct qr_slice qr_link_queue_peek(const struct qr_link_queue *queue)
{
    if (qr_list_empty(&queue->pieces))
        return qr_slice_of("", 0);
    const struct qr_link_piece *piece = piece_of(queue->pieces.next);
    return qr_slice_of(piece->base + piece->at, piece->len - piece->at);
}

void qr_link_queue_take(struct qr_link_queue *queue, size_t len)
{
    struct qr_link_piece *piece = piece_of(queue->pieces.next);
    assert(!qr_list_empty(&queue->pieces));
    assert(len <= piece->len - piece->at);
    piece->at += len;
    queue->taken += len;
    if (piece->at < piece->len)
        return;
    qr_list_remove(&piece->node);
    if (queue->spare == NULL && piece->capacity == QR_TLS_RECORD_BYTES)
        queue->spare = piece;
    else
        free(piece);
}

void qr_link_queue_settle(struct qr_link_queue *queue, uint64_t upto, int status)
{
    while (!qr_list_empty(&queue->sents)) {
        struct sent *sent = QR_CONTAINER_OF(queue->sents.next, struct sent, node);
        if (sent->end > upto)
            return;
        qr_list_remove(&sent->node);
        struct sent done = *sent;
        free(sent);
        done.call(done.data, status);
    }
}
