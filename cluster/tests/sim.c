#include "cluster/tests/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"

#define SNAPSHOT_EVERY 16u
#define TRAILING       4u

/* ---- what members do ---- */

static void on_entry(void *data, const struct qr_command *command, uint64_t index, int result)
{
    struct sim_member *m = data;
    struct sim *sim = m->sim;
    assert(index < SIM_INDEX_MAX);
    if (sim->hashes[index] == 0)
        sim->hashes[index] = m->machine.hash;
    sim->n_differ += sim->hashes[index] != m->machine.hash;
    if (command->member != m->proposer.member || command->incarnation != m->incarnation ||
        result == QR_E_STALE)
        return;
    if (result == QR_E_GAP)
        qr_proposer_gap(&m->proposer, raft_fixture_time(&sim->fixture));
    else
        qr_proposer_applied(&m->proposer, command->sequence, result, index);
}

static void on_restored(void *data, uint64_t index)
{
    struct sim_member *m = data;
    uint64_t hash = m->sim->hashes[index];
    m->sim->n_differ += hash != 0 && hash != m->machine.hash;
    qr_proposer_restored(&m->proposer, qr_machine_producer(&m->machine, m->proposer.member), index);
}

static void on_fatal(void *data, const char *sentence)
{
    struct sim_member *m = data;
    snprintf(m->sim->fatal, sizeof m->sim->fatal, "member %u: %s", m->at + 1, sentence);
}

static void on_applied(struct raft_apply *req, int status, void *result)
{
    (void)status;
    (void)result;
    free(req);
}

static int append(struct sim_member *leader, struct qr_slice entry)
{
    if (leader->frozen || !leader->leads)
        return QR_E_NOT_LEADER;
    struct raft_apply *req = calloc(1, sizeof *req);
    struct raft_buffer buf = {.base = raft_malloc(entry.len), .len = entry.len};
    memcpy(buf.base, entry.base, entry.len);
    int rv = raft_apply(leader->raft, req, &buf, 1, on_applied);
    if (rv != 0) {
        raft_free(buf.base);
        free(req);
    }
    return rv;
}

/* To whom it believes to be the leader; some are lost on their way. */
static int submit(void *data, uint64_t sequence, struct qr_slice entry)
{
    struct sim_member *m = data;
    struct sim *sim = m->sim;
    raft_id id;
    const char *address;
    (void)sequence;
    raft_leader(m->raft, &id, &address);
    if (id == 0 || id > sim->n)
        return QR_E_NO_QUORUM;
    if (sim->cut[m->at][id - 1])
        return QR_E_UNREACHABLE;
    if (id - 1 != m->at && qr_rng_below(&sim->rng, 50) == 0) {
        sim->n_lost++;
        return 0;
    }
    int err = append(&sim->members[id - 1], entry);
    sim->n_refused += err != 0;
    return err == 0 ? QR_PROPOSER_TAKEN : QR_E_NOT_LEADER;
}

static void on_barrier(struct raft_barrier *req, int status)
{
    struct sim_member *m = req->data;
    m->barrier_pending = false;
    bool leads = status == 0 && raft_state(m->raft) == RAFT_LEADER &&
                 m->barrier_term == raft_current_term(m->raft);
    m->led_from = leads ? req->index : 0;
    m->sim->n_led_late += leads && qr_fsm_applied(&m->fsm) < req->index;
}

static void lead(struct sim_member *m)
{
    if (raft_state(m->raft) != RAFT_LEADER || m->barrier_term != raft_current_term(m->raft)) {
        m->leads = false;
        m->led_from = 0;
    }
    if (m->led_from != 0 && qr_fsm_applied(&m->fsm) >= m->led_from) {
        m->leads = true;
        m->led_from = 0;
    }
    if (raft_state(m->raft) != RAFT_LEADER || m->barrier_pending ||
        m->barrier_term == raft_current_term(m->raft))
        return;
    m->barrier.data = m;
    if (raft_barrier(m->raft, &m->barrier, on_barrier) == 0) {
        m->barrier_pending = true;
        m->barrier_term = raft_current_term(m->raft);
    }
}

