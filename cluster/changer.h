/* cluster/changer.h — carries out the change of members that the log holds (cluster/membership).
 *
 *   ASK applied --> the leader, step by step, each when the one before is committed:
 *     who comes   is reached (link), ADDed as a spare, made a LEARNER (gets log and snapshots, no
 *                 vote), and when it has caught up a VOTER
 *     who goes    is REMOVEd, if the voters that are left and up are a majority; a leader hands
 *                 leadership over first, and the next one goes on
 *   --> END with what came of it;  and a RECORD of each configuration that was committed
 *
 * An id that is replaced by itself (its disk was lost) goes before it comes: the library takes an
 * address once, and no vote of a dead disk is missed.  Otherwise who comes is a voter before the
 * other goes.  A change that is taken back is undone as far as it can be.
 *
 * The plan is a pure function of configuration, state and what peers say, so each member can tell
 * how far a change is; only the leader acts.  A new leader makes the same plan and goes on.
 *
 * The library's changes obey docs/decisions/0002: one at a time, G5 by the guard.
 * Thread: consensus. */
#ifndef QR_CLUSTER_CHANGER_H
#define QR_CLUSTER_CHANGER_H

#include <raft.h>
#include <stdbool.h>
#include <stdint.h>

#include "cluster/machine.h"
#include "cluster/membership.h"
#include "cluster/peers.h"

/* Who comes has said nothing, or nobody took over, for so long: the change ends. */
#define QR_CHANGE_REACH_MS 30000u
/* It may be so many entries behind when it is made a voter. */
#define QR_CHANGE_LAG 256u

enum qr_step_kind {
    QR_STEP_NONE, /* There is no change. */
    QR_STEP_REACH,
    QR_STEP_ADD,
    QR_STEP_LEARNER,
    QR_STEP_CATCH_UP,
    QR_STEP_VOTER,
    QR_STEP_HAND_OVER,
    QR_STEP_REMOVE,
    QR_STEP_END
};

struct qr_step {
    enum qr_step_kind kind;
    raft_id id;                   /* Whom it is about; 0: not known yet. */
    enum qr_change_result result; /* Of END. */
};

/* What a plan is made from. */
struct qr_change_view {
    const struct raft_configuration *configuration;
    const struct qr_membership *membership;
    const struct qr_peers *peers;
    raft_id self;
    uint64_t commit;
    bool late; /* Who comes, or who takes over, was waited for long enough. */
};

struct qr_step qr_change_plan(const struct qr_change_view *view);

struct qr_changer {
    struct raft *raft;
    const struct qr_membership *membership;
    const struct qr_peers *peers;
    /* Gets a MEMBERS body into the log; then calls qr_changer_proposed.  0 or an error. */
    int (*propose)(void *data, struct qr_slice body);
    bool (*hand_over)(void *data); /* False: there is nobody. */
    void (*fatal)(void *data, const char *sentence);
    void *data;

    struct raft_change req;
    bool changing;  /* `req` is the library's. */
    bool proposing; /* A RECORD or END is on its way. */
    uint64_t not_before_ms;
    uint64_t seen;           /* The ASK that the times below are of. */
    enum qr_step_kind waits; /* REACH or HAND_OVER, since waits_ms; or NONE. */
    uint64_t waits_ms, progress_ms;
    unsigned progress_from;
    bool closed;
};

/* Does what there is to do; call it often.  leads: entries are taken here. */
void qr_changer_turn(struct qr_changer *changer, uint64_t now_ms, bool leads);

/* The body has been applied, refused, or its fate is not known. */
void qr_changer_proposed(struct qr_changer *changer);

/* How far who comes is, in thousandths of log and block files; and how many seconds are left;
 * UINT64_MAX: not known. */
struct qr_change_progress {
    struct qr_step step;
    unsigned permille;
    uint64_t eta_s;
};
void qr_changer_progress(const struct qr_changer *changer, uint64_t now_ms,
                         struct qr_change_progress *progress);

#endif
