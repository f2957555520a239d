/* cluster/marker.h — the highest index that this member is known to hold, beside its log.
 *
 * A flipped byte in the open log segment looks like a torn write: the library drops everything
 * behind it and says nothing.  A member that forgot entries it acknowledged must not vote, so it
 * compares the log it finds with this file.
 *
 *   file `marker` in the log's folder: "QRMARK1\n", u64 index, u32 CRC32C of the 16 bytes
 *
 * Written lazily, whole, and renamed into place: it may be behind, never ahead.
 * Thread: reading and writing any, blocking; the struct the loop's. */
#ifndef QR_CLUSTER_MARKER_H
#define QR_CLUSTER_MARKER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* 0; a missing file is index 0; QR_E_CORRUPT, or an error of the system. */
int qr_marker_read(const char *dir, uint64_t *index);

/* 0 or an error of the system. */
int qr_marker_write(const char *dir, uint64_t index);

/* Writes it on libuv's pool while the log is open. */
struct qr_marker {
    uv_loop_t *loop;
    const char *dir; /* Borrowed. */
    uint64_t written, writing;
    uint64_t last; /* Of a closed log, else 0. */
    bool busy;     /* One is on its way to the disk: the struct stays. */
    int err;
    uv_work_t work;
    void (*on_written)(void *data); /* When it is not busy any more. */
    void *data;
};

void qr_marker_init(struct qr_marker *marker, uv_loop_t *loop, const char *dir,
                    void (*on_written)(void *data), void *data);

/* The log holds as much as this: written unless an older one is on its way. */
void qr_marker_update(struct qr_marker *marker, uint64_t index);

/* The log is closed at this index: written before it returns, or behind the one that is on its way.
 * No more updates then. */
void qr_marker_close(struct qr_marker *marker, uint64_t index);

#endif