static void on_announced(struct raft_io_send *req, int status)
{
    (void)status;
    free(req);
}

/* As qr_transport_announce: those that hold what is committed hear so at once. */
static void announce(struct sim_member *m)
{
    raft_index commit = raft_commit_index(m->raft), match;
    if (!m->leads || qr_rng_below(&m->sim->rng, 4) == 0)
        return;
    for (unsigned at = 0; at < m->sim->n; at++) {
        if (at == m->at || m->told[at] >= commit ||
            raft_match_index(m->raft, at + 1, &match) != 0 || match < commit)
            continue;
        raft_term term = raft_current_term(m->raft);
        const struct raft_message message = {.type = RAFT_APPEND_ENTRIES,
                                             .server_id = at + 1,
                                             .server_address =
                                                 m->raft->configuration.servers[at].address,
                                             .append_entries = {.term = term,
                                                                .prev_log_index = commit,
                                                                .prev_log_term = term,
                                                                .leader_commit = commit}};
        struct raft_io_send *req = calloc(1, sizeof *req);
        if (m->raft->io->send(m->raft->io, req, &message, on_announced) != 0)
            free(req);
        m->told[at] = commit;
        m->sim->n_announced++;
    }
}

/* As the group does when the connection to the leader is gone. */
static void doubt(struct sim_member *m)
{
    raft_id leader;
    const char *address;
    raft_leader(m->raft, &leader, &address);
    if (leader == 0 || leader > m->sim->n || qr_rng_below(&m->sim->rng, 20) != 0)
        return;
    if (m->sim->cut[m->at][leader - 1] || m->sim->cut[leader - 1][m->at])
        qr_guard_leader_lost(&m->guard);
}

static void watch(struct sim_member *m)
{
    raft_index commit = raft_commit_index(m->raft);
    m->sim->n_commit_back += commit < m->commit;
    m->commit = commit;
}

static int submit_job(void *data)
{
    struct sim_member *m = data;
    if (m->sim->eager)
        return UV_ENOSYS;
    m->job_waits = true;
    return 0;
}

/* A worker is as fast as chance will have it: what it made is taken later, too. */
static void do_job(struct sim_member *m)
{
    if (m->job_worked) {
        m->job_worked = false;
        qr_fsm_done(&m->fsm);
    } else {
        m->job_waits = false;
        m->job_worked = true;
        qr_fsm_work(&m->fsm);
    }
}

static void apply_some(struct sim_member *m)
{
    struct qr_rng *rng = &m->sim->rng;
    if (m->sim->eager) {
        while (qr_fsm_step(&m->fsm))
            ;
        return;
    }
    if (qr_rng_below(rng, 100) == 0)
        m->sleepy = !m->sleepy;
    if ((m->job_waits || m->job_worked) && qr_rng_below(rng, 12) == 0)
        do_job(m);
    if (qr_rng_below(rng, m->sleepy ? 30 : 2) == 0)
        qr_fsm_step(&m->fsm);
    m->sim->n_restored_late += m->fsm.job == QR_FSM_DECODES;
    if (qr_backlog_waiting(&m->fsm.backlog) > m->sim->n_backlog_most)
        m->sim->n_backlog_most = qr_backlog_waiting(&m->fsm.backlog);
}

static void turn(struct sim_member *m)
{
    watch(m);
    if (m->frozen)
        return;
    apply_some(m);
    lead(m);
    if (!m->sim->calm) {
        announce(m);
        doubt(m);
    }
    raft_id leader;
    const char *address;
    raft_leader(m->raft, &leader, &address);
    raft_term term = raft_current_term(m->raft);
    bool again = leader != 0 && (leader != m->route_leader || term != m->route_term);
    if (again) {
        m->route_leader = leader;
        m->route_term = term;
    }
    qr_proposer_set_ready(&m->proposer, leader != 0, again);
    qr_proposer_pump(&m->proposer, raft_fixture_time(&m->sim->fixture));
}

