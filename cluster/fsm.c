#include "cluster/fsm.h"

#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/raft_error.h"

static int fsm_apply(struct raft_fsm *raft_fsm, const struct raft_buffer *buf, void **result)
{
    struct qr_fsm *fsm = raft_fsm->data;
    *result = NULL;
    qr_machine_apply(fsm->machine, raft_last_applied(fsm->raft) + 1,
                     qr_slice_of(buf->base, buf->len));
    return 0;
}

static int fsm_snapshot(struct raft_fsm *raft_fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct qr_fsm *fsm = raft_fsm->data;
    if (raft_commit_index(fsm->raft) != raft_last_applied(fsm->raft))
        return RAFT_BUSY;
    qr_buf_clear(&fsm->bytes);
    int err = qr_machine_snapshot(fsm->machine, &fsm->bytes);
    if (err != 0) {
        qr_buf_release(&fsm->bytes);
        if (err != QR_E_BUSY)
            qr_error("snapshot not taken reason=\"%s\"", qr_strerror(err));
        return qr_raft_of_error(err);
    }
    fsm->buffer = (struct raft_buffer){.base = fsm->bytes.base, .len = fsm->bytes.len};
    *bufs = &fsm->buffer;
    *n_bufs = 1;
    fsm->n_snapshots++;
    return 0;
}

static int fsm_finalize(struct raft_fsm *raft_fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct qr_fsm *fsm = raft_fsm->data;
    (void)bufs;
    (void)n_bufs;
    qr_buf_release(&fsm->bytes);
    return 0;
}

static int fsm_restore(struct raft_fsm *raft_fsm, struct raft_buffer *buf)
{
    struct qr_fsm *fsm = raft_fsm->data;
    int err = qr_machine_restore(fsm->machine, qr_slice_of(buf->base, buf->len));
    if (err != 0) {
        char sentence[256];
        snprintf(sentence, sizeof sentence,
                 "the snapshot could not be restored: %s; wipe this member's data and let it "
                 "rejoin",
                 qr_strerror(err));
        fsm->machine->failed = true;
        fsm->machine->events.fatal(fsm->machine->events.data, sentence);
        return qr_raft_of_error(err);
    }
    raft_free(buf->base);
    fsm->n_restores++;
    return 0;
}

void qr_fsm_init(struct qr_fsm *fsm, struct raft *raft, struct qr_machine *machine)
{
    *fsm = (struct qr_fsm){
        .fsm = {.version = 2,
                .data = fsm,
                .apply = fsm_apply,
                .snapshot = fsm_snapshot,
                .restore = fsm_restore,
                .snapshot_finalize = fsm_finalize},
        .raft = raft,
        .machine = machine,
        .bytes = {.max = QR_SNAPSHOT_BYTES_MAX},
    };
}

void qr_fsm_release(struct qr_fsm *fsm)
{
    qr_buf_release(&fsm->bytes);
}
