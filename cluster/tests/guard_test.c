/* Each part of the guard, with the test that crashes, diverges or floods without it.
 *
 * What breaks is run in a child process: by the library's own fixture for G1, G2, G3 and G7, by a
 * real log on a real disk whose writes fail for G4.  The rest stands on raft_io made by hand. */
#include "cluster/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/log.h"
#include "cluster/tests/sim.h"
#include "cluster/transport.h"
#include "testing/cmocka.h"
#include "testing/fake_link.h"

/* ---- children ---- */

enum outcome { WELL, WRONG, CRASHED };

static const char *const outcome_names[] = {"well", "wrong", "crashed"};

/* Runs `what(argument)` in a child, which says whether it went well. */
static enum outcome in_child(bool (*what)(unsigned argument), unsigned argument)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static const int signals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE};
        for (size_t i = 0; i < QR_COUNT(signals); i++)
            signal(signals[i], SIG_DFL); /* Not cmocka's. */
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        dup2(null, 2);
        _exit(what(argument) ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFSIGNALED(status))
        return CRASHED;
    return WEXITSTATUS(status) == 0 ? WELL : WRONG;
}

/* ---- G1, G2, G3: histories ---- */

#define HISTORIES 200u

static bool run_histories(unsigned guard_off)
{
    for (uint64_t seed = 1; seed <= HISTORIES; seed++) {
        if (sim_history(seed, 3, 12000, guard_off, NULL) != NULL)
            return false;
    }
    return true;
}

static void histories_break_without_the_guard(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        unsigned off;
    } rows[] = {
        {"G1", QR_GUARD_G1},
        {"G2", QR_GUARD_G2},
        {"G3", QR_GUARD_G3},
    };
    assert_int_equal(in_child(run_histories, 0), WELL);
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        enum outcome outcome = in_child(run_histories, rows[i].off);
        printf("%u histories without %s: %s\n", HISTORIES, rows[i].name, outcome_names[outcome]);
        assert_int_not_equal(outcome, WELL);
    }
}

/* ---- G7: a follower that does not answer for a while ---- */

/* How often the leader sends a snapshot to a follower that falls silent while the first is on its
 * way, as one does that is busy with receiving it. */
static unsigned count_snapshots(unsigned guard_off)
{
    struct sim *sim = sim_new(7, 3, guard_off);
    assert_true(sim_wait_leader(sim, 20000));
    unsigned leader = sim_leader(sim)->at, away = (leader + 1) % 3;
    for (unsigned other = 0; other < 3; other++) {
        if (other != away) {
            sim_cut(sim, away, other, true);
            sim_cut(sim, other, away, true);
        }
    }
    for (unsigned i = 0; i < 100; i++) {
        sim_propose(sim, leader);
        sim_run_ms(sim, 100);
    }
    assert_int_equal(sim_leader(sim)->at, leader);
    assert_true(sim->members[leader].fsm.n_snapshots > 2);
    unsigned before = raft_fixture_n_send(&sim->fixture, leader, RAFT_INSTALL_SNAPSHOT);
    sim_cut(sim, leader, away, false);
    sim_cut(sim, away, leader, false);
    while (raft_fixture_n_send(&sim->fixture, leader, RAFT_INSTALL_SNAPSHOT) == before)
        sim_run_ms(sim, 5);
    raft_fixture_set_network_latency(&sim->fixture, away, 4000);
    sim_run_ms(sim, 3000);
    unsigned n = raft_fixture_n_send(&sim->fixture, leader, RAFT_INSTALL_SNAPSHOT) - before;
    sim_free(sim);
    return n;
}

static void a_silent_follower_is_not_flooded(void **state)
{
    (void)state;
    unsigned with = count_snapshots(0), without = count_snapshots(QR_GUARD_G7);
    printf("snapshots sent to a silent follower: %u, without G7 %u\n", with, without);
    assert_in_range(with, 1, 2);
    assert_true(without > 5);
}

/* ---- G4: a real log whose writes fail ---- */

struct disk {
    uv_loop_t loop;
    uv_timer_t alarm;
    bool alarmed;
    char dir[32];
    struct qr_fake_net net;
    struct qr_transport transport;
    struct raft raft;
    struct qr_guard guard;
    struct memory_sink sink;
    struct qr_machine machine;
    struct qr_fsm fsm;
    unsigned n_applied;
    struct raft_apply req;
};

