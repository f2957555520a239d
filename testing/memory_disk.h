/* testing/memory_disk.h — a disk in memory that fails and crashes when told.
 *
 * Files are names to bytes.  Like a real disk it keeps apart what was written and what is durable:
 * commit and sync make the bytes durable, rename makes the names in the folder durable.  A crash
 * goes back to what is durable.
 *
 * `fail_at` counts down with every call that can fail; the call that brings it to zero fails with
 * `fail_with`, and a failing append or commit leaves a torn file behind if `tear` is set (as a
 * power cut does; an orderly disk removes it).  With `stay_failed` all later calls fail too, as
 * after a kill. Thread: any; calls take a lock. */
#ifndef QR_TESTING_MEMORY_DISK_H
#define QR_TESTING_MEMORY_DISK_H

#include <pthread.h>
#include <stdbool.h>

#include "storage/disk.h"

struct qr_memory_file {
    char *path;
    char *bytes;
    size_t len, capacity;
    size_t durable_len; /* What a crash leaves of it, if its name is durable. */
    struct qr_memory_file *next;
};

struct qr_memory_disk {
    struct qr_disk disk; /* First: the seam that is handed out. */
    pthread_mutex_t lock;
    struct qr_memory_file *files;
    struct qr_memory_file *durable; /* What a crash goes back to. */
    unsigned n_calls;
    unsigned fail_at; /* 0: never. */
    int fail_with;
    bool tear;
    bool stay_failed;
};

void qr_memory_disk_init(struct qr_memory_disk *disk);
void qr_memory_disk_release(struct qr_memory_disk *disk);

/* Power is cut: what was not durable is gone; faults are forgotten. */
void qr_memory_disk_crash(struct qr_memory_disk *disk);

/* The bytes of a file, to look at or to damage; NULL: there is none. */
struct qr_memory_file *qr_memory_disk_get(struct qr_memory_disk *disk, const char *path);
unsigned qr_memory_disk_n_files(const struct qr_memory_disk *disk);

#endif
