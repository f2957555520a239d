#include "node/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include "base/json.h"

/* A member that is this many entries behind lags: some tens of seconds of a busy group. */
#define LAG_ENTRIES 500u

/* ---- counting ---- */

struct count {
    unsigned n_voters, n_up, quorum;
    const struct qr_group_member_status *down;    /* The first voter that is not up. */
    const struct qr_group_member_status *lagging; /* The first that is up and behind. */
    const struct qr_group_member_status *wrong;   /* The first whose clock is. */
    unsigned n_children, n_connected, n_full;     /* Members' own hosts are not children. */
    const struct qr_status_child *thin;           /* The first host with too few copies. */
    const struct qr_status_child *cloned;         /* The first whose GUID two machines have. */
};

static bool is_behind(const struct qr_status *status, const struct qr_group_member_status *member)
{
    uint64_t applied = member->self ? status->group.applied : member->applied;
    return (member->up || member->self) && applied + LAG_ENTRIES < status->group.commit;
}

static struct count count_all(const struct qr_status *status)
{
    struct count c = {0};
    const struct qr_group_status *group = &status->group;
    for (unsigned i = 0; i < group->n_members; i++) {
        const struct qr_group_member_status *member = &group->members[i];
        bool up = member->up || member->self;
        if (c.lagging == NULL && is_behind(status, member))
            c.lagging = member;
        if (c.wrong == NULL && member->clock_ahead_s != 0)
            c.wrong = member;
        if (!member->voter)
            continue;
        c.n_voters++;
        c.n_up += up;
        if (!up && c.down == NULL)
            c.down = member;
    }
    c.quorum = c.n_voters / 2 + 1;
    for (uint32_t i = 0; i < status->n_children; i++) {
        const struct qr_status_child *child = &status->children[i];
        bool full = child->watermark_s == 0 || child->replication_factor >= c.n_voters;
        if (!full && c.thin == NULL)
            c.thin = child;
        if (child->clone != NULL && c.cloned == NULL)
            c.cloned = child;
        if (child->own)
            continue;
        c.n_children++;
        c.n_connected += child->connected;
        c.n_full += full;
    }
    return c;
}

/* ---- the verdict ---- */

static void describe_healthy(const struct count *c, struct qr_buf *out)
{
    qr_buf_printf(out, "HEALTHY · %u/%u", c->n_up, c->n_voters);
    if (c->n_children == 0)
        qr_buf_add_str(out, " · no children yet");
    else
        qr_buf_printf(out, " · RF %u for %u/%u children", c->n_voters, c->n_full, c->n_children);
    if (c->n_connected < c->n_children)
        qr_buf_printf(out, " · %u not connected", c->n_children - c->n_connected);
    qr_buf_printf(out, " · can lose %u", c->n_up - c->quorum);
}

/* A member with an empty folder, that has no place yet. */
static void describe_waiting(const struct qr_group_status *group, struct qr_buf *out)
{
    switch (group->place) {
    case QR_PLACE_OTHER_DISK:
        qr_buf_printf(out,
                      "DOWN because member %u has lost its data, or its disk is not mounted; do: "
                      "mount it and restart, or run `quoratectl members replace %u` on any member",
                      group->member_id, group->member_id);
        return;
    case QR_PLACE_STRANGER:
    case QR_PLACE_REMOVED:
        qr_buf_printf(out,
                      "DOWN because member %u %s the cluster; do: run `quoratectl members add "
                      "%u=HOST:PORT` on a member of it, or stop this one",
                      group->member_id,
                      group->place == QR_PLACE_REMOVED ? "was removed from" : "is not yet in",
                      group->member_id);
        return;
    default:
        qr_buf_add_str(out, "DOWN because this member's folder is empty and it knows no cluster; "
                            "do: start all members of the list, a new cluster needs each of them");
    }
}

