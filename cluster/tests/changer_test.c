/* The plan of a change, as a table; that it is carried out is seen in group_test. */
#include "cluster/changer.h"

#include <string.h>

#include "cluster/disk_id.h"
#include "testing/cmocka.h"

#define DISK 100u

static struct raft_server servers[QR_MEMBERS_MAX];
static struct raft_configuration configuration = {servers, 0};
static struct qr_membership membership;
static struct qr_peers peers;
static struct qr_change_view view;

static void has(uint32_t member, uint32_t disk, int role)
{
    servers[configuration.n++] =
        (struct raft_server){.id = qr_raft_id(member, disk), .address = "h:1", .role = role};
}

static void is_up(uint32_t member, uint32_t disk, uint64_t applied)
{
    struct qr_peer *peer = qr_peers_get(&peers, member);
    peer->up = peer->told = true;
    peer->state.disk = disk;
    peer->state.applied = applied;
}

/* Voters 1, 2 and 3 are up, 1 leads and has committed 1000. */
static int start(void **state)
{
    (void)state;
    memset(&membership, 0, sizeof membership);
    memset(&peers, 0, sizeof peers);
    configuration.n = 0;
    for (uint32_t member = 1; member <= 3; member++)
        has(member, DISK + member, RAFT_VOTER);
    is_up(2, DISK + 2, 1000);
    is_up(3, DISK + 3, 1000);
    view = (struct qr_change_view){.configuration = &configuration,
                                   .membership = &membership,
                                   .peers = &peers,
                                   .self = qr_raft_id(1, DISK + 1),
                                   .commit = 1000};
    return 0;
}

static void asks(enum qr_change_kind kind, uint32_t member, uint32_t with)
{
    membership.change = (struct qr_change){.kind = kind,
                                           .member = member,
                                           .disk = member != 0 ? DISK + member : 0,
                                           .with = with,
                                           .index = 7};
}

static void expect(enum qr_step_kind kind, raft_id id)
{
    struct qr_step step = qr_change_plan(&view);
    assert_int_equal(step.kind, kind);
    assert_int_equal(step.id, id);
}

static void expect_end(enum qr_change_result result)
{
    struct qr_step step = qr_change_plan(&view);
    assert_int_equal(step.kind, QR_STEP_END);
    assert_int_equal(step.result, result);
}

static void without_a_change_there_is_nothing_to_do(void **state)
{
    (void)state;
    expect(QR_STEP_NONE, 0);
}

static void a_member_comes_step_by_step(void **state)
{
    (void)state;
    raft_id id = qr_raft_id(4, 9);
    asks(QR_CHANGE_ADD, 0, 4);
    expect(QR_STEP_REACH, 0);
    is_up(4, 9, 0);
    expect(QR_STEP_ADD, id);
    has(4, 9, RAFT_SPARE);
    expect(QR_STEP_LEARNER, id);
    servers[3].role = RAFT_STANDBY;
    expect(QR_STEP_CATCH_UP, id);
    is_up(4, 9, 1000 - QR_CHANGE_LAG);
    expect(QR_STEP_VOTER, id);
    servers[3].role = RAFT_VOTER;
    expect_end(QR_CHANGE_DONE);
}

static void who_does_not_come_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    asks(QR_CHANGE_ADD, 0, 4);
    view.late = true;
    expect_end(QR_CHANGE_UNREACHED);
    is_up(4, 9, 0);
    expect(QR_STEP_ADD, qr_raft_id(4, 9));
    membership.change.canceled = true;
    expect_end(QR_CHANGE_CANCELED);
}

static void a_learner_on_another_disk_or_away_is_not_promoted(void **state)
{
    (void)state;
    asks(QR_CHANGE_ADD, 0, 4);
    has(4, 9, RAFT_STANDBY);
    is_up(4, 10, 1000); /* It lost its disk on the way: it begins again. */
    expect(QR_STEP_REMOVE, qr_raft_id(4, 9));
    configuration.n = 3;
    expect(QR_STEP_ADD, qr_raft_id(4, 10));
    has(4, 9, RAFT_STANDBY);
    is_up(4, 9, 1000);
    qr_peers_get(&peers, 4)->up = false;
    expect(QR_STEP_CATCH_UP, qr_raft_id(4, 9));
    membership.change.canceled = true;
    expect(QR_STEP_REMOVE, qr_raft_id(4, 9));
}

