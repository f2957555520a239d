#include "cluster/changer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "cluster/disk_id.h"

#define RETRY_MS 500u

/* ---- the plan ---- */

static struct qr_step step_of(enum qr_step_kind kind, raft_id id)
{
    return (struct qr_step){.kind = kind, .id = id};
}

static struct qr_step end_of(enum qr_change_result result)
{
    return (struct qr_step){.kind = QR_STEP_END, .result = result};
}

static bool is_up(const struct qr_change_view *view, raft_id id)
{
    const struct qr_peer *peer = qr_peers_find(view->peers, qr_raft_id_member(id));
    return id == view->self ||
           (peer != NULL && peer->up && peer->told && peer->state.disk == qr_raft_id_disk(id));
}

/* Without `but` (0: with all), and with `plus` more that are up: are those that are up a majority?
 */
static bool keeps_quorum(const struct qr_change_view *view, raft_id but, unsigned plus)
{
    unsigned n = plus, n_up = plus;
    for (unsigned i = 0; i < view->configuration->n; i++) {
        const struct raft_server *server = &view->configuration->servers[i];
        if (server->role != RAFT_VOTER || server->id == but)
            continue;
        n++;
        n_up += is_up(view, server->id);
    }
    return n > 0 && n_up > n / 2;
}

static unsigned count_voters(const struct raft_configuration *configuration)
{
    unsigned n = 0;
    for (unsigned i = 0; i < configuration->n; i++)
        n += configuration->servers[i].role == RAFT_VOTER;
    return n;
}

static const struct raft_server *find_server(const struct qr_change_view *view, raft_id id)
{
    for (unsigned i = 0; i < view->configuration->n; i++)
        if (view->configuration->servers[i].id == id)
            return &view->configuration->servers[i];
    return NULL;
}

/* Who came: a server of this member that is not the one that goes. */
static const struct raft_server *find_comer(const struct qr_change_view *view)
{
    const struct qr_change *change = &view->membership->change;
    for (unsigned i = 0; i < view->configuration->n; i++) {
        const struct raft_server *server = &view->configuration->servers[i];
        if (qr_raft_id_member(server->id) == change->with &&
            server->id != qr_raft_id(change->member, change->disk))
            return server;
    }
    return NULL;
}

static struct qr_step plan_leaving(const struct qr_change_view *view,
                                   const struct raft_server *goer)
{
    if (goer->role == RAFT_VOTER) {
        if (count_voters(view->configuration) == 1)
            return end_of(QR_CHANGE_LAST);
        if (!keeps_quorum(view, goer->id, 0))
            return end_of(QR_CHANGE_NO_QUORUM);
    }
    if (goer->id == view->self)
        return view->late ? end_of(QR_CHANGE_NO_SUCCESSOR) : step_of(QR_STEP_HAND_OVER, goer->id);
    return step_of(QR_STEP_REMOVE, goer->id);
}

/* The one that is to come, but is in no configuration yet. */
static struct qr_step plan_arrival(const struct qr_change_view *view,
                                   const struct raft_server *goer)
{
    const struct qr_change *change = &view->membership->change;
    const struct qr_peer *peer = qr_peers_find(view->peers, change->with);
    bool same = change->with == change->member;
    if (change->canceled)
        return end_of(QR_CHANGE_CANCELED);
    bool there = peer != NULL && peer->up && peer->told;
    if (there && same && peer->state.disk == change->disk)
        return end_of(QR_CHANGE_NOT_EMPTY);
    if (!there)
        return view->late ? end_of(QR_CHANGE_UNREACHED) : step_of(QR_STEP_REACH, 0);
    if (goer != NULL && same)
        return plan_leaving(view, goer);
    if (view->configuration->n >= QR_MEMBERS_MAX)
        return end_of(QR_CHANGE_TOO_MANY);
    return step_of(QR_STEP_ADD, qr_raft_id(change->with, peer->state.disk));
}

static bool has_caught_up(const struct qr_change_view *view, raft_id id)
{
    const struct qr_peer *peer = qr_peers_find(view->peers, qr_raft_id_member(id));
    return is_up(view, id) && peer != NULL && !peer->state.empty &&
           peer->state.applied + QR_CHANGE_LAG >= view->commit;
}

/* Its member is there on another disk: this one was lost before it was a voter. */
static bool is_lost(const struct qr_change_view *view, raft_id id)
{
    const struct qr_peer *peer = qr_peers_find(view->peers, qr_raft_id_member(id));
    return peer != NULL && peer->up && peer->told && peer->state.disk != qr_raft_id_disk(id);
}

static struct qr_step plan_promotion(const struct qr_change_view *view,
                                     const struct raft_server *comer)
{
    if (view->membership->change.canceled || is_lost(view, comer->id))
        return step_of(QR_STEP_REMOVE, comer->id);
    if (comer->role == RAFT_SPARE)
        return step_of(QR_STEP_LEARNER, comer->id);
    bool ready = has_caught_up(view, comer->id) && keeps_quorum(view, 0, 1);
    return step_of(ready ? QR_STEP_VOTER : QR_STEP_CATCH_UP, comer->id);
}