/* "member 2", "member 2 (rebuilt)", .. */
static void describe_who(const struct qr_change *change, struct qr_buf *out)
{
    if (change->kind == QR_CHANGE_ADD)
        qr_buf_printf(out, "member %u is being added", change->with);
    else if (change->kind == QR_CHANGE_REMOVE)
        qr_buf_printf(out, "member %u is being removed", change->member);
    else if (change->with == change->member)
        qr_buf_printf(out, "member %u is being rebuilt", change->member);
    else
        qr_buf_printf(out, "member %u is being replaced by member %u", change->member,
                      change->with);
}

static void describe_change(const struct qr_group_status *group, struct qr_buf *out)
{
    describe_who(&group->change, out);
    if (group->change.with != 0 && group->change_status.permille > 0)
        qr_buf_printf(out, ", %u.%u %%", group->change_status.permille / 10,
                      group->change_status.permille % 10);
    if (group->change.with != 0 && group->change_status.eta_s != UINT64_MAX)
        qr_buf_printf(out, ", about %" PRIu64 " s", group->change_status.eta_s);
    qr_buf_printf(out, " (%s); do: wait, or take it back with `quoratectl members cancel`",
                  group->change_status.text);
}

static void describe_down(const struct qr_status *status, const struct count *c, struct qr_buf *out)
{
    const struct qr_group_status *group = &status->group;
    if (group->waiting) {
        describe_waiting(group, out);
        return;
    }
    if (group->role == QR_GROUP_UNAVAILABLE) {
        qr_buf_add_str(out,
                       "DOWN because this member's consensus has stopped; do: read its log and "
                       "restart it");
        return;
    }
    qr_buf_printf(out, "DOWN because no leader has been known for %" PRIu64 " s",
                  group->without_leader_ms / 1000);
    if (c->n_up >= c->quorum || c->down == NULL) {
        qr_buf_printf(out,
                      " although %u of %u members are reachable; do: wait for the election, then "
                      "check the links between the members",
                      c->n_up, c->n_voters);
        return;
    }
    qr_buf_printf(out, ": %u of %u members reachable, %u needed; do: start member", c->n_up,
                  c->n_voters, c->quorum);
    const char *before = " ";
    for (unsigned i = 0; i < group->n_members; i++) {
        const struct qr_group_member_status *member = &group->members[i];
        if (!member->voter || member->up || member->self)
            continue;
        qr_buf_printf(out, "%s%u (%s)", before, member->id, member->address);
        before = " or ";
    }
}

static void describe_silence(const struct qr_group_member_status *member, struct qr_buf *out)
{
    qr_buf_printf(out, "member %u (%s) has not been heard", member->id, member->address);
    if (member->last_contact_ms != UINT64_MAX)
        qr_buf_printf(out, " for %" PRIu64 " s", member->last_contact_ms / 1000);
}

/* " about 40 s", or nothing. */
static const char *describe_eta(const struct qr_status *status, char text[40])
{
    text[0] = 0;
    if (status->fetch_eta_s != UINT64_MAX)
        snprintf(text, 40, " about %" PRIu64 " s", status->fetch_eta_s);
    return text;
}

/* The problems in the order of their weight, each with its remedy.  Writes the i-th of those that
 * are there and returns how many there are. */
