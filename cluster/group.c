#include "cluster/group.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "base/rng.h"
#include "cluster/folder.h"
#include "cluster/group_members.h"
#include "cluster/group_private.h"
#include "cluster/mend.h"
#include "cluster/raft_error.h"
#include "cluster/term_note.h"

/* The settings that docs/decisions/0002 argues for. */
#define SEGMENT_BYTES          (8u * 1024 * 1024)
#define CAPACITY_THRESHOLD_KIB 4096u
#define DISK_RETRY_MS          1000u
#define INSTALL_TIMEOUT_MS     30000u
#define CATCH_UP_ROUNDS        100u
#define CATCH_UP_ROUND_MS      10000u /* What it lacked it has copied before. */
#define BEAT_MS                50u
#define STATE_EVERY_MS         250u
#define HOUSEKEEPING_EVERY_MS  1000u
#define RESEND_TIMEOUTS        10u /* A link that lives loses nothing. */
#define PROPOSE_RESULT_BYTES   24u

/* Most voters must be heard: one that hears nobody carries the time on. */
static unsigned clock_quorum(const struct qr_group *group)
{
    unsigned n_voters = 0;
    for (unsigned i = 0; i < group->raft.configuration.n; i++)
        n_voters += group->raft.configuration.servers[i].role == RAFT_VOTER;
    return n_voters / 2 + 1;
}

static void agree_on_time(struct qr_group *group)
{
    int64_t clocks_s[2 * QR_MEMBERS_MAX];
    unsigned n = qr_peers_clocks(&group->peers, qr_group_now_ms(group), clocks_s);
    if (!qr_agreed_update(group->config.agreed, clocks_s, n, clock_quorum(group)))
        return;
    int64_t ahead_s = qr_agreed_ahead_s(group->config.agreed);
    if (ahead_s == 0)
        qr_info("this member's clock is right again");
    else
        qr_warn("this member's clock differs from what most members say; its data go by theirs "
                "ahead_s=%lld",
                (long long)ahead_s);
}

static void fatal(void *data, const char *sentence)
{
    struct qr_group *group = data;
    if (group->failed)
        return;
    group->failed = true;
    group->proposer.ready = false;
    if (group->events.fatal == NULL) {
        qr_error("group cannot go on group=%u reason=\"%s\"", group->config.group_id, sentence);
        abort();
    }
    group->events.fatal(group->events.data, sentence);
}

/* ---- what the machine says ---- */

static void check_peers(struct qr_group *group)
{
    struct qr_peer *peer;
    while ((peer = qr_peers_check(&group->peers, &group->machine)) != NULL) {
        group->diverged = true;
        qr_error("state differs from member=%u index=%llu", peer->id,
                 (unsigned long long)group->machine.applied);
        if (group->events.diverged != NULL)
            group->events.diverged(group->events.data, peer->id, group->machine.applied);
    }
}

static bool is_own(const struct qr_group *group, const struct qr_command *command)
{
    return command->member == group->config.member_id &&
           command->incarnation == group->config.incarnation;
}

static void on_entry(void *data, const struct qr_command *command, uint64_t index, int result)
{
    struct qr_group *group = data;
    check_peers(group);
    if (group->events.applied != NULL)
        group->events.applied(group->events.data, command, index, result);
    if (!is_own(group, command) || result == QR_E_STALE)
        return;
    if (result == QR_E_GAP) {
        qr_proposer_gap(&group->proposer, qr_group_now_ms(group));
        return;
    }
    qr_latency_add(&group->latency,
                   qr_clock_real_us(&group->config.agreed->clock) - command->time_us);
    qr_proposer_applied(&group->proposer, command->sequence, result, index);
}

static void on_owned(void *data, const struct qr_owner *owner, uint64_t nonce)
{
    struct qr_group *group = data;
    if (group->events.owned != NULL)
        group->events.owned(group->events.data, owner, nonce);
}

static void on_restored(void *data, uint64_t index)
{
    struct qr_group *group = data;
    qr_info("state restored from a snapshot group=%u index=%llu", group->config.group_id,
            (unsigned long long)index);
    if (group->events.restored != NULL)
        group->events.restored(group->events.data, index);
    check_peers(group);
    qr_proposer_restored(&group->proposer,
                         qr_machine_producer(&group->machine, group->config.member_id), index);
}

/* ---- into the log ---- */

struct apply {
    struct raft_apply req;
};

/* The machine has told who waits; what was lost is sent again after the leader change. */
static void on_applied(struct raft_apply *req, int status, void *result)
{
    (void)status;
    (void)result;
    free(req->data);
}