static void on_alarm(uv_timer_t *timer)
{
    struct disk *disk = timer->data;
    disk->alarmed = true;
}

/* The only clean end of the child. */
static void on_fail_stop(void *data, const char *sentence)
{
    (void)data;
    _exit(strstr(sentence, "could not be written") != NULL ? 0 : 1);
}

static void on_disk_applied(struct raft_apply *req, int status, void *result)
{
    struct disk *disk = req->data;
    (void)result;
    disk->n_applied += status == 0;
}

static bool append_to(struct disk *disk)
{
    struct raft_buffer buf = {.base = raft_calloc(1, 8192), .len = 8192};
    disk->req.data = disk;
    int rv = raft_apply(&disk->raft, &disk->req, &buf, 1, on_disk_applied);
    if (rv != 0)
        raft_free(buf.base);
    return rv == 0;
}

static void turn_until(struct disk *disk, unsigned n_applied, unsigned ms)
{
    disk->alarmed = false;
    uv_timer_start(&disk->alarm, on_alarm, ms, 0);
    while (!disk->alarmed && disk->n_applied < n_applied)
        uv_run(&disk->loop, UV_RUN_ONCE);
}

/* In the child: an entry, then the limit on the size of files falls to nothing, then another. */
static bool write_to_a_failing_disk(unsigned guard_off)
{
    static struct disk disk;
    const struct qr_sink sink = memory_sink_of(&disk.sink);
    const struct qr_machine_events events = {0};
    struct raft_configuration configuration;
    snprintf(disk.dir, sizeof disk.dir, "/tmp/qr-guard-XXXXXX");
    if (mkdtemp(disk.dir) == NULL)
        return false;
    uv_loop_init(&disk.loop);
    uv_timer_init(&disk.loop, &disk.alarm);
    disk.alarm.data = &disk;
    qr_fake_net_init(&disk.net, &disk.loop, 1);
    qr_machine_init(&disk.machine, &sink, &events);
    disk.machine.failed = true; /* The entries are no commands. */
    qr_fsm_init(&disk.fsm, &disk.raft, &disk.machine);
    qr_transport_init(&disk.transport, &disk.loop, qr_fake_link_new(&disk.net, 1), 1, disk.dir);
    if (raft_init(&disk.raft, &disk.transport.io, &disk.fsm.fsm, 1, "a:1") != 0)
        return false;
    qr_transport_install(&disk.transport);
    qr_guard_install(&disk.guard, &disk.raft, on_fail_stop, NULL);
    disk.guard.off = guard_off;
    disk.raft.tracer = NULL;
    raft_uv_set_tracer(&disk.transport.io, qr_guard_tracer(&disk.guard));
    raft_uv_set_disk_retry(&disk.transport.io, 100);
    raft_configuration_init(&configuration);
    raft_configuration_add(&configuration, 1, "a:1", RAFT_VOTER);
    raft_bootstrap(&disk.raft, &configuration);
    raft_configuration_close(&configuration);
    if (raft_start(&disk.raft) != 0)
        return false;
    turn_until(&disk, 1, 500); /* Segments are prepared. */
    if (!append_to(&disk))
        return false;
    turn_until(&disk, 1, 5000);
    if (disk.n_applied != 1)
        return false;

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){1, 1});
    append_to(&disk);
    turn_until(&disk, 2, 2000);
    return false;
}

static void remove_dirs(void)
{
    DIR *tmp = opendir("/tmp");
    for (struct dirent *e; (e = readdir(tmp)) != NULL;) {
        char path[300];
        if (strncmp(e->d_name, "qr-guard-", 9) != 0)
            continue;
        snprintf(path, sizeof path, "/tmp/%s", e->d_name);
        DIR *dir = opendir(path);
        for (struct dirent *f; dir != NULL && (f = readdir(dir)) != NULL;) {
            if (f->d_name[0] != '.')
                unlinkat(dirfd(dir), f->d_name, 0);
        }
        if (dir != NULL)
            closedir(dir);
        rmdir(path);
    }
    closedir(tmp);
}

static void a_failed_log_write_stops_the_member_at_once(void **state)
{
    (void)state;
    enum outcome with = in_child(write_to_a_failing_disk, 0);
    enum outcome without = in_child(write_to_a_failing_disk, QR_GUARD_G4);
    remove_dirs();
    printf("a failed log write: %s, without G4 %s\n", outcome_names[with], outcome_names[without]);
    assert_int_equal(with, WELL);
    assert_int_equal(without, CRASHED);
}

