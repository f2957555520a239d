#include "cluster/marker.h"

#include "cluster/folder.h"

static const struct qr_folder_file marker_file = {"marker", "QRMARK1\n", 8};

int qr_marker_read(const char *dir, uint64_t *index)
{
    int err = qr_folder_read(dir, &marker_file, index);
    if (err == UV_ENOENT)
        *index = 0;
    return err == UV_ENOENT ? 0 : err;
}

int qr_marker_write(const char *dir, uint64_t index)
{
    return qr_folder_write(dir, &marker_file, index);
}

/* ---- while a log is open ---- */

static void write_last(struct qr_marker *marker)
{
    if (!marker->busy && marker->last > marker->written)
        (void)qr_marker_write(marker->dir, marker->last);
}

static void work(uv_work_t *req)
{
    struct qr_marker *marker = req->data;
    marker->err = qr_marker_write(marker->dir, marker->writing);
}

static void on_worked(uv_work_t *req, int status)
{
    struct qr_marker *marker = req->data;
    marker->busy = false;
    if (status == 0 && marker->err == 0)
        marker->written = marker->writing;
    write_last(marker);
    marker->on_written(marker->data);
}

void qr_marker_init(struct qr_marker *marker, uv_loop_t *loop, const char *dir,
                    void (*on_written)(void *data), void *data)
{
    *marker = (struct qr_marker){.loop = loop, .dir = dir, .on_written = on_written, .data = data};
    marker->work.data = marker;
}

void qr_marker_update(struct qr_marker *marker, uint64_t index)
{
    if (marker->busy || marker->last != 0 || index <= marker->written)
        return;
    marker->writing = index;
    marker->busy = uv_queue_work(marker->loop, &marker->work, work, on_worked) == 0;
}

void qr_marker_close(struct qr_marker *marker, uint64_t index)
{
    marker->last = index;
    write_last(marker);
}