/* A proposer dies and comes back: what it had in flight may still be applied, or not. */
static void new_life(struct sim_member *m)
{
    m->sim->n_lives++;
    m->incarnation++;
    m->number = m->incarnation << 32;
    qr_proposer_cancel(&m->proposer);
    qr_proposer_init(&m->proposer, m->at + 1, m->incarnation, 2000, submit, m);
}

void sim_propose(struct sim *sim, unsigned at)
{
    struct sim_member *m = &sim->members[at];
    uint64_t number = m->number + 1;
    if (m->proposer.n >= 2 * QR_PROPOSALS_IN_FLIGHT_MAX)
        return;
    int err =
        qr_proposer_add(&m->proposer, QR_COMMAND_SAMPLES, qr_slice_of(&number, 8), 0, NULL, NULL);
    assert(err == 0);
    m->number = number;
    sim->n_proposed++;
}

/* ---- setting up ---- */

static void no_trace(struct raft_tracer *tracer, int type, const void *info)
{
    (void)tracer;
    (void)type;
    (void)info;
}

static struct raft_tracer silent = {.version = 2, .emit = no_trace};

/* The fixture miscounts after an installed snapshot and overruns its array; nothing reads its
 * "disk" back. */
static int no_truncate(struct raft_io *io, raft_index index)
{
    (void)io;
    (void)index;
    return 0;
}

static struct sim_member *member_of(struct raft_io *io)
{
    struct raft *raft = io->data;
    struct qr_guard *guard = raft->data;
    return QR_CONTAINER_OF(guard, struct sim_member, guard);
}

static int start_below(struct raft_io *io, unsigned msecs, raft_io_tick_cb tick,
                       raft_io_recv_cb recv)
{
    struct sim_member *m = member_of(io);
    m->recv = recv;
    return m->start_below(io, msecs, tick, recv);
}

static void setup_member(struct sim *sim, unsigned at, unsigned guard_off)
{
    struct sim_member *m = &sim->members[at];
    const struct qr_sink sink = memory_sink_of(&m->sink);
    const struct qr_machine_events events = {
        .data = m, .entry = on_entry, .restored = on_restored, .fatal = on_fatal};
    m->sim = sim;
    m->at = at;
    m->incarnation = 1;
    m->number = 1ull << 32;
    int err = qr_machine_init(&m->machine, &sink, &events);
    assert(err == 0);
    qr_fsm_init(&m->fsm, NULL, &m->machine);
    m->fsm.submit = submit_job;
    m->fsm.data = m;
    err = raft_fixture_grow(&sim->fixture, &m->fsm.fsm);
    assert(err == 0);
    m->raft = raft_fixture_get(&sim->fixture, at);
    m->fsm.raft = m->raft;
    m->raft->tracer = &silent;
    qr_proposer_init(&m->proposer, at + 1, m->incarnation, 2000, submit, m);
    m->raft->io->truncate = no_truncate;
    m->start_below = m->raft->io->start;
    m->raft->io->start = start_below;
    qr_guard_install(&m->guard, m->raft, on_fatal, m);
    m->guard.off = guard_off;
    qr_fsm_install(&m->fsm);
    qr_fsm_started(&m->fsm);
    raft_set_snapshot_threshold(m->raft, SNAPSHOT_EVERY);
    raft_set_snapshot_trailing(m->raft, TRAILING);
    raft_set_pre_vote(m->raft, true);
    /* Once and for all: completions must not overtake each other. */
    raft_fixture_set_disk_latency(&sim->fixture, at, 1 + (unsigned)qr_rng_below(&sim->rng, 60));
}

struct sim *sim_new(uint64_t seed, unsigned n, unsigned guard_off)
{
    struct sim *sim = calloc(1, sizeof *sim);
    sim->n = n;
    sim->members = calloc(n, sizeof *sim->members);
    sim->hashes = calloc(SIM_INDEX_MAX, sizeof *sim->hashes);
    qr_rng_seed(&sim->rng, seed);
    raft_fixture_initialize(&sim->fixture);
    for (unsigned at = 0; at < n; at++)
        setup_member(sim, at, guard_off);
    struct raft_configuration configuration;
    raft_fixture_configuration(&sim->fixture, n, &configuration);
    raft_fixture_bootstrap(&sim->fixture, &configuration);
    raft_configuration_close(&configuration);
    raft_fixture_start(&sim->fixture);
    return sim;
}