/* Appends an entry on the leader.  0, or it is not in the log and will not be. */
static int append(struct qr_group *group, struct qr_slice entry)
{
    if (!group->leads || group->transferring || group->disk_low)
        return QR_E_BUSY;
    assert(entry.len % 8 == 0);
    struct apply *apply = calloc(1, sizeof *apply);
    struct raft_buffer buf = {.base = raft_malloc(entry.len), .len = entry.len};
    if (apply == NULL || buf.base == NULL) {
        free(apply);
        raft_free(buf.base);
        return UV_ENOMEM;
    }
    memcpy(buf.base, entry.base, entry.len);
    apply->req.data = apply;
    int rv = raft_apply(&group->raft, &apply->req, &buf, 1, on_applied);
    if (rv == 0)
        return 0;
    free(apply);
    if (rv != RAFT_NOTLEADER && rv != RAFT_NOSPACE) {
        /* The buffer may be the library's by now, and the entry in the log. */
        char sentence[128];
        snprintf(sentence, sizeof sentence, "an entry could not be appended: %s",
                 raft_strerror(rv));
        fatal(group, sentence);
        return qr_error_of_raft(rv);
    }
    raft_free(buf.base);
    return qr_error_of_raft(rv);
}

static int submit(void *data, uint64_t sequence, struct qr_slice entry)
{
    struct qr_group *group = data;
    (void)sequence;
    if (group->role == QR_GROUP_LEADER) {
        int err = append(group, entry);
        return err == 0 ? QR_PROPOSER_TAKEN : err;
    }
    if (group->leader == 0)
        return QR_E_NO_QUORUM;
    return qr_link_send(group->config.link, group->leader, group->config.group_id, QR_LINK_PROPOSE,
                        &entry, 1, NULL, NULL);
}

static struct intake *intake_of(struct qr_group *group, uint32_t member)
{
    for (size_t i = 0; i < QR_COUNT(group->intakes); i++) {
        struct intake *intake = &group->intakes[i];
        if (intake->member == member || intake->member == 0) {
            intake->member = member;
            return intake;
        }
    }
    return NULL;
}

/* Takes a member's entry into the log, if it is leader and none before it was refused. */
static int take(struct qr_group *group, const struct qr_command *command, struct qr_slice entry)
{
    struct intake *intake = intake_of(group, command->member);
    if (intake == NULL)
        return QR_E_LIMIT;
    if (group->role != QR_GROUP_LEADER)
        return QR_E_NOT_LEADER;
    if (intake->incarnation != command->incarnation) {
        intake->incarnation = command->incarnation;
        intake->refused_from = 0;
    }
    if (intake->refused_from != 0 && command->sequence > intake->refused_from)
        return QR_E_GAP;
    int err = append(group, entry);
    intake->refused_from = err == 0 ? 0 : command->sequence;
    return err;
}

static int on_propose(void *data, uint32_t member, uint32_t group_id, struct qr_slice payload)
{
    struct qr_group *group = data;
    if (group_id != group->config.group_id || group->closing || group->failed)
        return 0;
    struct qr_command command;
    int err = qr_command_decode(&command, payload);
    if (err == 0 && command.member != member)
        err = QR_E_DENIED;
    if (err != 0)
        return err;
    int status = take(group, &command, payload);
    char bytes[PROPOSE_RESULT_BYTES];
    qr_le_put(bytes, command.incarnation, 8);
    qr_le_put(bytes + 8, command.sequence, 8);
    qr_le_put(bytes + 16, (uint32_t)status, 8);
    struct qr_slice part = qr_slice_of(bytes, sizeof bytes);
    /* If this is lost, the proposer's timeout finds out. */
    (void)qr_link_send(group->config.link, member, group_id, QR_LINK_PROPOSE_RESULT, &part, 1, NULL,
                       NULL);
    return 0;
}

static int on_propose_result(void *data, uint32_t member, uint32_t group_id,
                             struct qr_slice payload)
{
    struct qr_group *group = data;
    struct qr_cursor in = qr_cursor_of(payload);
    uint64_t incarnation = qr_cursor_u64(&in);
    uint64_t sequence = qr_cursor_u64(&in);
    int32_t status = (int32_t)qr_cursor_u32(&in);
    qr_cursor_u32(&in);
    if (!qr_cursor_done(&in))
        return QR_E_MALFORMED;
    if (group_id != group->config.group_id || member != group->leader ||
        incarnation != group->config.incarnation)
        return 0;
    if (status == 0)
        qr_proposer_taken(&group->proposer, sequence);
    else
        qr_proposer_refused(&group->proposer, sequence, qr_group_now_ms(group));
    return 0;
}

/* ---- state hashes ---- */

static void tell_peers(struct qr_group *group)
{
    const struct qr_peer_state state = {
        .applied = qr_fsm_applied(&group->fsm),
        .index = group->machine.applied,
        .hash = group->machine.hash,
        .term = group->term,
        .commit = raft_commit_index(&group->raft),
        .role = group->role,
        .ready = group->leads && !group->disk_low && !group->transferring && !group->closing,
        .disk_low = group->disk_low,
        .empty = group->waiting,
        .taking = group->taking,
        .draining = group->draining,
        .permille = (uint16_t)group->copied_permille,
        .disk = group->disk.disk,
        .seeds = group->seeds_digest,
        .clock_s = qr_clock_real_s(group->config.clock),
    };
    struct qr_buf bytes = {0};
    group->state_sent_ms = qr_group_now_ms(group);
    if (qr_peer_state_encode(&bytes, &state) == 0) {
        struct qr_slice part = qr_buf_slice(&bytes);
        struct qr_group_others others;
        qr_group_list_others(group, &others);
        for (unsigned i = 0; i < others.n; i++)
            (void)qr_link_send(group->config.link, others.ids[i], group->config.group_id,
                               QR_LINK_STATE_HASH, &part, 1, NULL, NULL);
    }
    qr_buf_release(&bytes);
}

