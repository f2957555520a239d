/* testing/history_log.h — writes the random log of a history (testing/history), entry by entry.
 *
 * It needs the leader's store: what can be sealed and which files are not agreed on is asked there,
 * as the leader's keeper does.  Thread: the owner's. */
#ifndef QR_TESTING_HISTORY_LOG_H
#define QR_TESTING_HISTORY_LOG_H

#include <stdbool.h>

#include "base/rng.h"
#include "cluster/command.h"
#include "cluster/ownership.h"
#include "node/glue.h"
#include "storage/entry.h"
#include "testing/history_admin.h"
#include "testing/history_table.h"

#define QR_HISTORY_WINDOW_S  10
#define QR_HISTORY_PROPOSERS 3u
#define QR_HISTORY_HOSTS     3u
#define QR_HISTORY_CHARTS    8u /* Of a host. */
#define QR_HISTORY_DIMS      300u

struct qr_history_chart {
    char name[24];
    uint32_t id; /* 0: not defined. */
    uint32_t n_dims, step_s, width_max;
    uint8_t kinds[QR_HISTORY_DIMS];
    uint32_t last[QR_HISTORY_DIMS];
    struct qr_entry_base base;  /* Of the session that owns the host. */
    struct qr_entry_base stale; /* Of the one before. */
};

struct qr_history_host {
    struct qr_guid guid;
    uint32_t id;
    uint32_t member, epoch, block_seq;
    uint32_t stale_member, stale_epoch, stale_seq;
    int64_t skew_s; /* How far its clock is off. */
    bool broken;    /* A block is missing: what follows is refused until it changes hands. */
    struct qr_history_chart charts[QR_HISTORY_CHARTS];
};

struct qr_history_log {
    struct qr_rng rng;
    int64_t now_s;
    struct qr_buf *entries; /* The i-th has index i + 1. */
    uint32_t n, capacity;
    uint64_t sequences[QR_HISTORY_PROPOSERS + 1];
    uint64_t incarnations[QR_HISTORY_PROPOSERS + 1];
    struct qr_history_host hosts[QR_HISTORY_HOSTS];
    struct qr_history_table table;
    struct qr_history_admin admin;
    uint64_t n_unexpected; /* Entries of which the leader thought otherwise than it must. */
    bool unknown;          /* Rows were taken that the table does not know. */
    bool packed_otherwise; /* Batches are compressed by another algorithm. */
    /* The leader: */
    struct qr_store *store;
    const struct qr_glue *glue;
    const struct qr_machine *machine;
    const struct qr_ownership *ownership;
    void (*applied)(void *data); /* Apply the newest entry. */
    void *data;
};

void qr_history_log_init(struct qr_history_log *log, uint64_t seed);
void qr_history_log_release(struct qr_history_log *log);
/* What happens next: one entry or some, each of them applied by the leader. */
void qr_history_log_step(struct qr_history_log *log);

/* The next entry of this member.  Takes the body. */
void qr_history_log_append(struct qr_history_log *log, enum qr_command_type type, uint32_t member,
                           struct qr_buf *body);
/* Any bytes. */
void qr_history_log_push(struct qr_history_log *log, struct qr_slice bytes);

#endif