void sim_free(struct sim *sim)
{
    for (unsigned at = 0; at < sim->n; at++)
        qr_proposer_cancel(&sim->members[at].proposer);
    for (unsigned at = 0; at < sim->n; at++)
        qr_fsm_close(&sim->members[at].fsm);
    raft_fixture_close(&sim->fixture);
    for (unsigned at = 0; at < sim->n; at++) {
        while (sim->members[at].fsm.job != QR_FSM_NO_JOB)
            do_job(&sim->members[at]);
        qr_machine_release(&sim->members[at].machine);
        qr_fsm_release(&sim->members[at].fsm);
    }
    free(sim->hashes);
    free(sim->members);
    free(sim);
}

/* ---- running ---- */

void sim_step(struct sim *sim)
{
    struct raft_fixture *f = &sim->fixture;
    struct raft_fixture_event *e = raft_fixture_step(f);
    sim->trace = sim->trace * 31 + (uint64_t)raft_fixture_event_type(e) * 7 +
                 raft_fixture_event_server_index(e) + raft_fixture_time(f);
    if (f->leader_id != sim->leader) {
        sim->leader = f->leader_id;
        sim->n_leaders += sim->leader != 0;
    }
    for (unsigned at = 0; at < sim->n; at++)
        turn(&sim->members[at]);
}

void sim_run_ms(struct sim *sim, unsigned ms)
{
    raft_time end = raft_fixture_time(&sim->fixture) + ms;
    while (raft_fixture_time(&sim->fixture) < end)
        sim_step(sim);
}

void sim_cut(struct sim *sim, unsigned a, unsigned b, bool cut)
{
    if (cut)
        raft_fixture_disconnect(&sim->fixture, a, b);
    else
        raft_fixture_reconnect(&sim->fixture, a, b);
    sim->cut[a][b] = cut;
}

static bool has_cut(const struct sim *sim, unsigned a)
{
    for (unsigned b = 0; b < sim->n; b++) {
        if (sim->cut[a][b] || sim->cut[b][a])
            return true;
    }
    return false;
}

static void cut_some(struct sim *sim, unsigned a, unsigned b)
{
    sim_cut(sim, a, b, true);
    if (qr_rng_below(&sim->rng, 3) != 0) /* else one way */
        sim_cut(sim, b, a, true);
    sim->n_cuts++;
}

void sim_fault(struct sim *sim)
{
    uint64_t what = qr_rng_below(&sim->rng, 1000);
    unsigned a = (unsigned)qr_rng_below(&sim->rng, sim->n);
    unsigned b = (unsigned)qr_rng_below(&sim->rng, sim->n);
    bool awake = a != b && !sim->members[a].frozen && !sim->members[b].frozen;
    if (what < 4 && awake) {
        cut_some(sim, a, b);
    } else if (what < 12 && awake) {
        sim_cut(sim, a, b, false);
        sim_cut(sim, b, a, false);
    } else if (what < 14) {
        raft_fixture_set_network_latency(&sim->fixture, a,
                                         1 + (unsigned)qr_rng_below(&sim->rng, 120));
    } else if (what < 15 && !has_cut(sim, a) && !sim->members[a].frozen) {
        raft_fixture_kill(&sim->fixture, a);
        sim->members[a].frozen = true;
        sim->n_freezes++;
    } else if (what < 19 && sim->members[a].frozen) {
        raft_fixture_revive(&sim->fixture, a);
        sim->members[a].frozen = false;
    } else if (what < 20 && !sim->members[a].frozen && qr_rng_below(&sim->rng, 4) == 0) {
        new_life(&sim->members[a]);
    }
}

void sim_heal(struct sim *sim)
{
    for (unsigned a = 0; a < sim->n; a++) {
        if (sim->members[a].frozen)
            raft_fixture_revive(&sim->fixture, a);
        sim->members[a].frozen = false;
        raft_fixture_set_network_latency(&sim->fixture, a, 5);
        for (unsigned b = 0; b < sim->n; b++) {
            if (a != b)
                sim_cut(sim, a, b, false);
        }
    }
}

