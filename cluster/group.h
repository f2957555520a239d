/* cluster/group.h — one Raft group on this member: the face of this folder.
 *
 * Owns raft with its disk back end behind the guard, the machine that applies entries, the
 * proposer that gets entries into the log exactly once, and the exchange of state hashes.  The
 * owner gives a loop, a link and a sink (where data goes).
 *
 *   propose(type, body) --> proposer: window of QR_PROPOSALS_IN_FLIGHT_MAX, sequence numbers
 *       leader here: raft_apply;  else: PROPOSE frame to the leader, again after a leader change
 *   raft commits --> machine: exactly-once check, sink.apply / ownership, state hash
 *       --> the proposal's done(status): applied on this member
 *
 * Members.  The replicated configuration decides who is a member; config.members is only the seed.
 * With an empty folder a member waits until it knows its place (cluster/founding): the seeds found
 * the group when all of them are connected and empty, so the first start needs all of them; beside
 * a group that exists it waits to be taken in.  It cannot vote under the name of a disk that it
 * lost (cluster/disk_id).  qr_group_ask_change on any member adds, removes or replaces one:
 *
 *   ask --> log --> done(0): it runs --> status.change says how far --> status.last_* what came of
 * it
 *
 * A leader that is lost on the way is no matter: the next one goes on (cluster/changer).
 *
 * No code assumes that there is one group: the id is in frames and in the data path.
 * Thread: consensus. */
#ifndef QR_CLUSTER_GROUP_H
#define QR_CLUSTER_GROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/clock.h"
#include "base/limits.h"
#include "cluster/agreed.h"
#include "cluster/command.h"
#include "cluster/keys.h"
#include "cluster/link.h"
#include "cluster/membership.h"
#include "cluster/ownership.h"
#include "cluster/sink.h"

struct qr_group;

struct qr_group_config {
    uv_loop_t *loop;
    const struct qr_clock *clock;
    struct qr_agreed *agreed; /* On that clock; the group updates it.  Outlives the group. */
    struct qr_link *link;
    struct qr_sink sink;
    uint32_t group_id;
    uint32_t member_id;
    const char *member_name;              /* For people; the others are told.  NULL: none. */
    uint64_t incarnation;                 /* Larger at each start of this member. */
    const char *dir;                      /* Of this group's log; exists. */
    const struct qr_link_member *members; /* The seeds: used while the log says nothing. */
    unsigned n_members;
    uint32_t election_timeout_ms, heartbeat_ms;
    uint32_t snapshot_threshold, snapshot_trailing; /* entries */
    uint64_t disk_reserve_bytes; /* Below this much free space the member stops proposing. */
};

/* What a member with an empty folder was told it is; QR_PLACE_NONE: nothing yet, or it has a log.
 */
enum qr_place {
    QR_PLACE_NONE,
    QR_PLACE_FOUNDER,
    QR_PLACE_MEMBER,
    QR_PLACE_OTHER_DISK, /* A member whose disk was lost, or is not mounted. */
    QR_PLACE_STRANGER,   /* To be added. */
    QR_PLACE_REMOVED
};

enum qr_group_role { QR_GROUP_FOLLOWER, QR_GROUP_CANDIDATE, QR_GROUP_LEADER, QR_GROUP_UNAVAILABLE };

/* What the owner wants to hear; any may be NULL.  applied, owned, restored and diverged come from
 * inside the library's step: they may propose and read, and nothing else. */
struct qr_group_events {
    void *data;
    /* Role, term or leader changed.  leader 0: none known. */
    void (*leadership)(void *data, enum qr_group_role role, uint32_t leader, uint64_t term);
    /* An entry was applied (result of machine: 0, dropped, refused). */
    void (*applied)(void *data, const struct qr_command *command, uint64_t index, int result);
    /* A child changed hands (also to this member). */
    void (*owned)(void *data, const struct qr_owner *owner, uint64_t nonce);
    /* The state was replaced by a snapshot. */
    void (*restored)(void *data, uint64_t index);
    /* A member at the same applied index has another state hash. */
    void (*diverged)(void *data, uint32_t member, uint64_t index);
    /* An empty member was taken in whose number is not above `known`, the newest that the log knows
     * of it: *incarnation is set to a larger one, on disk.  0 or an error, and it waits on.  NULL:
     * it waits for ever. */
    int (*renumber)(void *data, uint64_t known, uint64_t *incarnation);
    /* This member must stop: the log cannot be written, or the library gave up.  The sentence says
     * why.  Does not return (the owner logs and exits). */
    void (*fatal)(void *data, const char *sentence);
};

/* Opens the log, replays it into the sink, starts.  0 or an error that is logged with its reason;
 * what was opened then closes as the loop turns.  Blocks while the log is read.  The link gets the
 * handlers of this group's frames and the members of its configuration. */
int qr_group_open(struct qr_group **group, const struct qr_group_config *config,
                  const struct qr_group_events *events);

/* done: status 0 when the entry was applied here; a negative code when apply refused it.  index is
 * its place in the log.  Called exactly once, except at close (UV_ECANCELED: outcome unknown). */
