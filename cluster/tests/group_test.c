#include "cluster/group.h"

#include <fcntl.h>
#include <unistd.h>

#include "cluster/disk_id.h"
#include "cluster/group_private.h"
#include "cluster/tests/group_kit.h"

/* ---- one member ---- */

static void a_single_member_commits(void **state)
{
    (void)state;
    start_all(1);
    propose(1, 50, 100);
    assert_true(wait_for(all_equal));
    struct member *m = &cluster->members[1];
    assert_int_equal(m->done, 50);
    assert_int_equal(m->sink.last[1], 50);
    struct qr_group_status status = status_of(1);
    assert_int_equal(status.leader, 1);
    assert_int_equal(status.n_proposed, 52); /* its introduction, and the record of the members */
    assert_int_equal(status.n_applied, 52);
    assert_int_equal(status.commit, status.applied);
    uint64_t p50, p99;
    qr_group_get_latency(m->group, &p50, &p99);
    assert_true(p50 > 0 && p99 >= p50);
    assert_true(status.leader_since_ms > 0);
    assert_sound();
    teardown_cluster();
}

static void a_single_member_comes_back_from_disk(void **state)
{
    (void)state;
    setup_cluster(1);
    cluster->snapshot_threshold = 64;
    cluster->snapshot_trailing = 16;
    struct member *m = &cluster->members[1];
    uint64_t hash = 0, n = 0;
    for (int round = 0; round < 3; round++) {
        start_member(1);
        assert_true(wait_for(all_ready));
        assert_true(wait_for(all_equal)); /* its introduction is in */
        assert_int_equal(m->sink.last[1], n);
        assert_true(round == 0 || status_of(1).hash != hash);
        propose(1, 100, 64);
        assert_true(wait_for(all_equal));
        n += 100;
        hash = status_of(1).hash;
        assert_sound();
        assert_true(status_of(1).n_snapshots > 0);
        stop_member(1);
    }
    teardown_cluster();
}

static void what_the_sink_refuses_is_told_to_the_proposer(void **state)
{
    (void)state;
    start_all(1);
    struct member *m = &cluster->members[1];
    m->sink.fail_with = QR_E_FENCED;
    assert_int_equal(
        qr_group_propose(m->group, QR_COMMAND_SAMPLES, qr_slice_of("12345678", 8), on_done, m), 0);
    propose(1, 3, 16);
    assert_true(wait_for(all_equal));
    assert_int_equal(m->failed, 1);
    assert_int_equal(m->done, 3);
    assert_int_equal(status_of(1).n_refused, 1);
    teardown_cluster();
}

static bool has_fatal(void)
{
    return cluster->members[1].fatal[0] != '\0';
}

static void trouble_of_the_sink_itself_stops_the_member(void **state)
{
    (void)state;
    start_all(1);
    cluster->members[1].sink.fail_with = UV_ENOMEM;
    propose(1, 1, 16);
    assert_true(wait_for(has_fatal));
    assert_non_null(strstr(cluster->members[1].fatal, "not enough memory"));
    teardown_cluster();
}

static void the_window_and_the_queue_are_bounded(void **state)
{
    (void)state;
    start_all(1);
    assert_true(wait_for(all_equal)); /* its introduction is in */
    struct member *m = &cluster->members[1];
    char body[16] = {0};
    int err = 0;
    unsigned n = 0;
    for (; err == 0 && n < 10000; n++)
        err = qr_group_propose(m->group, QR_COMMAND_SAMPLES, qr_slice_of(body, sizeof body), NULL,
                               NULL);
    assert_int_equal(err, QR_E_BUSY);
    assert_int_equal(n - 1, QR_PROPOSALS_WAITING_MAX + QR_PROPOSALS_IN_FLIGHT_MAX);
    uv_run(&cluster->loop, UV_RUN_ONCE);
    assert_true(qr_group_get_load(m->group).n_in_flight <= QR_PROPOSALS_IN_FLIGHT_MAX);
    assert_true(wait_for(all_equal));
    assert_int_equal(qr_group_propose(m->group, QR_COMMAND_SAMPLES,
                                      qr_slice_of(body, QR_ENTRY_BYTES_MAX), NULL, NULL),
                     QR_E_LIMIT);
    teardown_cluster();
}

