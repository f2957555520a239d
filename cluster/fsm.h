/* cluster/fsm.h — the machine as the raft library's FSM, so that nothing of it holds up the loop.
 *
 *   library: apply --> backlog --> qr_fsm_step, an entry each, some ms a turn --> machine
 *
 * The library applies all that is committed in one go; here that only notes the entries.  What is
 * applied *by us* is qr_fsm_applied(), and all that others are told goes by it.
 *
 * Snapshots.  The library asks, and asks again with each event as long as it hears RAFT_BUSY:
 *
 *   nothing made:  applying pauses at an entry A, a job encodes the state        -> RAFT_BUSY
 *   job runs:                                                                    -> RAFT_BUSY
 *   made:          the state at A, and the entries A+1 .. L of the library       -> 0
 *
 * L is the library's last applied index, which it labels the snapshot with; if that is not its
 * commit index, too, the label would be false (guard, G3) and the answer is RAFT_BUSY.  If the
 * entries since A are too many bytes, what was made is dropped and made again later.  No job is
 * begun behind a long backlog.
 *
 * Restores.  At start the state is there when raft_start returns.  Later, when a leader sends a
 * snapshot, a job decodes it beside the state in use, which goes on being read; the entries behind
 * it wait.  The library lets go of its log when it begins to install, and so do we.
 *
 * Entries that are no commands (barriers, configurations) never come here.
 * Thread: consensus, but for qr_fsm_work. */
#ifndef QR_CLUSTER_FSM_H
#define QR_CLUSTER_FSM_H

#include <raft.h>
#include <stdbool.h>

#include "cluster/backlog.h"
#include "cluster/image.h"
#include "cluster/machine.h"

enum qr_fsm_job { QR_FSM_NO_JOB, QR_FSM_ENCODES, QR_FSM_DECODES };

struct qr_fsm {
    struct raft_fsm fsm; /* Given to raft_init. */
    struct raft *raft;
    struct qr_machine *machine;
    struct qr_backlog backlog;

    /* How jobs are run: qr_fsm_work somewhere, then qr_fsm_done on the loop.  0, or an error and
     * neither is called.  NULL: at once. */
    int (*submit)(void *data);
    void *data;
    enum qr_fsm_job job;
    bool stale; /* Its result is not wanted any more. */

    struct qr_image image;
    bool made;                  /* The image waits for the library to ask. */
    struct raft_buffer bufs[3]; /* Of the image that the library is writing. */
    raft_index given_index;     /* Its label. */
    raft_index not_before;      /* None is begun before this one; after a failure. */

    bool started;            /* raft_start has returned. */
    bool installing;         /* The library has let go of its log and will restore. */
    struct raft_buffer came; /* A snapshot to restore, when the job is done. */
    struct raft_buffer read; /* That the job decodes. */
    struct qr_image_state state;
    int status;              /* Of the decoding. */
    uint64_t applied_before; /* While a snapshot is installed and restored. */

    int (*snapshot_put)(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
                        const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb);
    bool closed;
    uint64_t n_snapshots, n_restores;
    uint64_t n_outrun; /* Snapshots that were dropped: too many entries came since. */
};

void qr_fsm_init(struct qr_fsm *fsm, struct raft *raft, struct qr_machine *machine);

/* After raft_init and whoever else wraps raft->io, before raft_start: wraps snapshot_put. */
void qr_fsm_install(struct qr_fsm *fsm);

/* From now on restores are jobs. */
void qr_fsm_started(struct qr_fsm *fsm);

/* Applies one entry, if one waits and may be applied now.  Returns whether there is another. */
bool qr_fsm_step(struct qr_fsm *fsm);
bool qr_fsm_may_step(const struct qr_fsm *fsm);

/* The index up to which everything is in the machine: the library's while nothing waits. */
uint64_t qr_fsm_applied(const struct qr_fsm *fsm);

/* Runs the job that was submitted; thread: any. */
void qr_fsm_work(struct qr_fsm *fsm);
/* Takes its result. */
void qr_fsm_done(struct qr_fsm *fsm);

/* Before raft_close, which frees the log: forgets what waits. */
void qr_fsm_close(struct qr_fsm *fsm);
/* No job runs, and the library is closed. */
void qr_fsm_release(struct qr_fsm *fsm);

#endif
