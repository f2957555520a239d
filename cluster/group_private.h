/* cluster/group_private.h — the group's struct, for group.c and group_members.c only. */
#ifndef QR_CLUSTER_GROUP_PRIVATE_H
#define QR_CLUSTER_GROUP_PRIVATE_H

#include <limits.h>

#include "cluster/changer.h"
#include "cluster/disk_id.h"
#include "cluster/founding.h"
#include "cluster/fsm.h"
#include "cluster/group.h"
#include "cluster/guard.h"
#include "cluster/latency.h"
#include "cluster/marker.h"
#include "cluster/peers.h"
#include "cluster/proposer.h"
#include "cluster/transport.h"

/* What a leader knows of a member's forwarded entries: after one that it could not take it takes
 * none behind it, so that the log has no jump. */
struct intake {
    uint32_t member;
    uint64_t incarnation;
    uint64_t refused_from; /* 0: none. */
};

struct qr_group {
    struct qr_group_config config;
    struct qr_group_events events;
    char dir[PATH_MAX];

    struct raft raft;
    struct qr_transport transport;
    struct qr_guard guard;
    struct qr_fsm fsm;
    struct qr_machine machine;
    struct qr_proposer proposer;
    struct qr_peers peers;
    struct qr_latency latency;
    struct qr_changer changer;
    struct qr_disk_id disk;
    uint32_t seeds_digest;
    enum qr_place place;          /* As told while waiting. */
    struct qr_placement founding; /* To begin with, in the next turn; place 0: none. */
    bool waiting;                 /* The library is not started. */
    unsigned copied_permille;
    bool taking, draining;                     /* Children, as the owner says. */
    struct intake intakes[4 * QR_MEMBERS_MAX]; /* Members come and go while one leads. */

    enum qr_group_role role; /* As of the last step. */
    uint32_t leader;
    uint64_t term;
    struct raft_barrier barrier;
    uint64_t barrier_term; /* Of the last one issued. */
    raft_index led_from;   /* It has committed there: once applied, we lead.  0: not. */
    struct raft_transfer transfer;
    uint64_t transfer_ends_ms; /* The library forgets a transfer when it loses its quorum. */

    uint64_t leader_gone_ms; /* Its connection is missing; take it as dead then. 0: not. */

    uint64_t route_term, route_ups; /* To whom proposals went last. */
    uint32_t route_leader;

    unsigned handles_open;
    uint64_t leader_since_ms, no_leader_since_ms; /* One of them is 0. */
    uint64_t state_sent_ms, housekept_ms;
    struct qr_link_member linked[2 * QR_MEMBERS_MAX]; /* What the link was told. */
    unsigned n_linked;
    uint32_t banned[QR_REMOVED_MAX];
    unsigned n_banned;

    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* Active while entries wait: the loop does not sleep. */
    uv_timer_t beat;
    uv_work_t job_work; /* The FSM's. */
    uint64_t job_started_ns, job_us, pause_us_max, slice_us_max;
    struct qr_marker marker;

    bool role_changed;    /* Since the owner was told. */
    bool barrier_pending; /* `barrier` is the library's. */
    bool leads;           /* The barrier of this term has committed. */
    bool transferring;
    bool ready; /* As last given to the proposer. */
    bool disk_low, diverged, failed;
    bool closing, raft_closing;
    void (*on_closed)(void *data);
    void *on_closed_data;
};

static inline uint64_t qr_group_now_ms(const struct qr_group *group)
{
    return qr_clock_mono_ms(group->config.clock);
}

#endif
