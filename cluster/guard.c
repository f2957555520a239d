#include "cluster/guard.h"

#include <assert.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"
#include "cluster/folder.h"
#include "cluster/mend.h"
#include "cluster/term_note.h"

/* What the library's disk back end traces when a write fails, just before it arms the retry that
 * crashes (G4). */
#define TRACE_OF_FAILED_WRITE "retry failed write"
#define TRACE_OF_FAILED_CLOSE "truncate segment "
#define TRACE_OF_NEW_SEGMENT  "retry creating segment "

static struct qr_guard *guard_of(const struct raft_io *io)
{
    const struct raft *raft = io->data;
    return raft->data;
}

static bool is_on(const struct qr_guard *guard, enum qr_guard_part part)
{
    return (guard->off & (unsigned)part) == 0;
}

static void stop(struct qr_guard *guard, const char *format, ...) QR_PRINTF(2, 3);

static void stop(struct qr_guard *guard, const char *format, ...)
{
    char sentence[384];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    guard->fail_stop(guard->data, sentence);
}

/* ---- writes: a failed one stops the member (G4) ---- */

struct append {
    struct raft_io_append req;
    struct qr_guard *guard;
    struct raft_io_append *above;
    raft_io_append_cb cb;
    uint64_t n_cuts; /* Of the guard, when it began. */
};

/* G11: the back end has done all truncations before an append that came after them. */
static void forget_cuts(struct qr_guard *guard, uint64_t n_cuts)
{
    if (!guard->cut_noted || n_cuts != guard->n_cuts)
        return;
    guard->cut_noted = false;
    int err = qr_mend_forget_cut(guard->dir);
    if (err != 0)
        stop(guard, "the note of a truncation could not be removed: %s", qr_strerror(err));
}

static int note_cut(struct qr_guard *guard, raft_index index)
{
    int err = qr_mend_note_cut(guard->dir, index);
    if (err != 0) {
        stop(guard, "a truncation could not be noted: %s", qr_strerror(err));
        return RAFT_IOERR;
    }
    guard->n_cuts++;
    guard->cut_noted = true;
    return 0;
}

static void on_appended(struct raft_io_append *req, int status)
{
    struct append *append = req->data;
    struct qr_guard *guard = append->guard;
    struct raft_io_append *above = append->above;
    raft_io_append_cb cb = append->cb;
    if (status == 0)
        forget_cuts(guard, append->n_cuts);
    free(append);
    bool canceled = status == RAFT_CANCELED && guard->closing;
    if (status != 0 && !canceled && is_on(guard, QR_GUARD_G4)) {
        stop(guard, "the log could not be written: %s", raft_strerror(status));
        return;
    }
    cb(above, status);
}

static int guard_append(struct raft_io *io, struct raft_io_append *req,
                        const struct raft_entry entries[], unsigned n, raft_io_append_cb cb)
{
    struct qr_guard *guard = guard_of(io);
    struct append *append = malloc(sizeof *append);
    if (append == NULL) {
        stop(guard, "the log could not be written: out of memory");
        return RAFT_NOMEM;
    }
    *append = (struct append){
        .req = {.data = append}, .guard = guard, .above = req, .cb = cb, .n_cuts = guard->n_cuts};
    req->cb = cb;
    guard->next += n;
    int rv = guard->below.append(io, &append->req, entries, n, on_appended);
    if (rv != 0) {
        free(append);
        if (is_on(guard, QR_GUARD_G4))
            stop(guard, "the log could not be written: %s: %s", raft_strerror(rv), io->errmsg);
    }
    return rv;
}

static int written(struct qr_guard *guard, int rv, const char *what)
{
    if (rv != 0 && is_on(guard, QR_GUARD_G4))
        stop(guard, "%s: %s: %s", what, raft_strerror(rv), guard->io->errmsg);
    return rv;
}

/* The library truncates before each append, also where nothing is to be cut. */
static int guard_truncate(struct raft_io *io, raft_index index)
{
    struct qr_guard *guard = guard_of(io);
    bool cuts = index < guard->next;
    guard->next = index;
    int rv = cuts && guard->dir != NULL ? note_cut(guard, index) : 0;
    if (rv != 0)
        return rv;
    return written(guard, guard->below.truncate(io, index), "the log could not be truncated");
}