/* ---- raft_io by hand ---- */

struct hand {
    struct raft raft;
    struct raft_io io;
    struct qr_guard guard;
    int answer; /* Of the wrapped methods. */
    raft_time now;
    char sentence[256];
    unsigned n_stops;
    struct raft_message sent; /* The last one, and its request. */
    unsigned n_sent;
    struct raft_io_send *send_req;
    struct raft_io_append *append_req;
    struct raft_io_snapshot_get *get_req;
    unsigned n_received;
    raft_io_recv_cb recv;
    struct raft_message received;
    int status; /* That the library got. */
    unsigned n_called;
    struct raft_snapshot snapshot;
};

static struct hand hand;

static int hand_start(struct raft_io *io, unsigned ms, raft_io_tick_cb tick, raft_io_recv_cb recv)
{
    (void)io;
    (void)ms;
    (void)tick;
    hand.recv = recv; /* The guard's. */
    return 0;
}

static void hand_close(struct raft_io *io, raft_io_close_cb cb)
{
    cb(io);
}

static int hand_send(struct raft_io *io, struct raft_io_send *req, const struct raft_message *m,
                     raft_io_send_cb cb)
{
    (void)io;
    if (hand.answer != 0)
        return hand.answer;
    hand.sent = *m;
    hand.n_sent++;
    hand.send_req = req;
    req->cb = cb;
    return 0;
}

static int hand_append(struct raft_io *io, struct raft_io_append *req,
                       const struct raft_entry entries[], unsigned n, raft_io_append_cb cb)
{
    (void)io;
    (void)entries;
    (void)n;
    hand.append_req = req;
    req->cb = cb;
    return hand.answer;
}

static int hand_truncate(struct raft_io *io, raft_index index)
{
    (void)io;
    (void)index;
    return hand.answer;
}

static int hand_set_term(struct raft_io *io, raft_term term)
{
    (void)io;
    (void)term;
    return hand.answer;
}

static int hand_set_vote(struct raft_io *io, raft_id id)
{
    (void)io;
    (void)id;
    return hand.answer;
}

static int hand_get(struct raft_io *io, struct raft_io_snapshot_get *req,
                    raft_io_snapshot_get_cb cb)
{
    (void)io;
    hand.get_req = req;
    req->cb = cb;
    return hand.answer;
}

static raft_time hand_time(struct raft_io *io)
{
    (void)io;
    return hand.now;
}

static void on_stop(void *data, const char *sentence)
{
    (void)data;
    snprintf(hand.sentence, sizeof hand.sentence, "%s", sentence);
    hand.n_stops++;
}

static void on_send_done(struct raft_io_send *req, int status)
{
    (void)req;
    hand.status = status;
    hand.n_called++;
}

static void on_append_done(struct raft_io_append *req, int status)
{
    (void)req;
    hand.status = status;
    hand.n_called++;
}

static void library_tick(struct raft_io *io)
{
    (void)io;
}

static void library_recv(struct raft_io *io, struct raft_message *message)
{
    (void)io;
    hand.received = *message;
    hand.n_received++;
}

static void on_hand_closed(struct raft_io *io)
{
    (void)io;
}

static int take_by_hand(void **state)
{
    (void)state;
    memset(&hand, 0, sizeof hand);
    hand.now = 1000;
    hand.io = (struct raft_io){.data = &hand.raft,
                               .start = hand_start,
                               .close = hand_close,
                               .send = hand_send,
                               .append = hand_append,
                               .truncate = hand_truncate,
                               .set_term = hand_set_term,
                               .set_vote = hand_set_vote,
                               .snapshot_get = hand_get,
                               .time = hand_time};
    hand.raft.io = &hand.io;
    hand.raft.trail.snapshot.index = 1;
    qr_guard_install(&hand.guard, &hand.raft, on_stop, NULL);
    hand.io.start(&hand.io, 100, library_tick, library_recv);
    return 0;
}

static int let_go(void **state)
{
    (void)state;
    if (!hand.guard.closing)
        hand.io.close(&hand.io, on_hand_closed);
    return 0;
}