static void a_log_that_forgot_is_refused(void **state)
{
    (void)state;
    start_all(1);
    propose(1, 20, 64);
    assert_true(wait_for(all_equal));
    stop_member(1);
    /* All but the marker: as if the folder had been put back from an old copy. */
    struct member *m = &cluster->members[1];
    DIR *d = opendir(m->dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && strcmp(e->d_name, "marker") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
    assert_int_equal(open_member(m), QR_E_CORRUPT);
    assert_null(m->group);
    run_ms(50);
    qr_link_close(m->link, NULL, NULL);
    teardown_cluster();
}

/* ---- three members ---- */

static void three_members_elect_and_agree(void **state)
{
    (void)state;
    start_all(3);
    for (uint32_t id = 1; id <= 3; id++)
        propose(id, 200, 200);
    assert_true(wait_for(all_equal));
    for (uint32_t id = 1; id <= 3; id++) {
        assert_int_equal(cluster->members[id].done, 200);
        assert_int_equal(cluster->members[1].sink.last[id], 200);
        struct qr_group_status status = status_of(id);
        assert_int_equal(status.n_members, 3);
        assert_int_equal(status.leader, leader());
        assert_int_equal(status.n_dropped, 0);
        assert_int_equal(status.n_resent, 0);
        assert_true(status.members[id - 1].self);
    }
    assert_sound();
    teardown_cluster();
}

/* A follower need not wait for a heartbeat to hear that its entry is committed. */
static void followers_see_commits_at_once(void **state)
{
    (void)state;
    start_patient(12000, 2000);
    uint32_t id = follower();
    struct member *m = &cluster->members[id];
    uint64_t started = qr_clock_mono_ms(&qr_clock_system);
    for (unsigned i = 0; i < 20; i++) {
        propose(id, 1, 100);
        while (m->done <= i)
            uv_run(&cluster->loop, UV_RUN_ONCE);
    }
    uint64_t took = qr_clock_mono_ms(&qr_clock_system) - started;
    printf("20 entries of a follower, one by one: %llu ms\n", (unsigned long long)took);
    assert_true(took < 15000); /* Some 80 s with the heartbeats alone. */
    assert_true(wait_for(all_equal));
    assert_sound();
    teardown_cluster();
}

static void ownership_is_handed_out_by_the_log(void **state)
{
    (void)state;
    start_all(3);
    struct qr_buf body = {0};
    struct qr_guid guid = {{42}};
    qr_buf_add(&body, guid.bytes, sizeof guid.bytes);
    qr_buf_add_u64(&body, 77);
    qr_claim_encode(&body, &(struct qr_claim){0});
    for (uint32_t id = 1; id <= 3; id++) {
        struct member *m = &cluster->members[id];
        assert_int_equal(
            qr_group_propose(m->group, QR_COMMAND_OWN, qr_buf_slice(&body), on_done, m), 0);
        assert_true(wait_for(all_equal));
        for (uint32_t other = 1; other <= 3; other++) {
            const struct qr_ownership *o = qr_group_ownership(cluster->members[other].group);
            assert_int_equal(qr_ownership_get(o, 42).member, id);
            assert_int_equal(qr_ownership_get(o, 42).epoch, id);
            assert_int_equal(cluster->members[other].n_owned, id);
            assert_int_equal(cluster->members[other].last_nonce, 77);
        }
    }
    qr_buf_release(&body);
    assert_sound();
    teardown_cluster();
}

static void isolate(uint32_t id, bool cut)
{
    for (uint32_t other = 1; other <= cluster->n; other++) {
        if (other != id)
            qr_fake_net_cut(&cluster->net, id, other, cut);
    }
}

static uint32_t old_leader;

static bool has_other_leader(void)
{
    for (uint32_t id = 1; id <= cluster->n; id++) {
        if (id != old_leader && is_running(id) && status_of(id).role == QR_GROUP_LEADER &&
            qr_group_ready(cluster->members[id].group))
            return true;
    }
    return false;
}

/* What a deposed leader and the followers had on their way is applied once, in order. */
static void a_cut_off_leader_is_replaced_and_nothing_is_lost_or_doubled(void **state)
{
    (void)state;
    start_all(3);
    for (int round = 0; round < 4; round++) {
        old_leader = leader();
        assert_int_not_equal(old_leader, 0);
        for (uint32_t id = 1; id <= 3; id++)
            propose(id, 60, 500);
        run_ms(5 * (unsigned)round); /* Some are in flight. */
        isolate(old_leader, true);
        for (uint32_t id = 1; id <= 3; id++)
            propose(id, 20, 500);
        assert_true(wait_for(has_other_leader));
        isolate(old_leader, false);
        assert_true(wait_for(all_equal));
        assert_true(wait_for(all_ready));
    }
    for (uint32_t id = 1; id <= 3; id++)
        assert_int_equal(cluster->members[id].done, 4 * 80);
    assert_sound();
    teardown_cluster();
}

/* A dead process leaves closed connections: nobody waits for its silence. */
static void a_leader_whose_connections_close_is_replaced_early(void **state)
{
    (void)state;
    /* The two that are left begin 1.2 s apart, the first of them after 3 s. */
    start_patient(12000, 600);
    old_leader = leader();
    uint64_t started = qr_clock_mono_ms(&qr_clock_system);
    isolate(old_leader, true);
    assert_true(wait_for(has_other_leader));
    uint64_t took = qr_clock_mono_ms(&qr_clock_system) - started;
    printf("another leader after %llu ms\n", (unsigned long long)took);
    assert_true(took < 10800); /* 12 to 24 s of silence else, from the last heartbeat on. */
    isolate(old_leader, false);
    assert_true(wait_for(all_ready));
    assert_sound();
    teardown_cluster();
}

static bool majority_equal_and_ready(void)
{
    return all_ready() && all_equal();
}

/* When the leader is gone another one leads already: no timeout, and no closed connection, had to
 * tell the others. */
static void closing_hands_leadership_over(void **state)
{
    (void)state;
    start_patient(20000, 100);
    propose(2, 30, 100);
    assert_true(wait_for(all_equal));
    old_leader = leader();
    assert_int_not_equal(old_leader, 0);
    close_group(old_leader);
    assert_int_not_equal(leader(), 0);
    close_link(old_leader);
    assert_true(wait_for(has_other_leader));
    start_member(old_leader);
    assert_true(wait_for(majority_equal_and_ready));
    assert_sound();
    teardown_cluster();
}

static void a_member_that_was_away_installs_a_snapshot(void **state)
{
    (void)state;
    setup_cluster(3);
    cluster->snapshot_threshold = 50;
    cluster->snapshot_trailing = 10;
    for (uint32_t id = 1; id <= 3; id++)
        start_member(id);
    assert_true(wait_for(all_ready));
    uint32_t away = follower();
    propose(away, 10, 100);
    assert_true(wait_for(all_equal));
    stop_member(away);
    for (uint32_t id = 1; id <= 3; id++) {
        if (id != away)
            propose(id, 300, 100);
    }
    assert_true(wait_for(all_equal));
    start_member(away);
    assert_true(wait_for(majority_equal_and_ready));
    assert_true(status_of(away).n_installs > 0);
    propose(away, 10, 100);
    assert_true(wait_for(all_equal));
    assert_sound();
    assert_int_equal(cluster->members[1].sink.last[away], 20);
    teardown_cluster();
}

static void all_members_come_back_from_disk(void **state)
{
    (void)state;
    start_all(3);
    for (uint32_t id = 1; id <= 3; id++)
        propose(id, 100, 1000);
    assert_true(wait_for(all_equal));
    for (uint32_t id = 1; id <= 3; id++)
        stop_member(id);
    for (uint32_t id = 1; id <= 3; id++)
        start_member(id);
    assert_true(wait_for(majority_equal_and_ready));
    for (uint32_t id = 1; id <= 3; id++)
        assert_int_equal(cluster->members[id].sink.last[id], 100);
    assert_sound();
    teardown_cluster();
}

/* Entries and snapshots far above a link frame's usual size; large messages are split. */
static void large_entries_and_snapshots_pass(void **state)
{
    (void)state;
    setup_cluster(3);
    cluster->snapshot_threshold = 8;
    cluster->snapshot_trailing = 4;
    for (uint32_t id = 1; id <= 3; id++) {
        cluster->members[id].sink.ballast = 4u * 1024 * 1024;
        start_member(id);
    }
    assert_true(wait_for(all_ready));
    uint32_t away = follower();
    stop_member(away);
    for (uint32_t id = 1; id <= 3; id++) {
        if (id != away)
            propose(id, 20, 900u * 1024);
    }
    assert_true(wait_for(all_equal));
    start_member(away);
    assert_true(wait_for(majority_equal_and_ready));
    assert_true(cluster->net.largest > 4u * 1024 * 1024);
    assert_sound();
    teardown_cluster();
}

static bool someone_diverged(void)
{
    return cluster->members[1].diverged_from != 0 && cluster->members[2].diverged_from != 0 &&
           cluster->members[3].diverged_from != 0;
}

static void a_store_that_behaves_differently_is_found_out(void **state)
{
    (void)state;
    start_all(3);
    propose(1, 10, 50);
    assert_true(wait_for(all_equal));
    cluster->members[2].sink.lie = true;
    propose(3, 1, 50);
    assert_true(wait_for(someone_diverged));
    assert_int_equal(cluster->members[1].diverged_from, 2);
    assert_true(status_of(1).diverged);
    teardown_cluster();
}

static bool first_is_low(void)
{
    return status_of(1).disk_low && !qr_group_ready(cluster->members[1].group);
}

static void a_member_short_of_disk_does_not_propose(void **state)
{
    (void)state;
    setup_cluster(3);
    cluster->disk_reserve = UINT64_MAX / 2;
    start_member(1);
    cluster->disk_reserve = 0;
    start_member(2);
    start_member(3);
    assert_true(wait_for(first_is_low));
    old_leader = 1;
    assert_true(wait_for(has_other_leader));
    propose(2, 10, 100);
    propose(3, 10, 100);
    run_ms(100);
    assert_int_equal(cluster->members[1].done, 0);
    assert_false(qr_group_ready(cluster->members[1].group));
    assert_true(wait_for(has_other_leader));
    teardown_cluster();
    /* Its introduction was never sent. */
}

static bool hands_over(void)
{
    return cluster->members[old_leader].group->transferring;
}

static bool leads_again(void)
{
    return leader() == old_leader && qr_group_ready(cluster->members[old_leader].group);
}

/* Its successor cannot be reached any more, nobody else stands: it leads on, in the same term. */
static void a_leader_that_could_not_hand_over_leads_on(void **state)
{
    (void)state;
    start_patient(4000, 100);
    assert_true(wait_for(all_ready));
    old_leader = leader();
    struct qr_group *group = cluster->members[old_leader].group;
    uint64_t term = status_of(old_leader).term;
    uint64_t done = cluster->members[old_leader].done;
    group->config.disk_reserve_bytes = UINT64_MAX / 2;
    assert_true(wait_for(hands_over));
    group->config.disk_reserve_bytes = 0; /* its disk has room again, before it tries once more */
    uint32_t to = qr_raft_id_member(raft_transferee(&group->raft));
    assert_true(to != 0 && to != old_leader);
    qr_fake_net_cut(&cluster->net, old_leader, to, true);
    assert_true(wait_for(leads_again));
    assert_int_equal(status_of(old_leader).term, term);
    propose(old_leader, 5, 100);
    qr_fake_net_cut(&cluster->net, old_leader, to, false);
    assert_true(wait_for(all_equal));
    assert_int_equal(cluster->members[old_leader].done, done + 5);
    teardown_cluster();
}

/* ---- entries that wait ---- */

/* What is committed is applied some entries a turn, and the member is ready after the last. */
static void a_log_is_applied_as_the_loop_turns(void **state)
{
    (void)state;
    start_all(1);
    propose(1, 400, 100);
    assert_true(wait_for(all_equal));
    stop_member(1);
    struct member *m = &cluster->members[1];
    memset(&m->sink, 0, sizeof m->sink);
    m->sink.slow_us = 1000;
    start_member(1);
    unsigned n_turns = 0;
    uint64_t last = 0;
    while (!qr_group_ready(m->group)) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
        struct qr_group_status status = status_of(1);
        assert_true(status.applied >= last);
        assert_true(status.applied <= status.commit);
        assert_true(status.applied + status.n_backlog >= 400 || status.n_backlog == 0);
        assert_true(!status.ready || status.n_backlog == 0);
        last = status.applied;
        n_turns += status.n_backlog > 0;
    }
    /* At most two slices a turn. */
    assert_true(n_turns > 400 / (2 * (QR_APPLY_SLICE_US / 1000 + 1)));
    assert_int_equal(m->sink.last[1], 400);
    assert_sound();
    teardown_cluster();
}