static unsigned describe_problems(const struct qr_status *status, const struct count *c,
                                  struct qr_buf *out)
{
    const struct qr_group_status *group = &status->group;
    char eta[40];
    unsigned n = 0;
    if (group->diverged && n++ == 0)
        qr_buf_add_str(out, "a member at the same index has another state; do: compare the hashes "
                            "below, stop the member that differs and let it rejoin empty");
    if (group->disk_low && n++ == 0)
        qr_buf_add_str(out, "the disk of this member is almost full, it takes no samples; do: free "
                            "space, it resumes by itself");
    if (c->down != NULL && n++ == 0) {
        describe_silence(c->down, out);
        qr_buf_add_str(out, "; do: start it again, or check the link to it");
    }
    if (group->change.kind != QR_CHANGE_NONE && n++ == 0)
        describe_change(group, out);
    if (!group->is_voter && group->change.kind == QR_CHANGE_NONE && n++ == 0)
        qr_buf_printf(
            out,
            "this member, %u, is not one of the cluster's voters; do: look at `quoratectl "
            "members list`, then add it or stop it",
            group->member_id);
    if (status->draining && n++ == 0)
        qr_buf_add_str(out, "this member is draining; do: end the drain with `quoratectl undrain` "
                            "when the work is done");
    if (!group->ready && n++ == 0)
        qr_buf_add_str(out, "this member is not ready to take samples yet; do: wait until it has "
                            "caught up with the leader");
    if (status->n_missing_blocks > 0 && n++ == 0)
        qr_buf_printf(out,
                      "this member lacks %" PRIu64 " block files (%" PRIu64 " MiB); do: wait%s, it "
                      "fetches them from the others",
                      status->n_missing_blocks, (status->missing_bytes + (1u << 20) - 1) >> 20,
                      describe_eta(status, eta));
    if (c->wrong != NULL && n++ == 0)
        qr_buf_printf(out,
                      "the clock of member %u (%s) is %lld s %s what most members say; do: set it "
                      "by a time server, the cluster goes by the others' meanwhile",
                      c->wrong->id, c->wrong->address, llabs((long long)c->wrong->clock_ahead_s),
                      c->wrong->clock_ahead_s > 0 ? "ahead of" : "behind");
    if (c->lagging != NULL && n++ == 0)
        qr_buf_printf(out,
                      "member %u (%s) is %" PRIu64 " entries behind; do: wait, or look at the load "
                      "and the disk of its machine",
                      c->lagging->id, c->lagging->address, group->commit - c->lagging->applied);
    if (c->cloned != NULL && n++ == 0)
        qr_buf_add_str(out, c->cloned->clone);
    if (c->thin != NULL && n++ == 0)
        qr_buf_printf(out,
                      "the newest data of %s is on %u of %u members; do: wait until they have "
                      "caught up",
                      c->thin->hostname, c->thin->replication_factor, c->n_voters);
    return n;
}

static int describe(const struct qr_status *status, struct qr_buf *out)
{
    struct count c = count_all(status);
    if (status->group.leader == 0 || status->group.role == QR_GROUP_UNAVAILABLE) {
        describe_down(status, &c, out);
        return QR_DOWN;
    }
    struct qr_buf problem = {.max = QR_VERDICT_BYTES_MAX};
    unsigned n = describe_problems(status, &c, &problem);
    if (n == 0) {
        describe_healthy(&c, out);
    } else {
        qr_buf_add_str(out, "DEGRADED because ");
        qr_buf_add(out, problem.base, problem.len);
        if (n > 1)
            qr_buf_printf(out, " (and %u more)", n - 1);
    }
    qr_buf_release(&problem);
    return n == 0 ? QR_HEALTHY : QR_DEGRADED;
}

int qr_status_verdict(const struct qr_status *status, char *sentence, size_t sentence_bytes)
{
    static const char *const words[] = {"HEALTHY", "DEGRADED", "DOWN"};
    struct qr_buf out = {.max = 4096};
    int level = describe(status, &out);
    if (out.failed) /* No memory for a sentence: the word at least. */
        snprintf(sentence, sentence_bytes, "%s", words[level]);
    else
        snprintf(sentence, sentence_bytes, "%.*s", (int)out.len, out.base);
    qr_buf_release(&out);
    return level;
}

/* ---- JSON ---- */

static const char *role_name(enum qr_group_role role)
{
    switch (role) {
    case QR_GROUP_FOLLOWER:
        return "follower";
    case QR_GROUP_CANDIDATE:
        return "candidate";
    case QR_GROUP_LEADER:
        return "leader";
    case QR_GROUP_UNAVAILABLE:
        break;
    }
    return "unavailable";
}

static void add_hash(struct qr_json *json, uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    qr_json_str(json, "hash", text);
}

static const char *kind_name(enum qr_member_role kind)
{
    static const char *const names[] = {
        [QR_MEMBER_LEARNER] = "learner", [QR_MEMBER_VOTER] = "voter", [QR_MEMBER_SPARE] = "spare"};
    return names[kind];
}

