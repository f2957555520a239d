#include "cluster/fsm.h"

#include <assert.h>
#include <stdio.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"
#include "cluster/folder.h"
#include "cluster/raft_error.h"

/* A snapshot that failed is tried again so much later: trying holds up entries. */
#define RETRY_ENTRIES 1024u

static void die(struct qr_fsm *fsm, const char *what, int err)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s: %s", what, qr_strerror(err));
    fsm->machine->failed = true;
    fsm->machine->events.fatal(fsm->machine->events.data, sentence);
}

static void submit(struct qr_fsm *fsm, enum qr_fsm_job job)
{
    assert(fsm->job == QR_FSM_NO_JOB);
    fsm->job = job;
    fsm->stale = false;
    if (fsm->submit != NULL && fsm->submit(fsm->data) == 0)
        return;
    qr_fsm_work(fsm);
    qr_fsm_done(fsm);
}

void qr_fsm_work(struct qr_fsm *fsm)
{
    assert(fsm->job != QR_FSM_NO_JOB);
    if (fsm->job == QR_FSM_ENCODES)
        qr_image_encode(&fsm->image);
    else
        fsm->status = qr_image_read(&fsm->state, &fsm->machine->sink,
                                    qr_slice_of(fsm->read.base, fsm->read.len));
}

/* ---- entries ---- */

static bool is_restoring(const struct qr_fsm *fsm)
{
    return fsm->installing || fsm->came.base != NULL || fsm->job == QR_FSM_DECODES;
}

static bool is_pinned(const struct qr_fsm *fsm)
{
    return fsm->job == QR_FSM_ENCODES && !fsm->stale;
}

static int fsm_apply(struct raft_fsm *raft_fsm, const struct raft_buffer *buf, void **result)
{
    struct qr_fsm *fsm = raft_fsm->data;
    *result = NULL;
    raft_index index = raft_last_applied(fsm->raft) + 1;
    if (fsm->closed)
        return 0;
    if (index <= fsm->backlog.last) {
        fsm->machine->n_skipped++;
        return 0;
    }
    if (qr_backlog_push(&fsm->backlog, index, qr_slice_of(buf->base, buf->len)) != 0)
        die(fsm, "an entry could not be queued", UV_ENOMEM);
    return 0;
}

bool qr_fsm_may_step(const struct qr_fsm *fsm)
{
    return !fsm->closed && !fsm->machine->failed && !is_restoring(fsm) && !is_pinned(fsm) &&
           qr_backlog_next(&fsm->backlog) != NULL;
}

bool qr_fsm_step(struct qr_fsm *fsm)
{
    if (!qr_fsm_may_step(fsm))
        return false;
    const struct qr_backlog_entry *entry = qr_backlog_next(&fsm->backlog);
    qr_machine_apply(fsm->machine, entry->index, entry->bytes);
    qr_backlog_done(&fsm->backlog);
    return qr_fsm_may_step(fsm);
}

uint64_t qr_fsm_applied(const struct qr_fsm *fsm)
{
    if (is_restoring(fsm))
        return fsm->applied_before;
    const struct qr_backlog_entry *entry = qr_backlog_next(&fsm->backlog);
    return entry != NULL ? entry->index - 1 : raft_last_applied(fsm->raft);
}

/* ---- making snapshots ---- */

static void drop_image(struct qr_fsm *fsm)
{
    qr_image_release(&fsm->image);
    qr_backlog_keep(&fsm->backlog, false);
    fsm->made = false;
}

static void begin_image(struct qr_fsm *fsm)
{
    if (fsm->job != QR_FSM_NO_JOB || is_restoring(fsm) || fsm->closed || fsm->machine->failed ||
        fsm->backlog.bytes > QR_SNAPSHOT_TAIL_BYTES_MAX / 2 ||
        raft_last_applied(fsm->raft) < fsm->not_before)
        return;
    int err = qr_image_begin(&fsm->image, fsm->machine);
    if (err != 0) {
        if (err == QR_E_BUSY)
            return;
        qr_error("snapshot not begun reason=\"%s\"", qr_strerror(err));
        fsm->not_before = raft_last_applied(fsm->raft) + RETRY_ENTRIES;
        return;
    }
    qr_backlog_keep(&fsm->backlog, true);
    submit(fsm, QR_FSM_ENCODES);
}

static void take_image(struct qr_fsm *fsm)
{
    int err = qr_image_end(&fsm->image);
    fsm->made = !fsm->stale && err == 0;
    if (fsm->made)
        return;
    drop_image(fsm);
    if (err == 0)
        return;
    qr_error("snapshot not taken reason=\"%s\"", qr_strerror(err));
    fsm->not_before = raft_last_applied(fsm->raft) + RETRY_ENTRIES;
}

/* The entries behind the state, done or not.  0, or they are too many. */
static int add_entries(struct qr_fsm *fsm)
{
    int err = 0;
    if (QR_PLANT(snapshot_lacks_backlog))
        return 0;
    for (size_t i = 0; i < fsm->backlog.n && err == 0; i++) {
        const struct qr_backlog_entry *entry = qr_backlog_at(&fsm->backlog, i);
        err = qr_image_add(&fsm->image, entry->index, entry->bytes);
    }
    return err;
}