/* G17 */
static int note_vote(struct qr_guard *guard, raft_term term, raft_id vote)
{
    int err = guard->dir != NULL && !QR_PLANT(vote_not_noted)
                  ? qr_term_note_write(guard->dir, term, vote)
                  : 0;
    if (err != 0)
        stop(guard, "term and vote could not be noted: %s", qr_strerror(err));
    return err != 0 ? RAFT_IOERR : 0;
}

static int guard_set_term(struct raft_io *io, raft_term term)
{
    struct qr_guard *guard = guard_of(io);
    int rv = note_vote(guard, term, 0);
    if (rv != 0)
        return rv;
    guard->noted_term = term;
    return written(guard, guard->below.set_term(io, term), "the term could not be written");
}

static int guard_set_vote(struct raft_io *io, raft_id id)
{
    struct qr_guard *guard = guard_of(io);
    raft_term term = guard->noted_term != 0 ? guard->noted_term : raft_current_term(guard->raft);
    int rv = note_vote(guard, term, id);
    if (rv != 0)
        return rv;
    return written(guard, guard->below.set_vote(io, id), "the vote could not be written");
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* G16: one that is there already can never be created. */
static bool is_there(const struct qr_guard *guard, const char *name)
{
    char path[PATH_MAX];
    return guard->dir != NULL && qr_folder_path(path, guard->dir, name) == 0 &&
           access(path, F_OK) == 0;
}

/* G15's comes from the worker that closes segments: it must not go on to the next one. */
static void guard_trace(struct raft_tracer *tracer, int type, const void *data)
{
    struct qr_guard *guard = tracer->impl;
    const struct raft_tracer_info *info = data;
    if (type != RAFT_TRACER_DIAGNOSTIC)
        return;
    const char *message = info->diagnostic.message;
    if (begins(message, TRACE_OF_FAILED_WRITE) && is_on(guard, QR_GUARD_G4)) {
        stop(guard, "the log could not be written: %s", message);
        return;
    }
    if (begins(message, TRACE_OF_FAILED_CLOSE)) {
        stop(guard, "a segment of the log could not be closed: %s", message);
        return;
    }
    if (begins(message, TRACE_OF_NEW_SEGMENT) &&
        is_there(guard, message + strlen(TRACE_OF_NEW_SEGMENT))) {
        stop(guard, "a segment of the log could not be made durable: %s", message);
        return;
    }
    if (info->diagnostic.level <= 2)
        qr_warn("raft disk message=\"%s\"", message);
}

struct raft_tracer *qr_guard_tracer(struct qr_guard *guard)
{
    return &guard->tracer;
}

/* ---- receiving ---- */

static void free_snapshot(struct raft_message *message)
{
    raft_configuration_close(&message->install_snapshot.conf);
    raft_free(message->install_snapshot.data.base);
}

/* G1: keeps the newest one until our own snapshot is written. */
static void hold(struct qr_guard *guard, struct raft_message *message)
{
    if (guard->holding)
        free_snapshot(&guard->held);
    guard->held = *message;
    snprintf(guard->held_address, sizeof guard->held_address, "%s", message->server_address);
    guard->held.server_address = guard->held_address;
    guard->holding = true;
    guard->n_held++;
}

static void receive_snapshot(struct qr_guard *guard, struct raft_message *message)
{
    struct raft *raft = guard->raft;
    if (raft->legacy.snapshot_taking && is_on(guard, QR_GUARD_G1)) {
        hold(guard, message);
        return;
    }
    /* The library would ignore it, and never free it. */
    if (raft->legacy.snapshot_install &&
        message->install_snapshot.term == raft_current_term(raft)) {
        free_snapshot(message);
        return;
    }
    guard->recv(guard->io, message);
}

/* G3: a message that ends below our commit index must not set it back. */
static void raise_commit(struct qr_guard *guard, struct raft_append_entries *append)
{
    raft_index commit = raft_commit_index(guard->raft);
    if (QR_PLANT(old_term_commit))
        append->leader_commit = append->prev_log_index + append->n_entries;
    if (append->leader_commit > commit && append->prev_log_index + append->n_entries < commit &&
        is_on(guard, QR_GUARD_G3)) {
        append->leader_commit = commit;
        guard->n_commits_raised++;
    }
}

/* G9: the answer to a pre-vote of a member that has given up its candidacy, or won it. */
static bool is_late_pre_vote(const struct qr_guard *guard, const struct raft_message *message)
{
    return message->type == RAFT_REQUEST_VOTE_RESULT && message->request_vote_result.version > 1 &&
           message->request_vote_result.pre_vote && guard->raft->state != RAFT_CANDIDATE &&
           is_on(guard, QR_GUARD_G9);
}

/* G14 */
static void hear_leader(struct qr_guard *guard, const struct raft_message *message)
{
    raft_term term = 0;
    if (message->type == RAFT_APPEND_ENTRIES)
        term = message->append_entries.term;
    else if (message->type == RAFT_INSTALL_SNAPSHOT)
        term = message->install_snapshot.term;
    if (term > guard->heard_term)
        guard->heard_term = term;
}

static void guard_recv(struct raft_io *io, struct raft_message *message)
{
    struct qr_guard *guard = guard_of(io);
    hear_leader(guard, message);
    if (message->type == RAFT_INSTALL_SNAPSHOT && !guard->closing) {
        receive_snapshot(guard, message);
        return;
    }
    if (message->type == RAFT_APPEND_ENTRIES)
        raise_commit(guard, &message->append_entries);
    if (!is_late_pre_vote(guard, message))
        guard->recv(io, message);
}

/* ---- sending ---- */

struct drop {
    struct qr_list node;
    struct raft_io_send *req;
    raft_io_send_cb cb;
};

static void complete_dropped(struct qr_guard *guard)
{
    while (!qr_list_empty(&guard->dropped)) {
        struct drop *drop = QR_CONTAINER_OF(guard->dropped.next, struct drop, node);
        struct drop copy = *drop;
        qr_list_remove(&drop->node);
        free(drop);
        copy.cb(copy.req, RAFT_CANCELED);
    }
}

struct snapshot_send {
    struct raft_io_send req;
    struct qr_guard *guard;
    raft_id peer;
    struct raft_io_send *above;
    raft_io_send_cb cb;
};

/* The peer's record; a free one is taken, or that of one to which nothing is on its way: servers
 * come and go.  NULL when there are too many. */
static struct qr_guard_peer *peer_of(struct qr_guard *guard, raft_id id)
{
    struct qr_guard_peer *idle = NULL;
    for (size_t i = 0; i < QR_COUNT(guard->peers); i++) {
        struct qr_guard_peer *peer = &guard->peers[i];
        if (peer->id == id || peer->id == 0) {
            peer->id = id;
            return peer;
        }
        if (!peer->in_flight)
            idle = peer;
    }
    if (idle != NULL)
        *idle = (struct qr_guard_peer){.id = id};
    return idle;
}

static void on_snapshot_sent(struct raft_io_send *req, int status)
{
    struct snapshot_send *send = req->data;
    struct qr_guard *guard = send->guard;
    struct qr_guard_peer *peer = peer_of(guard, send->peer);
    peer->in_flight = false;
    peer->sent = status == 0;
    peer->sent_at = guard->io->time(guard->io);
    struct raft_io_send *above = send->above;
    raft_io_send_cb cb = send->cb;
    free(send);
    cb(above, status);
}

/* G7: it is on its way, or was sent a moment ago. */
static bool is_repeat(const struct qr_guard *guard, const struct qr_guard_peer *peer,
                      raft_index index)
{
    if (peer->in_flight)
        return true;
    return peer->sent && peer->index == index &&
           guard->io->time(guard->io) - peer->sent_at < QR_GUARD_RESEND_MS;
}

static int drop_snapshot(struct qr_guard *guard, struct raft_io_send *req, raft_io_send_cb cb)
{
    struct drop *drop = malloc(sizeof *drop);
    if (drop == NULL)
        return RAFT_NOMEM;
    *drop = (struct drop){.req = req, .cb = cb};
    qr_list_add_tail(&guard->dropped, &drop->node);
    guard->n_snapshots_dropped++;
    return 0;
}

static int send_snapshot(struct qr_guard *guard, struct raft_io_send *req,
                         const struct raft_message *message, raft_io_send_cb cb)
{
    struct raft_message copy = *message;
    if (guard->loaded_index == message->install_snapshot.last_index &&
        guard->loaded_term != message->install_snapshot.last_term && is_on(guard, QR_GUARD_G2)) {
        copy.install_snapshot.last_term = guard->loaded_term;
        guard->n_terms_mended++;
    }
    struct qr_guard_peer *peer = peer_of(guard, message->server_id);
    if (peer == NULL || !is_on(guard, QR_GUARD_G7))
        return guard->below.send(guard->io, req, &copy, cb);
    if (is_repeat(guard, peer, message->install_snapshot.last_index))
        return drop_snapshot(guard, req, cb);
    struct snapshot_send *send = malloc(sizeof *send);
    if (send == NULL)
        return RAFT_NOMEM;
    *send = (struct snapshot_send){
        .req = {.data = send}, .guard = guard, .peer = peer->id, .above = req, .cb = cb};
    int rv = guard->below.send(guard->io, &send->req, &copy, on_snapshot_sent);
    if (rv != 0) {
        free(send);
        return rv;
    }
    peer->in_flight = true;
    peer->index = message->install_snapshot.last_index;
    guard->n_snapshots_sent++;
    return 0;
}

/* G5: how many entries may go into one message with the first. */
static unsigned entries_before_change(const struct raft_append_entries *append)
{
    for (unsigned i = 1; i < append->n_entries; i++) {
        if (append->entries[i].type == RAFT_CHANGE)
            return i;
    }
    return append->n_entries;
}

static int guard_send(struct raft_io *io, struct raft_io_send *req,
                      const struct raft_message *message, raft_io_send_cb cb)
{
    struct qr_guard *guard = guard_of(io);
    if (guard->closing || guard->refusing)
        return RAFT_CANCELED;
    if (message->type == RAFT_INSTALL_SNAPSHOT)
        return send_snapshot(guard, req, message, cb);
    if (message->type == RAFT_APPEND_ENTRIES && is_on(guard, QR_GUARD_G5)) {
        unsigned n = entries_before_change(&message->append_entries);
        if (n < message->append_entries.n_entries) {
            struct raft_message cut = *message;
            cut.append_entries.n_entries = n;
            guard->n_cut++;
            return guard->below.send(io, req, &cut, cb);
        }
    }
    return guard->below.send(io, req, message, cb);
}

/* ---- snapshots on disk: read or written, never both (G8, G10) ---- */

struct snapshot_job {
    struct qr_list node; /* in waiting */
    struct qr_guard *guard;
    bool is_put;
    struct raft_io_snapshot_get get, *get_above;
    raft_io_snapshot_get_cb get_cb;
    struct raft_io_snapshot_put put, *put_above;
    raft_io_snapshot_put_cb put_cb;
    unsigned trailing;
    const struct raft_snapshot *snapshot;
};

/* G10: any number of readers, or one writer. */
static bool may_run(const struct qr_guard *guard, const struct snapshot_job *job)
{
    return !guard->putting && (!job->is_put || guard->n_getting == 0);
}

static void on_loaded(struct raft_io_snapshot_get *req, struct raft_snapshot *snapshot, int status);
static void on_put(struct raft_io_snapshot_put *req, int status);

static int run_job(struct snapshot_job *job)
{
    struct qr_guard *guard = job->guard;
    int rv;
    if (job->is_put) {
        rv = guard->below.snapshot_put(guard->io, job->trailing, &job->put, job->snapshot, on_put);
        guard->putting |= rv == 0;
    } else {
        rv = guard->below.snapshot_get(guard->io, &job->get, on_loaded);
        guard->n_getting += rv == 0;
    }
    return rv;
}

/* In the order in which they came, so that neither kind starves. */
static void run_waiting(struct qr_guard *guard)
{
    while (!guard->closing && !qr_list_empty(&guard->waiting)) {
        struct snapshot_job *job = QR_CONTAINER_OF(guard->waiting.next, struct snapshot_job, node);
        if (!may_run(guard, job))
            return;
        qr_list_remove(&job->node);
        int rv = run_job(job);
        if (rv != 0) {
            /* The library has been told that it runs.  Closing ends it. */
            qr_list_add_tail(guard->waiting.next, &job->node); /* First again. */
            stop(guard, "a snapshot could not be %s: %s", job->is_put ? "written" : "read",
                 raft_strerror(rv));
            return;
        }
    }
}

/* Takes the job: runs it, puts it in line, or frees it and returns an error. */
static int submit_job(struct qr_guard *guard, const struct snapshot_job *of)
{
    struct snapshot_job *job = malloc(sizeof *job);
    if (job == NULL)
        return RAFT_NOMEM;
    *job = *of;
    job->guard = guard;
    job->get.data = job;
    job->put.data = job;
    if (is_on(guard, QR_GUARD_G10) && (!qr_list_empty(&guard->waiting) || !may_run(guard, job))) {
        qr_list_add_tail(&guard->waiting, &job->node);
        guard->n_snapshots_waited++;
        return 0;
    }
    int rv = run_job(job);
    if (rv != 0)
        free(job);
    return rv;
}

/* G8: when a get fails the library frees what it never set.  It is given an empty snapshot instead,
 * newer than any, and may not send it: then it frees what it has. */
static void give_up_get(struct qr_guard *guard, const struct snapshot_job *job)
{
    struct raft_snapshot *empty = raft_calloc(1, sizeof *empty);
    struct raft_buffer *buf = raft_calloc(1, sizeof *buf);
    if (empty == NULL || buf == NULL) {
        raft_free(empty);
        raft_free(buf);
        return; /* It leaks. */
    }
    *empty = (struct raft_snapshot){.index = UINT64_MAX, .bufs = buf, .n_bufs = 1};
    guard->refusing = true;
    job->get_cb(job->get_above, empty, 0);
    guard->refusing = false;
}

static void on_loaded(struct raft_io_snapshot_get *req, struct raft_snapshot *snapshot, int status)
{
    struct snapshot_job job = *(struct snapshot_job *)req->data;
    struct qr_guard *guard = job.guard;
    free(req->data);
    guard->n_getting--;
    if (status != 0 && is_on(guard, QR_GUARD_G8)) {
        raft_free(snapshot);
        give_up_get(guard, &job);
        if (!guard->closing)
            stop(guard, "a snapshot could not be read for a peer: %s", raft_strerror(status));
        return;
    }
    if (status == 0) {
        guard->loaded_index = snapshot->index;
        guard->loaded_term = snapshot->term;
    }
    job.get_cb(job.get_above, snapshot, status); /* Sends it, from inside. */
    guard->loaded_index = 0;
    run_waiting(guard);
}

static int guard_snapshot_get(struct raft_io *io, struct raft_io_snapshot_get *req,
                              raft_io_snapshot_get_cb cb)
{
    struct qr_guard *guard = guard_of(io);
    if (guard->raft->trail.snapshot.index == 0 && is_on(guard, QR_GUARD_G8)) {
        stop(guard, "a peer needs a snapshot and this member has none");
        return RAFT_NOTFOUND;
    }
    req->cb = cb;
    return submit_job(guard, &(struct snapshot_job){.get_above = req, .get_cb = cb});
}

/* The package leaves the library's assertions out.  What it does without them when a put fails: one
 * of its own is forgotten, and tried again soon; a member that installs waits for the end for ever.
 * While closing a put that went well is not taken over either: canceled, what belongs to it is
 * freed. */
static void on_put(struct raft_io_snapshot_put *req, int status)
{
    static struct qr_log_limit limit;
    unsigned held;
    struct snapshot_job job = *(struct snapshot_job *)req->data;
    struct qr_guard *guard = job.guard;
    free(req->data);
    guard->putting = false;
    if (guard->closing) {
        status = RAFT_CANCELED;
    } else if (status != 0 && job.trailing == 0 && is_on(guard, QR_GUARD_G4)) {
        stop(guard, "a snapshot could not be installed: %s", raft_strerror(status));
        return;
    } else if (status != 0 && qr_log_allowed(&limit, 5, 10000, &held)) {
        qr_warn("snapshot not written reason=\"%s\" held_back=%u", raft_strerror(status), held);
    }
    job.put_cb(job.put_above, status); /* May well ask for the next one. */
    run_waiting(guard);
}

static int guard_snapshot_put(struct raft_io *io, unsigned trailing,
                              struct raft_io_snapshot_put *req,
                              const struct raft_snapshot *snapshot, raft_io_snapshot_put_cb cb)
{
    struct qr_guard *guard = guard_of(io);
    req->cb = cb;
    return submit_job(guard, &(struct snapshot_job){.is_put = true,
                                                    .put_above = req,
                                                    .put_cb = cb,
                                                    .trailing = trailing,
                                                    .snapshot = snapshot});
}

/* What waits never begins: as canceled. */
static void cancel_waiting(struct qr_guard *guard)
{
    while (!qr_list_empty(&guard->waiting)) {
        struct snapshot_job *at = QR_CONTAINER_OF(guard->waiting.next, struct snapshot_job, node);
        struct snapshot_job job = *at;
        qr_list_remove(&at->node);
        free(at);
        if (job.is_put)
            job.put_cb(job.put_above, RAFT_CANCELED);
        else
            give_up_get(guard, &job);
    }
}

/* ---- start, tick, close ---- */

static void guard_tick(struct raft_io *io)
{
    struct qr_guard *guard = guard_of(io);
    complete_dropped(guard);
    if (guard->holding && !guard->raft->legacy.snapshot_taking) {
        guard->holding = false;
        receive_snapshot(guard, &guard->held);
    }
    guard->tick(io);
}

static int guard_start(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                       raft_io_recv_cb recv)
{
    struct qr_guard *guard = guard_of(io);
    guard->tick = tick;
    guard->recv = recv;
    if (guard->next == 0) /* The log has been loaded. */
        guard->next = raft_last_index(guard->raft) + 1;
    return guard->below.start(io, msecs, guard_tick, guard_recv);
}

static void guard_close(struct raft_io *io, raft_io_close_cb cb)
{
    struct qr_guard *guard = guard_of(io);
    guard->closing = true;
    complete_dropped(guard);
    if (guard->holding)
        free_snapshot(&guard->held);
    guard->holding = false;
    cancel_waiting(guard);
    guard->below.close(io, cb);
}

static unsigned planted(void)
{
    return (QR_PLANT(guard_g1_off) ? QR_GUARD_G1 : 0u) |
           (QR_PLANT(guard_g2_off) ? QR_GUARD_G2 : 0u) |
           (QR_PLANT(guard_g3_off) ? QR_GUARD_G3 : 0u);
}

void qr_guard_install(struct qr_guard *guard, struct raft *raft,
                      void (*fail_stop)(void *data, const char *sentence), void *data)
{
    struct raft_io *io = raft->io;
    *guard = (struct qr_guard){.raft = raft,
                               .io = io,
                               .fail_stop = fail_stop,
                               .data = data,
                               .off = planted(),
                               .below = *io};
    guard->tracer = (struct raft_tracer){.impl = guard, .version = 2, .emit = guard_trace};
    qr_list_init(&guard->dropped);
    qr_list_init(&guard->waiting);
    raft->data = guard;
    io->start = guard_start;
    io->close = guard_close;
    io->send = guard_send;
    io->append = guard_append;
    io->truncate = guard_truncate;
    io->set_term = guard_set_term;
    io->set_vote = guard_set_vote;
    io->snapshot_get = guard_snapshot_get;
    io->snapshot_put = guard_snapshot_put;
}

void qr_guard_peer_down(struct qr_guard *guard, raft_id peer)
{
    for (size_t i = 0; i < QR_COUNT(guard->peers); i++) {
        if (guard->peers[i].id == peer)
            guard->peers[i].sent = false;
    }
}

void qr_guard_leader_lost(struct qr_guard *guard)
{
    struct raft *raft = guard->raft;
    if (guard->closing || raft->state != RAFT_FOLLOWER || !raft->pre_vote ||
        raft->follower_state.current_leader.id == 0)
        return;
    raft_time now = guard->io->time(guard->io);
    raft_time timeout = raft->follower_state.randomized_election_timeout;
    if (now > timeout && raft->election_timer_start > now - timeout)
        raft->election_timer_start = now - timeout;
}

raft_id qr_guard_leader(const struct qr_guard *guard)
{
    struct raft *raft = guard->raft;
    raft_id leader;
    const char *address;
    raft_leader(raft, &leader, &address);
    return raft->state == RAFT_FOLLOWER && guard->heard_term != raft->current_term ? 0 : leader;
}

int qr_guard_check_settings(uint64_t segment_bytes, unsigned capacity_threshold_kib)
{
    const uint64_t mib = 1024 * 1024;
    if (segment_bytes < 4 * mib || segment_bytes > 16 * mib)
        return QR_E_CONFIG;
    if (capacity_threshold_kib == 0 || capacity_threshold_kib > segment_bytes / 1024)
        return QR_E_CONFIG;
    return 0;
}