static void every_failed_write_is_a_stop(void **state)
{
    (void)state;
    struct raft_io *io = &hand.io;
    struct raft_io_append req;
    assert_int_equal(io->set_term(io, 1), 0);
    assert_int_equal(io->set_vote(io, 1), 0);
    assert_int_equal(io->truncate(io, 1), 0);
    assert_int_equal(io->append(io, &req, NULL, 0, on_append_done), 0);
    hand.append_req->cb(hand.append_req, 0);
    assert_int_equal(hand.n_called, 1);
    assert_int_equal(hand.n_stops, 0);

    hand.answer = RAFT_IOERR;
    assert_int_equal(io->set_term(io, 1), RAFT_IOERR);
    assert_int_equal(hand.n_stops, 1);
    assert_non_null(strstr(hand.sentence, "term"));
    assert_int_equal(io->set_vote(io, 1), RAFT_IOERR);
    assert_int_equal(hand.n_stops, 2);
    assert_int_equal(io->truncate(io, 1), RAFT_IOERR);
    assert_int_equal(hand.n_stops, 3);
    assert_int_equal(io->append(io, &req, NULL, 0, on_append_done), RAFT_IOERR);
    assert_int_equal(hand.n_stops, 4);
    hand.answer = 0;
    assert_int_equal(io->append(io, &req, NULL, 0, on_append_done), 0);
    hand.append_req->cb(hand.append_req, RAFT_NOSPACE);
    assert_int_equal(hand.n_stops, 5);
    assert_int_equal(hand.n_called, 1); /* The library never hears of it. */
}

static void writes_that_closing_cancels_are_no_failure(void **state)
{
    (void)state;
    struct raft_io_append req;
    assert_int_equal(hand.io.append(&hand.io, &req, NULL, 0, on_append_done), 0);
    hand.io.close(&hand.io, on_hand_closed);
    hand.append_req->cb(hand.append_req, RAFT_CANCELED);
    assert_int_equal(hand.n_stops, 0);
    assert_int_equal(hand.status, RAFT_CANCELED);
}

/* As the library does: sends from inside the callback, with the term that it decided on. */
static void library_loaded(struct raft_io_snapshot_get *req, struct raft_snapshot *snapshot,
                           int status)
{
    static struct raft_io_send send;
    (void)req;
    hand.n_called++;
    hand.status = status;
    if (status != 0)
        return;
    struct raft_message m = {.type = RAFT_INSTALL_SNAPSHOT,
                             .server_id = 2,
                             .install_snapshot = {.last_index = snapshot->index, .last_term = 3}};
    assert_int_equal(hand.io.send(&hand.io, &send, &m, on_send_done), 0);
}

static void a_snapshot_goes_out_with_its_own_term(void **state)
{
    (void)state;
    struct raft_io_snapshot_get req;
    hand.snapshot = (struct raft_snapshot){.index = 50, .term = 4};
    assert_int_equal(hand.io.snapshot_get(&hand.io, &req, library_loaded), 0);
    hand.get_req->cb(hand.get_req, &hand.snapshot, 0);
    assert_int_equal(hand.sent.install_snapshot.last_index, 50);
    assert_int_equal(hand.sent.install_snapshot.last_term, 4);
    hand.send_req->cb(hand.send_req, 0);

    hand.guard.off = QR_GUARD_G2;
    hand.now += QR_GUARD_RESEND_MS;
    assert_int_equal(hand.io.snapshot_get(&hand.io, &req, library_loaded), 0);
    hand.get_req->cb(hand.get_req, &hand.snapshot, 0);
    assert_int_equal(hand.sent.install_snapshot.last_term, 3);
    hand.send_req->cb(hand.send_req, 0);
}

static void a_snapshot_that_cannot_be_read_is_a_stop(void **state)
{
    (void)state;
    struct raft_io_snapshot_get req;
    assert_int_equal(hand.io.snapshot_get(&hand.io, &req, library_loaded), 0);
    hand.get_req->cb(hand.get_req, &hand.snapshot, RAFT_IOERR);
    assert_int_equal(hand.n_stops, 1);
    assert_int_equal(hand.n_called, 0); /* It would free what was never set. */
    hand.raft.trail.snapshot.index = 0;
    assert_int_not_equal(hand.io.snapshot_get(&hand.io, &req, library_loaded), 0);
    assert_int_equal(hand.n_stops, 2);
}

