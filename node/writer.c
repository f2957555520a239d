#include "node/writer.h"

void qr_writer_init(struct qr_writer *writer, uv_stream_t *stream,
                    void (*left)(void *data, int status), void *data)
{
    *writer = (struct qr_writer){.stream = stream, .left = left, .data = data};
    writer->write.data = writer;
    qr_buf_init(&writer->out, 0);
    qr_buf_init(&writer->writing, 0);
}

void qr_writer_release(struct qr_writer *writer)
{
    qr_buf_release(&writer->out);
    qr_buf_release(&writer->writing);
}

/* The two change places. */
void qr_writer_limit(struct qr_writer *writer, size_t bytes)
{
    writer->out.max = writer->writing.max = bytes;
}

static void on_written(uv_write_t *write, int status)
{
    struct qr_writer *writer = write->data;
    writer->busy = false;
    if (uv_is_closing((uv_handle_t *)writer->stream))
        return;
    if (status == 0)
        status = qr_writer_go(writer);
    if (writer->busy)
        return;
    qr_writer_release(writer);
    writer->left(writer->data, status);
}

int qr_writer_go(struct qr_writer *writer)
{
    if (writer->busy || writer->out.len == 0)
        return 0;
    struct qr_buf spare = writer->writing;
    writer->writing = writer->out;
    writer->out = spare;
    qr_buf_clear(&writer->out);
    uv_buf_t part = uv_buf_init(writer->writing.base, (unsigned)writer->writing.len);
    int err = uv_write(&writer->write, writer->stream, &part, 1, on_written);
    writer->busy = err == 0;
    return err;
}

size_t qr_writer_waiting(const struct qr_writer *writer)
{
    return writer->out.len + (writer->busy ? writer->writing.len : 0);
}