static void add_disk(struct qr_json *json, uint32_t disk)
{
    char text[9];
    snprintf(text, sizeof text, "%08" PRIx32, disk);
    qr_json_str(json, "disk", text);
}

static void add_asked(struct qr_json *json, const struct qr_change *change)
{
    static const char *const names[] = {"none", "add", "remove", "replace"};
    qr_json_u64(json, "change", change->index);
    qr_json_str(json, "kind", names[change->kind]);
    qr_json_u64(json, "member", change->member);
    qr_json_u64(json, "with", change->with);
    qr_json_str(json, "address", change->address);
    qr_json_bool(json, "canceled", change->canceled);
}

static void add_changes(struct qr_json *json, const struct qr_group_status *group)
{
    if (group->change.kind == QR_CHANGE_NONE) {
        qr_json_null(json, "change");
    } else {
        qr_json_object(json, "change");
        add_asked(json, &group->change);
        qr_json_str(json, "text", group->change_status.text);
        qr_json_u64(json, "permille", group->change_status.permille);
        if (group->change_status.eta_s == UINT64_MAX)
            qr_json_null(json, "eta_s");
        else
            qr_json_u64(json, "eta_s", group->change_status.eta_s);
        qr_json_end(json);
    }
    if (group->last_change.kind == QR_CHANGE_NONE) {
        qr_json_null(json, "last_change");
        return;
    }
    qr_json_object(json, "last_change");
    add_asked(json, &group->last_change);
    qr_json_bool(json, "done", group->last_result == QR_CHANGE_DONE);
    qr_json_str(json, "result", qr_change_result_text(group->last_result));
    qr_json_end(json);
}

static const char *place_name(const struct qr_group_status *group)
{
    static const char *const names[] = {
        [QR_PLACE_NONE] = "unknown",          [QR_PLACE_FOUNDER] = "founder",
        [QR_PLACE_MEMBER] = "member",         [QR_PLACE_OTHER_DISK] = "lost its data",
        [QR_PLACE_STRANGER] = "not a member", [QR_PLACE_REMOVED] = "removed"};
    if (group->waiting)
        return names[group->place];
    return group->is_voter ? "voter" : group->is_member ? "learner" : "not a member";
}

static uint32_t count_children(const struct qr_status *status, uint32_t member)
{
    for (unsigned i = 0; i < status->placement.n; i++)
        if (status->placement.members[i].id == member)
            return status->placement.members[i].n_children;
    return 0;
}

static void add_member(struct qr_json *json, const struct qr_status *status,
                       const struct qr_group_member_status *member)
{
    const struct qr_group_status *group = &status->group;
    bool up = member->up || member->self;
    qr_json_object(json, NULL);
    qr_json_u64(json, "id", member->id);
    qr_json_str(json, "name", member->name);
    qr_json_str(json, "version", member->version);
    qr_json_str(json, "address", member->address);
    enum qr_group_role role = member->self ? group->role : member->role;
    qr_json_str(json, "role", up ? role_name(role) : "unavailable");
    qr_json_str(json, "state", member->self ? "self" : up ? "up" : "down");
    qr_json_bool(json, "voter", member->voter);
    qr_json_str(json, "kind", kind_name(member->kind));
    add_disk(json, member->disk);
    qr_json_u64(json, "applied", member->self ? group->applied : member->applied);
    qr_json_u64(json, "commit", member->self ? group->commit : member->commit);
    if (member->self)
        qr_json_u64(json, "last_contact_ms", 0);
    else if (member->last_contact_ms == UINT64_MAX)
        qr_json_null(json, "last_contact_ms");
    else
        qr_json_u64(json, "last_contact_ms", member->last_contact_ms);
    add_hash(json, member->self ? group->hash : member->hash);
    qr_json_i64(json, "clock_ahead_s", member->clock_ahead_s);
    qr_json_u64(json, "children", count_children(status, member->id));
    qr_json_bool(json, "taking", member->taking);
    qr_json_bool(json, "draining", member->draining);
    qr_json_end(json);
}