/* An END may come from a leader that was deposed on the way, while the next one went on: who came
 * in the meantime and is no voter goes again. */
static struct qr_step plan_leftover(const struct qr_change_view *view)
{
    for (unsigned i = 0; i < view->configuration->n; i++)
        if (view->configuration->servers[i].role != RAFT_VOTER)
            return step_of(QR_STEP_REMOVE, view->configuration->servers[i].id);
    return step_of(QR_STEP_NONE, 0);
}

struct qr_step qr_change_plan(const struct qr_change_view *view)
{
    const struct qr_change *change = &view->membership->change;
    if (change->kind == QR_CHANGE_NONE)
        return plan_leftover(view);
    const struct raft_server *goer =
        change->member != 0 ? find_server(view, qr_raft_id(change->member, change->disk)) : NULL;
    if (change->kind == QR_CHANGE_REMOVE && change->canceled && goer != NULL)
        return end_of(QR_CHANGE_CANCELED);
    if (change->with != 0) {
        const struct raft_server *comer = find_comer(view);
        if (comer == NULL)
            return plan_arrival(view, goer);
        if (comer->role != RAFT_VOTER)
            return plan_promotion(view, comer);
    }
    return goer != NULL ? plan_leaving(view, goer) : end_of(QR_CHANGE_DONE);
}

/* ---- doing it ---- */

static bool is_late(const struct qr_changer *changer, uint64_t now_ms)
{
    return changer->waits != QR_STEP_NONE && now_ms - changer->waits_ms >= QR_CHANGE_REACH_MS;
}

static struct qr_change_view view_of(const struct qr_changer *changer, bool late)
{
    struct raft *raft = changer->raft;
    return (struct qr_change_view){
        .configuration = &raft->configuration,
        .membership = changer->membership,
        .peers = changer->peers,
        .self = raft->id,
        .commit = raft_commit_index(raft),
        .late = late,
    };
}

static void propose(struct qr_changer *changer, struct qr_buf *body, uint64_t now_ms)
{
    changer->not_before_ms = now_ms + RETRY_MS;
    if (!body->failed)
        changer->proposing = changer->propose(changer->data, qr_buf_slice(body)) == 0;
    qr_buf_release(body);
}

void qr_changer_proposed(struct qr_changer *changer)
{
    changer->proposing = false;
    changer->not_before_ms = 0;
}

static int by_member(const void *a, const void *b)
{
    uint32_t x = ((const struct qr_recorded_member *)a)->member;
    uint32_t y = ((const struct qr_recorded_member *)b)->member;
    return x < y ? -1 : x > y;
}

static void record(struct qr_changer *changer, uint64_t now_ms)
{
    const struct raft *raft = changer->raft;
    struct qr_membership record = {.configuration = raft->configuration_committed_index};
    for (unsigned i = 0; i < raft->configuration.n && i < QR_MEMBERS_MAX; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        struct qr_recorded_member *member = &record.members[record.n++];
        member->member = qr_raft_id_member(server->id);
        member->disk = qr_raft_id_disk(server->id);
        member->role = (enum qr_member_role)server->role;
        snprintf(member->address, sizeof member->address, "%s", server->address);
    }
    qsort(record.members, record.n, sizeof record.members[0], by_member);
    struct qr_buf body = {0};
    qr_membership_record(&body, &record);
    propose(changer, &body, now_ms);
}

static void end(struct qr_changer *changer, enum qr_change_result result, uint64_t now_ms)
{
    struct qr_buf body = {0};
    qr_membership_end(&body, changer->membership->change.index, result);
    propose(changer, &body, now_ms);
}

static void on_changed(struct raft_change *req, int status)
{
    struct qr_changer *changer = req->data;
    changer->changing = false;
    if (changer->closed)
        return;
    if (status != 0)
        qr_warn("a change of members was not committed and is tried again reason=\"%s\"",
                raft_strerror(status));
}

/* Asks the library for one change.  What it answers when it has changed nothing is tried again. */
static int change(struct qr_changer *changer, const struct qr_step *step)
{
    struct raft *raft = changer->raft;
    struct raft_change *req = &changer->req;
    const struct qr_change *asked = &changer->membership->change;
    *req = (struct raft_change){.data = changer};
    switch (step->kind) {
    case QR_STEP_ADD:
        return raft_add(raft, req, step->id, asked->address, on_changed);
    case QR_STEP_LEARNER:
        return raft_assign(raft, req, step->id, RAFT_STANDBY, on_changed);
    case QR_STEP_VOTER:
        return raft_assign(raft, req, step->id, RAFT_VOTER, on_changed);
    default:
        return raft_remove(raft, req, step->id, on_changed);
    }
}

