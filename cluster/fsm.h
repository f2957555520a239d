/* cluster/fsm.h — the machine as the raft library's FSM.
 *
 * Hooks: apply never fails; snapshot answers RAFT_BUSY while the commit index and the applied index
 * differ (second line behind the guard's G3) or the sink is busy; restore frees the library's
 * buffer as the contract says.  The index of an entry is raft_last_applied + 1.
 *
 * The snapshot's bytes are ours until the library calls finalize: nothing is copied.  Entries that
 * are no commands (barriers, configurations) never reach the machine.
 * Thread: consensus. */
#ifndef QR_CLUSTER_FSM_H
#define QR_CLUSTER_FSM_H

#include <raft.h>

#include "base/buf.h"
#include "cluster/machine.h"

struct qr_fsm {
    struct raft_fsm fsm; /* Given to raft_init. */
    struct raft *raft;
    struct qr_machine *machine;
    struct qr_buf bytes; /* Of the snapshot that is being written. */
    struct raft_buffer buffer;
    uint64_t n_snapshots, n_restores;
};

void qr_fsm_init(struct qr_fsm *fsm, struct raft *raft, struct qr_machine *machine);
void qr_fsm_release(struct qr_fsm *fsm);

#endif