static void add_admitted(struct qr_json *json, const struct qr_status_child *child)
{
    char certificate[2 * QR_TLS_FINGERPRINT_BYTES + 1];
    for (unsigned i = 0; i < QR_TLS_FINGERPRINT_BYTES; i++)
        snprintf(certificate + 2 * (size_t)i, 3, "%02x", child->certificate[i]);
    if (child->key != 0)
        qr_json_u64(json, "key", child->key);
    else
        qr_json_null(json, "key");
    qr_json_str(json, "certificate", child->has_certificate ? certificate : NULL);
}

static void add_replay(struct qr_json *json, const struct qr_status_child *child)
{
    if (child->replay_left_s == 0) {
        qr_json_null(json, "replay");
        return;
    }
    uint64_t done_s = child->replay_all_s - child->replay_left_s;
    qr_json_object(json, "replay");
    qr_json_u64(json, "left_s", child->replay_left_s);
    qr_json_u64(json, "asks", child->replay_asks);
    qr_json_u64(json, "permille", done_s * 1000 / child->replay_all_s);
    if (child->replay_eta_s == UINT64_MAX)
        qr_json_null(json, "eta_s");
    else
        qr_json_u64(json, "eta_s", child->replay_eta_s);
    qr_json_end(json);
}

static const char *forward_state_name(enum qr_forwarder_state state)
{
    static const char *const names[] = {"waiting", "connecting", "handshake", "streaming",
                                        "ending"};
    return names[state];
}

static void add_upstream(struct qr_json *json, const struct qr_forwarder_status *upstream)
{
    qr_json_object(json, "upstream");
    qr_json_str(json, "state", forward_state_name(upstream->state));
    qr_json_str(json, "destination", upstream->destination);
    qr_json_str(json, "reason", upstream->reason);
    qr_json_u64(json, "connects", upstream->n_connects);
    qr_json_i64(json, "lag_s", upstream->relay.lag_s);
    qr_json_u64(json, "lag_samples", upstream->relay.lag_samples);
    qr_json_u64(json, "charts", upstream->relay.n_charts);
    qr_json_u64(json, "live", upstream->relay.n_live);
    qr_json_u64(json, "rows", upstream->relay.rows_live);
    qr_json_u64(json, "replayed_rows", upstream->relay.rows_replayed);
    qr_json_u64(json, "bytes", upstream->relay.bytes_wire);
    qr_json_end(json);
}

static void add_child(struct qr_json *json, const struct qr_status_child *child)
{
    qr_json_object(json, NULL);
    qr_json_str(json, "guid", child->guid);
    qr_json_str(json, "hostname", child->hostname);
    qr_json_bool(json, "own", child->own);
    qr_json_u64(json, "owner", child->owner);
    qr_json_u64(json, "epoch", child->epoch);
    qr_json_bool(json, "connected", child->connected);
    qr_json_u64(json, "charts", child->charts);
    qr_json_i64(json, "watermark", child->watermark_s);
    qr_json_u64(json, "replication_factor", child->replication_factor);
    qr_json_u64(json, "samples", child->n_samples);
    qr_json_u64(json, "gaps", child->n_gaps);
    qr_json_i64(json, "clock_ahead_s", child->clock_ahead_s);
    qr_json_u64(json, "rows_ahead", child->rows_ahead);
    add_admitted(json, child);
    qr_json_str(json, "clone", child->clone);
    add_replay(json, child);
    qr_json_u64(json, "hops", child->hops);
    if (child->has_upstream)
        add_upstream(json, &child->upstream);
    else
        qr_json_null(json, "upstream");
    qr_json_end(json);
}

static void add_group(struct qr_json *json, const struct qr_status *status)
{
    const struct qr_group_status *group = &status->group;
    qr_json_u64(json, "leader", group->leader);
    qr_json_u64(json, "term", group->term);
    qr_json_u64(json, "applied", group->applied);
    qr_json_u64(json, "commit", group->commit);
    add_hash(json, group->hash);
    qr_json_bool(json, "ready", group->ready);
    qr_json_str(json, "role", role_name(group->role));
    qr_json_u64(json, "member", group->member_id);
    qr_json_str(json, "place", place_name(group));
    add_disk(json, group->disk);
    add_changes(json, group);
    qr_json_array(json, "members");
    for (unsigned i = 0; i < group->n_members; i++)
        add_member(json, status, &group->members[i]);
    qr_json_end(json);
}