typedef void (*qr_proposal_cb)(void *data, int status, uint64_t index);

/* Queues an entry; the body is copied.  Entries of a member enter the log in the order of these
 * calls.  0, QR_E_LIMIT (too long), QR_E_BUSY (QR_PROPOSALS_WAITING_MAX wait), QR_E_CLOSED,
 * UV_ENOMEM.  `done` may propose. */
int qr_group_propose(struct qr_group *group, enum qr_command_type type, struct qr_slice body,
                     qr_proposal_cb done, void *data);

/* Entries that wait or are in flight, and their bytes. */
struct qr_group_load {
    unsigned n_waiting, n_in_flight;
    size_t bytes;
};
struct qr_group_load qr_group_get_load(const struct qr_group *group);

/* Appending is possible now: there is a leader that is reachable, has committed its barrier, and
 * this member's disk has room. */
bool qr_group_ready(const struct qr_group *group);

const struct qr_ownership *qr_group_ownership(const struct qr_group *group);
const struct qr_keys *qr_group_keys(const struct qr_group *group);

struct qr_group_member_status {
    uint32_t id;
    char address[64];
    bool voter, self;
    enum qr_member_role kind; /* Voter, learner or spare. */
    uint32_t disk;            /* cluster/disk_id */
    bool up;                  /* Connected, or self. */
    bool taking, draining;    /* Children; as last told by it. */
    uint64_t last_contact_ms; /* Ago; UINT64_MAX: never. */
    char name[64];            /* As it said in the log; "" until then. */
    char version[32];
    uint64_t applied, commit, hash; /* As last told by it. */
    int64_t clock_ahead_s;          /* Of the cluster's time; 0: it is right, or not heard. */
    enum qr_group_role role;        /* As far as known. */
};

struct qr_group_status {
    uint32_t group_id, member_id, leader; /* leader 0: none */
    enum qr_group_role role;
    uint64_t term, applied, commit, last_index, hash;
    uint64_t leader_since_ms; /* ms since a leader has been known without a break; 0: none. */
    uint64_t without_leader_ms;
    bool ready;
    bool disk_low;
    bool diverged;
    bool waiting; /* An empty folder: not started; `place` says what is known. */
    enum qr_place place;
    bool is_member; /* Of the configuration as this member knows it. */
    bool is_voter;
    uint32_t disk;
    struct qr_change change; /* That runs; kind QR_CHANGE_NONE: none. */
    struct qr_group_change_status {
        const char *text;  /* What it waits for or does now. */
        unsigned permille; /* Of log and block files that who comes has. */
        uint64_t eta_s;    /* UINT64_MAX: not known. */
    } change_status;
    struct qr_change last_change; /* That ended last, and how. */
    enum qr_change_result last_result;
    unsigned n_members;
    struct qr_group_member_status members[QR_MEMBERS_MAX];
    uint64_t n_proposed, n_applied, n_dropped, n_refused, n_resent, n_snapshots, n_installs;
    /* What the log holds as committed and this member has not applied yet. */
    uint64_t n_backlog, backlog_bytes;
    uint64_t snapshot_us;        /* How long the last one was made, applying paused. */
    uint64_t n_snapshots_outrun; /* Made, and dropped: too much had been applied since. */
    uint64_t apply_pause_us_max, apply_slice_us_max;
};
/* Cheap: often asked. */
void qr_group_get_status(const struct qr_group *group, struct qr_group_status *status);
/* From propose to applied, percentiles of the last 1024, in us. */
void qr_group_get_latency(struct qr_group *group, uint64_t *p50, uint64_t *p99);

/* Asks for a change of members, on any member: QR_CHANGE_ADD (`with` at `address` comes),
 * QR_CHANGE_REMOVE (`member` goes), QR_CHANGE_REPLACE (`member` goes, `with` comes; the same id for
 * one that lost its data; an empty address is that of `member`).  0, or QR_E_UNKNOWN (no such
 * member), QR_E_EXISTS (it is one), QR_E_MALFORMED, or as qr_group_propose; then done is not
 * called. done: status 0: the change runs, and `index` is its name; QR_E_BUSY: another one runs,
 * QR_E_EXISTS, QR_E_UNKNOWN. */
int qr_group_ask_change(struct qr_group *group, enum qr_change_kind kind, uint32_t member,
                        uint32_t with, const char *address, qr_proposal_cb done, void *data);
/* Asks to take the change that runs back.  QR_E_UNKNOWN: none does. */
int qr_group_cancel_change(struct qr_group *group, qr_proposal_cb done, void *data);

/* How much of the block files this member has, in thousandths: the others show it. */
void qr_group_set_copied(struct qr_group *group, unsigned permille);
/* Whether this member lets children in, and whether it is drained: the others steer by it. */
void qr_group_set_taking(struct qr_group *group, bool taking, bool draining);

/* Hands leadership over if this member has it, then closes; the group is freed before on_closed. */
void qr_group_close(struct qr_group *group, void (*on_closed)(void *data), void *data);

#endif
