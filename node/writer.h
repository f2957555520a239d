/* node/writer.h — bytes on their way out of a socket: one write at a time; what is added meanwhile
 * is the next one.
 *
 *   add to `out`, go -> (write ..) -> left      when nothing waits any more, or a write failed
 *
 * Once the stream is closing nothing is called.  Memory is held only while something waits:
 * thousands of connections are idle at any time.  Thread: the loop's. */
#ifndef QR_NODE_WRITER_H
#define QR_NODE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/buf.h"

struct qr_writer {
    uv_stream_t *stream;
    struct qr_buf out; /* What waits for the running write: the owner adds here. */
    struct qr_buf writing;
    uv_write_t write;
    bool busy; /* A write runs. */
    /* status: 0, all has left; else why the write failed.  It may close the stream. */
    void (*left)(void *data, int status);
    void *data;
};

/* The stream may be opened later, before the first go. */
void qr_writer_init(struct qr_writer *writer, uv_stream_t *stream,
                    void (*left)(void *data, int status), void *data);
/* Only once the stream is closed. */
void qr_writer_release(struct qr_writer *writer);

/* No more than this may wait. */
void qr_writer_limit(struct qr_writer *writer, size_t bytes);

/* Sends what waits.  0, or the error of a write that could not begin: `left` is not called. */
int qr_writer_go(struct qr_writer *writer);

/* Bytes that have not left. */
size_t qr_writer_waiting(const struct qr_writer *writer);

#endif
