/* cluster/tests/sim.h — a whole cluster in one process on simulated time, from one seed.
 *
 * The library's own fixture moves messages and "writes" in memory; on it run the real machine, FSM,
 * guard and proposers with a small sink.  Faults by the seed: cuts of one or both directions,
 * freezes, latencies, snapshots every 16 entries, proposals lost on their way, proposers that begin
 * a new incarnation.  Members apply an entry at a time and lag behind as chance will have it, and
 * their snapshots are encoded and decoded any time later.
 *
 * Checked at each applied entry: whoever applies index i has the same state hash after it, and no
 * member's commit index goes back.  At the end, healed: all applied, all equal, each number once.
 * Same seed, same history. */
#ifndef QR_CLUSTER_TESTS_SIM_H
#define QR_CLUSTER_TESTS_SIM_H

#include <raft.h>
#include <raft/fixture.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "cluster/fsm.h"
#include "cluster/guard.h"
#include "cluster/machine.h"
#include "cluster/proposer.h"
#include "cluster/tests/memory_sink.h"

#define SIM_MEMBERS_MAX 5u
#define SIM_INDEX_MAX   200000u

struct sim;

struct sim_member {
    struct sim *sim;
    unsigned at; /* id - 1 */
    struct raft *raft;
    struct memory_sink sink;
    struct qr_machine machine;
    struct qr_fsm fsm;
    struct qr_guard guard;
    struct qr_proposer proposer;
    uint64_t incarnation, number; /* Of the last entry proposed. */
    raft_io_recv_cb recv;         /* The front door of its I/O: deliver a message by hand. */
    int (*start_below)(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                       raft_io_recv_cb recv);
    bool frozen;
    bool job_waits, job_worked; /* The FSM's: submitted, and run but not taken. */
    bool sleepy;                /* Applies little for now. */
    raft_index commit;
    raft_term barrier_term;
    bool barrier_pending, leads;
    raft_index led_from; /* Leads once this is applied; 0: not. */
    struct raft_barrier barrier;
    raft_id route_leader; /* To whom it proposed last. */
    raft_term route_term;
    raft_index told[SIM_MEMBERS_MAX]; /* Commit index announced to each. */
};

struct sim {
    struct raft_fixture fixture;
    unsigned n;
    struct qr_rng rng;
    struct sim_member *members;
    uint64_t *hashes; /* State hash after index i, whoever was first. */
    bool cut[SIM_MEMBERS_MAX][SIM_MEMBERS_MAX];
    bool calm;      /* Members do nothing but what a test tells them: no doubts in a leader. */
    bool eager;     /* Entries are applied, and jobs done, at once. */
    uint64_t trace; /* Digest of the course of events. */
    /* What went wrong. */
    uint64_t n_differ, n_commit_back;
    char fatal[256];
    /* What happened. */
    uint64_t n_leaders, n_cuts, n_freezes, n_lives, n_lost, n_refused, n_proposed, n_announced;
    uint64_t n_backlog_most, n_led_late, n_restored_late, n_copied;
    raft_id leader;
};

/* A cluster of n members (3 or 5), started; `guard_off`: parts to go without. */
struct sim *sim_new(uint64_t seed, unsigned n, unsigned guard_off);
void sim_free(struct sim *sim);

/* One event of the fixture, and what members do then. */
void sim_step(struct sim *sim);
void sim_run_ms(struct sim *sim, unsigned ms);

/* A fault, or the end of one, or nothing, as chance will have it. */
void sim_fault(struct sim *sim);
void sim_heal(struct sim *sim);

/* A member proposes its next number, if it has room. */
void sim_propose(struct sim *sim, unsigned at);

void sim_cut(struct sim *sim, unsigned a, unsigned b, bool cut);

/* The member that leads and takes entries, or NULL. */
struct sim_member *sim_leader(struct sim *sim);
bool sim_wait_leader(struct sim *sim, unsigned max_ms);

/* All proposals are applied everywhere. */
bool sim_settled(const struct sim *sim);

/* A whole history: faults and load for so many steps, then healing.  Returns NULL when all is well,
 * else a sentence (static). */
const char *sim_history(uint64_t seed, unsigned n, unsigned steps, unsigned guard_off,
                        uint64_t *trace);

#endif