static int on_state_hash(void *data, uint32_t member, uint32_t group_id, struct qr_slice payload)
{
    struct qr_group *group = data;
    struct qr_peer_state state;
    if (group_id != group->config.group_id || group->failed)
        return 0;
    int err = qr_peer_state_decode(&state, payload);
    struct qr_peer *peer = qr_peers_get(&group->peers, member);
    if (err != 0 || peer == NULL)
        return err;
    if (state.empty && !group->waiting)
        qr_group_tell_place(group, member, state.disk);
    peer->state = state;
    qr_peers_hear_clock(peer, qr_group_now_ms(group));
    if (!qr_peers_told(peer, &state, &group->machine)) {
        group->diverged = true;
        qr_error("state differs from member=%u index=%llu", member,
                 (unsigned long long)state.index);
        if (group->events.diverged != NULL)
            group->events.diverged(group->events.data, member, state.index);
    }
    return 0;
}

static int on_raft(void *data, uint32_t member, uint32_t group_id, struct qr_slice payload)
{
    struct qr_group *group = data;
    if (group_id != group->config.group_id || group->failed)
        return 0;
    return qr_transport_receive(&group->transport, member, payload);
}

/* ---- leadership ---- */

static enum qr_group_role role_of(const struct raft *raft)
{
    switch (raft->state) {
    case RAFT_FOLLOWER:
        return QR_GROUP_FOLLOWER;
    case RAFT_CANDIDATE:
        return QR_GROUP_CANDIDATE;
    case RAFT_LEADER:
        return QR_GROUP_LEADER;
    default:
        return QR_GROUP_UNAVAILABLE;
    }
}

/* After each step of the library: a leader that was deposed must know at once.  No request may be
 * made from here. */
static void on_step(struct raft *raft)
{
    struct qr_guard *guard = raft->data;
    struct qr_group *group = QR_CONTAINER_OF(guard, struct qr_group, guard);
    raft_id leader = qr_guard_leader(guard);
    enum qr_group_role role = role_of(raft);
    uint64_t term = raft_current_term(raft);
    if (role == group->role && term == group->term && qr_raft_id_member(leader) == group->leader)
        return;
    if (role != group->role || term != group->term) {
        /* Not when a leader is without a name for a while, as while it hands over: what it was is
         * its own again if nobody takes over, and the barrier of its term has passed. */
        group->leads = false;
        group->led_from = 0;
    }
    group->role = role;
    group->term = term;
    group->leader = qr_raft_id_member(leader);
    group->role_changed = true;
}

static void on_barrier(struct raft_barrier *req, int status)
{
    struct qr_group *group = req->data;
    group->barrier_pending = false;
    if (status == 0 && group->role == QR_GROUP_LEADER && group->barrier_term == group->term)
        group->led_from = req->index;
    else
        group->barrier_term = 0;
}

/* The barrier has committed, and what was before it is applied by us, too. */
static void begin_to_lead(struct qr_group *group)
{
    if (group->led_from == 0 || qr_fsm_applied(&group->fsm) < group->led_from)
        return;
    group->led_from = 0;
    group->leads = true;
    memset(group->intakes, 0, sizeof group->intakes);
    tell_peers(group);
}

/* A leader takes entries once an entry of its own term has committed. */
static void issue_barrier(struct qr_group *group)
{
    if (group->role != QR_GROUP_LEADER || group->leads || group->barrier_pending ||
        group->barrier_term == group->term)
        return;
    group->barrier.data = group;
    int rv = raft_barrier(&group->raft, &group->barrier, on_barrier);
    if (rv != 0)
        return; /* No capacity yet, or deposed: tried again with the next turn. */
    group->barrier_pending = true;
    group->barrier_term = group->term;
}

/* The members that hold what is committed hear so at once: they may be waiting to see an entry of
 * theirs applied. */
static void announce_commit(struct qr_group *group)
{
    struct raft *raft = &group->raft;
    raft_index commit = raft_commit_index(raft), match;
    if (!group->leads)
        return;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        raft_id id = raft->configuration.servers[i].id;
        if (id != raft->id && raft_match_index(raft, id, &match) == 0 && match >= commit)
            qr_transport_announce(&group->transport, id, group->term, commit);
    }
}

static void note_leader(struct qr_group *group)
{
    uint64_t now = qr_group_now_ms(group);
    if (group->leader != 0 && group->leader_since_ms == 0) {
        group->leader_since_ms = now;
        group->no_leader_since_ms = 0;
    } else if (group->leader == 0 && group->no_leader_since_ms == 0) {
        group->no_leader_since_ms = now;
        group->leader_since_ms = 0;
    }
}

