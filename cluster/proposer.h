/* cluster/proposer.h — gets this member's entries into the log, in order and exactly once.
 *
 *   add --> waiting --(window of QR_PROPOSALS_IN_FLIGHT_MAX)--> sent --> seen applied here --> done
 *                                ^                                |
 *                                +--- go back: refused, timeout --+
 *                                     leader changed, reconnected
 *
 * An entry gets its sequence number when it is added and keeps its bytes until this member itself
 * has applied it (or installed a snapshot that contains it): that alone is the acknowledgement.
 * Sending it again is always safe, the machine drops what it has seen, but it is not free: what the
 * leader has taken is in its log until there is another leader, however slow that is, and is not
 * sent again.  Going back means to send again from an entry on; after failures with a growing
 * pause.  While there is no leader nothing is sent.
 *
 * No handles, no clock: the owner calls pump() with the time.  `done` is called from inside
 * applied(), restored() and cancel(); it may add.  Thread: consensus. */
#ifndef QR_CLUSTER_PROPOSER_H
#define QR_CLUSTER_PROPOSER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "base/list.h"
#include "cluster/command.h"
#include "cluster/machine.h"

#define QR_PROPOSER_PAUSE_MS_MIN 20u
#define QR_PROPOSER_PAUSE_MS_MAX 1000u

typedef void (*qr_proposer_done_cb)(void *data, int status, uint64_t index);

/* Hands an entry to the leader (or to the log, on the leader).  0: on its way; QR_PROPOSER_TAKEN:
 * in the leader's log; an error: it is sent again later. */
#define QR_PROPOSER_TAKEN 1

typedef int (*qr_proposer_submit_cb)(void *data, uint64_t sequence, struct qr_slice entry);

struct qr_proposer {
    uint32_t member;
    uint64_t incarnation;
    uint64_t last_sequence; /* Given out. */
    qr_proposer_submit_cb submit;
    void *data;
    uint32_t resend_ms;       /* Not taken for so long: sent again. */
    struct qr_list proposals; /* In order; the first n_sent are on their way. */
    unsigned n, n_sent;
    unsigned n_taken; /* The first of those sent are in the leader's log. */
    size_t bytes;
    bool ready;             /* There is a leader to send to. */
    uint64_t paused_until;  /* ms */
    uint32_t pause_ms;      /* The next pause. */
    uint32_t resend_now_ms; /* Grows with each timeout until one is applied. */
    uint64_t waiting_since; /* ms: for the leader to take the next one; 0: for none. */
    uint64_t n_added, n_resent;
};

void qr_proposer_init(struct qr_proposer *proposer, uint32_t member, uint64_t incarnation,
                      uint32_t resend_ms, qr_proposer_submit_cb submit, void *data);

/* Queues an entry; the body is copied.  0, QR_E_LIMIT, QR_E_BUSY (too many wait), UV_ENOMEM. */
int qr_proposer_add(struct qr_proposer *proposer, enum qr_command_type type, struct qr_slice body,
                    int64_t time_us, qr_proposer_done_cb done, void *data);

/* A larger incarnation, for what is queued too.  Only while nothing was sent yet. */
void qr_proposer_renumber(struct qr_proposer *proposer, uint64_t incarnation);

/* There is a (new) leader, or none.  With `again`, what is on its way may be lost: all is sent
 * again. */
void qr_proposer_set_ready(struct qr_proposer *proposer, bool ready, bool again);

/* The leader has this entry, and those sent before it, in its log. */
void qr_proposer_taken(struct qr_proposer *proposer, uint64_t sequence);

/* The entry was not taken into the log: it and all behind it are sent again after a pause. */
void qr_proposer_refused(struct qr_proposer *proposer, uint64_t sequence, uint64_t now_ms);

/* The machine refused one of ours because one before it is missing: all is sent again. */
void qr_proposer_gap(struct qr_proposer *proposer, uint64_t now_ms);

/* The machine took the entry (0 or the sink's refusal).  Its result goes to `done`. */
void qr_proposer_applied(struct qr_proposer *proposer, uint64_t sequence, int result,
                         uint64_t index);

/* The state was replaced: all that it contains is done, the rest is sent again. */
void qr_proposer_restored(struct qr_proposer *proposer, const struct qr_producer *record,
                          uint64_t index);

/* Sends what may be sent. */
void qr_proposer_pump(struct qr_proposer *proposer, uint64_t now_ms);

/* Ends all with UV_ECANCELED: their outcome is not known. */
void qr_proposer_cancel(struct qr_proposer *proposer);

#endif