static void who_goes_leaves_a_majority(void **state)
{
    (void)state;
    asks(QR_CHANGE_REMOVE, 2, 0);
    expect(QR_STEP_REMOVE, qr_raft_id(2, DISK + 2));
    qr_peers_get(&peers, 2)->up = false; /* A dead one may go, too. */
    expect(QR_STEP_REMOVE, qr_raft_id(2, DISK + 2));
    qr_peers_get(&peers, 2)->up = true;
    qr_peers_get(&peers, 3)->up = false;
    expect_end(QR_CHANGE_NO_QUORUM);
    is_up(3, 9, 0); /* Not with the disk that votes. */
    expect_end(QR_CHANGE_NO_QUORUM);
    configuration.n = 0;
    has(1, DISK + 1, RAFT_VOTER);
    expect_end(QR_CHANGE_DONE); /* It is gone. */
}

static void the_last_voter_stays(void **state)
{
    (void)state;
    configuration.n = 1;
    asks(QR_CHANGE_REMOVE, 1, 0);
    expect_end(QR_CHANGE_LAST);
}

static void a_leader_hands_over_before_it_goes(void **state)
{
    (void)state;
    asks(QR_CHANGE_REMOVE, 1, 0);
    expect(QR_STEP_HAND_OVER, view.self);
    view.late = true;
    expect_end(QR_CHANGE_NO_SUCCESSOR);
    view.self = qr_raft_id(2, DISK + 2);
    is_up(1, DISK + 1, 1000);
    expect(QR_STEP_REMOVE, qr_raft_id(1, DISK + 1));
}

static void one_that_lost_its_disk_goes_before_it_comes(void **state)
{
    (void)state;
    asks(QR_CHANGE_REPLACE, 2, 2);
    expect_end(QR_CHANGE_NOT_EMPTY); /* It has its data. */
    qr_peers_get(&peers, 2)->up = false;
    expect(QR_STEP_REACH, 0);
    is_up(2, 9, 0);
    expect(QR_STEP_REMOVE, qr_raft_id(2, DISK + 2));
    servers[1] = servers[2];
    configuration.n = 2;
    expect(QR_STEP_ADD, qr_raft_id(2, 9));
    has(2, 9, RAFT_STANDBY);
    is_up(2, 9, 1000);
    expect(QR_STEP_VOTER, qr_raft_id(2, 9));
    servers[2].role = RAFT_VOTER;
    expect_end(QR_CHANGE_DONE);
}

static void another_comes_before_one_goes(void **state)
{
    (void)state;
    asks(QR_CHANGE_REPLACE, 2, 4);
    qr_peers_get(&peers, 2)->up = false;
    expect(QR_STEP_REACH, 0);
    is_up(4, 9, 0);
    expect(QR_STEP_ADD, qr_raft_id(4, 9));
    has(4, 9, RAFT_STANDBY);
    is_up(4, 9, 1000);
    expect(QR_STEP_VOTER, qr_raft_id(4, 9)); /* three of four are up */
    servers[3].role = RAFT_VOTER;
    expect(QR_STEP_REMOVE, qr_raft_id(2, DISK + 2));
    servers[1] = servers[3];
    configuration.n = 3;
    expect_end(QR_CHANGE_DONE);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    while (configuration.n < QR_MEMBERS_MAX)
        has(10 + configuration.n, 1, RAFT_VOTER);
    asks(QR_CHANGE_ADD, 0, 4);
    is_up(4, 9, 0);
    expect_end(QR_CHANGE_TOO_MANY);
}

static void who_came_while_the_change_was_ended_goes_again(void **state)
{
    (void)state;
    has(4, 9, RAFT_STANDBY);
    expect(QR_STEP_REMOVE, qr_raft_id(4, 9));
    asks(QR_CHANGE_ADD, 0, 4); /* Unless somebody wants it. */
    expect(QR_STEP_CATCH_UP, qr_raft_id(4, 9));
}