static void tell_leadership(struct qr_group *group)
{
    if (!group->role_changed)
        return;
    group->role_changed = false;
    note_leader(group);
    qr_info("leadership group=%u member=%u role=%s leader=%u term=%llu", group->config.group_id,
            group->config.member_id, raft_state_name(group->raft.state), group->leader,
            (unsigned long long)group->term);
    if (group->role == QR_GROUP_UNAVAILABLE) {
        fatal(group, "the consensus library gave up");
        return;
    }
    if (group->events.leadership != NULL)
        group->events.leadership(group->events.data, group->role, group->leader, group->term);
}

/* Can entries go to the leader now, and is it the same one on the same connection as before? */
static void update_route(struct qr_group *group)
{
    bool ready = !group->disk_low && !group->closing && !group->failed;
    uint64_t ups = 0;
    if (group->role == QR_GROUP_LEADER) {
        ready = ready && group->leads && !group->transferring;
    } else {
        struct qr_peer *peer =
            group->leader != 0 ? qr_peers_get(&group->peers, group->leader) : NULL;
        ready = ready && peer != NULL && peer->up && peer->told && peer->state.ready &&
                peer->state.term == group->term;
        ups = peer != NULL ? peer->n_ups : 0;
    }
    bool again = false;
    if (ready) {
        again = group->leader != group->route_leader || group->term != group->route_term ||
                ups != group->route_ups;
        group->route_leader = group->leader;
        group->route_term = group->term;
        group->route_ups = ups;
    }
    group->ready = ready;
    qr_proposer_set_ready(&group->proposer, ready, again);
}

/* ---- the link's members ---- */

/* How many voters begin an election before this member does, so that no two begin at once. */
static unsigned rank_of(const struct qr_group *group)
{
    const struct raft *raft = &group->raft;
    unsigned rank = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        const struct raft_server *server = &raft->configuration.servers[i];
        rank += server->role == RAFT_VOTER && server->id < raft->id &&
                qr_raft_id_member(server->id) != group->leader;
    }
    return rank;
}

/* A process that dies leaves a closed connection: the election need not wait for the silence, only
 * for the link to dial again.  The first to begin is refused by those that still believe in the
 * leader; the one with which a majority has begun wins. */
static void watch_leader(struct qr_group *group)
{
    bool gone = group->role == QR_GROUP_FOLLOWER && qr_group_is_voter(group) &&
                group->leader != 0 && group->leader != group->config.member_id &&
                !qr_link_is_up(group->config.link, group->leader);
    uint64_t now = qr_group_now_ms(group);
    if (!gone) {
        group->leader_gone_ms = 0;
    } else if (group->leader_gone_ms == 0) {
        group->leader_gone_ms = now + group->config.election_timeout_ms / 4 +
                                2 * rank_of(group) * group->config.heartbeat_ms;
    } else if (now >= group->leader_gone_ms) {
        qr_guard_leader_lost(&group->guard);
    }
}

/* What was sent to its disk may be lost. */
static void peer_down(struct qr_group *group, uint32_t member)
{
    const struct raft *raft = &group->raft;
    for (unsigned i = 0; i < raft->configuration.n; i++)
        if (qr_raft_id_member(raft->configuration.servers[i].id) == member)
            qr_guard_peer_down(&group->guard, raft->configuration.servers[i].id);
}

static void on_peer(void *data, uint32_t member, bool up)
{
    struct qr_group *group = data;
    struct qr_peer *peer = qr_peers_get(&group->peers, member);
    if (peer == NULL || !up)
        return;
    /* Also when it was down for less than a turn of the loop. */
    peer->up = false;
    peer_down(group, member);
}

static void watch_links(struct qr_group *group)
{
    struct qr_group_others others;
    qr_group_list_others(group, &others);
    for (unsigned i = 0; i < others.n; i++) {
        uint32_t id = others.ids[i];
        struct qr_peer *peer = qr_peers_get(&group->peers, id);
        if (peer == NULL)
            continue;
        bool up = qr_link_is_up(group->config.link, id);
        if (up == peer->up)
            continue;
        peer->up = up;
        peer->told = false;
        peer->n_ups += up;
        if (up)
            tell_peers(group);
        else
            peer_down(group, id);
    }
}

/* ---- disk space, and handing over ---- */

static void on_transferred(struct raft_transfer *req)
{
    struct qr_group *group = req->data;
    group->transferring = false;
}

/* The voter that is best to lead: connected, with room, and farthest. */
static raft_id successor(struct qr_group *group)
{
    const struct raft *raft = &group->raft;
    raft_id best = 0;
    uint64_t best_applied = 0;
    for (unsigned i = 0; i < raft->configuration.n; i++) {
        raft_id id = raft->configuration.servers[i].id;
        const struct qr_peer *peer = qr_peers_find(&group->peers, qr_raft_id_member(id));
        if (id == raft->id || raft->configuration.servers[i].role != RAFT_VOTER || peer == NULL ||
            !peer->up || !peer->told || peer->state.disk_low ||
            peer->state.disk != qr_raft_id_disk(id))
            continue;
        if (best == 0 || peer->state.applied > best_applied) {
            best = id;
            best_applied = peer->state.applied;
        }
    }
    return best;
}