static unsigned entries_sent(const enum raft_entry_type *types, unsigned n)
{
    struct raft_entry entries[4];
    struct raft_io_send req;
    for (unsigned i = 0; i < n; i++)
        entries[i] = (struct raft_entry){.term = 1, .type = types[i]};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES,
                             .server_id = 2,
                             .append_entries = {.entries = entries, .n_entries = n}};
    assert_int_equal(hand.io.send(&hand.io, &req, &m, on_send_done), 0);
    hand.send_req->cb(hand.send_req, 0);
    return hand.sent.append_entries.n_entries;
}

static void a_configuration_is_always_the_first_of_its_message(void **state)
{
    (void)state;
    const enum raft_entry_type later[] = {RAFT_COMMAND, RAFT_BARRIER, RAFT_CHANGE, RAFT_COMMAND};
    const enum raft_entry_type first[] = {RAFT_CHANGE, RAFT_COMMAND, RAFT_COMMAND, RAFT_CHANGE};
    const enum raft_entry_type none[] = {RAFT_COMMAND, RAFT_COMMAND, RAFT_BARRIER};
    assert_int_equal(entries_sent(later, 4), 2);
    assert_int_equal(entries_sent(first, 4), 3);
    assert_int_equal(entries_sent(none, 3), 3);
    assert_int_equal(entries_sent(none, 0), 0);
    hand.guard.off = QR_GUARD_G5;
    assert_int_equal(entries_sent(later, 4), 4);
}

static int send_snapshot(raft_id to, raft_index index, struct raft_io_send *req)
{
    const struct raft_message m = {
        .type = RAFT_INSTALL_SNAPSHOT, .server_id = to, .install_snapshot = {.last_index = index}};
    return hand.io.send(&hand.io, req, &m, on_send_done);
}

static void one_snapshot_a_peer_is_on_its_way(void **state)
{
    (void)state;
    struct raft_io_send req[6];
    assert_int_equal(send_snapshot(2, 50, &req[0]), 0);
    struct raft_io_send *first = hand.send_req;
    assert_int_equal(send_snapshot(2, 50, &req[1]), 0); /* in flight: dropped */
    assert_int_equal(send_snapshot(2, 60, &req[2]), 0);
    assert_int_equal(hand.n_sent, 1);
    assert_int_equal(hand.n_called, 0);                 /* Never from inside. */
    assert_int_equal(send_snapshot(3, 50, &req[3]), 0); /* another peer */
    assert_int_equal(hand.n_sent, 2);
    hand.send_req->cb(hand.send_req, 0);
    first->cb(first, 0);
    assert_int_equal(hand.n_called, 2);
    assert_int_equal(send_snapshot(2, 50, &req[4]), 0); /* just arrived */
    assert_int_equal(hand.n_sent, 2);
    assert_int_equal(send_snapshot(2, 70, &req[5]), 0); /* a newer one */
    assert_int_equal(hand.n_sent, 3);
    hand.send_req->cb(hand.send_req, 0);
    assert_int_equal(hand.guard.n_snapshots_dropped, 3);

    /* Closing completes what was dropped. */
    hand.n_called = 0;
    hand.io.close(&hand.io, on_hand_closed);
    assert_int_equal(hand.n_called, 3);
    assert_int_equal(hand.status, RAFT_CANCELED);
    assert_int_equal(send_snapshot(2, 80, &req[0]), RAFT_CANCELED);
}

static void a_snapshot_that_may_be_lost_goes_again_at_once(void **state)
{
    (void)state;
    struct raft_io_send req;
    assert_int_equal(send_snapshot(2, 50, &req), 0);
    hand.send_req->cb(hand.send_req, RAFT_NOCONNECTION);
    assert_int_equal(send_snapshot(2, 50, &req), 0);
    assert_int_equal(hand.n_sent, 2);
    hand.send_req->cb(hand.send_req, 0);
    qr_guard_peer_down(&hand.guard, 2);
    assert_int_equal(send_snapshot(2, 50, &req), 0);
    assert_int_equal(hand.n_sent, 3);
    hand.send_req->cb(hand.send_req, 0);
    hand.now += QR_GUARD_RESEND_MS;
    assert_int_equal(send_snapshot(2, 50, &req), 0);
    assert_int_equal(hand.n_sent, 4);
    hand.send_req->cb(hand.send_req, 0);
}

