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

/* Adds to the line that is not complete yet. */
static int keep(struct qr_lines *lines, struct qr_slice bytes)
{
    size_t room = QR_LINE_BYTES_MAX - lines->part.len;
    if (bytes.len > room) {
        if (!lines->cut)
            return QR_E_LIMIT;
        bytes.len = room;
    }
    return bytes.len > 0 ? qr_buf_add(&lines->part, bytes.base, bytes.len) : 0;
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

    if (QR_LIKELY(newline != NULL && lines->part.len == 0)) {
        if (len > QR_LINE_BYTES_MAX && !lines->cut)
            return QR_E_LIMIT;
        *line = take(lines, len);
        if (line->len > QR_LINE_BYTES_MAX)
            line->len = QR_LINE_BYTES_MAX;
        take(lines, 1);
        return 1;
    }
    int err = keep(lines, take(lines, len));
    if (err != 0)
        return err;
    if (newline == NULL)
        return 0;
    take(lines, 1);
    lines->part_is_done = true;
    *line = qr_buf_slice(&lines->part);
    return 1;
}
