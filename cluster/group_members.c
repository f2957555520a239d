#include "cluster/group_members.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/group_private.h"

/* ---- whom this member talks to ---- */

static void add_other(const struct qr_group *group, struct qr_group_others *others, uint32_t id)
{
    if (id == 0 || id == group->config.member_id || others->n == QR_COUNT(others->ids))
        return;
    for (unsigned i = 0; i < others->n; i++)
        if (others->ids[i] == id)
            return;
    others->ids[others->n++] = id;
}

void qr_group_list_others(const struct qr_group *group, struct qr_group_others *others)
{
    const struct raft_configuration *configuration = &group->raft.configuration;
    others->n = 0;
    for (unsigned i = 0; i < configuration->n; i++)
        add_other(group, others, qr_raft_id_member(configuration->servers[i].id));
    for (unsigned i = 0; i < group->n_linked; i++)
        add_other(group, others, group->linked[i].id);
    for (size_t i = 0; i < QR_COUNT(group->peers.peers); i++)
        if (group->peers.peers[i].told)
            add_other(group, others, group->peers.peers[i].id);
}

/* ---- the link's members ---- */

static const struct raft_server *own_server(const struct qr_group *group)
{
    const struct raft *raft = &group->raft;
    for (unsigned i = 0; i < raft->configuration.n; i++)
        if (raft->configuration.servers[i].id == raft->id)
            return &raft->configuration.servers[i];
    return NULL;
}

static void want(const struct qr_group *group, struct qr_link_member *wanted, unsigned *n,
                 uint32_t id, const char *address)
{
    if (id == 0 || id == group->config.member_id || *n == QR_COUNT(group->linked))
        return;
    for (unsigned i = 0; i < *n; i++)
        if (wanted[i].id == id)
            return;
    wanted[*n].id = id;
    snprintf(wanted[(*n)++].address, sizeof wanted->address, "%s", address);
}

/* Whom the link shall know: the members, who is to come, and the seeds while no better is known. */
static unsigned list_wanted(const struct qr_group *group, struct qr_link_member *wanted)
{
    const struct raft_configuration *configuration = &group->raft.configuration;
    const struct qr_change *change = &group->machine.membership.change;
    unsigned n = 0;
    want(group, wanted, &n, change->with, change->address);
    for (unsigned i = 0; i < configuration->n; i++)
        want(group, wanted, &n, qr_raft_id_member(configuration->servers[i].id),
             configuration->servers[i].address);
    bool lost = group->leader == 0 || own_server(group) == NULL;
    for (unsigned i = 0; i < group->config.n_members && lost; i++)
        want(group, wanted, &n, group->config.members[i].id, group->config.members[i].address);
    return n;
}

static bool lists(const struct qr_link_member *members, unsigned n,
                  const struct qr_link_member *member, bool address_too)
{
    for (unsigned i = 0; i < n; i++)
        if (members[i].id == member->id)
            return !address_too || strcmp(members[i].address, member->address) == 0;
    return false;
}

