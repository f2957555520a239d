/* Members in network namespaces of their own (ha-tests/network.h): one is cut off, then no two can
 * talk. */
#include "ha-tests/harness.h"
#include "ha-tests/network.h"

#define MEMBERS   3
#define MOVE_MS   60000
#define RETURN_MS 60000
#define CUT_S     8

static struct stage stage;
static struct network network;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    network_release(&network);
    return 0;
}

static void cut(unsigned a, unsigned b, bool on)
{
    expect(&stage, network_part(&network, a, b, on));
}

struct waiting {
    unsigned id;
    bool without; /* A leader. */
};

static bool leader_is_as_wanted(void *data)
{
    struct waiting *w = data;
    json_t *status = qr_cluster_status(&stage.cluster, w->id);
    bool none = json_integer_value(json_object_get(status, "leader")) == 0;
    json_decref(status);
    return status != NULL && none == w->without;
}

static void wait_without_leader(unsigned id)
{
    struct waiting w = {id, true};
    expect(&stage, qr_wait_for(leader_is_as_wanted, &w, MOVE_MS, 50));
}

static bool others_have_a_leader(void *data)
{
    unsigned alone = *(unsigned *)data, leader = qr_cluster_leader(&stage.cluster);
    return leader != 0 && leader != alone;
}

static void cut_off_members_lose_nothing(void **state)
{
    (void)state;
    if (!network_make(&network, MEMBERS)) {
        print_message("ha partition: network namespaces cannot be made here (root and iproute2 are "
                      "needed): skipped\n");
        skip();
    }
    struct stage_options options = {
        .name = "partition",
        .netdata = true,
        .cluster = {.hosts = network.hosts, .netns_fds = network.netns_fds}};
    char guid[QR_GUID_TEXT_LEN + 1];
    stage_up(&stage, &options);
    stage_guid(&stage, 0, guid);

    /* The leader, and with it the owner of the first child, is cut off from both others; the
     * children can still reach it. */
    unsigned alone = qr_cluster_wait_leader(&stage.cluster, MOVE_MS), b = alone % 3 + 1,
             c = b % 3 + 1;
    expect(&stage, alone != 0);
    stage_fault(&stage);
    cut(alone, b, true);
    cut(alone, c, true);
    wait_without_leader(alone);
    expect(&stage, qr_wait_for(others_have_a_leader, &alone, MOVE_MS, 50));
    stage_wait_stored_after_fault_except(&stage, guid, alone, MOVE_MS);

    /* Then nobody can talk to anybody. */
    cut(b, c, true);
    wait_without_leader(b);
    wait_without_leader(c);
    qr_wait_until_s((int64_t)(qr_real_ms() / 1000) + CUT_S);
    cut(b, c, false);
    cut(alone, b, false);
    cut(alone, c, false);
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, RETURN_MS) != 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, RETURN_MS));
    stage_wait_live(&stage, RETURN_MS);
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(cut_off_members_lose_nothing, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
