/* Members are killed while children stream: nothing may be missing, twice or wrong afterwards. */
#include <signal.h>
#include <stdio.h>

#include "ha-tests/harness.h"

#define MOVE_MS   60000
#define RETURN_MS 60000

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

/* Kills `victim`, waits for data from elsewhere, brings it back and checks all three. */
static void kill_and_return(unsigned victim)
{
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_guid(&stage, 0, guid);
    stage_fault(&stage);
    qr_cluster_kill(&stage.cluster, victim);
    stage_wait_stored_after_fault(&stage, guid, MOVE_MS);
    stage_wait_moved(&stage, guid, victim, MOVE_MS);
    stage_wait_live(&stage, MOVE_MS);
    expect(&stage, qr_cluster_start(&stage.cluster, victim) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_check(&stage);
}

static void the_owner_of_the_children_is_killed(void **state)
{
    (void)state;
    struct stage_options options = {.name = "kill-owner", .netdata = true, .first_not_leader = 1};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);
    unsigned owner = qr_cluster_owner(&stage.cluster, guid);
    expect(&stage, owner != 0); /* The first of its list, if that was in time. */
    kill_and_return(owner);
}

static void the_leader_is_killed(void **state)
{
    (void)state;
    struct stage_options options = {.name = "kill-leader", .netdata = true};
    stage_up(&stage, &options);
    unsigned leader = qr_cluster_wait_leader(&stage.cluster, MOVE_MS);
    expect(&stage, leader != 0);
    kill_and_return(leader);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, MOVE_MS) != 0);
}

struct committed {
    unsigned member;
    int64_t to_s;
    struct qr_verify result;
};

/* What a member answers is applied, and so committed. */
static bool is_served(void *data)
{
    struct committed *c = data;
    memset(&c->result, 0, sizeof c->result);
    qr_verify_node(&stage.model, &stage.cluster.fetch, stage.cluster.members[c->member].url,
                   stage.first_s + STAGE_FIRST_S, c->to_s, &c->result);
    return qr_verify_ok(&c->result);
}

/* What one member has answered is on all of them after a restart of all, while no child can refill
 * anything. */
static void all_members_are_killed(void **state)
{
    (void)state;
    struct stage_options options = {.name = "kill-all", .netdata = true};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    struct committed committed = {.member = stage.first, .to_s = (int64_t)(qr_real_ms() / 1000)};
    expect(&stage, qr_wait_for(is_served, &committed, MOVE_MS, 200));
    qr_process_signal(&stage.load, SIGSTOP);
    if (stage.has_netdata)
        qr_process_signal(&stage.netdata.process, SIGSTOP);
    stage_fault(&stage);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        qr_process_signal(&stage.cluster.members[id].process, SIGKILL);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        qr_cluster_kill(&stage.cluster, id);
    expect(&stage, qr_cluster_start_all(&stage.cluster) == 0);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        char text[512];
        committed.member = id; /* It may still apply what its log has. */
        bool served = qr_wait_for(is_served, &committed, RETURN_MS, 200);
        qr_verify_format(&committed.result, text, sizeof text);
        print_message("ha kill-all: member %u before any child is back: %s\n", id, text);
        expect(&stage, served);
    }
    qr_process_signal(&stage.load, SIGCONT);
    if (stage.has_netdata)
        qr_process_signal(&stage.netdata.process, SIGCONT);
    stage_guid(&stage, 0, guid);
    stage_wait_stored_after_fault(&stage, guid, MOVE_MS);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_owner_of_the_children_is_killed, tear_down),
        cmocka_unit_test_teardown(the_leader_is_killed, tear_down),
        cmocka_unit_test_teardown(all_members_are_killed, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