static int fsm_snapshot(struct raft_fsm *raft_fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct qr_fsm *fsm = raft_fsm->data;
    if (raft_commit_index(fsm->raft) != raft_last_applied(fsm->raft) && !QR_PLANT(guard_g3_off))
        return RAFT_BUSY;
    if (!fsm->made)
        begin_image(fsm);
    if (!fsm->made || is_restoring(fsm))
        return RAFT_BUSY;
    if (add_entries(fsm) != 0) {
        fsm->n_outrun++;
        drop_image(fsm);
        return RAFT_BUSY;
    }
    struct qr_image *image = &fsm->image;
    qr_image_seal(image);
    qr_backlog_keep(&fsm->backlog, false);
    fsm->made = false;
    fsm->bufs[0] = (struct raft_buffer){image->header, sizeof image->header};
    fsm->bufs[1] = (struct raft_buffer){image->body.base, image->body.len};
    fsm->bufs[2] = (struct raft_buffer){image->tail.base, image->tail.len};
    *bufs = fsm->bufs;
    *n_bufs = image->tail.len != 0 ? 3 : 2;
    fsm->given_index = raft_last_applied(fsm->raft);
    fsm->n_snapshots++;
    return 0;
}

/* Next the library drops what is more than `trailing` entries behind the snapshot. */
static int fsm_finalize(struct raft_fsm *raft_fsm, struct raft_buffer *bufs[], unsigned *n_bufs)
{
    struct qr_fsm *fsm = raft_fsm->data;
    (void)bufs;
    (void)n_bufs;
    qr_image_release(&fsm->image);
    uint64_t trailing = fsm->raft->legacy.snapshot_trailing;
    if (fsm->given_index > trailing &&
        qr_backlog_own(&fsm->backlog, fsm->given_index - trailing) != 0)
        die(fsm, "entries that wait could not be kept", UV_ENOMEM);
    return 0;
}

/* ---- restoring ---- */

static void leave_state(struct qr_fsm *fsm)
{
    if (!is_restoring(fsm))
        fsm->applied_before = qr_fsm_applied(fsm);
    if (fsm->made)
        drop_image(fsm);
    qr_backlog_keep(&fsm->backlog, false);
    qr_backlog_clear(&fsm->backlog);
    fsm->stale = true;
}

/* A leader's snapshot: the library has emptied its log by now. */
static int put(struct raft_io *io, unsigned trailing, struct raft_io_snapshot_put *req,
               const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct raft *raft = io->data;
    struct qr_fsm *fsm = raft->fsm->data;
    if (raft->snapshot.installing) {
        leave_state(fsm);
        fsm->installing = true;
    }
    return fsm->snapshot_put(io, trailing, req, snapshot, cb);
}

static void take_state(struct qr_fsm *fsm)
{
    struct qr_image_state *state = &fsm->state;
    fsm->n_restores++;
    qr_machine_replace(fsm->machine, state);
    int err = qr_backlog_prepend(&fsm->backlog, state->entries, state->n_entries);
    if (err == 0)
        state->n_entries = 0;
    else
        die(fsm, "the snapshot's entries could not be queued", err);
}

static void die_of_restore(struct qr_fsm *fsm, int err)
{
    die(fsm, "the snapshot could not be restored; " QR_FOLDER_REMEDY "; reason", err);
}

static void start_decoding(struct qr_fsm *fsm)
{
    fsm->read = fsm->came;
    fsm->came = (struct raft_buffer){0};
    submit(fsm, QR_FSM_DECODES);
}

void qr_fsm_done(struct qr_fsm *fsm)
{
    enum qr_fsm_job job = fsm->job;
    fsm->job = QR_FSM_NO_JOB;
    if (job == QR_FSM_ENCODES) {
        take_image(fsm);
    } else {
        if (fsm->status == 0 && !fsm->stale)
            take_state(fsm);
        else if (fsm->status != 0 && !fsm->stale)
            die_of_restore(fsm, fsm->status);
        if (fsm->status == 0)
            qr_image_state_release(&fsm->state, &fsm->machine->sink);
        raft_free(fsm->read.base);
        fsm->read = (struct raft_buffer){0};
    }
    if (fsm->came.base != NULL && !fsm->closed)
        start_decoding(fsm);
}

/* In raft_start: on failure the buffer stays the library's. */
static int restore_now(struct qr_fsm *fsm, const struct raft_buffer *buf)
{
    int err = qr_image_read(&fsm->state, &fsm->machine->sink, qr_slice_of(buf->base, buf->len));
    if (err != 0) {
        die_of_restore(fsm, err);
        return qr_raft_of_error(err);
    }
    take_state(fsm);
    qr_image_state_release(&fsm->state, &fsm->machine->sink);
    raft_free(buf->base);
    return 0;
}

static int fsm_restore(struct raft_fsm *raft_fsm, struct raft_buffer *buf)
{
    struct qr_fsm *fsm = raft_fsm->data;
    leave_state(fsm);
    fsm->installing = false;
    if (!fsm->started)
        return restore_now(fsm, buf);
    raft_free(fsm->came.base);
    fsm->came = *buf;
    if (fsm->job == QR_FSM_NO_JOB)
        start_decoding(fsm);
    return 0;
}

/* ---- life ---- */

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
    };
}

void qr_fsm_install(struct qr_fsm *fsm)
{
    fsm->snapshot_put = fsm->raft->io->snapshot_put;
    fsm->raft->io->snapshot_put = put;
}

void qr_fsm_started(struct qr_fsm *fsm)
{
    fsm->started = true;
}

void qr_fsm_close(struct qr_fsm *fsm)
{
    leave_state(fsm);
    fsm->closed = true;
    raft_free(fsm->came.base);
    fsm->came = (struct raft_buffer){0};
}

void qr_fsm_release(struct qr_fsm *fsm)
{
    assert(fsm->job == QR_FSM_NO_JOB);
    qr_image_release(&fsm->image);
    qr_backlog_release(&fsm->backlog);
}
