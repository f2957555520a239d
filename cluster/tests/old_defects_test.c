/* Three defects of libraft 0.15.0 that lost or stopped acknowledged entries, as scenarios that the
 * library in use must get right.  They stand here for the day when another one is tried.
 *
 * Entries are put into a member's log by hand, from a producer that is no member; what members
 * apply is compared index by index by the simulation. */
#include <stdlib.h>

#include "base/log.h"
#include "cluster/tests/sim.h"
#include "testing/cmocka.h"

#define PRODUCER 8u

static uint64_t last_number;

static void on_put(struct raft_apply *req, int status, void *result)
{
    (void)status;
    (void)result;
    free(req);
}

/* Into the log of a member that leads, whether its barrier has committed or not. */
static void put(struct sim *sim, unsigned at)
{
    uint64_t number = ++last_number;
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = PRODUCER,
                                       .incarnation = number, /* Each stands for itself. */
                                       .sequence = 1,
                                       .body = qr_slice_of(&number, 8)};
    struct qr_buf entry = {0};
    assert_int_equal(qr_command_encode(&entry, &command), 0);
    struct raft_buffer buf = {.base = raft_malloc(entry.len), .len = entry.len};
    memcpy(buf.base, entry.base, entry.len);
    qr_buf_release(&entry);
    struct raft_apply *req = calloc(1, sizeof *req);
    assert_int_equal(raft_apply(sim->members[at].raft, req, &buf, 1, on_put), 0);
}

static struct sim *new_sim(unsigned n)
{
    struct sim *sim = sim_new(1, n, 0);
    last_number = 0;
    sim->calm = true;
    for (unsigned at = 0; at < n; at++) {
        raft_set_snapshot_threshold(sim->members[at].raft, 100000);
        raft_fixture_set_disk_latency(&sim->fixture, at, 60); /* Only ever raised. */
    }
    return sim;
}

static void separate(struct sim *sim, unsigned at)
{
    for (unsigned other = 0; other < sim->n; other++) {
        if (other != at) {
            sim_cut(sim, at, other, true);
            sim_cut(sim, other, at, true);
        }
    }
}

static void join(struct sim *sim, unsigned a, unsigned b)
{
    sim_cut(sim, a, b, false);
    sim_cut(sim, b, a, false);
}

#define NOBODY 99u

/* The timers that they have drawn, and the next ones; candidates have theirs at the same place. */
static void set_timeouts(struct sim *sim, unsigned at, unsigned forgets, unsigned others_ms)
{
    for (unsigned other = 0; other < sim->n; other++) {
        struct raft *raft = sim->members[other].raft;
        raft_fixture_set_randomized_election_timeout(&sim->fixture, other,
                                                     other == at ? 1000 : 2000);
        if (raft_state(raft) != RAFT_LEADER)
            raft->follower_state.randomized_election_timeout = other == at        ? 1000
                                                               : other == forgets ? 1300
                                                                                  : others_ms;
    }
}

static raft_term last_term(const struct raft *raft)
{
    const struct raft_trail *trail = &raft->trail;
    return trail->records[trail->back == 0 ? trail->size - 1 : trail->back - 1].term;
}

/* As from the leader that it knows: it begins an election that others take part in at once. */
static bool tell_to_campaign(struct sim_member *m)
{
    raft_id leader;
    const char *address;
    raft_leader(m->raft, &leader, &address);
    if (leader == 0 || leader == m->raft->id)
        return false;
    struct raft_message message = {.type = RAFT_TIMEOUT_NOW,
                                   .server_id = leader,
                                   .server_address = address,
                                   .timeout_now = {.term = raft_current_term(m->raft),
                                                   .last_log_index = raft_last_index(m->raft),
                                                   .last_log_term = last_term(m->raft)}};
    m->recv(m->raft->io, &message);
    return true;
}

/* Makes this member the leader of a new term, and no other.  `forgets` is one that cannot win but
 * believes in another leader, until its own timer runs out. */
static void elect(struct sim *sim, unsigned at, unsigned forgets)
{
    struct raft *raft = sim->members[at].raft;
    raft_term term = 0;
    for (unsigned other = 0; other < sim->n; other++) {
        raft_term t = raft_current_term(sim->members[other].raft);
        term = t > term ? t : term;
    }
    assert_int_not_equal(raft_state(raft), RAFT_LEADER);
    if (!tell_to_campaign(&sim->members[at]))
        set_timeouts(sim, at, forgets, 100000);
    for (unsigned i = 0; i < 100000; i++) {
        if (raft_state(raft) == RAFT_LEADER && raft_current_term(raft) > term) {
            set_timeouts(sim, at, forgets, 2000);
            return;
        }
        sim_step(sim);
    }
    fail_msg("member %u was not elected", at + 1);
}

static void assert_equal_after_healing(struct sim *sim)
{
    sim_heal(sim);
    for (unsigned s = 0; s < 60 && !sim_settled(sim); s++)
        sim_run_ms(sim, 1000);
    assert_true(sim_settled(sim));
    assert_int_equal(sim->n_differ, 0);
    assert_int_equal(sim->n_commit_back, 0);
    assert_string_equal(sim->fatal, "");
}