static void act(struct qr_changer *changer, const struct qr_step *step, uint64_t now_ms)
{
    static const char *const texts[] = {[QR_STEP_ADD] = "a member is added as a spare",
                                        [QR_STEP_LEARNER] = "a member begins to learn",
                                        [QR_STEP_VOTER] = "a member is made a voter",
                                        [QR_STEP_REMOVE] = "a member is removed"};
    int rv = change(changer, step);
    if (rv == 0) {
        changer->changing = true;
        qr_info("%s member=%u disk=%08x", texts[step->kind], qr_raft_id_member(step->id),
                qr_raft_id_disk(step->id));
        return;
    }
    /* The library may have kept the request of a change that it refused. */
    if (changer->raft->legacy.change == &changer->req)
        changer->raft->legacy.change = NULL;
    changer->not_before_ms = now_ms + RETRY_MS;
    if (rv == RAFT_DUPLICATEADDRESS) {
        end(changer, QR_CHANGE_ADDRESS, now_ms);
    } else if (rv != RAFT_CANTCHANGE && rv != RAFT_NOTLEADER && rv != RAFT_NOSPACE) {
        char sentence[128];
        snprintf(sentence, sizeof sentence, "the members could not be changed: %s",
                 raft_strerror(rv));
        changer->fatal(changer->data, sentence);
    }
}

/* Who comes, or who takes over, is waited for from when there was nothing else to do: copying may
 * have taken hours. */
static void look(struct qr_changer *changer, uint64_t now_ms)
{
    uint64_t index = changer->membership->change.index;
    const struct qr_change_view view = view_of(changer, false);
    enum qr_step_kind kind = qr_change_plan(&view).kind;
    if (index != changer->seen) {
        changer->waits = QR_STEP_NONE;
        changer->progress_ms = 0;
    }
    changer->seen = index;
    if (kind != QR_STEP_REACH && kind != QR_STEP_HAND_OVER)
        kind = QR_STEP_NONE;
    if (kind != changer->waits)
        changer->waits_ms = now_ms;
    changer->waits = kind;
}

/* A promotion whose entry the library could not append, at the end of its catching up, is neither
 * carried out nor given back: there is a request, and nothing that it waits for. */
static void take_back(struct qr_changer *changer)
{
    struct raft *raft = changer->raft;
    if (!changer->changing || raft->legacy.change != &changer->req ||
        changer->req.catch_up_id != 0 || raft->configuration_uncommitted_index != 0)
        return;
    raft->legacy.change = NULL;
    changer->changing = false;
}

static void follow(struct qr_changer *changer, uint64_t now_ms);

void qr_changer_turn(struct qr_changer *changer, uint64_t now_ms, bool leads)
{
    const struct raft *raft = changer->raft;
    look(changer, now_ms);
    follow(changer, now_ms);
    take_back(changer);
    if (!leads || changer->closed || changer->changing || changer->proposing ||
        now_ms < changer->not_before_ms || raft->configuration_uncommitted_index != 0)
        return;
    if (raft->configuration_committed_index > changer->membership->configuration) {
        record(changer, now_ms);
        return;
    }
    const struct qr_change_view view = view_of(changer, is_late(changer, now_ms));
    const struct qr_step step = qr_change_plan(&view);
    switch (step.kind) {
    case QR_STEP_NONE:
    case QR_STEP_REACH:
    case QR_STEP_CATCH_UP:
        return;
    case QR_STEP_HAND_OVER:
        changer->not_before_ms = now_ms + RETRY_MS;
        (void)changer->hand_over(changer->data);
        return;
    case QR_STEP_END:
        end(changer, step.result, now_ms);
        return;
    default:
        act(changer, &step, now_ms);
    }
}

/* ---- how far it is ---- */

static unsigned permille_of(const struct qr_changer *changer)
{
    const struct qr_peer *peer = qr_peers_find(changer->peers, changer->membership->change.with);
    uint64_t commit = raft_commit_index(changer->raft);
    if (peer == NULL || !peer->told || commit == 0)
        return 0;
    uint64_t log = peer->state.applied >= commit ? 1000 : peer->state.applied * 1000 / commit;
    return log < peer->state.permille ? (unsigned)log : peer->state.permille;
}

/* Notes where the copying began, for the rate. */
static void follow(struct qr_changer *changer, uint64_t now_ms)
{
    unsigned permille = changer->membership->change.with != 0 ? permille_of(changer) : 0;
    if (permille != 0 && (changer->progress_ms == 0 || permille < changer->progress_from)) {
        changer->progress_ms = now_ms;
        changer->progress_from = permille;
    }
}

void qr_changer_progress(const struct qr_changer *changer, uint64_t now_ms,
                         struct qr_change_progress *progress)
{
    const struct qr_change_view view = view_of(changer, is_late(changer, now_ms));
    *progress = (struct qr_change_progress){.step = qr_change_plan(&view), .eta_s = UINT64_MAX};
    if (changer->membership->change.with == 0)
        return;
    progress->permille = permille_of(changer);
    if (changer->progress_ms == 0 || progress->permille <= changer->progress_from)
        return;
    uint64_t took_ms = now_ms - changer->progress_ms;
    uint64_t done = progress->permille - changer->progress_from;
    progress->eta_s = took_ms * (1000 - progress->permille) / done / 1000;
}
