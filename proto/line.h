/* proto/line.h — lines out of text that comes in pieces of any size.
 *
 *     qr_lines_feed(&lines, piece);
 *     while ((n = qr_lines_next(&lines, &line)) > 0)
 *         ...
 *
 * A line ends with '\n', which is not part of it.  A line within one piece is a slice of that
 * piece; only one that began in an earlier piece is copied.  Thread: the owner's. */
#ifndef QR_PROTO_LINE_H
#define QR_PROTO_LINE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/slice.h"

struct qr_lines {
    struct qr_buf part;    /* The line that the earlier pieces began. */
    struct qr_slice piece; /* What is left of this one. */
    bool split;            /* The caller's: lines that are too long come in parts. */
    bool more;             /* `split`: what was handed out last is not the end of its line. */
    bool part_is_done;     /* `part` was handed out. */
};

void qr_lines_init(struct qr_lines *lines);
void qr_lines_release(struct qr_lines *lines);

/* The next piece, borrowed until qr_lines_next() has returned 0; the one before must be used up. */
void qr_lines_feed(struct qr_lines *lines, struct qr_slice piece);

/* 1 and the next line, valid until the next call; 0 when the piece is used up; or
 *   QR_E_LIMIT   a line is longer than QR_LINE_BYTES_MAX (and `split` is not set),
 *   UV_ENOMEM. */
int qr_lines_next(struct qr_lines *lines, struct qr_slice *line);

#endif
