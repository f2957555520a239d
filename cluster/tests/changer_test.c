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
    is_up(4, 10, 1000); /* It lost its disk on the way. */
    expect(QR_STEP_CATCH_UP, qr_raft_id(4, 9));
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