/* ---- doing it, without a library that answers ---- */

static struct raft raft;
static unsigned n_handed_over, n_proposed;

static bool hand_over(void *data)
{
    (void)data;
    n_handed_over++;
    return true;
}

static int propose(void *data, struct qr_slice body)
{
    (void)data;
    (void)body;
    n_proposed++;
    return 0;
}

static struct qr_changer changer_of(void)
{
    raft = (struct raft){.id = qr_raft_id(1, DISK + 1)};
    raft.configuration = configuration;
    n_handed_over = n_proposed = 0;
    return (struct qr_changer){.raft = &raft,
                               .membership = &membership,
                               .peers = &peers,
                               .propose = propose,
                               .hand_over = hand_over};
}

/* A leader that is replaced hands over also when the copying took longer than one waits. */
static void the_wait_for_a_successor_begins_when_there_is_nothing_else_to_do(void **state)
{
    (void)state;
    asks(QR_CHANGE_REPLACE, 1, 4);
    has(4, 9, RAFT_STANDBY);
    is_up(4, 9, 0);
    struct qr_changer changer = changer_of();
    raft.commit_index = 1000;
    uint64_t now_ms = 1000;
    qr_changer_turn(&changer, now_ms, true);
    now_ms += 10ull * QR_CHANGE_REACH_MS;
    qr_changer_turn(&changer, now_ms, true);
    assert_int_equal(n_proposed, 0);
    servers[3].role = RAFT_VOTER;
    is_up(4, 9, 1000);
    qr_changer_turn(&changer, now_ms, true);
    assert_int_equal(n_handed_over, 1);
    qr_changer_turn(&changer, now_ms + QR_CHANGE_REACH_MS - 1, true);
    assert_int_equal(n_proposed, 0);
    qr_changer_turn(&changer, now_ms + QR_CHANGE_REACH_MS + 1000, true);
    assert_int_equal(n_proposed, 1); /* NO_SUCCESSOR */
    assert_int_equal(n_handed_over, 2);
}

static void a_request_that_the_library_forgot_is_taken_back(void **state)
{
    (void)state;
    struct qr_changer changer = changer_of();
    changer.changing = true;
    raft.legacy.change = &changer.req;
    changer.req.catch_up_id = qr_raft_id(4, 9); /* It catches up. */
    qr_changer_turn(&changer, 1000, true);
    assert_true(changer.changing);
    changer.req.catch_up_id = 0;
    raft.configuration_uncommitted_index = 7; /* It is in the log. */
    qr_changer_turn(&changer, 1000, true);
    assert_true(changer.changing);
    raft.configuration_uncommitted_index = 0;
    qr_changer_turn(&changer, 1000, true);
    assert_false(changer.changing);
    assert_null(raft.legacy.change);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_a_change_there_is_nothing_to_do, start),
        cmocka_unit_test_setup(a_member_comes_step_by_step, start),
        cmocka_unit_test_setup(who_does_not_come_is_not_waited_for_for_ever, start),
        cmocka_unit_test_setup(a_learner_on_another_disk_or_away_is_not_promoted, start),
        cmocka_unit_test_setup(who_goes_leaves_a_majority, start),
        cmocka_unit_test_setup(the_last_voter_stays, start),
        cmocka_unit_test_setup(a_leader_hands_over_before_it_goes, start),
        cmocka_unit_test_setup(one_that_lost_its_disk_goes_before_it_comes, start),
        cmocka_unit_test_setup(another_comes_before_one_goes, start),
        cmocka_unit_test_setup(there_is_a_limit, start),
        cmocka_unit_test_setup(who_came_while_the_change_was_ended_goes_again, start),
        cmocka_unit_test_setup(the_wait_for_a_successor_begins_when_there_is_nothing_else_to_do,
                               start),
        cmocka_unit_test_setup(a_request_that_the_library_forgot_is_taken_back, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
