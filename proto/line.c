#include "proto/line.h"

#include <assert.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"

void qr_lines_init(struct qr_lines *lines)
{
    *lines = (struct qr_lines){0};
    qr_buf_init(&lines->part, QR_LINE_BYTES_MAX);
}

void qr_lines_release(struct qr_lines *lines)
{
    qr_buf_release(&lines->part);
}

void qr_lines_feed(struct qr_lines *lines, struct qr_slice piece)
{
    assert(lines->piece.len == 0);
    lines->piece = piece;
}

static struct qr_slice take(struct qr_lines *lines, size_t len)
{
    struct qr_slice head = qr_slice_of(lines->piece.base, len);
    lines->piece = qr_slice_of(lines->piece.base + len, lines->piece.len - len);
    return head;
}

/* Adds the front of the piece, up to `len` bytes, to the line that is not complete yet. */
static int keep(struct qr_lines *lines, size_t len)
{
    size_t room = QR_LINE_BYTES_MAX - lines->part.len;
    if (len > room && !lines->split)
        return QR_E_LIMIT;
    lines->more = len > room;
    struct qr_slice bytes = take(lines, lines->more ? room : len);
    return bytes.len > 0 ? qr_buf_add(&lines->part, bytes.base, bytes.len) : 0;
}

static int hand_out_part(struct qr_lines *lines, struct qr_slice *line)
{
    lines->part_is_done = true;
    *line = qr_buf_slice(&lines->part);
    return 1;
}

int qr_lines_next(struct qr_lines *lines, struct qr_slice *line)
{
    if (lines->part_is_done) {
        qr_buf_clear(&lines->part);
        lines->part_is_done = false;
    }
    if (lines->piece.len == 0)
        return 0;
    const char *newline = memchr(lines->piece.base, '\n', lines->piece.len);
    size_t len = newline != NULL ? (size_t)(newline - lines->piece.base) : lines->piece.len;

    if (QR_LIKELY(newline != NULL && lines->part.len == 0 && len <= QR_LINE_BYTES_MAX)) {
        lines->more = false;
        *line = take(lines, len);
        take(lines, 1);
        return 1;
    }
    int err = keep(lines, len);
    if (err != 0)
        return err;
    if (lines->more)
        return hand_out_part(lines, line);
    if (newline == NULL)
        return 0;
    take(lines, 1);
    return hand_out_part(lines, line);
}