/* Raft paper, figure 8: an entry of an older term is on a majority, and may still be overwritten:
 * counting its copies must not commit it. */
static void old_terms_are_not_committed_by_counting(void **state)
{
    (void)state;
    struct sim *sim = new_sim(5);
    elect(sim, 0, NOBODY);
    sim_run_ms(sim, 1000); /* Its barrier is everywhere. */
    struct raft *first = sim->members[0].raft;
    raft_index old = raft_last_index(first) + 1;
    for (unsigned other = 2; other < 5; other++) {
        sim_cut(sim, 0, other, true);
        sim_cut(sim, other, 0, true);
    }
    put(sim, 0);
    sim_run_ms(sim, 150); /* On 1 and 2 only. */
    assert_int_equal(raft_last_index(sim->members[1].raft), old);
    separate(sim, 0);
    separate(sim, 1);
    elect(sim, 4, NOBODY); /* By 3 and 4. */
    separate(sim, 4);
    put(sim, 4);

    join(sim, 0, 1);
    join(sim, 0, 2);
    join(sim, 1, 2);
    sim_cut(sim, 3, 2, true);
    sim_cut(sim, 2, 3, true);
    sim_run_ms(sim, 1500); /* It has noticed that it is alone. */
    elect(sim, 0, 2);
    raft_index own = raft_last_index(first); /* At least one entry of the new term. */
    for (unsigned i = 0; i < 20000 && raft_commit_index(first) < own; i++) {
        sim_step(sim);
        raft_index commit = raft_commit_index(first);
        assert_true(commit < old || commit > old); /* Never the old entry alone. */
    }
    assert_true(own > old);
    assert_true(raft_commit_index(first) >= own);

    separate(sim, 0);
    for (unsigned a = 1; a < 5; a++) {
        for (unsigned b = 1; b < 5; b++) {
            if (a != b)
                join(sim, a, b);
        }
    }
    sim_run_ms(sim, 10000);
    assert_equal_after_healing(sim);
    sim_free(sim);
}

/* Followers' disks are slower than entries arrive: the leader's last entry is never the one that
 * they have stored, and still commits must go on. */
static void slow_followers_do_not_starve_commits(void **state)
{
    (void)state;
    struct sim *sim = new_sim(3);
    elect(sim, 0, NOBODY);
    sim_run_ms(sim, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        put(sim, 0);
        sim_run_ms(sim, 5);
        if (i > 100)
            assert_true(raft_commit_index(sim->members[0].raft) + 60 >
                        raft_last_index(sim->members[0].raft));
    }
    assert_int_equal(raft_state(sim->members[0].raft), RAFT_LEADER);
    assert_equal_after_healing(sim);
    assert_int_equal(sim->members[1].sink.n[PRODUCER], 1000);
    sim_free(sim);
}

static unsigned count_holders(struct sim *sim, raft_index index, raft_term term)
{
    unsigned n = 0;
    for (unsigned at = 0; at < sim->n; at++) {
        struct raft *raft = sim->members[at].raft;
        n += raft->last_stored >= index && raft_current_term(raft) >= term;
    }
    return n;
}

/* A follower with a longer, conflicting tail answers an empty message: the index it names must be
 * what was checked, not the end of its own log. */
static void a_conflicting_tail_is_no_match(void **state)
{
    (void)state;
    struct sim *sim = new_sim(5);
    elect(sim, 0, NOBODY);
    sim_run_ms(sim, 1000);
    for (unsigned other = 2; other < 5; other++) {
        sim_cut(sim, 0, other, true);
        sim_cut(sim, other, 0, true);
    }
    for (unsigned i = 0; i < 4; i++)
        put(sim, 0); /* On 1 and 2 only: the tail. */
    sim_run_ms(sim, 200);
    separate(sim, 0);
    separate(sim, 1);      /* Its log would win. */
    elect(sim, 2, NOBODY); /* By 4 and 5. */
    join(sim, 1, 2);
    join(sim, 1, 3);
    join(sim, 1, 4);
    put(sim, 2);
    sim_cut(sim, 2, 4, true);
    sim_cut(sim, 4, 2, true);
    struct raft *leader = sim->members[2].raft;
    raft_index index = raft_last_index(leader);
    raft_term term = raft_current_term(leader);
    for (unsigned ms = 0; ms < 300; ms += 5) {
        sim_run_ms(sim, 5);
        if (raft_commit_index(leader) >= index)
            assert_true(count_holders(sim, index, term) >= 3);
    }
    separate(sim, 2);
    separate(sim, 3);
    join(sim, 0, 1);
    join(sim, 0, 4);
    join(sim, 1, 4);
    sim_run_ms(sim, 10000);
    assert_equal_after_healing(sim);
    sim_free(sim);
}

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_terms_are_not_committed_by_counting),
        cmocka_unit_test(slow_followers_do_not_starve_commits),
        cmocka_unit_test(a_conflicting_tail_is_no_match),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