static void a_lost_leader_ends_the_wait(void **state)
{
    (void)state;
    struct raft *raft = &hand.raft;
    hand.now = 100000;
    raft->state = RAFT_FOLLOWER;
    raft->election_timer_start = 99900;
    raft->follower_state.randomized_election_timeout = 1500;
    raft->follower_state.current_leader.id = 2;
    qr_guard_leader_lost(&hand.guard); /* Not without pre-vote. */
    assert_int_equal(raft->election_timer_start, 99900);
    raft->pre_vote = true;
    qr_guard_leader_lost(&hand.guard);
    assert_int_equal(raft->election_timer_start, 98500);
    raft->election_timer_start = 98000; /* Out already. */
    qr_guard_leader_lost(&hand.guard);
    assert_int_equal(raft->election_timer_start, 98000);
    raft->election_timer_start = 99900;
    raft->state = RAFT_LEADER;
    qr_guard_leader_lost(&hand.guard);
    assert_int_equal(raft->election_timer_start, 99900);
}

/* G9.  Which byte the library reads depends on where memory lies, so this one stands on what it
 * gets to see; simulation_test's histories differ from run to run without the guard. */
static void a_late_answer_to_a_pre_vote_is_dropped(void **state)
{
    (void)state;
    static const struct {
        unsigned short state;
        bool pre_vote;
        unsigned off;
        unsigned n_received;
    } rows[] = {
        {RAFT_FOLLOWER, true, 0, 0},  {RAFT_FOLLOWER, true, QR_GUARD_G9, 1},
        {RAFT_LEADER, true, 0, 0},    {RAFT_CANDIDATE, true, 0, 1},
        {RAFT_FOLLOWER, false, 0, 1}, {RAFT_CANDIDATE, false, 0, 1},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        struct raft_message message = {
            .type = RAFT_REQUEST_VOTE_RESULT,
            .server_id = 2,
            .request_vote_result = {.version = 2, .term = 8, .pre_vote = rows[i].pre_vote}};
        hand.raft.state = rows[i].state;
        hand.guard.off = rows[i].off;
        hand.n_received = 0;
        hand.recv(&hand.io, &message);
        assert_int_equal(hand.n_received, rows[i].n_received);
    }
}

static void settings_that_starve_the_log_are_refused(void **state)
{
    (void)state;
    const uint64_t mib = 1024 * 1024;
    static const struct {
        uint64_t segment_mib;
        unsigned threshold_kib;
        int result;
    } rows[] = {
        {8, 4096, 0},
        {4, 4096, 0},
        {16, 4096, 0},
        {1, 4096, QR_E_CONFIG}, /* never reached */
        {1, 512, QR_E_CONFIG},
        {32, 4096, QR_E_CONFIG}, /* two of them wrap 16 bits to 0 */
        {64, 4096, QR_E_CONFIG},
        {8, 0, QR_E_CONFIG}, /* no check at all */
        {4, 8192, QR_E_CONFIG},
    };
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        assert_int_equal(qr_guard_check_settings(rows[i].segment_mib * mib, rows[i].threshold_kib),
                         rows[i].result);
}

#define BY_HAND(test) cmocka_unit_test_setup_teardown(test, take_by_hand, let_go)

int main(void)
{
    qr_log_open(2, QR_LOG_ERROR);
    cmocka_set_test_filter(getenv("QR_TEST_FILTER"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(histories_break_without_the_guard),
        cmocka_unit_test(a_silent_follower_is_not_flooded),
        cmocka_unit_test(a_failed_log_write_stops_the_member_at_once),
        BY_HAND(every_failed_write_is_a_stop),
        BY_HAND(writes_that_closing_cancels_are_no_failure),
        BY_HAND(a_snapshot_goes_out_with_its_own_term),
        BY_HAND(a_snapshot_that_cannot_be_read_is_a_stop),
        BY_HAND(a_configuration_is_always_the_first_of_its_message),
        BY_HAND(one_snapshot_a_peer_is_on_its_way),
        BY_HAND(a_snapshot_that_may_be_lost_goes_again_at_once),
        BY_HAND(a_lost_leader_ends_the_wait),
        BY_HAND(a_late_answer_to_a_pre_vote_is_dropped),
        cmocka_unit_test(settings_that_starve_the_log_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
