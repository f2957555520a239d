/* base/epoch.h — epoch-based reclamation: readers without locks, one writer that frees.
 *
 * The writer publishes new memory with an atomic store and *retires* what it replaced.  A reader
 * brackets its reading with enter and leave, and what it found in between stays valid until it
 * leaves.  A retired thing is freed when every reader that could have seen it has left (Fraser,
 * "Practical lock-freedom", 2004, chapter 5).
 *
 *   reader (worker):    int slot = qr_epoch_enter(e);  ... read ...  qr_epoch_leave(e, slot);
 *   writer (consensus): atomic_store(&published, new); qr_epoch_retire(e, old, free);
 *                       qr_epoch_collect(e);            now and then
 *
 * Thread: enter/leave any; retire, collect and release the writer's. */
#ifndef QR_BASE_EPOCH_H
#define QR_BASE_EPOCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define QR_EPOCH_READERS_MAX 64

struct qr_epoch_retired {
    void *memory;
    void (*release)(void *memory);
    uint64_t epoch;
};

struct qr_epoch {
    _Atomic uint64_t now;                           /* Grows with each retire. */
    _Atomic uint64_t readers[QR_EPOCH_READERS_MAX]; /* 0: free, else the epoch entered at. */
    struct qr_epoch_retired *retired;               /* The writer's; oldest first. */
    size_t n_retired;
    size_t capacity;
};

void qr_epoch_init(struct qr_epoch *epoch);

/* Frees all that is retired; no reader may be inside. */
void qr_epoch_release(struct qr_epoch *epoch);

/* Returns a slot for leave.  With more than QR_EPOCH_READERS_MAX readers inside it waits. */
int qr_epoch_enter(struct qr_epoch *epoch);
void qr_epoch_leave(struct qr_epoch *epoch, int slot);

/* Has `release(memory)` called once no reader can see it.  Without memory for the note it leaks
 * `memory` and says so, rather than free it too early. */
void qr_epoch_retire(struct qr_epoch *epoch, void *memory, void (*release)(void *memory));

void qr_epoch_collect(struct qr_epoch *epoch);

#endif