static void add_counters(struct qr_json *json, const struct qr_status *status)
{
    const struct qr_group_status *group = &status->group;
    qr_json_object(json, "counters");
    qr_json_u64(json, "samples_in", status->samples_in);
    qr_json_u64(json, "rows_in", status->rows_in);
    qr_json_u64(json, "log_samples", status->log_samples);
    qr_json_u64(json, "log_bytes", status->log_bytes);
    qr_json_u64(json, "block_bytes", status->block_bytes);
    qr_json_u64(json, "head_bytes", status->head_bytes);
    qr_json_u64(json, "charts_replicating", status->n_replicating);
    qr_json_u64(json, "missing_blocks", status->n_missing_blocks);
    qr_json_u64(json, "missing_bytes", status->missing_bytes);
    qr_json_u64(json, "fetched_blocks", status->n_fetched_blocks);
    qr_json_u64(json, "fetched_bytes", status->fetched_bytes);
    if (status->fetch_eta_s == UINT64_MAX)
        qr_json_null(json, "fetch_eta_s");
    else
        qr_json_u64(json, "fetch_eta_s", status->fetch_eta_s);
    qr_json_u64(json, "peer_reads", status->n_peer_reads);
    qr_json_u64(json, "proposed", group->n_proposed);
    qr_json_u64(json, "applied", group->n_applied);
    qr_json_u64(json, "apply_backlog", group->n_backlog);
    qr_json_u64(json, "apply_backlog_bytes", group->backlog_bytes);
    qr_json_u64(json, "apply_pause_us_max", group->apply_pause_us_max);
    qr_json_u64(json, "apply_slice_us_max", group->apply_slice_us_max);
    qr_json_u64(json, "dropped", group->n_dropped);
    qr_json_u64(json, "refused", group->n_refused);
    qr_json_u64(json, "resent", group->n_resent);
    qr_json_u64(json, "snapshots", group->n_snapshots);
    qr_json_u64(json, "installs", group->n_installs);
    qr_json_u64(json, "commit_latency_us_p50", status->commit_latency_us_p50);
    qr_json_u64(json, "commit_latency_us_p99", status->commit_latency_us_p99);
    qr_json_u64(json, "socket_latency_us_p50", status->socket_latency_us_p50);
    qr_json_u64(json, "socket_latency_us_p99", status->socket_latency_us_p99);
    qr_json_end(json);
}

int qr_status_json(const struct qr_status *status, struct qr_buf *out)
{
    char id[QR_GUID_TEXT_LEN + 1], sentence[QR_VERDICT_BYTES_MAX];
    qr_guid_format(&status->cluster_id, id);
    int level = qr_status_verdict(status, sentence, sizeof sentence);
    struct qr_json json;
    qr_json_init(&json, out);
    qr_json_object(&json, NULL);
    qr_json_object(&json, "cluster");
    qr_json_str(&json, "name", status->cluster_name);
    qr_json_str(&json, "id", id);
    qr_json_end(&json);
    qr_json_i64(&json, "time", status->time_s);
    qr_json_u64(&json, "uptime_s", status->uptime_s);
    qr_json_object(&json, "verdict");
    qr_json_i64(&json, "level", level);
    qr_json_str(&json, "sentence", sentence);
    qr_json_end(&json);
    qr_json_bool(&json, "draining", status->draining);
    add_group(&json, status);
    qr_json_array(&json, "children");
    for (uint32_t i = 0; i < status->n_children; i++)
        add_child(&json, &status->children[i]);
    qr_json_end(&json);
    add_counters(&json, status);
    qr_json_end(&json);
    return out->failed ? UV_ENOMEM : 0;
}

void qr_status_free(struct qr_status *status)
{
    if (status == NULL)
        return;
    for (uint32_t i = 0; i < status->n_children; i++)
        free(status->children[i].clone);
    free(status->children);
    free(status);
}