/* A member that applies slowly answers heartbeats; one that comes to lead does so when it is done.
 */
static void a_leader_begins_when_it_has_applied(void **state)
{
    (void)state;
    start_all(3);
    uint32_t old = leader();
    uint64_t term = status_of(old).term;
    for (uint32_t id = 1; id <= 3; id++)
        cluster->members[id].sink.slow_us = id != old ? 5000 : 0;
    propose(old, 200, 100);
    while (cluster->members[old].done < 200)
        uv_run(&cluster->loop, UV_RUN_ONCE);
    assert_int_equal(status_of(old).term, term);
    for (uint32_t id = 1; id <= 3; id++)
        assert_true(id == old || status_of(id).n_backlog > 0);
    stop_member(old);
    bool led_with_backlog = false;
    while (!(leader() != 0 && qr_group_ready(cluster->members[leader()].group))) {
        uv_run(&cluster->loop, UV_RUN_ONCE);
        led_with_backlog |= leader() != 0 && status_of(leader()).n_backlog > 0;
    }
    assert_true(led_with_backlog);
    assert_int_equal(status_of(leader()).n_backlog, 0);
    assert_int_equal(cluster->members[leader()].sink.last[old], 200);
    start_member(old);
    assert_true(wait_for(all_ready));
    assert_true(wait_for(all_equal));
    assert_sound();
    teardown_cluster();
}