struct sim_member *sim_leader(struct sim *sim)
{
    for (unsigned at = 0; at < sim->n; at++) {
        if (sim->members[at].leads && !sim->members[at].frozen)
            return &sim->members[at];
    }
    return NULL;
}

bool sim_wait_leader(struct sim *sim, unsigned max_ms)
{
    raft_time end = raft_fixture_time(&sim->fixture) + max_ms;
    while (sim_leader(sim) == NULL && raft_fixture_time(&sim->fixture) < end)
        sim_step(sim);
    return sim_leader(sim) != NULL;
}

bool sim_settled(const struct sim *sim)
{
    const struct sim_member *first = &sim->members[0];
    for (unsigned at = 0; at < sim->n; at++) {
        const struct sim_member *m = &sim->members[at];
        if (m->proposer.n != 0 || m->machine.applied != first->machine.applied ||
            m->machine.hash != first->machine.hash || m->sink.digest != first->sink.digest)
            return false;
    }
    return true;
}

static const char *verdict(const struct sim *sim, bool settled)
{
    static char sentence[512];
    if (sim->fatal[0] != '\0') {
        snprintf(sentence, sizeof sentence, "%s", sim->fatal);
        return sentence;
    }
    if (sim->n_differ != 0)
        return "members applied different things at one index";
    if (sim->n_commit_back != 0)
        return "a commit index went back";
    if (!settled)
        return "members are not equal after healing";
    for (unsigned at = 0; at < sim->n; at++) {
        const struct sim_member *m = &sim->members[at];
        if (m->sink.n_wrong != 0)
            return "an entry was lost, doubled or out of order";
        if (m->sink.last[m->at + 1] != m->number && (uint32_t)m->number != 0)
            return "a member's last entry is not its last one proposed";
    }
    return NULL;
}

static void print_history(const struct sim *sim, uint64_t seed, const char *wrong)
{
    const struct sim_member *m = &sim->members[0];
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {
        {"entries", m->machine.applied},
        {"leaders", sim->n_leaders},
        {"cuts", sim->n_cuts},
        {"freezes", sim->n_freezes},
        {"lives", sim->n_lives},
        {"lost", sim->n_lost},
        {"refused", sim->n_refused},
        {"announced", sim->n_announced},
        {"snapshots", m->fsm.n_snapshots},
        {"installs", m->fsm.n_restores},
        {"held", m->guard.n_held},
        {"mended", m->guard.n_terms_mended},
        {"raised", m->guard.n_commits_raised},
        {"dropped", m->guard.n_snapshots_dropped},
        {"waited", m->guard.n_snapshots_waited},
        {"backlog", sim->n_backlog_most},
        {"led late", sim->n_led_late},
        {"decoding", sim->n_restored_late},
        {"copied", m->fsm.backlog.n_copied},
    };
    printf("seed %llu:", (unsigned long long)seed);
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        printf(" %s=%llu", rows[i].name, (unsigned long long)rows[i].n);
    printf(": %s\n", wrong != NULL ? wrong : "well");
}

const char *sim_history(uint64_t seed, unsigned n, unsigned steps, unsigned guard_off,
                        uint64_t *trace)
{
    struct sim *sim = sim_new(seed, n, guard_off);
    for (unsigned i = 0; i < steps && sim->fatal[0] == '\0'; i++) {
        sim_step(sim);
        if (qr_rng_below(&sim->rng, 8) == 0)
            sim_propose(sim, (unsigned)qr_rng_below(&sim->rng, n));
        sim_fault(sim);
    }
    sim_heal(sim);
    bool settled = false;
    for (unsigned s = 0; s < 120 && !settled && sim->fatal[0] == '\0'; s++) {
        sim_run_ms(sim, 1000);
        settled = sim_settled(sim);
    }
    const char *wrong = verdict(sim, settled);
    if (trace != NULL)
        *trace = sim->trace;
    if (getenv("QR_SIM_VERBOSE") != NULL)
        print_history(sim, seed, wrong);
    sim_free(sim);
    return wrong;
}