/* Starts handing leadership over; false when there is nobody, or it is not ours. */
static bool hand_over(struct qr_group *group)
{
    if (group->role != QR_GROUP_LEADER || group->transferring || group->failed)
        return false;
    watch_links(group);
    raft_id to = successor(group);
    if (to == 0)
        return false;
    group->transfer.data = group;
    int rv = raft_transfer(&group->raft, &group->transfer, to, on_transferred);
    group->transferring = rv == 0;
    group->transfer_ends_ms = qr_group_now_ms(group) + 2 * group->config.election_timeout_ms;
    if (rv == 0)
        qr_info("handing leadership over group=%u to=%u", group->config.group_id,
                qr_raft_id_member(to));
    return rv == 0;
}

static void check_disk(struct qr_group *group)
{
    struct statvfs fs;
    if (statvfs(group->dir, &fs) != 0)
        return;
    uint64_t reserve = group->config.disk_reserve_bytes;
    uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    bool low = free_bytes < (group->disk_low ? reserve + reserve / 4 : reserve);
    if (low != group->disk_low) {
        group->disk_low = low;
        if (low)
            qr_error("disk space is low, no more entries group=%u free=%llu reserve=%llu",
                     group->config.group_id, (unsigned long long)free_bytes,
                     (unsigned long long)reserve);
        else
            qr_info("disk space is back group=%u free=%llu", group->config.group_id,
                    (unsigned long long)free_bytes);
        tell_peers(group);
    }
    if (low)
        hand_over(group);
}

/* ---- the marker ---- */

/* What is committed and on this disk: never taken back. */
static uint64_t held_index(struct qr_group *group)
{
    raft_index commit = raft_commit_index(&group->raft);
    raft_index stored = group->raft.last_stored;
    return commit < stored ? commit : stored;
}

static void maybe_free(struct qr_group *group);

static void on_marker_written(void *data)
{
    maybe_free(data);
}

/* ---- the FSM's jobs ---- */

static void work_job(uv_work_t *work)
{
    struct qr_group *group = work->data;
    qr_fsm_work(&group->fsm);
}

static void on_job_worked(uv_work_t *work, int status)
{
    struct qr_group *group = work->data;
    assert(status == 0);
    bool encodes = group->fsm.job == QR_FSM_ENCODES;
    uint64_t took_us = (uv_hrtime() - group->job_started_ns) / 1000;
    if (encodes)
        group->job_us = took_us;
    if (encodes && took_us > group->pause_us_max)
        group->pause_us_max = took_us;
    qr_fsm_done(&group->fsm);
    maybe_free(group);
}

static int submit_job(void *data)
{
    struct qr_group *group = data;
    group->job_work.data = group;
    group->job_started_ns = uv_hrtime();
    return uv_queue_work(group->config.loop, &group->job_work, work_job, on_job_worked);
}

/* ---- turns of the loop ---- */

static void close_raft(struct qr_group *group);
static int start_library(struct qr_group *group, const struct qr_placement *founding);

/* A member that waits for its place begins when it has one.  True: it has begun. */
static bool begin(struct qr_group *group)
{
    if (group->founding.place == QR_PLACE_NONE && !group->closing &&
        qr_may_found(group->config.members, group->config.n_members, group->config.member_id,
                     group->disk.disk, &group->peers, &group->founding))
        qr_info("all seeds are here and empty: founding the cluster members=%u", group->founding.n);
    if (group->founding.place == QR_PLACE_NONE || group->closing)
        return false;
    group->waiting = false;
    if (start_library(group, &group->founding) != 0) {
        fatal(group, "the log could not be begun");
        return false;
    }
    qr_fsm_started(&group->fsm);
    tell_peers(group);
    for (unsigned i = 0; i < group->founding.n; i++)
        qr_group_tell_place(group, group->founding.seats[i].member, group->founding.seats[i].disk);
    return true;
}

static void turn(struct qr_group *group)
{
    if (group->raft_closing || group->failed)
        return;
    watch_links(group);
    if (group->waiting && !begin(group)) {
        if (group->closing)
            close_raft(group);
        return;
    }
    tell_leadership(group);
    watch_leader(group);
    if (group->transferring && qr_group_now_ms(group) >= group->transfer_ends_ms)
        group->transferring = false;
    issue_barrier(group);
    begin_to_lead(group);
    update_route(group);
    if (group->closing) {
        if (!group->transferring)
            close_raft(group);
        return;
    }
    qr_proposer_pump(&group->proposer, qr_group_now_ms(group));
    announce_commit(group);
    qr_changer_turn(&group->changer, qr_group_now_ms(group),
                    group->leads && !group->transferring && !group->disk_low);
}

/* Applies what waits, for a slice of this turn. */
static void apply_slice(struct qr_group *group)
{
    if (!qr_fsm_may_step(&group->fsm) || group->raft_closing || group->failed)
        return;
    uint64_t started = uv_hrtime(), passed = 0;
    while (qr_fsm_step(&group->fsm) && passed < QR_APPLY_SLICE_US)
        passed = (uv_hrtime() - started) / 1000;
    passed = (uv_hrtime() - started) / 1000;
    if (passed > group->slice_us_max)
        group->slice_us_max = passed;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* The slice is applied after the poll. */
}