static uint32_t behind;

static bool has_installed(void)
{
    return status_of(behind).n_installs > 0;
}

static bool has_a_backlog(void)
{
    return status_of(behind).n_backlog > 100;
}

/* The library has begun to install: what had not been applied is in what it installs. */
static bool has_forgotten_its_backlog(void)
{
    return status_of(behind).n_backlog == 0;
}

static bool the_others_are_done(void)
{
    for (uint32_t id = 1; id <= 3; id++) {
        struct qr_group_load load = qr_group_get_load(cluster->members[id].group);
        if (id != behind && load.n_waiting + load.n_in_flight != 0)
            return false;
    }
    return true;
}

/* A member makes a snapshot, so entries wait, and is sent one that contains them. */
static void a_snapshot_comes_to_a_member_with_a_backlog(void **state)
{
    (void)state;
    setup_cluster(3);
    cluster->snapshot_threshold = 20;
    cluster->snapshot_trailing = 5;
    for (uint32_t id = 1; id <= 3; id++)
        start_member(id);
    assert_true(wait_for(all_ready));
    behind = follower();
    atomic_store(&memory_sink_held, &cluster->members[behind].sink);
    propose(leader(), 150, 100);
    assert_true(wait_for(the_others_are_done));
    assert_true(wait_for(has_a_backlog));
    uint64_t applied = status_of(behind).applied;
    for (uint32_t id = 1; id <= 3; id++)
        qr_fake_net_cut(&cluster->net, behind, id, id != behind);
    propose(leader(), 60, 100);
    assert_true(wait_for(the_others_are_done));
    for (uint32_t id = 1; id <= 3; id++)
        qr_fake_net_cut(&cluster->net, behind, id, false);
    assert_true(wait_for(has_forgotten_its_backlog));
    assert_false(has_installed());
    assert_int_equal(status_of(behind).applied, applied);
    atomic_store(&memory_sink_held, NULL);
    assert_true(wait_for(has_installed));
    assert_true(wait_for(all_equal));
    assert_sound();
    teardown_cluster();
}

