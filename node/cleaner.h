/* node/cleaner.h — the leader looks for charts and hosts of which nothing is kept any more, and for
 * ephemeral hosts that have been away for too long.
 *
 *   every QR_CLEANER_EVERY_S: a worker walks the catalog -> a list of what is expired
 *   once a second:            FORGET of at most QR_FORGET_MAX of them, until the list is empty;
 *                             else FORGET of ephemeral hosts, if there are any to forget
 *
 * An ephemeral host is away too long when it was disconnected ephemeral_after_s ago, by the
 * cluster's time; while that is doubtful (cluster/agreed.h) none is.
 *
 * The entry says which; each member looks again when it applies it (storage/store.h).  So the walk
 * may be slow, and old when its entries are applied, and a leader that dies leaves nothing undone.
 * Thread: consensus. */
#ifndef QR_NODE_CLEANER_H
#define QR_NODE_CLEANER_H

#include "base/clock.h"
#include "node/bodies.h"
#include "storage/store.h"

#define QR_CLEANER_EVERY_S 600
/* Found in one walk; what is beyond is found in the next. */
#define QR_CLEANER_FOUND_MAX 65536u

struct qr_cleaner;

/* The way into the log. */
struct qr_cleaner_log {
    void *data;
    bool (*leads)(void *data);
    bool (*is_time_doubtful)(void *data);
    /* 0, and `done(cleaner, status)` later; or an error. */
    int (*propose)(void *data, struct qr_slice body,
                   void (*done)(void *cleaner, int status, uint64_t index), void *cleaner);
};

/* `loop` NULL: walks inside the tick (unit tests). */
int qr_cleaner_new(struct qr_cleaner **cleaner, struct uv_loop_s *loop,
                   const struct qr_cleaner_log *log, struct qr_store *store,
                   const struct qr_clock *clock, uint32_t ephemeral_after_s /* 0: never */);
/* No walk and no proposal under way. */
void qr_cleaner_free(struct qr_cleaner *cleaner);

/* Once a second. */
void qr_cleaner_tick(struct qr_cleaner *cleaner);

#endif