/* After the poll: what it committed is applied in this turn, if that is not too much. */
static void on_check(uv_check_t *check)
{
    struct qr_group *group = check->data;
    apply_slice(group);
    if (group->raft_closing)
        return;
    if (qr_fsm_may_step(&group->fsm))
        uv_idle_start(&group->idle, on_idle);
    else
        uv_idle_stop(&group->idle);
}

/* Before the poll: what a timer, or the turn itself, committed. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct qr_group *group = prepare->data;
    if (!uv_is_active((uv_handle_t *)&group->idle))
        apply_slice(group);
    turn(group);
    if (!group->raft_closing && qr_fsm_may_step(&group->fsm))
        uv_idle_start(&group->idle, on_idle);
}

static void on_beat(uv_timer_t *timer)
{
    struct qr_group *group = timer->data;
    if (group->raft_closing || group->failed)
        return;
    uint64_t now = qr_group_now_ms(group);
    qr_group_sync_members(group);
    agree_on_time(group);
    if (now - group->state_sent_ms >= STATE_EVERY_MS)
        tell_peers(group);
    if (now - group->housekept_ms >= HOUSEKEEPING_EVERY_MS && !group->closing) {
        group->housekept_ms = now;
        check_disk(group);
        qr_marker_update(&group->marker, held_index(group));
    }
    turn(group);
}

/* ---- opening ---- */

static const char *own_address(const struct qr_group_config *config)
{
    for (unsigned i = 0; i < config->n_members; i++) {
        if (config->members[i].id == config->member_id)
            return config->members[i].address;
    }
    return "";
}

static void configure(struct qr_group *group)
{
    struct raft *raft = &group->raft;
    const struct qr_group_config *config = &group->config;
    struct raft_io *io = &group->transport.io;
    raft->tracer = NULL;
    raft->legacy.step_cb = on_step;
    raft_uv_set_tracer(io, qr_guard_tracer(&group->guard));
    raft_uv_set_segment_size(io, SEGMENT_BYTES);
    raft_uv_set_disk_retry(io, DISK_RETRY_MS);
    raft_uv_set_auto_recovery(io, false);
    raft_set_election_timeout(raft, config->election_timeout_ms);
    raft_set_heartbeat_timeout(raft, config->heartbeat_ms);
    raft_set_install_snapshot_timeout(raft, INSTALL_TIMEOUT_MS);
    raft_set_pre_vote(raft, true);
    raft_set_capacity_threshold(raft, CAPACITY_THRESHOLD_KIB);
    raft_set_max_catch_up_rounds(raft, CATCH_UP_ROUNDS);
    raft_set_max_catch_up_round_duration(raft, CATCH_UP_ROUND_MS);
    raft_set_snapshot_threshold(raft, config->snapshot_threshold);
    raft_set_snapshot_trailing(raft, config->snapshot_trailing);
    raft_seed(raft, (unsigned)qr_rng_entropy());
}

/* Gives an empty folder the first configuration. */
static int bootstrap(struct qr_group *group, const struct qr_placement *founding)
{
    struct raft_configuration configuration;
    int rv = 0;
    raft_configuration_init(&configuration);
    for (unsigned i = 0; i < founding->n && rv == 0; i++) {
        const struct qr_seat *seat = &founding->seats[i];
        rv = raft_configuration_add(&configuration, qr_raft_id(seat->member, seat->disk),
                                    seat->address, RAFT_VOTER);
    }
    if (rv == 0)
        rv = raft_bootstrap(&group->raft, &configuration);
    raft_configuration_close(&configuration);
    return qr_error_of_raft(rv);
}

/* The log must hold what this member is known to have held. */
static int check_marker(struct qr_group *group, uint64_t marked)
{
    uint64_t last = raft_last_index(&group->raft);
    if (last >= marked)
        return 0;
    qr_error("the log ends at index %llu, but this member held %llu: it was damaged or put back "
             "from a copy; " QR_FOLDER_REMEDY " dir=%s",
             (unsigned long long)last, (unsigned long long)marked, group->dir);
    return QR_E_CORRUPT;
}

static int start_library(struct qr_group *group, const struct qr_placement *founding)
{
    int err =
        founding != NULL && founding->place == QR_PLACE_FOUNDER ? bootstrap(group, founding) : 0;
    if (err != 0)
        return err;
    int rv = raft_start(&group->raft);
    if (rv == 0)
        return 0;
    qr_error("the log cannot be opened; if it is damaged, " QR_FOLDER_REMEDY
             " dir=%s reason=\"%s\"",
             group->dir, raft_errmsg(&group->raft));
    return qr_error_of_raft(rv);
}

/* With a log, or as the only seed: starts.  With an empty folder: waits. */
static int start(struct qr_group *group)
{
    uint64_t marked = 0;
    int err = qr_marker_read(group->dir, &marked);
    if (err == QR_E_CORRUPT)
        qr_warn("the marker beside the log is damaged and not used dir=%s", group->dir);
    else if (err != 0)
        return err;
    const struct qr_group_config *config = &group->config;
    if (group->disk.empty && !qr_may_found(config->members, config->n_members, config->member_id,
                                           group->disk.disk, &group->peers, &group->founding)) {
        group->waiting = true;
        return check_marker(group, marked);
    }
    err = start_library(group, &group->founding);
    return err == 0 ? check_marker(group, marked) : err;
}