/* Jobs that run when the group closes end before it is freed. */
static void a_group_closes_in_the_midst_of_a_snapshot(void **state)
{
    (void)state;
    setup_cluster(1);
    cluster->snapshot_threshold = 5;
    cluster->snapshot_trailing = 2;
    struct member *m = &cluster->members[1];
    m->sink.ballast = 16u << 20;
    for (unsigned round = 0; round < 8; round++) {
        start_member(1);
        assert_true(wait_for(all_ready));
        propose(1, 20, 100);
        run_ms(round % 4 * 3);
        m->sink.slow_us = round % 2 * 2000;
        stop_member(1);
    }
    memset(m->sink.last, 0, sizeof m->sink.last);
    start_member(1);
    assert_true(wait_for(all_ready));
    assert_true(wait_for(all_equal));
    assert_sound();
    teardown_cluster();
}

int main(void)
{
    qr_log_open(2, getenv("QR_TEST_LOG") != NULL ? QR_LOG_DEBUG : QR_LOG_ERROR);
    cmocka_set_test_filter(getenv("QR_TEST_FILTER"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_single_member_commits),
        cmocka_unit_test(a_single_member_comes_back_from_disk),
        cmocka_unit_test(what_the_sink_refuses_is_told_to_the_proposer),
        cmocka_unit_test(trouble_of_the_sink_itself_stops_the_member),
        cmocka_unit_test(the_window_and_the_queue_are_bounded),
        cmocka_unit_test(a_log_that_forgot_is_refused),
        cmocka_unit_test(three_members_elect_and_agree),
        cmocka_unit_test(followers_see_commits_at_once),
        cmocka_unit_test(ownership_is_handed_out_by_the_log),
        cmocka_unit_test(a_cut_off_leader_is_replaced_and_nothing_is_lost_or_doubled),
        cmocka_unit_test(a_leader_whose_connections_close_is_replaced_early),
        cmocka_unit_test(closing_hands_leadership_over),
        cmocka_unit_test(a_member_that_was_away_installs_a_snapshot),
        cmocka_unit_test(all_members_come_back_from_disk),
        cmocka_unit_test(large_entries_and_snapshots_pass),
        cmocka_unit_test(a_store_that_behaves_differently_is_found_out),
        cmocka_unit_test(a_member_short_of_disk_does_not_propose),
        cmocka_unit_test(a_leader_that_could_not_hand_over_leads_on),
        cmocka_unit_test(a_log_is_applied_as_the_loop_turns),
        cmocka_unit_test(a_leader_begins_when_it_has_applied),
        cmocka_unit_test(a_snapshot_comes_to_a_member_with_a_backlog),
        cmocka_unit_test(a_group_closes_in_the_midst_of_a_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