static bool is_in(const uint32_t *ids, unsigned n, uint32_t id)
{
    for (unsigned i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

/* The disk of a member, as the configuration has it; NULL: it is none. */
static const struct raft_server *find_server(const struct qr_group *group, uint32_t member)
{
    const struct raft_configuration *configuration = &group->raft.configuration;
    for (unsigned i = 0; i < configuration->n; i++)
        if (qr_raft_id_member(configuration->servers[i].id) == member && member != 0)
            return &configuration->servers[i];
    return NULL;
}

/* Who was removed, unless it is to come again, or has come: a member that was away may know of the
 * removal and of nothing after it.  So it refuses nobody while it has no leader, and never the
 * leader; and the configuration may be newer than the state. */
static bool is_refused(const struct qr_group *group, uint32_t member)
{
    return group->leader != 0 && group->leader != member && member != group->config.member_id &&
           member != group->machine.membership.change.with && find_server(group, member) == NULL;
}

static void sync_banned(struct qr_group *group)
{
    const struct qr_membership *membership = &group->machine.membership;
    uint32_t banned[QR_REMOVED_MAX];
    unsigned n = 0;
    for (unsigned i = 0; i < membership->n_removed; i++)
        if (is_refused(group, membership->removed[i]))
            banned[n++] = membership->removed[i];
    for (unsigned i = 0; i < group->n_banned; i++)
        if (!is_in(banned, n, group->banned[i]))
            qr_link_ban(group->config.link, group->banned[i], false);
    for (unsigned i = 0; i < n; i++)
        if (!is_in(group->banned, group->n_banned, banned[i]))
            qr_link_ban(group->config.link, banned[i], true);
    memcpy(group->banned, banned, n * sizeof banned[0]);
    group->n_banned = n;
}

void qr_group_sync_members(struct qr_group *group)
{
    struct qr_link_member wanted[QR_COUNT(group->linked)] = {0};
    unsigned n = list_wanted(group, wanted);
    sync_banned(group);
    for (unsigned i = 0; i < group->n_linked; i++)
        if (!lists(wanted, n, &group->linked[i], false))
            qr_link_remove_member(group->config.link, group->linked[i].id);
    for (unsigned i = 0; i < n; i++) {
        if (lists(group->linked, group->n_linked, &wanted[i], true))
            continue;
        int err = qr_link_set_member(group->config.link, &wanted[i]);
        if (err != 0)
            qr_warn("member not known to the link member=%u reason=\"%s\"", wanted[i].id,
                    qr_strerror(err));
    }
    memcpy(group->linked, wanted, sizeof wanted);
    group->n_linked = n;
}

bool qr_group_is_voter(const struct qr_group *group)
{
    const struct raft_server *own = own_server(group);
    return own != NULL && own->role == RAFT_VOTER;
}

/* ---- finding one's place ---- */

/* Where the configuration in force stands in the log. */
static raft_index newest_change(const struct raft *raft)
{
    raft_index uncommitted = raft->configuration_uncommitted_index;
    return uncommitted != 0 ? uncommitted : raft->configuration_committed_index;
}

void qr_group_tell_place(struct qr_group *group, uint32_t member, uint32_t disk)
{
    if (group->raft.configuration.n == 0)
        return; /* We do not know either. */
    struct qr_placement placement;
    struct qr_buf bytes = {0};
    qr_place_of(&group->raft, &group->machine.membership, member, disk, &placement);
    if (placement.place == QR_PLACE_MEMBER && group->machine.applied < newest_change(&group->raft))
        return; /* What its earlier disk said stands before that, and is not all applied. */
    const struct qr_producer *record = qr_machine_producer(&group->machine, member);
    placement.incarnation = record != NULL ? record->incarnation : 0;
    if (qr_placement_encode(&bytes, &placement) == 0) {
        struct qr_slice part = qr_buf_slice(&bytes);
        (void)qr_link_send(group->config.link, member, group->config.group_id, QR_LINK_PLACE, &part,
                           1, NULL, NULL);
    }
    qr_buf_release(&bytes);
}

static const char *place_text(enum qr_place place)
{
    static const char *const texts[] = {
        [QR_PLACE_NONE] = "waits for the other members: a cluster is founded when all are there",
        [QR_PLACE_FOUNDER] = "founds the cluster with the others",
        [QR_PLACE_MEMBER] = "was taken in",
        [QR_PLACE_OTHER_DISK] =
            ("was a member and has lost its data, or its disk is not mounted; do: "
             "mount it and restart, or run `quoratectl members replace` for it"),
        [QR_PLACE_STRANGER] = "is no member; do: run `quoratectl members add` for it",
        [QR_PLACE_REMOVED] =
            "was removed from the cluster; do: stop it, or `quoratectl members add`",
    };
    return texts[place];
}

/* Nothing was proposed under the old number: the library is not started. */
static int raise_incarnation(struct qr_group *group, uint64_t known)
{
    uint64_t next = 0;
    int err = group->events.renumber != NULL
                  ? group->events.renumber(group->events.data, known, &next)
                  : QR_E_STALE;
    if (err != 0)
        return err;
    assert(next > known);
    qr_info(
        "the log knows a newer incarnation of this member, whose folder was empty: it is raised "
        "from=%llu known=%llu to=%llu",
        (unsigned long long)group->config.incarnation, (unsigned long long)known,
        (unsigned long long)next);
    group->config.incarnation = next;
    qr_proposer_renumber(&group->proposer, next);
    qr_link_set_incarnation(group->config.link, next);
    return 0;
}

int qr_group_on_place(void *data, uint32_t member, uint32_t group_id, struct qr_slice payload)
{
    struct qr_group *group = data;
    struct qr_placement placement;
    if (group_id != group->config.group_id || group->failed)
        return 0;
    int err = qr_placement_decode(&placement, payload);
    if (err != 0 || !group->waiting || placement.disk != group->disk.disk)
        return err;
    if (placement.place != group->place)
        qr_info("this member, whose folder is empty, %s told_by=%u", place_text(placement.place),
                member);
    group->place = placement.place;
    bool begins = placement.place == QR_PLACE_FOUNDER || placement.place == QR_PLACE_MEMBER;
    if (begins && placement.incarnation >= group->config.incarnation &&
        raise_incarnation(group, placement.incarnation) != 0)
        return 0; /* It is told again; the reason is in the log. */
    if (begins)
        group->founding = placement; /* Begun with the next turn: this may be inside the link. */
    return 0;
}

/* ---- changes ---- */

static int propose_and_drop(struct qr_group *group, struct qr_buf *body, qr_proposal_cb done,
                            void *data)
{
    int err = body->failed
                  ? UV_ENOMEM
                  : qr_group_propose(group, QR_COMMAND_MEMBERS, qr_buf_slice(body), done, data);
    qr_buf_release(body);
    return err;
}

int qr_group_ask_change(struct qr_group *group, enum qr_change_kind kind, uint32_t member,
                        uint32_t with, const char *address, qr_proposal_cb done, void *data)
{
    bool goes = kind == QR_CHANGE_REMOVE || kind == QR_CHANGE_REPLACE;
    bool comes = kind == QR_CHANGE_ADD || kind == QR_CHANGE_REPLACE;
    const struct raft_server *goer = goes ? find_server(group, member) : NULL;
    struct qr_change change = {.kind = kind, .member = member, .with = with};
    if ((member != 0) != goes || (with != 0) != comes)
        return QR_E_MALFORMED;
    if (goes && goer == NULL)
        return QR_E_UNKNOWN;
    if (comes && with != member && find_server(group, with) != NULL)
        return QR_E_EXISTS;
    if (goes)
        change.disk = qr_raft_id_disk(goer->id);
    const char *at = address != NULL && address[0] != '\0' ? address
                     : with == member && goer != NULL      ? goer->address
                                                           : "";
    if (comes && (at[0] == '\0' || strlen(at) >= sizeof change.address))
        return QR_E_MALFORMED;
    if (comes)
        snprintf(change.address, sizeof change.address, "%s", at);
    struct qr_buf body = {0};
    (void)qr_membership_ask(&body, &change);
    return propose_and_drop(group, &body, done, data);
}

int qr_group_cancel_change(struct qr_group *group, qr_proposal_cb done, void *data)
{
    const struct qr_change *change = &group->machine.membership.change;
    if (change->kind == QR_CHANGE_NONE)
        return QR_E_UNKNOWN;
    struct qr_buf body = {0};
    (void)qr_membership_cancel(&body, change->index);
    return propose_and_drop(group, &body, done, data);
}

void qr_group_set_copied(struct qr_group *group, unsigned permille)
{
    group->copied_permille = permille < 1000 ? permille : 1000;
}

void qr_group_set_taking(struct qr_group *group, bool taking, bool draining)
{
    group->taking = taking;
    group->draining = draining;
}

/* ---- status ---- */

static void fill_member(const struct qr_group *group, const struct raft_server *server,
                        struct qr_group_member_status *status)
{
    uint32_t id = qr_raft_id_member(server->id);
    status->kind = (enum qr_member_role)server->role;
    status->disk = qr_raft_id_disk(server->id);
    status->id = id;
    snprintf(status->address, sizeof status->address, "%s", server->address);
    status->voter = server->role == RAFT_VOTER;
    const struct qr_producer *record = qr_machine_producer(&group->machine, id);
    if (record != NULL) {
        snprintf(status->name, sizeof status->name, "%s", record->name);
        snprintf(status->version, sizeof status->version, "%s", record->version);
    }
    status->self = server->id == group->raft.id;
    if (status->self) {
        status->up = true;
        status->taking = group->taking;
        status->draining = group->draining;
        status->applied = qr_fsm_applied(&group->fsm);
        status->commit = raft_commit_index(&group->raft);
        status->hash = group->machine.hash;
        status->role = group->role;
        status->clock_ahead_s = qr_agreed_ahead_s(group->config.agreed);
        return;
    }
    uint64_t heard = qr_link_last_heard_ms(group->config.link, id);
    uint64_t now = qr_group_now_ms(group);
    status->up = qr_link_is_up(group->config.link, id);
    status->last_contact_ms = heard == 0 ? UINT64_MAX : now > heard ? now - heard : 0;
    for (size_t i = 0; i < QR_COUNT(group->peers.peers); i++) {
        const struct qr_peer *peer = &group->peers.peers[i];
        if (peer->id != id)
            continue;
        status->applied = peer->state.applied;
        status->commit = peer->state.commit;
        status->hash = peer->state.hash;
        status->taking = status->up && peer->state.taking;
        status->draining = peer->state.draining;
        if (peer->told && now - peer->told_ms <= QR_PEERS_CLOCK_MS)
            status->clock_ahead_s =
                qr_agreed_other_ahead_s(group->config.agreed, qr_peers_clock(peer, now));
        status->role = status->up && peer->told ? peer->state.role : QR_GROUP_UNAVAILABLE;
        return;
    }
    status->role = QR_GROUP_UNAVAILABLE;
}

static const char *step_text(const struct qr_step *step)
{
    static const char *const texts[] = {
        [QR_STEP_NONE] = "",
        [QR_STEP_REACH] = "waits for the new member to be there",
        [QR_STEP_ADD] = "adds the new member",
        [QR_STEP_LEARNER] = "lets the new member learn",
        [QR_STEP_CATCH_UP] = "the new member copies what it lacks",
        [QR_STEP_VOTER] = "makes the new member a voter",
        [QR_STEP_HAND_OVER] = "hands leadership over",
        [QR_STEP_REMOVE] = "removes the member that goes",
        [QR_STEP_END] = "ends",
    };
    return texts[step->kind];
}

static void fill_change(const struct qr_group *group, struct qr_group_status *status)
{
    const struct qr_membership *membership = &group->machine.membership;
    struct qr_change_progress progress;
    const struct raft_server *own = own_server(group);
    qr_changer_progress(&group->changer, qr_group_now_ms(group), &progress);
    status->waiting = group->waiting;
    status->place = group->waiting ? group->place : QR_PLACE_NONE;
    status->is_member = own != NULL;
    status->is_voter = qr_group_is_voter(group);
    status->disk = group->disk.disk;
    status->change = membership->change;
    status->change_status = (struct qr_group_change_status){
        .text = step_text(&progress.step), .permille = progress.permille, .eta_s = progress.eta_s};
    status->last_change = membership->last;
    status->last_result = membership->last_result;
}

void qr_group_get_status(const struct qr_group *group, struct qr_group_status *status)
{
    const struct raft *raft = &group->raft;
    uint64_t now = qr_group_now_ms(group);
    *status = (struct qr_group_status){
        .group_id = group->config.group_id,
        .member_id = group->config.member_id,
        .leader = group->leader,
        .role = group->role,
        .term = group->term,
        .applied = qr_fsm_applied(&group->fsm),
        .commit = raft_commit_index(raft),
        .hash = group->machine.hash,
        .leader_since_ms = group->leader_since_ms != 0 ? now - group->leader_since_ms + 1 : 0,
        .without_leader_ms = group->no_leader_since_ms != 0 ? now - group->no_leader_since_ms : 0,
        .ready = group->ready,
        .disk_low = group->disk_low,
        .diverged = group->diverged,
        .n_proposed = group->proposer.n_added,
        .n_applied = group->machine.n_applied,
        .n_dropped = group->machine.n_dropped,
        .n_refused = group->machine.n_refused,
        .n_resent = group->proposer.n_resent,
        .n_snapshots = group->fsm.n_snapshots,
        .n_installs = group->fsm.n_restores,
        .n_snapshots_outrun = group->fsm.n_outrun,
        .n_backlog = qr_backlog_waiting(&group->fsm.backlog),
        .backlog_bytes = group->fsm.backlog.bytes,
        .snapshot_us = group->job_us,
        .apply_pause_us_max = group->pause_us_max,
        .apply_slice_us_max = group->slice_us_max,
    };
    /* The library's reader takes no const, and changes nothing. */
    status->last_index = raft_last_index((struct raft *)(uintptr_t)raft);
    for (unsigned i = 0; i < raft->configuration.n && i < QR_MEMBERS_MAX; i++)
        fill_member(group, &raft->configuration.servers[i], &status->members[status->n_members++]);
    fill_change(group, status);
}