static void listen_to_link(struct qr_group *group, bool on)
{
    struct qr_link *link = group->config.link;
    qr_link_on(link, QR_LINK_RAFT, on ? on_raft : NULL, group);
    qr_link_on(link, QR_LINK_PROPOSE, on ? on_propose : NULL, group);
    qr_link_on(link, QR_LINK_PROPOSE_RESULT, on ? on_propose_result : NULL, group);
    qr_link_on(link, QR_LINK_STATE_HASH, on ? on_state_hash : NULL, group);
    qr_link_on(link, QR_LINK_PLACE, on ? qr_group_on_place : NULL, group);
    qr_link_on_peer(link, on ? on_peer : NULL, group);
}

static void start_handles(struct qr_group *group)
{
    uv_prepare_init(group->config.loop, &group->prepare);
    uv_check_init(group->config.loop, &group->check);
    uv_idle_init(group->config.loop, &group->idle);
    uv_timer_init(group->config.loop, &group->beat);
    group->prepare.data = group;
    group->check.data = group;
    group->idle.data = group;
    group->beat.data = group;
    group->handles_open = 4;
    uv_prepare_start(&group->prepare, on_prepare);
    uv_check_start(&group->check, on_check);
    uv_timer_start(&group->beat, on_beat, BEAT_MS, BEAT_MS);
}

/* The first entry of an incarnation: who we are, and the end of what an earlier one still sends. */
static int introduce(struct qr_group *group)
{
    struct qr_buf body = {0};
    const char *name = group->config.member_name != NULL ? group->config.member_name : "";
    int err = qr_machine_info_encode(&body, own_address(&group->config), name, QR_VERSION);
    if (err == 0)
        err = qr_group_propose(group, QR_COMMAND_MEMBER_INFO, qr_buf_slice(&body), NULL, NULL);
    qr_buf_release(&body);
    return err;
}

static int check_config(const struct qr_group_config *config)
{
    if (config->member_id == 0 || config->incarnation == 0 || config->heartbeat_ms == 0 ||
        config->heartbeat_ms >= config->election_timeout_ms || config->snapshot_threshold == 0 ||
        config->n_members > QR_MEMBERS_MAX || strlen(config->dir) >= PATH_MAX)
        return QR_E_CONFIG;
    return qr_guard_check_settings(SEGMENT_BYTES, CAPACITY_THRESHOLD_KIB);
}

static void on_members_proposed(void *data, int status, uint64_t index)
{
    struct qr_group *group = data;
    (void)status;
    (void)index;
    qr_changer_proposed(&group->changer);
}

static int propose_members(void *data, struct qr_slice body)
{
    struct qr_group *group = data;
    return qr_group_propose(group, QR_COMMAND_MEMBERS, body, on_members_proposed, group);
}

static bool hand_over_for_change(void *data)
{
    return hand_over(data);
}

/* Everything up to a library that can be started; undone on failure. */
static int init(struct qr_group *group)
{
    const struct qr_group_config *config = &group->config;
    const struct qr_machine_events events = {.data = group,
                                             .entry = on_entry,
                                             .owned = on_owned,
                                             .restored = on_restored,
                                             .fatal = fatal};
    int err = qr_disk_id_open(group->dir, &group->disk);
    if (err == 0)
        qr_link_set_disk(config->link, group->disk.disk);
    if (err == 0)
        err = qr_machine_init(&group->machine, &config->sink, &events);
    if (err != 0)
        return err;
    group->seeds_digest = qr_seeds_digest(config->members, config->n_members);
    group->changer = (struct qr_changer){.raft = &group->raft,
                                         .membership = &group->machine.membership,
                                         .peers = &group->peers,
                                         .propose = propose_members,
                                         .hand_over = hand_over_for_change,
                                         .fatal = fatal,
                                         .data = group};
    group->copied_permille = 1000;
    qr_proposer_init(&group->proposer, config->member_id, config->incarnation,
                     RESEND_TIMEOUTS * config->election_timeout_ms, submit, group);
    qr_marker_init(&group->marker, config->loop, group->dir, on_marker_written, group);
    qr_fsm_init(&group->fsm, &group->raft, &group->machine);
    group->fsm.submit = submit_job;
    group->fsm.data = group;
    err = qr_mend_log(group->dir);
    if (err == 0)
        err = qr_term_note_mend(group->dir);
    if (err != 0) {
        qr_error("the log cannot be mended%s dir=%s error=\"%s\"",
                 err == QR_E_CORRUPT ? ": it is damaged; " QR_FOLDER_REMEDY : "", group->dir,
                 qr_strerror(err));
        goto err_machine;
    }
    err = qr_transport_init(&group->transport, config->loop, config->link, config->group_id,
                            group->dir);
    if (err != 0)
        goto err_machine;
    group->transport.disk = group->disk.disk;
    int rv = raft_init(&group->raft, &group->transport.io, &group->fsm.fsm,
                       qr_raft_id(config->member_id, group->disk.disk), own_address(config));
    if (rv != 0) {
        qr_error("the log's folder cannot be used; if it is damaged, " QR_FOLDER_REMEDY
                 " dir=%s reason=\"%s\"",
                 group->dir, group->transport.io.errmsg);
        err = qr_error_of_raft(rv);
        goto err_transport;
    }
    qr_transport_install(&group->transport);
    qr_guard_install(&group->guard, &group->raft, fatal, group);
    group->guard.dir = group->dir;
    qr_fsm_install(&group->fsm);
    configure(group);
    return 0;

err_transport:
    qr_transport_release(&group->transport);
err_machine:
    qr_machine_release(&group->machine);
    return err;
}

int qr_group_open(struct qr_group **out, const struct qr_group_config *config,
                  const struct qr_group_events *events)
{
    int err = check_config(config);
    if (err != 0) {
        qr_error("the group's settings are not valid group=%u", config->group_id);
        return err;
    }
    struct qr_group *group = calloc(1, sizeof *group);
    if (group == NULL)
        return UV_ENOMEM;
    group->config = *config;
    group->events = *events;
    snprintf(group->dir, sizeof group->dir, "%s", config->dir);
    group->no_leader_since_ms = qr_group_now_ms(group);
    group->role = QR_GROUP_UNAVAILABLE;
    err = init(group);
    if (err != 0) {
        free(group);
        return err;
    }
    *out = group; /* Events may come from here on. */
    err = start(group);
    if (err == 0)
        err = introduce(group);
    if (err != 0) {
        *out = NULL;
        close_raft(group);
        return err;
    }
    if (!group->waiting)
        qr_fsm_started(&group->fsm);
    listen_to_link(group, true);
    qr_group_sync_members(group);
    check_disk(group);
    start_handles(group);
    return 0;
}

/* ---- proposing ---- */

int qr_group_propose(struct qr_group *group, enum qr_command_type type, struct qr_slice body,
                     qr_proposal_cb done, void *data)
{
    if (group->closing || group->failed)
        return QR_E_CLOSED;
    /* Sent with this turn of the loop: we may be inside the library's step here. */
    return qr_proposer_add(&group->proposer, type, body,
                           qr_clock_real_us(&group->config.agreed->clock), done, data);
}

struct qr_group_load qr_group_get_load(const struct qr_group *group)
{
    const struct qr_proposer *p = &group->proposer;
    return (struct qr_group_load){
        .n_waiting = p->n - p->n_sent, .n_in_flight = p->n_sent, .bytes = p->bytes};
}

bool qr_group_ready(const struct qr_group *group)
{
    return group->ready;
}

const struct qr_ownership *qr_group_ownership(const struct qr_group *group)
{
    return &group->machine.ownership;
}

const struct qr_keys *qr_group_keys(const struct qr_group *group)
{
    return &group->machine.keys;
}

void qr_group_get_latency(struct qr_group *group, uint64_t *p50, uint64_t *p99)
{
    qr_latency_get(&group->latency, p50, p99);
}

/* ---- closing ---- */

static void maybe_free(struct qr_group *group)
{
    if (!group->raft_closing || group->handles_open != 0 || group->marker.busy ||
        group->fsm.job != QR_FSM_NO_JOB)
        return;
    void (*on_closed)(void *data) = group->on_closed;
    void *data = group->on_closed_data;
    qr_transport_release(&group->transport);
    qr_fsm_release(&group->fsm);
    qr_machine_release(&group->machine);
    free(group);
    if (on_closed != NULL)
        on_closed(data);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct qr_group *group = handle->data;
    group->handles_open--;
    maybe_free(group);
}

static void on_raft_closed(struct raft *raft)
{
    struct qr_guard *guard = raft->data;
    struct qr_group *group = QR_CONTAINER_OF(guard, struct qr_group, guard);
    group->handles_open--; /* the library's */
    if (group->beat.data != NULL) {
        uv_close((uv_handle_t *)&group->prepare, on_handle_closed);
        uv_close((uv_handle_t *)&group->check, on_handle_closed);
        uv_close((uv_handle_t *)&group->idle, on_handle_closed);
        uv_close((uv_handle_t *)&group->beat, on_handle_closed);
    }
    maybe_free(group);
}

static void close_raft(struct qr_group *group)
{
    group->raft_closing = true;
    group->handles_open++;
    if (group->beat.data != NULL) {
        listen_to_link(group, false);
        qr_marker_close(&group->marker, held_index(group));
    }
    group->changer.closed = true;
    qr_proposer_cancel(&group->proposer);
    qr_fsm_close(&group->fsm);
    raft_close(&group->raft, on_raft_closed);
}

void qr_group_close(struct qr_group *group, void (*on_closed)(void *data), void *data)
{
    assert(!group->closing);
    group->closing = true;
    group->on_closed = on_closed;
    group->on_closed_data = data;
    if (!hand_over(group) && !group->transferring)
        close_raft(group);
    else
        tell_peers(group); /* Then the next turn without a transfer closes. */
}
